//! The distinct next hops of all interned sets, and where each leads.
//!
//! Many routes share few next hops, so resolving is done once per next hop and not per route. A link-local next hop, of
//! IPv6 or IPv4, is resolved once per interface: that of IPv6 means something only on the interface of its session, that of
//! IPv4 may be on two links.
//!
//! Each next hop has the peers that use it, and each peer its next hops. That limits the number per peer, and when a
//! peer is lost, the gateways that only its next hops use are known at once and can be reported to the FIB before any
//! prefix is processed ([`NextHops::lose`]). They count as lost until a path uses them again, or until no route is left
//! that could use them ([`NextHops::forget_lost`]).
//!
//! A next hop without paths of a peer still counts for the peer until no peer has one, or until its next hops are
//! counted again ([`NextHops::count_again`]), which is done from time to time for peers over their limit.
//!
//! A peer can have as many next hops as its limit allows. No call costs in proportion to all next hops: work on many of
//! them is done in steps ([`NextHops::walk`]).

mod gateways;
mod per_peer;
mod resolver;
mod walk;

pub(crate) use per_peer::TooMany;
pub use resolver::{NextHopResolver, Resolution};
pub(crate) use walk::ChangedNextHops;

use std::sync::Arc;

use bgp::types::NextHop;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use self::gateways::{Gateway, Unreported, gateway, leave};
use self::per_peer::{NextHopSet, PeerNextHops};
use self::resolver::Unreachable;
use self::walk::Walks;
use super::NextHopIndex;
use crate::peer::PeerId;
use crate::slab::Slab;

/// What is known of a next hop.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// No route received from a peer needed it so far (it may be one that we only advertise).
    Unasked,
    Asked(Option<Resolution>),
}

struct Tracked {
    next_hop: NextHop,
    /// Interned sets with it.
    users: u32,
    everywhere: Place,
    /// Of a link-local one, by interface, of which a node has few.
    scoped: Vec<(u32, Place)>,
}

/// A next hop, or one that is link-local on one interface.
struct Place {
    state: State,
    /// Peers that may have paths with it, ascending. A peer without paths stays until no peer has one: that is safe,
    /// and counting paths would cost something for each.
    peers: SmallVec<[PeerId; 2]>,
}

impl Place {
    fn unasked() -> Self {
        Self {
            state: State::Unasked,
            peers: SmallVec::new(),
        }
    }

    /// The gateway that it resolves to, if a peer has it.
    fn gateway(&self) -> Option<Gateway> {
        match &self.state {
            State::Asked(Some(resolution)) if !self.peers.is_empty() => Some(gateway(resolution)),
            State::Asked(_) | State::Unasked => None,
        }
    }
}

/// See the module.
pub(crate) struct NextHops {
    slots: Slab<Tracked>,
    index: HashMap<NextHop, u32, RandomState>,
    /// The one that was found last; it may be gone.
    latest: u32,
    by_peer: HashMap<PeerId, PeerNextHops, RandomState>,
    /// How many next hops of peers use each gateway.
    gateways: HashMap<Gateway, u32, RandomState>,
    /// Peers over their limit of next hops.
    refusing: HashSet<PeerId, RandomState>,
    /// Peers whose next hops are being counted again, with those found so far.
    counting: HashMap<PeerId, NextHopSet, RandomState>,
    /// Peers that were over their limit of next hops, and are below it again.
    roomy: Vec<PeerId>,
    resolver: Arc<dyn NextHopResolver>,
    /// Gateways that were lost and not regained.
    lost: HashSet<Gateway, RandomState>,
    /// Gateways lost or regained that are not reported yet.
    unreported: Unreported,
    walks: Walks,
}

impl Default for NextHops {
    fn default() -> Self {
        Self {
            slots: Slab::default(),
            index: HashMap::default(),
            latest: 0,
            by_peer: HashMap::default(),
            gateways: HashMap::default(),
            refusing: HashSet::default(),
            counting: HashMap::default(),
            roomy: Vec::new(),
            resolver: Arc::new(Unreachable),
            lost: HashSet::default(),
            unreported: Unreported::default(),
            walks: Walks::default(),
        }
    }
}

impl NextHops {
    pub(super) fn get(&self, index: NextHopIndex) -> Option<&NextHop> {
        Some(&self.slots.get(index.0)?.next_hop)
    }

    pub(super) fn retain(&mut self, next_hop: &NextHop) -> NextHopIndex {
        // Consecutive sets of one peer usually have the same next hop.
        if let Some(slot) = self.slots.get_mut(self.latest)
            && slot.next_hop == *next_hop
        {
            slot.users += 1;
            return NextHopIndex(self.latest);
        }
        if let Some(index) = self.index.get(next_hop) {
            self.latest = *index;
            if let Some(slot) = self.slots.get_mut(*index) {
                slot.users += 1;
            }
            return NextHopIndex(*index);
        }
        let index = self.slots.insert(Tracked {
            next_hop: *next_hop,
            users: 1,
            everywhere: Place::unasked(),
            scoped: Vec::new(),
        });
        self.index.insert(*next_hop, index);
        NextHopIndex(index)
    }

    pub(super) fn release(&mut self, index: NextHopIndex) {
        let Some(slot) = self.slots.get_mut(index.0) else {
            return;
        };
        slot.users -= 1;
        if slot.users > 0 {
            return;
        }
        let Some(slot) = self.slots.remove(index.0) else {
            return;
        };
        self.index.remove(&slot.next_hop);
        let scoped = slot.scoped.into_iter();
        let scoped = scoped.map(|(interface, place)| (Some(interface), place));
        for (interface, place) in std::iter::once((None, slot.everywhere)).chain(scoped) {
            if let Some(gateway) = place.gateway()
                && leave(&mut self.gateways, gateway)
                && self.is_lost_with_peer(&place, (index.0, interface))
                && self.lost.insert(gateway)
            {
                self.unreported.is_lost(gateway);
            }
            for peer in place.peers {
                self.no_longer_brings(peer, (index.0, interface));
            }
        }
    }

    /// Resolves a next hop of a route of `peer`, which may have `limit` of them. To be called before
    /// [`NextHops::resolution`].
    ///
    /// # Errors
    /// The peer has reached its limit.
    pub(crate) fn ask(
        &mut self,
        index: NextHopIndex,
        peer: PeerId,
        interface: Option<u32>,
        limit: u32,
    ) -> Result<Option<Resolution>, TooMany> {
        let is_losing = self.is_losing();
        let Some(slot) = self.slots.get_mut(index.0) else {
            return Ok(None);
        };
        let interface = interface.filter(|_| slot.next_hop.is_of_a_link());
        let place = match interface {
            None => &mut slot.everywhere,
            Some(interface) => place_on(&mut slot.scoped, interface),
        };
        let known = place.peers.binary_search(&peer);
        // A next hop that a lost peer sends again before it was processed stays.
        let is_back = known.is_ok() && is_losing && {
            let by_peer = self.by_peer.get(&peer);
            !by_peer.is_some_and(|by_peer| by_peer.next_hops.contains(&(index.0, interface)))
        };
        if known.is_err() || is_back {
            let by_peer = self.by_peer.entry(peer).or_default();
            if by_peer.next_hops.len() >= limit as usize {
                by_peer.refused_at = Some(limit);
                self.refusing.insert(peer);
                return Err(TooMany);
            }
            by_peer.next_hops.insert((index.0, interface));
        }
        if let Err(at) = known {
            place.peers.insert(at, peer);
            if place.state == State::Unasked {
                let resolution = self.resolver.resolve(&slot.next_hop, interface);
                place.state = State::Asked(resolution);
            }
            if place.peers.len() == 1
                && let Some(gateway) = place.gateway()
            {
                *self.gateways.entry(gateway).or_default() += 1;
            }
        }
        if !self.counting.is_empty()
            && let Some(found) = self.counting.get_mut(&peer)
        {
            found.insert((index.0, interface));
        }
        let State::Asked(resolution) = place.state else {
            return Ok(None);
        };
        if !self.lost.is_empty()
            && let Some(resolution) = resolution
        {
            self.regain(gateway(&resolution));
        }
        Ok(resolution)
    }

    /// Whether nothing is known of any next hop.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn is_empty(&self) -> bool {
        let peers = self.by_peer.is_empty() && self.refusing.is_empty() && self.counting.is_empty();
        self.slots.len() == 0 && peers && self.gateways.is_empty() && !self.has_walk()
    }

    /// Where a next hop leads, for routes of a session on `interface`.
    pub(crate) fn resolution(
        &self,
        index: NextHopIndex,
        interface: Option<u32>,
    ) -> Option<Resolution> {
        let slot = self.slots.get(index.0)?;
        let place = match interface.filter(|_| slot.next_hop.is_of_a_link()) {
            None => &slot.everywhere,
            Some(interface) => {
                let mut scoped = slot.scoped.iter();
                &scoped.find(|(on, _)| *on == interface)?.1
            }
        };
        match place.state {
            State::Unasked => None,
            State::Asked(resolution) => resolution,
        }
    }
}

/// What is known of a link-local next hop on an interface.
fn place_on(scoped: &mut Vec<(u32, Place)>, interface: u32) -> &mut Place {
    let at = match scoped.iter().position(|(on, _)| *on == interface) {
        Some(at) => at,
        None => {
            scoped.push((interface, Place::unasked()));
            scoped.len() - 1
        }
    };
    &mut scoped[at].1
}

#[cfg(test)]
mod tests;
