//! The FIB plan: pure bookkeeping between what the RIB wants and what the kernel holds.
//!
//! Both are known for every prefix. [`Plan::submit`] changes what is wanted (the latest wins, so memory is bounded by the
//! number of prefixes), [`Plan::next_batch`] says what to do about the difference, [`Plan::refused`] takes back what the
//! kernel did not do, [`Plan::route_event`], [`Plan::nexthop_event`] and [`Plan::link_event`] correct what is believed of
//! the kernel, as a full listing does. No sockets, no clock.
//!
//! What always holds:
//! - A batch is carried out before the next is asked for, so objects exist before groups, groups before routes, and each
//!   is removed only after its last user: batches come in that order.
//! - Whatever prefix of the batches was carried out when the process died, listing the kernel and planning anew leads to the
//!   same end.
//! - A route that only changes where it leads is replaced, never removed and added: there is a route at every moment.
//! - A group whose routes all want the same new thing is changed in place, by one message.
//! - A router that is lost leaves all groups that have another member by one message, before anything else is done; no route
//!   goes for it.
//! - No operation names a route that is not of our protocol, and a new route never takes the place of a foreign one with
//!   the same prefix and metric (`NLM_F_EXCL`): that is a failure to be shown.
//! - Nothing of the learned routes' tables drops packets: what is to be refused has a table of its own, see [`refusing`].
//! - A route or nexthop that is right is not mentioned: adopting what a predecessor left sends nothing.
//! - What a predecessor left stays as it is until it is confirmed or the RIB has converged (RFC 4724 4.1: a restarting
//!   speaker defers its choice): wishes come in one router after the other, and half of them would move all traffic.

mod admission;
mod adopt;
mod failing;
mod leftovers;
mod listing;
mod merge;
mod nexthops;
mod op;
mod queue;
mod refusing;
mod space;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;

use super::guard::{CompiledGuardRails, GuardRails};
use super::refusal::{Refusal, RefusalChange};
use super::types::{FibAction, FibChange, FibCounters, FibNexthop, FibRoute, MAX_NEXTHOPS};
use admission::Walk;
use failing::Failing;
use leftovers::Leftovers;
pub use listing::ListedNexthops;
use listing::Listing;
use merge::Merging;
use nexthops::{Members, Nexthops};
pub use op::{Object, Op, RouteAction, RouteOp, RuleAction, Target};
use refusing::Refusing;
pub use refusing::{RefusalStatus, RefusedSet};
use space::Mode;
pub use space::RouteSpace;
pub use status::FibNexthopStatus;
use table::{AnyKey, Entry, Key, Slot, Table, V4, V6, Want, flag, key};
use work::Work;

/// What the kernel has to be compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resync {
    /// Nothing is in doubt.
    #[default]
    None,
    /// Nexthop objects: cheap, there are few.
    Nexthops,
    /// Nexthop objects and all routes.
    Everything,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    space: RouteSpace,
    mode: Mode,
    guard: CompiledGuardRails,
    v4: Table<V4>,
    v6: Table<V6>,
    nexthops: Nexthops,
    last: Option<Interned>,
    failing: Failing,
    merging: Merging,
    leftovers: Leftovers,
    /// Blackholes of our protocol: earlier versions put them into the main table, where they cut the host off. They go at once.
    holes: Vec<RouteOp>,
    refusing: Refusing,
    converged: bool,
    /// Prefixes that guard rails keep out; of those by the limit alone; learned ones that are in; stale ones.
    refused: u64,
    limited: BTreeSet<IpNet>,
    counted: u64,
    stale: u64,
    rescan: bool,
    walk: Walk,
    listing: Listing,
    /// How many routes a listing that ends has not mentioned.
    unseen: u64,
    /// The last step ended before everything was looked at.
    unfinished: bool,
    /// There are many sets or objects that nobody wants.
    forgets: bool,
    resync: Resync,
    counters: FibCounters,
}

/// The route that came last, and what that is.
#[derive(Debug)]
struct Interned {
    v6: bool,
    route: FibRoute,
    /// Of sets, so many had been forgotten: one of them may have been this.
    forgotten: u64,
    want: Want,
}

/// A key that knows its table.
trait Family: Key {
    fn table(plan: &mut Plan) -> &mut Table<Self>;
    fn table_ref(plan: &Plan) -> &Table<Self>;
}

impl Family for V4 {
    fn table(plan: &mut Plan) -> &mut Table<Self> {
        &mut plan.v4
    }
    fn table_ref(plan: &Plan) -> &Table<Self> {
        &plan.v4
    }
}

impl Family for V6 {
    fn table(plan: &mut Plan) -> &mut Table<Self> {
        &mut plan.v6
    }
    fn table_ref(plan: &Plan) -> &Table<Self> {
        &plan.v6
    }
}

impl Plan {
    /// A plan that knows nothing of the kernel yet; [`Plan::resync`] tells it.
    pub fn new(space: RouteSpace, refusing_table: u32, guard: GuardRails) -> Self {
        Self {
            space,
            mode: Mode::default(),
            guard: guard.compile(),
            v4: Table::default(),
            v6: Table::default(),
            nexthops: Nexthops::default(),
            last: None,
            failing: Failing::default(),
            merging: Merging::default(),
            leftovers: Leftovers::default(),
            holes: Vec::new(),
            refusing: Refusing::new(space, refusing_table),
            converged: false,
            refused: 0,
            limited: BTreeSet::new(),
            counted: 0,
            stale: 0,
            rescan: false,
            walk: Walk::default(),
            listing: Listing::default(),
            unseen: 0,
            unfinished: false,
            forgets: false,
            resync: Resync::None,
            counters: FibCounters::default(),
        }
    }

    /// Takes in a wish.
    pub fn submit(&mut self, change: FibChange) {
        let want = match change.action {
            FibAction::Install(route) if self.mode.installs => self.intern(change.prefix, route),
            FibAction::Install(_) | FibAction::Remove => Want::NONE,
        };
        match key(change.prefix) {
            AnyKey::V4(k) => self.desire(k, want),
            AnyKey::V6(k) => self.desire(k, want),
        }
    }

    /// Takes in many wishes, in their order: with all entries looked at before the first is changed.
    pub fn submit_all(
        &mut self,
        changes: impl IntoIterator<Item = FibChange> + AsRef<[FibChange]>,
    ) {
        let keys = changes.as_ref().iter().map(|change| key(change.prefix));
        let touched = keys.map(|key| match key {
            AnyKey::V4(k) => self.v4.touch(k),
            AnyKey::V6(k) => self.v6.touch(k),
        });
        black_box(touched.fold(0, |all, one| all ^ one));
        for change in changes {
            self.submit(change);
        }
    }

    fn intern(&mut self, prefix: IpNet, route: FibRoute) -> Want {
        let v6 = matches!(prefix, IpNet::V6(_));
        let forgotten = self.nexthops.forgotten;
        // Most routes come behind one with the same next hops.
        if let Some(last) = &self.last
            && (last.forgotten, last.v6) == (forgotten, v6)
            && last.route == route
        {
            return last.want;
        }
        let want = self.want(v6, &route);
        self.last = Some(Interned {
            v6,
            route,
            forgotten,
            want,
        });
        want
    }

    fn want(&mut self, v6: bool, route: &FibRoute) -> Want {
        if route.nexthops.is_empty() {
            return Want::NONE;
        }
        let mut members = Members::new();
        for nexthop in route.nexthops.iter().take(MAX_NEXTHOPS) {
            // The kernel routes IPv4 over an IPv6 gateway, not the other way round.
            if v6 && matches!(nexthop.gateway, Some(IpAddr::V4(_))) {
                continue;
            }
            let object = self.nexthops.object(Object {
                ipv6: nexthop.gateway.map_or(v6, |g| g.is_ipv6()),
                gateway: nexthop.gateway,
                ifindex: nexthop.ifindex,
                onlink: nexthop.onlink,
            });
            members.push((object, nexthop.weight.get()));
        }
        if members.is_empty() {
            return Want::INVALID;
        }
        Want::set(self.nexthops.intern(members))
    }

    fn desire<K: Family>(&mut self, k: K, want: Want) {
        let before = match K::table_ref(self).get(k) {
            Some(entry) => *entry,
            None if want == Want::NONE => return,
            None => *K::table(self).entry(k),
        };
        let mut after = before;
        after.desired = want;
        self.admit(&mut after);
        let held = before.has(flag::STALE) && !after.has(flag::REFUSED) && !self.confirms(&after);
        after.put(flag::STALE, held && !self.converged);
        if before.desired != want && before.has(flag::FAILED) {
            self.forget_failure(&mut after);
        }
        self.change(before, after);
    }

    /// Whether what is wanted of a predecessor's route is what the kernel holds. Until then, and until convergence, the
    /// wish is taken for a part of what will come: the first router to be back shall not get what two of them share.
    fn confirms<K: Key>(&self, e: &Entry<K>) -> bool {
        let held = e.installed.as_group();
        e.desired
            .as_set()
            .is_some_and(|set| held.is_some_and(|id| self.nexthops.holds(id, set)))
    }

    /// Stores an entry in its new form and keeps every count that depends on it. The only way to change one.
    fn change<K: Family>(&mut self, before: Entry<K>, mut after: Entry<K>) {
        let (was, is) = (before.wanted(), after.wanted());
        if before.desired != after.desired {
            self.nexthops.desire(after.desired, 1);
            self.nexthops.desire(before.desired, -1);
        }
        for (flags, count) in [
            (flag::REFUSED | flag::LIMITED, &mut self.refused),
            (flag::STALE, &mut self.stale),
        ] {
            match (before.has(flags), after.has(flags)) {
                (false, true) => *count += 1,
                (true, false) => *count -= 1,
                _ => {}
            }
        }
        if was != is {
            self.nexthops.want(is, 1);
            self.nexthops.want(was, -1);
        }
        if (was, before.installed) != (is, after.installed) {
            if let Some(id) = after.installed.as_group() {
                self.nexthops.use_group(id, is, 1);
            }
            if let Some(id) = before.installed.as_group() {
                self.nexthops.use_group(id, was, -1);
            }
            self.leftovers.touch(|| after.key.prefix());
        }
        let right = self.is_right(&after);
        // A record outlasts the attempt that is under way: what comes of that is said later.
        if right && after.has(flag::WAITING) {
            self.forget_failure(&mut after);
        }
        // Who is aside looks at everything when it is no more.
        let queue = !after.has(flag::QUEUED | flag::WAITING) && !right && !self.is_aside();
        let gone = after.desired == Want::NONE
            && after.installed == Slot::NONE
            && !after.has(flag::QUEUED)
            && !queue;
        if gone {
            self.forget_failure(&mut after);
        }
        after.put(flag::QUEUED, after.has(flag::QUEUED) || queue);
        let table = K::table(self);
        match (
            before.installed == Slot::NONE,
            after.installed == Slot::NONE,
        ) {
            (true, false) => table.installed += 1,
            (false, true) => table.installed -= 1,
            _ => {}
        }
        if gone {
            table.remove(after.key);
            return;
        }
        *table.entry(after.key) = after;
        if queue {
            table.queue.push(after.key);
        }
    }

    /// Whether the kernel holds what is wanted.
    fn is_right<K: Key>(&self, e: &Entry<K>) -> bool {
        if e.has(flag::STALE) {
            return true;
        }
        let want = e.wanted();
        match want.as_set() {
            Some(set) => e
                .installed
                .as_group()
                .is_some_and(|id| self.nexthops.serves(id, set)),
            None => e.installed == Slot::NONE,
        }
    }

    /// The next operations, at most `max` where there can be many, to be carried out before asking again. Empty: the
    /// kernel is as wanted, except for what waits for [`Plan::next_retry`] and, if [`Plan::is_walking`], for being looked at.
    pub fn next_batch(&mut self, now: Instant, max: usize) -> Vec<Op> {
        let mut work = Work::step();
        (self.unfinished, self.forgets) = (false, false);
        let mut out = self.next_changes(now, max, &mut work);
        self.unfinished |= work.is_over();
        // What is suspected in doubt is named by set numbers.
        if !self.is_quiet() && !self.is_in_doubt() {
            self.forgets = self.nexthops.forget_unwanted(&mut Work::part());
        }
        let settled = std::mem::take(&mut self.nexthops.settled);
        self.merging.disturb(now, &out, settled);
        if out.is_empty() && !self.unfinished && self.is_quiet() {
            self.plan_rest(now, max, &mut work, &mut out);
            self.unfinished |= work.is_over();
        }
        self.counters.batches += u64::from(!out.is_empty());
        self.counters.operations += out.len() as u64;
        out
    }

    /// Those of the next operations, at most `max`, that move traffic off routers that are lost. To be carried out at once, also while
    /// routes are being listed.
    pub fn next_cuts(&mut self, now: Instant, max: usize) -> Vec<Op> {
        let mut out = Vec::new();
        if self.mode.may_write() && !self.is_in_doubt() {
            self.nexthops.cut_lost(max, &mut Work::step(), &mut out);
            self.merging.disturb(now, &out, false);
            self.counters.batches += u64::from(!out.is_empty());
            self.counters.operations += out.len() as u64;
        }
        out
    }

    /// Whether there may be something for [`Self::next_cuts`]. What it relies on has to be known as of now: somebody may have removed
    /// the object of the router that would be left alone in a group, which vanishes then, with its routes.
    pub fn may_cut(&self) -> bool {
        self.mode.may_write() && self.nexthops.may_cut()
    }

    /// Appends what is to be done when nothing else is.
    fn plan_rest(&mut self, now: Instant, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        if self.nexthops.is_untidy() {
            self.nexthops.tidy(max, work, out);
        }
        if out.is_empty() && !work.is_over() {
            self.plan_merges(now, max, work, out);
            // Of those that were merged, some may have had no routes.
            if out.is_empty() && !work.is_over() && self.nexthops.is_untidy() {
                self.nexthops.tidy(max, work, out);
            }
        }
    }

    /// Whether what nothing uses can go, when nothing else is to do.
    fn is_quiet(&self) -> bool {
        let settled = self.converged && self.mode.may_write();
        settled && !self.is_in_doubt()
    }

    fn next_changes(&mut self, now: Instant, max: usize, work: &mut Work) -> Vec<Op> {
        let mut out = Vec::new();
        if !self.mode.may_write() {
            return out;
        }
        // A lost router is cut from its groups before anything that there can be thousands of, looks included. But nothing is written
        // that relies on nexthop objects while it is not known which there are.
        let is_in_doubt = self.is_in_doubt();
        if !is_in_doubt {
            self.nexthops.cut_lost(max, work, &mut out);
            if !out.is_empty() || work.is_over() {
                return out;
            }
        }
        let rest = self.holes.len().saturating_sub(max);
        out.extend(self.holes.drain(rest..).map(Op::Route));
        if !out.is_empty() {
            return out;
        }
        let mut tries = Work::part();
        self.due_retries(now, &mut tries);
        self.unfinished |= tries.is_over();
        if is_in_doubt {
            self.refusing.plan(now, max, work, &mut out);
            return out;
        }
        self.rescan |= self.nexthops.plan(now, max, work, &mut out);
        if !out.is_empty() || work.is_over() {
            return out;
        }
        self.refusing.plan(now, max, work, &mut out);
        if !out.is_empty() || work.is_over() {
            return out;
        }
        if self.is_walking() {
            self.walk(work);
            // Admitting routes may have brought up sets that have no group yet.
            if self.nexthops.is_dirty() {
                self.unfinished = true;
                return out;
            }
        }
        self.plan_routes::<V4>(max, work, &mut out);
        self.plan_routes::<V6>(max, work, &mut out);
        // What a walk is for may happen again and again, so that it never ends: only what has to, waits for it.
        if out.is_empty() && !work.is_over() {
            let is_walking = self.is_walking();
            self.plan_leftovers(max, !is_walking, work, &mut out);
        }
        out
    }

    /// Appends operations about queued prefixes until there are `max`, or none are left to look at in this step: many may be as they
    /// are wanted.
    fn plan_routes<K: Family>(&mut self, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        while out.len() < max && !work.is_over() {
            // Each makes one operation at most.
            let room = max - out.len();
            let table = K::table(self);
            let keys = table.queue.take(room);
            if keys.is_empty() {
                return;
            }
            black_box(keys.iter().fold(0, |all, &k| all ^ table.touch(k)));
            work.done(keys.len() + table.queue.cost());
            for k in keys {
                self.plan_route(k, out);
            }
        }
    }

    /// Appends what is to be done about a prefix, if anything.
    fn plan_route<K: Family>(&mut self, k: K, out: &mut Vec<Op>) {
        if !self.mode.installs {
            // The walk may not have come to it yet.
            self.desire(k, Want::NONE);
        }
        let Some(before) = K::table(self).get(k).copied() else {
            return;
        };
        let mut after = before;
        after.put(flag::QUEUED, false);
        if before.has(flag::WAITING) || self.is_right(&before) {
            if !before.has(flag::WAITING) {
                self.forget_failure(&mut after);
            }
            self.change(before, after);
            return;
        }
        let Some(action) = self.route_action(&before) else {
            // No group for it at the moment: whoever makes one asks for a rescan.
            if let Some(set) = before.wanted().as_set() {
                self.nexthops.starve(set, true);
            }
            self.forget_failure(&mut after);
            if let Some(entry) = K::table(self).get_mut(k) {
                *entry = after;
            }
            return;
        };
        after.installed = match action {
            RouteAction::Add(Target::Group(id)) | RouteAction::Replace(Target::Group(id)) => {
                Slot::group(id)
            }
            // Learned routes forward; those that refuse are not in these tables.
            RouteAction::Add(Target::Unreachable) | RouteAction::Replace(Target::Unreachable) => {
                Slot::OTHER
            }
            RouteAction::Delete => Slot::NONE,
        };
        out.push(Op::Route(RouteOp {
            prefix: k.prefix(),
            table: self.space.table,
            metric: self.space.metric,
            action,
            previous: before.installed,
        }));
        // Taken for done; `refused` takes it back.
        self.change(before, after);
    }

    fn route_action<K: Key>(&self, e: &Entry<K>) -> Option<RouteAction> {
        let want = e.wanted();
        let target = match want.as_set() {
            Some(set) => Target::Group(self.nexthops.sets[set].binding?),
            None => return Some(RouteAction::Delete),
        };
        Some(match e.installed {
            Slot::NONE => RouteAction::Add(target),
            _ => RouteAction::Replace(target),
        })
    }

    /// Refuses exactly these destinations from now on, by this table (`None`: the one it was).
    pub fn set_refused(
        &mut self,
        table: Option<u32>,
        wanted: impl IntoIterator<Item = (IpNet, Refusal)>,
    ) {
        self.replace_refused(table, wanted.into_iter().collect());
    }

    /// The same.
    pub fn replace_refused(&mut self, table: Option<u32>, wanted: RefusedSet) {
        if self.refusing.replace(table, wanted) {
            self.resync = Resync::Everything;
        }
    }

    /// Refuses destinations, or no more.
    pub fn change_refused(&mut self, changes: impl IntoIterator<Item = RefusalChange>) {
        // Who is aside looks at everything after the listing that ends that.
        let is_looked_at = !self.is_aside();
        for change in changes {
            self.refusing.change(change, is_looked_at);
        }
    }

    /// A router is known to be unreachable (BFD, session down) or reachable again. Its share of every group goes to the
    /// other members, by one message for all of them and before the RIB has looked at a single prefix. Routes that have
    /// no other way stay as they are.
    pub fn set_nexthop_down(&mut self, gateway: IpAddr, ifindex: u32, down: bool) {
        self.nexthops.set_down(gateway, ifindex, down);
    }

    /// When [`Self::next_batch`] is worth asking again although nothing happens.
    pub fn next_retry(&self) -> Option<Instant> {
        if !self.mode.may_write() {
            return None;
        }
        let all = [
            self.failing.next_retry(),
            self.nexthops.next_retry(),
            self.refusing.next_retry(),
            self.merging
                .next()
                .filter(|_| self.converged && !self.is_in_doubt()),
        ];
        all.into_iter().flatten().min()
    }

    /// What has to be listed and handed to [`Self::resync`]; asking clears it.
    pub fn take_resync(&mut self) -> Resync {
        std::mem::take(&mut self.resync)
    }
}

/// A nexthop as it was asked for.
fn as_nexthop(object: &Object, weight: u8) -> FibNexthop {
    FibNexthop {
        gateway: object.gateway,
        ifindex: object.ifindex,
        weight: std::num::NonZeroU8::new(weight).unwrap_or(std::num::NonZeroU8::MIN),
        onlink: object.onlink,
    }
}
