//! TCP MD5 keys (RFC 2385) of the listening sockets: who needs which, and which connections were checked with them.
//!
//! The kernel looks a key up by the longest prefix that contains the sender, when a segment arrives. It considers no
//! interface except a VRF's: two link-local peers with one address share a key, and so does a listen range of one
//! address with the peer at it. So keys are counted; another password for the same prefix is an error.
//!
//! A connection in the accept queue was checked with the keys of the moment when it was made. Connections leave the queue in
//! the order in which they entered it, hence a number says it: each accepted connection has one, and each key the number of
//! the first that was surely made under it. [`Keys::checked`] puts both together.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Password, options};
use crate::os_error::OsError;

/// A TCP MD5 key that cannot be set. Its peer must neither be accepted nor connected to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyError {
    /// The kernel's key table is full.
    #[error(
        "the kernel's table of TCP MD5 keys is full with {held} keys: that of {net} cannot be set. Raise it: sysctl -w \
         net.core.optmem_max=BYTES, some 140 for each password of a peer or range"
    )]
    TableFull {
        /// Whose key.
        net: IpNet,
        /// How many are set.
        held: usize,
    },
    /// The same prefix has another key.
    #[error(
        "another peer or listen range at {net} has another password, and the kernel keeps one per prefix, whatever the \
         interface: give both the same password"
    )]
    Conflict {
        /// Whose key.
        net: IpNet,
    },
    /// Anything else that the kernel says.
    #[error("the kernel does not take the TCP MD5 key of {net}: {source}")]
    Kernel {
        /// Whose key.
        net: IpNet,
        /// Why.
        source: Arc<OsError>,
    },
}

impl KeyError {
    /// What the kernel says about a key beside `held` others.
    pub(super) fn new(net: IpNet, held: usize, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => Self::TableFull { net, held },
            _ => Self::Kernel {
                net,
                source: Arc::new(error.into()),
            },
        }
    }
}

/// A listening socket, or one that is going to listen.
pub(super) trait Socket: AsFd {
    /// Connections in its accept queue.
    fn waiting(&self) -> io::Result<u64> {
        options::backlog(self.as_fd())
    }
}

impl Socket for tokio::net::TcpListener {}
impl Socket for socket2::Socket {}

#[derive(Debug)]
struct Queue<S> {
    socket: S,
    local: SocketAddr,
    /// Connections taken out of the accept queue.
    accepted: u64,
}

#[derive(Debug)]
struct Held {
    password: Password,
    users: usize,
    /// By socket: the first connection that was made under this key.
    since: Vec<u64>,
}

/// The sockets with their keys.
#[derive(Debug)]
pub(super) struct Keys<S> {
    queues: Vec<Queue<S>>,
    held: HashMap<IpNet, Held>,
}

impl<S: Socket> Keys<S> {
    pub(super) fn new(sockets: impl IntoIterator<Item = (S, SocketAddr)>) -> Self {
        let queue = |(socket, local)| Queue {
            socket,
            local,
            accepted: 0,
        };
        Self {
            queues: sockets.into_iter().map(queue).collect(),
            held: HashMap::new(),
        }
    }

    /// The same keys on the same sockets, in another form.
    pub(super) fn map<T>(
        self,
        mut change: impl FnMut(S, SocketAddr) -> io::Result<T>,
    ) -> Result<Keys<T>, (SocketAddr, io::Error)> {
        let change = |queue: Queue<S>| {
            let socket = change(queue.socket, queue.local).map_err(|error| (queue.local, error))?;
            Ok(Queue {
                socket,
                local: queue.local,
                accepted: queue.accepted,
            })
        };
        Ok(Keys {
            queues: self
                .queues
                .into_iter()
                .map(change)
                .collect::<Result<_, _>>()?,
            held: self.held,
        })
    }

    pub(super) fn socket(&self, at: usize) -> &S {
        &self.queues[at].socket
    }

    /// A connection was taken out of the queue of this socket. Its number.
    pub(super) fn accepted(&mut self, at: usize) -> u64 {
        let queue = &mut self.queues[at];
        queue.accepted += 1;
        queue.accepted
    }

    /// Has everything from `net` be signed with `password`, until it is released as often as it was held.
    pub(super) fn hold(&mut self, net: IpNet, password: &Password) -> Result<(), KeyError> {
        match self.held.get_mut(&net) {
            Some(held) if held.password == *password => {
                held.users += 1;
                return Ok(());
            }
            Some(_) => return Err(KeyError::Conflict { net }),
            None => {}
        }
        self.set(net, Some(password))?;
        let held = Held {
            password: password.clone(),
            users: 1,
            since: self.marks(),
        };
        self.held.insert(net, held);
        Ok(())
    }

    /// Another password for one who holds this key. On an error that one holds it no more.
    pub(super) fn change(&mut self, net: IpNet, password: &Password) -> Result<(), KeyError> {
        match self.held.get(&net) {
            Some(held) if held.password == *password => return Ok(()),
            Some(Held { users: 1, .. }) => {}
            Some(_) => {
                self.release(net);
                return Err(KeyError::Conflict { net });
            }
            None => return self.hold(net, password),
        }
        // In place: at no moment is there no key.
        if let Err(error) = self.set(net, Some(password)) {
            self.release(net);
            return Err(error);
        }
        let since = self.marks();
        if let Some(held) = self.held.get_mut(&net) {
            held.password = password.clone();
            held.since = since;
        }
        Ok(())
    }

    /// One who held the key needs it no more.
    pub(super) fn release(&mut self, net: IpNet) {
        let Some(held) = self.held.get_mut(&net) else {
            return;
        };
        held.users -= 1;
        if held.users > 0 {
            return;
        }
        self.held.remove(&net);
        // If it cannot be removed, unsigned segments from there are still dropped.
        drop(self.set(net, None));
        // What waits was checked with this key, and not with that of a shorter prefix.
        let since = self.marks();
        let shorter = self
            .held
            .iter_mut()
            .filter(|(other, _)| other.contains(&net));
        shorter.for_each(|(_, held)| held.since.clone_from(&since));
    }

    /// The password that the kernel has surely checked this connection with.
    pub(super) fn checked(&self, remote: IpAddr, at: usize, number: u64) -> Option<&Password> {
        let longest = IpNet::from(remote).prefix_len();
        let nets = (0..=longest)
            .rev()
            .filter_map(|length| IpNet::new(remote, length).ok());
        let held = nets.filter_map(|net| self.held.get(&net.trunc())).next()?;
        (held.since[at] <= number).then_some(&held.password)
    }

    /// By socket: the number of the first connection that is not made yet.
    fn marks(&self) -> Vec<u64> {
        let mark = |queue: &Queue<S>| match queue.socket.waiting() {
            Ok(waiting) => queue.accepted + waiting + 1,
            // Unknown: no connection with a password is accepted. It does not happen with an open socket.
            Err(_) => u64::MAX,
        };
        self.queues.iter().map(mark).collect()
    }

    fn set(&self, net: IpNet, password: Option<&Password>) -> Result<(), KeyError> {
        let ours = |queue: &&Queue<S>| queue.local.is_ipv4() == matches!(net, IpNet::V4(_));
        for queue in self.queues.iter().filter(ours) {
            let Err(error) = options::set_md5(queue.socket.as_fd(), net, password) else {
                continue;
            };
            if password.is_some() && !self.held.contains_key(&net) {
                // On those before it.
                drop(self.set(net, None));
            }
            return Err(KeyError::new(net, self.held.len(), error));
        }
        Ok(())
    }
}
