//! The peers of the moment, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bgp::session::PeerHandle;
use rib::PeerId;

use routelet_core::intent::PeerIntent;

/// A peer as commands, metrics and notices see it.
#[derive(Clone)]
pub(crate) struct PeerView {
    /// Its number.
    pub(crate) id: PeerId,
    /// What the intent says; of a dynamic peer that of its range, under its own name and address.
    pub(crate) intent: Arc<PeerIntent>,
    /// Its session, or why it cannot be started.
    pub(crate) run: RunState,
    /// Whether it is not forgotten, and has its place, only because graceful restart keeps its routes. Of dynamic ones.
    pub(crate) keeps_routes: bool,
}

impl PeerView {
    /// Whether it came out of a listen range.
    pub(super) fn is_dynamic(&self) -> bool {
        self.intent.requested_by.range().is_some()
    }
}

/// Whether a peer runs.
#[derive(Clone)]
pub(crate) enum RunState {
    /// Its task runs.
    Running(Arc<PeerHandle>),
    /// It cannot be started for this reason.
    Blocked(String),
    /// A listen range: its peers come by themselves.
    Range,
}

/// All peers, shared between who runs them and those who show them.
#[derive(Clone, Default)]
pub(crate) struct PeerTable(Arc<Mutex<BTreeMap<String, PeerView>>>);

impl PeerTable {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, PeerView>> {
        // Entries are whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of it.
    pub(crate) fn all(&self) -> BTreeMap<String, PeerView> {
        self.locked().clone()
    }

    /// The peer of this name.
    pub(crate) fn get(&self, name: &str) -> Option<PeerView> {
        self.locked().get(name).cloned()
    }

    /// The peer with this number.
    pub(crate) fn by_id(&self, id: PeerId) -> Option<PeerView> {
        self.locked().values().find(|peer| peer.id == id).cloned()
    }

    /// Those that came out of a listen range.
    pub(super) fn dynamic(&self, range: &str) -> Vec<PeerView> {
        let table = self.locked();
        let is_of_range = |peer: &&PeerView| peer.intent.requested_by.range() == Some(range);
        table.values().filter(is_of_range).cloned().collect()
    }

    /// Adds a peer under the name in its intent, or replaces it.
    pub(super) fn put(&self, peer: PeerView) {
        self.locked().insert(peer.intent.name.clone(), peer);
    }

    pub(super) fn remove(&self, name: &str) {
        self.locked().remove(name);
    }
}
