//! One peer in its group: in the stream, or behind it.

use std::net::IpAddr;

use super::Slot;
use super::marks::Marks;

/// A peer of a group.
#[derive(Debug)]
pub(super) struct Member {
    /// The session's remote address: who is a route's next hop.
    pub(super) address: IpAddr,
    /// Refreshes are demarcated (RFC 7313).
    pub(super) enhanced_refresh: bool,
    /// `None`: in the stream, which has told it all that the group was told.
    pub(super) behind: Option<Box<Behind>>,
    /// Its queue is full: nothing is sent before `writable`. A blocked member is behind.
    pub(super) blocked: bool,
    pub(super) families: [MemberFamily; 2],
    /// Takes part in the step that is being delivered.
    pub(super) receiving: bool,
}

/// What a member that left the stream, or is not yet in it, has to hear: a bit per slot, never a queue.
///
/// What it knows of a slot without a mark is what the group was told of it.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) marks: [Marks; 2],
}

impl Behind {
    pub(super) fn is_caught_up(&self) -> bool {
        self.marks.iter().all(Marks::is_empty)
    }
}

/// What a member is owed of one family beside routes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemberFamily {
    /// End-of-RIB is to follow the initial dump.
    pub(super) end_of_rib: bool,
    pub(super) refresh: Refresh,
}

/// Where a refresh that the peer asked for stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Refresh {
    /// None is under way.
    #[default]
    None,
    /// Asked for, not begun.
    Wanted,
    /// Begun; ends when all that was told at its begin has been told again.
    Running,
}

impl Member {
    pub(super) fn is_in_stream(&self) -> bool {
        self.behind.is_none()
    }

    /// Marks a slot if the member is behind.
    pub(super) fn mark_if_behind(&mut self, family: usize, slot: Slot) {
        if let Some(behind) = &mut self.behind {
            behind.marks[family].insert(slot);
        }
    }

    /// Leaves the stream, if it is in it, and has to hear of these slots.
    pub(super) fn fall_behind(&mut self, family: usize, slots: impl Iterator<Item = Slot>) {
        let behind = self.behind.get_or_insert_default();
        for slot in slots {
            behind.marks[family].insert(slot);
        }
    }

    /// The member's queue is full.
    pub(super) fn block(&mut self) {
        self.blocked = true;
        self.behind.get_or_insert_default();
    }
}
