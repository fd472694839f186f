//! What the kernel refused, and when it is tried again.
//!
//! - A prefix has a record here exactly as long as its entry has [`flag::FAILED`], and waits for its next attempt while it has
//!   [`flag::WAITING`].
//! - Most refusals say that a nexthop object or group is gone, of which the kernel gives no notice when it removes it with an
//!   interface. So a first refusal is not a failure yet: nexthop objects are *in doubt* until they are listed, nothing that
//!   relies on them is written before that, and then it shows whether the route was refused or only its group was gone.

use std::collections::BTreeMap;
use std::time::Instant;

use ipnet::IpNet;

use super::failure::{Failure, next_due};
use super::key::{AnyKey, Key, key};
use super::resync::Resync;
use super::table::{Entry, flag};
use super::work::Work;
use super::{Family, Plan};
use crate::hash::HashMap;
use crate::kernel::op::Slot;
use crate::kernel::op::{Op, RouteAction, RouteOp, Target};
use crate::types::KernelError;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Failing {
    records: HashMap<IpNet, Failure>,
    retries: BTreeMap<Instant, Vec<IpNet>>,
    /// Nexthop objects may be other than they are thought to be.
    in_doubt: bool,
    /// What was refused for the first time since.
    suspects: Vec<Suspect>,
}

/// What was refused, perhaps only because something that it relied on was gone.
#[derive(Debug)]
enum Suspect {
    Route(Instant, RouteOp, KernelError),
    /// A new group: the ids of its members, and the sets that were to use it.
    Group(Instant, Vec<u32>, Vec<u32>, KernelError),
    /// A change of this group, to these members.
    Change(u32, Vec<u32>),
}

impl Failing {
    /// How many prefixes have a record.
    pub(super) fn count(&self) -> u64 {
        self.records.len() as u64
    }

    /// The record of a prefix.
    pub(super) fn of(&self, prefix: IpNet) -> Option<&Failure> {
        self.records.get(&prefix)
    }

    /// Any of the records.
    pub(super) fn example(&self) -> Option<(IpNet, &KernelError)> {
        let (&prefix, failure) = self.records.iter().next()?;
        Some((prefix, &failure.error))
    }

    /// When the first of them is tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.keys().next().copied()
    }
}

impl Plan {
    /// Whether nexthop objects have to be listed before anything is written that relies on them.
    pub fn is_in_doubt(&self) -> bool {
        self.failing.in_doubt
    }

    /// Nexthop objects may be other than they are thought to be.
    pub fn doubt_nexthops(&mut self) {
        self.failing.in_doubt = true;
        self.resync = self.resync.max(Resync::Nexthops);
    }

    /// Notifications were lost: anything may be other than it is thought to be.
    pub fn doubt_everything(&mut self) {
        self.failing.in_doubt = true;
        self.resync = Resync::Everything;
    }

    /// Nexthop objects have been listed. What was refused although all that it relied on is there has failed.
    pub(super) fn doubt_is_over(&mut self) {
        self.failing.in_doubt = false;
        for suspect in std::mem::take(&mut self.failing.suspects) {
            match suspect {
                Suspect::Route(at, op, error) => self.suspect_route(at, &op, error),
                Suspect::Group(at, members, sets, error) => {
                    if self.are_there(&members) {
                        self.counters.errors += 1;
                        self.nexthops.group_failed(at, sets, &error);
                    }
                }
                Suspect::Change(id, members) => {
                    if self.are_there(&members) && self.nexthops.groups.contains_key(&id) {
                        self.counters.errors += 1;
                        // Its routes are moved one by one.
                        self.nexthops.is_stuck(id);
                    }
                }
            }
        }
    }

    fn suspect_route(&mut self, at: Instant, op: &RouteOp, error: KernelError) {
        if (op.table, op.metric) != (self.space.table, self.space.metric) {
            return;
        }
        let Some(id) = target(op).filter(|id| self.nexthops.groups.contains_key(id)) else {
            return;
        };
        self.counters.errors += 1;
        match key(op.prefix) {
            AnyKey::V4(k) if self.would_lead_to(k, id) => self.route_failed(at, k, error),
            AnyKey::V6(k) if self.would_lead_to(k, id) => self.route_failed(at, k, error),
            AnyKey::V4(_) | AnyKey::V6(_) => {}
        }
    }

    /// Whether the next operation on a prefix would lead it to this group.
    fn would_lead_to<K: Family>(&self, k: K, id: u32) -> bool {
        let entry = K::table_ref(self).get(k).filter(|e| !self.is_right(e));
        let action = entry.and_then(|entry| self.route_action(entry));
        matches!(action, Some(RouteAction::Add(t) | RouteAction::Replace(t)) if t == Target::Group(id))
    }

    /// Whether the kernel has all these objects.
    fn are_there(&self, ids: &[u32]) -> bool {
        ids.iter().all(|&id| self.nexthops.owner(id).is_some())
    }

    /// The kernel refused `op`, the last or an earlier one of the last batch.
    pub fn refused(&mut self, now: Instant, op: &Op, error: KernelError) {
        match op {
            Op::Route(op) => match key(op.prefix) {
                AnyKey::V4(k) => self.route_refused(now, k, op, error),
                AnyKey::V6(k) => self.route_refused(now, k, op, error),
            },
            Op::Refuse(op) => {
                self.counters.errors += 1;
                let doubt = self.refusing.refused_route(now, op, error);
                self.resync = self.resync.max(doubt);
            }
            Op::Rule(action, rule) => {
                self.counters.errors += 1;
                let doubt = self.refusing.refused_rule(now, *action, rule, error);
                self.resync = self.resync.max(doubt);
            }
            Op::AddObject { id, .. } => {
                self.counters.errors += 1;
                self.nexthops.object_refused(now, *id, error);
            }
            Op::AddGroup { id, members } => self.group_refused(now, *id, members, error),
            // The group is not what it was thought to be, or not there at all.
            Op::ReplaceGroup { id, members } => {
                let members = members.iter().map(|m| m.0).collect();
                self.failing.suspects.push(Suspect::Change(*id, members));
                self.doubt_nexthops();
            }
            Op::DeleteNexthop { .. } if error.errno == libc::ENOENT => {}
            Op::DeleteNexthop { .. } => {
                self.counters.errors += 1;
                self.doubt_nexthops();
            }
        }
    }

    fn route_refused<K: Family>(&mut self, now: Instant, k: K, op: &RouteOp, error: KernelError) {
        let gone = matches!(error.errno, libc::ESRCH | libc::ENOENT);
        let is_elsewhere = (op.table, op.metric) != (self.space.table, self.space.metric);
        // A blackhole that an earlier version left is in no table of ours.
        let is_unknown = op.action == RouteAction::Delete && op.previous == Slot::NONE;
        if is_elsewhere || is_unknown {
            // A leftover that is still there: a listing finds it again.
            if !gone {
                self.counters.errors += 1;
                self.resync = Resync::Everything;
            }
            return;
        }
        if op.action == RouteAction::Delete && gone {
            return;
        }
        let before = *K::table(self).entry(k);
        let mut after = before;
        match op.action {
            RouteAction::Add(_) => after.installed = Slot::NONE,
            // Somebody removed ours: add it.
            RouteAction::Replace(_) if gone => {
                after.installed = Slot::NONE;
                self.counters.repairs += 1;
                return self.change(before, after);
            }
            RouteAction::Replace(_) | RouteAction::Delete => after.installed = op.previous,
        }
        self.change(before, after);
        let is_first = !before.has(flag::FAILED) && error.errno != libc::EEXIST;
        if is_first && target(op).is_some() {
            self.failing.suspects.push(Suspect::Route(now, *op, error));
            self.doubt_nexthops();
            return;
        }
        self.counters.errors += 1;
        self.route_failed(now, k, error);
    }

    /// Records that the kernel refuses what is wanted for a prefix, and when it is tried again.
    fn route_failed<K: Family>(&mut self, now: Instant, k: K, error: KernelError) {
        let prefix = k.prefix();
        let Some(before) = K::table_ref(self).get(k).copied() else {
            return;
        };
        let last = self.failing.records.remove(&prefix);
        let was_taken = last.as_ref().is_some_and(|f| f.error.errno == libc::EEXIST);
        let failure = Failure::record(last, error, now);
        if failure.error.errno == libc::EEXIST && !was_taken {
            // What was believed of the kernel is wrong: there is a route already.
            self.resync = Resync::Everything;
        }
        let retries = &mut self.failing.retries;
        retries.entry(failure.retry_at).or_default().push(prefix);
        self.failing.records.insert(prefix, failure);
        let mut after = before;
        after.put(flag::FAILED | flag::WAITING, true);
        self.change(before, after);
    }

    fn group_refused(&mut self, now: Instant, id: u32, members: &[(u32, u8)], error: KernelError) {
        let (sets, again) = self.nexthops.group_refused(id);
        if error.errno == libc::EEXIST {
            self.counters.errors += 1;
            self.nexthops.taken.insert(id);
            return;
        }
        // Most likely one of its members is gone.
        self.doubt_nexthops();
        if again {
            self.counters.errors += 1;
            self.nexthops.group_failed(now, sets, &error);
        } else {
            let members = members.iter().map(|m| m.0).collect();
            let suspect = Suspect::Group(now, members, sets, error);
            self.failing.suspects.push(suspect);
        }
    }

    /// The last batch went through, but for what was [`refused`](Self::refused): failures of what now exists are over.
    pub fn carried_out(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                // Hardly ever is there a failure to be forgotten.
                Op::Route(_) if self.failing.records.is_empty() => return,
                Op::Route(op) => match key(op.prefix) {
                    AnyKey::V4(k) => self.route_carried_out(k),
                    AnyKey::V6(k) => self.route_carried_out(k),
                },
                Op::AddObject { id, .. } | Op::AddGroup { id, .. } => self.nexthops.was_made(*id),
                Op::Refuse(_) | Op::Rule(..) => self.refusing.carried_out(op),
                Op::ReplaceGroup { .. } | Op::DeleteNexthop { .. } => {}
            }
        }
    }

    fn route_carried_out<K: Family>(&mut self, k: K) {
        if let Some(before) = K::table_ref(self).get(k).copied()
            && before.has(flag::FAILED)
            && !before.has(flag::WAITING)
        {
            self.forget_failure_of(before.key);
        }
    }

    /// Lets those try again whose time has come.
    pub(super) fn due_retries(&mut self, now: Instant, work: &mut Work) {
        while !work.is_over()
            && let Some(prefix) = next_due(&mut self.failing.retries, now)
        {
            work.done(1);
            let record = self.failing.records.get(&prefix);
            // It may have failed anew since it was put down for this moment.
            if record.is_none_or(|failure| failure.retry_at > now) {
                continue;
            }
            match key(prefix) {
                AnyKey::V4(k) => self.retry(k),
                AnyKey::V6(k) => self.retry(k),
            }
        }
        self.nexthops.due_retries(now, work);
    }

    /// Tries again now what waits for its next attempt.
    pub(super) fn retry<K: Family>(&mut self, k: K) {
        if let Some(before) = K::table_ref(self).get(k).copied()
            && before.has(flag::WAITING)
        {
            let mut after = before;
            if self.is_right(&after) {
                self.forget_failure(&mut after);
            }
            // The record stays until it went well: the next wait depends on it.
            after.put(flag::WAITING, false);
            self.change(before, after);
        }
    }

    /// What failed in another place may do here: all of it is tried at once.
    pub(super) fn forget_failures(&mut self) {
        let failed: Vec<IpNet> = self.failing.records.keys().copied().collect();
        for prefix in failed {
            match key(prefix) {
                AnyKey::V4(k) => self.forget_failure_of(k),
                AnyKey::V6(k) => self.forget_failure_of(k),
            }
        }
        self.failing.retries.clear();
    }

    fn forget_failure_of<K: Family>(&mut self, k: K) {
        if let Some(before) = K::table_ref(self).get(k).copied() {
            let mut after = before;
            self.forget_failure(&mut after);
            self.change(before, after);
        }
    }

    /// Whatever failed is over, or is to be tried at once.
    pub(super) fn forget_failure<K: Key>(&mut self, e: &mut Entry<K>) {
        if e.has(flag::FAILED) {
            e.put(flag::FAILED | flag::WAITING, false);
            self.failing.records.remove(&e.key.prefix());
        }
    }

    /// Whether there is a record of exactly those prefixes whose entries say so.
    #[cfg(test)]
    pub(super) fn records_are_in_order(&self) -> bool {
        let v4 = self.v4.iter().filter(|e| e.has(flag::FAILED));
        let v6 = self.v6.iter().filter(|e| e.has(flag::FAILED));
        let flagged: Vec<IpNet> = v4
            .map(|e| e.key.prefix())
            .chain(v6.map(|e| e.key.prefix()))
            .collect();
        let recorded = |prefix: &IpNet| self.failing.records.contains_key(prefix);
        flagged.len() == self.failing.records.len() && flagged.iter().all(recorded)
    }
}

/// The group that an operation leads a route to.
fn target(op: &RouteOp) -> Option<u32> {
    match op.action {
        RouteAction::Add(Target::Group(id)) | RouteAction::Replace(Target::Group(id)) => Some(id),
        RouteAction::Add(Target::Unreachable)
        | RouteAction::Replace(Target::Unreachable)
        | RouteAction::Delete => None,
    }
}
