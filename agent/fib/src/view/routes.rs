//! Routes of others by prefix, of one family. What a change leaves alone is shared with the map before, so that a snapshot of a million
//! costs no more than one of a few.

use std::collections::BTreeMap;

use imbl::OrdMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use crate::kernel::event::{Hop, RouteKind};

/// A route of somebody else, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ViewRoute {
    pub(super) table: u32,
    pub(super) metric: u32,
    pub(super) protocol: u8,
    pub(super) kind: RouteKind,
    pub(super) nexthop_id: Option<u32>,
    pub(super) hops: SmallVec<[Hop; 1]>,
}

impl ViewRoute {
    /// Whether it leads onto a link, or uses an object that may.
    pub(super) fn may_be_on_link(&self) -> bool {
        let is_on_link = |hop: &Hop| hop.gateway.is_none();
        self.kind == RouteKind::Unicast
            && (self.hops.is_empty() || self.hops.iter().any(is_on_link))
    }
}

/// Those of one prefix, the lowest metric first.
pub(super) type OfPrefix = SmallVec<[ViewRoute; 1]>;

/// A prefix of a family.
pub(super) trait Net: Copy + Ord + Into<IpNet> {
    /// The network of this length that it is in. `length`: not more than its own.
    fn shortened(self, length: u8) -> Option<Self>;
    /// How long it is.
    fn length(self) -> u8;
}

impl Net for Ipv4Net {
    fn shortened(self, length: u8) -> Option<Self> {
        Self::new(self.addr(), length).ok().map(|net| net.trunc())
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }
}

impl Net for Ipv6Net {
    fn shortened(self, length: u8) -> Option<Self> {
        Self::new(self.addr(), length).ok().map(|net| net.trunc())
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Routes<P: Net> {
    routes: OrdMap<P, OfPrefix>,
    /// How many prefixes there are of each length: those that cover one are looked up, length by length.
    lengths: BTreeMap<u8, usize>,
    /// Prefixes with a route that may lead onto a link.
    direct: OrdMap<P, ()>,
    /// How many prefixes have a route over an interface: those of pods come and go, and hardly ever have any.
    over: BTreeMap<u32, usize>,
}

impl<P: Net> Default for Routes<P> {
    fn default() -> Self {
        Self {
            routes: OrdMap::new(),
            lengths: BTreeMap::new(),
            direct: OrdMap::new(),
            over: BTreeMap::new(),
        }
    }
}

impl<P: Net> Routes<P> {
    /// Those of exactly this prefix.
    pub(super) fn get(&self, net: P) -> Option<&OfPrefix> {
        self.routes.get(&net.shortened(net.length())?)
    }

    /// Those of the prefixes that `net` is in, the shortest first, each with its length.
    pub(super) fn cover(&self, net: P) -> impl Iterator<Item = (u8, &OfPrefix)> {
        let lengths = self.lengths.range(..=net.length());
        lengths.filter_map(move |(&length, _)| {
            let routes = self.routes.get(&net.shortened(length)?)?;
            Some((length, routes))
        })
    }

    /// Those that may lead onto a link: not all that there are.
    pub(super) fn direct(&self) -> impl Iterator<Item = (P, &OfPrefix)> {
        let direct = self.direct.keys();
        direct.filter_map(|net| Some((*net, self.routes.get(net)?)))
    }

    /// Forgets the routes over an interface of which this is true. Without looking at any if none leads over it.
    pub(super) fn forget_over(&mut self, ifindex: u32, is: impl Fn(&ViewRoute) -> bool) {
        if !self.over.contains_key(&ifindex) {
            return;
        }
        let with = self.routes.iter().filter(|(_, of)| of.iter().any(&is));
        let with: Vec<P> = with.map(|(net, _)| *net).collect();
        let forget = |of: &mut OfPrefix| {
            of.retain(|route| !is(route));
            true
        };
        // One by one, a million take half a second.
        if with.len() > self.routes.len() / 2 {
            let all = std::mem::take(self);
            for (net, of) in &all.routes {
                if of.iter().any(|route| !is(route)) {
                    self.change(*net, |kept| {
                        kept.clone_from(of);
                        forget(kept)
                    });
                }
            }
        } else {
            for net in with {
                self.change(net, forget);
            }
        }
    }

    /// How many prefixes have a route over each interface.
    #[cfg(test)]
    pub(super) fn counted(&self) -> BTreeMap<u32, usize> {
        self.over.clone()
    }

    /// Changes those of a prefix, of which there may be none, before and after. Returns what `change` does.
    pub(super) fn change(&mut self, net: P, change: impl FnOnce(&mut OfPrefix) -> bool) -> bool {
        let Some(net) = net.shortened(net.length()) else {
            return false;
        };
        let mut made = OfPrefix::new();
        let there = self.routes.get_mut(&net);
        let is_new = there.is_none();
        let routes = there.unwrap_or(&mut made);
        let before = interfaces(routes);
        let changed = change(routes);
        let after = interfaces(routes);
        let is_direct = routes.iter().any(ViewRoute::may_be_on_link);
        let is_empty = routes.is_empty();
        match (is_new, is_empty) {
            (true, false) => {
                self.routes.insert(net, made);
                *self.lengths.entry(net.length()).or_default() += 1;
            }
            (false, true) => {
                self.routes.remove(&net);
                if let Some(count) = self.lengths.get_mut(&net.length()) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&net.length());
                    }
                }
            }
            _ => {}
        }
        if before != after {
            for ifindex in after {
                *self.over.entry(ifindex).or_default() += 1;
            }
            for ifindex in before {
                let count = self.over.entry(ifindex).or_default();
                *count -= 1;
                if *count == 0 {
                    self.over.remove(&ifindex);
                }
            }
        }
        if is_direct {
            self.direct.insert(net, ());
        } else if !is_new {
            self.direct.remove(&net);
        }
        changed
    }
}

/// Over which interfaces routes lead, each once.
fn interfaces(routes: &OfPrefix) -> SmallVec<[u32; 4]> {
    let hops = routes.iter().flat_map(|route| &route.hops);
    let mut all: SmallVec<[u32; 4]> = hops.map(|hop| hop.ifindex).collect();
    all.sort_unstable();
    all.dedup();
    all
}
