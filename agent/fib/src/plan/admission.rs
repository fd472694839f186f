//! Which wanted routes may enter the kernel: guard rails and the limit, and what happens when they change.
//!
//! What concerns all prefixes is a walk over them, some at a time: whoever has the plan keeps others waiting. A
//! walk that is asked for while one is under way goes on to where that one is now, once around.

use ipnet::IpNet;

use super::key::{AnyKey, V4, V6, key};
use super::table::{Entry, SHARDS, Want, flag};
use super::work::{LOOKS, Work};
use super::{Family, Plan};
use crate::guard::{GuardRails, Replaced};

/// Prefixes that are looked at in one go, and some more: shards are not left half way. Less than a millisecond.
///
/// Tests have few, and a walk has to be interrupted.
const SLICE: usize = if cfg!(test) { 2 } else { 1024 };

/// A walk over the shards of both tables.
#[derive(Debug, Default)]
pub(super) struct Walk {
    at: usize,
    left: usize,
}

impl Walk {
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        self.at = (at + 1) % (2 * SHARDS);
        Some(at)
    }
}

impl Plan {
    /// Replaces the guard rails and applies them to everything that is wanted and that they are about.
    pub fn set_guard_rails(&mut self, guard: GuardRails) {
        match self.guard.replace(guard) {
            Replaced::Nothing => {}
            Replaced::Networks { services, foreign } if services.iter().all(is_host) => {
                for net in services.into_iter().chain(foreign) {
                    match key(net) {
                        AnyKey::V4(k) => self.readmit(k),
                        AnyKey::V6(k) => self.readmit(k),
                    }
                }
            }
            Replaced::Networks { .. } | Replaced::Everything => self.rescan = true,
        }
    }

    /// Applies the guard rails to a prefix once more, and convergence.
    fn readmit<K: Family>(&mut self, k: K) {
        if let Some(before) = K::table_ref(self).get(k).copied() {
            let mut after = before;
            after.put(flag::STALE, before.has(flag::STALE) && !self.converged);
            self.admit(&mut after);
            if after.flags != before.flags || !self.is_right(&after) {
                self.change(before, after);
            }
        }
    }

    /// The guard rails in force.
    pub fn guard_rails(&self) -> &GuardRails {
        self.guard.source()
    }

    /// Whether [`Plan::next_batch`] has more to look at, whatever it returned.
    pub fn is_walking(&self) -> bool {
        let looks = self.has_to_walk() || self.has_room() || self.unfinished;
        self.forgets || self.mode.may_write() && looks
    }

    /// Whether not all prefixes were looked at that have to be.
    pub(super) const fn has_to_walk(&self) -> bool {
        self.rescan || self.walk.left > 0
    }

    /// Looks at some more of the prefixes of which nothing is wanted since routes are not installed any more. Whether that was all. To
    /// be asked until it is before they are installed again: [`Plan::set_space`] would look at all of them at once.
    pub fn finish_walk(&mut self) -> bool {
        if !self.mode.installs && self.has_to_walk() {
            self.walk(&mut Work::step());
        }
        self.mode.installs || !self.has_to_walk()
    }

    /// Whether a route that only the limit keeps out could come in.
    fn has_room(&self) -> bool {
        let max = self.guard.source().max_routes;
        self.mode.installs && !self.limited.is_empty() && max.is_none_or(|max| self.counted < max)
    }

    /// Looks at some prefixes again: all of them step by step after a rescan was asked for, and those for which there is room.
    pub(super) fn walk(&mut self, work: &mut Work) {
        if std::mem::take(&mut self.rescan) {
            self.walk.left = 2 * SHARDS;
        }
        let mut seen = 0;
        while seen < SLICE
            && let Some(shard) = self.walk.next()
        {
            seen += match shard.checked_sub(SHARDS) {
                None => self.walk_shard::<V4>(shard),
                Some(shard) => self.walk_shard::<V6>(shard),
            };
        }
        while seen < SLICE {
            let next = if self.has_room() {
                self.limited.pop_first()
            } else {
                None
            };
            match next.map(key) {
                Some(AnyKey::V4(k)) => self.readmit(k),
                Some(AnyKey::V6(k)) => self.readmit(k),
                None => break,
            }
            seen += 1;
        }
        // A walk may never end: routes are planned in the other half of the step.
        work.done(seen.min(LOOKS / 2));
    }

    fn walk_shard<K: Family>(&mut self, shard: usize) -> usize {
        let entries = K::table_ref(self).shard(shard);
        let keys: Vec<K> = entries.map(|e| e.key).collect();
        for &k in &keys {
            match self.mode.installs {
                true => self.readmit(k),
                false => self.desire(k, Want::NONE),
            }
        }
        keys.len()
    }

    /// Applies the guard rails to an entry.
    pub(super) fn admit<K: Family>(&mut self, e: &mut Entry<K>) {
        let learned = e.desired.as_set().is_some();
        let refused = learned && self.guard.check(e.key.prefix()).is_some();
        e.put(flag::REFUSED, refused);
        let counts = learned && !refused;
        let max = self.guard.source().max_routes;
        let room = max.is_none_or(|max| self.counted < max);
        if counts && e.has(flag::COUNTED) && max.is_some_and(|max| self.counted > max) {
            // The limit was lowered: whoever is looked at first goes, until it holds.
            self.counted -= 1;
            e.put(flag::COUNTED, false);
        }
        match (counts, e.has(flag::COUNTED)) {
            (true, false) if room => {
                self.counted += 1;
                e.put(flag::COUNTED, true);
            }
            (false, true) => {
                self.counted -= 1;
                e.put(flag::COUNTED, false);
            }
            _ => {}
        }
        let limited = counts && !e.has(flag::COUNTED);
        match (limited, e.has(flag::LIMITED)) {
            (true, false) => {
                self.limited.insert(e.key.prefix());
            }
            (false, true) => {
                self.limited.remove(&e.key.prefix());
            }
            _ => {}
        }
        e.put(flag::LIMITED, limited);
    }
}

fn is_host(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}
