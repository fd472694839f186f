//! Reads a session's socket: frames, decodes, and hands batches to the owner. It alone sends the session's events, so
//! that they are in order: `Established` first, `Down` last.
//!
//! When the owner's channel is full it waits for space and does not read: TCP then slows the peer down. The stamps
//! record that, for the hold timer. Otherwise only whole messages restart that timer: octets that never become one do
//! not.
//!
//! However the reader ends, by a panic or with the peer's task, the owner gets `Down` once ([`end::End`]).

mod end;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::faults::FaultLog;
use super::handle::Control;
use super::stamp::Stamps;
use super::turn::{Turn, Turns};
use super::{Event, Outbox, PeerKey, SessionId};
use crate::fsm::Down;
use crate::wire::attribute::AttributeFilter;
use crate::wire::{
    Frame, Framer, HEADER, Message, MessageKind, Notification, NotificationCode, Open,
    RouteRefresh, RouteRefreshSubtype, UpdateBatch, UpdateCodec, decode_update,
};
use end::End;

/// Prefixes of one event, which is what it costs the owner: enough to make the channel's cost vanish, little enough that the
/// routes of other peers wait for no more than a millisecond. A message is not cut.
const BATCH: usize = 1024;

/// Octets of UPDATEs in one event: this bounds memory where each message has few prefixes.
const BATCH_OCTETS: usize = 64 * 1024;

/// What was read behind a batch goes with it if it has no more octets: a short rest would look like news, and news ends the
/// time in which states that the next message overtakes are advertised to nobody.
const REST: usize = 8 * 1024;

/// The minimum and maximum space for a read. A thousand idle sessions have the minimum each.
const MIN_READ: usize = 4 * 1024;
const MAX_READ: usize = 64 * 1024;

/// How long a closed connection is drained, so that unread octets don't make TCP reset it before the peer has read our
/// NOTIFICATION.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// Reports of the reader to the peer's task; after any of them, it waits for the session's end.
#[derive(Debug)]
pub(super) enum Report {
    /// The peer's last word.
    Notification(Notification),
    /// An OPEN, which has no place here.
    Open(Open),
    /// Bytes that end the session, and the answer.
    Malformed(Notification),
    /// End of the stream, or an error.
    Closed,
}

/// One session's reader.
pub(super) struct Reader<R> {
    pub(super) socket: R,
    /// What was read behind the KEEPALIVE that made the session.
    pub(super) buffer: BytesMut,
    pub(super) framer: Framer,
    pub(super) codec: UpdateCodec,
    /// The peer demarcates refreshes (RFC 7313): its ROUTE-REFRESH messages have subtypes.
    pub(super) enhanced_refresh: bool,
    /// What the operator says of the peer's attributes; it may change at any time.
    pub(super) filter: watch::Receiver<AttributeFilter>,
    pub(super) faults: FaultLog,
    pub(super) peer: PeerKey,
    pub(super) session: SessionId,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) turns: Turns,
    pub(super) outbox: Outbox,
    pub(super) stamps: Arc<Stamps>,
    pub(super) control: Arc<Control>,
    /// Holds what a reader reports once, and two [`super::alarm::Alarm`]s.
    pub(super) reports: mpsc::Sender<Report>,
    /// Why the session ended, from the peer's task.
    pub(super) down: oneshot::Receiver<Down>,
}

/// The session has ended, and for this reason.
struct Ended(Down);

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Until the session is over. `previous` ends when the events of the session before are delivered; `delivered` is
    /// dropped when those of this one are.
    pub(super) async fn run(
        mut self,
        established: Event,
        previous: Option<oneshot::Receiver<()>>,
        delivered: oneshot::Sender<()>,
    ) {
        if let Some(previous) = previous {
            self.stamps.set_waiting(true);
            // Dropped, never sent to.
            drop(previous.await);
            self.stamps.set_heard();
            self.stamps.set_waiting(false);
        }
        let mut end = End::new(&self, delivered);
        // A session that ends before the owner was notified of it does not exist for the owner.
        if self.deliver(established).await.is_ok() {
            end.owed = true;
            let Ended(reason) = self.serve().await;
            end.deliver(reason).await;
        }
        drop(end);
        if let Ok(_place) = self.control.farewells.try_acquire() {
            drop(timeout(DRAIN, drain(&mut self.socket, &mut self.buffer)).await);
        }
    }

    async fn serve(&mut self) -> Ended {
        let mut room = MIN_READ;
        loop {
            match self.hand_over().await {
                Ok(None) => {}
                Ok(Some(report)) => return self.report(report).await,
                Err(ended) => return ended,
            }
            if self.buffer.capacity() - self.buffer.len() < room {
                self.buffer.reserve(room);
            }
            let space = self.buffer.capacity() - self.buffer.len();
            tokio::select! {
                biased;
                reason = &mut self.down => return Ended(reason.unwrap_or(Down::TransportFailed)),
                () = self.outbox.drained() => {
                    let (peer, session) = (self.peer, self.session);
                    if let Err(ended) = self.deliver(Event::Writable { peer, session }).await {
                        return ended;
                    }
                }
                read = self.socket.read_buf(&mut self.buffer) => {
                    let octets = match read {
                        Ok(0) | Err(_) => return self.report(Report::Closed).await,
                        Ok(octets) => octets,
                    };
                    room = if octets == space {
                        (room * 2).min(MAX_READ)
                    } else if octets < room / 4 {
                        (room / 2).max(MIN_READ)
                    } else {
                        room
                    };
                }
            }
        }
    }

    /// Takes whole messages off the buffer and delivers what they say, in order.
    async fn hand_over(&mut self) -> Result<Option<Report>, Ended> {
        // Set before the peer is asked to send everything again: what answers that is decoded with it.
        if self.filter.has_changed().unwrap_or(false) {
            let filter = self.filter.borrow_and_update();
            self.codec.filtered = filter.received_from(self.codec.peer);
        }
        let mut batch = UpdateBatch::default();
        let mut octets = 0;
        let mut heard = false;
        loop {
            let frame = match self.framer.next(&mut self.buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.deliver_updates(batch).await?;
                    return Ok(Some(Report::Malformed(error.notification)));
                }
            };
            let length = HEADER + frame.body.len();
            self.control.counters.received(frame.kind, length);
            // RFC 4271 8.2.2, Established, events 26 and 27: these restart the hold timer, whole. Once a round is enough.
            let restarts = matches!(frame.kind, MessageKind::Keepalive | MessageKind::Update);
            if restarts && !heard {
                heard = true;
                self.stamps.set_heard();
            }
            match frame.kind {
                MessageKind::Keepalive => {}
                MessageKind::Update => {
                    let update = decode_update(&frame.body, &self.codec);
                    if !update.faults.is_empty() {
                        self.faults.note(&update, &self.control.counters);
                    }
                    if update.filtered > 0 {
                        self.faults
                            .note_filtered(update.filtered, &self.control.counters);
                    }
                    if let Some(answer) = update.reset() {
                        self.deliver_updates(batch).await?;
                        return Ok(Some(Report::Malformed(answer)));
                    }
                    batch.push(&update);
                    octets += length;
                    let is_full = batch.prefixes() >= BATCH || octets >= BATCH_OCTETS;
                    if is_full && self.buffer.len() > REST {
                        self.deliver_updates(std::mem::take(&mut batch)).await?;
                        octets = 0;
                    }
                }
                MessageKind::RouteRefresh => {
                    self.deliver_updates(std::mem::take(&mut batch)).await?;
                    octets = 0;
                    let decoded = match self.enhanced_refresh {
                        true => RouteRefresh::decode(&frame.body),
                        false => RouteRefresh::decode_plain(&frame.body),
                    };
                    match decoded {
                        Ok(refresh) => self.deliver_refresh(refresh).await?,
                        Err(error) => return Ok(Some(Report::Malformed(error.notification))),
                    }
                }
                MessageKind::Open | MessageKind::Notification => {
                    self.deliver_updates(batch).await?;
                    return Ok(Some(last_message(&frame, &self.codec)));
                }
            }
        }
        self.deliver_updates(batch).await?;
        Ok(None)
    }

    async fn deliver_updates(&mut self, updates: UpdateBatch) -> Result<(), Ended> {
        if updates.is_empty() {
            return Ok(());
        }
        let turn = match self.turns.try_take() {
            Some(turn) => turn,
            None => self.take_turn().await?,
        };
        let (peer, session) = (self.peer, self.session);
        let event = Event::Updates {
            peer,
            session,
            updates,
            turn,
        };
        self.deliver(event).await
    }

    async fn deliver_refresh(&mut self, refresh: RouteRefresh) -> Result<(), Ended> {
        if let RouteRefreshSubtype::Unknown(_) = refresh.subtype {
            // RFC 7313 section 5: ignored.
            return Ok(());
        }
        let (peer, session) = (self.peer, self.session);
        let event = Event::RouteRefresh {
            peer,
            session,
            refresh,
        };
        self.deliver(event).await
    }

    /// Waits until the owner has dealt with a batch, or for the session's end.
    async fn take_turn(&mut self) -> Result<Turn, Ended> {
        let turn = self.turns.clone().take();
        self.stamps.set_waiting(true);
        let result = tokio::select! {
            biased;
            reason = &mut self.down => Err(Ended(reason.unwrap_or(Down::TransportFailed))),
            turn = turn => Ok(turn),
        };
        // What the peer sent meanwhile is processed only now, so the hold time starts here.
        self.stamps.set_heard();
        self.stamps.set_waiting(false);
        result
    }

    /// Waits for space in the owner's channel, or for the session's end.
    async fn deliver(&mut self, event: Event) -> Result<(), Ended> {
        let event = match self.events.try_send(event) {
            Ok(()) => return Ok(()),
            Err(
                mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event),
            ) => event,
        };
        let is_message = !matches!(event, Event::Writable { .. });
        self.stamps.set_waiting(true);
        let result = tokio::select! {
            biased;
            reason = &mut self.down => Err(Ended(reason.unwrap_or(Down::TransportFailed))),
            sent = self.events.send(event) => match sent {
                Ok(()) => Ok(()),
                // The owner is gone: wait to be stopped, which is what comes next.
                Err(_) => Err(Ended((&mut self.down).await.unwrap_or(Down::TransportFailed))),
            },
        };
        if is_message {
            // What the peer sent meanwhile is processed only now, so the hold time starts here.
            self.stamps.set_heard();
        }
        self.stamps.set_waiting(false);
        result
    }

    /// Reports to the peer's task, whose machine then decides why the session is over.
    async fn report(&mut self, report: Report) -> Ended {
        // The task may have ended the session itself meanwhile.
        drop(self.reports.send(report).await);
        Ended((&mut self.down).await.unwrap_or(Down::TransportFailed))
    }
}

/// OPEN or NOTIFICATION, or what is wrong with it.
fn last_message(frame: &Frame, codec: &UpdateCodec) -> Report {
    match Message::decode(frame, codec) {
        Ok(Message::Notification(message)) => Report::Notification(message),
        Ok(Message::Open(open)) => Report::Open(open),
        Err(_) if frame.kind == MessageKind::Notification => Report::Closed,
        // RFC 4271 section 8.2.2, Established, event 22: whatever is wrong with it, it has no place here (RFC 6608).
        Err(_) if frame.kind == MessageKind::Open => {
            let data = vec![MessageKind::Open.octet()];
            let code = NotificationCode::FSM_ESTABLISHED;
            Report::Malformed(Notification::with_data(code, data))
        }
        Err(error) => Report::Malformed(error.notification),
        Ok(Message::Update(_) | Message::Keepalive | Message::RouteRefresh(_)) => Report::Closed,
    }
}

/// Reads to the end and discards everything.
pub(super) async fn drain<R: AsyncRead + Unpin>(socket: &mut R, buffer: &mut BytesMut) {
    loop {
        buffer.clear();
        buffer.reserve(MIN_READ);
        match socket.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
