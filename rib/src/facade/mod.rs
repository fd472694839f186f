//! The RIB as its owner sees it: inputs and a `now` in, bytes for peers, changes for the FIB and events out.
//!
//! Inputs change the tables at once where that is little work, and leave a note for [`Rib::poll`] where it is much. All
//! that goes out is read from the newest state when it is taken: a prefix that changes ten times before the FIB or a slow
//! peer is ready is told once.

mod config;
mod convergence;
mod memory;
#[cfg(any(test, feature = "fuzz"))]
#[allow(clippy::disallowed_methods)]
pub(crate) mod model;
mod poll;
mod query;
#[cfg(test)]
mod tests;

pub use config::{FibNextHop, FibRoute, Multipath, PeerCounts, RibConfig, RibEvent, Totals};
pub use convergence::Expected;
pub use query::{RouteFilter, RoutesCursor};

use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Down, Negotiated};
use bgp::types::{Family, RoutePrefix};
use bgp::wire::{BatchPart, RouteRefresh, RouteRefreshSubtype, Routes, UpdateBatch};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::{Ipv4Net, Ipv6Net};

use self::convergence::{Awaited, Start};
use crate::attrs::{AttrInterner, NextHopResolver};
use crate::export::{SourcePeer, UpdateGroups};
use crate::originate::Originated;
use crate::peer::{PeerConfig, PeerId, SessionInfo};
use crate::policy::Chain;
use crate::table::{Options, Origin, Table};

/// The tables of all families.
struct Tables {
    v4: Table<Ipv4Net>,
    v6: Table<Ipv6Net>,
}

/// The same expression on the table of each family.
macro_rules! each_table {
    ($tables:expr, |$table:ident| $body:expr) => {{
        {
            let $table = &mut $tables.v4;
            $body
        }
        {
            let $table = &mut $tables.v6;
            $body
        }
    }};
}

/// An expression on the table of one family; nothing for families that are not routed.
macro_rules! table_of {
    ($tables:expr, $family:expr, |$table:ident| $body:expr) => {
        match $family {
            Family::IPV4_UNICAST => {
                let $table = &mut $tables.v4;
                $body
            }
            Family::IPV6_UNICAST => {
                let $table = &mut $tables.v6;
                $body
            }
            _ => {}
        }
    };
}

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
    /// It was told that the peer takes more memory than it may.
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
    /// Their paths are being looked at.
    UnderWay,
}

fn options(config: &RibConfig) -> Options {
    Options {
        always_compare_med: config.always_compare_med,
        max_paths: config.multipath.max_paths.max(1),
        relax_as_path: config.multipath.relax_as_path,
    }
}

/// How the announcement of a family in the graceful restart capabilities lets retained paths live on.
fn forwarding_kept(negotiated: &Negotiated, family: Family) -> bool {
    let restart = negotiated.graceful_restart.as_ref();
    restart.is_some_and(|restart| restart.families.contains(&(family, true)))
        || negotiated
            .long_lived
            .iter()
            .any(|long| long.family == family && long.forwarding)
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

    /// Gives the answers of the node's routing table about next hops. Called whenever that table changed: only routes whose
    /// next hops are answered differently are looked at again, in later polls, in which the resolver is asked about more than
    /// some next hops, too. It is kept for those that come later, so it is best a snapshot.
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
            table.change_origins(peer, |origin| {
                origin.with_config(&known.config, Arc::clone(&known.chain))
            });
        });
        self.groups.configure(peer, &known.config);
        self.note_changes();
    }

    /// Nobody configured this peer: it came by itself, and may be anybody. Before it has had a session nothing waits for it.
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

    /// Whether End-of-RIB is kept back since more of what this node originates is still to come (RFC 4724 section 4.1). At
    /// first it is not. That it waits for learned routes, the RIB sees by itself: see `convergence`.
    pub const fn hold_end_of_rib(&mut self, hold: bool) {
        self.groups.hold_end_of_rib(hold);
    }

    /// A session reached Established. A peer that is not configured is ignored.
    pub fn session_up(&mut self, peer: PeerId, session: SessionInfo, now: Instant) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let negotiated = &session.negotiated;
        let deadline = now + self.config.end_of_rib_wait;
        each_table!(self.tables, |table| {
            let family = family_of(table);
            if negotiated.families.contains(&family) {
                let origin = Origin::new(peer, &known.config, Arc::clone(&known.chain), &session);
                let resume = forwarding_kept(negotiated, family).then_some(deadline);
                table.session_up(origin, resume);
            } else {
                table.session_down(peer, None, None);
            }
        });
        known.session = Some(Up {
            negotiated: Arc::clone(negotiated),
            awaited: Awaited::new(negotiated, now),
            over_memory: false,
        });
        known.is_awaited = true;
        let source = SourcePeer {
            kind: known.config.kind,
            identifier: negotiated.peer_id,
        };
        self.known.insert(peer, source);
        self.groups.peer_up(peer, &known.config, &session);
        self.note_changes();
    }

    /// The surroundings of an Established session are other ones than at [`Rib::session_up`]: our own next hops, its interface.
    /// What was negotiated is not. Routes are advertised anew where that makes a difference, and none is withdrawn for it
    /// that still has a next hop. Ignored if the session is not up.
    pub fn session_changed(&mut self, peer: PeerId, session: &SessionInfo) {
        let Some(known) = self.peers.get(&peer).filter(|p| p.session.is_some()) else {
            return;
        };
        each_table!(self.tables, |table| {
            table.change_origins(peer, |_| {
                Origin::new(peer, &known.config, Arc::clone(&known.chain), session)
            });
        });
        self.groups.session_changed(peer, session);
        self.note_changes();
    }

    /// A session fell. Whether what it brought is kept for a restart follows from the reason and what was negotiated
    /// (RFC 4724, RFC 8538, RFC 9494).
    pub fn session_down(&mut self, peer: PeerId, down: &Down, now: Instant) {
        let up = self
            .peers
            .get_mut(&peer)
            .and_then(|known| known.session.take());
        let Some(up) = up else {
            return;
        };
        self.groups.peer_down(peer);
        let retains = down.retains_routes(&up.negotiated);
        let restart = up.negotiated.graceful_restart.as_ref().filter(|_| retains);
        each_table!(self.tables, |table| {
            let family = family_of(table);
            let until = restart
                .filter(|restart| restart.families.iter().any(|(of, _)| *of == family))
                .map(|restart| now + Duration::from_secs(u64::from(restart.restart_time)));
            let long_lived = up
                .negotiated
                .long_lived
                .iter()
                .find(|long| long.family == family);
            let long_lived = long_lived
                .map(|long| Duration::from_secs(u64::from(long.stale_time)))
                .filter(|time| !time.is_zero());
            table.session_down(peer, until, long_lived);
        });
        self.lose_next_hops(peer);
    }

    /// Tells which ways out are lost with a peer of which no family's paths are kept.
    fn lose_next_hops(&mut self, peer: PeerId) {
        let mut kept = false;
        each_table!(self.tables, |table| kept |= table.source_of(peer).is_some());
        if kept {
            return;
        }
        self.attrs.next_hops.lose(peer);
        self.walk_next_hops(AT_ONCE);
    }

    /// Looks at up to so many next hops of those that are to be looked at. Returns how many it were.
    fn walk_next_hops(&mut self, looks: usize) -> usize {
        let next_hops = &mut self.attrs.next_hops;
        let looked_at = next_hops.walk(looks);
        if let Some(changed) = next_hops.take_changed() {
            each_table!(self.tables, |table| table.next_hops_changed(&changed));
        }
        self.note_ways();
        looked_at
    }

    /// Tells which ways out are lost, and then which of the lost ones are used again.
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

    /// UPDATEs arrived on an Established session.
    pub fn updates(&mut self, peer: PeerId, batch: &UpdateBatch) {
        let known = self.peers.get_mut(&peer);
        if let Some(up) = known.and_then(|known| known.session.as_mut()) {
            up.awaited.note_updates();
        }
        self.attrs.charge_to(Some(peer));
        let Tables { v4, v6 } = &self.tables;
        let (from4, from6) = (v4.intake(peer), v6.intake(peer));
        let ipv4 = v4.look_up(batch.ipv4(), &self.attrs);
        let ipv6 = v6.look_up(batch.ipv6(), &self.attrs);
        let mut sets = self.attrs.look_up(batch.sets()).into_iter();
        for part in batch.parts() {
            let (tables, attrs) = (&mut self.tables, &mut self.attrs);
            match part {
                BatchPart::Unreach(Routes::Ipv4(range)) => {
                    if let Some(from) = &from4 {
                        tables.v4.withdraw(from, ipv4.part(range), attrs);
                    }
                }
                BatchPart::Unreach(Routes::Ipv6(range)) => {
                    if let Some(from) = &from6 {
                        tables.v6.withdraw(from, ipv6.part(range), attrs);
                    }
                }
                BatchPart::Reach {
                    attributes,
                    next_hop,
                    routes,
                } => {
                    let attr = match sets.next() {
                        Some(place) => attrs.intern_looked_up(attributes, next_hop, place),
                        None => attrs.intern(attributes, next_hop),
                    };
                    match (routes, &from4, &from6) {
                        (Routes::Ipv4(range), Some(from), _) => {
                            tables.v4.announce(from, ipv4.part(range), attr, attrs);
                        }
                        (Routes::Ipv6(range), _, Some(from)) => {
                            tables.v6.announce(from, ipv6.part(range), attr, attrs);
                        }
                        // A family without a session of the peer: nothing of it is kept.
                        _ => {}
                    }
                    attrs.release(attr);
                }
                BatchPart::EndOfRib(family) => self.end_of_rib_arrived(peer, family),
            }
        }
        self.attrs.charge_to(None);
        self.check_memory(peer);
        self.note_ways();
        match is_news(batch) {
            true => self.note_news(),
            false => self.note_changes(),
        }
    }

    fn end_of_rib_arrived(&mut self, peer: PeerId, family: Family) {
        let Some(up) = self
            .peers
            .get_mut(&peer)
            .and_then(|known| known.session.as_mut())
        else {
            return;
        };
        let awaited = &mut up.awaited.families;
        if awaited.contains(&family) {
            awaited.retain(|of| *of != family);
            if awaited.is_empty() {
                self.events.push(RibEvent::EndOfRib { peer });
            }
        }
        table_of!(self.tables, family, |table| table.end_of_rib(peer));
    }

    /// A ROUTE-REFRESH arrived: a request, or the borders of one (RFC 2918, RFC 7313).
    pub fn route_refresh(&mut self, peer: PeerId, message: RouteRefresh, now: Instant) {
        let family = message.family;
        let deadline = now + self.config.end_of_rib_wait;
        match message.subtype {
            RouteRefreshSubtype::Request => self.groups.refresh(peer, family),
            RouteRefreshSubtype::Begin => {
                let up = self
                    .peers
                    .get(&peer)
                    .and_then(|known| known.session.as_ref());
                // RFC 7313 section 4: ignored before the End-of-RIB of a peer with graceful restart.
                if up.is_some_and(|up| !up.awaited.awaits_end_of_rib(family)) {
                    table_of!(self.tables, family, |table| table
                        .refresh_begins(peer, deadline));
                }
            }
            RouteRefreshSubtype::End => {
                table_of!(self.tables, family, |table| table.refresh_ends(peer));
            }
            RouteRefreshSubtype::Unknown(_) => {}
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

    /// The peer's writer has room again.
    pub fn writable(&mut self, peer: PeerId) {
        self.groups.writable(peer);
    }
}

/// Prefixes of a message, or a change of what is originated, that is news: see [`is_news`].
const NEWS: usize = if cfg!(test) { 1 } else { 64 };

/// Next hops that are looked at when something concerns many of them, before polls go on with the rest.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 2_000 };

/// Whether a batch is of few prefixes, which are then told before what others bring in a stream. A peer that sends its table
/// has more in each batch, as long as it brings them faster than they are taken in.
pub const fn is_news(batch: &UpdateBatch) -> bool {
    batch.prefixes() <= NEWS
}

/// The family of a table, as a value.
fn family_of<P: RoutePrefix>(_: &Table<P>) -> Family {
    P::FAMILY
}
