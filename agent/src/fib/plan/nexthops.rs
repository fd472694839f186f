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

use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::super::HashMap;
use super::super::types::{KernelError, NEXTHOP_ID_FIRST, NEXTHOP_ID_LAST};
use super::op::{Object, Op};
use super::table::Want;

/// Objects by index, ascending, with weights.
pub(super) type Members = SmallVec<[(u32, u8); 4]>;

/// A failure with its history.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: KernelError,
    pub(super) since: Instant,
    pub(super) attempts: u32,
    pub(super) retry_at: Instant,
}

impl Failure {
    /// The first or another failure of the same thing. Waits double from 250 ms to a minute: most failures are races with
    /// link events that are over in a blink, the rest wait for a person.
    pub(super) fn record(before: Option<Self>, error: KernelError, now: Instant) -> Self {
        const FIRST: Duration = Duration::from_millis(250);
        const LONGEST: Duration = Duration::from_secs(60);
        let attempts = before.as_ref().map_or(0, |f| f.attempts) + 1;
        let wait = FIRST
            .saturating_mul(1 << (attempts - 1).min(10))
            .min(LONGEST);
        Self {
            error,
            since: before.map_or(now, |f| f.since),
            attempts,
            retry_at: now + wait,
        }
    }
}

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
    refs: u32,
    /// Told to be unreachable: routes avoid it while they have another way.
    pub(super) down: bool,
    pub(super) failure: Option<Failure>,
}

impl ObjectState {
    /// The id for a role.
    pub(super) fn id(&self, role: Role) -> Option<u32> {
        self.ids[role as usize]
    }

    pub(super) fn set_id(&mut self, role: Role, id: Option<u32>) {
        self.ids[role as usize] = id;
    }

    /// The id to be put into a group, with the role that it has: alone, an object may also be the one for groups of several.
    fn id_for(&self, role: Role) -> Option<(u32, Role)> {
        let of = |role| self.id(role).map(|id| (id, role));
        match role {
            Role::Shared => of(Role::Shared),
            Role::Alone => of(Role::Alone).or_else(|| of(Role::Shared)),
        }
    }

    /// The role of an id.
    pub(super) fn role_of(&self, id: u32) -> Option<Role> {
        Role::ALL
            .into_iter()
            .find(|&role| self.id(role) == Some(id))
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
    /// What it effectively is has just changed.
    changed: bool,
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
    /// Who uses it: what those routes want now, and how many they are.
    users: Vec<(Want, u32)>,
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
    pub(super) groups: HashMap<u32, Group>,
    /// Ids in our range that are taken by something that is not tracked here.
    pub(super) taken: super::super::HashSet<u32>,
    /// Objects and groups of ours that are of no use and can go: duplicates and odd shapes.
    pub(super) garbage: Vec<u32>,
    /// Routers told to be down, whether an object leads to them or not.
    down: super::super::HashSet<(IpAddr, u32)>,
    cursor: u32,
    /// Something changed that [`Self::plan`] has to look at.
    pub(super) dirty: bool,
    /// Something may have become unused.
    pub(super) untidy: bool,
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
            refs: 0,
            down: object
                .gateway
                .is_some_and(|gateway| self.down.contains(&(gateway, object.ifindex))),
            failure: None,
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
        for state in &mut self.objects {
            let leads_there =
                (state.object.gateway, state.object.ifindex) == (Some(gateway), ifindex);
            if leads_there && state.down != down {
                state.down = down;
                self.dirty = true;
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
        for &(object, _) in &merged {
            self.objects[object as usize].refs += 1;
        }
        let set = Set {
            members: merged.clone(),
            effective: Members::new(),
            binding: None,
            refs: 0,
            wanted: 0,
            changed: false,
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
        self.set_index.insert(merged, i);
        self.dirty = true;
        i
    }

    pub(super) fn desire(&mut self, want: Want, by: i32) {
        let Some(i) = want.as_set() else { return };
        let set = &mut self.sets[i];
        set.refs = set.refs.saturating_add_signed(by);
        if set.refs == 0 {
            self.untidy = true;
        }
    }

    pub(super) fn want(&mut self, want: Want, by: i32) {
        let Some(i) = want.as_set() else { return };
        let set = &mut self.sets[i];
        let before = set.wanted;
        set.wanted = before.saturating_add_signed(by);
        if before == 0 {
            self.dirty = true;
        } else if set.wanted == 0 {
            self.untidy = true;
        }
    }

    /// A route that uses `id` and wants `want` came or went.
    pub(super) fn use_group(&mut self, id: u32, want: Want, by: i32) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        match group.users.iter().position(|u| u.0 == want) {
            Some(i) => {
                let count = &mut group.users[i].1;
                *count = count.saturating_add_signed(by);
                if *count == 0 {
                    group.users.swap_remove(i);
                    if group.users.is_empty() {
                        self.untidy = true;
                    } else {
                        // The others may all want the same now, and then the group can change under them.
                        self.dirty = true;
                    }
                }
            }
            None if by > 0 => {
                group.users.push((want, by.unsigned_abs()));
            }
            None => {}
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

    /// What has to be done to objects and groups before routes can be looked at: objects that are missing first, then
    /// groups. Empty: nothing. Returns whether routes may have to be looked at that are not queued.
    pub(super) fn plan(&mut self, now: Instant, out: &mut Vec<Op>) -> bool {
        if !self.dirty {
            return false;
        }
        self.cut(out);
        if !out.is_empty() {
            return false;
        }
        self.plan_objects(now, out);
        if !out.is_empty() {
            return false;
        }
        self.dirty = false;
        self.set_effective();
        self.morph(out);
        self.bind(now, out)
    }

    /// Takes ways that are down out of all groups that have another member.
    fn cut(&mut self, out: &mut Vec<Op>) {
        for i in 0..self.objects.len() {
            let state = &self.objects[i];
            let Some(id) = state.id(Role::Shared).filter(|_| state.down) else {
                continue;
            };
            let member = |m: &(u32, u8)| m.0 as usize == i;
            let holds = |g: &Group| g.content.iter().any(member);
            // A group without members vanishes, and its routes with it. Its routes are changed one by one.
            let alone = |g: &Group| g.content.len() == 1 && g.was_shared && holds(g);
            let several = |g: &Group| g.content.len() > 1 && holds(g);
            if self.groups.values().any(alone) || !self.groups.values().any(several) {
                continue;
            }
            for group in self.groups.values_mut() {
                if several(group) {
                    group.content.retain(|m| !member(m));
                    group.was_shared = group.content.len() == 1;
                    normalize(&mut group.content);
                }
            }
            self.objects[i].set_id(Role::Shared, None);
            self.untidy = true;
            out.push(Op::DeleteNexthop { id });
        }
    }

    fn plan_objects(&mut self, now: Instant, out: &mut Vec<Op>) {
        let mut needed: Vec<(u32, Role)> = Vec::new();
        for set in self.sets.iter().filter(|s| s.wanted > 0) {
            let role = Role::among(&set.members);
            if role == Role::Alone && self.is_served_alone(&set.members) {
                continue;
            }
            let object = |m: &(u32, u8)| &self.objects[m.0 as usize];
            let there = |m: &(u32, u8)| object(m).id_for(role).is_some();
            // What was cut is not made again, but if nothing else is there.
            let any = set.members.iter().all(|m| object(m).down && !there(m));
            let members = set.members.iter().filter(|m| any || !object(m).down);
            needed.extend(members.map(|m| (m.0, role)));
        }
        needed.sort_unstable_by_key(|&(i, role)| (i, role as u8));
        needed.dedup();
        for (i, role) in needed {
            let state = &self.objects[i as usize];
            let waiting = state.failure.as_ref().is_some_and(|f| f.retry_at > now);
            if state.id(role).is_some() || waiting {
                continue;
            }
            let object = state.object;
            let Some(id) = self.allocate() else { return };
            self.objects[i as usize].set_id(role, Some(id));
            out.push(Op::AddObject { id, object });
        }
    }

    /// Whether there is a group with this one member, over whichever of its objects.
    fn is_served_alone(&self, member: &Members) -> bool {
        self.groups.values().any(|g| g.content == *member)
    }

    fn set_effective(&mut self) {
        for set in self.sets.iter_mut().filter(|s| s.wanted > 0) {
            let role = Role::among(&set.members);
            let there = |m: &&(u32, u8)| self.objects[m.0 as usize].id_for(role).is_some();
            let up = |m: &&(u32, u8)| there(m) && !self.objects[m.0 as usize].down;
            let mut effective: Members = set.members.iter().filter(up).copied().collect();
            if effective.is_empty() {
                effective = set.members.iter().filter(there).copied().collect();
            }
            normalize(&mut effective);
            set.changed = set.effective != effective;
            set.effective = effective;
        }
    }

    /// A group whose routes all want the same other thing is changed in place: one message, however many routes.
    fn morph(&mut self, out: &mut Vec<Op>) {
        for (&id, group) in &mut self.groups {
            let mut wishes = group
                .users
                .iter()
                .map(|(want, _)| want.as_set().map(|i| &self.sets[i].effective));
            let Some(Some(first)) = wishes.next() else {
                continue;
            };
            let unanimous = wishes.all(|w| w == Some(first));
            if group.stuck || !unanimous || first.is_empty() || *first == group.content {
                continue;
            }
            let (members, was_shared) = ids(&self.objects, first);
            out.push(Op::ReplaceGroup { id, members });
            group.content = first.clone();
            group.was_shared = was_shared;
        }
    }

    /// Finds or makes a group for every set that is wanted.
    fn bind(&mut self, now: Instant, out: &mut Vec<Op>) -> bool {
        let mut by_content: HashMap<Members, u32> = HashMap::default();
        for (&id, group) in &self.groups {
            let best = by_content.entry(group.content.clone()).or_insert(id);
            *best = (*best).min(id);
        }
        let mut rescan = false;
        for i in 0..self.sets.len() {
            let set = &self.sets[i];
            if set.wanted == 0 {
                continue;
            }
            let content_of = |id: u32| self.groups.get(&id).map(|g| &g.content);
            if let Some(id) = set.binding
                && content_of(id) == Some(&set.effective)
            {
                continue;
            }
            let waiting = set.failure.as_ref().is_some_and(|f| f.retry_at > now);
            let existing = by_content.contains_key(&set.effective);
            let binding = match by_content.get(&set.effective) {
                _ if set.effective.is_empty() => None,
                Some(&id) => Some(id),
                None if waiting => None,
                None => {
                    let effective = set.effective.clone();
                    let id = self.allocate();
                    if let Some(id) = id {
                        let (members, was_shared) = ids(&self.objects, &effective);
                        out.push(Op::AddGroup { id, members });
                        by_content.insert(effective.clone(), id);
                        let content = effective;
                        let group = Group {
                            content,
                            was_shared,
                            ..Group::default()
                        };
                        self.groups.insert(id, group);
                    }
                    id
                }
            };
            let set = &mut self.sets[i];
            if existing || set.effective.is_empty() {
                set.failure = None;
            }
            if binding.is_none() {
                set.starved |= set.binding.is_some();
            } else {
                // Routes of this set that sit on another group have to follow, and those that were left alone can go on.
                rescan |= set.starved || (set.binding.is_some() && set.binding != binding);
                set.starved = false;
            }
            set.binding = binding;
        }
        // A route can be right on a group that is not its set's, for as long as both are the same. Not any more?
        rescan |= self.groups.values().any(|group| {
            let wrong = |set: &Set| set.changed && set.effective != group.content;
            let mut sets = group.users.iter().filter_map(|u| u.0.as_set());
            sets.any(|i| wrong(&self.sets[i]))
        });
        rescan
    }

    /// Removes what nothing uses: groups first, then (in a later batch) objects.
    pub(super) fn tidy(&mut self, out: &mut Vec<Op>) {
        for i in 0..self.sets.len() {
            if self.sets[i].refs == 0 && self.set_index.get(&self.sets[i].members) == Some(&i) {
                self.set_index.remove(&self.sets[i].members);
                for (object, _) in std::mem::take(&mut self.sets[i].members) {
                    self.objects[object as usize].refs -= 1;
                }
                self.sets[i].binding = None;
                self.free_sets.push(i);
            }
        }
        for id in self.garbage.drain(..) {
            out.push(Op::DeleteNexthop { id });
        }
        let bound: super::super::HashSet<u32> = self
            .sets
            .iter()
            .filter(|s| s.wanted > 0)
            .filter_map(|s| s.binding)
            .collect();
        let unused: Vec<u32> = self
            .groups
            .iter()
            .filter(|(id, g)| g.users.is_empty() && !bound.contains(*id))
            .map(|(&id, _)| id)
            .collect();
        for id in unused {
            self.groups.remove(&id);
            self.unbind(id);
            out.push(Op::DeleteNexthop { id });
        }
        if !out.is_empty() {
            return;
        }
        let used = self.used_objects();
        for (i, state) in self.objects.iter_mut().enumerate() {
            for role in Role::ALL {
                if !used.contains(&(i as u32, role))
                    && let Some(id) = state.id(role)
                {
                    state.set_id(role, None);
                    out.push(Op::DeleteNexthop { id });
                }
            }
            if state.refs > 0 || state.ids().next().is_some() {
                continue;
            }
            if self.object_index.get(&state.object) == Some(&(i as u32)) {
                self.object_index.remove(&state.object);
                self.free_objects.push(i);
                state.failure = None;
            }
        }
        self.untidy = !out.is_empty();
    }

    /// Objects that are in a group, or that a set needs.
    fn used_objects(&self) -> super::super::HashSet<(u32, Role)> {
        let groups = self.groups.values();
        let mut used: super::super::HashSet<(u32, Role)> = groups
            .flat_map(|g| g.content.iter().map(move |m| (m.0, g.role())))
            .collect();
        // Sets that are no more have no members.
        for set in &self.sets {
            let role = Role::among(&set.members);
            if role == Role::Shared || !self.is_served_alone(&set.members) {
                used.extend(set.members.iter().map(|m| (m.0, role)));
            }
        }
        used
    }

    /// Sets lose their binding to a group that is no more.
    pub(super) fn unbind(&mut self, id: u32) {
        for set in self.sets.iter_mut().filter(|s| s.binding == Some(id)) {
            set.binding = None;
        }
    }

    /// How many prefixes want sets that have no group.
    pub(super) fn unserved(&self) -> u64 {
        let unserved = |s: &&Set| s.wanted > 0 && s.binding.is_none() && s.starved;
        self.sets
            .iter()
            .filter(unserved)
            .map(|s| u64::from(s.wanted))
            .sum()
    }

    /// The failure that keeps a set from being used: its group's, or that of an object of it.
    pub(super) fn set_failure(&self, set: usize) -> Option<&Failure> {
        let set = &self.sets[set];
        let of_object = |m: &(u32, u8)| self.objects[m.0 as usize].failure.as_ref();
        set.failure
            .as_ref()
            .or_else(|| set.members.iter().find_map(of_object))
    }

    /// When the next object or group is worth another try.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        let wanted = || self.sets.iter().filter(|s| s.wanted > 0);
        let objects = wanted()
            .flat_map(|s| s.members.iter().map(|m| (m.0, Role::among(&s.members))))
            .map(|(object, role)| (&self.objects[object as usize], role))
            .filter(|(o, role)| o.id_for(*role).is_none() && !o.down)
            .filter_map(|(o, _)| o.failure.as_ref());
        let groups = wanted().filter(|s| s.binding.is_none());
        objects
            .chain(groups.filter_map(|s| s.failure.as_ref()))
            .map(|f| f.retry_at)
            .min()
    }

    fn allocate(&mut self) -> Option<u32> {
        const SPAN: u32 = NEXTHOP_ID_LAST - NEXTHOP_ID_FIRST;
        for _ in 0..SPAN {
            self.cursor = self.cursor % SPAN + 1;
            let id = NEXTHOP_ID_FIRST + self.cursor;
            let used = self.groups.contains_key(&id)
                || self.taken.contains(&id)
                || self.objects.iter().any(|o| o.role_of(id).is_some());
            if !used {
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
