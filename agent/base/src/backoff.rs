//! How long to wait before something that failed is tried again: exponential backoff, with jitter where many try the
//! same.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The delays between tries. Each is twice as long as the one before, up to the longest.
#[derive(Clone, Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    /// The last delay, before jitter; `None`: nothing has failed since the last success.
    last: Option<Duration>,
}

impl Backoff {
    /// From `shortest` to `longest`.
    pub const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            last: None,
        }
    }

    /// A try has failed: how long to wait for the next one.
    pub fn failed(&mut self) -> Duration {
        let delay = match self.last {
            Some(last) => (last * 2).min(self.longest),
            None => self.shortest,
        };
        self.last = Some(delay);
        delay
    }

    /// A try has succeeded: the next delay is the shortest again.
    pub const fn succeeded(&mut self) {
        self.last = None;
    }

    /// Whether the last try failed.
    pub const fn is_failing(&self) -> bool {
        self.last.is_some()
    }

    /// Whether more than one try has failed in a row.
    pub fn has_failed_again(&self) -> bool {
        self.last.is_some_and(|last| last > self.shortest)
    }
}

/// Cuts delays by up to a half at random: a thousand nodes whose server comes back must not ask at once.
#[derive(Clone, Debug, Default)]
pub struct Jitter {
    /// Keyed by the system's random numbers: nothing here must be impossible to guess.
    random: RandomState,
    count: u64,
}

impl Jitter {
    /// A random number from 0 to less than 1.
    pub fn share(&mut self) -> f64 {
        self.count += 1;
        (self.random.hash_one(self.count) % 1024) as f64 / 1024.0
    }

    /// More than half of the delay, up to all of it.
    pub fn cut(&mut self, delay: Duration) -> Duration {
        delay - (delay / 2).mul_f64(self.share())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(5);

    #[test]
    fn delays_double_up_to_the_longest_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(SHORTEST, LONGEST);
        assert!(!backoff.is_failing());
        let delays: Vec<u64> = (0..5).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 5, 5]);
        assert!(backoff.is_failing() && backoff.has_failed_again());
        backoff.succeeded();
        assert_eq!(backoff.failed(), SHORTEST);
        assert!(backoff.is_failing() && !backoff.has_failed_again());
    }

    #[test]
    fn jitter_cuts_at_most_half_and_differs() {
        let cut = |jitter: &mut Jitter| -> Vec<Duration> {
            (0..20).map(|_| jitter.cut(LONGEST)).collect()
        };
        let (mut one, mut other) = (Jitter::default(), Jitter::default());
        let delays = cut(&mut one);
        assert!(delays.iter().all(|d| *d <= LONGEST && *d > LONGEST / 2));
        assert_ne!(delays, cut(&mut other));
    }
}
