//! When to dial: the states Idle, Connect and Active of RFC 4271, with their timers and the damping of retries.

use std::time::{Duration, Instant};

use super::{Config, ConnectionId, Deadline, Timer};

/// The first wait after a failed attempt to connect; it doubles up to `connect_retry`. A router that comes back is
/// found soon, and one SYN a second towards one that is away harms nobody.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The part of the RFC's machine that comes before TCP is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialling {
    /// Nothing to dial for: stopped, passive, or a connection is far enough.
    No,
    /// Until the time to dial: Active, or Idle after an error.
    Waiting { until: Instant, after_error: bool },
    /// TCP is being connected: Connect.
    Connecting { id: ConnectionId, until: Instant },
}

/// Why there is a wait before dialling again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The session ended without anybody's fault: come back soon.
    Ended,
    /// TCP did not come up, or fell before a session was there.
    Transport,
    /// One side refused the other, or the session broke down with an error: be patient (IdleHoldTimer).
    Error,
}

/// Dialling and the memory of how it went.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    pub(super) now: Dialling,
    transport_failures: u32,
    errors: u32,
    random: Random,
}

impl Dialler {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Dialling::No,
            transport_failures: 0,
            errors: 0,
            random: Random(seed),
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        let (at, timer) = match self.now {
            Dialling::No => return None,
            Dialling::Waiting { until, .. } => (until, Timer::Dial),
            Dialling::Connecting { until, .. } => (until, Timer::ConnectTimeout),
        };
        Some(Deadline {
            at,
            timer,
            connection: None,
        })
    }

    /// Waits before the next attempt: the longer the more has gone wrong, and never for exactly as long as before.
    pub(super) fn wait(&mut self, now: Instant, config: &Config, cause: Cause) {
        let delay = match cause {
            Cause::Ended => FIRST_RETRY.min(config.connect_retry),
            Cause::Transport => {
                let delay = doubled(FIRST_RETRY, self.transport_failures, config.connect_retry);
                self.transport_failures = self.transport_failures.saturating_add(1);
                delay
            }
            Cause::Error => {
                let most = config.idle_hold_max.max(config.connect_retry);
                let delay = doubled(config.connect_retry, self.errors, most);
                self.errors = self.errors.saturating_add(1);
                delay
            }
        };
        self.now = Dialling::Waiting {
            until: now + self.jittered(delay),
            after_error: cause == Cause::Error,
        };
    }

    /// TCP came up, so that what follows is no transport failure's repetition.
    pub(super) fn succeeded(&mut self) {
        self.transport_failures = 0;
    }

    /// A session held for long: the errors of before are forgotten.
    pub(super) fn forgive(&mut self) {
        self.errors = 0;
    }

    /// RFC 4271 section 10: between three quarters and the whole.
    pub(super) fn jittered(&mut self, time: Duration) -> Duration {
        let sixteenths = 12 + (self.random.next() % 5) as u32;
        // Sixteenths for the shape, microseconds so that two peers hardly ever coincide.
        let fine = Duration::from_micros(self.random.next() % 10_000).min(time / 16);
        (time * sixteenths / 16).saturating_sub(fine)
    }
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times.min(31)).unwrap_or(u32::MAX);
    first.checked_mul(factor).unwrap_or(most).min(most)
}

/// SplitMix64: enough for jitter, and the same in every run of a simulation.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fsm::RemoteAsn;
    use crate::types::{Asn, BgpIdentifier};

    fn waits(cause: Cause, times: usize) -> Vec<Duration> {
        let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 7);
        let mut dialler = Dialler::new(7);
        let now = Instant::now();
        let mut wait = || {
            dialler.wait(now, &config, cause);
            dialler.deadline().unwrap().at - now
        };
        (0..times).map(|_| wait()).collect()
    }

    #[test]
    fn waits_double_up_to_their_bound_and_are_jittered_downwards() {
        for (cause, expected) in [
            (Cause::Transport, [1, 2, 4, 5, 5, 5, 5]),
            (Cause::Error, [5, 10, 20, 40, 60, 60, 60]),
            (Cause::Ended, [1; 7]),
        ] {
            for (wait, seconds) in waits(cause, 7).into_iter().zip(expected) {
                let whole = Duration::from_secs(seconds);
                assert!(wait <= whole, "{cause:?}: {wait:?} for {whole:?}");
                assert!(wait >= whole * 11 / 16, "{cause:?}: {wait:?} for {whole:?}");
            }
        }
    }

    #[test]
    fn a_thousand_failures_do_not_overflow_the_wait() {
        assert!(
            waits(Cause::Error, 1000)
                .iter()
                .all(|wait| *wait <= Duration::from_secs(60))
        );
    }
}
