//! The difference between what is wanted and what is installed, as the next operations.

use std::hint::black_box;
use std::time::Instant;

use super::key::{Key, V4, V6};
use super::table::{Entry, Want, flag};
use super::work::Work;
use super::{Family, Plan};
use crate::kernel::op::{Op, RouteAction, RouteOp, Slot, Target};

impl Plan {
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

    pub(super) fn route_action<K: Key>(&self, e: &Entry<K>) -> Option<RouteAction> {
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
}
