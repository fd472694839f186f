//! Where messages for peers go.

use std::collections::HashMap;

use bgp::session::{Outbox, SessionId};
use bytes::Bytes;
use rib::PeerId;
use rib::export::{Full, Transport};

/// The outboxes of Established sessions of known peers.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) known: HashMap<PeerId, Option<Session>>,
}

pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) outbox: Outbox,
}

impl Transport for Sessions {
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full> {
        match self.known.get(&peer) {
            Some(Some(session)) => session
                .outbox
                .try_send(std::slice::from_ref(messages))
                .map_err(|_| Full),
            // The session is over and its `Down` is on the way: what is said now is said to nobody.
            _ => Ok(()),
        }
    }
}

impl Sessions {
    /// Whether an event is of the session that the RIB knows.
    pub(super) fn is_current(&self, peer: PeerId, session: SessionId) -> bool {
        matches!(self.known.get(&peer), Some(Some(current)) if current.id == session)
    }
}
