//! Members that come from other groups: what they were sent is compared with what the stream has advertised.
//!
//! They are compared together, the one that is furthest behind first, and none catches up past it: changes for several
//! of them are encoded once.

use super::super::Slot;
use super::super::comparison::{Heard, Stream};
use super::super::member::Member;
use super::Group;
use crate::peer::PeerId;

/// Slots that one of them is compared for before the next one is.
const TURN: usize = 4096;

impl Group {
    /// A member was sent what another group's stream has advertised, and has to be sent what this one's has.
    pub(super) fn let_hear_difference(&self, peer: PeerId, member: &mut Member, from: &Self) {
        for index in 0..member.families.len() {
            let (before, now) = (from.stream(index), self.stream(index));
            if !before.adj_rib_out.is_empty() || !now.adj_rib_out.is_empty() {
                member.compare(peer, index, Heard::of(before));
            }
        }
    }

    pub(super) fn stream(&self, family: usize) -> Stream<'_> {
        Stream {
            adj_rib_out: &self.families[family].adj_rib_out,
            pairs: self.exclusions.pairs(),
        }
    }

    /// Whether a member has to be compared before it can move to another group.
    pub(in crate::export) fn has_to_be_compared(&self, peer: PeerId) -> bool {
        let member = self.members.get(&peer);
        member.is_some_and(Member::has_to_be_compared)
    }

    /// Whether a member has to be compared before another can move here, because the Adj-RIB-Out is replaced then.
    pub(in crate::export) fn must_not_adopt(&self) -> bool {
        let mut members = self.members.values();
        self.passes_by() && members.any(Member::has_to_be_compared)
    }

    /// Whether a member is still to be compared: changes for all members wait for that, so that it is sent them with
    /// the others.
    pub(super) fn is_comparing(&self) -> bool {
        self.compared_up_to(0).is_some() || self.compared_up_to(1).is_some()
    }

    /// Before which slot every member has been compared; `None`: there is none that has to be.
    pub(in crate::export) fn compared_up_to(&self, family: usize) -> Option<Slot> {
        let behind = self.members.values().filter_map(|m| m.behind.as_ref());
        let comparisons = behind.filter_map(|behind| behind.comparisons[family].as_ref());
        comparisons.map(|comparison| comparison.cursor()).min()
    }

    /// Continues comparisons. Returns the work done.
    pub(in crate::export) fn compare(&mut self, budget: usize) -> usize {
        let mut used = 0;
        for index in 0..self.families.len() {
            while used < budget
                && let Some(least) = self.compared_up_to(index)
            {
                used += self.compare_from(least, index, budget - used);
            }
        }
        used
    }

    /// Compares those members further that are compared up to this slot.
    fn compare_from(&mut self, from: Slot, family: usize, budget: usize) -> usize {
        let stream = Stream {
            adj_rib_out: &self.families[family].adj_rib_out,
            pairs: self.exclusions.pairs(),
        };
        let mut used = 0;
        for member in self.members.values_mut() {
            let Some(behind) = member.behind.as_mut().filter(|behind| {
                let comparison = behind.comparisons[family].as_ref();
                comparison.is_some_and(|comparison| comparison.cursor() == from)
            }) else {
                continue;
            };
            used += behind.compare(family, stream, (budget - used).min(TURN));
            if behind.is_caught_up() && !member.blocked {
                member.behind = None;
            }
            if used >= budget {
                break;
            }
        }
        used
    }
}
