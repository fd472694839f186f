//! What is believed of the kernel, corrected by listings and notifications. Adoption at start is the same thing: a listing
//! that meets an empty plan.
//!
//! The kernel is silent about some of what it does. When an interface goes down, or somebody deletes a nexthop object,
//! the object leaves its groups, groups without members vanish, and IPv4 routes over a vanished group vanish with it,
//! without a notification. But a route is there exactly as long as its group, so a listing of the nexthop objects, which
//! are few, tells all of it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::kernel::event::{Nexthop, NexthopKind, Presence, Route, RouteKind};
use super::super::refusal::Rule;
use super::super::types::{NEXTHOP_ID_FIRST, NEXTHOP_ID_LAST, ROUTE_PROTOCOL};
use super::super::{HashMap, HashSet};
use super::nexthops::{Members, Role, normalize};
use super::op::{Object, RouteAction, RouteOp};
use super::refusing::News;
use super::table::{AnyKey, Entry, SHARDS, Slot, V4, V6, Want, flag, key};
use super::{Family, Plan, Resync};

/// Groups that are gone, and the part of the tables that is looked at next for routes over them.
#[derive(Debug, Default)]
pub(super) struct Losing {
    groups: HashSet<u32>,
    part: usize,
}

impl Plan {
    /// Compares with a listing of all nexthop objects of the kernel, whoever made them.
    pub fn resync_nexthops(&mut self, listing: impl IntoIterator<Item = Nexthop>) {
        let mut is_over = self.take_nexthops(listing);
        while !is_over {
            is_over = self.lose_some();
        }
    }

    /// Begins to compare with such a listing. Returns whether that is all: otherwise [`Self::lose_some`] goes on with it, and until it
    /// is over nothing else may come from the kernel nor be asked for, but wishes may change.
    pub fn take_nexthops(&mut self, listing: impl IntoIterator<Item = Nexthop>) -> bool {
        self.counters.resyncs += 1;
        self.listing_begins();
        if self.is_aside() {
            self.doubt_is_over();
            return true;
        }
        let mut objects: HashMap<u32, Object> = HashMap::default();
        let mut groups: HashMap<u32, Vec<(u32, u16)>> = HashMap::default();
        self.nexthops.groups_are_listed();
        self.nexthops.taken.clear();
        self.nexthops.garbage.clear();
        for nexthop in listing {
            let in_range = (NEXTHOP_ID_FIRST..=NEXTHOP_ID_LAST).contains(&nexthop.id);
            match nexthop.kind {
                _ if nexthop.protocol != ROUTE_PROTOCOL => {
                    if in_range {
                        self.nexthops.taken.insert(nexthop.id);
                    }
                }
                NexthopKind::Single { family, hop } if in_range => {
                    let object = Object {
                        ipv6: i32::from(family) == libc::AF_INET6,
                        gateway: hop.gateway,
                        ifindex: hop.ifindex,
                        onlink: hop.onlink,
                    };
                    objects.insert(nexthop.id, object);
                }
                NexthopKind::Group(members) if in_range => {
                    groups.insert(nexthop.id, members);
                }
                _ => self.nexthops.garbage.push(nexthop.id),
            }
        }
        self.count_replaced(&objects, &groups);
        let ids = self.take_objects(objects, &groups);
        let groups = self.take_groups(&groups, &ids);
        if groups.is_empty() {
            self.nexthops_are_listed();
            return true;
        }
        self.lose_leftovers(&groups);
        self.losing = Losing { groups, part: 0 };
        false
    }

    /// Goes on with what follows from groups that are gone, in one of [`Plan::PARTS`]. Returns whether that was the last.
    pub fn lose_some(&mut self) -> bool {
        let Losing { groups, part } = std::mem::take(&mut self.losing);
        match part.checked_sub(SHARDS) {
            None => self.lose::<V4>(part, &groups),
            Some(part) => self.lose::<V6>(part, &groups),
        }
        let part = part + 1;
        if part < Self::PARTS {
            self.losing = Losing { groups, part };
            return false;
        }
        for id in groups {
            self.nexthops.remove_group(id);
        }
        self.nexthops_are_listed();
        true
    }

    fn nexthops_are_listed(&mut self) {
        self.nexthops.dirty = true;
        self.nexthops.untidy = true;
        self.merges_begin_again();
        self.doubt_is_over();
    }

    /// Counts the objects of ours in whose place there is another now. Those that are missing went with their interface, or were
    /// deleted; a group that has lost members may have lost them so, too.
    fn count_replaced(
        &mut self,
        objects: &HashMap<u32, Object>,
        groups: &HashMap<u32, Vec<(u32, u16)>>,
    ) {
        let taken = &self.nexthops.taken;
        let singles = self.nexthops.objects.iter().flat_map(|state| {
            let ids = Role::ALL.into_iter().filter_map(|role| state.id(role));
            ids.map(|id| (id, state.object))
        });
        let is_replaced = |(id, object): &(u32, Object)| {
            let is_other = objects.get(id).is_some_and(|listed| listed != object);
            is_other || groups.contains_key(id) || taken.contains(id)
        };
        let singles = singles.filter(is_replaced).count();
        let known = self.nexthops.groups.keys();
        let is_other = |id: &&u32| objects.contains_key(*id) || taken.contains(*id);
        let replaced = (singles + known.filter(is_other).count()) as u64;
        self.counters.replaced_nexthops += replaced;
        self.counters.repairs += replaced;
    }

    /// Objects as listed. Which object each id is, and for which groups.
    fn take_objects(
        &mut self,
        mut listed: HashMap<u32, Object>,
        groups: &HashMap<u32, Vec<(u32, u16)>>,
    ) -> HashMap<u32, (u32, Role)> {
        let mut ids = HashMap::default();
        for i in 0..self.nexthops.objects.len() as u32 {
            for role in Role::ALL {
                let state = &self.nexthops.objects[i as usize];
                let Some(id) = state.id(role) else { continue };
                if listed.get(&id) == Some(&state.object) {
                    listed.remove(&id);
                    ids.insert(id, (i, role));
                } else {
                    self.nexthops.set_id(i, role, None);
                }
            }
        }
        let (mut shared, mut alone) = (HashSet::default(), HashSet::default());
        for group in groups.values() {
            let of = if group.len() > 1 {
                &mut shared
            } else {
                &mut alone
            };
            of.extend(group.iter().map(|m| m.0));
        }
        let mut listed: Vec<(u32, Object)> = listed.into_iter().collect();
        // Those in use have the first choice.
        listed.sort_unstable_by_key(|&(id, _)| (!shared.contains(&id), !alone.contains(&id), id));
        for (id, object) in listed {
            let i = self.nexthops.object(object);
            let state = &mut self.nexthops.objects[i as usize];
            let roles: &[Role] = match shared.contains(&id) {
                true => &[Role::Shared],
                false => &[Role::Alone, Role::Shared],
            };
            let free = roles.iter().find(|role| state.id(**role).is_none());
            if let Some(&role) = free {
                state.failure = None;
                self.nexthops.set_id(i, role, Some(id));
                ids.insert(id, (i, role));
            } else {
                // There can be so many of one kind only if somebody meddled.
                self.nexthops.garbage.push(id);
            }
        }
        ids
    }

    /// Groups as listed. Which known ones are gone.
    fn take_groups(
        &mut self,
        listed: &HashMap<u32, Vec<(u32, u16)>>,
        ids: &HashMap<u32, (u32, Role)>,
    ) -> HashSet<u32> {
        let known: Vec<u32> = self.nexthops.groups.keys().copied().collect();
        let lost: HashSet<u32> = known
            .into_iter()
            .filter(|id| !listed.contains_key(id))
            .collect();
        for &id in &lost {
            self.nexthops.unbind(id);
        }
        for (&id, members) in listed {
            let mut was_shared = false;
            let mut content: Members = members
                .iter()
                .filter_map(|&(member, weight)| {
                    let &(object, role) = ids.get(&member)?;
                    was_shared = role == Role::Shared;
                    // An object for groups without other members is not to be deleted from this one.
                    let fits = was_shared || members.len() == 1;
                    fits.then_some((object, weight.min(255) as u8))
                })
                .collect();
            if content.len() != members.len() {
                // It leads over something that is not ours: nothing is content with that.
                content.clear();
            }
            content.sort_unstable();
            normalize(&mut content);
            let before = self.nexthops.groups.get(&id);
            self.rescan |= before.map_or(!content.is_empty(), |group| group.content != content);
            let was_shared = was_shared && content.len() == 1;
            self.nexthops.set_content(id, content, was_shared);
        }
        lost
    }

    /// Routes over groups that are gone are gone.
    fn lose<K: Family>(&mut self, shard: usize, lost: &HashSet<u32>) {
        let over = |e: &&Entry<K>| e.installed.as_group().is_some_and(|id| lost.contains(&id));
        let entries = K::table_ref(self).shard(shard).filter(over);
        let entries: Vec<Entry<K>> = entries.copied().collect();
        self.counters.repairs += entries.len() as u64;
        for before in entries {
            let mut after = before;
            after.installed = Slot::NONE;
            after.put(flag::STALE, false);
            self.change(before, after);
        }
    }

    /// A listing of all routes begins; [`Self::resync_nexthops`] came before. [`Self::resync_part_begins`] follows.
    pub fn resync_routes_begin(&mut self) {
        self.unseen = 0;
        self.forget_leftovers();
        self.holes.clear();
        self.refusing.begin_listing();
    }

    /// A listing of all routes begins, as far as one of [`Plan::PARTS`] is concerned.
    pub fn resync_part_begins(&mut self, part: usize) {
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
        self.unseen += match part.checked_sub(SHARDS) {
            None => self.lose_unseen::<V4>(part),
            Some(part) => self.lose_unseen::<V6>(part),
        };
    }

    /// The listing of all routes is complete, [`Self::resync_part_ends`] having been said of all parts.
    pub fn resync_routes_end(&mut self) {
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
