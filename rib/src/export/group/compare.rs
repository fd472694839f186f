//! Members that come from elsewhere: what they were told is compared with what the stream has told.

use super::super::comparison::{Heard, Stream};
use super::super::member::Member;
use super::Group;
use crate::peer::PeerId;

impl Group {
    /// A member was told what another group's stream has told, and has to hear what this one's has.
    pub(super) fn let_hear_difference(&self, peer: PeerId, member: &mut Member, from: &Self) {
        for index in 0..member.families.len() {
            let (before, now) = (from.stream(index), self.stream(index));
            if !before.told.is_empty() || !now.told.is_empty() {
                let heard = Heard::of(before.told, before.exclusions);
                member.compare(peer, index, heard, before);
            }
        }
    }

    pub(super) fn stream(&self, family: usize) -> Stream<'_> {
        Stream {
            told: &self.families[family].told,
            exclusions: &self.exclusions,
        }
    }

    /// Whether a member is still to be compared: changes that concern all wait for that, so that it hears them with the others.
    pub(super) fn is_comparing(&self) -> bool {
        let mut behind = self.members.values().filter_map(|m| m.behind.as_ref());
        behind.any(|behind| behind.comparisons.iter().any(Option::is_some))
    }

    /// Goes on with comparisons. Returns how much was done.
    pub(in crate::export) fn compare(&mut self, budget: usize) -> usize {
        let mut used = 0;
        for member in self.members.values_mut() {
            let Some(behind) = &mut member.behind else {
                continue;
            };
            for (index, family) in self.families.iter().enumerate() {
                let stream = Stream {
                    told: &family.told,
                    exclusions: &self.exclusions,
                };
                if used < budget {
                    used += behind.compare(index, stream, budget - used);
                }
            }
            if behind.is_caught_up() && !member.blocked {
                member.behind = None;
            }
        }
        used
    }
}
