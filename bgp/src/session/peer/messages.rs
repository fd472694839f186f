//! Messages and reports of handshakes and readers, as inputs of the state machine.

use tracing::{debug, info, trace};

use super::super::reader::Report;
use super::{Task, stamp};
use crate::fsm::{ConnectionId, Input, Received};
use crate::wire::{HEADER, Message, MessageKind, Notification, PeerKind, UpdateCodec, WireError};

impl Task {
    pub(super) fn read(&mut self, id: ConnectionId) {
        let Some(handshake) = self.handshake(id) else {
            return;
        };
        if !matches!(handshake.read(), Ok(true)) {
            // Messages before the end are still processed.
            self.read_messages(id);
            return self.step(Input::Closed(id));
        }
        self.read_messages(id);
    }

    /// Until the buffer holds no whole message, or the connection is no handshake any more.
    fn read_messages(&mut self, id: ConnectionId) {
        while let Some(handshake) = self.handshake(id) {
            let frame = match handshake.framer.next(&mut handshake.buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(WireError { notification, .. }) => {
                    return self.step(Input::Received(id, Received::Malformed(&notification)));
                }
            };
            let length = HEADER + frame.body.len();
            self.control.counters.received(frame.kind, length);
            trace!(kind = frame.kind.name(), length, "received");
            if frame.kind == MessageKind::Update {
                // Out of place whatever it says.
                self.step(Input::Received(id, Received::Update));
                continue;
            }
            match Message::decode(&frame, &UpdateCodec::plain(PeerKind::External)) {
                Ok(Message::Open(open)) => {
                    debug!(?open, "received OPEN");
                    if let Some(handshake) = self.handshake(id) {
                        handshake.waiting = None;
                    }
                    self.step(Input::Received(id, Received::Open(&open)));
                }
                Ok(Message::Keepalive) => self.step(Input::Received(id, Received::Keepalive)),
                Ok(Message::Notification(message)) => self.notified(id, &message),
                Ok(Message::RouteRefresh(_) | Message::Update(_)) => {
                    self.step(Input::Received(id, Received::RouteRefresh));
                }
                // RFC 4271 section 6.4: a NOTIFICATION is not answered, not even a bad one.
                Err(_) if frame.kind == MessageKind::Notification => self.step(Input::Closed(id)),
                Err(error) => {
                    info!(%error, "the peer's message cannot be used");
                    self.step(Input::Received(
                        id,
                        Received::Malformed(&error.notification),
                    ));
                }
            }
        }
    }

    pub(super) fn reported(&mut self, id: ConnectionId, report: Report) {
        match report {
            Report::Notification(message) => self.notified(id, &message),
            Report::Open(open) => self.step(Input::Received(id, Received::Open(&open))),
            Report::Malformed(answer) => {
                self.step(Input::Received(id, Received::Malformed(&answer)));
            }
            Report::Closed => self.step(Input::Closed(id)),
        }
    }

    fn notified(&mut self, id: ConnectionId, message: &Notification) {
        self.status
            .send_modify(|status| status.last_received = Some((stamp::now(), message.clone())));
        self.step(Input::Received(id, Received::Notification(message)));
    }
}
