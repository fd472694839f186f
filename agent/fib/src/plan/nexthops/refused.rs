//! What the kernel refused to make, and what it has made since.

use std::time::Instant;

use super::super::failure::Failure;
use super::Nexthops;
use super::pending::Waiting;
use crate::types::KernelError;

impl Nexthops {
    /// The kernel refused to make an object.
    pub(in super::super) fn object_refused(&mut self, now: Instant, id: u32, error: KernelError) {
        let taken = error.errno == libc::EEXIST;
        if taken {
            self.taken.insert(id);
        }
        let Some((object, role)) = self.owner(id) else {
            return;
        };
        self.set_id(object, role, None);
        if !taken {
            let state = &mut self.objects[object as usize];
            let failure = Failure::record(state.failure.take(), error, now);
            let waiting = Waiting::Object(object);
            self.pending.retry_at(failure.retry_at, waiting);
            state.failure = Some(failure);
        }
    }

    /// The kernel refused to make a group. The sets that were to use it, and whether it has refused one of theirs before.
    pub(in super::super) fn group_refused(&mut self, id: u32) -> (Vec<u32>, bool) {
        let bound = self.groups.get(&id).map(|group| group.bound.clone());
        self.remove_group(id);
        let bound: Vec<u32> = bound.unwrap_or_default().into_iter().collect();
        let mut sets = bound.iter().map(|set| &self.sets[*set as usize]);
        let again = sets.any(|set| set.failure.is_some());
        (bound, again)
    }

    /// Records that the kernel refuses the group of these sets. Nobody has given them another one since it did.
    pub(in super::super) fn group_failed(
        &mut self,
        now: Instant,
        sets: Vec<u32>,
        error: &KernelError,
    ) {
        for set in sets {
            let state = &mut self.sets[set as usize];
            let failure = Failure::record(state.failure.take(), error.clone(), now);
            let waiting = Waiting::Set(set as usize);
            self.pending.retry_at(failure.retry_at, waiting);
            state.failure = Some(failure);
        }
    }

    /// An object, or a group, was made: failures of it are over.
    pub(in super::super) fn was_made(&mut self, id: u32) {
        if let Some((object, _)) = self.owner(id) {
            self.objects[object as usize].failure = None;
        } else if let Some(group) = self.groups.get(&id) {
            for &set in &group.bound {
                self.sets[set as usize].failure = None;
            }
        }
    }

    /// The failure that keeps a set from being used: its group's, or that of an object of it.
    pub(in super::super) fn set_failure(&self, set: usize) -> Option<&Failure> {
        let set = &self.sets[set];
        let of_object = |m: &(u32, u8)| self.objects[m.0 as usize].failure.as_ref();
        set.failure
            .as_ref()
            .or_else(|| set.members.iter().find_map(of_object))
    }
}
