//! The owner's grip on a peer: commands in, status and counters out. Nothing here blocks or waits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, watch};

use super::admission::Accepted;
use super::listener::Place;
use super::{Candidate, KeyError, Outbox, PeerKey, PeerSettings, Refusal, SessionId};
use crate::fsm::{BfdState, Cease, Down, DownClass, IdleHold, Negotiated, State, Stop};
use crate::os_error::OsError;
use crate::wire::{HEADER, MessageKind, Notification};

/// A running peer. Dropping the handle stops the peer as [`Cease::Deconfigured`].
#[derive(Debug)]
pub struct PeerHandle {
    pub(super) control: Arc<Control>,
    pub(super) status: watch::Receiver<PeerStatus>,
}

impl PeerHandle {
    /// The owner's name for the peer.
    pub fn key(&self) -> PeerKey {
        self.control.key
    }

    /// Ends the peer for good; [`PeerHandle::stopped`] waits until that is done. The first call decides how. Connections
    /// of its address are not taken any more.
    pub fn stop(&self, how: Stop) {
        drop(self.control.place().take());
        self.control.change(|commands| {
            commands.stop.get_or_insert(how);
        });
    }

    /// Closes the session; it is re-established.
    pub fn reset(&self, cause: Cease) {
        self.control.change(|commands| commands.reset = Some(cause));
    }

    /// Says in which state the peer's BFD session is: at each change, and at first as soon as it is known. The latest
    /// counts. Has no effect without [`Config::bfd`](crate::fsm::Config::bfd).
    pub fn bfd(&self, state: BfdState) {
        self.control.change(|commands| commands.bfd = Some(state));
    }

    /// Applies new settings. The session is closed only if [`PeerSettings::needs_reset`] requires it; otherwise they
    /// apply from the next session on.
    ///
    /// # Errors
    ///
    /// The TCP MD5 key cannot be set at the listener. The peer is stopped: it must not go on without.
    pub fn reconfigure(&self, settings: PeerSettings) -> Result<(), KeyError> {
        let mut place = self.control.place();
        let changed = place
            .as_mut()
            .map(|place| place.change(&settings, &self.control));
        drop(place);
        if let Some(Err(error)) = changed {
            self.stop(Stop::Cease(Cease::ConfigurationChange));
            return Err(error);
        }
        self.control.change(|commands| {
            // It may have been judged by the previous settings. The peer reconnects.
            commands.accepted = None;
            commands.reconfigure = Some(settings);
        });
        Ok(())
    }

    /// Asks the peer for its routes again, in every negotiated family (RFC 2918). Nothing happens without a session, or
    /// if the peer does not know ROUTE-REFRESH, which [`Negotiated::route_refresh`] says.
    pub fn request_refresh(&self) {
        self.control.change(|commands| commands.refresh = true);
    }

    /// Gives the peer a connection that the listener accepted from a range of addresses, unless it is not as the peer's
    /// own must be.
    pub fn accept(&self, candidate: Candidate) {
        let place = self.control.place();
        let admitted = match place.as_ref() {
            Some(place) => place.admit(&candidate),
            None => Err(Refusal::Blocked),
        };
        drop(place);
        match admitted {
            Ok(()) => self.control.accept(candidate.into_accepted()),
            Err(why) => candidate.refuse(why),
        }
    }

    /// What the peer does at this moment.
    pub fn status(&self) -> PeerStatus {
        self.status.borrow().clone()
    }

    /// Follows the status. Every change of state is seen or overtaken by a later one.
    pub fn watch(&self) -> watch::Receiver<PeerStatus> {
        self.status.clone()
    }

    /// Messages since the peer was spawned.
    pub fn counters(&self) -> Counters {
        self.control.counters.snapshot()
    }

    /// Whether the peer's task runs: it has not been stopped, and has not panicked.
    pub fn is_running(&self) -> bool {
        // The sender lives as long as the peer's task.
        self.status.has_changed().is_ok()
    }

    /// Waits until a stopped peer has said its last word and closed its sockets.
    pub async fn stopped(&self) {
        let mut status = self.status.clone();
        // The sender lives as long as the peer's task.
        while status.changed().await.is_ok() {}
    }
}

impl Drop for PeerHandle {
    fn drop(&mut self) {
        self.stop(Stop::Cease(Cease::Deconfigured));
    }
}

/// A peer at one moment.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// When the peer is dialled next, while it waits for that.
    pub next_attempt: Option<Instant>,
    /// Why, and until when, the peer is held Idle: it is not dialled, and the connections that it dials are refused.
    pub idle_hold: Option<IdleHold>,
    /// Our end of the connection whose OPENs are agreed and that waits for BFD (strict mode).
    pub awaits_bfd: Option<SocketAddr>,
    /// The session, while Established.
    pub session: Option<SessionStatus>,
    /// How many sessions were Established so far.
    pub sessions: u64,
    /// How many of them fell, by the kind of reason.
    pub downs: BTreeMap<DownClass, u64>,
    /// The latest end of a session, or failure of an attempt, and when.
    pub last_down: Option<(Instant, Down)>,
    /// Why the latest attempt to dial failed, and when.
    pub last_connect_error: Option<(Instant, Arc<OsError>)>,
    /// The latest NOTIFICATION we sent, and when.
    pub last_sent: Option<(Instant, Notification)>,
    /// The latest NOTIFICATION we received, and when.
    pub last_received: Option<(Instant, Notification)>,
}

/// An Established session.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// Its name in events.
    pub session: SessionId,
    /// What the two OPENs agreed on.
    pub negotiated: Arc<Negotiated>,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Whether we dialled.
    pub dialled: bool,
    pub(super) outbox: Outbox,
}

impl SessionStatus {
    /// Octets that wait to be written to the peer at this moment.
    pub fn output_queue(&self) -> usize {
        self.outbox.waiting()
    }
}

/// Messages by kind, in both directions. Counts since the peer was spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    received: [u64; KINDS.len()],
    sent: [u64; KINDS.len()],
    /// Octets of messages received.
    pub octets_received: u64,
    /// Octets written to sockets.
    pub octets_sent: u64,
    /// UPDATEs with faults that were dealt with and did not end the session (RFC 7606).
    pub updates_malformed: u64,
    /// Attributes in UPDATEs that the peer's filter was applied to, see
    /// [`SessionConfig::attribute_filter`](crate::settings::SessionConfig::attribute_filter).
    pub attributes_filtered: u64,
}

/// Every kind, in the order of the counters.
const KINDS: [MessageKind; 5] = [
    MessageKind::Open,
    MessageKind::Update,
    MessageKind::Notification,
    MessageKind::Keepalive,
    MessageKind::RouteRefresh,
];

const fn index(kind: MessageKind) -> usize {
    match kind {
        MessageKind::Open => 0,
        MessageKind::Update => 1,
        MessageKind::Notification => 2,
        MessageKind::Keepalive => 3,
        MessageKind::RouteRefresh => 4,
    }
}

impl Counters {
    /// Messages of this kind that came.
    pub fn received(&self, kind: MessageKind) -> u64 {
        self.received[index(kind)]
    }

    /// Messages of this kind that went out.
    pub fn sent(&self, kind: MessageKind) -> u64 {
        self.sent[index(kind)]
    }

    /// Every kind with how many came and how many went out.
    pub fn by_kind(&self) -> impl Iterator<Item = (MessageKind, u64, u64)> + '_ {
        KINDS
            .into_iter()
            .map(|kind| (kind, self.received(kind), self.sent(kind)))
    }
}

/// The counters that tasks update. Relaxed: they are independent of each other.
#[derive(Debug, Default)]
pub(super) struct LiveCounters {
    received: [AtomicU64; KINDS.len()],
    sent: [AtomicU64; KINDS.len()],
    octets_received: AtomicU64,
    octets_sent: AtomicU64,
    updates_malformed: AtomicU64,
    attributes_filtered: AtomicU64,
}

impl LiveCounters {
    pub(super) fn received(&self, kind: MessageKind, octets: usize) {
        self.received[index(kind)].fetch_add(1, Ordering::Relaxed);
        self.octets_received
            .fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Counts the whole messages in `octets`, which a writer is about to send.
    pub(super) fn sent(&self, mut octets: &[u8]) {
        while let [.., kind] = octets.get(..HEADER).unwrap_or_default()
            && let Some(kind) = MessageKind::from_octet(*kind)
        {
            self.sent[index(kind)].fetch_add(1, Ordering::Relaxed);
            let length = usize::from(u16::from_be_bytes([octets[16], octets[17]]));
            octets = octets.get(length.max(HEADER)..).unwrap_or_default();
        }
    }

    pub(super) fn malformed(&self) {
        self.updates_malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn filtered(&self, attributes: u32) {
        self.attributes_filtered
            .fetch_add(attributes.into(), Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, octets: usize) {
        self.octets_sent.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Counters {
        let load = |counters: &[AtomicU64; KINDS.len()]| {
            std::array::from_fn(|at| counters[at].load(Ordering::Relaxed))
        };
        Counters {
            received: load(&self.received),
            sent: load(&self.sent),
            octets_received: self.octets_received.load(Ordering::Relaxed),
            octets_sent: self.octets_sent.load(Ordering::Relaxed),
            updates_malformed: self.updates_malformed.load(Ordering::Relaxed),
            attributes_filtered: self.attributes_filtered.load(Ordering::Relaxed),
        }
    }
}

/// What the handle and the listener share with the peer's task. Bounded by its shape: the latest command of each kind.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) key: PeerKey,
    commands: Mutex<Commands>,
    changed: Notify,
    pub(super) counters: LiveCounters,
    /// Its expected source address, until it is stopped.
    place: Mutex<Option<Place>>,
    /// Connections that may linger after their end, for the peer to read our last words.
    pub(super) farewells: Semaphore,
}

/// Connections of one peer that may linger, each for a few seconds. Further ones are closed at once: a peer that ends
/// several connections a second does not read what is sent to it.
const FAREWELLS: usize = 4;

/// Commands for the peer's task. A connection that arrives before the last one was processed replaces it: the peer has
/// abandoned that one.
#[derive(Debug, Default)]
pub(super) struct Commands {
    pub(super) stop: Option<Stop>,
    pub(super) reset: Option<Cease>,
    pub(super) bfd: Option<BfdState>,
    pub(super) refresh: bool,
    pub(super) reconfigure: Option<PeerSettings>,
    pub(super) accepted: Option<Accepted>,
}

impl Control {
    pub(super) fn new(key: PeerKey) -> Self {
        Self {
            key,
            commands: Mutex::default(),
            changed: Notify::new(),
            counters: LiveCounters::default(),
            place: Mutex::default(),
            farewells: Semaphore::new(FAREWELLS),
        }
    }

    pub(super) fn accept(&self, accepted: Accepted) {
        let mut before = None;
        self.change(|commands| before = commands.accepted.replace(accepted));
        if let Some(before) = before {
            before.refuse(Refusal::TooOften);
        }
    }

    pub(super) fn place(&self) -> MutexGuard<'_, Option<Place>> {
        // A place is whole at every moment.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there may be commands, then those. Empty ones are possible.
    pub(super) async fn commands(&self) -> Commands {
        self.changed.notified().await;
        std::mem::take(&mut *self.lock())
    }

    fn change(&self, change: impl FnOnce(&mut Commands)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Commands> {
        // Commands are whole at every moment: a panicking thread leaves none half written.
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
