//! The RIB as its owner sees it: inputs and a `now` in, bytes for peers, changes for the FIB and events out.
//!
//! Inputs change the tables at once if that is little work, and otherwise leave it to [`Rib::poll`]. Output is read
//! from the current state when it is taken: a prefix that changes ten times before the FIB or a slow peer is ready is
//! sent once.

mod config;
mod convergence;
mod memory;
#[cfg(any(test, feature = "fuzz"))]
#[allow(clippy::disallowed_methods)]
pub(crate) mod model;
mod poll;
mod query;
mod sessions;
mod tables;
#[cfg(test)]
mod tests;
mod updates;

pub use config::{FibNextHop, FibRoute, Multipath, PeerCounts, RibConfig, RibEvent, Totals};
pub use convergence::Expected;
pub use query::{RouteFilter, RoutesCursor};
pub use updates::is_news;

use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::Negotiated;
use bgp::types::RoutePrefix;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::convergence::{Awaited, Start};
use self::tables::{Tables, each_table, family_of};
use self::updates::NEWS;
use crate::attrs::{AttrInterner, NextHopResolver};
use crate::export::{SourcePeer, UpdateGroups};
use crate::originate::Originated;
use crate::peer::{PeerConfig, PeerId};
use crate::policy::Chain;
use crate::table::{Options, Table};

/// A configured peer.
struct Peer {
    config: PeerConfig,
    /// Its import policies.
    chain: Arc<Chain>,
    session: Option<Up>,
    /// Whether the start waits for it while it has no session.
    is_awaited: bool,
}

/// An Established session.
struct Up {
    negotiated: Arc<Negotiated>,
    awaited: Awaited,
    /// That the peer exceeds its memory limit was reported.
    over_memory: bool,
}

/// The routing information bases of one speaker.
pub struct Rib {
    config: RibConfig,
    attrs: AttrInterner,
    tables: Tables,
    peers: HashMap<PeerId, Peer, RandomState>,
    /// Who paths in the tables are from, gone peers included until their paths are removed.
    known: HashMap<PeerId, SourcePeer, RandomState>,
    groups: UpdateGroups,
    start: Start,
    events: Vec<RibEvent>,
    peer_memory: Option<u64>,
    recount: Recount,
}

/// When the next hops of peers are counted again to which one was refused.
#[derive(Clone, Copy, Debug, Default)]
enum Recount {
    /// None was.
    #[default]
    Never,
    /// Then.
    At(Instant),
    /// Their paths are being visited.
    UnderWay,
}

fn options(config: &RibConfig) -> Options {
    Options {
        always_compare_med: config.always_compare_med,
        max_paths: config.multipath.max_paths.max(1),
        relax_as_path: config.multipath.relax_as_path,
    }
}

impl Rib {
    /// An empty RIB with the gate closed.
    pub fn new(config: RibConfig) -> Self {
        let mut groups = UpdateGroups::new();
        groups.set_cluster_id(config.cluster_id);
        Self {
            attrs: AttrInterner::new(config.identity()),
            tables: Tables {
                v4: Table::new(options(&config)),
                v6: Table::new(options(&config)),
            },
            config,
            peers: HashMap::default(),
            known: HashMap::default(),
            groups,
            start: Start::default(),
            events: Vec::new(),
            peer_memory: None,
            recount: Recount::default(),
        }
    }

    /// How this speaker decides.
    pub fn config(&self) -> &RibConfig {
        &self.config
    }

    /// Changes how this speaker decides. No session falls for it.
    pub fn set_config(&mut self, config: RibConfig) {
        let identity = config.identity() != self.config.identity();
        self.config = config;
        self.attrs.set_identity(self.config.identity());
        self.groups.set_cluster_id(self.config.cluster_id);
        let options = options(&self.config);
        each_table!(self.tables, |table| table.reconfigure(options, identity));
        self.note_changes();
    }

    /// Sets the resolver of next hops, from the node's routing table. Called whenever that table changed: only routes
    /// whose next hops resolve differently are evaluated again, in later polls; with many next hops, resolving is left
    /// to these too. The resolver is kept for later next hops, so it should be a snapshot.
    pub fn next_hops_changed(&mut self, resolver: Arc<dyn NextHopResolver>) {
        self.attrs.next_hops.set_resolver(resolver);
        self.walk_next_hops(AT_ONCE);
    }

    /// Adds or changes a peer. Changed policies are run again on what was received and what was sent, in later polls.
    pub fn set_peer(&mut self, peer: PeerId, config: PeerConfig) {
        let chain = Arc::new(Chain::new(&config.import));
        let Some(known) = self.peers.get_mut(&peer) else {
            self.peers.insert(
                peer,
                Peer {
                    config,
                    chain,
                    session: None,
                    is_awaited: true,
                },
            );
            return;
        };
        if known.config == config {
            return;
        }
        known.config = config;
        known.chain = chain;
        if let Some(source) = self.known.get_mut(&peer) {
            source.kind = known.config.kind;
        }
        each_table!(self.tables, |table| {
            table.change_contexts(peer, |context| {
                context.with_config(&known.config, Arc::clone(&known.chain))
            });
        });
        self.groups.configure(peer, &known.config);
        self.note_changes();
    }

    /// The peer is not configured individually, and may be any host. Nothing waits for it before its first session.
    pub fn set_unexpected(&mut self, peer: PeerId) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.is_awaited = known.session.is_some();
        }
    }

    /// Removes a peer and all that it sent. The number may be used again at once.
    pub fn remove_peer(&mut self, peer: PeerId) {
        if self.peers.remove(&peer).is_none() {
            return;
        }
        self.groups.peer_down(peer);
        each_table!(self.tables, |table| table.session_down(peer, None, None));
        self.lose_next_hops(peer);
    }

    /// Replaces everything this node originates; the difference is acted on.
    pub fn set_originated(&mut self, originated: Vec<Originated>) {
        let (attrs, tables) = (&mut self.attrs, &mut self.tables);
        each_table!(tables, |table| {
            let of_family = originated
                .iter()
                .filter_map(|o| Some((RoutePrefix::from_net(o.prefix)?, o.clone())));
            table.set_originated(of_family, attrs);
        });
        self.note_changes();
    }

    /// Changes what this node originates, prefix by prefix; `None`: no more. Each prefix may stand there once.
    pub fn change_originated(&mut self, changes: Vec<(ipnet::IpNet, Option<Originated>)>) {
        let (attrs, tables) = (&mut self.attrs, &mut self.tables);
        each_table!(tables, |table| {
            let of_family = changes
                .iter()
                .filter_map(|(prefix, o)| Some((RoutePrefix::from_net(*prefix)?, o.clone())));
            table.change_originated(of_family, attrs);
        });
        match changes.len() <= NEWS {
            true => self.note_news(),
            false => self.note_changes(),
        }
    }

    /// Opens the start gate: from now on routes are sent, and End-of-RIB unless [`Rib::hold_end_of_rib`] says otherwise.
    pub fn open_gate(&mut self, now: Instant) {
        if self.start.opened.is_none() {
            self.start.opened = Some(now);
            self.groups.open_gate();
        }
    }

    /// Whether End-of-RIB is deferred because more originated routes are expected (RFC 4724 section 4.1). Initially it
    /// is not. Waiting for learned routes is decided by the RIB: see `convergence`.
    pub const fn hold_end_of_rib(&mut self, hold: bool) {
        self.groups.hold_end_of_rib(hold);
    }

    /// Processes up to `looks` pending next hops. Returns the number processed.
    fn walk_next_hops(&mut self, looks: usize) -> usize {
        let next_hops = &mut self.attrs.next_hops;
        let looked_at = next_hops.walk(looks);
        if let Some(changed) = next_hops.take_changed() {
            each_table!(self.tables, |table| table.next_hops_changed(&changed));
        }
        self.note_ways();
        looked_at
    }

    /// Reports lost gateways, and then those that are used again.
    fn note_ways(&mut self) {
        let lost = self.attrs.next_hops.take_lost();
        if !lost.is_empty() {
            self.events.push(RibEvent::NextHopsLost(lost));
        }
        let regained = self.attrs.next_hops.take_regained();
        if !regained.is_empty() {
            self.events.push(RibEvent::NextHopsRegained(regained));
        }
    }

    /// Runs the import policies of a peer again on all that it sent, in later polls, and sends it everything again. Needed
    /// after no change of ours: for people who want to be sure.
    pub fn soft_reset(&mut self, peer: PeerId) {
        each_table!(self.tables, |table| {
            table.import_all(peer);
            self.groups.refresh(peer, family_of(table));
        });
    }

    /// How many generations of IPv4 routes there are, those included that are being removed.
    #[cfg(test)]
    pub(crate) fn generations(&self) -> usize {
        self.tables.v4.generation_count()
    }

    /// The peer's writer has space again.
    pub fn writable(&mut self, peer: PeerId) {
        self.groups.writable(peer);
    }
}

/// The number of next hops processed at once; polls continue with the rest.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 2_000 };
