//! The RIB as its owner sees it: inputs and a `now` in, bytes for peers, changes for the FIB and events out.

mod config;

pub use config::{FibNextHop, FibRoute, Multipath, PeerCounts, RibConfig, RibEvent};

use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::Down;
use bgp::types::Family;
use bgp::wire::{RouteRefresh, Update};
use ipnet::IpNet;

use crate::attrs::NextHopResolver;
use crate::originate::Originated;
use crate::peer::{PeerConfig, PeerId, SessionInfo};
use crate::transport::Transport;

/// The routing information bases of one speaker.
pub struct Rib {
    config: RibConfig,
}

/// The signatures that the runtime builds on; the bodies follow.
#[allow(unused_variables, clippy::needless_pass_by_ref_mut)]
impl Rib {
    /// An empty RIB with the gate closed.
    pub fn new(config: RibConfig) -> Self {
        Self { config }
    }

    /// Changes how this speaker decides. No session falls for it.
    pub fn set_config(&mut self, config: RibConfig) {
        self.config = config;
    }

    /// Gives the answers of the node's routing table about next hops. Called whenever that table changed: only routes whose
    /// next hops are answered differently are looked at again, in later polls.
    pub fn next_hops_changed(&mut self, resolver: Arc<dyn NextHopResolver>) {}

    /// Adds or changes a peer. Changed policies are run again on what was received and what was sent, in later polls.
    pub fn set_peer(&mut self, peer: PeerId, config: PeerConfig) {}

    /// Removes a peer and all that it sent. The number may be used again at once.
    pub fn remove_peer(&mut self, peer: PeerId) {}

    /// Replaces everything this node originates; the difference is acted on.
    pub fn set_originated(&mut self, originated: Vec<Originated>) {}

    /// Opens the start gate: from now on routes and End-of-RIB are sent.
    pub fn open_gate(&mut self, now: Instant) {}

    /// A session reached Established. The peer must be configured.
    pub fn session_up(&mut self, peer: PeerId, session: SessionInfo, now: Instant) {}

    /// A session fell. Whether what it brought is kept for a restart follows from the reason and what was negotiated
    /// (RFC 4724, RFC 8538, RFC 9494).
    pub fn session_down(&mut self, peer: PeerId, down: &Down, now: Instant) {}

    /// An UPDATE arrived on an Established session.
    pub fn update(&mut self, peer: PeerId, update: &Update, now: Instant) {}

    /// A ROUTE-REFRESH arrived: a request, or the borders of one (RFC 2918, RFC 7313).
    pub fn route_refresh(&mut self, peer: PeerId, message: RouteRefresh, now: Instant) {}

    /// The peer's writer has room again.
    pub fn writable(&mut self, peer: PeerId) {}

    /// When [`Rib::poll`] must be called at the latest, even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Does what is to be done: timers, long walks, bytes for peers. Looks at no more than about `steps` table places and
    /// staged routes, so it returns soon (10,000 steps are some milliseconds at most). Returns whether there is more to do
    /// now.
    pub fn poll(&mut self, now: Instant, steps: usize, transport: &mut impl Transport) -> bool {
        false
    }

    /// Hands out at most `max` changes for the FIB; the latest state of each prefix only. `None`: not wanted any more.
    /// Returns how many there were; less than `max` means that there are no more now.
    pub fn take_fib_changes(
        &mut self,
        max: usize,
        mut each: impl FnMut(IpNet, Option<FibRoute>),
    ) -> usize {
        0
    }

    /// Marks every prefix that the FIB should hold as changed, for a FIB that lost its own state.
    pub fn resend_fib(&mut self) {}

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<RibEvent> {
        Vec::new()
    }

    /// Whether every configured peer is up and sent its End-of-RIB of all families, or was waited for long enough. Once
    /// true it stays true.
    pub fn converged(&self) -> bool {
        false
    }

    /// Counts of a peer's routes.
    pub fn counts(&self, peer: PeerId, family: Family) -> PeerCounts {
        PeerCounts::default()
    }
}
