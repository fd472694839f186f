//! What is believed of the kernel, corrected by listings and notifications. Adoption at start is the same thing: a listing
//! that meets an empty plan.
//!
//! The kernel is silent about some of what it does. When an interface goes down, or somebody deletes a nexthop object,
//! the object leaves its groups, groups without members vanish, and IPv4 routes over a vanished group vanish with it,
//! without a notification. But a route is there exactly as long as its group, so a listing of the nexthop objects, which
//! are few, tells all of it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::key::{AnyKey, V4, V6, key};
use super::refusing::News;
use super::resync::Resync;
use super::table::{Entry, SHARDS, Want, flag};
use super::{Family, Plan};
use crate::hash::HashSet;
use crate::kernel::event::{Nexthop, Presence, Route, RouteKind};
use crate::kernel::op::Slot;
use crate::kernel::op::{RouteAction, RouteOp};
use crate::refusal::Rule;
use crate::types::{NEXTHOP_ID_FIRST, NEXTHOP_ID_LAST, ROUTE_PROTOCOL};

impl Plan {
    /// A listing of all routes begins; [`Self::resync_nexthops`] came before. [`Self::resync_part_begins`] follows.
    pub fn resync_routes_begin(&mut self) {
        self.unseen = 0;
        self.forget_leftovers();
        self.holes.clear();
        self.refusing.begin_listing();
    }

    /// A listing of all routes begins, as far as one of [`Plan::PARTS`] is concerned.
    pub fn resync_part_begins(&mut self, part: usize) {
        self.forget_some_leftovers(part);
        let unsee_v4 = |e: &mut Entry<V4>| e.put(flag::SEEN, false);
        let unsee_v6 = |e: &mut Entry<V6>| e.put(flag::SEEN, false);
        match part.checked_sub(SHARDS) {
            None => self.v4.shard_mut(part).for_each(unsee_v4),
            Some(part) => self.v6.shard_mut(part).for_each(unsee_v6),
        }
    }

    /// One route of the listing, whoever made it.
    pub fn resync_route(&mut self, route: &Route) {
        if route.special || self.is_aside() {
            return;
        }
        self.refusing.listed(route);
        // Of ours, what refuses is looked after there.
        if route.protocol != ROUTE_PROTOCOL || route.kind == RouteKind::Reject {
            return;
        }
        if route.kind == RouteKind::Blackhole {
            self.holes.push(RouteOp {
                prefix: route.prefix,
                table: route.table,
                metric: route.metric,
                action: RouteAction::Delete,
                previous: Slot::NONE,
            });
            return;
        }
        if (route.table, route.metric) != (self.space.table, self.space.metric) {
            self.found_leftover(route);
            return;
        }
        let slot = self.slot(route);
        match key(route.prefix) {
            AnyKey::V4(k) => self.found(k, slot),
            AnyKey::V6(k) => self.found(k, slot),
        }
    }

    /// The listing of all routes is complete: what it did not mention of one of [`Plan::PARTS`] is not there.
    pub fn resync_part_ends(&mut self, part: usize) {
        if self.is_aside() {
            // Nothing was taken in, and everything is listed before anything is written again.
            return;
        }
        self.unseen += match part.checked_sub(SHARDS) {
            None => self.lose_unseen::<V4>(part),
            Some(part) => self.lose_unseen::<V6>(part),
        };
    }

    /// The listing of all routes is complete, [`Self::resync_part_ends`] having been said of all parts.
    pub fn resync_routes_end(&mut self) {
        self.owes_listing = false;
        self.leftovers_are_listed();
        let lost = std::mem::take(&mut self.unseen);
        if !self.listing_ends() {
            self.counters.repairs += lost;
        }
        self.counters.repairs += self.refusing.end_listing();
    }

    /// All rules of the kernel, in its order.
    pub fn resync_rules(&mut self, listing: impl IntoIterator<Item = Rule>) {
        if !self.is_aside() {
            self.counters.repairs += self.refusing.list_rules(listing);
        }
    }

    /// Somebody added or removed a rule.
    pub fn rule_event(&mut self, presence: Presence, rule: &Rule) {
        if !self.is_aside() {
            self.counters.repairs += u64::from(self.refusing.rule_event(presence, rule));
        }
    }

    /// Returns how many routes are gone.
    fn lose_unseen<K: Family>(&mut self, shard: usize) -> u64 {
        let unseen = |e: &&Entry<K>| e.installed != Slot::NONE && !e.has(flag::SEEN);
        let entries = K::table_ref(self).shard(shard).filter(unseen);
        let entries: Vec<Entry<K>> = entries.copied().collect();
        let lost = entries.len() as u64;
        for before in entries {
            self.installed_is(before, Slot::NONE);
        }
        lost
    }

    pub(super) fn slot(&self, route: &Route) -> Slot {
        match (route.kind, route.nexthop_id) {
            (RouteKind::Unicast, Some(id)) if self.nexthops.groups.contains_key(&id) => {
                Slot::group(id)
            }
            _ => Slot::OTHER,
        }
    }

    /// The kernel holds `slot` for this prefix.
    fn found<K: Family>(&mut self, k: K, slot: Slot) {
        let entry = K::table(self).entry(k);
        entry.put(flag::SEEN, true);
        let before = *entry;
        if before.installed == slot {
            return;
        }
        let mut after = before;
        after.installed = slot;
        // Nobody has asked for it yet: it stays until the sweep.
        after.put(flag::STALE, !self.converged && before.desired == Want::NONE);
        self.change(before, after);
    }

    fn installed_is<K: Family>(&mut self, before: Entry<K>, slot: Slot) {
        let mut after = before;
        after.put(flag::STALE, false);
        after.installed = slot;
        self.change(before, after);
    }

    /// A route was added, changed or removed, by somebody else or by the kernel itself.
    pub fn route_event(&mut self, presence: Presence, route: &Route) {
        if route.special || self.is_aside() {
            return;
        }
        match self.refusing.route_event(presence, route) {
            News::Nothing | News::Others => {}
            News::Ours => self.counters.repairs += 1,
            News::Doubt => self.resync = Resync::Everything,
        }
        let ours = route.protocol == ROUTE_PROTOCOL;
        if ours && matches!(route.kind, RouteKind::Blackhole | RouteKind::Reject)
            || (route.table, route.metric) != (self.space.table, self.space.metric)
        {
            if ours && presence == Presence::Gone {
                self.leftover_is_gone(route);
            }
            return;
        }
        let slot = match (presence, route.protocol == ROUTE_PROTOCOL) {
            // One that was put back since is on another group.
            (Presence::Gone, true) if self.was_put_back(route) => return,
            (Presence::Gone, true) => Slot::NONE,
            (Presence::Present, true) => self.slot(route),
            // A foreign route took the place of ours.
            (Presence::Present, false) if route.replaces => Slot::NONE,
            // It may have been in the way.
            (Presence::Gone, false) => {
                return match key(route.prefix) {
                    AnyKey::V4(k) => self.retry(k),
                    AnyKey::V6(k) => self.retry(k),
                };
            }
            (Presence::Present, false) => return,
        };
        match key(route.prefix) {
            AnyKey::V4(k) => self.route_is(k, slot),
            AnyKey::V6(k) => self.route_is(k, slot),
        }
    }

    /// Whether a route that is reported to be gone is not the one that there is now, which uses another group. The kernel removes
    /// routes together with their group, which a listing may have shown before the notifications are read.
    fn was_put_back(&self, route: &Route) -> bool {
        let installed = match key(route.prefix) {
            AnyKey::V4(k) => self.v4.get(k).map(|e| e.installed),
            AnyKey::V6(k) => self.v6.get(k).map(|e| e.installed),
        };
        let installed = installed.and_then(Slot::as_group);
        route.nexthop_id.is_some() && installed.is_some() && installed != route.nexthop_id
    }

    fn route_is<K: Family>(&mut self, k: K, slot: Slot) {
        match K::table_ref(self).get(k).copied() {
            Some(before) if before.installed != slot => {
                self.counters.repairs += 1;
                if slot == Slot::OTHER {
                    // A group that is not known: somebody made one in our name.
                    self.doubt_nexthops();
                }
                self.installed_is(before, slot);
            }
            None if slot != Slot::NONE => self.found(k, slot),
            _ => {}
        }
    }

    /// Somebody else changed a nexthop object, or the kernel did.
    pub fn nexthop_event(&mut self, nexthop: &Nexthop) {
        // Also an object of another protocol that has taken the place of one of ours.
        let in_range = (NEXTHOP_ID_FIRST..=NEXTHOP_ID_LAST).contains(&nexthop.id);
        if !self.is_aside() && (nexthop.protocol == ROUTE_PROTOCOL || in_range) {
            self.doubt_nexthops();
        }
    }

    /// Whether an interface carries packets: set up, and with a carrier. With the carrier the kernel removes the nexthop objects over
    /// it, and it takes none without.
    pub fn link_state(&mut self, ifindex: u32, up: bool, now: Instant) {
        self.nexthops.set_link(ifindex, !up, now);
    }

    /// An interface is no more.
    pub fn link_gone(&mut self, ifindex: u32, now: Instant) {
        self.nexthops.link_gone(ifindex, now);
    }

    /// All interfaces have been listed: what there is, and which of them carry nothing.
    pub fn links_listed(
        &mut self,
        there: BTreeSet<u32>,
        down: impl IntoIterator<Item = u32>,
        now: Instant,
    ) {
        let down: HashSet<u32> = down.into_iter().collect();
        self.nexthops.set_links_down(&there, &down, now);
    }

    /// An interface changed: what the kernel dropped has to be found out, and what failed is worth a try at once.
    pub fn link_event(&mut self, ifindex: u32, now: Instant) {
        // With a link go IPv4 routes of others, without a notification.
        if self.refusing.relies_on_others() {
            self.resync = Resync::Everything;
        }
        let mut ours = false;
        for state in &mut self.nexthops.objects {
            if state.object.ifindex != ifindex {
                continue;
            }
            ours = true;
            if let Some(failure) = &mut state.failure {
                failure.retry_at = now;
                failure.attempts = 1;
            }
        }
        if ours {
            self.doubt_nexthops();
            self.nexthops.dirty = true;
        }
    }
}
