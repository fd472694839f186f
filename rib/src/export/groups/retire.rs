//! Retires slots that no member has to be sent any more.

use bgp::types::Family;

use super::super::Slot;
use super::super::group::Group;
use super::super::member::Behind;
use super::UpdateGroups;

impl UpdateGroups {
    /// Empty slots that no member has to be sent any more: their entries may be freed, unless they have a path again.
    pub fn take_retired(&mut self) -> Vec<(Family, Slot)> {
        std::mem::take(&mut self.retired)
    }

    /// Releases empty slots that no member behind has to be sent: of those that became empty or were withdrawn, and of
    /// those where a member that was behind has left. Each member checked for a slot counts. Returns whether there are
    /// more.
    pub(super) fn retire(&mut self, budget: usize) -> bool {
        for (index, family) in Family::ALL.into_iter().enumerate() {
            if self.emptied[index].is_empty() && self.look_again[index].is_none() {
                continue;
            }
            // Few of many: the others are not checked for each slot.
            let behind: Vec<&Behind> = self.groups.values().flat_map(Group::behind).collect();
            let mut left = budget.max(1);
            let mut cursor = Slot(0);
            while left > 0 {
                let slot = if let Some(slot) = self.emptied[index].next_from(cursor) {
                    self.emptied[index].remove(slot);
                    cursor = slot;
                    slot
                } else if let Some(from) = self.look_again[index] {
                    let next = self.held[index].next_from(from);
                    self.look_again[index] = next.map(|slot| Slot(slot.0 + 1));
                    let Some(slot) = next else { break };
                    slot
                } else {
                    break;
                };
                left = left.saturating_sub(1 + behind.len());
                #[cfg(test)]
                {
                    self.checked += 1;
                    self.looks += 1 + behind.len();
                }
                // A slot that is dirty again is checked again later. A withdrawn slot may be in use again.
                if self.dirty[index].contains(slot) {
                    self.held[index].remove(slot);
                } else if behind.iter().any(|behind| behind.holds(index, slot)) {
                    self.held[index].insert(slot);
                } else {
                    self.held[index].remove(slot);
                    self.retired.push((family, slot));
                }
            }
        }
        let more =
            |index: usize| !self.emptied[index].is_empty() || self.look_again[index].is_some();
        more(0) || more(1)
    }
}
