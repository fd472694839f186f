//! What nothing uses goes.

use super::super::work::Work;
use super::Nexthops;
use super::model::Role;
use crate::kernel::op::Op;

/// So many sets that no route wants may be kept, or half of all, while nothing is removed from the kernel.
const KEPT: usize = if cfg!(test) { 8 } else { 4096 };

impl Nexthops {
    /// Forgets some sets and objects that no route wants and the kernel does not have, should they be many. For as long as nothing
    /// may be removed: when it may, everything is looked at. Returns whether there are still many.
    pub(in super::super) fn forget_unwanted(&mut self, work: &mut Work) -> bool {
        let kept = |all: usize| KEPT.max(all / 2);
        let sets = kept(self.set_index.len());
        if self.loose_sets() > sets {
            self.free_sets(work);
        }
        let objects = kept(self.object_index.len());
        if self.loose_objects() > objects {
            while !work.is_over()
                && let Some(i) = self.next_loose_object()
            {
                work.done(1);
                self.free_object(i);
            }
        }
        self.loose_sets() > sets || self.loose_objects() > objects
    }

    /// Removes what nothing uses, at most `max` of it: groups first, then (in a later batch) objects.
    pub(in super::super) fn tidy(&mut self, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        if std::mem::take(&mut self.untidy) {
            self.all_are_loose();
        }
        self.all_are_loose_some(work);
        self.free_sets(work);
        let garbage = self.garbage.len().saturating_sub(max);
        let garbage = self.garbage.drain(garbage..);
        out.extend(garbage.map(|id| Op::DeleteNexthop { id }));
        while out.len() < max
            && !work.is_over()
            && let Some(id) = self.next_loose_group()
        {
            work.done(1);
            let Some(group) = self.groups.get(&id) else {
                continue;
            };
            work.done(group.bound.len());
            let wanted = |set: &u32| self.sets[*set as usize].wanted > 0;
            if group.users.is_empty() && !group.bound.iter().any(wanted) {
                self.remove_group(id);
                out.push(Op::DeleteNexthop { id });
            }
        }
        if !out.is_empty() {
            return;
        }
        while out.len() < max
            && !work.is_over()
            && let Some(i) = self.next_loose_object()
        {
            self.tidy_object(i, work, out);
        }
    }

    fn free_sets(&mut self, work: &mut Work) {
        while !work.is_over()
            && let Some(i) = self.next_loose_set()
        {
            work.done(1 + self.sets[i].members.len());
            self.free_set(i);
        }
    }

    fn free_set(&mut self, i: usize) {
        let set = &self.sets[i];
        if set.refs > 0 || self.set_index.get(&set.members) != Some(&i) {
            return;
        }
        self.forgotten += 1;
        self.set_index.remove(&set.members);
        for (object, _) in std::mem::take(&mut self.sets[i].members) {
            self.objects[object as usize].sets.remove(&(i as u32));
            self.object_is_loose(object);
        }
        self.bind_to(i, None);
        self.starve(i, false);
        self.wait(i, false);
        self.free_sets.push(i);
    }

    fn tidy_object(&mut self, i: u32, work: &mut Work, out: &mut Vec<Op>) {
        let state = &self.objects[i as usize];
        work.done(1 + (state.groups.len() + state.sets.len()) / 4);
        for role in Role::ALL {
            if let Some(id) = self.objects[i as usize].id(role)
                && !self.is_needed(i, role)
            {
                self.set_id(i, role, None);
                out.push(Op::DeleteNexthop { id });
            }
        }
        self.free_object(i);
    }

    fn free_object(&mut self, i: u32) {
        let state = &mut self.objects[i as usize];
        let used =
            !state.sets.is_empty() || !state.groups.is_empty() || state.ids().next().is_some();
        if !used && self.object_index.get(&state.object) == Some(&i) {
            self.object_index.remove(&state.object);
            self.lost.object_removed(state.object.ifindex);
            self.free_objects.push(i as usize);
            state.failure = None;
        }
    }

    /// Whether an object is in a group in that role, or a set needs it so.
    fn is_needed(&self, i: u32, role: Role) -> bool {
        let state = &self.objects[i as usize];
        let mut groups = state.groups.iter().filter_map(|id| self.groups.get(id));
        let mut sets = state
            .sets
            .iter()
            .map(|set| &self.sets[*set as usize].members);
        groups.any(|group| group.role() == role)
            || sets.any(|members| {
                Role::among(members) == role
                    && (role == Role::Shared || self.index.group_of(members).is_none())
            })
    }
}
