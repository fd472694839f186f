//! Groups with equal members become one again, once none has been changed for a while.
//!
//! Wishes change prefix by prefix, so that during a change some routes of a group want one thing and some another. Groups then
//! divide, and at its end several of them have the same members. The routes of each are right, but whatever happens to these members
//! has to be done to each of the groups. So the routes of the smaller ones are moved into the largest, each by one message that
//! replaces the route, and groups without routes are removed as all others are.
//!
//! Not while things change: a router that is lost and returns within [`QUIET`] finds the groups that it left.
//!
//! A group that lost all members but one to [a cut](super::nexthops) holds that one by its object for groups of several, which
//! therefore cannot be deleted when this router is lost as well. It gets the object for groups of one in the same pause.

use std::time::{Duration, Instant};

use super::key::{V4, V6};
use super::nexthops::Members;
use super::table::{Entry, SHARDS, flag};
use super::work::Work;
use super::{Family, Plan};
use crate::hash::HashMap;
use crate::kernel::op::Slot;
use crate::kernel::op::{Op, RouteAction, RouteOp, Target};

/// For how long no group must have changed. Links that flap and sessions that are reset are over by then.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// How many prefixes are looked at in one go, and a shard more: some 100 us.
const LOOK: usize = 8192;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Merging {
    /// When groups are compared; `None`: they have been since one was changed.
    due: Option<Instant>,
    /// Groups of one member below this id have been looked at.
    apart: u32,
    /// Contents of several groups that have not been compared; `None`: that has not begun.
    contents: Option<Vec<Members>>,
    /// Under way: which group's routes go into which.
    into: HashMap<u32, u32>,
    /// Shards of both tables that were looked at.
    at: [usize; 2],
    /// Whether a route was moved.
    moved: bool,
}

impl Merging {
    /// When there may be something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due
    }

    /// These changes come before. `settled`: there may be routes that want now what they have.
    pub(super) fn disturb(&mut self, now: Instant, ops: &[Op], settled: bool) {
        let is_of_nexthops = |op: &Op| match op {
            Op::AddObject { .. }
            | Op::AddGroup { .. }
            | Op::ReplaceGroup { .. }
            | Op::DeleteNexthop { .. } => true,
            Op::Route(_) | Op::Refuse(_) | Op::Rule(..) => false,
        };
        if ops.iter().any(is_of_nexthops) {
            *self = Self::default();
        }
        if settled || ops.iter().any(is_of_nexthops) {
            self.due.get_or_insert(now + QUIET);
        }
    }
}

impl Plan {
    /// Nexthop objects have been listed: groups may be others than they were.
    pub(super) fn merges_begin_again(&mut self) {
        self.merging = Merging {
            due: self.merging.due,
            ..Merging::default()
        };
        // A predecessor may have left some.
        self.nexthops.settled |= self.nexthops.has_equal_contents();
    }

    /// Appends what makes one group of several equal ones, at most `max` operations. To be asked when nothing else is to do.
    pub(super) fn plan_merges(
        &mut self,
        now: Instant,
        max: usize,
        work: &mut Work,
        out: &mut Vec<Op>,
    ) {
        let is_due = self.merging.due.is_some_and(|due| due <= now);
        if !is_due || !self.converged || self.is_in_doubt() {
            return;
        }
        let Merging {
            apart,
            contents,
            into,
            ..
        } = &mut self.merging;
        if contents.is_none() {
            self.nexthops.set_apart(now, max, apart, work, out);
            if !out.is_empty() || work.is_over() {
                return;
            }
        }
        let contents = contents.get_or_insert_with(|| self.nexthops.equal_contents());
        while let Some(content) = contents.pop() {
            self.nexthops.twins(&content, into, work);
            if work.is_over() {
                return;
            }
        }
        if !self.merging.into.is_empty() {
            self.move_routes::<V4>(0, max, out);
            self.move_routes::<V6>(1, max, out);
            self.merging.moved |= !out.is_empty();
            if self.merging.at != [SHARDS; 2] {
                return;
            }
        }
        // What was moved leaves groups to be removed, and what was written meanwhile may have been overlooked.
        self.merging = Merging {
            due: self.merging.moved.then(|| now + QUIET),
            ..Merging::default()
        };
    }

    /// Goes on through the shards of a table, and moves the routes of groups that are merged into others.
    fn move_routes<K: Family>(&mut self, family: usize, max: usize, out: &mut Vec<Op>) {
        let mut looked = 0;
        while looked < LOOK && out.len() < max && self.merging.at[family] < SHARDS {
            let into = &self.merging.into;
            let merged = |e: &Entry<K>| {
                let id = into.get(&e.installed.as_group()?)?;
                (!e.has(flag::QUEUED | flag::FAILED)).then_some((*e, *id))
            };
            let room = max - out.len();
            let shard = K::table_ref(self).shard(self.merging.at[family]);
            let shard = shard.inspect(|_| looked += 1);
            let found: Vec<(Entry<K>, u32)> = shard.filter_map(merged).take(room).collect();
            // What was moved is not found again, should there be more than room.
            self.merging.at[family] += usize::from(found.len() < room);
            for (before, id) in found {
                out.push(Op::Route(RouteOp {
                    prefix: before.key.prefix(),
                    table: self.space.table,
                    metric: self.space.metric,
                    action: RouteAction::Replace(Target::Group(id)),
                    previous: before.installed,
                }));
                let mut after = before;
                after.installed = Slot::group(id);
                self.change(before, after);
            }
        }
    }
}
