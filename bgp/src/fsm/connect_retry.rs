//! When to connect: the states Idle, Connect and Active of RFC 4271, with their timers.
//!
//! [`super::damping`] decides how long to wait, and whether the peer's own connections are refused meanwhile.

use std::time::{Duration, Instant};

use super::damping::{Cause, Damping, HoldTime, IdleHold};
use super::{Config, ConnectionId, Deadline, Down, Timer};

/// The part of the RFC's machine before TCP is established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectState {
    /// No attempt: stopped, passive, held until an operator intervenes, or a connection is far enough.
    Off,
    /// Until the next attempt: Active, or Idle while the peer is held.
    Waiting { until: Instant },
    /// TCP is connecting: Connect.
    Connecting { id: ConnectionId, until: Instant },
}

/// Connection attempts, and the history of their failures.
#[derive(Clone, Debug)]
pub(super) struct ConnectRetry {
    pub(super) now: ConnectState,
    hold: Option<IdleHold>,
    /// Until when connections of the peer are refused because another one continues.
    crowded: Option<Instant>,
    /// When one last lost a collision against another one that continues.
    lost: Option<Instant>,
    damping: Damping,
    random: Random,
}

impl ConnectRetry {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: ConnectState::Off,
            hold: None,
            crowded: None,
            lost: None,
            damping: Damping::default(),
            random: Random(seed),
        }
    }

    /// The earlier of its two timers.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let hold = self.hold.as_ref().and_then(|hold| hold.until);
        let dial = match self.now {
            ConnectState::Off => None,
            ConnectState::Waiting { until } => Some((until, Timer::ConnectRetry)),
            ConnectState::Connecting { until, .. } => Some((until, Timer::ConnectTimeout)),
        };
        // At the same moment the hold ends first, so that the peer is not dialled while it is held.
        let timers = hold.map(|until| (until, Timer::IdleHold)).into_iter();
        let (at, timer) = timers.chain(dial).min_by_key(|(at, _)| *at)?;
        Some(Deadline {
            at,
            timer,
            connection: None,
        })
    }

    /// When the peer is dialled next, while that is waited for.
    pub(super) fn next_attempt(&self) -> Option<Instant> {
        match self.now {
            ConnectState::Waiting { until } => Some(until),
            ConnectState::Off | ConnectState::Connecting { .. } => None,
        }
    }

    /// Why and until when the peer is held Idle, if it is.
    pub(super) fn hold(&self) -> Option<&IdleHold> {
        self.hold.as_ref()
    }

    /// Whether a connection at this time is refused.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.hold
            .as_ref()
            .is_some_and(|hold| hold.until.is_none_or(|until| now < until))
    }

    /// Whether a connection at this time is one too many: the last ones lost against one that continues.
    pub(super) fn is_crowded(&self, now: Instant) -> bool {
        self.crowded.is_some_and(|until| now < until)
    }

    /// A connection or an attempt ended. Returns how long to wait before the next attempt; may hold the peer Idle.
    pub(super) fn note(
        &mut self,
        now: Instant,
        config: &Config,
        cause: Cause,
        reason: &Down,
    ) -> Duration {
        if cause == Cause::Crowded {
            let lost = self.lost.replace(now);
            // A session can go on for months: what happens once in a while is not what happens again and again.
            let rest = config.lasting() * 2;
            if lost.is_some_and(|lost| now.duration_since(lost) >= rest) {
                self.damping.forget_crowded();
            }
        }
        let penalty = self.damping.note(config, cause);
        let wait = self.jittered(penalty.wait);
        if penalty.is_crowded {
            self.crowded = Some(now + wait);
        }
        let until = match penalty.hold {
            None => return wait,
            Some(HoldTime::AsTheWait) => Some(now + wait.min(config.idle_hold_max)),
            Some(HoldTime::Exactly(time)) => Some(now + time),
            Some(HoldTime::Unbounded) => None,
        };
        self.hold_until(until, reason);
        wait
    }

    /// Holds the peer Idle until then (`None`: until an operator intervenes), unless it is held for longer.
    pub(super) fn hold_until(&mut self, until: Option<Instant>, reason: &Down) {
        let is_longer = |held: &IdleHold| match (held.until, until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(held), Some(new)) => held > new,
        };
        if !self.hold.as_ref().is_some_and(is_longer) {
            let reason = reason.clone();
            self.hold = Some(IdleHold { until, reason });
        }
    }

    /// Waits for the next attempt until then, and at least as long as the peer is held.
    pub(super) fn wait(&mut self, at: Instant) {
        self.now = match &self.hold {
            Some(IdleHold { until: None, .. }) => ConnectState::Off,
            Some(IdleHold {
                until: Some(held), ..
            }) => ConnectState::Waiting {
                until: at.max(*held),
            },
            None => ConnectState::Waiting { until: at },
        };
    }

    /// The hold is over; what it was for is remembered.
    pub(super) fn release(&mut self) {
        self.hold = None;
    }

    /// A session is established: the peer is held no more, and collisions before it were none of its faults. Other faults are
    /// forgotten when it has lasted.
    pub(super) fn established(&mut self) {
        self.hold = None;
        self.crowded = None;
        self.damping.established();
    }

    /// A session is over: no connection is one too many.
    pub(super) const fn is_alone(&mut self) {
        self.crowded = None;
    }

    /// A session lasted, or the owner wants a new beginning: everything of before is forgotten.
    pub(super) fn forgive(&mut self) {
        self.hold = None;
        self.crowded = None;
        self.damping = Damping::default();
    }

    /// RFC 4271 section 10: between three quarters and the whole.
    pub(super) fn jittered(&mut self, time: Duration) -> Duration {
        let sixteenths = 12 + (self.random.next() % 5) as u32;
        // Sixteenths for the shape, microseconds so that two peers hardly ever coincide.
        let fine = Duration::from_micros(self.random.next() % 10_000).min(time / 16);
        (time * sixteenths / 16).saturating_sub(fine)
    }
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
        let mut connect_retry = ConnectRetry::new(7);
        let now = Instant::now();
        let mut wait = || connect_retry.note(now, &config, cause, &Down::TransportFailed);
        (0..times).map(|_| wait()).collect()
    }

    #[test]
    fn waits_double_up_to_their_bound_and_are_jittered_downwards() {
        for (cause, expected) in [
            (Cause::Unanswered, [1, 2, 4, 5, 5, 5, 5]),
            (Cause::Courteous, [1, 2, 4, 5, 5, 5, 5]),
            (Cause::Collision, [1, 2, 4, 5, 5, 5, 5]),
            (Cause::Crowded, [1, 2, 4, 5, 5, 5, 5]),
            (Cause::Brief, [1, 2, 4, 8, 16, 32, 60]),
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
    fn connections_that_lose_once_in_a_while_are_taken_and_those_that_lose_again_and_again_are_not()
    {
        let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 7);
        let rest = config.lasting() * 2;
        for (gap, expected) in [(rest, false), (rest - Duration::from_secs(1), true)] {
            let (mut connect_retry, mut now) = (ConnectRetry::new(7), Instant::now());
            for _ in 0..20 {
                now += gap;
                connect_retry.note(now, &config, Cause::Crowded, &Down::TransportFailed);
            }
            assert_eq!(connect_retry.is_crowded(now), expected, "{gap:?}");
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

    #[test]
    fn a_shorter_hold_never_replaces_a_longer_one() {
        let mut config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 7);
        let (mut connect_retry, now) = (ConnectRetry::new(7), Instant::now());
        let long = Down::HoldTimerExpired(Duration::from_secs(9));
        for _ in 0..5 {
            connect_retry.note(now, &config, Cause::Error, &long);
        }
        let before = connect_retry.hold().cloned().unwrap();
        let until = before.until.unwrap();
        assert!(
            until - now > Duration::from_secs(40),
            "the longer one counts"
        );
        assert!(
            connect_retry.is_held(until - Duration::from_nanos(1)) && !connect_retry.is_held(until)
        );
        config.idle_hold_max = Duration::from_secs(5);
        connect_retry.note(now, &config, Cause::Error, &Down::TransportFailed);
        assert_eq!(connect_retry.hold(), Some(&before));
        connect_retry.wait(now);
        assert_eq!(connect_retry.next_attempt(), before.until);
        // At the same moment, the hold is over before the peer is dialled.
        assert_eq!(connect_retry.deadline().unwrap().timer, Timer::IdleHold);
    }
}
