//! The peers of the moment, by number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bgp::session::{PeerHandle, PeerStatus};
use rib::PeerId;

use routelet_core::bfd::Shown;
use routelet_core::intent::PeerIntent;
use routelet_core::peering::{Run, SessionFacts, has_place};

/// A peer as commands, metrics and notices see it.
#[derive(Clone)]
pub(crate) struct PeerView {
    /// Its number.
    pub(crate) id: PeerId,
    /// What the intent says; of a dynamic peer that of its range, under its own name and address.
    pub(crate) intent: Arc<PeerIntent>,
    /// Its session, or why it cannot be started.
    pub(crate) run: Run<Arc<PeerHandle>>,
    /// Whether it is not forgotten, and has its place, only because graceful restart keeps its routes. Of dynamic ones.
    pub(crate) keeps_routes: bool,
    /// Its BFD session; `None`: it has no BFD.
    pub(crate) bfd: Option<Shown>,
}

impl PeerView {
    /// Whether a dynamic peer counts for its range.
    pub(crate) fn takes_place(&self) -> bool {
        self.run.running().is_some_and(|handle| {
            has_place(&facts(&handle.status()), self.keeps_routes, Instant::now())
        })
    }
}

/// What counts of a session for what is decided of its peer.
pub(super) fn facts(status: &PeerStatus) -> SessionFacts {
    SessionFacts {
        state: status.state,
        since: status.since,
        sessions: status.sessions,
        is_held: status.idle_hold.is_some(),
        awaits_bfd: status.awaits_bfd.is_some(),
    }
}

/// All peers, shared between who runs them and those who show them.
#[derive(Clone, Default)]
pub(crate) struct PeerTable(Arc<Mutex<BTreeMap<PeerId, PeerView>>>);

impl PeerTable {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<PeerId, PeerView>> {
        // Entries are whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of it, by name.
    pub(crate) fn all(&self) -> BTreeMap<String, PeerView> {
        let table = self.locked();
        let named = |peer: &PeerView| (peer.intent.name.clone(), peer.clone());
        table.values().map(named).collect()
    }

    /// The peer with this number.
    pub(crate) fn by_id(&self, id: PeerId) -> Option<PeerView> {
        self.locked().get(&id).cloned()
    }

    /// Adds a peer, or replaces it.
    pub(super) fn put(&self, peer: PeerView) {
        self.locked().insert(peer.id, peer);
    }

    pub(super) fn remove(&self, id: PeerId) {
        self.locked().remove(&id);
    }
}
