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
mod batch;
mod failing;
mod failure;
mod key;
mod leftovers;
mod listing;
mod merge;
mod nexthops;
mod queue;
mod refusing;
mod resync;
mod space;
mod stack;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod wishes;
mod work;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::guard::{CompiledGuardRails, GuardRails};
use crate::kernel::op::Slot;
pub use crate::kernel::op::{Object, Op, RouteAction, RouteOp, RuleAction, Target};
use crate::refusal::{Refusal, RefusalChange};
use crate::types::FibCounters;
pub use crate::types::RouteSpace;
use admission::Walk;
use failing::Failing;
use key::{Key, V4, V6};
use leftovers::Leftovers;
pub use listing::ListedNexthops;
use listing::Listing;
use merge::Merging;
use nexthops::Nexthops;
use refusing::Refusing;
pub use refusing::{RefusalStatus, RefusedSet};
pub use resync::Resync;
use space::Mode;
pub use status::FibNexthopStatus;
use table::{Entry, Table, Want, flag};
use wishes::Interned;

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
    /// A listing of everything was asked for, and has not come to its end.
    owes_listing: bool,
    counters: FibCounters,
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
            owes_listing: false,
            counters: FibCounters::default(),
        }
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

    /// The RIB has lost a router with its last peer (`down`), or uses it again. Its share of every group goes to the
    /// other members, by one message for all of them and before the RIB has looked at a single prefix. Routes that have
    /// no other way stay as they are. A router that BFD has lost as well stays lost until BFD has it back.
    pub fn set_nexthop_down(&mut self, gateway: IpAddr, ifindex: u32, down: bool) {
        self.nexthops.set_lost_by_rib(gateway, ifindex, down);
    }

    /// The same as BFD says, independent of what the RIB says: `down` until the opposite is said, also where the BFD
    /// session is removed. `ifindex`: that of a single-hop session; `None` (multihop): the router via any interface.
    pub fn set_bfd_down(&mut self, gateway: IpAddr, ifindex: Option<u32>, down: bool) {
        self.nexthops.set_lost_by_bfd(gateway, ifindex, down);
    }

    /// What has to be listed and handed to [`Self::resync`]; asking clears it.
    pub fn take_resync(&mut self) -> Resync {
        self.owes_listing |= self.resync == Resync::Everything;
        std::mem::take(&mut self.resync)
    }
}
