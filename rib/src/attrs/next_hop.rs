//! The distinct next hops of all interned sets, and where each leads.
//!
//! Many routes share few next hops, so resolving is done once per next hop and not per route. A link-local next hop
//! means something only on the interface of its session: it is resolved once per interface.

use std::net::IpAddr;
use std::sync::Arc;

use bgp::types::NextHop;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::NextHopIndex;
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
}

/// See the module.
pub(crate) struct NextHops {
    slots: Slab<Tracked>,
    index: HashMap<NextHop, u32, RandomState>,
    /// Link-local ones, by interface.
    scoped: HashMap<(u32, u32), Option<Resolution>, RandomState>,
    resolver: Arc<dyn NextHopResolver>,
}

impl Default for NextHops {
    fn default() -> Self {
        Self {
            slots: Slab::default(),
            index: HashMap::default(),
            scoped: HashMap::default(),
            resolver: Arc::new(Unreachable),
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
        if let Some(index) = self.index.get(next_hop) {
            if let Some(slot) = self.slots.get_mut(*index) {
                slot.users += 1;
            }
            return NextHopIndex(*index);
        }
        let index = self.slots.insert(Tracked {
            next_hop: *next_hop,
            users: 1,
            state: State::Unasked,
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
            if next_hop.link_local().is_some() {
                self.scoped.retain(|(of, _), _| *of != index.0);
            }
        }
    }

    /// Makes sure that a next hop of a received route is resolved, before [`NextHops::resolution`] is asked for it.
    pub(crate) fn ask(&mut self, index: NextHopIndex, interface: Option<u32>) {
        let Some(slot) = self.slots.get_mut(index.0) else {
            return;
        };
        match (slot.next_hop.link_local(), interface) {
            (Some(_), Some(interface)) => {
                let (next_hop, resolver) = (&slot.next_hop, &self.resolver);
                self.scoped
                    .entry((index.0, interface))
                    .or_insert_with(|| resolver.resolve(next_hop, Some(interface)));
            }
            _ => {
                if slot.state == State::Unasked {
                    slot.state = State::Asked(self.resolver.resolve(&slot.next_hop, None));
                }
            }
        }
    }

    /// Where a next hop leads, for routes of a session on `interface`.
    pub(crate) fn resolution(
        &self,
        index: NextHopIndex,
        interface: Option<u32>,
    ) -> Option<Resolution> {
        let slot = self.slots.get(index.0)?;
        match (slot.next_hop.link_local(), interface) {
            (Some(_), Some(interface)) => *self.scoped.get(&(index.0, interface))?,
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
        for ((index, interface), before) in &mut self.scoped {
            let Some(slot) = self.slots.get(*index) else {
                continue;
            };
            let after = self.resolver.resolve(&slot.next_hop, Some(*interface));
            if *before != after {
                *before = after;
                changed.insert(*index);
            }
        }
        changed
    }
}
