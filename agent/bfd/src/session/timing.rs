//! Intervals, Poll Sequences and the detection time (RFC 5880 6.5, 6.8.2 to 6.8.4 and 6.8.7).

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use super::Parameters;
use super::remote::Remote;
use crate::packet::{Interval, Sequence, State};
use crate::random::Random;

/// A Poll Sequence of ours (RFC 5880 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// None.
    Idle,
    /// Packets have P until a Final comes.
    Active,
    /// The Final has come. Before a packet without F has, another Final could be the answer to the same Poll, so that no
    /// other sequence may begin (RFC 5880 6.8.3).
    Settling,
}

/// Our intervals as packets have them, and those that hold until the remote system knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// bfd.DesiredMinTxInterval.
    pub(super) desired_min_tx: Interval,
    /// bfd.RequiredMinRxInterval.
    pub(super) required_min_rx: Interval,
    /// What is sent by in place of a longer `desired_min_tx`, until the Poll Sequence ends (RFC 5880 6.8.3).
    held_tx: Option<Interval>,
    /// What the detection time is made of in place of a shorter `required_min_rx`, until then (RFC 5880 6.8.3).
    held_rx: Option<Interval>,
    pub(super) poll: Poll,
    /// Something changed that the present Poll Sequence does not ask about.
    is_poll_wanted: bool,
}

impl Timing {
    pub(super) fn new(parameters: &Parameters) -> Self {
        Self {
            desired_min_tx: parameters.desired_min_tx.max(Interval::SLOW),
            required_min_rx: parameters.required_min_rx.max(Interval::LEAST),
            held_tx: None,
            held_rx: None,
            poll: Poll::Idle,
            is_poll_wanted: false,
        }
    }

    /// Brings the intervals to what state and parameters want, and begins a Poll Sequence if that changes one.
    ///
    /// While the session is Up, a change waits for the end of the Poll Sequence before: several changes are told apart by
    /// their Finals. A session that is not Up changes at once, since it must not send faster than once a second.
    pub(super) fn follow(&mut self, state: State, parameters: &Parameters, is_echo_active: bool) {
        let is_up = state == State::Up;
        if !is_up {
            self.release();
        }
        if !is_up || self.poll == Poll::Idle {
            self.change(is_up, parameters, is_echo_active);
        }
        if self.is_poll_wanted {
            self.begin_poll();
        }
    }

    /// Begins a Poll Sequence, if need be behind the present one.
    pub(super) fn begin_poll(&mut self) {
        self.is_poll_wanted = self.poll != Poll::Idle;
        if self.poll == Poll::Idle {
            self.poll = Poll::Active;
        }
    }

    /// Whether the remote system wants no periodic packets now (RFC 5880 6.6 and 6.8.6).
    pub(super) fn is_demand_active(&self, state: State, remote: &Remote) -> bool {
        remote.is_demand && state == State::Up && remote.state == State::Up
    }

    fn change(&mut self, is_up: bool, parameters: &Parameters, is_echo_active: bool) {
        let desired_min_tx = if is_up {
            parameters.desired_min_tx
        } else {
            // RFC 5880 6.8.3: at least a second unless Up.
            parameters.desired_min_tx.max(Interval::SLOW)
        };
        let required_min_rx = if is_echo_active {
            // RFC 5880 6.8.3: Echo packets find failures, so that a packet a second is enough.
            parameters.required_min_rx.max(Interval::SLOW)
        } else {
            parameters.required_min_rx.max(Interval::LEAST)
        };
        if desired_min_tx != self.desired_min_tx {
            if is_up && desired_min_tx > self.desired_min_tx {
                self.held_tx = Some(self.desired_min_tx);
            }
            self.desired_min_tx = desired_min_tx;
            self.is_poll_wanted = true;
        }
        if required_min_rx != self.required_min_rx {
            if is_up && required_min_rx < self.required_min_rx {
                self.held_rx = Some(self.required_min_rx);
            }
            self.required_min_rx = required_min_rx;
            self.is_poll_wanted = true;
        }
    }

    /// A packet came with or without F.
    pub(super) fn received(&mut self, sequence: Sequence) {
        match (self.poll, sequence) {
            (Poll::Active, Sequence::Final) => {
                self.poll = Poll::Settling;
                self.release();
            }
            (Poll::Settling, Sequence::None | Sequence::Poll) => self.poll = Poll::Idle,
            (Poll::Idle, _)
            | (Poll::Active, Sequence::None | Sequence::Poll)
            | (Poll::Settling, Sequence::Final) => {}
        }
    }

    /// Nobody is there any more who could answer: the next Poll asks somebody else.
    pub(super) fn forget_poll(&mut self) {
        if self.poll == Poll::Settling {
            self.poll = Poll::Idle;
        }
    }

    fn release(&mut self) {
        self.held_tx = None;
        self.held_rx = None;
    }

    /// Between two packets, before jitter (RFC 5880 6.8.2); `None` if none are sent periodically (6.8.7).
    pub(super) fn transmit_interval(
        &self,
        state: State,
        may_begin: bool,
        remote: &Remote,
    ) -> Option<Duration> {
        if !may_begin && remote.discriminator.is_none() {
            return None;
        }
        if self.is_demand_active(state, remote) && self.poll != Poll::Active {
            return None;
        }
        let ours = self.held_tx.unwrap_or(self.desired_min_tx);
        Some(ours.max(remote.required_min_rx?).duration())
    }

    /// How long the remote system may be silent (RFC 5880 6.8.4).
    pub(super) fn detection_time(&self, remote: &Remote) -> Duration {
        let ours = self.held_rx.unwrap_or(self.required_min_rx);
        ours.max(remote.desired_min_tx).duration() * u32::from(remote.detect_mult.get())
    }
}

/// How much earlier than it is due a packet may be sent, as a part of its interval: packets of many sessions then go out
/// together, and the thread sleeps in between.
const EARLY: u32 = 32;
/// The least part of an interval between two packets is 75 % (RFC 5880 6.8.7): 79 %, less what they may be early.
const LEAST_PERCENT: u32 = 79;

/// An interval reduced by a random 0 to 21 %, or 10 to 21 % with a Detect Mult of 1: with [`EARLY`], what RFC 5880 6.8.7
/// demands.
pub(super) fn jittered(
    interval: Duration,
    detect_mult: NonZeroU8,
    random: &mut Random,
) -> Duration {
    const WHOLE: u32 = 1_000_000;
    let most = if detect_mult == NonZeroU8::MIN {
        WHOLE / 100 * 90
    } else {
        WHOLE
    };
    let part = random.between(WHOLE / 100 * LEAST_PERCENT, most);
    // Less than 4,295 s: the product in nanoseconds is below 2^63.
    let nanos = interval.as_nanos() * u128::from(part) / u128::from(WHOLE);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// When the next of a series of packets is due, and by which interval that was reckoned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    interval: Option<Duration>,
    last: Option<Instant>,
    pub(super) next: Option<Instant>,
}

impl Schedule {
    /// From when on the next packet may be sent.
    pub(super) fn earliest(&self) -> Option<Instant> {
        let early = self
            .interval
            .map_or(Duration::ZERO, |interval| interval / EARLY);
        // Not before the one that it follows: a packet that is due at once is not early.
        let next = self.next?;
        let earliest = next.checked_sub(early)?;
        Some(self.last.map_or(next, |last| earliest.max(last).min(next)))
    }

    /// Has the next packet sent now if it may be.
    pub(super) fn hasten(&mut self, now: Instant) {
        if self.earliest().is_some_and(|earliest| earliest <= now) {
            self.next = self.next.map(|next| next.min(now));
        }
    }

    /// One was just sent.
    pub(super) fn sent(&mut self, now: Instant, detect_mult: NonZeroU8, random: &mut Random) {
        self.last = Some(now);
        self.next = self
            .interval
            .map(|interval| now + jittered(interval, detect_mult, random));
    }

    /// Another interval holds from now on: the next packet is due that long after the last, or at once (RFC 5880 6.8.3).
    pub(super) fn follow(
        &mut self,
        now: Instant,
        interval: Option<Duration>,
        detect_mult: NonZeroU8,
        random: &mut Random,
    ) {
        if interval == self.interval {
            return;
        }
        self.interval = interval;
        self.next = interval.map(|interval| match self.last {
            Some(last) => now.max(last + jittered(interval, detect_mult, random)),
            None => now,
        });
    }
}
