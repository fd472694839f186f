//! The distinct next hops of all interned sets, and where each leads.
//!
//! Many routes share few next hops, so resolving is done once per next hop and not per route. A link-local next hop, of
//! IPv6 or IPv4, is resolved once per interface: that of IPv6 means something only on the interface of its session, that of
//! IPv4 may be on two links.
//!
//! Of each next hop it is known which peer brings it, if it is one alone. When all that the peer brought goes at once, so do
//! the ways out that only its next hops lead over, and the FIB can be told of those few before a single prefix is looked at
//! ([`NextHops::lose`]). They count as lost until a path brings them again, or no route is left that could use them
//! ([`NextHops::forget_lost`]).

use std::net::IpAddr;
use std::sync::Arc;

use bgp::types::NextHop;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

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
    state: State,
    bringer: Bringer,
}

/// A link-local next hop on one interface.
struct Scoped {
    resolution: Option<Resolution>,
    bringer: Bringer,
}

/// Which peers may have paths with a next hop. One of several that has none any more still counts: that errs on the safe
/// side, and counting paths would cost something for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bringer {
    Nobody,
    One(PeerId),
    Several,
}

impl Bringer {
    fn add(&mut self, peer: PeerId) {
        *self = match *self {
            Self::Nobody => Self::One(peer),
            Self::One(before) if before == peer => return,
            Self::One(_) | Self::Several => Self::Several,
        };
    }
}

/// A way out of the node: a router on the link, and the interface.
type Way = (IpAddr, u32);

fn way(resolution: &Resolution) -> Way {
    (resolution.gateway, resolution.ifindex)
}

/// See the module.
pub(crate) struct NextHops {
    slots: Slab<Tracked>,
    index: HashMap<NextHop, u32, RandomState>,
    /// The one that was found last; it may be gone.
    latest: u32,
    /// Link-local ones, by interface.
    scoped: HashMap<(u32, u32), Scoped, RandomState>,
    resolver: Arc<dyn NextHopResolver>,
    /// Ways that were lost and not regained.
    lost: HashSet<Way, RandomState>,
    /// Of those, what was regained and not told yet.
    regained: Vec<Way>,
}

impl Default for NextHops {
    fn default() -> Self {
        Self {
            slots: Slab::default(),
            index: HashMap::default(),
            latest: 0,
            scoped: HashMap::default(),
            resolver: Arc::new(Unreachable),
            lost: HashSet::default(),
            regained: Vec::new(),
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
            state: State::Unasked,
            bringer: Bringer::Nobody,
        });
        self.index.insert(*next_hop, index);
        NextHopIndex(index)
    }

    pub(super) fn release(&mut self, index: NextHopIndex) {
        let Some(slot) = self.slots.get_mut(index.0) else {
            return;
        };
        slot.users -= 1;
        if slot.users == 0 {
            let next_hop = slot.next_hop;
            self.slots.remove(index.0);
            self.index.remove(&next_hop);
            if next_hop.is_of_a_link() {
                self.scoped.retain(|(of, _), _| *of != index.0);
            }
        }
    }

    /// Where a next hop of a route that `peer` sent leads. To be asked before [`NextHops::resolution`] is.
    pub(crate) fn ask(
        &mut self,
        index: NextHopIndex,
        peer: PeerId,
        interface: Option<u32>,
    ) -> Option<Resolution> {
        let slot = self.slots.get_mut(index.0)?;
        let (next_hop, resolver) = (&slot.next_hop, &self.resolver);
        let resolution = match (next_hop.is_of_a_link(), interface) {
            (true, Some(interface)) => {
                let scoped = self.scoped.entry((index.0, interface));
                let scoped = scoped.or_insert_with(|| Scoped {
                    resolution: resolver.resolve(next_hop, Some(interface)),
                    bringer: Bringer::Nobody,
                });
                scoped.bringer.add(peer);
                scoped.resolution
            }
            _ => {
                slot.bringer.add(peer);
                match slot.state {
                    State::Asked(resolution) => resolution,
                    State::Unasked => {
                        let resolution = resolver.resolve(next_hop, None);
                        slot.state = State::Asked(resolution);
                        resolution
                    }
                }
            }
        };
        if !self.lost.is_empty()
            && let Some(resolution) = resolution
        {
            self.regain(way(&resolution));
        }
        resolution
    }

    fn regain(&mut self, way: Way) {
        if self.lost.remove(&way) {
            self.regained.push(way);
        }
    }

    /// Every next hop that a peer may have paths with, once for each interface: where it leads, and who brings it.
    fn brought(&mut self) -> impl Iterator<Item = (Option<Resolution>, &mut Bringer)> {
        let slots = self.slots.iter_mut().filter_map(|(_, slot)| {
            let State::Asked(resolution) = slot.state else {
                return None;
            };
            Some((resolution, &mut slot.bringer))
        });
        let scoped = self.scoped.values_mut();
        slots.chain(scoped.map(|scoped| (scoped.resolution, &mut scoped.bringer)))
    }

    /// All paths of a peer go. Returns the ways that are lost with them: those of next hops that this peer alone brought,
    /// but for ways that another peer's next hop leads over as well. Costs a look at every next hop.
    pub(crate) fn lose(&mut self, peer: PeerId) -> Vec<(IpAddr, u32)> {
        let mut lost: HashSet<Way, RandomState> = HashSet::default();
        for (resolution, bringer) in self.brought() {
            if *bringer == Bringer::One(peer) {
                *bringer = Bringer::Nobody;
                lost.extend(resolution.as_ref().map(way));
            }
        }
        if lost.is_empty() {
            return Vec::new();
        }
        for (resolution, bringer) in self.brought() {
            if *bringer != Bringer::Nobody
                && let Some(resolution) = resolution
            {
                lost.remove(&way(&resolution));
            }
        }
        // Told as lost already, and not regained since.
        lost.retain(|way| self.lost.insert(*way));
        lost.into_iter().collect()
    }

    /// Ways that were lost and that paths lead over again. Asking clears them.
    pub(crate) fn take_regained(&mut self) -> Vec<(IpAddr, u32)> {
        std::mem::take(&mut self.regained)
    }

    /// No route is left that could use a lost way: whatever uses one from now on is new.
    pub(crate) fn forget_lost(&mut self) {
        self.regained.extend(self.lost.drain());
    }

    /// Where a next hop leads, for routes of a session on `interface`.
    pub(crate) fn resolution(
        &self,
        index: NextHopIndex,
        interface: Option<u32>,
    ) -> Option<Resolution> {
        let slot = self.slots.get(index.0)?;
        match (slot.next_hop.is_of_a_link(), interface) {
            (true, Some(interface)) => self.scoped.get(&(index.0, interface))?.resolution,
            _ => match slot.state {
                State::Unasked => None,
                State::Asked(resolution) => resolution,
            },
        }
    }

    /// Asks a new resolver about every next hop in use and tells which answers changed.
    pub(crate) fn set_resolver(&mut self, resolver: Arc<dyn NextHopResolver>) -> ChangedNextHops {
        self.resolver = resolver;
        let mut changed = ChangedNextHops::default();
        for (index, slot) in self.slots.iter_mut() {
            if let State::Asked(before) = slot.state {
                let after = self.resolver.resolve(&slot.next_hop, None);
                if before != after {
                    slot.state = State::Asked(after);
                    changed.insert(index);
                }
            }
        }
        for ((index, interface), scoped) in &mut self.scoped {
            let Some(slot) = self.slots.get(*index) else {
                continue;
            };
            let after = self.resolver.resolve(&slot.next_hop, Some(*interface));
            if scoped.resolution != after {
                scoped.resolution = after;
                changed.insert(*index);
            }
        }
        // A next hop that somebody brings may lead over a lost way now.
        if !self.lost.is_empty() {
            let brought = self.brought().filter(|b| *b.1 != Bringer::Nobody);
            let ways: Vec<Way> = brought.filter_map(|b| Some(way(&b.0?))).collect();
            ways.into_iter().for_each(|way| self.regain(way));
        }
        changed
    }
}
