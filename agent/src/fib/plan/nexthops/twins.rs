//! Groups that can be one, and those that a cut left with an object that is not for them. See [`merge`](super::super::merge).

use std::cmp::Reverse;
use std::time::Instant;

use super::super::super::HashMap;
use super::super::op::Op;
use super::{Group, Members, Nexthops, Role};

impl Nexthops {
    /// Groups of which there is a larger one with the same members, which takes their place for all sets; and that one.
    pub(in super::super) fn twins(&mut self) -> HashMap<u32, u32> {
        let mut into = HashMap::default();
        for (content, mut ids) in self.equal_groups() {
            ids.retain(|id| !content.is_empty() && self.is_settled(&self.groups[id]));
            let rank = |id: &u32| (self.groups[id].users.routes(), Reverse(*id));
            if let Some(best) = ids.iter().copied().max_by_key(rank) {
                let others = ids.into_iter().filter(|id| *id != best);
                into.extend(others.map(|id| (id, best)));
            }
        }
        for (id, best) in &into {
            for set in self.groups[id].bound.clone() {
                self.bind_to(set as usize, Some(*best));
            }
            self.group_is_loose(*id);
        }
        into
    }

    /// Whether all routes of a group want just what it is: others will change.
    fn is_settled(&self, group: &Group) -> bool {
        let mut wants = group.users.wants();
        wants.all(|want| {
            let set = want.as_set().map(|i| &self.sets[i]);
            set.is_some_and(|set| set.members == group.content)
        })
    }

    /// Gives groups of one member, which are to stay so, the object for such groups: about `max` operations.
    pub(in super::super) fn set_apart(&mut self, now: Instant, max: usize, out: &mut Vec<Op>) {
        let groups = self.groups.iter().filter(|(_, group)| group.was_shared);
        let groups = groups.filter_map(|(&id, group)| {
            let &[(object, _)] = group.content.as_slice() else {
                return None;
            };
            let state = &self.objects[object as usize];
            let can_be = state.id(Role::Alone).is_some() || state.is_usable() && !state.waits(now);
            (can_be && self.is_settled(group)).then_some((id, object))
        });
        let mut groups: Vec<(u32, u32)> = groups.collect();
        groups.sort_unstable();
        for (group, i) in groups.into_iter().take(max) {
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
}
