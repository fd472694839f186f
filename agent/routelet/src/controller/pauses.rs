//! What could not be written is left alone for a while, each object by itself: one that is always refused must not keep the
//! others waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a failure. Each is twice as long as the one before.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// The objects that are left alone, and until when.
#[derive(Debug)]
pub(super) struct Pauses<K>(HashMap<K, (Instant, Duration)>);

impl<K> Default for Pauses<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Pauses<K> {
    /// Whether an object is to be left alone.
    pub(super) fn holds(&self, object: &K, now: Instant) -> bool {
        self.0.get(object).is_some_and(|(until, _)| now < *until)
    }

    /// Whether the pause of some object is over that has not been tried again.
    pub(super) fn is_any_over(&self, now: Instant) -> bool {
        self.0.values().any(|(until, _)| now >= *until)
    }

    /// Writing an object has failed.
    pub(super) fn failed(&mut self, object: K, now: Instant) {
        let known = self.0.get(&object);
        let pause = known.map_or(SHORTEST, |(_, pause)| (*pause * 2).min(LONGEST));
        self.0.insert(object, (now + pause, pause));
    }

    /// The objects that could not be written more than once in a row.
    pub(super) fn failing(&self) -> impl Iterator<Item = &K> {
        let repeated = self.0.iter().filter(|(_, (_, pause))| *pause > SHORTEST);
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
    fn pauses_of_an_object_grow_and_hold_nobody_else() {
        let mut pauses = Pauses::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..8 {
            pauses.failed("a", now);
            assert!(pauses.holds(&"a", now) && !pauses.holds(&"b", now));
            assert!(!pauses.is_any_over(now));
            assert_eq!(pauses.failing().count(), usize::from(!lengths.is_empty()));
            let begin = now;
            while pauses.holds(&"a", now) {
                now += Duration::from_secs(1);
            }
            assert!(pauses.is_any_over(now));
            lengths.push((now - begin).as_secs());
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
        pauses.done(&"a");
        pauses.failed("a", now);
        assert!(!pauses.holds(&"a", now + SHORTEST));
        pauses.keep(|_| false);
        assert!(!pauses.is_any_over(now + LONGEST));
    }
}
