//! Who has what: ids, contents, members, users and bindings, each found without looking at all others.
//!
//! The only place where an object's ids, a group's content and a set's binding change, so that the ways back
//! ([`ObjectState::sets`], [`ObjectState::groups`], [`Group::bound`], `Set::on`) always agree, and so that whatever depends
//! on a change is noted in [`Pending`](super::pending::Pending).

use std::collections::BTreeSet;

use super::super::table::Want;
use super::Nexthops;
use super::model::{Group, Members, ObjectState, Role};
use super::users::UsersAre;
use crate::hash::{HashMap, HashSet};

/// Ids and contents, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Which object has an id, and for which groups.
    ids: HashMap<u32, (u32, Role)>,
    /// The groups of a content, the lowest id first.
    contents: HashMap<Members, BTreeSet<u32>>,
    /// Contents of several groups.
    several: HashSet<Members>,
    /// Groups of one member, which is the object for groups of several.
    pub(super) shared_alone: BTreeSet<u32>,
    /// Sets that have no group, by what they are effectively: a group of another one may become that.
    waiting: HashMap<Members, HashSet<usize>>,
    /// Sets with routes that were left alone because there was no binding.
    starved: HashSet<usize>,
}

impl Index {
    /// The group of this content with the lowest id.
    pub(super) fn group_of(&self, content: &Members) -> Option<u32> {
        self.contents.get(content)?.first().copied()
    }

    fn forget_content(&mut self, content: &Members, id: u32) {
        if let Some(groups) = self.contents.get_mut(content) {
            groups.remove(&id);
            match groups.len() {
                0 => {
                    self.contents.remove(content);
                }
                1 => {
                    self.several.remove(content);
                }
                _ => {}
            }
        }
    }

    fn note_content(&mut self, content: Members, id: u32) {
        let groups = self.contents.entry(content.clone()).or_default();
        groups.insert(id);
        if groups.len() == 2 {
            self.several.insert(content);
        }
    }
}

impl Nexthops {
    /// An object has an id for a role in the kernel, or none any more.
    pub(in super::super) fn set_id(&mut self, object: u32, role: Role, id: Option<u32>) {
        let state = &mut self.objects[object as usize];
        let before = std::mem::replace(&mut state.ids[role as usize], id);
        if before == id {
            return;
        }
        if let Some(before) = before {
            self.index.ids.remove(&before);
        }
        if let Some(id) = id {
            self.index.ids.insert(id, (object, role));
        }
        self.object_changed(object);
    }

    /// Which object has this id, and in which role.
    pub(in super::super) fn owner(&self, id: u32) -> Option<(u32, Role)> {
        self.index.ids.get(&id).copied()
    }

    /// How many objects and groups there are in the kernel.
    pub(in super::super) fn count(&self) -> usize {
        self.index.ids.len() + self.groups.len()
    }

    /// A group has this content from now on, and is made if it is not there.
    pub(in super::super) fn set_content(&mut self, id: u32, content: Members, was_shared: bool) {
        let group = self.groups.entry(id).or_insert_with(|| {
            self.index.note_content(Members::new(), id);
            Group::default()
        });
        if was_shared && content.len() == 1 {
            self.index.shared_alone.insert(id);
        } else {
            self.index.shared_alone.remove(&id);
        }
        let other_object = std::mem::replace(&mut group.was_shared, was_shared) != was_shared;
        if group.content == content && other_object {
            // Its member is the other one of the two objects now.
            for &(object, _) in &content {
                self.members_changed(object);
            }
        } else if group.content != content {
            let before = std::mem::replace(&mut group.content, content.clone());
            self.index.forget_content(&before, id);
            for &(object, _) in &before {
                self.objects[object as usize].groups.remove(&id);
            }
            for &(object, _) in &content {
                self.objects[object as usize].groups.insert(id);
            }
            for &set in &group.bound {
                self.pending.settle(set as usize);
            }
            for set in self.index.waiting.remove(&content).unwrap_or_default() {
                self.sets[set].waits = false;
                self.pending.settle(set);
            }
            let members = before.iter().chain(&content).map(|m| m.0);
            self.index.note_content(content.clone(), id);
            for object in members {
                self.members_changed(object);
            }
        }
        self.pending.morph(id);
        self.group_is_loose(id);
    }

    /// A group that holds an object, or held it, is another one now.
    fn members_changed(&mut self, object: u32) {
        if !self.objects[object as usize].is_usable() {
            self.may_be_cut(object);
        }
        self.object_is_loose(object);
    }

    /// The kernel refused to change a group in place.
    pub(in super::super) fn is_stuck(&mut self, id: u32) {
        if !self.groups.contains_key(&id) {
            self.set_content(id, Members::new(), false);
        }
        if let Some(group) = self.groups.get_mut(&id) {
            group.stuck = true;
        }
    }

    /// A group is no more.
    pub(in super::super) fn remove_group(&mut self, id: u32) {
        let Some(group) = self.groups.remove(&id) else {
            return;
        };
        self.index.forget_content(&group.content, id);
        self.index.shared_alone.remove(&id);
        for &(object, _) in &group.content {
            self.objects[object as usize].groups.remove(&id);
            self.members_changed(object);
        }
        for set in group.bound {
            self.sets[set as usize].binding = None;
            self.pending.equip(set as usize);
        }
        for want in group.users.wants() {
            if let Some(set) = want.as_set() {
                self.sets[set].on.remove(&id);
            }
        }
    }

    /// The group for a set's new routes.
    pub(super) fn bind_to(&mut self, set: usize, binding: Option<u32>) {
        let before = std::mem::replace(&mut self.sets[set].binding, binding);
        if before == binding {
            return;
        }
        if let Some(id) = before
            && let Some(group) = self.groups.get_mut(&id)
        {
            group.bound.remove(&(set as u32));
            self.group_is_loose(id);
        }
        if let Some(group) = binding.and_then(|id| self.groups.get_mut(&id)) {
            group.bound.insert(set as u32);
        }
    }

    /// A set is without a group, or does not wait for one any more.
    pub(super) fn wait(&mut self, set: usize, waits: bool) {
        if std::mem::replace(&mut self.sets[set].waits, waits) == waits {
            return;
        }
        let effective = &self.sets[set].effective;
        if waits {
            let waiting = self.index.waiting.entry(effective.clone()).or_default();
            waiting.insert(set);
        } else if let Some(waiting) = self.index.waiting.get_mut(effective) {
            waiting.remove(&set);
            if waiting.is_empty() {
                self.index.waiting.remove(effective);
            }
        }
    }

    /// Sets lose their binding to a group that is no more.
    pub(in super::super) fn unbind(&mut self, id: u32) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        for set in std::mem::take(&mut group.bound) {
            self.sets[set as usize].binding = None;
            self.pending.equip(set as usize);
        }
    }

    /// A route that uses `id` and wants `want` came or went.
    pub(in super::super) fn use_group(&mut self, id: u32, want: Want, by: i32) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        match group.users.change(want, by) {
            UsersAre::Same => {}
            UsersAre::More => {
                if let Some(set) = want.as_set() {
                    self.sets[set].on.insert(id);
                }
            }
            UsersAre::Less => {
                if let Some(set) = want.as_set() {
                    self.sets[set].on.remove(&id);
                }
                if group.users.is_empty() {
                    self.group_is_loose(id);
                } else {
                    // The others may all want the same now, and then the group can change under them.
                    self.pending.morph(id);
                    self.settled = true;
                }
            }
        }
    }

    /// Routes of a set were left alone because it has no group, or need not be any more.
    pub(in super::super) fn starve(&mut self, set: usize, starved: bool) {
        if std::mem::replace(&mut self.sets[set].starved, starved) != starved {
            if starved {
                self.index.starved.insert(set);
            } else {
                self.index.starved.remove(&set);
            }
        }
    }

    /// How many prefixes want sets that have no group: because the kernel refuses it or all of its members, and because it is not
    /// made so far.
    pub(in super::super) fn unserved(&self) -> (u64, u64) {
        let mut count = (0, 0);
        for &i in &self.index.starved {
            let set = &self.sets[i];
            match self.set_failure(i) {
                _ if set.binding.is_some() => {}
                Some(_) => count.0 += u64::from(set.wanted),
                None => count.1 += u64::from(set.wanted),
            }
        }
        count
    }

    /// Contents of which there are several groups.
    pub(in super::super) fn equal_contents(&self) -> Vec<Members> {
        let several = self.index.several.iter();
        several
            .filter(|content| !content.is_empty())
            .cloned()
            .collect()
    }

    /// Whether there are several groups of one content.
    pub(in super::super) fn has_equal_contents(&self) -> bool {
        !self.index.several.is_empty()
    }

    /// The groups of this content, the lowest id first.
    pub(super) fn groups_of(&self, content: &Members) -> Vec<u32> {
        let groups = self.index.contents.get(content);
        groups.map_or(Vec::new(), |ids| ids.iter().copied().collect())
    }

    /// Whether an id is somebody's.
    pub(super) fn is_used(&self, id: u32) -> bool {
        self.groups.contains_key(&id)
            || self.taken.contains(&id)
            || self.index.ids.contains_key(&id)
    }

    /// Groups that an object is in with the object that it has for `role`, ascending.
    pub(in super::super) fn groups_with(&self, state: &ObjectState, role: Role) -> Vec<u32> {
        let groups = state.groups.iter().copied();
        let of_role = |id: &u32| self.groups.get(id).is_some_and(|g| g.role() == role);
        let mut groups: Vec<u32> = groups.filter(of_role).collect();
        groups.sort_unstable();
        groups
    }
}
