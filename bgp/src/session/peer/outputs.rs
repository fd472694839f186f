//! Carries out the outputs of the state machine.

use bytes::Bytes;
use tracing::{debug, info};

use super::super::handshake::Handshake;
use super::super::outbox::Closing;
use super::super::{connect, options};
use super::{Task, stamp};
use crate::fsm::{ConnectionId, Down, Output, Outputs};
use crate::os_error::OsError;
use crate::refusal::Refusal;
use crate::wire::{Notification, keepalive};

impl Task {
    pub(super) fn carry_out(&mut self, outputs: Outputs) {
        for output in outputs {
            match output {
                Output::Connect(id) => {
                    let dial = connect::dial(self.settings.clone());
                    self.connecting = Some((id, Box::pin(dial)));
                }
                Output::AbortConnect(id) => {
                    self.connecting.take_if(|(connecting, _)| *connecting == id);
                }
                Output::Accept(id) => self.accept(id),
                Output::Refuse(last) => self.refuse(last),
                Output::SendOpen(id, open) => self.send(id, open.encode()),
                Output::SendKeepalive(id) => self.send(id, keepalive()),
                Output::Close(id, last) => self.close(id, last),
                Output::Established(id, negotiated) => self.establish(id, negotiated),
                Output::Down(id, reason) => self.down(id, reason),
                Output::Failed(_, reason) => {
                    debug!(%reason, "no session");
                    self.status
                        .send_modify(|status| status.last_down = Some((stamp::now(), reason)));
                }
            }
        }
    }

    /// Closes what was just accepted.
    fn refuse(&mut self, last: Option<Notification>) {
        let Some(accepted) = self.offered.take() else {
            return;
        };
        match last {
            // Courtesy only: the peer has been stopped, and the connection is closed next.
            Some(message) => drop(accepted.stream.try_write(&message.encode())),
            None => accepted.refuse(Refusal::Held),
        }
    }

    fn accept(&mut self, id: ConnectionId) {
        let Some(accepted) = self.offered.take() else {
            return self.broken.push(id);
        };
        let prepared = options::prepare(&accepted.stream, &self.settings)
            .and_then(|()| options::limit_handshake(&accepted.stream, true))
            .and_then(|()| Handshake::accepted(id, accepted));
        match prepared {
            Ok(handshake) => {
                handshake.count_accepted();
                self.handshakes.push(handshake);
            }
            Err(error) => {
                let error = OsError::from(error);
                info!(%error, "the accepted connection cannot be used");
                self.broken.push(id);
            }
        }
    }

    fn send(&mut self, id: ConnectionId, message: Bytes) {
        if let Some(session) = self.session.as_ref().filter(|session| session.id == id) {
            session.outbox.send_urgent(message);
        } else if let Some(handshake) = self.handshakes.iter().find(|one| one.id == id)
            && let Err(error) = handshake.send(&message, &self.control)
        {
            let error = OsError::from(error);
            debug!(%error, "cannot send");
            self.broken.push(id);
        }
    }

    fn close(&mut self, id: ConnectionId, last: Option<Notification>) {
        if let Some(message) = &last {
            self.status
                .send_modify(|status| status.last_sent = Some((stamp::now(), message.clone())));
        }
        let last = last.map(|message| message.encode());
        if let Some(at) = self.handshakes.iter().position(|one| one.id == id) {
            let handshake = self.handshakes.remove(at);
            if let Some(message) = &last {
                self.control.counters.sent(message);
            }
            let control = self.control.clone();
            self.tasks.spawn(handshake.close(last, control));
        } else if let Some(session) = self.session.as_ref().filter(|session| session.id == id) {
            let closing = match last {
                Some(message) => {
                    session.outbox.send_urgent(message);
                    Closing::AfterUrgent
                }
                None => Closing::Now,
            };
            session.outbox.close(closing);
        }
    }

    fn down(&mut self, id: ConnectionId, reason: Down) {
        info!(%reason, "session down");
        if let Some(session) = self.session.take_if(|session| session.id == id) {
            // A reader that has panicked receives nothing.
            drop(session.down.send(reason.clone()));
        }
        self.status.send_modify(|status| {
            status.session = None;
            *status.downs.entry(reason.class()).or_default() += 1;
            status.last_down = Some((stamp::now(), reason));
        });
    }
}
