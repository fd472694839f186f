//! How often a way to the kernel that is broken is tried again. Pure.

use std::time::{Duration, Instant};

/// After a second failure in a row. The first is tried again at once: a socket can break.
const FIRST: Duration = Duration::from_millis(100);

/// Nothing is written meanwhile, withdrawn routes included; and whoever reads the log of a kernel that always fails reads a line at a
/// time.
const LONGEST: Duration = Duration::from_secs(5);

/// The way to the kernel is broken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    failures: u32,
    /// When it is tried again.
    pub(super) retry_at: Instant,
}

impl Broken {
    /// It failed, for another time if it was broken `before`. It is whole when everything could be listed.
    pub(super) fn again(before: Option<Self>, now: Instant) -> Self {
        let failures = before.map_or(1, |before| before.failures.saturating_add(1));
        let wait = match failures.checked_sub(2) {
            None => Duration::ZERO,
            Some(times) => FIRST.saturating_mul(1 << times.min(16)).min(LONGEST),
        };
        Self {
            failures,
            retry_at: now + wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_always_fails_is_asked_less_and_less_often() {
        let now = Instant::now();
        let mut broken = None;
        let mut waits = Vec::new();
        for _ in 0..50 {
            let next = Broken::again(broken, now);
            waits.push(next.retry_at - now);
            broken = Some(next);
        }
        assert_eq!(waits[..3], [Duration::ZERO, FIRST, 2 * FIRST]);
        assert!(waits.is_sorted());
        assert_eq!(waits.last(), Some(&LONGEST));
    }
}
