//! Idle, Connect and Active: dialling, and connections that come up, to OpenSent.

use std::time::Instant;

use super::super::connection::{Connection, Origin};
use super::super::damping::Cause;
use super::super::dialler::Dialling;
use super::super::negotiate::open;
use super::super::{ConnectionId, Down, Output, Outputs, State};
use super::{Peer, collision, notification};
use crate::wire::NotificationCode;

impl Peer {
    /// Dials, unless that is pointless now.
    pub(super) fn dial(&mut self, now: Instant, out: &mut Outputs) {
        let held = self.dialler.is_held(now);
        if !self.running || self.config.passive || held || self.is_busy() {
            self.dialler.now = Dialling::No;
            return;
        }
        let id = self.new_id();
        self.dialler.now = Dialling::Connecting {
            id,
            until: now + self.config.connect_timeout,
        };
        out.push(Output::Connect(id));
    }

    /// Whether a connection is there that makes dialling pointless. One that the peer has dialled and not yet sent an
    /// OPEN on is not: it may be dead.
    fn is_busy(&self) -> bool {
        self.connections.iter().any(|connection| {
            connection.origin == Origin::Ours || connection.state() >= State::OpenConfirm
        })
    }

    pub(super) fn stop_dialling(&mut self, out: &mut Outputs) {
        match self.dialler.now {
            Dialling::Connecting { id, .. } => out.push(Output::AbortConnect(id)),
            Dialling::No | Dialling::Waiting { .. } => {}
        }
        self.dialler.now = Dialling::No;
    }

    /// A connection or an attempt is over: counts it, and waits before the next attempt.
    pub(super) fn ended(&mut self, now: Instant, cause: Cause, reason: &Down) {
        let wait = self.dialler.note(now, &self.config, cause, reason);
        // A connection that goes on, or an attempt under way, is retry enough; if it fails, this is passed again.
        if !self.running || self.is_busy() {
            return;
        }
        match self.dialler.now {
            Dialling::No if self.config.passive => {}
            Dialling::No => self.dialler.wait(now + wait),
            // The peer's own connection: it changes nothing, unless the peer is held now.
            Dialling::Waiting { until } => self.dialler.wait(until),
            Dialling::Connecting { .. } => {}
        }
    }

    fn is_dialling(&self, id: ConnectionId) -> bool {
        matches!(self.dialler.now, Dialling::Connecting { id: ours, .. } if ours == id)
    }

    pub(super) fn connected(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        if self.is_dialling(id) {
            self.dialler.now = Dialling::No;
            self.begin(now, id, Origin::Ours, out);
        }
    }

    pub(super) fn connect_failed(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        if self.is_dialling(id) {
            self.dialler.now = Dialling::No;
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
        if self.dialler.is_held(now) || self.dialler.is_crowded(now) {
            // RFC 4271 8.2.2, Idle. Silently: a NOTIFICATION could end the peer's graceful restart, and damp its
            // retries too.
            out.push(Output::Refuse(None));
            return;
        }
        let id = self.new_id();
        out.push(Output::Accept(id));
        // A peer dials once at a time: an older connection of its that is not Established is one that it has given up.
        let given_up = self.connections.iter().find(|connection| {
            connection.origin == Origin::Theirs && connection.state() < State::Established
        });
        if let Some(given_up) = given_up.map(|connection| connection.id) {
            self.tear_down(now, given_up, collision(), out);
        }
        self.begin(now, id, Origin::Theirs, out);
    }

    /// TCP is up: to OpenSent.
    fn begin(&mut self, now: Instant, id: ConnectionId, origin: Origin, out: &mut Outputs) {
        let restarting = self.restarting.is_some_and(|until| now < until);
        out.push(Output::SendOpen(id, open(&self.config, restarting)));
        self.connections
            .push(Connection::new(id, origin, now, self.config.clone()));
        debug_assert!(self.connections.len() <= 2, "{:?}", self.connections);
    }
}
