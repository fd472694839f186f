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
mod once;
mod pending;
mod tidy;
mod twins;

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::failure::Failure;
use super::table::Want;
use super::work::Work;
use crate::hash::{HashMap, HashSet};
use crate::kernel::op::{Object, Op};
use crate::types::{KernelError, NEXTHOP_ID_FIRST, NEXTHOP_ID_LAST};
use cut::Following;
use index::{Index, Users};
use links::Links;
use pending::{Pending, Waiting};

/// Objects by index, ascending, with weights.
pub(super) type Members = SmallVec<[(u32, u8); 4]>;

/// Which groups a nexthop object of the kernel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Those with other members.
    Shared,
    /// Those without.
    Alone,
}

impl Role {
    pub(super) const ALL: [Self; 2] = [Self::Shared, Self::Alone];

    /// The role in a group, or in the groups of a set, with so many members.
    pub(super) fn among(members: &Members) -> Self {
        if members.len() > 1 {
            Self::Shared
        } else {
            Self::Alone
        }
    }
}

#[derive(Debug)]
pub(super) struct ObjectState {
    pub(super) object: Object,
    /// Ids in the kernel by role, of those that are there.
    ids: [Option<u32>; 2],
    /// Sets that mention it.
    sets: HashSet<u32>,
    /// Groups that it is a member of.
    groups: HashSet<u32>,
    /// Told to be unreachable: routes avoid it while they have another way.
    pub(super) down: bool,
    /// Its interface carries nothing: the kernel has removed it, and does not take it.
    link_down: bool,
    pub(super) failure: Option<Failure>,
}

impl ObjectState {
    /// Whether neither it nor its interface is down.
    fn is_usable(&self) -> bool {
        !self.down && !self.link_down
    }

    /// Whether its next attempt is not due.
    fn waits(&self, now: Instant) -> bool {
        self.failure.as_ref().is_some_and(|f| f.retry_at > now)
    }

    /// The id for a role.
    pub(super) fn id(&self, role: Role) -> Option<u32> {
        self.ids[role as usize]
    }

    /// The id to be put into a group, with the role that it has: alone, an object may also be the one for groups of several.
    fn id_for(&self, role: Role) -> Option<(u32, Role)> {
        let of = |role| self.id(role).map(|id| (id, role));
        match role {
            Role::Shared => of(Role::Shared),
            Role::Alone => of(Role::Alone).or_else(|| of(Role::Shared)),
        }
    }

    /// Its ids in the kernel.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.ids.into_iter().flatten()
    }
}

#[derive(Debug)]
pub(super) struct Set {
    pub(super) members: Members,
    pub(super) effective: Members,
    /// The group for new routes.
    pub(super) binding: Option<u32>,
    /// Prefixes that desire it, refused ones included.
    refs: u32,
    /// Prefixes that want it.
    wanted: u32,
    /// Groups with routes that want it.
    on: HashSet<u32>,
    /// It is among those in [`Index`] that wait for a group.
    waits: bool,
    /// A prefix had to be left alone because there was no binding.
    pub(super) starved: bool,
    /// Its group could not be made.
    pub(super) failure: Option<Failure>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) content: Members,
    /// Its only member is the object for groups of several: others were cut, or its own could not be made.
    pub(super) was_shared: bool,
    /// Who uses it.
    users: Users,
    /// Sets that are bound to it.
    bound: HashSet<u32>,
    /// The kernel refused to change it in place.
    pub(super) stuck: bool,
}

impl Group {
    /// The role of its members' objects.
    pub(super) fn role(&self) -> Role {
        match Role::among(&self.content) {
            Role::Alone if !self.was_shared => Role::Alone,
            _ => Role::Shared,
        }
    }
}

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
    /// Routers told to be down, whether an object leads to them or not.
    down: HashSet<(IpAddr, u32)>,
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
                .is_some_and(|gateway| self.down.contains(&(gateway, object.ifindex))),
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
        i as u32
    }

    /// A router is down, or up again, for the objects that lead to it now and those that will.
    pub(super) fn set_down(&mut self, gateway: IpAddr, ifindex: u32, down: bool) {
        if down {
            self.down.insert((gateway, ifindex));
        } else {
            self.down.remove(&(gateway, ifindex));
        }
        let ipv6 = gateway.is_ipv6();
        for onlink in [false, true] {
            let object = Object {
                ipv6,
                gateway: Some(gateway),
                ifindex,
                onlink,
            };
            if let Some(&i) = self.object_index.get(&object)
                && std::mem::replace(&mut self.objects[i as usize].down, down) != down
            {
                self.object_changed(i);
            }
        }
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

    /// What has to be done to objects and groups before routes can be looked at, about `max` of it: objects that are missing
    /// first, then groups. Empty, and the step is not over: nothing. Returns whether routes may have to be looked at that are not
    /// queued.
    pub(super) fn plan(
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

    /// The kernel refused to make an object.
    pub(super) fn object_refused(&mut self, now: Instant, id: u32, error: KernelError) {
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
    pub(super) fn group_refused(&mut self, id: u32) -> (Vec<u32>, bool) {
        let bound = self.groups.get(&id).map(|group| group.bound.clone());
        self.remove_group(id);
        let bound: Vec<u32> = bound.unwrap_or_default().into_iter().collect();
        let mut sets = bound.iter().map(|set| &self.sets[*set as usize]);
        let again = sets.any(|set| set.failure.is_some());
        (bound, again)
    }

    /// Records that the kernel refuses the group of these sets. Nobody has given them another one since it did.
    pub(super) fn group_failed(&mut self, now: Instant, sets: Vec<u32>, error: &KernelError) {
        for set in sets {
            let state = &mut self.sets[set as usize];
            let failure = Failure::record(state.failure.take(), error.clone(), now);
            let waiting = Waiting::Set(set as usize);
            self.pending.retry_at(failure.retry_at, waiting);
            state.failure = Some(failure);
        }
    }

    /// An object, or a group, was made: failures of it are over.
    pub(super) fn was_made(&mut self, id: u32) {
        if let Some((object, _)) = self.owner(id) {
            self.objects[object as usize].failure = None;
        } else if let Some(group) = self.groups.get(&id) {
            for &set in &group.bound {
                self.sets[set as usize].failure = None;
            }
        }
    }

    /// The failure that keeps a set from being used: its group's, or that of an object of it.
    pub(super) fn set_failure(&self, set: usize) -> Option<&Failure> {
        let set = &self.sets[set];
        let of_object = |m: &(u32, u8)| self.objects[m.0 as usize].failure.as_ref();
        set.failure
            .as_ref()
            .or_else(|| set.members.iter().find_map(of_object))
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

/// A lone member's weight means nothing, so that there is one form of it.
pub(super) fn normalize(members: &mut Members) {
    if let [(_, weight)] = members.as_mut_slice() {
        *weight = 1;
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
