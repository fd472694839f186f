//! Objects that are down leave the groups that have another member, before anything else is done: by one message each, however many
//! groups there are. What that makes of the groups is noted afterwards, some at a time.

use super::super::work::Work;
use super::Nexthops;
use super::model::{Group, Members, Role, normalize};
use crate::kernel::op::Op;

/// What follows from a change of an object, as far as it was not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Objects that were cut, and groups that they are no longer in in the kernel, but still are by what is noted here. No object is made
    /// before that is put right, so that of a group of several, those that have no id were cut.
    left: Vec<(u32, Vec<u32>)>,
    /// Sets that have an object that changed.
    sets: Vec<u32>,
}

impl Following {
    /// Whether there is something left to look at.
    pub(super) fn is_something(&self) -> bool {
        !self.left.is_empty() || !self.sets.is_empty()
    }
}

impl Nexthops {
    /// What the kernel has in its groups is listed.
    pub(in super::super) fn groups_are_listed(&mut self) {
        self.following.left.clear();
    }

    /// Takes ways that are down out of all groups that have another member, and notes what depends on objects that changed.
    pub(in super::super) fn cut_lost(&mut self, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        loop {
            self.cut(max, work, out);
            self.spread(work);
            // Of a set with an object that changed, others may be the only way no more.
            if out.len() >= max || work.is_over() || !self.pending.has_to_cut() {
                return;
            }
        }
    }

    fn cut(&mut self, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        // What that makes of groups comes after all of them.
        while out.len() < max
            && !work.is_over()
            && let Some(i) = self.next_to_cut()
        {
            let Some((id, groups)) = self.cut_of(i, work) else {
                continue;
            };
            self.following.left.push((i, groups));
            self.set_id(i, Role::Shared, None);
            out.push(Op::DeleteNexthop { id });
        }
        self.finish_leaving(work);
    }

    /// The id of an object that is to be cut, and the groups that it is in with others. `None`: it stays.
    fn cut_of(&self, object: u32, work: &mut Work) -> Option<(u32, Vec<u32>)> {
        let state = &self.objects[object as usize];
        work.done(1);
        let id = state.id(Role::Shared).filter(|_| !state.is_usable())?;
        work.done((state.groups.len() + state.sets.len()) / 4);
        let mut several = Vec::new();
        for &id in &state.groups {
            let Some(group) = self.groups.get(&id) else {
                continue;
            };
            match group.role() {
                Role::Alone => {}
                // A group without members vanishes, and its routes with it. Its routes are changed one by one.
                Role::Shared if self.members_left(group, work) <= 1 => return None,
                Role::Shared => several.push(id),
            }
        }
        // Without a link it would not be made again.
        let would_return = !state.link_down && self.is_the_only_way(object);
        (!several.is_empty() && !would_return).then_some((id, several))
    }

    /// How many members a group of several has in the kernel.
    fn members_left(&self, group: &Group, work: &mut Work) -> usize {
        if self.following.left.is_empty() {
            return group.content.len();
        }
        work.done(group.content.len() / 16);
        let there = |m: &&(u32, u8)| self.objects[m.0 as usize].id(Role::Shared).is_some();
        group.content.iter().filter(there).count()
    }

    /// Takes objects that were cut out of what is noted of their groups.
    fn finish_leaving(&mut self, work: &mut Work) {
        while !work.is_over()
            && let Some((object, groups)) = self.following.left.last_mut()
        {
            let object = *object;
            match groups.pop() {
                Some(id) => self.leave(object, id, work),
                None => {
                    self.following.left.pop();
                }
            }
        }
    }

    /// Takes an object out of a group's content.
    fn leave(&mut self, object: u32, id: u32, work: &mut Work) {
        let is_in = |group: &&Group| group.content.iter().any(|member| member.0 == object);
        let Some(group) = self.groups.get(&id).filter(is_in) else {
            return;
        };
        work.done(1 + group.content.len() + group.bound.len());
        let mut content = group.content.clone();
        content.retain(|member| member.0 != object);
        let was_shared = content.len() == 1;
        normalize(&mut content);
        self.set_content(id, content, was_shared);
    }

    /// Whether a set that is wanted has no other object in the kernel: this one, cut, would be made again for it, join the groups of
    /// others that are down as well, and be cut again, for ever.
    fn is_the_only_way(&self, object: u32) -> bool {
        let is_there = |m: &(u32, u8)| self.objects[m.0 as usize].id(Role::Shared).is_some();
        let sets = self.objects[object as usize].sets.iter();
        let mut sets = sets.map(|set| &self.sets[*set as usize]);
        sets.any(|set| {
            let mut others = set.members.iter().filter(|m| m.0 != object);
            set.wanted > 0 && Role::among(&set.members) == Role::Shared && !others.any(is_there)
        })
    }

    /// Looks at the sets of objects that changed.
    fn spread(&mut self, work: &mut Work) {
        while !work.is_over() {
            let Some(set) = self.following.sets.pop() else {
                let Some(object) = self.next_to_spread() else {
                    return;
                };
                let sets = &self.objects[object as usize].sets;
                work.done(1 + sets.len() / 64);
                self.following.sets.extend(sets);
                continue;
            };
            let set = set as usize;
            self.pending.equip(set);
            work.done(1 + self.sets[set].members.len());
            self.may_be_cut_for(set);
        }
    }

    /// What depends on an object's state has to be looked at.
    pub(super) fn object_changed(&mut self, object: u32) {
        if self.may_have_to_be_cut(object) {
            self.may_be_cut(object);
        }
        self.object_is_loose(object);
        self.has_to_spread(object);
    }

    /// Whether an object is down, or its interface, and it is still there for groups of several.
    pub(super) fn may_have_to_be_cut(&self, object: u32) -> bool {
        let state = &self.objects[object as usize];
        !state.is_usable() && state.id(Role::Shared).is_some()
    }

    /// A set is not wanted any more, or one of its members changed: an object that was the only way for it may be cut.
    pub(super) fn may_be_cut_for(&mut self, set: usize) {
        let members = self.sets[set].members.iter();
        let down: Members = members
            .filter(|m| self.may_have_to_be_cut(m.0))
            .copied()
            .collect();
        for (object, _) in down {
            self.may_be_cut(object);
        }
    }
}
