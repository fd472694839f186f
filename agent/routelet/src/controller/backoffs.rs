//! What could not be written is left alone for a while, each object by itself: one that is always refused must not keep
//! the others waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use routelet_base::backoff::Backoff;
use tokio::time::Instant;

/// The first delay after a failure.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(60);

/// The objects that are left alone, and until when.
#[derive(Debug)]
pub(super) struct Backoffs<K>(HashMap<K, (Instant, Backoff)>);

impl<K> Default for Backoffs<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Backoffs<K> {
    /// Whether an object is to be left alone.
    pub(super) fn holds(&self, object: &K, now: Instant) -> bool {
        self.0.get(object).is_some_and(|(until, _)| now < *until)
    }

    /// Whether the delay of some object is over that has not been tried again.
    pub(super) fn is_any_over(&self, now: Instant) -> bool {
        self.0.values().any(|(until, _)| now >= *until)
    }

    /// Writing an object has failed.
    pub(super) fn failed(&mut self, object: K, now: Instant) {
        let (until, backoff) = self
            .0
            .entry(object)
            .or_insert_with(|| (now, Backoff::new(SHORTEST, LONGEST)));
        *until = now + backoff.failed();
    }

    /// The objects that could not be written more than once in a row.
    pub(super) fn failing(&self) -> impl Iterator<Item = &K> {
        let all = self.0.iter();
        let repeated = all.filter(|(_, (_, backoff))| backoff.has_failed_again());
        repeated.map(|(object, _)| object)
    }

    /// An object was written, or has nothing to be written any more.
    pub(super) fn done(&mut self, object: &K) {
        self.0.remove(object);
    }

    /// Forgets the objects of which there is nothing to be written.
    pub(super) fn keep(&mut self, wanted: impl Fn(&K) -> bool) {
        self.0.retain(|object, _| wanted(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_of_an_object_grow_and_hold_nobody_else() {
        let mut backoffs = Backoffs::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..8 {
            backoffs.failed("a", now);
            assert!(backoffs.holds(&"a", now) && !backoffs.holds(&"b", now));
            assert!(!backoffs.is_any_over(now));
            assert_eq!(backoffs.failing().count(), usize::from(!lengths.is_empty()));
            let begin = now;
            while backoffs.holds(&"a", now) {
                now += Duration::from_secs(1);
            }
            assert!(backoffs.is_any_over(now));
            lengths.push((now - begin).as_secs());
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoffs.done(&"a");
        backoffs.failed("a", now);
        assert!(!backoffs.holds(&"a", now + SHORTEST));
        backoffs.keep(|_| false);
        assert!(!backoffs.is_any_over(now + LONGEST));
    }
}
