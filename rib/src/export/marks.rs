//! Sets of slots: one bit each, so that a set is bounded by the table whatever happens in it.

use super::Slot;
use crate::fifo::Fifo;

/// Words per chunk: 4,096 slots.
const CHUNK: usize = 64;

/// A set of slots with its size, walked in slot order. It takes memory where there are marks, so that a mark on the last slot
/// of a large table costs as much as one on the first.
#[derive(Debug, Default)]
pub(super) struct Marks {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    words: Option<Box<[u64; CHUNK]>>,
    len: u16,
}

impl Marks {
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let (chunk, word, bit) = place(slot);
        let words = self
            .chunks
            .get(chunk)
            .and_then(|chunk| chunk.words.as_ref());
        words.is_some_and(|words| words[word] & bit != 0)
    }

    /// Marks a slot. Returns whether it was not marked before.
    pub(super) fn insert(&mut self, slot: Slot) -> bool {
        let (number, word, bit) = place(slot);
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, Chunk::default);
        }
        let chunk = &mut self.chunks[number];
        let words = chunk.words.get_or_insert_with(|| Box::new([0; CHUNK]));
        let new = words[word] & bit == 0;
        words[word] |= bit;
        chunk.len += u16::from(new);
        self.len += usize::from(new);
        new
    }

    /// Takes a mark away. Returns whether there was one.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        let (number, word, bit) = place(slot);
        let Some(chunk) = self.chunks.get_mut(number) else {
            return false;
        };
        let Some(words) = chunk.words.as_mut().filter(|words| words[word] & bit != 0) else {
            return false;
        };
        words[word] &= !bit;
        chunk.len -= 1;
        self.len -= 1;
        if chunk.len == 0 {
            chunk.words = None;
        }
        if self.len == 0 {
            self.chunks = Vec::new();
        }
        true
    }

    /// The first marked slot at or after this one.
    pub(super) fn next_from(&self, slot: Slot) -> Option<Slot> {
        if self.is_empty() {
            return None;
        }
        let (first, mut from, bit) = place(slot);
        let mut mask = !(bit - 1);
        for (number, chunk) in self.chunks.iter().enumerate().skip(first) {
            for (at, word) in chunk
                .words
                .iter()
                .flat_map(|words| words.iter().enumerate().skip(from))
            {
                let rest = word & mask;
                if rest != 0 {
                    let base = (number * CHUNK + at) as u32 * 64;
                    return Some(Slot(base + rest.trailing_zeros()));
                }
                mask = !0;
            }
            (from, mask) = (0, !0);
        }
        None
    }
}

const fn place(slot: Slot) -> (usize, usize, u64) {
    let word = slot.0 as usize / 64;
    (word / CHUNK, word % CHUNK, 1 << (slot.0 % 64))
}

/// Slots to evaluate again, in order of arrival, each once; small changes before bulk ones.
///
/// The order keeps routes together that arrived together, and those share attributes: it is what makes packing good.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    queue: Fifo<Slot>,
    /// Few slots of one message, which go ahead of the table that another peer sends.
    news: Fifo<Slot>,
    /// News was taken last, and the queue is next: news without end must not starve it.
    is_queues_turn: bool,
    marks: Marks,
}

impl Dirty {
    pub(super) fn insert(&mut self, slot: Slot) {
        if self.marks.insert(slot) {
            self.queue.push_back(slot);
        }
    }

    /// As [`Dirty::insert`], ahead of what is no news. What is marked already keeps its place.
    pub(super) fn insert_news(&mut self, slot: Slot) {
        if self.marks.insert(slot) {
            self.news.push_back(slot);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.news.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.news.len()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.marks.contains(slot)
    }

    /// Takes up to so many slots out, oldest first: all of them news, or none.
    pub(super) fn take(&mut self, limit: usize, into: &mut Vec<Slot>) {
        into.clear();
        let is_free = !self.is_queues_turn || self.queue.is_empty();
        let takes_news = is_free && self.has_news();
        self.is_queues_turn = takes_news;
        let list = match takes_news {
            true => &mut self.news,
            false => &mut self.queue,
        };
        list.take(limit, into);
        for slot in into.iter() {
            self.marks.remove(*slot);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_a_set_of_slots(ops in prop::collection::vec((any::<bool>(), prop_oneof![0u32..200, 4_000u32..4_200, 90_000u32..90_200]), 0..200)) {
            let mut marks = Marks::default();
            let mut model = BTreeSet::new();
            for (insert, slot) in ops {
                if insert {
                    prop_assert_eq!(marks.insert(Slot(slot)), model.insert(slot));
                } else {
                    prop_assert_eq!(marks.remove(Slot(slot)), model.remove(&slot));
                }
                prop_assert_eq!(marks.len(), model.len());
            }
            let mut walked = BTreeSet::new();
            let mut at = Slot(0);
            while let Some(slot) = marks.next_from(at) {
                prop_assert!(marks.contains(slot));
                walked.insert(slot.0);
                at = Slot(slot.0 + 1);
            }
            prop_assert_eq!(walked, model);
        }
    }

    #[test]
    fn a_dirty_slot_is_taken_once_and_in_order_of_arrival() {
        let mut dirty = Dirty::default();
        for slot in [7, 3, 7, 9, 3] {
            dirty.insert(Slot(slot));
        }
        let mut taken = Vec::new();
        dirty.take(2, &mut taken);
        assert_eq!(taken, [Slot(7), Slot(3)]);
        dirty.insert(Slot(7));
        dirty.take(10, &mut taken);
        assert_eq!(taken, [Slot(9), Slot(7)]);
        assert!(dirty.is_empty());
    }

    #[test]
    fn news_is_taken_first_and_by_turns_with_the_rest() {
        let mut dirty = Dirty::default();
        let mut taken = Vec::new();
        for slot in 0..6 {
            dirty.insert(Slot(slot));
        }
        for slot in [100, 3, 101, 102] {
            dirty.insert_news(Slot(slot));
        }
        assert_eq!(dirty.len(), 9, "what waits already does not wait twice");
        dirty.take(2, &mut taken);
        assert_eq!(taken, [Slot(100), Slot(101)]);
        dirty.take(2, &mut taken);
        assert_eq!(taken, [Slot(0), Slot(1)], "news does not starve the rest");
        dirty.take(2, &mut taken);
        assert_eq!(taken, [Slot(102)], "news alone");
        assert!(!dirty.has_news());
        dirty.take(10, &mut taken);
        assert_eq!(taken, [2, 3, 4, 5].map(Slot));
        dirty.insert_news(Slot(7));
        dirty.take(10, &mut taken);
        assert_eq!(taken, [Slot(7)], "nothing else waits");
        dirty.insert_news(Slot(8));
        dirty.take(10, &mut taken);
        assert_eq!(taken, [Slot(8)], "the same, though news was taken last");
        assert!(dirty.is_empty());
    }
}
