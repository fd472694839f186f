//! A stack that grows in chunks: one that doubles copies a million keys into memory that is new to the process, and the RIB's thread, which
//! pushes them, holds the plan meanwhile.

/// Values per chunk.
const CHUNK: usize = 4096;

/// Last in, first out.
#[derive(Debug)]
pub(super) struct Stack<T> {
    /// All but the last have [`CHUNK`] values. The only one may be empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Stack<T> {
    pub(super) fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK + last
    }

    pub(super) fn push(&mut self, value: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(value),
            // Of a small one, the only chunk grows with it.
            None => self.chunks.push(vec![value]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let value = self.chunks.last_mut()?.pop()?;
        if self.chunks.len() > 1 && self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_as_a_stack_does(ops in prop::collection::vec((any::<bool>(), 0usize..2 * CHUNK), 0..40)) {
            let (mut stack, mut model) = (Stack::default(), Vec::new());
            let mut next = 0..;
            for (push, count) in ops {
                for _ in 0..count {
                    if push {
                        let value: u32 = next.next().unwrap_or_default();
                        stack.push(value);
                        model.push(value);
                    } else {
                        prop_assert_eq!(stack.pop(), model.pop());
                    }
                    prop_assert_eq!(stack.len(), model.len());
                }
                let held: usize = stack.chunks.iter().map(Vec::capacity).sum();
                prop_assert!(held <= model.len() + CHUNK, "{held} places for {}", model.len());
            }
        }
    }
}
