//! What the loop shares with those who show it: the latest intent, problems, gates and times.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use bgp::fsm::Cease;
use bgp::session::Admissions;
use rib::PeerId;
use routelet_base::vital::HungThreads;
use routelet_core::cluster::Snapshot;
use routelet_core::intent::Intent;
use routelet_core::peering::Run;

use super::gates::Gates;
use super::peers::{PeerTable, PeerView};

/// See the module.
pub(crate) struct Shared {
    /// Where the cluster's state comes from, in words.
    pub(crate) source: String,
    /// What must be open before routes are advertised: those of Services, or all.
    pub(crate) gates: Arc<Gates>,
    /// What does not get on, and should.
    pub(crate) hanging: HungThreads,
    /// When the process started.
    pub(crate) started: Instant,
    /// The peers of the moment.
    pub(crate) peers: PeerTable,
    /// What the listener let in and what not.
    pub(crate) admissions: Arc<Admissions>,
    loaded: ArcSwap<Snapshot>,
    intent: ArcSwap<Intent>,
    listening: ArcSwap<Vec<SocketAddr>>,
    listen_error: ArcSwapOption<String>,
    unwritten: ArcSwapOption<String>,
    converged: AtomicBool,
    returning: AtomicBool,
    runs: AtomicU64,
    changed: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(
        source: String,
        gates: Arc<Gates>,
        started: Instant,
        (peers, admissions): (PeerTable, Arc<Admissions>),
        loaded: Snapshot,
        intent: Arc<Intent>,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            gates,
            hanging: HungThreads::default(),
            started,
            peers,
            admissions,
            loaded: ArcSwap::from_pointee(loaded),
            intent: ArcSwap::new(intent),
            listening: ArcSwap::default(),
            listen_error: ArcSwapOption::empty(),
            unwritten: ArcSwapOption::empty(),
            converged: AtomicBool::new(false),
            returning: AtomicBool::new(false),
            runs: AtomicU64::new(1),
            changed: Mutex::new(None),
        })
    }

    /// What was read last.
    pub(crate) fn loaded(&self) -> Arc<Snapshot> {
        self.loaded.load_full()
    }

    /// What is acted on.
    pub(crate) fn intent(&self) -> Arc<Intent> {
        self.intent.load_full()
    }

    /// Where connections are accepted.
    pub(crate) fn listening(&self) -> Arc<Vec<SocketAddr>> {
        self.listening.load_full()
    }

    /// Why they are not accepted as configured.
    pub(crate) fn listen_error(&self) -> Option<Arc<String>> {
        self.listen_error.load_full()
    }

    /// Why nothing is written to the kernel that should be.
    pub(crate) fn unwritten(&self) -> Option<Arc<String>> {
        self.unwritten.load_full()
    }

    /// Whether the first exchange is over.
    pub(crate) fn has_converged(&self) -> bool {
        self.converged.load(Ordering::Relaxed)
    }

    /// Whether convergence waits for peers that are not configured and had announced the stale routes in the kernel.
    pub(crate) fn awaits_returning(&self) -> bool {
        self.returning.load(Ordering::Relaxed)
    }

    /// How often an intent was computed, and when one differed last.
    pub(crate) fn runs(&self) -> (u64, Option<Instant>) {
        let changed = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        (self.runs.load(Ordering::Relaxed), changed)
    }

    /// A peer by its number.
    pub(crate) fn peer(&self, id: PeerId) -> Option<PeerView> {
        self.peers.by_id(id)
    }

    /// The name of a peer, or its number if it has just gone.
    pub(crate) fn peer_name(&self, id: PeerId) -> String {
        self.peer(id)
            .map_or_else(|| format!("#{}", id.0), |peer| peer.intent.name.clone())
    }

    /// Ends a peer's session; it comes back by itself.
    pub(crate) fn reset(&self, id: PeerId, cause: Cease) {
        if let Some(PeerView {
            run: Run::Running(handle),
            ..
        }) = self.peer(id)
        {
            handle.reset(cause);
        }
    }

    pub(super) fn set_loaded(&self, loaded: Snapshot) {
        self.loaded.store(Arc::new(loaded));
    }

    pub(super) fn computed(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn applied(&self, intent: Arc<Intent>, listening: Vec<SocketAddr>) {
        self.intent.store(intent);
        self.set_listening(listening);
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn set_listening(&self, listening: Vec<SocketAddr>) {
        self.listening.store(Arc::new(listening));
    }

    pub(super) fn set_listen_error(&self, error: Option<String>) {
        self.listen_error.store(error.map(Arc::new));
    }

    /// Returns why, if it is a new reason.
    pub(super) fn set_unwritten(&self, why: Option<String>) -> Option<String> {
        let before = self.unwritten();
        if before.as_deref() == why.as_ref() {
            return None;
        }
        self.unwritten.store(why.clone().map(Arc::new));
        why
    }

    pub(super) fn set_returning(&self, returning: bool) {
        self.returning.store(returning, Ordering::Relaxed);
    }

    pub(super) fn converged(&self) {
        self.converged.store(true, Ordering::Relaxed);
    }
}
