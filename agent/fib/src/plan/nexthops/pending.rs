//! What has to be looked at because something changed: the plan costs in proportion to that, not to what there is.
//!
//! An object that changed waits for its sets to be looked at (*spread*). Sets go through two queues: *equip* (are the objects there that it needs?), then *settle* (what is it effectively, and which
//! group has that?). Each is in a queue [once](super::once).

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::failure::next_due;
use super::super::work::Work;
use super::Nexthops;
use super::once::Once;
use crate::hash::HashSet;

/// What waits for its next try.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    Object(u32),
    Set(usize),
}

/// What there is, as far as it has not been looked at.
#[derive(Debug, Default)]
struct All {
    objects: usize,
    sets: usize,
    groups: Vec<u32>,
}

impl All {
    fn is_empty(&self) -> bool {
        self.objects == 0 && self.sets == 0 && self.groups.is_empty()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Objects that are down and may be cut.
    cut: Once,
    /// Objects whose sets have to be looked at.
    spread: Once,
    /// What is left of a look at everything; and at whether everything is of use.
    all: All,
    all_loose: All,
    equip: Once,
    settle: Once,
    /// Groups whose routes may all want the same other thing.
    morph: Once<HashSet<u32>>,
    /// Sets that are settled, and for which a group is to be found.
    bind: Once,
    /// Sets that have become something else effectively.
    changed: Once,
    /// Routes may have to be looked at that are not queued.
    pub(super) rescan: bool,
    /// Sets, groups and objects that may be of no use any more.
    loose_sets: Once,
    loose_groups: Once<HashSet<u32>>,
    loose_objects: Once,
    retries: BTreeMap<Instant, Vec<Waiting>>,
}

impl Pending {
    /// A set whose objects, or whose being wanted, changed.
    pub(super) fn equip(&mut self, set: usize) {
        self.equip.push(set as u32);
    }

    /// A set whose group changed.
    pub(super) fn settle(&mut self, set: usize) {
        self.settle.push(set as u32);
    }

    /// A set that is settled.
    pub(super) fn bind(&mut self, set: usize) {
        self.bind.push(set as u32);
    }

    /// A set that is something else effectively.
    pub(super) fn changed(&mut self, set: usize) {
        self.changed.push(set as u32);
    }

    /// A group whose routes, or what they want, changed.
    pub(super) fn morph(&mut self, group: u32) {
        self.morph.push(group);
    }

    pub(super) fn next_to_equip(&mut self) -> Option<usize> {
        self.equip.pop_first().map(|set| set as usize)
    }

    pub(super) fn next_to_settle(&mut self) -> Option<usize> {
        self.settle.pop_first().map(|set| set as usize)
    }

    pub(super) fn next_to_bind(&mut self) -> Option<usize> {
        self.bind.pop_first().map(|set| set as usize)
    }

    pub(super) fn next_changed(&mut self) -> Option<usize> {
        self.changed.pop_last().map(|set| set as usize)
    }

    pub(super) fn next_to_morph(&mut self) -> Option<u32> {
        self.morph.pop_last()
    }

    /// Whether there is something for [`Nexthops::plan`].
    fn is_something(&self) -> bool {
        self.rescan
            || !(self.cut.is_empty()
                && self.spread.is_empty()
                && self.all.is_empty()
                && self.equip.is_empty()
                && self.settle.is_empty()
                && self.morph.is_empty()
                && self.bind.is_empty()
                && self.changed.is_empty())
    }

    fn is_loose(&self) -> bool {
        !(self.all_loose.is_empty()
            && self.loose_sets.is_empty()
            && self.loose_groups.is_empty()
            && self.loose_objects.is_empty())
    }

    /// Whether there is an object that may be cut.
    pub(super) fn has_to_cut(&self) -> bool {
        !self.cut.is_empty()
    }

    /// Something failed, and is worth another try then.
    pub(super) fn retry_at(&mut self, at: Instant, what: Waiting) {
        self.retries.entry(at).or_default().push(what);
    }
}

impl Nexthops {
    /// Whether something changed that [`Nexthops::plan`] has to look at.
    pub(in super::super) fn is_dirty(&self) -> bool {
        self.dirty || self.pending.is_something() || self.following.is_something()
    }

    /// Whether there is something for [`Nexthops::cut_lost`].
    pub(in super::super) fn may_cut(&self) -> bool {
        self.pending.has_to_cut()
            || !self.pending.spread.is_empty()
            || self.following.is_something()
    }

    /// Whether something may have become unused.
    pub(in super::super) fn is_untidy(&self) -> bool {
        self.untidy || !self.garbage.is_empty() || self.pending.is_loose()
    }

    /// Everything has to be looked at.
    pub(super) fn look_at_all(&mut self) {
        self.pending.all = self.all();
    }

    /// Goes on with a look at everything. Whether there was anything left of it.
    pub(super) fn look_at_all_some(&mut self, work: &mut Work) -> bool {
        let is_under_way = !self.pending.all.is_empty();
        while !work.is_over() && !self.pending.all.is_empty() {
            work.done(1);
            if let Some(object) = self.pending.all.objects.checked_sub(1) {
                self.pending.all.objects = object;
                if self.may_have_to_be_cut(object as u32) {
                    self.may_be_cut(object as u32);
                }
            } else if let Some(set) = self.pending.all.sets.checked_sub(1) {
                self.pending.all.sets = set;
                self.pending.equip(set);
            } else if let Some(group) = self.pending.all.groups.pop() {
                self.pending.morph(group);
            }
        }
        is_under_way
    }

    /// Everything may be of no use.
    pub(super) fn all_are_loose(&mut self) {
        self.pending.all_loose = self.all();
    }

    fn all(&self) -> All {
        All {
            objects: self.objects.len(),
            sets: self.sets.len(),
            groups: self.groups.keys().copied().collect(),
        }
    }

    /// Goes on with a look at whether everything is of use.
    pub(super) fn all_are_loose_some(&mut self, work: &mut Work) {
        while !work.is_over() && !self.pending.all_loose.is_empty() {
            work.done(1);
            if let Some(group) = self.pending.all_loose.groups.pop() {
                self.group_is_loose(group);
            } else if let Some(object) = self.pending.all_loose.objects.checked_sub(1) {
                self.pending.all_loose.objects = object;
                self.object_is_loose(object as u32);
            } else if let Some(set) = self.pending.all_loose.sets.checked_sub(1) {
                self.pending.all_loose.sets = set;
                self.set_is_loose(set);
            }
        }
    }

    /// The sets of an object have to be looked at.
    pub(super) fn has_to_spread(&mut self, object: u32) {
        self.pending.spread.push(object);
    }

    pub(super) fn next_to_spread(&mut self) -> Option<u32> {
        self.pending.spread.pop_first()
    }

    /// An object is down, and what has it changed.
    pub(super) fn may_be_cut(&mut self, object: u32) {
        self.pending.cut.push(object);
    }

    pub(super) fn next_to_cut(&mut self) -> Option<u32> {
        self.pending.cut.pop_last()
    }

    /// An object may be of no use any more.
    pub(super) fn object_is_loose(&mut self, object: u32) {
        self.pending.loose_objects.push(object);
    }

    pub(super) fn next_loose_object(&mut self) -> Option<u32> {
        self.pending.loose_objects.pop_last()
    }

    /// A group may be of no use any more.
    pub(super) fn group_is_loose(&mut self, id: u32) {
        self.pending.loose_groups.push(id);
    }

    pub(super) fn next_loose_group(&mut self) -> Option<u32> {
        self.pending.loose_groups.pop_last()
    }

    /// A set may be of no use any more.
    pub(in super::super) fn set_is_loose(&mut self, set: usize) {
        self.pending.loose_sets.push(set as u32);
    }

    /// How many sets may be of no use any more.
    pub(super) fn loose_sets(&self) -> usize {
        self.pending.loose_sets.len()
    }

    /// How many objects may be of no use any more.
    pub(super) fn loose_objects(&self) -> usize {
        self.pending.loose_objects.len()
    }

    pub(super) fn next_loose_set(&mut self) -> Option<usize> {
        self.pending.loose_sets.pop_last().map(|set| set as usize)
    }

    /// What waits in all queues.
    #[cfg(test)]
    pub(in super::super) fn queued(&self) -> usize {
        let p = &self.pending;
        let sets = [&p.equip, &p.settle, &p.bind, &p.changed, &p.loose_sets];
        let objects = [&p.cut, &p.spread, &p.loose_objects];
        let groups = p.morph.len() + p.loose_groups.len();
        let others = sets.into_iter().chain(objects).map(Once::len);
        others.sum::<usize>() + groups
    }

    /// When the next object or group is worth another try.
    pub(in super::super) fn next_retry(&self) -> Option<Instant> {
        self.pending.retries.keys().next().copied()
    }

    /// Looks again at what has waited for long enough.
    pub(in super::super) fn due_retries(&mut self, now: Instant, work: &mut Work) {
        while !work.is_over()
            && let Some(waiting) = next_due(&mut self.pending.retries, now)
        {
            work.done(1);
            match waiting {
                Waiting::Object(object) => self.has_to_spread(object),
                Waiting::Set(set) => self.pending.equip(set),
            }
        }
    }
}
