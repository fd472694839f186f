//! What waits to be written to a peer: bounded by bytes, filled by the owner, drained by the session's writer.
//!
//! Messages are [`Bytes`], so that the same encoded UPDATE waits for a thousand peers without a copy. The limit bounds
//! the memory of a slow peer: the owner is refused, remembers its position, and continues after
//! [`Event::Writable`](super::Event::Writable). The peer's task puts KEEPALIVE and NOTIFICATION in front, between two
//! messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::handle::LiveCounters;

/// What may wait for one peer, in octets: a fifth of a second of a gigabit, and enough for the messages that a full
/// table's worst burst produces between two runs of the writer.
const CAPACITY: usize = 1 << 20;

/// After a refusal, the owner is notified when this little is left. High enough that the writer has work while the
/// owner wakes up.
const LOW_WATER: usize = CAPACITY / 4;

/// Buffers that one system call writes. The kernel takes up to 1,024; more than some dozens save nothing.
pub(super) const MAX_BUFFERS: usize = 64;

/// The owner's queue of messages to a peer. Cheap to clone; all clones are the same queue.
#[derive(Clone, Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
}

/// The outbox is full. Nothing of the batch was accepted; an [`Event::Writable`](super::Event::Writable) follows once
/// it has drained, unless the session ends before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer's outbox is full")]
pub struct Full;

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer. One waiter, so `notify_one` and its stored permit lose nothing.
    filled: Notify,
    /// Wakes the reader, which notifies the owner that it may continue: only the reader sends the session's events, in
    /// order.
    drained: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Goes first, between two messages: KEEPALIVEs, and the one NOTIFICATION that ends the session.
    urgent: VecDeque<Bytes>,
    messages: VecDeque<Bytes>,
    /// Octets of `messages` and of what the writer has taken from it and not yet written.
    octets: usize,
    /// The owner was refused and is notified when there is space.
    refused: bool,
    closing: Option<Closing>,
    /// It was closed since the writer last looked: what the writer has taken is dropped too, once.
    closed_now: bool,
}

/// How the writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Finish the message that is half written and what is urgent, then close.
    AfterUrgent,
    /// Close as things are.
    Now,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::default(),
        }
    }

    /// Puts a batch behind what already waits, all of it or nothing. Never blocks; called from any thread.
    ///
    /// Each [`Bytes`] is one or more whole messages: keepalives go between two of them. A batch that is larger than
    /// the box is taken when the box is empty. What is put into a session that has ended is dropped.
    ///
    /// # Errors
    ///
    /// [`Full`] if the box holds about a mebibyte already.
    pub fn try_send(&self, messages: &[Bytes]) -> Result<(), Full> {
        let octets: usize = messages.iter().map(Bytes::len).sum();
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return Ok(());
        }
        if queue.octets > 0 && queue.octets + octets > CAPACITY {
            queue.refused = true;
            return Err(Full);
        }
        queue.octets += octets;
        queue.messages.extend(
            messages
                .iter()
                .filter(|message| !message.is_empty())
                .cloned(),
        );
        drop(queue);
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Octets that wait to be written.
    pub fn waiting(&self) -> usize {
        self.lock().octets
    }

    /// Whether the session has ended; what is put in is dropped.
    pub fn is_closed(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// Puts a KEEPALIVE or NOTIFICATION in front.
    pub(super) fn send_urgent(&self, message: Bytes) {
        self.lock().urgent.push_back(message);
        self.shared.filled.notify_one();
    }

    /// Ends the writer, and drops what waits but for what `closing` lets through. The first call decides.
    pub(super) fn close(&self, closing: Closing) {
        let mut queue = self.lock();
        queue.closed_now |= queue.closing.is_none();
        queue.closing.get_or_insert(closing);
        let dropped: usize = queue.messages.drain(..).map(|message| message.len()).sum();
        queue.octets -= dropped;
        drop(queue);
        self.shared.filled.notify_one();
    }

    /// Moves waiting messages to the writer's batch, up to [`MAX_BUFFERS`] in it, urgent ones first: in front, but
    /// behind the first if that is half written. Says whether and how to close afterwards.
    pub(super) fn take(
        &self,
        batch: &mut VecDeque<Bytes>,
        half_written: bool,
        counters: &LiveCounters,
    ) -> Option<Closing> {
        let mut queue = self.lock();
        // Only once: after that the batch holds what is urgent, which a slow socket takes in several pieces.
        if std::mem::take(&mut queue.closed_now) {
            let dropped: usize = batch
                .drain(usize::from(half_written)..)
                .map(|m| m.len())
                .sum();
            queue.octets = queue.octets.saturating_sub(dropped);
        }
        for (at, message) in (usize::from(half_written)..).zip(std::mem::take(&mut queue.urgent)) {
            queue.octets += message.len();
            counters.sent(&message);
            batch.insert(at, message);
        }
        while batch.len() < MAX_BUFFERS
            && let Some(message) = queue.messages.pop_front()
        {
            counters.sent(&message);
            batch.push_back(message);
        }
        queue.closing
    }

    /// The writer has written so much of its batch.
    pub(super) fn wrote(&self, octets: usize) {
        let mut queue = self.lock();
        queue.octets = queue.octets.saturating_sub(octets);
        let tell = queue.refused && queue.octets <= LOW_WATER;
        if tell {
            queue.refused = false;
            drop(queue);
            self.shared.drained.notify_one();
        }
    }

    /// Until something was put in.
    pub(super) async fn filled(&self) {
        self.shared.filled.notified().await;
    }

    /// Until the owner, refused before, may go on.
    pub(super) async fn drained(&self) {
        self.shared.drained.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held can leave no half state behind that matters more than going on.
        self.shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
