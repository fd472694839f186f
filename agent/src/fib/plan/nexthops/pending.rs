//! What has to be looked at because something changed: the plan costs in proportion to that, not to what there is.
//!
//! An object that changed waits for its sets to be looked at (*spread*). Sets go through two queues: *equip* (are the objects there that it needs?), then *settle* (what is it effectively, and which
//! group has that?). Each is in a queue or list once, but for groups to be looked at by the very next plan.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::super::failing::next_due;
use super::super::work::Work;
use super::{Nexthops, Set};

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
    cut: Vec<u32>,
    /// Objects whose sets have to be looked at.
    spread: VecDeque<u32>,
    /// What is left of a look at everything; and at whether everything is of use.
    all: All,
    all_loose: All,
    equip: VecDeque<usize>,
    settle: VecDeque<usize>,
    /// Groups whose routes may all want the same other thing.
    pub(super) morph: Vec<u32>,
    /// Sets that are settled, and for which a group is to be found.
    pub(super) bind: VecDeque<usize>,
    /// Sets that have become something else effectively.
    pub(super) changed: Vec<usize>,
    /// Routes may have to be looked at that are not queued.
    pub(super) rescan: bool,
    /// Sets, groups and objects that may be of no use any more.
    loose_sets: Vec<usize>,
    loose_groups: Vec<u32>,
    loose_objects: Vec<u32>,
    retries: BTreeMap<Instant, Vec<Waiting>>,
}

impl Pending {
    /// A set whose objects, or whose being wanted, changed.
    pub(super) fn equip(&mut self, sets: &mut [Set], set: usize) {
        if !std::mem::replace(&mut sets[set].to_equip, true) {
            self.equip.push_back(set);
        }
    }

    /// A set whose group changed.
    pub(super) fn settle(&mut self, sets: &mut [Set], set: usize) {
        if !std::mem::replace(&mut sets[set].to_settle, true) {
            self.settle.push_back(set);
        }
    }

    pub(super) fn next_to_equip(&mut self, sets: &mut [Set]) -> Option<usize> {
        let set = self.equip.pop_front()?;
        sets[set].to_equip = false;
        Some(set)
    }

    pub(super) fn next_to_settle(&mut self, sets: &mut [Set]) -> Option<usize> {
        let set = self.settle.pop_front()?;
        sets[set].to_settle = false;
        Some(set)
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

    /// Whether something may have become unused.
    pub(in super::super) fn is_untidy(&self) -> bool {
        self.untidy || !self.garbage.is_empty() || self.pending.is_loose()
    }

    /// Everything has to be looked at.
    pub(super) fn look_at_all(&mut self) {
        self.pending.morph = self.groups.keys().copied().collect();
        self.pending.all = All {
            objects: self.objects.len(),
            sets: self.sets.len(),
            groups: Vec::new(),
        };
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
                self.pending.equip(&mut self.sets, set);
            }
        }
        is_under_way
    }

    /// Everything may be of no use.
    pub(super) fn all_are_loose(&mut self) {
        self.pending.all_loose = All {
            objects: self.objects.len(),
            sets: self.sets.len(),
            groups: self.groups.keys().copied().collect(),
        };
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
        if !std::mem::replace(&mut self.objects[object as usize].to_spread, true) {
            self.pending.spread.push_back(object);
        }
    }

    pub(super) fn next_to_spread(&mut self) -> Option<u32> {
        let object = self.pending.spread.pop_front()?;
        self.objects[object as usize].to_spread = false;
        Some(object)
    }

    /// An object is down, and what has it changed.
    pub(super) fn may_be_cut(&mut self, object: u32) {
        if !std::mem::replace(&mut self.objects[object as usize].to_cut, true) {
            self.pending.cut.push(object);
        }
    }

    pub(super) fn next_to_cut(&mut self) -> Option<u32> {
        let object = self.pending.cut.pop()?;
        self.objects[object as usize].to_cut = false;
        Some(object)
    }

    /// An object may be of no use any more.
    pub(super) fn object_is_loose(&mut self, object: u32) {
        if !std::mem::replace(&mut self.objects[object as usize].loose, true) {
            self.pending.loose_objects.push(object);
        }
    }

    pub(super) fn next_loose_object(&mut self) -> Option<u32> {
        let object = self.pending.loose_objects.pop()?;
        self.objects[object as usize].loose = false;
        Some(object)
    }

    /// A group may be of no use any more.
    pub(super) fn group_is_loose(&mut self, id: u32) {
        if let Some(group) = self.groups.get_mut(&id)
            && !std::mem::replace(&mut group.loose, true)
        {
            self.pending.loose_groups.push(id);
        }
    }

    pub(super) fn next_loose_group(&mut self) -> Option<u32> {
        let id = self.pending.loose_groups.pop()?;
        if let Some(group) = self.groups.get_mut(&id) {
            group.loose = false;
        }
        Some(id)
    }

    /// A set may be of no use any more.
    pub(in super::super) fn set_is_loose(&mut self, set: usize) {
        if !std::mem::replace(&mut self.sets[set].loose, true) {
            self.pending.loose_sets.push(set);
        }
    }

    /// How many sets may be of no use any more.
    pub(super) fn loose_sets(&self) -> usize {
        self.pending.loose_sets.len()
    }

    pub(super) fn next_loose_set(&mut self) -> Option<usize> {
        let set = self.pending.loose_sets.pop()?;
        self.sets[set].loose = false;
        Some(set)
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
                Waiting::Set(set) => self.pending.equip(&mut self.sets, set),
            }
        }
    }
}
