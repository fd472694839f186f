//! What is believed of the kernel: our routes that refuse and our rules, and those routes of others that matter to them.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::Bound::{Excluded, Unbounded};

use foldhash::fast::RandomState;
use ipnet::IpNet;

use super::super::table::{SHARDS, is_to_grow};
use super::{Look, Refusing};
use crate::hash::HashSet;
use crate::kernel::event::{Presence, Route, RouteKind};
use crate::refusal::Rule;
use crate::types::ROUTE_PROTOCOL;

/// A route of ours that refuses: destination, table, metric.
pub(super) type Installed = (IpNet, u32, u32);

/// What the kernel holds, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    routes: BTreeSet<Installed>,
    /// How many of them are IPv4, and IPv6.
    counts: [u64; 2],
    /// Addresses that others have a route to, in the tables that win.
    answered: Answered,
    /// Routes of others in our table.
    strangers: BTreeSet<(IpNet, u32)>,
}

/// Addresses, in parts: growing a set of a million would be too much at a time.
#[derive(Clone, Debug)]
struct Answered {
    parts: Box<[HashSet<IpNet>]>,
    /// By which they are in one of the parts.
    hasher: RandomState,
    len: usize,
}

impl Default for Answered {
    fn default() -> Self {
        Self {
            parts: (0..SHARDS).map(|_| HashSet::default()).collect(),
            hasher: RandomState::default(),
            len: 0,
        }
    }
}

impl Answered {
    fn part(&self, prefix: &IpNet) -> usize {
        self.hasher.hash_one(prefix) as usize % SHARDS
    }

    fn contains(&self, prefix: &IpNet) -> bool {
        self.len > 0 && self.parts[self.part(prefix)].contains(prefix)
    }

    fn insert(&mut self, prefix: IpNet) -> bool {
        let number = self.part(&prefix);
        let part = &mut self.parts[number];
        if is_to_grow(number, part.len(), part.capacity()) {
            part.reserve(part.capacity() - part.len() + 1);
        }
        let is_new = part.insert(prefix);
        self.len += usize::from(is_new);
        is_new
    }

    fn remove(&mut self, prefix: &IpNet) {
        let part = self.part(prefix);
        self.len -= usize::from(self.parts[part].remove(prefix));
    }

    fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.parts.iter().flatten()
    }
}

/// What a notification about a route means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum News {
    /// Nothing for what is refused.
    Nothing,
    /// Something of others that it depends on.
    Others,
    /// Somebody else changed a route of ours.
    Ours,
    /// Somebody's route to the address of a Service is gone. There may be another one to it, so only a listing tells.
    Doubt,
}

impl Known {
    /// Whether there are routes of ours.
    pub(super) fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// The routes of ours behind those of this prefix.
    pub(super) fn routes_behind(&self, prefix: Option<IpNet>) -> impl Iterator<Item = Installed> {
        let last = prefix.map(|prefix| (prefix, u32::MAX, u32::MAX));
        let behind = (last.map_or(Unbounded, Excluded), Unbounded);
        self.routes.range(behind).copied()
    }

    /// The routes of ours that refuse a prefix.
    pub(super) fn routes_of(&self, prefix: IpNet) -> impl Iterator<Item = Installed> {
        let all = (prefix, u32::MIN, u32::MIN)..=(prefix, u32::MAX, u32::MAX);
        self.routes.range(all).copied()
    }

    pub(super) fn holds(&self, route: &Installed) -> bool {
        self.routes.contains(route)
    }

    /// Adds a route of ours. Returns whether it is new.
    pub(super) fn add(&mut self, route: Installed) -> bool {
        let added = self.routes.insert(route);
        self.counts[family(route.0)] += u64::from(added);
        added
    }

    /// Removes a route of ours. Returns whether it was there.
    pub(super) fn remove(&mut self, route: &Installed) -> bool {
        let removed = self.routes.remove(route);
        self.counts[family(route.0)] -= u64::from(removed);
        removed
    }

    /// Routes of ours, of IPv4 and of IPv6.
    pub(super) fn counts(&self) -> [u64; 2] {
        self.counts
    }

    /// Whether somebody else has a route to this address.
    pub(super) fn is_answered(&self, prefix: IpNet) -> bool {
        self.answered.contains(&prefix)
    }

    /// Routes of others in our table.
    pub(super) fn strangers(&self) -> impl Iterator<Item = IpNet> {
        self.strangers.iter().map(|(prefix, _)| *prefix)
    }

    /// Another table is ours: what others have in that one is not known.
    pub(super) fn forget_strangers(&mut self) {
        self.strangers.clear();
    }

    /// Notes a route, `table` being ours and the others those that win over it.
    fn note(&mut self, table: u32, others: &[u32], presence: Presence, route: &Route) -> News {
        let is_there = presence == Presence::Present;
        let ours = route.protocol == ROUTE_PROTOCOL;
        if ours && route.kind == RouteKind::Reject {
            let one = (route.prefix, route.table, route.metric);
            let changed = if is_there {
                self.add(one)
            } else {
                self.remove(&one)
            };
            return if changed { News::Ours } else { News::Nothing };
        }
        if ours {
            return News::Nothing;
        }
        if route.table == table {
            let one = (route.prefix, route.metric);
            let strangers = &mut self.strangers;
            let changed = if is_there {
                strangers.insert(one)
            } else {
                strangers.remove(&one)
            };
            return if changed { News::Others } else { News::Nothing };
        }
        let is_host = route.prefix.prefix_len() == route.prefix.max_prefix_len();
        // `Other`: local routes, such as those of AnyIP.
        let answers = matches!(route.kind, RouteKind::Unicast | RouteKind::Other);
        if !is_host || !answers || !others.contains(&route.table) {
            return News::Nothing;
        }
        match is_there {
            true if self.answered.insert(route.prefix) => News::Others,
            false if self.answered.contains(&route.prefix) => News::Doubt,
            _ => News::Nothing,
        }
    }
}

/// The index of a prefix's family.
fn family(prefix: IpNet) -> usize {
    usize::from(prefix.addr().is_ipv6())
}

impl Refusing {
    pub(in super::super) fn begin_listing(&mut self) {
        self.listing = Known::default();
        self.listing_table = self.table;
    }

    /// A route of a listing.
    pub(in super::super) fn listed(&mut self, route: &Route) {
        let others = &self.yields_to;
        self.listing
            .note(self.table, others, Presence::Present, route);
    }

    /// The listing is complete. Returns how many routes of ours are gone.
    pub(in super::super) fn end_listing(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.known, std::mem::take(&mut self.listing));
        let lost = before.routes.difference(&self.known.routes).count();
        self.look = Some(Look::START);
        self.rules_pending = true;
        self.unlisted &= self.listing_table != self.table;
        lost as u64
    }

    /// All rules of the kernel, in its order. Returns how many of ours are gone.
    pub(in super::super) fn list_rules(&mut self, listing: impl IntoIterator<Item = Rule>) -> u64 {
        let ours = listing
            .into_iter()
            .filter(|rule| rule.protocol == ROUTE_PROTOCOL);
        let before = std::mem::replace(&mut self.rules, ours.collect());
        self.rules_pending = true;
        before
            .iter()
            .filter(|rule| !self.rules.contains(rule))
            .count() as u64
    }

    /// Somebody changed a route.
    pub(in super::super) fn route_event(&mut self, presence: Presence, route: &Route) -> News {
        let others = &self.yields_to;
        let news = self.known.note(self.table, others, presence, route);
        match news {
            News::Nothing => {}
            // Of no Service, and forgotten: most are of pods.
            News::Doubt if !self.wanted.services.contains(&route.prefix) => {
                self.known.answered.remove(&route.prefix);
                return News::Nothing;
            }
            News::Doubt => {}
            News::Others | News::Ours => {
                self.pending.insert(route.prefix);
                self.rules_pending |= route.table == self.table;
            }
        }
        news
    }

    /// Somebody changed a rule. Whether it was one of ours.
    pub(in super::super) fn rule_event(&mut self, presence: Presence, rule: &Rule) -> bool {
        if rule.protocol != ROUTE_PROTOCOL {
            return false;
        }
        let known = self.rules.contains(rule);
        match presence {
            Presence::Present if !known => self.rules.push(rule.clone()),
            Presence::Gone if known => self.rules.retain(|one| one != rule),
            _ => return false,
        }
        self.rules_pending = true;
        true
    }

    /// Whether something is not refused because a route of somebody else answers.
    pub(in super::super) fn relies_on_others(&self) -> bool {
        // There can be a million of either, hardly ever of both.
        let (answered, services) = (&self.known.answered, &self.wanted.services);
        match answered.len < services.len() {
            true => answered.iter().any(|net| services.contains(net)),
            false => services.iter().any(|net| answered.contains(net)),
        }
    }

    /// Whether nothing of this is in the kernel.
    pub(in super::super) fn is_gone(&self) -> bool {
        !self.known.has_routes() && self.rules.is_empty()
    }
}
