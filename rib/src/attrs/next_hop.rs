//! The distinct next hops of all interned sets, and where each leads.
//!
//! Many routes share few next hops, so resolving is done once per next hop and not per route. A link-local next hop, of
//! IPv6 or IPv4, is resolved once per interface: that of IPv6 means something only on the interface of its session, that of
//! IPv4 may be on two links.
//!
//! Of each next hop it is known which peers bring it, and of each peer which next hops it brings: that bounds how many one
//! may bring, and when all that the peer brought goes at once, so do the ways out that only its next hops lead over, of which
//! the FIB can be told before their prefixes are looked at ([`NextHops::lose`]). They count as lost until a path brings them
//! again, or no route is left that could use them ([`NextHops::forget_lost`]).
//!
//! A next hop that a peer has no path with any more counts for it until nobody has one, or until its next hops are counted again
//! ([`NextHops::count_again`]), which is done now and then for peers to which one was refused.
//!
//! A peer can bring as many next hops as its limit allows. Nothing here costs in proportion to all next hops: what concerns many of
//! them is done some at a time ([`NextHops::walk`]).

mod walk;

use std::net::IpAddr;
use std::sync::Arc;

use bgp::types::NextHop;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use walk::Walks;

use super::NextHopIndex;
use crate::peer::PeerId;
use crate::slab::Slab;

/// Where packets to a next hop go: the answer of the node's own routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// The router on the link: the next hop itself if it is connected.
    pub gateway: IpAddr,
    /// The interface.
    pub ifindex: u32,
    /// The cost of reaching it (RFC 4271 9.1.2.2 e).
    pub metric: u32,
    /// Whether the next hop is on a connected network.
    pub connected: bool,
    /// The gateway is used on this interface although no connected network has it.
    pub onlink: bool,
}

/// Answers where a next hop leads. Given to the RIB by its owner, who knows the kernel's routes.
pub trait NextHopResolver: Send + Sync {
    /// Where packets to `next_hop` go, or `None` if it cannot be reached. `interface` is the session's interface for next
    /// hops that have a link-local address, and `None` for all others.
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution>;
}

/// Nothing can be reached: the state before the owner gave a resolver.
struct Unreachable;

impl NextHopResolver for Unreachable {
    fn resolve(&self, _: &NextHop, _: Option<u32>) -> Option<Resolution> {
        None
    }
}

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
    /// Peers that may have paths with it, ascending. One that has none any more counts until nobody has: that errs on the safe
    /// side, and counting paths would cost something for each.
    bringers: SmallVec<[PeerId; 2]>,
}

impl Place {
    fn unasked() -> Self {
        Self {
            state: State::Unasked,
            bringers: SmallVec::new(),
        }
    }

    /// The way that it leads over, if somebody brings it.
    fn way(&self) -> Option<Way> {
        match &self.state {
            State::Asked(Some(resolution)) if !self.bringers.is_empty() => Some(way(resolution)),
            State::Asked(_) | State::Unasked => None,
        }
    }
}

/// Next hops, with the interface of those that are link-local.
type Brings = HashSet<(u32, Option<u32>), RandomState>;

/// What a peer brings.
#[derive(Default)]
struct Brought {
    next_hops: Brings,
    /// The limit when one more was refused; `None`: none was, or there is room again.
    refused_at: Option<u32>,
}

/// A peer brings as many next hops as it may, and not this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// A way out of the node: a router on the link, and the interface.
type Way = (IpAddr, u32);

/// Ways that are another thing than was told last: what is lost and regained between two tellings is neither.
#[derive(Default)]
struct Untold {
    lost: HashSet<Way, RandomState>,
    regained: HashSet<Way, RandomState>,
}

impl Untold {
    fn is_lost(&mut self, way: Way) {
        if !self.regained.remove(&way) {
            self.lost.insert(way);
        }
    }

    fn is_regained(&mut self, way: Way) {
        if !self.lost.remove(&way) {
            self.regained.insert(way);
        }
    }
}

fn way(resolution: &Resolution) -> Way {
    (resolution.gateway, resolution.ifindex)
}

/// See the module.
pub(crate) struct NextHops {
    slots: Slab<Tracked>,
    index: HashMap<NextHop, u32, RandomState>,
    /// The one that was found last; it may be gone.
    latest: u32,
    brought: HashMap<PeerId, Brought, RandomState>,
    /// How many next hops that somebody brings lead over each way.
    ways: HashMap<Way, u32, RandomState>,
    /// Peers to which a next hop was refused, and that have no room again.
    refusing: HashSet<PeerId, RandomState>,
    /// Those whose next hops are counted again, and what they have been found to bring since that began.
    counting: HashMap<PeerId, Brings, RandomState>,
    /// Peers to which a next hop was refused, and that have room again.
    roomy: Vec<PeerId>,
    resolver: Arc<dyn NextHopResolver>,
    /// Ways that were lost and not regained.
    lost: HashSet<Way, RandomState>,
    /// What was not told yet of ways that were lost or regained.
    untold: Untold,
    walks: Walks,
}

impl Default for NextHops {
    fn default() -> Self {
        Self {
            slots: Slab::default(),
            index: HashMap::default(),
            latest: 0,
            brought: HashMap::default(),
            ways: HashMap::default(),
            refusing: HashSet::default(),
            counting: HashMap::default(),
            roomy: Vec::new(),
            resolver: Arc::new(Unreachable),
            lost: HashSet::default(),
            untold: Untold::default(),
            walks: Walks::default(),
        }
    }
}

/// Next hops whose resolution changed, as a bit per index.
#[derive(Default)]
pub(crate) struct ChangedNextHops(Vec<u64>);

impl ChangedNextHops {
    fn insert(&mut self, index: u32) {
        let word = index as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (index % 64);
    }

    pub(crate) fn contains(&self, index: NextHopIndex) -> bool {
        self.0
            .get(index.0 as usize / 64)
            .is_some_and(|word| word & (1 << (index.0 % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }
}

impl NextHops {
    pub(super) fn get(&self, index: NextHopIndex) -> Option<&NextHop> {
        Some(&self.slots.get(index.0)?.next_hop)
    }

    pub(super) fn retain(&mut self, next_hop: &NextHop) -> NextHopIndex {
        // Sets of one peer, which come together, have one next hop.
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
            if let Some(way) = place.way()
                && leave(&mut self.ways, way)
                && self.is_lost_with_peer(&place, (index.0, interface))
                && self.lost.insert(way)
            {
                self.untold.is_lost(way);
            }
            for peer in place.bringers {
                self.no_longer_brings(peer, (index.0, interface));
            }
        }
    }

    /// Whether a next hop that is in no set any more was lost with a peer, and not looked at since: the tables let go of it first.
    fn is_lost_with_peer(&self, place: &Place, which: (u32, Option<u32>)) -> bool {
        let mut bringers = place.bringers.iter();
        self.is_losing() && bringers.any(|peer| !self.brings(*peer, which))
    }

    /// Whether a peer brings a next hop. One whose paths are gone, and that is still to be looked at, it does not.
    fn brings(&self, peer: PeerId, which: (u32, Option<u32>)) -> bool {
        let brought = self.brought.get(&peer);
        brought.is_some_and(|brought| brought.next_hops.contains(&which))
    }

    /// A next hop that a peer brought is in no set any more.
    fn no_longer_brings(&mut self, peer: PeerId, which: (u32, Option<u32>)) {
        let Some(brought) = self.brought.get_mut(&peer) else {
            return;
        };
        brought.next_hops.remove(&which);
        let count = brought.next_hops.len();
        // With some distance to the limit: whoever comes and goes there would have all its paths looked at each time.
        let is_roomy =
            |limit: &mut u32| count <= (*limit - *limit / 8) as usize && count < *limit as usize;
        if brought.refused_at.take_if(is_roomy).is_some() {
            self.refusing.remove(&peer);
            self.roomy.push(peer);
        }
        if count == 0 {
            self.brought.remove(&peer);
            self.refusing.remove(&peer);
        }
    }

    /// Whether a next hop was refused to some peer that has no room again.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refusing.is_empty()
    }

    /// Counts the next hops of these peers again: returns them, and all their paths are to be looked at before
    /// [`NextHops::has_counted`]. Whether one is refused to them still shows at that.
    pub(crate) fn count_again(&mut self) -> Vec<PeerId> {
        let peers: Vec<PeerId> = self.refusing.drain().collect();
        for peer in &peers {
            if let Some(brought) = self.brought.get_mut(peer) {
                brought.refused_at = None;
            }
        }
        self.counting = peers
            .iter()
            .map(|peer| (*peer, HashSet::default()))
            .collect();
        peers
    }

    /// All paths of those whose next hops are counted again have been looked at: what they have none with does not count any more. For
    /// whoever was refused one, any room is enough: it is not found more often than next hops are counted.
    pub(crate) fn has_counted(&mut self) {
        for (peer, found) in std::mem::take(&mut self.counting) {
            let Some(brought) = self.brought.get(&peer) else {
                continue;
            };
            let others = brought.next_hops.iter().filter(|one| !found.contains(*one));
            let others: Vec<(u32, Option<u32>)> = others.copied().collect();
            for (index, interface) in others {
                self.forget(peer, index, interface);
                self.no_longer_brings(peer, (index, interface));
            }
            if let Some(brought) = self.brought.get_mut(&peer) {
                let count = brought.next_hops.len();
                let has_room = |limit: &mut u32| count < *limit as usize;
                if brought.refused_at.take_if(has_room).is_some() {
                    self.refusing.remove(&peer);
                    self.roomy.push(peer);
                }
            }
        }
    }

    /// A peer brings a next hop no more. The way that is lost with it, if one is.
    fn forget(&mut self, peer: PeerId, index: u32, interface: Option<u32>) -> Option<Way> {
        let slot = self.slots.get_mut(index)?;
        let place = match interface {
            None => &mut slot.everywhere,
            Some(interface) => place_on(&mut slot.scoped, interface),
        };
        let way = place.way();
        if let Ok(at) = place.bringers.binary_search(&peer) {
            place.bringers.remove(at);
        }
        let way = way.filter(|_| place.bringers.is_empty())?;
        leave(&mut self.ways, way).then_some(way)
    }

    /// Peers to which a next hop was refused and that may bring some now. Asking clears them.
    pub(crate) fn take_roomy(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.roomy)
    }

    /// Whether there are such peers.
    pub(crate) fn has_roomy(&self) -> bool {
        !self.roomy.is_empty()
    }

    /// How many distinct next hops a peer brings.
    pub(crate) fn count_of(&self, peer: PeerId) -> u32 {
        let brought = self.brought.get(&peer);
        brought.map_or(0, |brought| brought.next_hops.len() as u32)
    }

    /// Where a next hop of a route that `peer` sent leads, which may bring `limit` of them. To be asked before
    /// [`NextHops::resolution`] is.
    ///
    /// # Errors
    /// The peer brings as many already.
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
        let known = place.bringers.binary_search(&peer);
        // What a lost peer brings again before it was looked at is in its place.
        let is_back = known.is_ok() && is_losing && {
            let brought = self.brought.get(&peer);
            !brought.is_some_and(|brought| brought.next_hops.contains(&(index.0, interface)))
        };
        if known.is_err() || is_back {
            let brought = self.brought.entry(peer).or_default();
            if brought.next_hops.len() >= limit as usize {
                brought.refused_at = Some(limit);
                self.refusing.insert(peer);
                return Err(TooMany);
            }
            brought.next_hops.insert((index.0, interface));
        }
        if let Err(at) = known {
            place.bringers.insert(at, peer);
            if place.state == State::Unasked {
                let resolution = self.resolver.resolve(&slot.next_hop, interface);
                place.state = State::Asked(resolution);
            }
            if place.bringers.len() == 1
                && let Some(way) = place.way()
            {
                *self.ways.entry(way).or_default() += 1;
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
            self.regain(way(&resolution));
        }
        Ok(resolution)
    }

    fn regain(&mut self, way: Way) {
        if self.lost.remove(&way) {
            self.untold.is_regained(way);
        }
    }

    /// Whether nothing is known of any next hop.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn is_empty(&self) -> bool {
        let peers = self.brought.is_empty() && self.refusing.is_empty() && self.counting.is_empty();
        self.slots.len() == 0 && peers && self.ways.is_empty() && !self.has_walk()
    }

    /// Ways that were lost and that paths lead over again. Asking clears them.
    pub(crate) fn take_regained(&mut self) -> Vec<(IpAddr, u32)> {
        self.untold.regained.drain().collect()
    }

    /// No route is left that could use a lost way: whatever uses one from now on is new.
    pub(crate) fn forget_lost(&mut self) {
        for way in self.lost.drain() {
            self.untold.is_regained(way);
        }
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

/// A next hop less leads over a way. Whether it was the last.
fn leave(ways: &mut HashMap<Way, u32, RandomState>, way: Way) -> bool {
    let Some(count) = ways.get_mut(&way) else {
        return false;
    };
    *count -= 1;
    let was_last = *count == 0;
    if was_last {
        ways.remove(&way);
    }
    was_last
}

#[cfg(test)]
mod tests;
