//! Prefixes to look at, in an order that is fast for the kernel. At most one mention of each ([`flag::QUEUED`](super::table::flag)).
//!
//! A few go in the order that they came, the latest first, and before many, so that a small change does not wait for a full table. Of many
//! the order matters more: they are put into *buckets*, which are emptied one after the other, round and round ([`Key::bucket`]).
//! Both is done some at a time: neither putting a million into order nor waiting for that is one step.

use super::key::{BUCKETS, Key};
use super::stack::Stack;

/// From this many queued prefixes on, their order matters more than that the latest goes first.
const BULK: usize = 1024;

/// While there are many, so many that came since the last were taken are a small change. No more than a batch: what comes faster than
/// the kernel takes it is a part of a table.
const FEW: usize = 256;

/// How many are put into buckets at a time.
const PORTION: usize = 2048;

/// How many of a bucket are put into order at a time.
const SORTED: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// In the order that they came.
    incoming: Stack<K>,
    /// Many of them; none, or [`BUCKETS`].
    buckets: Vec<Vec<K>>,
    /// Which of these have any, a bit for each.
    filled: [u64; BUCKETS / 64],
    /// How many are in them.
    waiting: usize,
    /// The bucket that comes next, if it has any.
    at: usize,
    /// A bucket that is being emptied, or a part of it, from its end.
    current: Vec<K>,
    /// How many were put into buckets when some were taken last.
    arranged: usize,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            incoming: Stack::default(),
            buckets: Vec::new(),
            filled: [0; BUCKETS / 64],
            waiting: 0,
            at: 0,
            current: Vec::new(),
            arranged: 0,
        }
    }
}

impl<K: Key> Queue<K> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.incoming.len() + self.many()
    }

    pub(super) fn push(&mut self, key: K) {
        self.incoming.push(key);
    }

    /// The next ones, at most `most`, and no more than a few hundred.
    pub(super) fn take(&mut self, most: usize) -> Vec<K> {
        self.arrange();
        let next = std::iter::from_fn(|| self.pop());
        let keys = next.take(most).collect();
        if self.many() == 0 && !self.buckets.is_empty() {
            self.buckets = Vec::new();
            self.current = Vec::new();
        }
        keys
    }

    /// What putting some into buckets has cost beside taking some, in looks at a prefix.
    pub(super) const fn cost(&self) -> usize {
        self.arranged / 8
    }

    /// Those in buckets, and in what was one.
    const fn many(&self) -> usize {
        self.waiting + self.current.len()
    }

    /// Puts some into buckets if they are many.
    fn arrange(&mut self) {
        self.arranged = 0;
        let few = if self.many() > 0 { FEW } else { BULK };
        if self.incoming.len() <= few {
            return;
        }
        if self.buckets.is_empty() {
            self.buckets = (0..BUCKETS).map(|_| Vec::new()).collect();
        }
        while self.arranged < PORTION
            && let Some(key) = self.incoming.pop()
        {
            self.arranged += 1;
            let bucket = key.bucket();
            self.buckets[bucket].push(key);
            self.filled[bucket / 64] |= 1 << (bucket % 64);
            self.waiting += 1;
        }
    }

    fn pop(&mut self) -> Option<K> {
        if self.incoming.len() <= FEW || self.many() == 0 {
            self.incoming.pop().or_else(|| self.pop_of_many())
        } else {
            self.pop_of_many()
        }
    }

    fn pop_of_many(&mut self) -> Option<K> {
        if self.current.is_empty() && self.waiting > 0 {
            self.at = self.next_filled();
            let bucket = &mut self.buckets[self.at];
            let rest = bucket.len().saturating_sub(SORTED);
            self.current = match rest {
                0 => std::mem::take(bucket),
                rest => bucket.split_off(rest),
            };
            self.waiting -= self.current.len();
            self.current.sort_unstable_by(|a, b| b.cmp(a));
            if rest == 0 {
                self.filled[self.at / 64] &= !(1 << (self.at % 64));
                self.at = (self.at + 1) % BUCKETS;
            }
        }
        self.current.pop()
    }

    /// The first bucket from the present one on, once around, that has any.
    fn next_filled(&self) -> usize {
        let words = BUCKETS / 64;
        let first = self.at / 64;
        let from_here = self.filled[first] & (u64::MAX << (self.at % 64));
        let others = (1..=words).map(|i| (first + i) % words);
        let others = others.map(|word| (word, self.filled[word]));
        let mut all = std::iter::once((first, from_here)).chain(others);
        let found = all.find(|(_, bits)| *bits != 0);
        found.map_or(self.at, |(word, bits)| {
            word * 64 + bits.trailing_zeros() as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::{V4, V6};
    use super::*;

    fn v4(n: u32) -> V4 {
        let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
        [a, b, c, d, 32]
    }

    fn v6(n: u32) -> V6 {
        let mut key = [0; 17];
        key[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
        key
    }

    /// All that were pushed, in the order that they come out. `None`: none, the queue is empty.
    fn emptied<K: Key>(queue: &mut Queue<K>) -> Vec<K> {
        let mut seen = Vec::new();
        loop {
            let some = queue.take(256);
            if some.is_empty() {
                assert_eq!(queue.len(), 0);
                return seen;
            }
            seen.extend(some);
        }
    }

    #[test]
    fn many_come_out_each_once_ipv4_in_rounds_and_ipv6_ascending() {
        let mut queue = Queue::default();
        (0..PORTION as u32).for_each(|n| queue.push(v4(n)));
        let seen = emptied(&mut queue);
        let place = |&[a, b, c, d, len]: &V4| {
            let address = u32::from_be_bytes([a, b, c, d]);
            ((address >> 12 & 0xfff).reverse_bits(), address, len)
        };
        assert!(seen.is_sorted_by_key(place), "in rounds");
        assert_eq!(seen.len(), PORTION);
        assert!(seen.is_sorted_by(|a, b| place(a) < place(b)), "each once");

        let mut queue = Queue::default();
        (0..PORTION as u32).for_each(|n| queue.push(v6(n)));
        let seen = emptied(&mut queue);
        assert!(seen.is_sorted_by(|a, b| a < b));
        assert_eq!(seen.len(), PORTION);
    }

    #[test]
    fn a_few_go_before_many_and_come_in_while_these_are_worked_off() {
        let mut queue = Queue::default();
        let count = 10 * PORTION as u32;
        (0..count).for_each(|n| queue.push(v4(n)));
        let mut seen = Vec::new();
        while queue.incoming.len() > 0 {
            seen.extend(queue.take(16));
        }
        (count..count + 16).for_each(|n| queue.push(v4(n)));
        let first = queue.take(16);
        assert!((count..count + 16).rev().map(v4).eq(first.iter().copied()));
        seen.extend(first);
        // More than a few are a part of the many, and in their order.
        let more = count + 16 + FEW as u32;
        (count + 16..=more).for_each(|n| queue.push(v4(n)));
        seen.extend(queue.take(1));
        assert_eq!(queue.incoming.len(), 0);
        seen.extend(emptied(&mut queue));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), more as usize + 1);
    }

    #[test]
    fn nothing_looks_at_more_than_a_portion_however_many_there_are() {
        let mut queue = Queue::default();
        // All of one bucket.
        (0..1 << 20).for_each(|n: u32| queue.push([10, 0, 0, 0, (n % 33) as u8]));
        while queue.len() > 0 {
            let (waiting, all) = (queue.waiting, queue.len());
            let incoming = queue.incoming.len();
            let taken = queue.take(256).len();
            let is_arranged = queue.incoming.len() < incoming;
            assert_eq!(queue.cost() > 0, is_arranged, "it is counted");
            assert_eq!(queue.len(), all - taken);
            assert!(queue.waiting <= waiting + PORTION);
            assert!(queue.current.len() <= SORTED);
        }
        assert_eq!(queue.buckets.len(), 0, "its memory is given back");
    }
}
