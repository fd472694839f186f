//! What has to be done to objects and groups so that each set that is wanted has a group.

use std::time::Instant;

use super::super::work::Work;
use super::Nexthops;
use super::model::{Members, ObjectState, Role, normalize};
use crate::kernel::op::Op;

impl Nexthops {
    /// What has to be done to objects and groups before routes can be looked at, about `max` of it: objects that are missing
    /// first, then groups. Empty, and the step is not over: nothing. Returns whether routes may have to be looked at that are not
    /// queued.
    pub(in super::super) fn plan(
        &mut self,
        now: Instant,
        max: usize,
        work: &mut Work,
        out: &mut Vec<Op>,
    ) -> bool {
        if std::mem::take(&mut self.dirty) {
            self.look_at_all();
        }
        if !self.is_dirty() {
            return false;
        }
        loop {
            self.cut_lost(max, work, out);
            if !out.is_empty() || work.is_over() {
                return false;
            }
            if !self.look_at_all_some(work) {
                break;
            }
        }
        self.plan_objects(now, max, work, out);
        if !out.is_empty() || work.is_over() {
            return false;
        }
        self.set_effective(work);
        if !self.morph(max, work, out) || !self.bind(now, max, work, out) {
            return false;
        }
        // A route can be right on a group that is not its set's, for as long as both are the same. Not any more?
        while !work.is_over()
            && let Some(i) = self.pending.next_changed()
        {
            let set = &self.sets[i];
            work.done(1 + set.on.len());
            let mut on = set.on.iter().filter_map(|id| self.groups.get(id));
            self.pending.rescan |= on.any(|group| group.content != set.effective);
        }
        std::mem::take(&mut self.pending.rescan)
    }

    fn plan_objects(&mut self, now: Instant, max: usize, work: &mut Work, out: &mut Vec<Op>) {
        while out.len() < max
            && !work.is_over()
            && let Some(i) = self.pending.next_to_equip()
        {
            let set = &self.sets[i];
            work.done(1 + set.members.len());
            if set.wanted == 0 {
                continue;
            }
            self.pending.settle(i);
            let members = self.sets[i].members.clone();
            let role = Role::among(&members);
            if role == Role::Alone && self.index.group_of(&members).is_some() {
                continue;
            }
            let object = |m: &(u32, u8)| &self.objects[m.0 as usize];
            let there = |m: &(u32, u8)| object(m).id_for(role).is_some();
            // What was cut is not made again, but if nothing else is there. The kernel takes none without a link.
            let any = members.iter().all(|m| !object(m).is_usable() && !there(m));
            let is_missing = |m: &&(u32, u8)| {
                let state = object(m);
                let may_be = (any || !state.down) && !state.link_down;
                may_be && state.id(role).is_none() && !state.waits(now)
            };
            let missing: Members = members.iter().filter(is_missing).copied().collect();
            for (i, _) in missing {
                let object = self.objects[i as usize].object;
                let Some(id) = self.allocate() else { return };
                self.set_id(i, role, Some(id));
                out.push(Op::AddObject { id, object });
            }
        }
    }

    fn set_effective(&mut self, work: &mut Work) {
        while !work.is_over()
            && let Some(i) = self.pending.next_to_settle()
        {
            let set = &self.sets[i];
            work.done(1 + set.members.len() + set.on.len());
            if set.wanted == 0 {
                continue;
            }
            let role = Role::among(&set.members);
            let there = |m: &&(u32, u8)| self.objects[m.0 as usize].id_for(role).is_some();
            let up = |m: &&(u32, u8)| there(m) && self.objects[m.0 as usize].is_usable();
            let mut effective: Members = set.members.iter().filter(up).copied().collect();
            if effective.is_empty() {
                effective = set.members.iter().filter(there).copied().collect();
            }
            normalize(&mut effective);
            self.pending.bind(i);
            if set.effective != effective {
                self.pending.changed(i);
                set.on.iter().for_each(|&id| self.pending.morph(id));
                self.wait(i, false);
                self.sets[i].effective = effective;
            }
        }
    }

    /// A group whose routes all want the same other thing is changed in place: one message, however many routes. Whether that
    /// is all.
    fn morph(&mut self, max: usize, work: &mut Work, out: &mut Vec<Op>) -> bool {
        while out.len() < max && !work.is_over() {
            let Some(id) = self.pending.next_to_morph() else {
                return true;
            };
            let Some(content) = self.other_wish(id, work) else {
                continue;
            };
            let (members, was_shared) = ids(&self.objects, &content);
            out.push(Op::ReplaceGroup { id, members });
            self.set_content(id, content, was_shared);
        }
        false
    }

    /// What all routes of a group want, if that is something else than it is.
    fn other_wish(&self, id: u32, work: &mut Work) -> Option<Members> {
        work.done(1);
        let group = self.groups.get(&id).filter(|group| !group.stuck)?;
        let wishes = group.users.wants().inspect(|_| work.done(1));
        let mut wishes = wishes.map(|want| want.as_set().map(|i| &self.sets[i].effective));
        let first = wishes.next()??;
        let is_other = !first.is_empty() && *first != group.content;
        (is_other && wishes.all(|wish| wish == Some(first))).then(|| first.clone())
    }

    /// Finds or makes a group for every set that is wanted and settled. Whether that is all.
    fn bind(&mut self, now: Instant, max: usize, work: &mut Work, out: &mut Vec<Op>) -> bool {
        // Contents that were changed in place concern sets that are bound to them.
        self.set_effective(work);
        while out.len() < max && !work.is_over() {
            let Some(i) = self.pending.next_to_bind() else {
                return true;
            };
            work.done(1 + self.sets[i].effective.len());
            if self.sets[i].wanted > 0 {
                self.bind_set(i, now, out);
            }
        }
        false
    }

    fn bind_set(&mut self, i: usize, now: Instant, out: &mut Vec<Op>) {
        let set = &self.sets[i];
        let content_of = |id: u32| self.groups.get(&id).map(|g| &g.content);
        if let Some(id) = set.binding
            && content_of(id) == Some(&set.effective)
        {
            return;
        }
        let waiting = set.failure.as_ref().is_some_and(|f| f.retry_at > now);
        let existing = self.index.group_of(&set.effective);
        let binding = match existing {
            _ if set.effective.is_empty() => None,
            Some(id) => Some(id),
            None if waiting => None,
            None => {
                let effective = set.effective.clone();
                let id = self.allocate();
                if let Some(id) = id {
                    let (members, was_shared) = ids(&self.objects, &effective);
                    out.push(Op::AddGroup { id, members });
                    self.set_content(id, effective, was_shared);
                }
                id
            }
        };
        let set = &mut self.sets[i];
        if existing.is_some() || set.effective.is_empty() {
            set.failure = None;
        }
        let before = set.binding;
        if binding.is_none() {
            let starved = set.starved || before.is_some();
            self.starve(i, starved);
        } else {
            // Routes of this set that sit on another group have to follow, and those that were left alone can go on.
            self.pending.rescan |= set.starved || (before.is_some() && before != binding);
            self.starve(i, false);
        }
        let waits = binding.is_none() && !self.sets[i].effective.is_empty();
        self.wait(i, waits);
        self.bind_to(i, binding);
    }
}

/// Members by their ids in the kernel, and whether the only one is an object for groups of several.
fn ids(objects: &[ObjectState], members: &Members) -> (Vec<(u32, u8)>, bool) {
    let role = Role::among(members);
    let mut was_shared = false;
    let found = members.iter().filter_map(|&(object, weight)| {
        let (id, found) = objects[object as usize].id_for(role)?;
        was_shared = found != role;
        Some((id, weight))
    });
    (found.collect(), was_shared)
}
