//! One TCP connection: the states OpenSent, OpenConfirm and Established of RFC 4271, with their timers.
//!
//! Timers are data of the state that they belong to: leaving the state stops them, and a stopped timer is not there
//! to fire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Config, ConnectionId, Deadline, Negotiated, State, Timer};

/// RFC 4271 section 8.2.2: how long to wait for an OPEN.
pub(super) const LARGE_HOLD_TIME: Duration = Duration::from_secs(4 * 60);

/// RFC 9687 section 5: the least send hold time where none is configured.
const MIN_SEND_HOLD_TIME: Duration = Duration::from_secs(8 * 60);

/// Which side opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// This side.
    Outgoing,
    /// The peer.
    Incoming,
}

/// One connection, from TCP being up until it is closed.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) direction: Direction,
    /// When TCP came up.
    pub(super) since: Instant,
    /// What our OPEN was made from; later changes count for the next connection.
    pub(super) config: Arc<Config>,
    pub(super) phase: Phase,
}

/// The state, with what exists only in it.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    OpenSent {
        hold: Instant,
    },
    OpenConfirm {
        negotiated: Arc<Negotiated>,
        hold: Instant,
        keepalive: Option<Instant>,
        /// Strict mode: what is waited for before a KEEPALIVE is sent.
        bfd: Option<BfdWait>,
    },
    Established {
        negotiated: Arc<Negotiated>,
        since: Instant,
        hold: Option<Instant>,
        keepalive: Option<Instant>,
        send_hold: Option<Instant>,
    },
}

/// A wait for BFD in OpenConfirm.
#[derive(Clone, Copy, Debug)]
pub(super) struct BfdWait {
    /// Until when (BfdHoldTimer), if not for ever.
    pub(super) until: Option<Instant>,
    /// The peer has confirmed our OPEN already.
    pub(super) is_confirmed: bool,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        direction: Direction,
        now: Instant,
        config: Arc<Config>,
    ) -> Self {
        Self {
            id,
            direction,
            since: now,
            config,
            phase: Phase::OpenSent {
                hold: now + LARGE_HOLD_TIME,
            },
        }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::OpenSent { .. } => State::OpenSent,
            Phase::OpenConfirm { .. } => State::OpenConfirm,
            Phase::Established { .. } => State::Established,
        }
    }

    pub(super) fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        match &self.phase {
            Phase::OpenSent { .. } => None,
            Phase::OpenConfirm { negotiated, .. } | Phase::Established { negotiated, .. } => {
                Some(negotiated)
            }
        }
    }

    /// Whether it waits for BFD, in strict mode.
    pub(super) const fn awaits_bfd(&self) -> bool {
        matches!(self.phase, Phase::OpenConfirm { bfd: Some(_), .. })
    }

    /// The earliest of its timers.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let timers = match self.phase {
            Phase::OpenSent { hold } => [Some((hold, Timer::Hold)), None, None],
            Phase::OpenConfirm {
                hold,
                keepalive,
                bfd,
                ..
            } => [
                Some((hold, Timer::Hold)),
                keepalive.map(|at| (at, Timer::Keepalive)),
                bfd.and_then(|wait| Some((wait.until?, Timer::BfdHold))),
            ],
            Phase::Established {
                hold,
                keepalive,
                send_hold,
                ..
            } => [
                hold.map(|at| (at, Timer::Hold)),
                keepalive.map(|at| (at, Timer::Keepalive)),
                send_hold.map(|at| (at, Timer::SendHold)),
            ],
        };
        let (at, timer) = timers.into_iter().flatten().min_by_key(|(at, _)| *at)?;
        Some(Deadline {
            at,
            timer,
            connection: Some(self.id),
        })
    }

    /// Something arrived from the peer at `at`: restarts a running hold timer, never backwards.
    pub(super) fn heard(&mut self, at: Instant) {
        if let Phase::Established {
            negotiated,
            hold: Some(until),
            ..
        } = &mut self.phase
            && let Some(time) = negotiated.hold_time
        {
            *until = (*until).max(at + time);
        }
    }

    /// Octets were sent, or none waited, at `at`: restarts a running send hold timer.
    pub(super) fn progressed(&mut self, at: Instant) {
        let time = self.send_hold_time();
        if let Phase::Established {
            send_hold: Some(until),
            ..
        } = &mut self.phase
            && let Some(time) = time
        {
            *until = (*until).max(at + time);
        }
    }

    /// RFC 9687 section 3.2: not with a hold time of 0; else as configured, or the default.
    pub(super) fn send_hold_time(&self) -> Option<Duration> {
        let hold = self.negotiated()?.hold_time?;
        Some(
            self.config
                .send_hold_time
                .unwrap_or((hold * 2).max(MIN_SEND_HOLD_TIME)),
        )
    }
}
