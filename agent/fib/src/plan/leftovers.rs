//! Routes of ours in another table or with another metric: a predecessor was configured otherwise, or had another default.
//!
//! One with another metric is removed when the route in the right place forwards the same (it is moved), all others once the
//! RIB has converged. Until then it may be the one that the kernel prefers, so nobody changes the group that it uses.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use ipnet::IpNet;
use smallvec::SmallVec;

use super::key::{AnyKey, Key, key};
use super::table::{SHARDS, Want, is_to_grow};
use super::work::{LOOKS, Work};
use super::{Family, Plan};
use crate::hash::{HashMap, HashSet};
use crate::kernel::event::Route;
use crate::kernel::op::Slot;
use crate::kernel::op::{Op, RouteAction, RouteOp};

/// A route but for its prefix.
#[derive(Clone, Copy, Debug)]
struct Leftover {
    table: u32,
    metric: u32,
    /// What it uses.
    slot: Slot,
}

impl Leftover {
    const fn removal(self, prefix: IpNet) -> RouteOp {
        RouteOp {
            prefix,
            table: self.table,
            metric: self.metric,
            action: RouteAction::Delete,
            previous: self.slot,
        }
    }
}

/// Routes of one prefix that wait.
#[derive(Debug, Default)]
struct Waiting {
    routes: SmallVec<[Leftover; 1]>,
    /// It is in [`Leftovers::touched`].
    touched: bool,
}

/// By prefix, in parts: growing one of a million prefixes, or looking at all of it, would be too much at a time.
type Routes = Box<[HashMap<IpNet, Waiting>]>;

fn no_routes() -> Routes {
    (0..SHARDS).map(|_| HashMap::default()).collect()
}

/// See the module.
#[derive(Debug)]
pub(super) struct Leftovers {
    routes: Routes,
    /// By which they are in one of the parts.
    hasher: RandomState,
    /// How many these are.
    waiting: usize,
    /// Prefixes of which a route was found or changed since somebody looked.
    touched: Vec<IpNet>,
    /// The operations that remove those that can go.
    moved: Vec<RouteOp>,
    /// How many routes were adopted when the listing began that comes in now: until its end nobody knows.
    adopted_before: Option<u64>,
    /// How many there were then, blackholes included.
    all_before: u64,
    /// What there was when it began, as far as it is not forgotten.
    old: Old,
}

impl Default for Leftovers {
    fn default() -> Self {
        Self {
            routes: no_routes(),
            hasher: RandomState::default(),
            waiting: 0,
            touched: Vec::new(),
            moved: Vec::new(),
            adopted_before: None,
            all_before: 0,
            old: Old::default(),
        }
    }
}

/// Routes that will be listed again.
#[derive(Debug, Default)]
struct Old {
    routes: Routes,
    moved: Vec<RouteOp>,
}

/// A share of those from the end, so that after so many parts none are left.
fn share<T>(all: &mut Vec<T>, parts_left: usize) -> std::vec::Drain<'_, T> {
    let rest = all.len() - all.len().div_ceil(parts_left.max(1));
    all.drain(rest..)
}

impl Leftovers {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.waiting + self.moved.len()
    }

    /// How many there were when the listing of routes began that comes in now. `None`: none does.
    pub(super) fn before_listing(&self) -> Option<u64> {
        self.adopted_before.map(|_| self.all_before)
    }

    /// Prefixes of those that wait.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.routes.iter().flat_map(HashMap::keys).copied()
    }

    /// Those of a prefix are in this part.
    fn shard(&self, prefix: &IpNet) -> usize {
        self.hasher.hash_one(prefix) as usize % SHARDS
    }

    fn get(&self, prefix: &IpNet) -> Option<&Waiting> {
        self.routes[self.shard(prefix)].get(prefix)
    }

    fn get_mut(&mut self, prefix: &IpNet) -> Option<&mut Waiting> {
        let shard = self.shard(prefix);
        self.routes[shard].get_mut(prefix)
    }

    fn remove(&mut self, prefix: &IpNet) -> Option<Waiting> {
        let shard = self.shard(prefix);
        self.routes[shard].remove(prefix)
    }

    /// What removes one with this prefix that waits.
    pub(super) fn of(&self, prefix: IpNet) -> Option<RouteOp> {
        let first = self.get(&prefix)?.routes.first()?;
        Some(first.removal(prefix))
    }

    /// How many of them wait: nothing in the right place forwards the same so far.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The route in the right place was changed.
    pub(super) fn touch(&mut self, prefix: impl FnOnce() -> IpNet) {
        if self.waiting == 0 {
            return;
        }
        let prefix = prefix();
        if let Some(waiting) = self.get_mut(&prefix)
            && !std::mem::replace(&mut waiting.touched, true)
        {
            self.touched.push(prefix);
        }
    }

    /// Those of a prefix can go.
    fn can_go(&mut self, prefix: IpNet) {
        let waiting = self.remove(&prefix).unwrap_or_default();
        self.waiting -= waiting.routes.len();
        let removals = waiting.routes.into_iter().map(|one| one.removal(prefix));
        self.moved.extend(removals);
        if self.waiting == 0 {
            // There may have been a million, and there will be none any more.
            self.routes = no_routes();
            self.touched = Vec::new();
        }
    }

    /// How many prefixes and removals are to be forgotten.
    #[cfg(test)]
    pub(super) fn to_forget(&self) -> usize {
        let old = &self.old;
        old.routes.iter().map(HashMap::len).sum::<usize>() + old.moved.len()
    }

    /// How many prefixes are to be looked at.
    #[cfg(test)]
    pub(super) fn touched(&self) -> usize {
        self.touched.len()
    }
}

impl Plan {
    /// How many routes of a predecessor are neither confirmed, nor moved, nor swept. `None`: nobody knows, since what is in the kernel
    /// is another agent's so far, or has not been listed since.
    pub fn adopted(&self) -> Option<u64> {
        let is_known = !self.is_aside() && !self.waits_for_listing();
        is_known.then(|| self.count_adopted())
    }

    fn count_adopted(&self) -> u64 {
        let now = self.stale + self.leftovers.waiting() as u64;
        self.leftovers.adopted_before.unwrap_or(now)
    }

    /// Routes in another place than they belong to. While they are listed, as many as there were before.
    pub(super) fn count_elsewhere(&self) -> u64 {
        let now = self.leftovers.count() + self.holes.len();
        self.leftovers.before_listing().unwrap_or(now as u64)
    }

    /// A listing of all routes has ended.
    pub(super) fn leftovers_are_listed(&mut self) {
        self.leftovers.adopted_before = None;
    }

    /// A listing of all routes begins. [`Self::forget_some_leftovers`] is to be asked for each part, before a route comes.
    pub(super) fn forget_leftovers(&mut self) {
        let (adopted, all) = (self.count_adopted(), self.count_elsewhere());
        // One that began before, and was not gone on with.
        for part in 0..Self::PARTS {
            self.forget_some_leftovers(part);
        }
        let Leftovers { routes, moved, .. } = std::mem::take(&mut self.leftovers);
        self.leftovers.all_before = all;
        self.leftovers.adopted_before = Some(adopted);
        self.leftovers.old = Old { routes, moved };
    }

    /// Their groups are not used by what will be listed again, or is gone.
    pub(super) fn forget_some_leftovers(&mut self, part: usize) {
        let old = &mut self.leftovers.old;
        let routes = old.routes.get_mut(part).map(std::mem::take);
        let routes = routes.into_iter().flat_map(HashMap::into_values);
        let routes = routes.flat_map(|waiting| waiting.routes);
        let moved = share(&mut old.moved, Self::PARTS - part);
        let moved = moved.map(|op| op.previous);
        let slots: Vec<Slot> = routes.map(|one| one.slot).chain(moved).collect();
        for slot in slots {
            self.use_as_leftover(slot, -1);
        }
    }

    /// The listing holds this one.
    pub(super) fn found_leftover(&mut self, route: &Route) {
        let one = Leftover {
            table: route.table,
            metric: route.metric,
            slot: self.slot(route),
        };
        self.use_as_leftover(one.slot, 1);
        let leftovers = &mut self.leftovers;
        let number = leftovers.shard(&route.prefix);
        let shard = &mut leftovers.routes[number];
        if is_to_grow(number, shard.len(), shard.capacity()) {
            shard.reserve(shard.capacity() - shard.len() + 1);
        }
        shard.entry(route.prefix).or_default().routes.push(one);
        leftovers.waiting += 1;
        leftovers.touch(|| route.prefix);
    }

    /// These groups are gone, and the kernel has removed the routes over them: those in one of [`Plan::PARTS`].
    pub(super) fn lose_leftovers(&mut self, part: usize, lost: &HashSet<u32>) {
        let over = |slot: Slot| slot.as_group().is_some_and(|id| lost.contains(&id));
        let leftovers = &mut self.leftovers;
        if part == 0 {
            leftovers.old.moved = std::mem::take(&mut leftovers.moved);
        }
        let some = share(&mut leftovers.old.moved, Self::PARTS - part);
        leftovers.moved.extend(some.filter(|op| !over(op.previous)));
        let Some(shard) = leftovers.routes.get_mut(part) else {
            return;
        };
        shard.retain(|_, waiting| {
            let before = waiting.routes.len();
            waiting.routes.retain(|one| !over(one.slot));
            leftovers.waiting -= before - waiting.routes.len();
            !waiting.routes.is_empty()
        });
    }

    /// Somebody else removed a route of ours in another place.
    pub(super) fn leftover_is_gone(&mut self, route: &Route) {
        let leftovers = &mut self.leftovers;
        let Some(waiting) = leftovers.get_mut(&route.prefix) else {
            return;
        };
        let place = (route.table, route.metric);
        let mut all = waiting.routes.iter();
        let Some(at) = all.position(|one| (one.table, one.metric) == place) else {
            return;
        };
        let one = waiting.routes.swap_remove(at);
        if waiting.routes.is_empty() {
            leftovers.remove(&route.prefix);
        }
        leftovers.waiting -= 1;
        self.use_as_leftover(one.slot, -1);
    }

    /// Counted as a route that wants nothing, so that its group neither changes nor is removed.
    fn use_as_leftover(&mut self, slot: Slot, by: i32) {
        if let Some(id) = slot.as_group() {
            self.nexthops.use_group(id, Want::NONE, by);
        }
    }

    /// Appends what removes those that can go, at most `max`. To be asked when everything before it is carried out. `all_is_known`:
    /// whether each prefix has been looked at, so that nothing is still to be installed.
    pub(super) fn plan_leftovers(
        &mut self,
        max: usize,
        all_is_known: bool,
        work: &mut Work,
        out: &mut Vec<Op>,
    ) {
        if self.converged && all_is_known && self.leftovers.moved.is_empty() {
            let some = self.leftovers.prefixes().take(LOOKS);
            let some: Vec<IpNet> = some.collect();
            some.into_iter()
                .for_each(|prefix| self.leftovers.can_go(prefix));
        }
        while !work.is_over()
            && let Some(prefix) = self.leftovers.touched.pop()
        {
            work.done(1);
            let Some(waiting) = self.leftovers.get_mut(&prefix) else {
                continue;
            };
            waiting.touched = false;
            let routes = waiting.routes.clone();
            let is_moved = match key(prefix) {
                AnyKey::V4(k) => self.forwards_as(k, &routes),
                AnyKey::V6(k) => self.forwards_as(k, &routes),
            };
            if is_moved {
                self.leftovers.can_go(prefix);
            }
        }
        let rest = self.leftovers.moved.len().saturating_sub(max);
        let going: Vec<RouteOp> = self.leftovers.moved.drain(rest..).collect();
        if self.leftovers.moved.is_empty() {
            self.leftovers.moved = Vec::new();
        }
        for op in going {
            self.use_as_leftover(op.previous, -1);
            out.push(Op::Route(op));
        }
    }

    /// Whether the route in the right place forwards over the same members as all of these. Not if one is in another table:
    /// the kernel's rules say which of the two is used.
    fn forwards_as<K: Family + Key>(&self, k: K, leftovers: &[Leftover]) -> bool {
        let content = |slot: Slot| Some(&self.nexthops.groups.get(&slot.as_group()?)?.content);
        let entry = K::table_ref(self).get(k);
        let own = entry.and_then(|entry| content(entry.installed));
        let same = |one: &Leftover| one.table == self.space.table && content(one.slot) == own;
        own.is_some_and(|own| !own.is_empty()) && leftovers.iter().all(same)
    }
}
