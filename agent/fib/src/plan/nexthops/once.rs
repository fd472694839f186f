//! Queues that hold each number once.
//!
//! That a number waits is known by the queue, and not by what it is the number of: a set or an object can be forgotten, and its number
//! used again, many times before anybody looks.

use std::collections::VecDeque;

use crate::hash::HashSet;

/// The numbers that are in a queue.
pub(super) trait Within: Default {
    /// Whether it was not in it.
    fn add(&mut self, number: u32) -> bool;
    /// It is no more.
    fn remove(&mut self, number: u32);
}

/// Of a range that begins at 0, such as indices.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Within for Bits {
    fn add(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let before = self.0[word];
        self.0[word] |= bit;
        before & bit == 0
    }

    fn remove(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }
}

/// Of any range, such as ids in the kernel.
impl Within for HashSet<u32> {
    fn add(&mut self, number: u32) -> bool {
        self.insert(number)
    }

    fn remove(&mut self, number: u32) {
        Self::remove(self, &number);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Once<W = Bits> {
    waiting: VecDeque<u32>,
    within: W,
}

impl<W: Within> Once<W> {
    /// Puts one at the end if it is not in the queue.
    pub(super) fn push(&mut self, number: u32) {
        if self.within.add(number) {
            self.waiting.push_back(number);
        }
    }

    /// The one that came first.
    pub(super) fn pop_first(&mut self) -> Option<u32> {
        let number = self.waiting.pop_front()?;
        self.within.remove(number);
        Some(number)
    }

    /// The one that came last.
    pub(super) fn pop_last(&mut self) -> Option<u32> {
        let number = self.waiting.pop_back()?;
        self.within.remove(number);
        Some(number)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_each_once<W: Within>(mut queue: Once<W>) {
        for number in [7, 700, 7, 0, 700] {
            queue.push(number);
        }
        assert_eq!(queue.len(), 3);
        assert_eq!(queue.pop_first(), Some(7));
        // Who is looked at may have to be looked at again.
        queue.push(7);
        queue.push(0);
        assert_eq!(queue.pop_last(), Some(7));
        let rest = std::iter::from_fn(|| queue.pop_first());
        assert_eq!(rest.collect::<Vec<_>>(), [700, 0]);
        assert!(queue.is_empty());
    }

    #[test]
    fn each_number_waits_once_until_it_is_taken() {
        holds_each_once(Once::<Bits>::default());
        holds_each_once(Once::<HashSet<u32>>::default());
    }
}
