//! The end of a session: its owner gets `Down`, however the reader ends.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::super::{Event, PeerKey, SessionId};
use super::Reader;
use crate::fsm::Down;

/// The end of a session, reported to its owner: `Down` exactly once after `Established`, even if the reader panics or
/// is aborted with the peer's task.
pub(super) struct End {
    events: mpsc::Sender<Event>,
    peer: PeerKey,
    session: SessionId,
    /// Whether the owner has got `Established` and not yet `Down`.
    pub(super) owed: bool,
    /// Why, once that is known. A reader that failed leaves a TCP connection that is closed without a NOTIFICATION.
    reason: Down,
    /// Dropped when nothing of this session follows any more.
    delivered: Option<oneshot::Sender<()>>,
}

impl End {
    pub(super) fn new<R>(reader: &Reader<R>, delivered: oneshot::Sender<()>) -> Self {
        Self {
            events: reader.events.clone(),
            peer: reader.peer,
            session: reader.session,
            owed: false,
            reason: Down::TransportFailed,
            delivered: Some(delivered),
        }
    }

    fn event(&mut self) -> Event {
        self.owed = false;
        Event::Down {
            peer: self.peer,
            session: self.session,
            reason: self.reason.clone(),
        }
    }

    /// Waits for space in the owner's channel. If cancelled, nothing is delivered.
    pub(super) async fn deliver(&mut self, reason: Down) {
        self.reason = reason;
        let events = self.events.clone();
        match events.reserve().await {
            Ok(room) => room.send(self.event()),
            // An owner that is gone needs no event.
            Err(_) => self.owed = false,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.owed || self.events.is_closed() {
            return;
        }
        let event = self.event();
        error!(
            session = self.session.0,
            "the reader of a session failed; its routes go as if TCP had"
        );
        let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) else {
            return;
        };
        // Without a runtime the process is at its end, and so is the owner.
        if let Ok(runtime) = Handle::try_current() {
            let (events, delivered) = (self.events.clone(), self.delivered.take());
            runtime.spawn(async move {
                // An owner that is gone needs no event.
                drop(events.send(event).await);
                drop(delivered);
            });
        }
    }
}
