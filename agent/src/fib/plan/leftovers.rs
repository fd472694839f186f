//! Routes of ours in another table or with another metric: a predecessor was configured otherwise, or had another default.
//!
//! One with another metric is removed when the route in the right place forwards the same (it is moved), all others once the
//! RIB has converged. Until then it may be the one that the kernel prefers, so nobody changes the group that it uses.

use ipnet::IpNet;
use smallvec::SmallVec;

use super::super::kernel::event::Route;
use super::super::{HashMap, HashSet};
use super::op::{Op, RouteAction, RouteOp};
use super::table::{AnyKey, Key, Slot, Want, key};
use super::{Family, Plan};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// By prefix: the operations that remove them. `previous` is what each uses.
    routes: HashMap<IpNet, SmallVec<[RouteOp; 1]>>,
    /// How many these are.
    waiting: usize,
    /// Prefixes of which a route was found or changed since somebody looked.
    touched: Vec<IpNet>,
    /// Those that can go.
    moved: Vec<RouteOp>,
    /// How many routes were adopted when the listing began that comes in now: until its end nobody knows.
    adopted_before: Option<u64>,
}

impl Leftovers {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.waiting + self.moved.len()
    }

    /// Prefixes of those that wait.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.routes.keys().copied()
    }

    /// One with this prefix that waits.
    pub(super) fn of(&self, prefix: IpNet) -> Option<&RouteOp> {
        self.routes.get(&prefix)?.first()
    }

    /// How many of them wait: nothing in the right place forwards the same so far.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The route in the right place was changed.
    pub(super) fn touch(&mut self, prefix: impl FnOnce() -> IpNet) {
        if !self.routes.is_empty() {
            self.touched.push(prefix());
        }
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

    /// A listing of all routes has ended.
    pub(super) fn leftovers_are_listed(&mut self) {
        self.leftovers.adopted_before = None;
    }

    /// A listing of all routes begins.
    pub(super) fn forget_leftovers(&mut self) {
        let adopted = self.count_adopted();
        let Leftovers { routes, moved, .. } = std::mem::take(&mut self.leftovers);
        self.leftovers.adopted_before = Some(adopted);
        for op in routes.into_values().flatten().chain(moved) {
            self.use_as_leftover(&op, -1);
        }
    }

    /// The listing holds this one.
    pub(super) fn found_leftover(&mut self, route: &Route) {
        let op = RouteOp {
            prefix: route.prefix,
            table: route.table,
            metric: route.metric,
            action: RouteAction::Delete,
            previous: self.slot(route),
        };
        self.use_as_leftover(&op, 1);
        let leftovers = &mut self.leftovers;
        leftovers.routes.entry(op.prefix).or_default().push(op);
        leftovers.touched.push(op.prefix);
        leftovers.waiting += 1;
    }

    /// These groups are gone, and the kernel has removed the routes over them.
    pub(super) fn lose_leftovers(&mut self, lost: &HashSet<u32>) {
        let over = |op: &RouteOp| op.previous.as_group().is_some_and(|id| lost.contains(&id));
        let leftovers = &mut self.leftovers;
        leftovers.moved.retain(|op| !over(op));
        leftovers.routes.retain(|_, ops| {
            let before = ops.len();
            ops.retain(|op| !over(op));
            leftovers.waiting -= before - ops.len();
            !ops.is_empty()
        });
    }

    /// Somebody else removed a route of ours in another place.
    pub(super) fn leftover_is_gone(&mut self, route: &Route) {
        let leftovers = &mut self.leftovers;
        let Some(ops) = leftovers.routes.get_mut(&route.prefix) else {
            return;
        };
        let place = (route.table, route.metric);
        let Some(at) = ops.iter().position(|op| (op.table, op.metric) == place) else {
            return;
        };
        let op = ops.swap_remove(at);
        if ops.is_empty() {
            leftovers.routes.remove(&route.prefix);
        }
        leftovers.waiting -= 1;
        self.use_as_leftover(&op, -1);
    }

    /// Counted as a route that wants nothing, so that its group neither changes nor is removed.
    fn use_as_leftover(&mut self, op: &RouteOp, by: i32) {
        if let Some(id) = op.previous.as_group() {
            self.nexthops.use_group(id, Want::NONE, by);
        }
    }

    /// Appends what removes those that can go, at most `max`. To be asked when everything before it is carried out. `all_is_known`:
    /// whether each prefix has been looked at, so that nothing is still to be installed.
    pub(super) fn plan_leftovers(&mut self, max: usize, all_is_known: bool, out: &mut Vec<Op>) {
        let touched = std::mem::take(&mut self.leftovers.touched);
        if self.converged && all_is_known && !self.leftovers.routes.is_empty() {
            let all = std::mem::take(&mut self.leftovers.routes);
            let all = all.into_values().flatten();
            self.leftovers.moved.extend(all);
            self.leftovers.waiting = 0;
        }
        for prefix in touched {
            let Some(ops) = self.leftovers.routes.get(&prefix) else {
                continue;
            };
            let is_moved = match key(prefix) {
                AnyKey::V4(k) => self.forwards_as(k, ops),
                AnyKey::V6(k) => self.forwards_as(k, ops),
            };
            if is_moved {
                let ops = self.leftovers.routes.remove(&prefix).unwrap_or_default();
                self.leftovers.waiting -= ops.len();
                self.leftovers.moved.extend(ops);
            }
        }
        let rest = self.leftovers.moved.len().saturating_sub(max);
        let going: Vec<RouteOp> = self.leftovers.moved.drain(rest..).collect();
        if self.leftovers.moved.is_empty() {
            // There may have been a million, and there will be none any more.
            self.leftovers.moved = Vec::new();
        }
        for op in going {
            self.use_as_leftover(&op, -1);
            out.push(Op::Route(op));
        }
    }

    /// Whether the route in the right place forwards over the same members as all of these. Not if one is in another table:
    /// the kernel's rules say which of the two is used.
    fn forwards_as<K: Family + Key>(&self, k: K, leftovers: &[RouteOp]) -> bool {
        let content = |slot: Slot| Some(&self.nexthops.groups.get(&slot.as_group()?)?.content);
        let entry = K::table_ref(self).get(k);
        let own = entry.and_then(|entry| content(entry.installed));
        let same = |op: &RouteOp| op.table == self.space.table && content(op.previous) == own;
        own.is_some_and(|own| !own.is_empty()) && leftovers.iter().all(same)
    }
}
