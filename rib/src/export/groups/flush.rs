//! The work of a flush, in rounds: changed slots, walks, and members that are behind.

use bgp::types::Family;

use super::super::group::Group;
use super::super::marks::Dirty;
use super::super::{LocRib, Progress, Transport};
use super::UpdateGroups;

impl UpdateGroups {
    /// Does what is due, and hands the bytes over: changed slots first, then walks, then members that are behind.
    ///
    /// Processes about `budget` slots, each once per affected group. Larger budgets pack better: some thousands take a
    /// few milliseconds.
    pub fn flush<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        transport: &mut T,
        budget: usize,
    ) -> Progress {
        let mut left = budget.max(1);
        let progress = loop {
            // Each kind of work gets an equal share of the remaining budget: none starves another, and a single kind is
            // not split into many pieces.
            let round = (left / self.kinds_of_work()).max(self.min_round);
            let mut done = self.move_postponed();
            done += self.stage_dirty(loc_rib, transport, round);
            if self.gate_open {
                done += self.compare(round);
                done += self.walk(loc_rib, transport, round);
                done += self.catch_up(loc_rib, transport, round);
                let settled = self.dirty.each_ref().map(Dirty::is_empty);
                for group in self.groups.values_mut() {
                    done += group.settle(transport, settled, &self.hold, &self.postponed);
                }
            }
            if done == 0 {
                break Progress::Done;
            }
            left = left.saturating_sub(done);
            if left == 0 {
                break Progress::More;
            }
        };
        let another = progress == Progress::More;
        for group in self.groups.values_mut() {
            group.end_flush(another);
        }
        if self.retire(budget) {
            return Progress::More;
        }
        progress
    }

    /// How many kinds of work there are for a flush, at least one: changed slots, walks, and members that are behind.
    fn kinds_of_work(&self) -> usize {
        let dirty = self.dirty.iter().any(|dirty| !dirty.is_empty());
        let walks = self.groups.values().any(Group::is_walking);
        let behind = self.groups.values().any(Group::has_behind);
        [dirty, walks, behind]
            .into_iter()
            .map(usize::from)
            .sum::<usize>()
            .max(1)
    }

    fn stage_dirty<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        transport: &mut T,
        budget: usize,
    ) -> usize {
        let mut done = 0;
        let mut slots = Vec::new();
        for (index, family) in Family::ALL.into_iter().enumerate() {
            if self.dirty[index].is_empty() {
                continue;
            }
            let share = (budget / self.groups.len().max(1)).max(self.min_round);
            self.dirty[index].take(share, &mut slots);
            done += slots.len() * self.groups.len().max(1);
            if self.gate_open {
                for group in self.groups.values_mut() {
                    let slots = slots.iter().copied();
                    group.stage_all(loc_rib, (index, family), slots, &self.seed);
                    group.deliver_to_stream(loc_rib, (index, family), transport);
                }
            }
            for slot in &slots {
                if loc_rib.best(family, *slot).is_none() {
                    self.emptied[index].insert(*slot);
                } else {
                    self.held[index].remove(*slot);
                }
            }
        }
        done
    }

    fn compare(&mut self, budget: usize) -> usize {
        let mut done = 0;
        for group in self.groups.values_mut() {
            if done < budget {
                done += group.compare(budget - done);
            }
        }
        done
    }

    fn walk<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        transport: &mut T,
        budget: usize,
    ) -> usize {
        let mut done = 0;
        for group in self.groups.values_mut() {
            for family in Family::ALL.into_iter().enumerate() {
                if done < budget {
                    done += group.walk(loc_rib, family, budget - done, &self.seed);
                    group.deliver_to_stream(loc_rib, family, transport);
                }
            }
        }
        done
    }

    fn catch_up<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        transport: &mut T,
        budget: usize,
    ) -> usize {
        let mut done = 0;
        for group in self.groups.values_mut() {
            for (index, family) in Family::ALL.into_iter().enumerate() {
                if done < budget {
                    done += group.catch_up(
                        loc_rib,
                        (index, family),
                        transport,
                        budget - done,
                        (&mut self.dirty[index], &mut self.emptied[index]),
                        &self.seed,
                    );
                }
            }
        }
        done
    }
}
