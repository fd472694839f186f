//! An object, a set and a group, each with what it is to the others. Numbers name objects and sets, ids groups.

use std::time::Instant;

use smallvec::SmallVec;

use super::super::failure::Failure;
use super::users::Users;
use crate::hash::HashSet;
use crate::kernel::op::Object;

/// Objects by index, ascending, with weights.
pub(in super::super) type Members = SmallVec<[(u32, u8); 4]>;

/// Which groups a nexthop object of the kernel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Role {
    /// Those with other members.
    Shared,
    /// Those without.
    Alone,
}

impl Role {
    pub(in super::super) const ALL: [Self; 2] = [Self::Shared, Self::Alone];

    /// The role in a group, or in the groups of a set, with so many members.
    pub(in super::super) fn among(members: &Members) -> Self {
        if members.len() > 1 {
            Self::Shared
        } else {
            Self::Alone
        }
    }
}

#[derive(Debug)]
pub(in super::super) struct ObjectState {
    pub(in super::super) object: Object,
    /// Ids in the kernel by role, of those that are there.
    pub(super) ids: [Option<u32>; 2],
    /// Sets that mention it.
    pub(super) sets: HashSet<u32>,
    /// Groups that it is a member of.
    pub(super) groups: HashSet<u32>,
    /// Told to be unreachable: routes avoid it while they have another way.
    pub(in super::super) down: bool,
    /// Its interface carries nothing: the kernel has removed it, and does not take it.
    pub(super) link_down: bool,
    pub(in super::super) failure: Option<Failure>,
}

impl ObjectState {
    /// Whether neither it nor its interface is down.
    pub(super) fn is_usable(&self) -> bool {
        !self.down && !self.link_down
    }

    /// Whether its next attempt is not due.
    pub(super) fn waits(&self, now: Instant) -> bool {
        self.failure.as_ref().is_some_and(|f| f.retry_at > now)
    }

    /// The id for a role.
    pub(in super::super) fn id(&self, role: Role) -> Option<u32> {
        self.ids[role as usize]
    }

    /// The id to be put into a group, with the role that it has: alone, an object may also be the one for groups of several.
    pub(super) fn id_for(&self, role: Role) -> Option<(u32, Role)> {
        let of = |role| self.id(role).map(|id| (id, role));
        match role {
            Role::Shared => of(Role::Shared),
            Role::Alone => of(Role::Alone).or_else(|| of(Role::Shared)),
        }
    }

    /// Its ids in the kernel.
    pub(in super::super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.ids.into_iter().flatten()
    }
}

#[derive(Debug)]
pub(in super::super) struct Set {
    pub(in super::super) members: Members,
    pub(in super::super) effective: Members,
    /// The group for new routes.
    pub(in super::super) binding: Option<u32>,
    /// Prefixes that desire it, refused ones included.
    pub(super) refs: u32,
    /// Prefixes that want it.
    pub(super) wanted: u32,
    /// Groups with routes that want it.
    pub(super) on: HashSet<u32>,
    /// It is among those in [`Index`](super::index::Index) that wait for a group.
    pub(super) waits: bool,
    /// A prefix had to be left alone because there was no binding.
    pub(in super::super) starved: bool,
    /// Its group could not be made.
    pub(in super::super) failure: Option<Failure>,
}

#[derive(Debug, Default)]
pub(in super::super) struct Group {
    pub(in super::super) content: Members,
    /// Its only member is the object for groups of several: others were cut, or its own could not be made.
    pub(in super::super) was_shared: bool,
    /// Who uses it.
    pub(super) users: Users,
    /// Sets that are bound to it.
    pub(super) bound: HashSet<u32>,
    /// The kernel refused to change it in place.
    pub(in super::super) stuck: bool,
}

impl Group {
    /// The role of its members' objects.
    pub(in super::super) fn role(&self) -> Role {
        match Role::among(&self.content) {
            Role::Alone if !self.was_shared => Role::Alone,
            _ => Role::Shared,
        }
    }
}

/// A lone member's weight means nothing, so that there is one form of it.
pub(in super::super) fn normalize(members: &mut Members) {
    if let [(_, weight)] = members.as_mut_slice() {
        *weight = 1;
    }
}
