//! Idle, Connect and Active: connecting and accepting, up to OpenSent.

use std::time::Instant;

use super::super::connect_retry::ConnectState;
use super::super::connection::{Connection, Direction};
use super::super::damping::Cause;
use super::super::negotiate::open;
use super::super::{ConnectionId, Down, Output, Outputs, State};
use super::{Peer, collision, notification};
use crate::wire::NotificationCode;

impl Peer {
    /// Dials, unless that is pointless now.
    pub(super) fn connect(&mut self, now: Instant, out: &mut Outputs) {
        let held = self.connect_retry.is_held(now);
        if !self.running || self.config.passive || held || self.is_busy() {
            self.connect_retry.now = ConnectState::Off;
            return;
        }
        let id = self.new_id();
        self.connect_retry.now = ConnectState::Connecting {
            id,
            until: now + self.config.connect_timeout,
        };
        out.push(Output::Connect(id));
    }

    /// Whether a connection is there that makes dialling pointless. One that the peer has dialled and not yet sent an
    /// OPEN on is not: it may be dead.
    fn is_busy(&self) -> bool {
        self.connections.iter().any(|connection| {
            connection.direction == Direction::Outgoing || connection.state() >= State::OpenConfirm
        })
    }

    pub(super) fn stop_dialling(&mut self, out: &mut Outputs) {
        match self.connect_retry.now {
            ConnectState::Connecting { id, .. } => out.push(Output::AbortConnect(id)),
            ConnectState::Off | ConnectState::Waiting { .. } => {}
        }
        self.connect_retry.now = ConnectState::Off;
    }

    /// A connection or an attempt is over: counts it, and waits before the next attempt.
    pub(super) fn ended(&mut self, now: Instant, cause: Cause, reason: &Down) {
        let wait = self.connect_retry.note(now, &self.config, cause, reason);
        // A connection that continues, or an attempt in progress, is retry enough; if it fails, this runs again.
        if !self.running || self.is_busy() {
            return;
        }
        match self.connect_retry.now {
            ConnectState::Off if self.config.passive => {}
            ConnectState::Off => self.connect_retry.wait(now + wait),
            // The peer's own connection: it changes nothing, unless the peer is held now.
            ConnectState::Waiting { until } => self.connect_retry.wait(until),
            ConnectState::Connecting { .. } => {}
        }
    }

    fn is_dialling(&self, id: ConnectionId) -> bool {
        matches!(self.connect_retry.now, ConnectState::Connecting { id: ours, .. } if ours == id)
    }

    pub(super) fn connected(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        if self.is_dialling(id) {
            self.connect_retry.now = ConnectState::Off;
            self.begin(now, id, Direction::Outgoing, out);
        }
    }

    pub(super) fn connect_failed(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        if self.is_dialling(id) {
            self.connect_retry.now = ConnectState::Off;
            self.ended(now, Cause::Unanswered, &Down::TransportFailed);
            out.push(Output::Failed(id, Down::TransportFailed));
        }
    }

    pub(super) fn accepted(&mut self, now: Instant, out: &mut Outputs) {
        if !self.running {
            let rejected = notification(NotificationCode::CONNECTION_REJECTED);
            out.push(Output::Refuse(Some(rejected)));
            return;
        }
        if self.connect_retry.is_held(now) || self.connect_retry.is_crowded(now) {
            // RFC 4271 8.2.2, Idle. Silently: a NOTIFICATION could end the peer's graceful restart, and damp its
            // retries too.
            out.push(Output::Refuse(None));
            return;
        }
        let id = self.new_id();
        out.push(Output::Accept(id));
        // A peer dials once at a time: an older connection of its that is not Established is one that it has given up.
        let given_up = self.connections.iter().find(|connection| {
            connection.direction == Direction::Incoming && connection.state() < State::Established
        });
        if let Some(given_up) = given_up.map(|connection| connection.id) {
            self.tear_down(now, given_up, collision(), out);
        }
        self.begin(now, id, Direction::Incoming, out);
    }

    /// TCP is up: to OpenSent.
    fn begin(&mut self, now: Instant, id: ConnectionId, direction: Direction, out: &mut Outputs) {
        let restarting = self.restarting.is_some_and(|until| now < until);
        out.push(Output::SendOpen(id, open(&self.config, restarting)));
        self.connections
            .push(Connection::new(id, direction, now, self.config.clone()));
        debug_assert!(self.connections.len() <= 2, "{:?}", self.connections);
    }
}
