//! Where connections come in: sockets on several addresses or none, and who is expected from where.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::handle::Control;
use super::{Password, PeerSettings, Scope};

/// Listening sockets and the peers that are expected on them. Cheap to clone; the sockets close with the last clone.
#[derive(Clone, Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    local: Vec<SocketAddr>,
    expected: Mutex<Expected>,
    candidates: Option<mpsc::Sender<Candidate>>,
}

#[derive(Debug, Default)]
struct Expected {
    peers: HashMap<(IpAddr, Option<Scope>), Weak<Control>>,
    ranges: Vec<ListenRange>,
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
/// it, which closes it.
#[derive(Debug)]
pub struct Candidate {
    stream: TcpStream,
    /// Who dialled.
    pub remote: SocketAddr,
    /// What was dialled.
    pub local: SocketAddr,
    /// The range that let it in.
    pub range: IpNet,
}

impl Candidate {
    pub(super) fn into_parts(self) -> (TcpStream, SocketAddr) {
        (self.stream, self.remote)
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
                local: Vec::new(),
                expected: Mutex::default(),
                candidates: None,
            }),
        }
    }

    /// Listens on `addresses`; port 0 lets the kernel choose. Connections from `ranges` that are no configured peer's go
    /// to `candidates`; when that is full they are closed. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The first address that cannot be had, and what to do about it. None is listened on then.
    pub fn bind(
        addresses: &[SocketAddr],
        ranges: Vec<ListenRange>,
        candidates: mpsc::Sender<Candidate>,
    ) -> Result<Self, BindError> {
        let local = addresses
            .iter()
            .map(|address| {
                std::net::TcpListener::bind(address)
                    .and_then(|socket| socket.local_addr())
                    .map_err(|source| BindError {
                        address: *address,
                        source,
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared: Arc::new(Shared {
                local,
                expected: Mutex::new(Expected {
                    peers: HashMap::new(),
                    ranges,
                }),
                candidates: Some(candidates),
            }),
        })
    }

    /// Where it listens. A port that was asked for as 0 is the one that the kernel chose.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.shared.local
    }
}
