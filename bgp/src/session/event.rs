//! Events for the owner of the routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Outbox, Turn};
use crate::fsm::{Down, Negotiated};
use crate::wire::{RouteRefresh, UpdateBatch};

/// The owner's name for a peer: what it gave to [`super::spawn`]. No two live peers have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

/// One Established session of this process. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What happened on a session. In order per session; `Established` is its first, `Down` its last.
#[derive(Debug)]
pub enum Event {
    /// A session is established.
    Established {
        /// Whose.
        peer: PeerKey,
        /// Its name in all further events.
        session: SessionId,
        /// What the two OPENs agreed on.
        negotiated: Arc<Negotiated>,
        /// The queue of messages to the peer.
        outbox: Outbox,
        /// Our end of the TCP connection.
        local: SocketAddr,
        /// The peer's end; of a link-local peer with its scope.
        remote: SocketAddr,
    },
    /// What UPDATEs said, in the order of the wire. Never empty; about 1,024 prefixes or 64 KiB of the stream at most.
    Updates {
        /// Whose.
        peer: PeerKey,
        /// On which session.
        session: SessionId,
        /// Their faults (RFC 7606) have been applied; none of them asks for a reset.
        updates: UpdateBatch,
        /// Until it is dropped, the session has a batch less that may wait.
        turn: Turn,
    },
    /// The peer requests routes again, or marks the begin or end of a refresh.
    RouteRefresh {
        /// Whose.
        peer: PeerKey,
        /// On which session.
        session: SessionId,
        /// What it says.
        refresh: RouteRefresh,
    },
    /// The outbox refused something before and has drained now: go on sending.
    Writable {
        /// Whose.
        peer: PeerKey,
        /// On which session.
        session: SessionId,
    },
    /// The session is over.
    Down {
        /// Whose.
        peer: PeerKey,
        /// Which one.
        session: SessionId,
        /// Why. [`Down::retains_routes`] says whether its routes are kept as stale.
        reason: Down,
    },
}

impl Event {
    /// Whose event it is, and of which session.
    pub fn source(&self) -> (PeerKey, SessionId) {
        match *self {
            Self::Established { peer, session, .. }
            | Self::Updates { peer, session, .. }
            | Self::RouteRefresh { peer, session, .. }
            | Self::Writable { peer, session }
            | Self::Down { peer, session, .. } => (peer, session),
        }
    }
}
