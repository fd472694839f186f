//! Peers out of listen ranges: each address that connects becomes one, as far as its range has places.
//!
//! A place is held by who is connected, and for a while by who was: longer by one that had a session, and as long as
//! graceful restart keeps its routes (RFC 4724, RFC 9494), which would go with it, unless all places are taken and
//! another peer has established a session: a connection alone removes no routes. A peer is known by its address and, if
//! that is link-local, its interface.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::fsm::{Cease, State};
use bgp::refusal::Refusal;
use ipnet::IpNet;
use rib::PeerId;
use routelet_fib::KernelView;
use tracing::{info, warn};

use super::{Action, Peer, Peering, Run, SessionFacts, settings};
use crate::intent::{PeerIntent, PeerTarget, RequestedBy};

/// How long a dynamic peer that had a session keeps its place without one: longer than graceful restart usually takes.
const KEPT: Duration = Duration::from_secs(180);

/// How long one that never had a session keeps its place: a handshake takes milliseconds.
const TRIED: Duration = Duration::from_secs(10);

/// So many peers that never had a session may try to establish one while their range is full, but for peers that are kept
/// for their routes.
pub(super) const TRYING: usize = 8;

impl Peering {
    /// A connection out of a listen range: makes a peer for it, or gives it to the one that there is.
    pub(super) fn candidate(
        &mut self,
        now: Instant,
        range: IpNet,
        remote: SocketAddr,
        out: &mut Vec<Action>,
    ) {
        let wanted = self.wanted.clone();
        let is_it =
            |peer: &&PeerIntent| matches!(peer.target, PeerTarget::Range { net } if net == range);
        let range = wanted.iter().find(is_it);
        // Where it has no name the range has gone meanwhile, or the interface is not known yet: the peer comes again.
        let (Some(range), Some(target)) = (range, target(remote, &self.view)) else {
            return;
        };
        if let Some(configured) = wanted.iter().find(|peer| peer.target == target) {
            // Not the range's: it is blocked, or was only now made.
            let found = self.named(&configured.name);
            let running = found.filter(|peer| matches!(peer.run, Run::Running(_)));
            out.push(match running {
                Some(peer) => Action::Accept(peer.id),
                None => Action::Refuse(Refusal::Blocked),
            });
            return;
        }
        let name = format!("{}/{target}", range.name);
        let id = match self.names.get(&name) {
            Some(id) => *id,
            None => {
                let own = of_range(range, &name, target);
                if let Err(reason) = settings(&own, &self.view, &mut self.passwords) {
                    warn!(peer = %name, %reason, "dynamic peer cannot be started");
                    out.push(Action::Refuse(Refusal::Blocked));
                    return;
                }
                if !self.may_try(now, range) {
                    out.push(Action::Refuse(Refusal::RangeFull));
                    return;
                }
                self.run(now, own, out)
            }
        };
        match self.peers.get(&id) {
            Some(peer) if matches!(peer.run, Run::Running(_)) => out.push(Action::Accept(id)),
            // It cannot be started: whoever connects must not fill the table with such.
            _ => {
                out.push(Action::Refuse(Refusal::Blocked));
                self.remove(id, Cease::Deconfigured, out);
            }
        }
    }

    /// Whether another peer of a range may try to establish a session: there is a place for it, or peers that have theirs
    /// for their routes alone could make room, more than one where `maxPeers` was lowered.
    fn may_try(&self, now: Instant, range: &PeerIntent) -> bool {
        let Some(others) = (range.max_peers as usize).checked_sub(1) else {
            return false;
        };
        let too_many = self.places(now, &range.name).saturating_sub(others);
        if too_many == 0 {
            return true;
        }
        let trying = self.of_range(&range.name).filter(|peer| {
            let facts = peer.facts();
            facts.is_some_and(|facts| facts.sessions == 0 && has_place(facts, false, now))
        });
        too_many <= self.longest_gone(now, &range.name).len() && trying.count() < TRYING
    }

    /// A dynamic peer has its first session. Where its range has too many peers now, those that have their places for
    /// their routes alone make room; where they cannot, since one of them has come back, it goes itself.
    pub(super) fn claim_place(&mut self, now: Instant, id: PeerId, out: &mut Vec<Action>) {
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let Some(range) = peer.intent.requested_by.range().map(str::to_owned) else {
            return;
        };
        let most = peer.intent.max_peers as usize;
        let has_had_one = |peer: &&Peer| peer.facts().is_some_and(|facts| facts.sessions > 0);
        let peers = self.of_range(&range).filter(has_had_one);
        let placed = peers.filter(|peer| has_a_place(peer, now)).count();
        let too_many = placed.saturating_sub(most);
        let gone = self.longest_gone(now, &range);
        match gone.get(..too_many) {
            Some(gone) => {
                for (id, name) in gone {
                    info!(peer = %name, "range is full: a disconnected peer is replaced by a new one, and its routes are \
                        removed");
                    self.remove(*id, Cease::Deconfigured, out);
                }
            }
            // None loses its routes in vain.
            None => {
                info!(peer = %peer.name(), "range is full: the session of a new peer is closed");
                self.remove(id, Cease::OutOfResources, out);
            }
        }
    }

    /// The peers of a range that have their places for their routes alone, those that have been gone for longest first:
    /// it is the peer that says for how long these are kept, up to more than an hour. One that is about to come back is
    /// none of them: its connection has changed the state of its session, and since when it has that.
    fn longest_gone(&self, now: Instant, range: &str) -> Vec<(PeerId, String)> {
        let gone = self.of_range(range).filter_map(|peer| {
            let facts = peer.facts()?;
            let has_routes_alone = peer.keeps_routes && !has_place(facts, false, now);
            has_routes_alone.then_some((facts.since, peer))
        });
        let mut gone: Vec<(Instant, &Peer)> = gone.collect();
        gone.sort_by_key(|(since, _)| *since);
        let named = gone.into_iter().map(|(_, peer)| peer);
        named
            .map(|peer| (peer.id, peer.name().to_string()))
            .collect()
    }

    /// How many places of a range are taken.
    fn places(&self, now: Instant, range: &str) -> usize {
        let peers = self.of_range(range);
        peers.filter(|peer| has_a_place(peer, now)).count()
    }

    /// The peers that came out of a range.
    pub(super) fn of_range(&self, range: &str) -> impl Iterator<Item = &Peer> {
        let peers = self.peers.values();
        peers.filter(move |peer| peer.intent.requested_by.range() == Some(range))
    }

    /// Asks about dynamic peers that have no place otherwise. The RIB may be busy, and there can be thousands of them,
    /// so it is asked once for all.
    pub(super) fn ask_who_keeps_routes(&mut self, now: Instant, out: &mut Vec<Action>) {
        let mut asked = Vec::new();
        for peer in self.peers.values_mut().filter(|peer| peer.is_dynamic()) {
            let Some(facts) = peer.facts() else { continue };
            if !has_place(facts, false, now) {
                asked.push(peer.id);
            } else if std::mem::take(&mut peer.keeps_routes) {
                out.push(Action::Show(peer.id));
            }
        }
        if !asked.is_empty() {
            out.push(Action::AskKeptRoutes(asked));
        }
    }

    /// Forgets dynamic peers that have no place, not even for their routes. Between the question and the answer a peer
    /// may have come back.
    pub(super) fn forget_who_keeps_none(
        &mut self,
        now: Instant,
        kept: &BTreeMap<PeerId, bool>,
        out: &mut Vec<Action>,
    ) {
        for (id, keeps_routes) in kept {
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            let has_place = peer
                .facts()
                .is_none_or(|facts| has_place(facts, false, now));
            if !has_place && !keeps_routes {
                info!(peer = %peer.name(), "dynamic peer removed: it has been disconnected for too long");
                self.remove(*id, Cease::Deconfigured, out);
                continue;
            }
            let keeps_routes = !has_place && *keeps_routes;
            if std::mem::replace(&mut peer.keeps_routes, keeps_routes) != keeps_routes {
                out.push(Action::Show(*id));
            }
        }
    }
}

/// Whether a dynamic peer is connected, also where it waits for BFD, was not long ago, has routes that are kept for it, or is held Idle: neither
/// must be forgotten with it. It counts for its range then.
pub fn has_place(facts: &SessionFacts, keeps_routes: bool, now: Instant) -> bool {
    let kept = if facts.sessions > 0 { KEPT } else { TRIED };
    facts.state == State::Established
        || facts.is_held
        || facts.awaits_bfd
        || keeps_routes
        || now.saturating_duration_since(facts.since) <= kept
}

/// Whether a dynamic peer has a place.
fn has_a_place(peer: &Peer, now: Instant) -> bool {
    let facts = peer.facts();
    facts.is_some_and(|facts| has_place(facts, peer.keeps_routes, now))
}

/// The intent of a peer out of a range: that of the range, under its own name and address, never dialled.
pub(super) fn of_range(range: &PeerIntent, name: &str, target: PeerTarget) -> PeerIntent {
    let mut own = range.clone();
    own.name = name.to_owned();
    own.requested_by = RequestedBy::Range(range.name.as_str().into());
    own.target = target;
    own.session.protocol.passive = true;
    own
}

/// Where somebody who connects is. `None` if the interface of a link-local address is not known.
fn target(remote: SocketAddr, view: &KernelView) -> Option<PeerTarget> {
    let address = remote.ip().to_canonical();
    let interface = match (remote, address) {
        (SocketAddr::V6(remote), IpAddr::V6(address)) if address.is_unicast_link_local() => {
            Some(view.link(remote.scope_id())?.name.clone())
        }
        _ => None,
    };
    Some(PeerTarget::Address { address, interface })
}
