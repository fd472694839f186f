//! Listening sockets on several addresses or none, and the peers that are expected on them.
//!
//! The order is in the types: a [`Bound`] has addresses and does not listen yet; [`Bound::listen`] sets the TCP MD5
//! keys of all peers and ranges that have one, and then listens; [`Listener::start_accepting`] is called when the peers
//! are spawned. The key of a peer that is added later is set before the peer is expected. What was in the accept queue
//! by then is known by its number ([`super::keys`]) and its SYN, and not let in.
//!
//! Each connection is judged as soon as it is accepted, at constant cost: unexpected ones are refused at once, so that
//! they fill no queue, and configured peers have a place of their own. New peers of listen ranges wait in a bounded
//! queue for the owner. When that is full, nothing is accepted for up to [`accept::HOLD`]: the kernel's backlog keeps
//! connections, and no Cease is sent, which would end graceful restart at a peer. If nobody has taken one by then,
//! newcomers are closed without a word until one is taken, so that configured peers behind them in the backlog do not
//! starve.

mod accept;
mod place;

pub(super) use place::Place;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::admission::{Accepted, Admissions};
use super::expected::{Expected, open_ranges};
use super::handle::Control;
use super::keys::{KeyError, Keys};
use super::pace::Pace;
use super::{ListenRange, Password, PeerSettings, options};
use crate::os_error::OsError;
use crate::refusal::Refusal;

/// Connections that may wait to be accepted: a thousand peers that all dial at once after a restart.
const BACKLOG: i32 = 1024;

/// Bound addresses, without listening yet.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<(Socket, SocketAddr)>,
}

/// The configuration of a listener before the first connection.
#[derive(Debug)]
pub struct ListenerConfig {
    /// Addresses from which connections of peers that are not configured one by one are welcome.
    pub ranges: Vec<ListenRange>,
    /// The passwords of all peers that are going to be made.
    pub passwords: Vec<(IpAddr, Password)>,
    /// Connections from `ranges`. The listener waits when it is full.
    pub candidates: mpsc::Sender<Candidate>,
    /// Counts of accepted and refused connections.
    pub admissions: Arc<Admissions>,
}

/// How long the clones of peers that have ended may stay: their tasks drop them in moments.
const CLOSING: Duration = Duration::from_secs(1);

/// Listening sockets and the peers that are expected on them. Cheap to clone; the sockets close with the last clone.
#[derive(Clone, Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    local: Vec<SocketAddr>,
    /// Whether connections are accepted.
    accepting: watch::Sender<bool>,
    expected: Mutex<Expected>,
    candidates: Option<mpsc::Sender<Candidate>>,
    admissions: Arc<Admissions>,
    /// One task per socket. They hold no `Shared`, and end with it.
    tasks: Vec<JoinHandle<()>>,
    /// Goes last, when the sockets are closed: [`Listener::close`] waits for that.
    open: watch::Sender<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A connection from a [`ListenRange`], for the owner to decide about: give it to [`super::PeerHandle::accept`], refuse
/// it with [`Candidate::refuse`], or drop it, which closes it silently.
#[derive(Debug)]
pub struct Candidate {
    pub(super) accepted: Accepted,
    admissions: Arc<Admissions>,
    /// Who dialled.
    pub remote: SocketAddr,
    /// What was dialled.
    pub local: SocketAddr,
    /// The range that let it in.
    pub range: IpNet,
}

impl Candidate {
    /// Closes it for this reason, which is counted and may be logged and answered.
    pub fn refuse(self, why: Refusal) {
        self.admissions
            .refuse(self.accepted.stream, self.remote, why);
    }

    pub(super) fn into_accepted(self) -> Accepted {
        self.accepted
    }
}

/// A listening socket that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", advice(source))]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: OsError,
}

/// What to do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there (`ss -ltnp` shows which): stop it, listen on another port or address, or \
             do not listen and only dial"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need root or CAP_NET_BIND_SERVICE: grant it, or listen on another port"
        }
        io::ErrorKind::AddrNotAvailable => "; configure it on one first, or listen on another",
        _ => "",
    }
}

impl Bound {
    /// The addresses. A port that was asked for as 0 is the one that the kernel chose.
    pub fn local_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().map(|(_, local)| *local)
    }

    /// Sets every key, and then listens. Connections wait in the kernel until [`Listener::start_accepting`], so that peers
    /// can be made first and none is refused as a stranger. A key that cannot be set is reported where it is needed: by
    /// [`Listener::range_error`], and by [`super::spawn`] for a peer. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The first address that cannot be listened on, and what to do about it. None is listened on then.
    pub fn listen(self, config: ListenerConfig) -> Result<Listener, BindError> {
        let local: Vec<SocketAddr> = self.local_addresses().collect();
        let mut keys = Keys::new(self.sockets);
        let early = config.passwords.iter().filter_map(|(address, password)| {
            let net = options::host(*address);
            keys.hold(net, password).ok().map(|()| net)
        });
        let early = early.collect();
        let ranges = open_ranges(&mut keys, &[], config.ranges);
        let keys = keys
            .map(|socket, _| {
                socket.listen(BACKLOG)?;
                TcpListener::from_std(socket.into())
            })
            .map_err(|(address, source)| BindError {
                address,
                source: source.into(),
            })?;
        let pace = Pace::new(config.admissions.clone());
        let expected = Expected {
            keys,
            peers: HashMap::new(),
            ranges,
            pace,
            early,
        };
        let (accepting, _) = watch::channel(false);
        Ok(Listener {
            shared: Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
                tasks: (0..local.len())
                    .map(|at| {
                        tokio::spawn(accept::accept(at, shared.clone(), accepting.subscribe()))
                    })
                    .collect(),
                local,
                accepting,
                expected: Mutex::new(expected),
                candidates: Some(config.candidates),
                admissions: config.admissions,
                open: watch::channel(()).0,
            }),
        })
    }
}

impl Listener {
    /// A listener without sockets: every peer is dialled.
    pub fn none() -> Self {
        let admissions = Arc::<Admissions>::default();
        Self {
            shared: Arc::new(Shared {
                local: Vec::new(),
                accepting: watch::channel(true).0,
                expected: Mutex::new(Expected {
                    keys: Keys::new([]),
                    peers: HashMap::new(),
                    ranges: Vec::new(),
                    pace: Pace::new(admissions.clone()),
                    early: Vec::new(),
                }),
                candidates: None,
                admissions,
                tasks: Vec::new(),
                open: watch::channel(()).0,
            }),
        }
    }

    /// Takes `addresses`; port 0 lets the kernel choose. [`Bound::listen`] is next.
    ///
    /// # Errors
    ///
    /// The first address that cannot be had, and what to do about it. None is bound then.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Bound, BindError> {
        let bound = addresses.iter().map(|&address| {
            let refused = |source: io::Error| BindError {
                address,
                source: source.into(),
            };
            let socket = bind(address).map_err(refused)?;
            let local = socket.local_addr().map_err(refused)?.as_socket();
            Ok((socket, local.unwrap_or(address)))
        });
        Ok(Bound {
            sockets: bound.collect::<Result<_, _>>()?,
        })
    }

    /// Closes the sockets, and returns when their addresses are free. Every running peer has a clone, which keeps them open: one that
    /// has just ended is waited for, a second at most.
    pub async fn close(self) {
        let mut open = self.shared.open.subscribe();
        drop(self);
        // An error: the sender is gone, and with it everything that goes before.
        let _ = tokio::time::timeout(CLOSING, open.changed()).await;
    }

    /// Starts accepting connections, the waiting ones first. The keys of [`ListenerConfig::passwords`] stay only where
    /// a peer has come that needs them. Once is enough.
    pub fn start_accepting(&self) {
        let mut expected = self.shared.lock();
        for net in std::mem::take(&mut expected.early) {
            expected.keys.release(net);
        }
        drop(expected);
        self.shared.accepting.send_replace(true);
    }

    /// Where it listens. A port that was asked for as 0 is the one that the kernel chose.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.shared.local
    }

    /// Replaces the ranges, and retries keys that failed; the sockets stay. Sessions are not affected: the owner stops
    /// those of peers that no range accepts any more. [`Listener::range_error`] returns what failed.
    pub fn set_ranges(&self, ranges: Vec<ListenRange>) {
        // Nothing is accepted meanwhile.
        let mut expected = self.shared.lock();
        let before = std::mem::take(&mut expected.ranges);
        expected.ranges = open_ranges(&mut expected.keys, &before, ranges);
    }

    /// Why the range with this prefix accepts no connection, if its key cannot be set.
    pub fn range_error(&self, net: IpNet) -> Option<KeyError> {
        let expected = self.shared.lock();
        let found = expected.ranges.iter().find(|open| open.range.net == net);
        found.and_then(|open| open.failed.clone())
    }

    /// Gives the peer's connections to `control` from now on, for as long as the place is kept. The peer before with the
    /// same address gets none any more.
    ///
    /// # Errors
    /// Its key cannot be set, and it must not run.
    pub(super) fn expect(
        &self,
        settings: &PeerSettings,
        control: &Arc<Control>,
    ) -> Result<Place, KeyError> {
        let mut place = Place {
            listener: self.clone(),
            held: None,
        };
        place.change(settings, control)?;
        Ok(place)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Expected> {
        // Whole at every moment: each change is one insertion or removal.
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // IPv4 has its own sockets, so that an address in logs and in matching is what the peer has.
        socket.set_only_v6(true)?;
        // SYN+ACK goes out with the listener's TTL, and a peer that checks it (RFC 5082) would drop any but 255.
        socket.set_unicast_hops_v6(255)?;
    } else {
        socket.set_ttl_v4(255)?;
    }
    options::save_syn(socket.as_fd())?;
    socket.bind(&address.into())?;
    Ok(socket)
}
