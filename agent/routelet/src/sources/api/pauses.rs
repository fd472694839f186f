//! The pauses between two tries of a watch that fails.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use kube::runtime::utils::Backoff;

/// The first pause after a watch has failed. Each is twice as long as the one before.
const SHORTEST: Duration = Duration::from_millis(500);

/// The longest pause: how much later than everybody else a node may hear of a change when the server is back.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a watch must not have failed until the next pause is the first one again; longer than two of the longest.
const GOOD: Duration = Duration::from_secs(45);

/// Pauses that grow, each cut by up to a half by chance: a thousand nodes whose server comes back must not ask at once.
pub(super) fn pauses() -> Pauses {
    Pauses {
        next: SHORTEST,
        last: None,
        random: RandomState::new(),
        count: 0,
    }
}

/// See [`pauses`].
pub(super) struct Pauses {
    next: Duration,
    /// When the last pause began.
    last: Option<Instant>,
    /// Keyed by the system's random numbers.
    random: RandomState,
    count: u64,
}

impl Pauses {
    fn pause(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now >= last + GOOD) {
            self.next = SHORTEST;
        }
        self.last = Some(now);
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        self.count += 1;
        let share = self.random.hash_one(self.count) % 1000;
        whole - whole / 2 * u32::try_from(share).unwrap_or_default() / 1000
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.pause(Instant::now()))
    }
}

impl Backoff for Pauses {
    /// Told after every event, even the one that says that a list is about to be asked for: that a watch gets on is seen by
    /// the time that passes.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_differ_between_watches() {
        let mut one = pauses();
        let now = Instant::now();
        let some: Vec<Duration> = (0..10)
            .map(|_| {
                one.reset();
                one.pause(now)
            })
            .collect();
        for (at, pause) in some.iter().enumerate() {
            let whole = (SHORTEST * 2u32.pow(at as u32)).min(LONGEST);
            assert!(*pause <= whole && *pause >= whole / 2, "{some:?}");
        }
        assert_ne!(some, pauses().take(10).collect::<Vec<_>>());
        assert!(one.pause(now + GOOD / 2) > SHORTEST);
        assert!(one.pause(now + 2 * GOOD) <= SHORTEST);
        assert!(LONGEST * 2 < GOOD);
    }
}
