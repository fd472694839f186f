//! Nexthop objects, groups and the sets that routes want, reference-counted.
//!
//! - An *object* is one way out. The kernel holds at most two for each, by [`Role`]: one for groups of several, which can be
//!   deleted when the way is lost, and one for groups that have no other member, which would vanish with it.
//! - A *set* is what routes want: objects with weights, interned, so that a route names it by number.
//! - A *group* is what the kernel holds and routes use. Even a single way out gets a group, so that moving all its routes
//!   elsewhere is one message. A group's id says nothing about its content: the content can change under its routes.
//!
//! A set's *effective* members are those whose objects exist and are not known to be down; with none of them, those that
//! exist. A set is *bound* to a group whose content is that. A route is right if its group's content is what its set
//! effectively is, whichever group it is.
//!
//! A way that is told to be down is *cut*: its object for groups of several is deleted, and the kernel takes it out of all
//! of them, in a tenth of a millisecond however many routes use them. Replacing the groups would do the same, but in the
//! kernel's default mode (`nexthop_compat_mode`) it notifies of every route of a replaced group: 0.4 s for 500,000.
//!
//! A peer can send as many next hops as it likes, so nothing here costs in proportion to all of them, but for a listing: what
//! a change concerns is found by [`index`], and [`pending`] holds what has to be looked at.

mod cut;
mod index;
mod links;
mod lost;
mod model;
mod once;
mod pending;
mod refused;
mod steps;
mod tidy;
mod twins;
mod users;

use super::table::Want;
use crate::hash::{HashMap, HashSet};
use crate::kernel::op::Object;
use crate::types::{NEXTHOP_ID_FIRST, NEXTHOP_ID_LAST};
use cut::Following;
use index::Index;
use links::Links;
use lost::Lost;
pub(super) use model::{Group, Members, ObjectState, Role, Set, normalize};
use pending::Pending;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Nexthops {
    pub(super) objects: Vec<ObjectState>,
    object_index: HashMap<Object, u32>,
    free_objects: Vec<usize>,
    pub(super) sets: Vec<Set>,
    set_index: HashMap<Members, usize>,
    free_sets: Vec<usize>,
    /// How many sets were forgotten so far, the numbers of which are used again.
    pub(super) forgotten: u64,
    pub(super) groups: HashMap<u32, Group>,
    index: Index,
    pending: Pending,
    following: Following,
    /// Ids in our range that are taken by something that is not tracked here.
    pub(super) taken: HashSet<u32>,
    /// Objects and groups of ours that are of no use and can go: duplicates and odd shapes.
    pub(super) garbage: Vec<u32>,
    /// Routers that are lost, whether an object leads to them or not.
    lost: Lost,
    links: Links,
    cursor: u32,
    /// [`Self::plan`] has to look at everything.
    pub(super) dirty: bool,
    /// Everything may have become unused.
    pub(super) untidy: bool,
    /// Routes of a group may want the same now.
    pub(super) settled: bool,
}

impl Nexthops {
    /// The index of an object, which is made known if it is not.
    pub(super) fn object(&mut self, object: Object) -> u32 {
        if let Some(&i) = self.object_index.get(&object) {
            return i;
        }
        let state = ObjectState {
            object,
            ids: [None; 2],
            sets: HashSet::default(),
            groups: HashSet::default(),
            down: object
                .gateway
                .is_some_and(|gateway| self.lost.is_lost(gateway, object.ifindex)),
            link_down: self.links.is_down(object.ifindex),
            failure: self.links.failure(object.ifindex),
        };
        let i = if let Some(i) = self.free_objects.pop() {
            self.objects[i] = state;
            i
        } else {
            self.objects.push(state);
            self.objects.len() - 1
        };
        self.object_index.insert(object, i as u32);
        self.lost.object_added(object.ifindex);
        i as u32
    }

    /// The number of a set, interned.
    pub(super) fn intern(&mut self, mut members: Members) -> usize {
        members.sort_unstable();
        // Twins are one member with both weights.
        let mut merged = Members::new();
        for (object, weight) in members {
            match merged.last_mut() {
                Some(last) if last.0 == object => last.1 = last.1.saturating_add(weight),
                _ => merged.push((object, weight)),
            }
        }
        normalize(&mut merged);
        if let Some(&i) = self.set_index.get(&merged) {
            return i;
        }
        let set = Set {
            members: merged.clone(),
            effective: Members::new(),
            binding: None,
            refs: 0,
            wanted: 0,
            on: HashSet::default(),
            waits: false,
            starved: false,
            failure: None,
        };
        let i = if let Some(i) = self.free_sets.pop() {
            self.sets[i] = set;
            i
        } else {
            self.sets.push(set);
            self.sets.len() - 1
        };
        for &(object, _) in &merged {
            self.objects[object as usize].sets.insert(i as u32);
        }
        self.set_index.insert(merged, i);
        i
    }

    pub(super) fn desire(&mut self, want: Want, by: i32) {
        let Some(i) = want.as_set() else { return };
        let set = &mut self.sets[i];
        set.refs = set.refs.saturating_add_signed(by);
        if set.refs == 0 {
            self.set_is_loose(i);
        }
    }

    pub(super) fn want(&mut self, want: Want, by: i32) {
        let Some(i) = want.as_set() else { return };
        let set = &mut self.sets[i];
        let before = set.wanted;
        set.wanted = before.saturating_add_signed(by);
        if before == 0 {
            self.pending.equip(i);
        } else if set.wanted == 0 {
            if let Some(id) = set.binding {
                self.group_is_loose(id);
            }
            self.may_be_cut_for(i);
        }
    }

    /// Whether a route on group `id` is right for set `set`.
    pub(super) fn serves(&self, id: u32, set: usize) -> bool {
        let set = &self.sets[set];
        set.binding == Some(id)
            || (!set.effective.is_empty()
                && self
                    .groups
                    .get(&id)
                    .is_some_and(|g| g.content == set.effective))
    }

    /// Whether group `id` has exactly the members of set `set`.
    pub(super) fn holds(&self, id: u32, set: usize) -> bool {
        self.groups
            .get(&id)
            .is_some_and(|group| group.content == self.sets[set].members)
    }

    /// What there is to be looked at when a group goes.
    pub(super) fn cost_of(&self, id: u32) -> usize {
        let group = self.groups.get(&id);
        group.map_or(0, |g| g.content.len() + g.bound.len() + g.users.len())
    }

    /// How many sets there are.
    #[cfg(test)]
    pub(super) fn sets_in_use(&self) -> usize {
        self.set_index.len()
    }

    fn allocate(&mut self) -> Option<u32> {
        const SPAN: u32 = NEXTHOP_ID_LAST - NEXTHOP_ID_FIRST;
        for _ in 0..SPAN {
            self.cursor = self.cursor % SPAN + 1;
            let id = NEXTHOP_ID_FIRST + self.cursor;
            if !self.is_used(id) {
                return Some(id);
            }
        }
        None
    }
}
