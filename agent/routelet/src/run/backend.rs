//! What the control socket, the HTTP port and the commands ask of the running agent, answered from its parts.
//!
//! Tables are never copied whole: a first pass collects the prefixes that are asked for, piece by piece between which
//! the RIB does its work, and a second one fetches the routes of each batch in their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::Cease;
use bgp::types::Family;
use ipnet::IpNet;
use rib::{PeerId, RouteFilter, RoutesCursor};
use routelet_base::timing::Timings;
use routelet_control::model::{
    DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery, Match, Peer, PeerAdvertisement,
    PrefixFilter, RefreshesLimited, ResetKind, Route, RouteQuery, RouteView, Status,
};
use routelet_control::{Backend, Batches, Closed, ControlError};
use routelet_core::cluster::ObjectKey;
use routelet_core::peering::Run;
use routelet_fib::FibHandle;
use tokio::sync::{mpsc, oneshot};

use super::next_hops::{Denied, Resolver};
use super::peers::PeerView;
use super::rib_thread::{RibHandle, Stopped};
use super::shared::Shared;
use super::show::peer::{PeerSnapshot, RibCounts};
use super::show::route::PeerNames;
use super::show::{self, explain, status::rib_status};

/// Table places looked at in one go: about a millisecond of the RIB's time.
const LOOK: usize = 5_000;

/// A request to the loop.
pub(crate) enum LoopRequest {
    /// Starts or ends draining of this node; the sender is notified when it is done.
    Drain(DrainOrder, oneshot::Sender<()>),
}

/// The running agent as the servers see it.
pub(crate) struct Agent {
    shared: Arc<Shared>,
    rib: RibHandle,
    fib: FibHandle,
    orders: mpsc::Sender<LoopRequest>,
}

impl From<Stopped> for ControlError {
    fn from(_: Stopped) -> Self {
        Self::Unavailable {}
    }
}

impl Agent {
    pub(crate) fn new(
        shared: Arc<Shared>,
        rib: RibHandle,
        fib: FibHandle,
        orders: mpsc::Sender<LoopRequest>,
    ) -> Self {
        Self {
            shared,
            rib,
            fib,
            orders,
        }
    }

    fn table(&self) -> BTreeMap<String, PeerView> {
        self.shared.peers.all()
    }

    fn names(&self) -> PeerNames {
        let peers = self.table().into_values();
        PeerNames {
            peers: peers.map(|peer| (peer.id, peer.intent)).collect(),
            next_hops: self.rib.own_next_hops().all(),
            resolver: Some(Arc::new(Resolver {
                view: self.fib.view(),
                via_default: self.shared.intent().router.resolve_via_default,
                denied: Denied::default(),
            })),
        }
    }

    fn find(&self, name: &str) -> Result<PeerView, ControlError> {
        let mut table = self.table();
        table.remove(name).ok_or_else(|| ControlError::UnknownPeer {
            name: name.to_owned(),
            known: table.into_keys().collect(),
        })
    }

    /// The prefixes that a query asks for, ascending, IPv4 first.
    async fn prefixes(
        &self,
        query: &RouteQuery,
        peer: Option<PeerId>,
    ) -> Result<Vec<IpNet>, Stopped> {
        if let Some(PrefixFilter {
            prefix,
            matching: Match::Exact,
        }) = query.prefix
        {
            return Ok(vec![prefix]);
        }
        if let Some(PrefixFilter {
            prefix,
            matching: Match::Longest,
        }) = query.prefix
        {
            let address = prefix.addr();
            let found = self
                .rib
                .look(move |rib| rib.longest_match(address).map(|route| route.prefix))
                .await?;
            return Ok(found
                .filter(|found| found.contains(&prefix))
                .into_iter()
                .collect());
        }
        let within = query.prefix.map(|filter| filter.prefix);
        let families = Family::ALL
            .into_iter()
            .filter(|family| query.family.is_none_or(|wanted| wanted.0 == *family));
        let mut all = Vec::new();
        for family in families {
            let filter = RouteFilter {
                peer: peer.filter(|_| query.view != RouteView::Advertised),
                selected: query.view != RouteView::Received,
                within,
                ..RouteFilter::all(family)
            };
            let mut cursor = Some(RoutesCursor::default());
            while let Some(at) = cursor {
                let filter = filter.clone();
                let (found, next) = self
                    .rib
                    .look(move |rib| {
                        let mut found = Vec::new();
                        let next = rib.routes(&filter, at, LOOK, &mut |route| {
                            if !route.paths.is_empty() {
                                found.push(route.prefix);
                            }
                        });
                        (found, next)
                    })
                    .await?;
                all.extend(found);
                cursor = next;
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Whom a route that is asked for can have gone to.
    fn audience(&self, peer: Option<PeerId>) -> Vec<PeerId> {
        match peer {
            Some(peer) => vec![peer],
            None => self
                .table()
                .into_values()
                .filter(|peer| !matches!(peer.run, Run::Range))
                .map(|peer| peer.id)
                .collect(),
        }
    }

    /// What is advertised of a prefix to each peer, by name.
    async fn to_peers(&self, prefix: IpNet) -> Result<Vec<PeerAdvertisement>, Stopped> {
        let names = self.names();
        let peers = self.audience(None);
        self.rib
            .look(move |rib| explain::to_peers(rib, prefix, &peers, &names))
            .await
    }

    /// What the FIB says of a prefix.
    fn entry(&self, prefix: IpNet) -> Option<FibEntry> {
        let view = self.fib.view();
        let learned = self.fib.route(prefix);
        let learned = learned.map(|status| show::fib::entry(&status, self.fib.space(), &view));
        let refused = || Some(show::fib::refusal(&self.fib.refusal(prefix)?, &view));
        learned.or_else(refused)
    }
}

impl Backend for Agent {
    async fn status(&self) -> Result<Status, ControlError> {
        let names = self.names();
        let (rib, waiting) = self
            .rib
            .look(move |rib| {
                let waiting = rib.waiting_for().into_iter();
                let waiting = waiting.map(|(peer, family)| (names.peer(peer), family));
                (rib_status(rib), waiting.collect())
            })
            .await?;
        let mut fib = show::fib::summary(&self.fib.status());
        let unwritten = self.shared.unwritten().filter(|_| !fib.disabled);
        fib.unavailable = fib.unavailable.or(unwritten.map(|why| why.to_string()));
        let denied = self.rib.denied_next_hops();
        let peers = self.table();
        let peers: Vec<PeerSnapshot> = peers.values().map(PeerSnapshot::of).collect();
        let now = Instant::now();
        let mut status = show::status::status(&self.shared, &peers, rib, waiting, fib, now);
        let (delayed, ignored) = self.rib.limited_refreshes();
        status.refreshes_limited = RefreshesLimited { delayed, ignored };
        status
            .problems
            .extend(show::status::denied_next_hops(&denied));
        Ok(status)
    }

    fn timings(&self) -> Timings {
        Timings {
            steps: self.rib.step_times(),
            locks: self.fib.lock_times(),
        }
    }

    async fn peers(&self) -> Result<Vec<Peer>, ControlError> {
        let table: Vec<PeerView> = self
            .table()
            .into_values()
            .filter(|peer| !matches!(peer.run, Run::Range))
            .collect();
        let ids: Vec<PeerId> = table.iter().map(|peer| peer.id).collect();
        let counts = self
            .rib
            .look(move |rib| {
                ids.into_iter()
                    .map(|peer| RibCounts::of(rib, peer))
                    .collect::<Vec<_>>()
            })
            .await?;
        let intent = self.shared.intent();
        let now = Instant::now();
        Ok(table
            .iter()
            .zip(counts)
            .map(|(peer, counts)| {
                let own = self.rib.own_next_hops().get(peer.id);
                show::peer::peer(&PeerSnapshot::of(peer), &intent, counts, own.as_ref(), now)
            })
            .collect())
    }

    async fn routes(&self, query: RouteQuery, out: Batches<Route>) -> Result<(), ControlError> {
        let peer = query
            .peer
            .as_deref()
            .map(|name| self.find(name))
            .transpose()?
            .map(|peer| peer.id);
        let names = self.names();
        let audience: Arc<[PeerId]> = self.audience(peer).into();
        let view = query.view;
        for prefixes in self
            .prefixes(&query, peer)
            .await?
            .chunks(Batches::<Route>::SIZE)
        {
            let prefixes = prefixes.to_vec();
            let (names, audience) = (names.clone(), audience.clone());
            let batch = self
                .rib
                .look(move |rib| {
                    prefixes
                        .into_iter()
                        .flat_map(|prefix| {
                            explain::routes_of(rib, prefix, view, peer, &audience, &names)
                        })
                        .collect::<Vec<_>>()
                })
                .await?;
            if out.send(batch).await == Err(Closed) {
                break;
            }
        }
        Ok(())
    }

    async fn fib(&self, query: FibQuery, out: Batches<FibEntry>) -> Result<(), ControlError> {
        let fib = self.fib.clone();
        let asked = query.clone();
        // The FIB's lock is held while it collects: not on a thread that serves others.
        let entries = tokio::task::spawn_blocking(move || {
            let view = fib.view();
            let space = fib.space();
            let asks_for = |prefix| show::fib::asks_for(&asked, &prefix);
            let refused = fib.refusals(asks_for);
            let refused = refused
                .iter()
                .map(|status| show::fib::refusal(status, &view));
            let learned = fib.snapshot(asks_for);
            let learned = learned
                .iter()
                .map(|status| show::fib::entry(status, space, &view));
            learned.chain(refused).collect::<Vec<_>>()
        })
        .await
        .map_err(|_| ControlError::Unavailable {})?;
        let mut entries: Vec<FibEntry> = entries
            .into_iter()
            .filter(|entry| query.states.is_empty() || query.states.contains(&entry.state))
            .collect();
        if query
            .prefix
            .is_some_and(|filter| filter.matching == Match::Longest)
        {
            let longest = entries.iter().map(|entry| entry.prefix.prefix_len()).max();
            entries.retain(|entry| Some(entry.prefix.prefix_len()) == longest);
        }
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(Batches::<FibEntry>::SIZE));
            if out.send(entries).await == Err(Closed) {
                break;
            }
            entries = rest;
        }
        Ok(())
    }

    async fn explain_prefix(&self, asked: IpNet) -> Result<ExplainPrefix, ControlError> {
        let names = self.names();
        let intent = self.shared.intent();
        let known = intent.clone();
        let held = self.fib.longest(asked).map(|status| status.prefix);
        let found = self
            .rib
            .look(move |rib| explain::find(rib, &known, asked, held, &names))
            .await?;
        let peers = match found.prefix {
            Some(prefix) => self.to_peers(prefix).await?,
            None => Vec::new(),
        };
        let entry = found.prefix.and_then(|prefix| self.entry(prefix));
        Ok(explain::prefix(asked, found, peers, entry, &intent))
    }

    async fn explain_service(
        &self,
        namespace: String,
        name: String,
    ) -> Result<ExplainService, ControlError> {
        let intent = self.shared.intent();
        let key = ObjectKey::new(namespace, name);
        let Some(decision) = intent.services.get(&key) else {
            return Err(ControlError::UnknownService {
                known: intent.services.keys().map(ToString::to_string).collect(),
                namespace: key.namespace.to_string(),
                name: key.name.to_string(),
            });
        };
        let loaded = self.shared.loaded();
        let service = loaded.state.services.get(&key);
        let assignment = service.and_then(|service| service.assignment.as_ref());
        let mut explained = show::service::service(&key, decision, assignment, &intent);
        for address in &mut explained.addresses {
            if let Some(prefix) = address.prefixes.first() {
                address.peers = self.to_peers(*prefix).await?;
            }
        }
        Ok(explained)
    }

    async fn drain(&self, order: DrainOrder) -> Result<(), ControlError> {
        let (done, is_done) = oneshot::channel();
        let sent = self.orders.send(LoopRequest::Drain(order, done)).await;
        sent.map_err(|_| ControlError::Unavailable {})?;
        is_done.await.map_err(|_| ControlError::Unavailable {})
    }

    async fn reset_peer(&self, peer: String, kind: ResetKind) -> Result<(), ControlError> {
        let found = self.find(&peer)?;
        let Run::Running(handle) = &found.run else {
            return Err(ControlError::Refused {
                reason: format!("peer {peer} is not running; `routelet peers {peer}` shows why"),
            });
        };
        match kind {
            ResetKind::Hard => {
                handle.reset(Cease::Reset("reset by the operator".to_owned()));
                Ok(())
            }
            ResetKind::Soft => {
                self.rib
                    .send(super::rib_thread::Command::SoftReset(found.id))
                    .await?;
                handle.request_refresh();
                Ok(())
            }
        }
    }
}
