//! Expected peers at the listening sockets: configured peers by address, listen ranges by prefix; and the decision
//! whether a connection is accepted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};

use super::admission::{Accepted, Source, check_signature, source_of};
use super::handle::Control;
use super::keys::{KeyError, Keys};
use super::pace::Pace;
use super::syn::Syn;
use super::{Password, options};
use crate::admission::{Admit, ListenRange};
use crate::refusal::Refusal;
use crate::settings::Transport;

#[derive(Debug)]
pub(super) struct Expected {
    /// Also the sockets: connections are accepted under the lock, so that their numbers and the keys' agree.
    pub(super) keys: Keys<TcpListener>,
    pub(super) peers: HashMap<Source, ExpectedPeer>,
    /// By length of prefix, the longest first, as the kernel's keys.
    pub(super) ranges: Vec<OpenRange>,
    pub(super) pace: Pace,
    /// Keys that peers to be made are going to hold themselves.
    pub(super) early: Vec<IpNet>,
}

#[derive(Debug)]
pub(super) struct ExpectedPeer {
    pub(super) control: Weak<Control>,
    pub(super) password: Option<Password>,
    pub(super) transport: Transport,
}

#[derive(Debug)]
pub(super) struct OpenRange {
    pub(super) range: ListenRange,
    /// Why the range accepts no connection although it is configured.
    pub(super) failed: Option<KeyError>,
}

impl Admit {
    fn password(&self) -> Option<&Password> {
        match self {
            Self::Signed(password) => Some(password),
            Self::Anybody | Self::Nobody => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Holding {
    pub(super) source: Source,
    pub(super) password: Option<Password>,
    pub(super) transport: Transport,
    pub(super) control: Weak<Control>,
}

impl Expected {
    /// Gives a peer its place, or another one: the key first.
    ///
    /// # Errors
    /// Its key cannot be set, and it has no place.
    pub(super) fn change(
        &mut self,
        before: Option<&Holding>,
        holding: &Holding,
    ) -> Result<(), KeyError> {
        if let Some(before) = before {
            self.remove(before);
        }
        let net = options::host(holding.source.0);
        let old = before.filter(|before| before.password.is_some());
        let old = old.map(|before| options::host(before.source.0));
        match (old, &holding.password) {
            (Some(old), Some(password)) if old == net => self.keys.change(net, password)?,
            (old, new) => {
                if let Some(old) = old {
                    self.keys.release(old);
                }
                if let Some(password) = new {
                    self.keys.hold(net, password)?;
                }
            }
        }
        self.peers.insert(
            holding.source,
            ExpectedPeer {
                control: holding.control.clone(),
                password: holding.password.clone(),
                transport: holding.transport.clone(),
            },
        );
        Ok(())
    }

    /// Takes a peer's place away.
    pub(super) fn release(&mut self, holding: &Holding) {
        self.remove(holding);
        if holding.password.is_some() {
            self.keys.release(options::host(holding.source.0));
        }
    }

    /// Unless another peer has taken the address over.
    fn remove(&mut self, holding: &Holding) {
        let found = self.peers.get(&holding.source);
        if found.is_some_and(|peer| peer.control.ptr_eq(&holding.control)) {
            self.peers.remove(&holding.source);
        }
    }

    /// The peer of the connection, if it is accepted.
    pub(super) fn judge(&mut self, accepted: Incoming) -> Result<Verdict, (TcpStream, Refusal)> {
        let remote = accepted.remote;
        let peer = self.peers.get(&source_of(remote)).and_then(|peer| {
            let control = peer.control.upgrade()?;
            Some((control, peer.password.clone(), peer.transport.clone()))
        });
        let range = self
            .ranges
            .iter()
            .find(|open| open.range.net.contains(&remote.ip()));
        let (password, transport) = match (&peer, range) {
            (Some((_, password, transport)), _) => (password.clone(), transport.clone()),
            (None, None) => return Err((accepted.stream, Refusal::Stranger)),
            (None, Some(open)) if open.failed.is_some() || open.range.admit == Admit::Nobody => {
                return Err((accepted.stream, Refusal::Blocked));
            }
            (None, Some(open)) => {
                let password = open.range.admit.password().cloned();
                (password, open.range.transport.clone())
            }
        };
        let net = range.map(|open| open.range.net);
        let waiting = match self.pace.enter(source_of(remote), peer.is_none()) {
            Ok(waiting) => waiting,
            Err(why) => return Err((accepted.stream, why)),
        };
        let accepted = Accepted {
            password: self
                .keys
                .checked(remote.ip(), accepted.at, accepted.number)
                .cloned(),
            stream: accepted.stream,
            remote,
            local: accepted.local,
            syn: accepted.syn,
            waiting,
        };
        if let Err(why) =
            check_signature(&accepted, password.as_ref()).and_then(|()| transport.check(&accepted))
        {
            return Err((accepted.stream, why));
        }
        match (peer, net) {
            (Some((control, ..)), _) => Ok(Verdict::Peer(control, accepted)),
            (None, Some(net)) => Ok(Verdict::Newcomer(accepted, net)),
            (None, None) => Err((accepted.stream, Refusal::Stranger)),
        }
    }
}

/// What the kernel says of a connection.
pub(super) struct Incoming {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) syn: Option<Syn>,
    /// Which socket, and the connection's number there.
    pub(super) at: usize,
    pub(super) number: u64,
}

pub(super) enum Verdict {
    Peer(Arc<Control>, Accepted),
    Newcomer(Accepted, IpNet),
}

/// Replaces the ranges. Keys that are no longer needed are removed first, to free the kernel's table for new ones.
pub(super) fn open_ranges<S: super::keys::Socket>(
    keys: &mut Keys<S>,
    before: &[OpenRange],
    ranges: Vec<ListenRange>,
) -> Vec<OpenRange> {
    let held = before.iter().filter(|open| open.failed.is_none());
    let held: Vec<IpNet> = held
        .filter(|open| open.range.admit.password().is_some())
        .map(|open| open.range.net)
        .collect();
    let needed = |net: &IpNet| {
        ranges
            .iter()
            .any(|new| new.net == *net && new.admit.password().is_some())
    };
    for net in held.iter().filter(|net| !needed(net)) {
        keys.release(*net);
    }
    let mut open: Vec<OpenRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let result = match range.admit.password() {
            None => Ok(()),
            Some(password) if held.contains(&range.net) => keys.change(range.net, password),
            Some(password) => keys.hold(range.net, password),
        };
        open.push(OpenRange {
            range,
            failed: result.err(),
        });
    }
    open.sort_by_key(|open| std::cmp::Reverse(open.range.net.prefix_len()));
    open
}
