//! A queue that grows in chunks.
//!
//! A queue that doubles copies all that it holds when it grows, into memory that is new to the process: milliseconds with a million
//! slots, in which nobody is heard. This one never moves what it holds, and gives memory back as it empties.

use std::collections::VecDeque;

/// Values per chunk.
const CHUNK: usize = 2048;

/// First in, first out.
#[derive(Debug)]
pub(crate) struct Fifo<T> {
    /// All but the first and the last have [`CHUNK`] values. The only one may be empty: what comes and goes one by one needs no new one.
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self {
            chunks: VecDeque::new(),
            len: 0,
        }
    }
}

impl<T> Fifo<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_back(&mut self, value: T) {
        self.len += 1;
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push_back(value),
            // Of a short queue, the only chunk grows with it.
            None => self.chunks.push_back([value].into()),
            Some(_) => {
                let mut chunk = VecDeque::with_capacity(CHUNK);
                chunk.push_back(value);
                self.chunks.push_back(chunk);
            }
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let chunk = self.chunks.front_mut()?;
        let value = chunk.pop_front()?;
        self.len -= 1;
        self.drop_empty();
        Some(value)
    }

    /// Moves up to so many out, oldest first.
    pub(crate) fn take(&mut self, limit: usize, into: &mut Vec<T>) {
        let mut left = limit.min(self.len);
        while left > 0
            && let Some(chunk) = self.chunks.front_mut()
        {
            let some = left.min(chunk.len());
            into.extend(chunk.drain(..some));
            left -= some;
            self.len -= some;
            self.drop_empty();
        }
    }

    /// Gives the first chunk back if nothing is in it, and others are there.
    fn drop_empty(&mut self) {
        if self.chunks.len() > 1 && self.chunks.front().is_some_and(VecDeque::is_empty) {
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_as_a_queue_does(ops in prop::collection::vec((0usize..3, 0usize..3 * CHUNK), 0..40)) {
            let (mut fifo, mut model) = (Fifo::default(), VecDeque::new());
            let mut next = 0..;
            for (op, count) in ops {
                match op {
                    0 => for value in next.by_ref().take(count) {
                        fifo.push_back(value);
                        model.push_back(value);
                    },
                    1 => for _ in 0..count.min(100) {
                        prop_assert_eq!(fifo.pop_front(), model.pop_front());
                    },
                    _ => {
                        let mut taken = Vec::new();
                        fifo.take(count, &mut taken);
                        let expected: Vec<i32> = model.drain(..count.min(model.len())).collect();
                        prop_assert_eq!(taken, expected);
                    }
                }
                prop_assert_eq!((fifo.len(), fifo.is_empty()), (model.len(), model.is_empty()));
                let held: usize = fifo.chunks.iter().map(VecDeque::capacity).sum();
                prop_assert!(held <= model.len() + 2 * CHUNK, "{held} places for {}", model.len());
            }
        }
    }
}
