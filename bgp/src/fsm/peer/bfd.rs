//! BFD: a path that fails ends what there is (RFC 5882 section 10.2, RFC 9384), and in strict mode a session waits for it.
//!
//! A failure is BFD that was up and is down. Unless it may be a restart of the peer, it holds the peer Idle until BFD is no longer down, for `idle_hold_max` at most:
//! then it is dialled and its connections are taken, although BFD is still down, since BFD may have been removed at the
//! other end.
//!
//! In strict mode (draft-ietf-idr-bgp-bfd-strict-mode) a connection on which both sides sent the capability stays in OpenConfirm
//! without a KEEPALIVE until BFD is up. The KEEPALIVE of a peer whose BFD was up earlier is remembered meanwhile.

use std::time::Instant;

use super::super::connect_retry::ConnectState;
use super::super::connection::{BfdWait, LARGE_HOLD_TIME, Phase};
use super::super::{BfdState, Cease, ConnectionId, Down, Output, Outputs, Stop};
use super::Peer;

impl Peer {
    /// BFD is in this state now.
    pub(super) fn bfd(&mut self, now: Instant, state: BfdState, out: &mut Outputs) {
        let before = std::mem::replace(&mut self.bfd, state);
        match (before, state) {
            (BfdState::Up, BfdState::Down { retain }) => {
                if self.running && self.config.bfd.is_some() {
                    self.bfd_failed(now, retain, out);
                }
            }
            (_, BfdState::Down { .. }) => {}
            (_, BfdState::Unknown | BfdState::Up | BfdState::AdminDown) => {
                self.bfd_is_not_down(now, out);
                self.confirm_if_permitted(now, out);
            }
        }
    }

    /// The path has failed: ends what there is, and waits for the path or for the longest hold, unless the peer may only be
    /// restarting (`retain`).
    fn bfd_failed(&mut self, now: Instant, retain: bool, out: &mut Outputs) {
        let stop = Stop::Cease(Cease::BfdDown { retain });
        self.end_all(now, &stop, out);
        self.retry_without_bfd = self.connect_retry.next_attempt();
        // A peer that is restarting may wait for us to connect, and begin with BFD only then.
        if !retain && !self.config.idle_hold_max.is_zero() {
            let until = now + self.config.idle_hold_max;
            let reason = Down::AdministrativeStop(stop);
            self.connect_retry.hold_until(Some(until), &reason);
            if let ConnectState::Waiting { until } = self.connect_retry.now {
                self.connect_retry.wait(until);
            }
        }
    }

    /// Ends a hold that is about BFD alone, and dials, but not before damping allows it: BFD may flap.
    fn bfd_is_not_down(&mut self, now: Instant, out: &mut Outputs) {
        let is_for_bfd = |reason: &Down| {
            matches!(
                reason,
                Down::AdministrativeStop(Stop::Cease(Cease::BfdDown { .. }))
            )
        };
        if (self.idle_hold()).is_some_and(|hold| is_for_bfd(&hold.reason)) {
            self.connect_retry.release();
            let retry = self.retry_without_bfd.take().filter(|at| *at > now);
            match (self.connect_retry.now, retry) {
                (ConnectState::Waiting { .. }, Some(at)) => self.connect_retry.wait(at),
                (ConnectState::Waiting { .. }, None) => self.connect(now, out),
                (ConnectState::Off | ConnectState::Connecting { .. }, _) => {}
            }
        }
    }

    /// Whether a session that both sides want in strict mode must wait.
    pub(super) fn must_wait_for_bfd(&self) -> bool {
        self.config.bfd.is_some_and(|bfd| bfd.strict) && !self.bfd.permits_session()
    }

    /// Goes on with connections that wait for BFD, if they need not any more.
    pub(super) fn confirm_if_permitted(&mut self, now: Instant, out: &mut Outputs) {
        if self.must_wait_for_bfd() {
            return;
        }
        let waiting = self.connections.iter().filter(|c| c.awaits_bfd());
        let waiting: Vec<ConnectionId> = waiting.map(|c| c.id).collect();
        for id in waiting {
            self.confirm(now, id, out);
        }
    }

    /// Confirms the peer's OPEN: BFD need not be waited for any more.
    fn confirm(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        let interval = self.connection(id).and_then(|c| c.negotiated()?.keepalive);
        let next = interval.map(|time| now + self.connect_retry.jittered(time));
        let mut is_confirmed = false;
        let mut is_there = false;
        self.with(id, |connection| {
            if let Phase::OpenConfirm { bfd, keepalive, .. } = &mut connection.phase {
                is_there = true;
                is_confirmed = bfd.take().is_some_and(|wait| wait.is_confirmed);
                *keepalive = next;
            }
        });
        if !is_there {
            return;
        }
        out.push(Output::SendKeepalive(id));
        if is_confirmed {
            self.established(now, id, out);
        }
    }

    /// The peer's KEEPALIVE in OpenConfirm. Returns whether it has to be remembered: this side still waits for BFD.
    pub(super) fn is_confirmed_early(&mut self, now: Instant, id: ConnectionId) -> bool {
        let mut is_early = false;
        self.with(id, |connection| {
            if let Phase::OpenConfirm {
                bfd: Some(wait),
                hold,
                negotiated,
                ..
            } = &mut connection.phase
            {
                is_early = true;
                wait.is_confirmed = true;
                *hold = now + negotiated.hold_time.unwrap_or(LARGE_HOLD_TIME);
            }
        });
        is_early
    }

    /// BFD has not come up in time. No session was Established: what the peer may retain of an earlier one is not ended by it.
    pub(super) fn bfd_hold_expired(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        let reason = Cease::BfdDown { retain: true };
        self.tear_down(now, id, Down::AdministrativeStop(Stop::Cease(reason)), out);
    }

    /// How a connection that has just got the peer's OPEN waits for BFD, if it does.
    pub(super) fn bfd_wait(&self, now: Instant, id: ConnectionId, strict: bool) -> Option<BfdWait> {
        let config = self.connection(id)?.config.bfd?;
        (strict && self.must_wait_for_bfd()).then(|| BfdWait {
            until: config.hold_time.map(|time| now + time),
            is_confirmed: false,
        })
    }
}
