//! One peer in its group: in the stream, or behind it.

use std::net::IpAddr;

use super::Slot;
use super::comparison::{Comparison, Heard, Stream};
use super::marks::Marks;
use crate::peer::PeerId;

/// A peer of a group.
#[derive(Debug)]
pub(super) struct Member {
    /// The session's remote address: who is a route's next hop.
    pub(super) address: IpAddr,
    /// Refreshes are demarcated (RFC 7313).
    pub(super) enhanced_refresh: bool,
    /// `None`: in the stream, so it has been sent everything.
    pub(super) behind: Option<Box<Behind>>,
    /// Its queue is full: nothing is sent before `writable`. A blocked member is behind.
    pub(super) blocked: bool,
    pub(super) families: [MemberFamily; 2],
    /// Takes part in the step that is being delivered.
    pub(super) receiving: bool,
}

/// What a member outside the stream still has to be sent: a bit per slot, never a queue.
///
/// For a slot without a mark it has been sent what the group has, once it has been compared.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) marks: [Marks; 2],
    pub(super) comparisons: [Option<Box<Comparison>>; 2],
}

impl Behind {
    /// Whether the member has been sent all of a family.
    pub(super) const fn has_heard(&self, family: usize) -> bool {
        self.marks[family].is_empty() && self.comparisons[family].is_none()
    }

    pub(super) const fn is_caught_up(&self) -> bool {
        self.has_heard(0) && self.has_heard(1)
    }

    /// The member is sent what the stream has advertised for a slot.
    pub(super) fn hear(&mut self, family: usize, slot: Slot) {
        self.marks[family].remove(slot);
        if let Some(comparison) = &mut self.comparisons[family] {
            comparison.meet(slot);
        }
    }

    /// Whether the member may need a withdrawal of a slot that is empty now.
    pub(super) fn holds(&self, family: usize, slot: Slot) -> bool {
        let comparison = self.comparisons[family].as_ref();
        self.marks[family].contains(slot) || comparison.is_some_and(|of| of.holds(slot))
    }

    /// Continues the comparison of a family. Returns the work done.
    pub(super) fn compare(&mut self, family: usize, stream: Stream<'_>, budget: usize) -> usize {
        let Some(comparison) = &mut self.comparisons[family] else {
            return 0;
        };
        let (used, is_over) = comparison.step(stream, &mut self.marks[family], budget);
        if is_over {
            self.comparisons[family] = None;
        }
        used
    }
}

/// What a member is owed of one family beside routes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemberFamily {
    /// End-of-RIB is to follow the initial dump.
    pub(super) end_of_rib: bool,
    pub(super) refresh: Refresh,
}

/// The state of a refresh that the peer requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Refresh {
    /// None is under way.
    #[default]
    None,
    /// Asked for, not begun.
    Wanted,
    /// Started; ends when everything that was advertised at its start has been sent again.
    Running,
    /// The same, and asked for once more.
    RunningAndWanted,
}

impl Member {
    pub(super) fn is_in_stream(&self) -> bool {
        self.behind.is_none()
    }

    /// Leaves the stream, if it is in it, and has to be sent these slots.
    pub(super) fn fall_behind(&mut self, family: usize, slots: impl Iterator<Item = Slot>) {
        let behind = self.behind.get_or_insert_default();
        for slot in slots {
            behind.marks[family].insert(slot);
        }
    }

    /// Leaves the stream, if it is in it: it may have been sent something else, and has to be compared.
    pub(super) fn compare(&mut self, peer: PeerId, family: usize, heard: Heard) {
        let comparisons = &mut self.behind.get_or_insert_default().comparisons;
        let comparison = comparisons[family].get_or_insert_with(|| Box::new(Comparison::new(peer)));
        comparison.add(heard);
    }

    /// Whether it has to be compared before it can leave another stream.
    pub(super) fn has_to_be_compared(&self) -> bool {
        let comparisons = self.behind.iter().flat_map(|behind| &behind.comparisons);
        comparisons.flatten().any(|comparison| comparison.is_full())
    }

    /// The member's queue is full.
    pub(super) fn block(&mut self) {
        self.blocked = true;
        self.behind.get_or_insert_default();
    }
}
