//! Groups that can be one, and those that a cut left with an object that is not for them. See [`merge`](super::super::merge).

use std::cmp::Reverse;
use std::time::Instant;

use super::super::work::Work;
use super::Nexthops;
use super::model::{Group, Members, Role};
use crate::hash::HashMap;
use crate::kernel::op::Op;

impl Nexthops {
    /// Of the groups of a content, the largest takes the place of the others for all sets: `into` says so of each.
    pub(in super::super) fn twins(
        &mut self,
        content: &Members,
        into: &mut HashMap<u32, u32>,
        work: &mut Work,
    ) {
        let mut ids = self.groups_of(content);
        ids.retain(|id| self.is_settled(&self.groups[id], work));
        let rank = |id: &u32| (self.groups[id].users.routes(), Reverse(*id));
        let Some(best) = ids.iter().copied().max_by_key(rank) else {
            return;
        };
        for id in ids.into_iter().filter(|id| *id != best) {
            into.insert(id, best);
            for set in self.groups[&id].bound.clone() {
                work.done(1);
                self.bind_to(set as usize, Some(best));
            }
            self.group_is_loose(id);
        }
    }

    /// Whether all routes of a group want just what it is: others will change.
    fn is_settled(&self, group: &Group, work: &mut Work) -> bool {
        work.done(1 + group.users.len());
        let mut wants = group.users.wants();
        wants.all(|want| {
            let set = want.as_set().map(|i| &self.sets[i]);
            set.is_some_and(|set| set.members == group.content)
        })
    }

    /// Gives groups of one member, which are to stay so, the object for such groups: about `max` operations. Those with lower ids than
    /// `from` have been looked at, and it goes on with them.
    pub(in super::super) fn set_apart(
        &mut self,
        now: Instant,
        max: usize,
        from: &mut u32,
        work: &mut Work,
        out: &mut Vec<Op>,
    ) {
        while out.len() < max && !work.is_over() {
            let Some(&group) = self.index.shared_alone.range(*from..).next() else {
                return;
            };
            *from = group.saturating_add(1);
            let Some(i) = self.to_set_apart(group, now, work) else {
                continue;
            };
            let state = &self.objects[i as usize];
            let (object, there) = (state.object, state.id(Role::Alone));
            let Some(id) = there.or_else(|| self.allocate()) else {
                return;
            };
            if there.is_none() {
                self.set_id(i, Role::Alone, Some(id));
                out.push(Op::AddObject { id, object });
            }
            // In the same batch: nothing else needs the object. Should the kernel refuse it, it refuses this as well, and a listing
            // shows what is there.
            self.set_content(group, Members::from_slice(&[(i, 1)]), false);
            let members = vec![(id, 1)];
            out.push(Op::ReplaceGroup { id: group, members });
        }
    }

    /// The member of a group of one, if that is to stay so and can have its own object.
    fn to_set_apart(&self, group: u32, now: Instant, work: &mut Work) -> Option<u32> {
        work.done(1);
        let group = self.groups.get(&group)?;
        let &[(object, _)] = group.content.as_slice() else {
            return None;
        };
        let state = &self.objects[object as usize];
        let can_be = state.id(Role::Alone).is_some() || state.is_usable() && !state.waits(now);
        (can_be && self.is_settled(group, work)).then_some(object)
    }
}
