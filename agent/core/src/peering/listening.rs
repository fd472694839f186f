//! What the listener is to let in: its sockets, its ranges, and the keys that are set before anybody is heard.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use bgp::admission::{Admit, ListenRange};
use bgp::settings::Password;
use ipnet::IpNet;

use super::dynamic::of_range;
use super::{Action, Passwords, Peering, Run};
use crate::intent::{Intent, ListenIntent, PeerIntent, PeerTarget};

/// What a listener is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Its sockets; `None`: it has none.
    pub listen: Option<ListenIntent>,
    /// Its ranges.
    pub ranges: Vec<ListenRange>,
}

/// The ranges that the listener has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRanges {
    /// As they were given to it.
    pub ranges: Vec<ListenRange>,
    /// Why it lets nobody in, by prefix: their keys could not be set.
    pub failed: BTreeMap<IpNet, String>,
}

impl Peering {
    /// What to listen for where this is intended, and the passwords of peers that have an address.
    pub fn listening(&mut self, intent: &Intent) -> (Listening, Vec<(IpAddr, Password)>) {
        let listening = Listening {
            listen: intent.router.listen.clone(),
            ranges: ranges(&intent.peers, &mut self.passwords),
        };
        let keys = intent.peers.iter();
        let keys = keys.filter_map(|peer| key(peer, &mut self.passwords));
        (listening, keys.collect())
    }

    /// Has the ranges follow their passwords. Also where a key could not be set: the kernel's table may have a free
    /// place now.
    pub(super) fn follow_ranges(&mut self, out: &mut Vec<Action>) {
        if let Some(held) = &self.held {
            let ranges = ranges(&self.wanted, &mut self.passwords);
            if held.ranges != ranges || !held.failed.is_empty() {
                out.push(Action::SetRanges(ranges));
            }
        }
    }

    /// Adds a range, or goes over to what the intent says of it now, with the peers that came out of it.
    pub(super) fn put_range(
        &mut self,
        now: Instant,
        wanted: &PeerIntent,
        net: IpNet,
        out: &mut Vec<Action>,
    ) {
        let dynamic = self.of_range(&wanted.name);
        let own = dynamic
            .map(|peer| of_range(wanted, peer.name(), peer.intent.target.clone()))
            .collect::<Vec<_>>();
        for own in own {
            self.run(now, own, out);
        }
        if !self.names.contains_key(&wanted.name) {
            let id = self.add(wanted, Run::Range, out);
            out.push(Action::Show(id));
        }
        self.judge_range(wanted, net, out);
    }

    /// Whether each range is open, after keys were set or not.
    pub(super) fn judge_ranges(&mut self, out: &mut Vec<Action>) {
        let wanted = self.wanted.clone();
        for wanted in wanted.iter() {
            if let PeerTarget::Range { net } = wanted.target {
                self.judge_range(wanted, net, out);
            }
        }
    }

    fn judge_range(&mut self, wanted: &PeerIntent, net: IpNet, out: &mut Vec<Action>) {
        let failed = match self.passwords.find(wanted) {
            Ok(_) => {
                let held = self.held.as_ref();
                held.and_then(|held| held.failed.get(&net).cloned())
            }
            Err(reason) => Some(reason),
        };
        let id = self.names.get(&wanted.name);
        let Some(peer) = id.and_then(|id| self.peers.get_mut(id)) else {
            return;
        };
        let mut is_shown = peer.set_intent(wanted.clone());
        match failed {
            Some(reason) => {
                is_shown |= peer.block(reason, "no peer of this range is accepted");
            }
            None => {
                is_shown |= matches!(peer.run, Run::Blocked(_));
                (peer.run, peer.reason) = (Run::Range, None);
            }
        }
        if is_shown {
            out.push(Action::Show(peer.id));
        }
    }
}

/// The listen ranges. One whose password cannot be had lets nobody in: it fails closed, and no wider range opens it.
fn ranges(peers: &[PeerIntent], passwords: &mut Passwords) -> Vec<ListenRange> {
    let peers = peers.iter();
    peers.filter_map(|peer| range(peer, passwords)).collect()
}

fn range(peer: &PeerIntent, passwords: &mut Passwords) -> Option<ListenRange> {
    let PeerTarget::Range { net } = peer.target else {
        return None;
    };
    let admit = match passwords.find(peer) {
        Ok(None) => Admit::Anybody,
        Ok(Some(password)) => Admit::Signed(password),
        Err(_) => Admit::Nobody,
    };
    Some(ListenRange {
        net,
        admit,
        transport: peer.session.transport.clone(),
    })
}

/// The key of a peer that has an address and a password.
fn key(peer: &PeerIntent, passwords: &mut Passwords) -> Option<(IpAddr, Password)> {
    let PeerTarget::Address { address, .. } = peer.target else {
        return None;
    };
    let password = passwords.find(peer).ok()??;
    Some((address, password))
}
