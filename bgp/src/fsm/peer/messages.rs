//! OpenSent, OpenConfirm and Established: what each message leads to.

use std::sync::Arc;
use std::time::Instant;

use super::super::collision::{Verdict, judge};
use super::super::connection::{LARGE_HOLD_TIME, Phase};
use super::super::negotiate::negotiate;
use super::super::{ConnectionId, Down, Negotiated, Output, Outputs, Received, State};
use super::{Peer, collision};
use crate::wire::{MessageKind, Notification, NotificationCode, Open};

impl Peer {
    pub(super) fn received(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: Received<'_>,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        match connection.state() {
            State::OpenSent => self.in_open_sent(now, id, message, out),
            State::OpenConfirm => self.in_open_confirm(now, id, message, out),
            State::Established => self.in_established(now, id, message, out),
            State::Idle | State::Connect | State::Active => {
                debug_assert!(false, "a connection is at least in OpenSent");
            }
        }
    }

    fn in_open_sent(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: Received<'_>,
        out: &mut Outputs,
    ) {
        let reason = match message {
            Received::Open(remote) => return self.opened(now, id, remote, out),
            Received::Notification(message) => Down::NotificationReceived(message.clone()),
            Received::Malformed(answer) => Down::NotificationSent(answer.clone()),
            Received::Keepalive => {
                unexpected(NotificationCode::FSM_OPEN_SENT, MessageKind::Keepalive)
            }
            Received::Update => unexpected(NotificationCode::FSM_OPEN_SENT, MessageKind::Update),
            Received::RouteRefresh => {
                unexpected(NotificationCode::FSM_OPEN_SENT, MessageKind::RouteRefresh)
            }
        };
        self.tear_down(now, id, reason, out);
    }

    fn in_open_confirm(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: Received<'_>,
        out: &mut Outputs,
    ) {
        let reason = match message {
            Received::Keepalive if self.is_confirmed_early(now, id) => return,
            Received::Keepalive => return self.established(now, id, out),
            Received::Notification(message) => Down::NotificationReceived(message.clone()),
            Received::Malformed(answer) => Down::NotificationSent(answer.clone()),
            Received::Open(_) => unexpected(NotificationCode::FSM_OPEN_CONFIRM, MessageKind::Open),
            Received::Update => unexpected(NotificationCode::FSM_OPEN_CONFIRM, MessageKind::Update),
            Received::RouteRefresh => unexpected(
                NotificationCode::FSM_OPEN_CONFIRM,
                MessageKind::RouteRefresh,
            ),
        };
        self.tear_down(now, id, reason, out);
    }

    fn in_established(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: Received<'_>,
        out: &mut Outputs,
    ) {
        let reason = match message {
            Received::Keepalive | Received::Update | Received::RouteRefresh => {
                return self.with(id, |connection| connection.heard(now));
            }
            Received::Notification(message) => Down::NotificationReceived(message.clone()),
            Received::Malformed(answer) => Down::NotificationSent(answer.clone()),
            Received::Open(_) => unexpected(NotificationCode::FSM_ESTABLISHED, MessageKind::Open),
        };
        self.tear_down(now, id, reason, out);
    }

    /// The peer's OPEN was received: to OpenConfirm, if it is acceptable and this connection stays.
    fn opened(&mut self, now: Instant, id: ConnectionId, remote: &Open, out: &mut Outputs) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        let negotiated = match negotiate(&connection.config, remote) {
            Ok(negotiated) => Arc::new(negotiated),
            Err(refusal) => {
                return self.tear_down(now, id, Down::NotificationSent(refusal), out);
            }
        };
        // No OPEN was sent on what is being dialled, so that the peer cannot have chosen it.
        self.stop_dialling(out);
        if self.lost_collision(now, id, &negotiated, out) {
            return self.tear_down(now, id, collision(), out);
        }
        let bfd = self.bfd_wait(now, id, negotiated.bfd_strict);
        if bfd.is_none() {
            out.push(Output::SendKeepalive(id));
        }
        // DEVIATION(RFC 4271 8.2.2): without a hold time the wait for the first KEEPALIVE would be endless.
        let hold = now + negotiated.hold_time.unwrap_or(LARGE_HOLD_TIME);
        let keepalive = negotiated
            .keepalive
            .filter(|_| bfd.is_none())
            .map(|time| now + self.connect_retry.jittered(time));
        self.with(id, |connection| {
            connection.phase = Phase::OpenConfirm {
                negotiated,
                hold,
                keepalive,
                bfd,
            };
        });
    }

    /// Carries out the verdict on another connection, if there is one. Whether `id` must be closed.
    fn lost_collision(
        &mut self,
        now: Instant,
        id: ConnectionId,
        negotiated: &Negotiated,
        out: &mut Outputs,
    ) -> bool {
        let other = self
            .connections
            .iter()
            .find(|connection| connection.id != id);
        let (Some(this), Some(other)) = (self.connection(id), other) else {
            return false;
        };
        let (other_id, other_state) = (other.id, other.state());
        match judge(now, &this.config, this, negotiated, other) {
            Verdict::Both => false,
            Verdict::CloseOther => {
                self.tear_down(now, other_id, collision(), out);
                false
            }
            Verdict::PeerRestarted => {
                self.tear_down(now, other_id, Down::PeerRestarted, out);
                false
            }
            Verdict::CloseThis => {
                if other_state == State::Established {
                    // If the peer has lost that session, its TCP answers this with a reset, and it can reconnect at
                    // once.
                    out.push(Output::SendKeepalive(other_id));
                }
                true
            }
        }
    }

    /// The peer has confirmed our OPEN: to Established. Whatever else there is has lost.
    pub(super) fn established(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        let others: Vec<_> = self
            .connections
            .iter()
            .map(|c| c.id)
            .filter(|other| *other != id)
            .collect();
        for other in others {
            self.tear_down(now, other, collision(), out);
        }
        self.stop_dialling(out);
        self.connect_retry.established();
        self.restarting = None;
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) else {
            return;
        };
        let send_hold = connection.send_hold_time().map(|time| now + time);
        let Phase::OpenConfirm {
            negotiated,
            keepalive,
            ..
        } = &connection.phase
        else {
            return;
        };
        let (negotiated, keepalive) = (negotiated.clone(), *keepalive);
        out.push(Output::Established(id, negotiated.clone()));
        connection.phase = Phase::Established {
            since: now,
            hold: negotiated.hold_time.map(|time| now + time),
            keepalive,
            send_hold,
            negotiated,
        };
    }
}

/// RFC 6608 section 4: the data is the type of the message that has no place in the state.
fn unexpected(code: NotificationCode, kind: MessageKind) -> Down {
    Down::NotificationSent(Notification::with_data(code, vec![kind.octet()]))
}
