//! How long a watch that fails waits until it is tried again.

use std::time::{Duration, Instant};

use kube::runtime::utils;
use routelet_base::backoff::{Backoff, Jitter};

/// The first delay after a watch has failed.
const SHORTEST: Duration = Duration::from_millis(500);

/// The longest delay: how much later than everybody else a node may hear of a change when the server is back.
const LONGEST: Duration = Duration::from_secs(15);

/// How long a watch must not have failed until the next delay is the first one again; longer than two of the longest.
const GOOD: Duration = Duration::from_secs(45);

/// The delays of one watch.
pub(super) struct WatchBackoff {
    backoff: Backoff,
    jitter: Jitter,
    /// When the last delay began.
    last: Option<Instant>,
}

impl Default for WatchBackoff {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(SHORTEST, LONGEST),
            jitter: Jitter::default(),
            last: None,
        }
    }
}

impl WatchBackoff {
    fn failed(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now >= last + GOOD) {
            self.backoff.succeeded();
        }
        self.last = Some(now);
        self.jitter.cut(self.backoff.failed())
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.failed(Instant::now()))
    }
}

impl utils::Backoff for WatchBackoff {
    /// Called after every event, even the one that says that a list is about to be asked for: that a watch works is
    /// seen by the time that passes.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use kube::runtime::utils::Backoff;

    use super::*;

    #[test]
    fn delays_begin_again_when_a_watch_has_not_failed_for_a_while() {
        let mut watch = WatchBackoff::default();
        let now = Instant::now();
        let delays: Vec<Duration> = (0..10)
            .map(|_| {
                watch.reset();
                watch.failed(now)
            })
            .collect();
        assert!(delays[0] <= SHORTEST && delays[9] > LONGEST / 2);
        assert!(watch.failed(now + GOOD / 2) > SHORTEST);
        assert!(watch.failed(now + 2 * GOOD) <= SHORTEST);
        assert!(LONGEST * 2 < GOOD);
    }
}
