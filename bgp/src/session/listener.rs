//! Where connections come in: sockets on several addresses or none, and who is expected from where.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::handle::Control;
use super::{Password, PeerSettings, Scope, options, stamp};
use crate::wire::{Notification, NotificationCode};

/// Connections that may wait to be accepted: a thousand peers that all dial at once after a restart.
const BACKLOG: i32 = 1024;

/// How often strangers are logged at most. They may be many, and nobody's fault here.
const STRANGER_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// After an accept that failed, usually for want of file descriptors: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listening sockets and the peers that are expected on them. Cheap to clone; the sockets close with the last clone.
#[derive(Clone, Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sockets: Vec<Arc<TcpListener>>,
    local: Vec<SocketAddr>,
    /// Whether connections are accepted.
    accepting: watch::Sender<bool>,
    expected: Mutex<Expected>,
    candidates: Option<mpsc::Sender<Candidate>>,
    /// One task per socket. They hold no `Shared`, and end with it.
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Who is expected: an address, with the interface if it is link-local.
type Source = (IpAddr, Option<Scope>);

#[derive(Debug, Default)]
struct Expected {
    peers: HashMap<Source, Weak<Control>>,
    ranges: Vec<ListenRange>,
    /// When a connection of a stranger was last logged, and how many were not.
    strangers: (Option<Instant>, u64),
}

/// Addresses from which connections of peers that are not configured one by one are welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenRange {
    /// The addresses.
    pub net: IpNet,
    /// TCP MD5 signature of all of them.
    pub password: Option<Password>,
}

/// A connection from a [`ListenRange`], for the owner to decide about: give it to [`super::PeerHandle::accept`], or drop
/// it, which refuses it (Cease/Connection Rejected).
#[derive(Debug)]
pub struct Candidate {
    /// `None` only once it is taken, in [`Candidate::into_stream`].
    stream: Option<TcpStream>,
    /// Who dialled.
    pub remote: SocketAddr,
    /// What was dialled.
    pub local: SocketAddr,
    /// The range that let it in.
    pub range: IpNet,
}

impl Candidate {
    pub(super) fn into_stream(mut self) -> Option<TcpStream> {
        self.stream.take()
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            refuse(stream);
        }
    }
}

/// A listening socket that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", advice(source))]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
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
        io::ErrorKind::AddrNotAvailable => {
            "; no interface has this address: configure it there first, or listen on another"
        }
        _ => "",
    }
}

impl Listener {
    /// A listener without sockets: every peer is dialled.
    pub fn none() -> Self {
        Self {
            shared: Arc::new(Shared {
                sockets: Vec::new(),
                local: Vec::new(),
                accepting: watch::channel(true).0,
                expected: Mutex::default(),
                candidates: None,
                tasks: Vec::new(),
            }),
        }
    }

    /// Listens on `addresses`; port 0 lets the kernel choose. Connections wait in the kernel until
    /// [`Listener::start_accepting`], so that peers can be made first and none is refused as a stranger. Those from `ranges`
    /// that are no configured peer's go to `candidates`; when that is full they are closed. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// The first address that cannot be had, and what to do about it. None is listened on then.
    pub fn bind(
        addresses: &[SocketAddr],
        ranges: Vec<ListenRange>,
        candidates: mpsc::Sender<Candidate>,
    ) -> Result<Self, BindError> {
        let mut sockets = Vec::with_capacity(addresses.len());
        let mut local = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let refused = |source| BindError { address, source };
            let socket = listen(address, &ranges).map_err(refused)?;
            local.push(socket.local_addr().map_err(refused)?);
            sockets.push(Arc::new(socket));
        }
        let (accepting, _) = watch::channel(false);
        Ok(Self {
            shared: Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
                tasks: sockets
                    .iter()
                    .map(|socket| {
                        let started = accepting.subscribe();
                        tokio::spawn(accept(socket.clone(), shared.clone(), started))
                    })
                    .collect(),
                sockets,
                local,
                accepting,
                expected: Mutex::new(Expected {
                    ranges,
                    ..Expected::default()
                }),
                candidates: Some(candidates),
            }),
        })
    }

    /// Closes the sockets, and returns when their addresses are free. Other clones, which every running peer has one of, keep
    /// them open.
    pub async fn close(self) {
        if let Ok(mut shared) = Arc::try_unwrap(self.shared) {
            for task in std::mem::take(&mut shared.tasks) {
                task.abort();
                // Aborted, or ended before.
                drop(task.await);
            }
        }
    }

    /// Accepts connections from now on, those that wait first. Once is enough.
    pub fn start_accepting(&self) {
        self.shared.accepting.send_replace(true);
    }

    /// Where it listens. A port that was asked for as 0 is the one that the kernel chose.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.shared.local
    }

    /// Goes over to other ranges; the sockets stay. Sessions are not touched: those of peers that no range lets in any
    /// more are the owner's to stop. A range whose password the kernel does not take lets nobody in, and is logged.
    pub fn set_ranges(&self, ranges: Vec<ListenRange>) {
        // Before any key: what connects in between finds neither the old range nor the new one, and tries again.
        let before = std::mem::take(&mut self.shared.lock().ranges);
        for gone in &before {
            let stays = ranges
                .iter()
                .any(|range| range.net == gone.net && range.password.is_some());
            if gone.password.is_some() && !stays {
                // Where the key of a peer's own address is the same one, that peer's `expect` has replaced it.
                drop(self.set_range_key(gone.net, None));
            }
        }
        let mut open = Vec::with_capacity(ranges.len());
        for range in ranges {
            let kept = before.contains(&range);
            let result = match &range.password {
                Some(password) if !kept => self.set_range_key(range.net, Some(password)),
                _ => Ok(()),
            };
            match result {
                Ok(()) => open.push(range),
                Err(error) => warn!(
                    range = %range.net, %error,
                    "the listener cannot check this range's password; nobody is let in from it"
                ),
            }
        }
        self.shared.lock().ranges = open;
    }

    fn set_range_key(&self, net: IpNet, password: Option<&Password>) -> io::Result<()> {
        for (socket, local) in self.shared.sockets.iter().zip(&self.shared.local) {
            if local.is_ipv4() == matches!(net, IpNet::V4(_)) {
                options::set_md5(socket.as_fd(), net, password)?;
            }
        }
        Ok(())
    }

    /// Gives the peer's connections to `control` from now on. The one before with the same address gets none any more.
    pub(super) fn expect(&self, settings: &PeerSettings, control: &Arc<Control>) {
        self.set_keys(settings, settings.password.as_ref());
        let key = expected_source(settings);
        self.shared
            .lock()
            .peers
            .insert(key, Arc::downgrade(control));
    }

    /// Undoes [`Listener::expect`], unless another peer has taken the address over.
    pub(super) fn forget(&self, settings: &PeerSettings, control: &Arc<Control>) {
        let mut expected = self.shared.lock();
        let key = expected_source(settings);
        let ours = expected
            .peers
            .get(&key)
            .is_some_and(|peer| std::ptr::eq(peer.as_ptr(), Arc::as_ptr(control)));
        if ours {
            expected.peers.remove(&key);
            drop(expected);
            if settings.password.is_some() {
                self.set_keys(settings, None);
            }
        }
    }

    /// A key must be on the listening socket before the SYN comes.
    fn set_keys(&self, settings: &PeerSettings, password: Option<&Password>) {
        for (socket, local) in self.shared.sockets.iter().zip(&self.shared.local) {
            if local.is_ipv4() != settings.remote.is_ipv4() {
                continue;
            }
            let net = options::host(settings.remote);
            match options::set_md5(socket.as_fd(), net, password) {
                Ok(()) => {}
                // No key was there to be removed, or the kernel knows no MD5 and none is wanted.
                Err(_) if password.is_none() => {}
                Err(error) => warn!(
                    peer = %settings.remote, %local, %error,
                    "the listener cannot check this peer's password; it can only be dialled"
                ),
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Expected> {
        // Whole at every moment: each change is one insertion or removal.
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a connection to whom it belongs.
    fn dispatch(&self, stream: TcpStream, remote: SocketAddr) {
        let mut expected = self.lock();
        if let Some(peer) = expected
            .peers
            .get(&source_of(remote))
            .and_then(Weak::upgrade)
        {
            return peer.accept(stream);
        }
        let range = expected
            .ranges
            .iter()
            .find(|range| range.net.contains(&remote.ip()));
        if let (Some(range), Some(candidates)) = (range, &self.candidates)
            && let Ok(local) = stream.local_addr()
        {
            let candidate = Candidate {
                stream: Some(stream),
                remote,
                local,
                range: range.net,
            };
            // Full or closed: dropping the candidate refuses it, and the peer tries again.
            drop(candidates.try_send(candidate));
            return;
        }
        let now = stamp::now();
        let (last, silent) = expected.strangers;
        if last.is_none_or(|last| now >= last + STRANGER_LOG_INTERVAL) {
            info!(%remote, others = silent, "refused a connection from an address that is no peer's");
            expected.strangers = (Some(now), 0);
        } else {
            expected.strangers.1 += 1;
        }
        drop(expected);
        refuse(&stream);
    }
}

/// Cease/Connection Rejected, as far as the empty socket buffer takes it, which it does.
fn refuse(stream: &TcpStream) {
    let message = Notification::new(NotificationCode::CONNECTION_REJECTED).encode();
    // Courtesy only: the connection is closed next.
    drop(stream.try_write(&message));
}

fn listen(address: SocketAddr, ranges: &[ListenRange]) -> io::Result<TcpListener> {
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
    for range in ranges {
        if let Some(password) = &range.password
            && matches!(range.net, IpNet::V4(_)) == address.is_ipv4()
        {
            options::set_md5(socket.as_fd(), range.net, Some(password))?;
        }
    }
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(
    socket: Arc<TcpListener>,
    shared: Weak<Shared>,
    mut started: watch::Receiver<bool>,
) {
    if started.wait_for(|started| *started).await.is_err() {
        return;
    }
    loop {
        let accepted = socket.accept().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match accepted {
            Ok((stream, remote)) => shared.dispatch(stream, remote),
            Err(error) => {
                drop(shared);
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn expected_source(settings: &PeerSettings) -> Source {
    source_of(settings.remote_socket())
}

fn source_of(remote: SocketAddr) -> Source {
    match remote {
        SocketAddr::V6(remote) if remote.ip().is_unicast_link_local() => {
            ((*remote.ip()).into(), Some(Scope(remote.scope_id())))
        }
        remote => (remote.ip(), None),
    }
}
