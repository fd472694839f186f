//! The next of many timers: a binary heap that knows the place of each, so that a change costs O(log n) and no allocation.

use std::time::Instant;

/// The place of a slot that has no timer.
const NOWHERE: usize = usize::MAX;

/// At most one timer for each slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// Each is due no later than its children, which are at `2 * place + 1` and `2 * place + 2`.
    heap: Vec<(Instant, usize)>,
    /// By slot: the place in the heap.
    places: Vec<usize>,
}

impl Timers {
    /// The timer that is due first, and its slot.
    pub(super) fn first(&self) -> Option<(Instant, usize)> {
        self.heap.first().copied()
    }

    /// Sets, moves or removes the timer of a slot.
    pub(super) fn set(&mut self, slot: usize, at: Option<Instant>) {
        if self.places.len() <= slot {
            self.places.resize(slot + 1, NOWHERE);
        }
        match (self.places[slot], at) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(at)) => {
                let place = self.heap.len();
                self.heap.push((at, slot));
                self.places[slot] = place;
                self.rise(place);
            }
            (place, Some(at)) if self.heap[place].0 == at => {}
            (place, Some(at)) => {
                self.heap[place].0 = at;
                let place = self.rise(place);
                self.sink(place);
            }
            (place, None) => {
                let last = self.heap.len() - 1;
                self.swap(place, last);
                self.heap.pop();
                self.places[slot] = NOWHERE;
                if place < last {
                    let place = self.rise(place);
                    self.sink(place);
                }
            }
        }
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].0 <= self.heap[place].0 {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let child = (2 * place + 1..=2 * place + 2)
                .filter(|child| *child < self.heap.len())
                .min_by_key(|child| self.heap[*child].0);
            match child {
                Some(child) if self.heap[child].0 < self.heap[place].0 => {
                    self.swap(place, child);
                    place = child;
                }
                Some(_) | None => return,
            }
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[self.heap[a].1] = a;
        self.places[self.heap[b].1] = b;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
            #[test]
        fn the_first_is_that_of_a_sorted_map(
            changes in proptest::collection::vec((0..20usize, proptest::option::of(0..100u64)), 0..200),
        ) {
            let start = Instant::now();
            let (mut timers, mut model) = (Timers::default(), BTreeMap::new());
            for (slot, at) in changes {
                let at = at.map(|millis| start + Duration::from_millis(millis));
                timers.set(slot, at);
                match at {
                    Some(at) => model.insert(slot, at),
                    None => model.remove(&slot),
                };
                let first = timers.first();
                prop_assert_eq!(first.map(|(at, _)| at), model.values().min().copied());
                prop_assert_eq!(first.map(|(at, slot)| model.get(&slot) == Some(&at)), first.map(|_| true));
                prop_assert_eq!(timers.heap.len(), model.len());
            }
        }
    }
}
