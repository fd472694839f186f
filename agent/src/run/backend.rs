//! What the control socket, the HTTP port and the commands ask of the running agent, answered from its parts.
//!
//! Tables are never copied whole: a first pass collects the prefixes that are asked for, piece by piece between which the
//! RIB does its work, and a second one fetches the routes of each batch in their order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::fsm::Cease;
use bgp::types::Family;
use ipnet::IpNet;
use rib::attrs::RouteAttributes;
use rib::export::{Advertised, Suppressed};
use rib::{PeerId, Rib, RouteFilter, RoutesCursor};
use tokio::sync::{mpsc, oneshot};

use super::next_hops::{Denied, Resolver};
use super::peers::{PeerView, RunState};
use super::rib_thread::{RibHandle, Stopped};
use super::shared::Shared;
use super::show::peer::RibCounts;
use super::show::route::{As, Names};
use super::show::{self, status::rib_status};
use crate::cluster::ObjectKey;
use crate::control::model::{
    DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery, KernelLookup, Match,
    OriginatedFact, Peer, PrefixFilter, Reason, RefreshesLimited, ResetKind, Route, RouteQuery,
    RouteState, RouteView, Status, Told,
};
use crate::control::{Backend, Batches, Closed, ControlError};
use crate::fib::FibHandle;
use crate::timing::Timings;

/// Table places looked at in one go: about a millisecond of the RIB's time.
const LOOK: usize = 5_000;

/// An order to the loop.
pub(crate) enum Order {
    /// Leads traffic away from this node, or ends that; who ordered it hears when it is done.
    Drain(DrainOrder, oneshot::Sender<()>),
}

/// The running agent as the servers see it.
pub(crate) struct Agent {
    shared: Arc<Shared>,
    rib: RibHandle,
    fib: FibHandle,
    orders: mpsc::Sender<Order>,
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
        orders: mpsc::Sender<Order>,
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

    fn names(&self) -> Names {
        let peers = self.table().into_values();
        Names {
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
                .filter(|peer| !matches!(peer.run, RunState::Range))
                .map(|peer| peer.id)
                .collect(),
        }
    }

    /// What each peer is told of a prefix, by name.
    async fn told(&self, prefix: IpNet) -> Result<Vec<Told>, Stopped> {
        let names = self.names();
        let audience = self.audience(None);
        let mut told = self
            .rib
            .look(move |rib| {
                audience
                    .into_iter()
                    .map(|peer| told(rib, peer, prefix, &names))
                    .collect::<Vec<_>>()
            })
            .await?;
        told.sort_by(|a, b| a.peer.cmp(&b.peer));
        Ok(told)
    }
}

/// The routes of one prefix for a query.
fn routes_of(
    rib: &Rib,
    prefix: IpNet,
    view: RouteView,
    peer: Option<PeerId>,
    audience: &[PeerId],
    names: &Names,
) -> Vec<Route> {
    if view == RouteView::Advertised {
        return audience
            .iter()
            .filter_map(|peer| advertised(rib, *peer, prefix, names))
            .collect();
    }
    let Some(route) = rib.route(prefix) else {
        return Vec::new();
    };
    let shown = match view {
        RouteView::Received => As::Received,
        RouteView::Best | RouteView::Advertised => As::Used,
    };
    route
        .paths
        .iter()
        .filter(|path| peer.is_none_or(|peer| path.peer == Some(peer)))
        .map(|path| show::route::path(&route, path, shown, names))
        .filter(|model| match view {
            RouteView::Received => model.peer.is_some(),
            RouteView::Best | RouteView::Advertised => {
                matches!(model.state, RouteState::Best | RouteState::Multipath)
            }
        })
        .collect()
}

/// A route of the Adj-RIB-Out of one peer: what is advertised to it, or the best route where no message to the peer can hold
/// it (RFC 8654 section 4). Nobody asked for the latter to be kept back, so it is shown among what is advertised.
fn advertised(rib: &Rib, peer: PeerId, prefix: IpNet, names: &Names) -> Option<Route> {
    match rib.explain_export(peer, prefix)? {
        Ok(sent) => Some(sent_route(peer, prefix, sent, names)),
        Err(reason @ Suppressed::TooLarge(_)) => {
            let best = rib.route(prefix)?;
            let path = best.paths.first()?;
            let mut route = show::route::path(&best, path, As::Used, names);
            route.peer = Some(names.peer(peer));
            route.state = RouteState::NotAdvertised;
            route.reason = Some(show::route::suppressed(reason, peer, prefix, names));
            Some(route)
        }
        Err(_) => None,
    }
}

/// A route as it was sent.
fn sent_route(peer: PeerId, prefix: IpNet, sent: Advertised, names: &Names) -> Route {
    let attributes = RouteAttributes {
        set: sent.attributes,
        next_hop: sent.next_hop,
    };
    let mut route = show::route::attributes_of(prefix, attributes.borrowed());
    route.peer = Some(names.peer(peer));
    route.state = RouteState::Advertised;
    route.reason = Some(best_path());
    route
}

/// Why a route is advertised.
fn best_path() -> Reason {
    Reason::new("bestPath", "the best path, and no rule keeps it back")
}

/// What one peer is told of a prefix, and why or why not.
fn told(rib: &Rib, peer: PeerId, prefix: IpNet, names: &Names) -> Told {
    let name = names.peer(peer);
    match rib.explain_export(peer, prefix) {
        Some(Ok(sent)) => Told {
            peer: name,
            advertised: true,
            reason: best_path(),
            route: Some(sent_route(peer, prefix, sent, names)),
        },
        Some(Err(suppressed)) => Told {
            reason: show::route::suppressed(suppressed, peer, prefix, names),
            peer: name,
            advertised: false,
            route: None,
        },
        None => Told {
            reason: Reason::new("notEstablished", "the session is not Established"),
            peer: name,
            advertised: false,
            route: None,
        },
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
        let mut status = show::status::status(&self.shared, rib, waiting, fib);
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
            .filter(|peer| !matches!(peer.run, RunState::Range))
            .collect();
        let ids: Vec<PeerId> = table.iter().map(|peer| peer.id).collect();
        let counts = self
            .rib
            .look(move |rib| {
                ids.into_iter()
                    .map(|peer| {
                        Family::ALL.map(|family| RibCounts {
                            counts: rib.counts(peer, family),
                            end_of_rib: rib.end_of_rib(peer, family),
                            own_next_hop: rib.own_next_hop(peer, family),
                        })
                    })
                    .collect::<Vec<_>>()
            })
            .await?;
        let intent = self.shared.intent();
        Ok(table
            .iter()
            .zip(counts)
            .map(|(peer, counts)| {
                let own = self.rib.own_next_hops().get(peer.id);
                show::peer::peer(peer, &intent, counts, own.as_ref())
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
                        .flat_map(|prefix| routes_of(rib, prefix, view, peer, &audience, &names))
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
        let is_known = intent.originated.contains_key(&asked)
            || intent
                .suppressed
                .keys()
                .any(|suppressed| suppressed.prefix == Some(asked));
        // The kernel may hold a longer one than there are paths to: a predecessor's, before the routes have converged.
        let held = self.fib.longest(asked).map(|status| status.prefix);
        let held = held.filter(|_| !is_known);
        let (prefix, paths) = self
            .rib
            .look(move |rib| {
                let exact = rib.route(asked).filter(|route| !route.paths.is_empty());
                let route = match exact {
                    Some(route) => Some(route),
                    None if is_known => None,
                    None => longest(rib, asked).filter(|route| {
                        held.is_none_or(|held| held.prefix_len() <= route.prefix.prefix_len())
                    }),
                };
                match route {
                    Some(route) => {
                        let paths = route
                            .paths
                            .iter()
                            .map(|path| show::route::path(&route, path, As::Used, &names))
                            .collect();
                        (Some(route.prefix), paths)
                    }
                    None => (is_known.then_some(asked).or(held), Vec::new()),
                }
            })
            .await?;
        let told = match prefix {
            Some(prefix) => self.told(prefix).await?,
            None => Vec::new(),
        };
        let originated = prefix.map_or_else(Vec::new, |prefix| self.facts(prefix));
        let kernel =
            prefix.map_or_else(KernelLookup::default, |prefix| self.kernel(prefix, &paths));
        Ok(ExplainPrefix {
            asked,
            prefix,
            originated,
            paths,
            told,
            kernel,
        })
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
                address.told = self.told(*prefix).await?;
            }
        }
        Ok(explained)
    }

    async fn drain(&self, order: DrainOrder) -> Result<(), ControlError> {
        let (done, is_done) = oneshot::channel();
        let sent = self.orders.send(Order::Drain(order, done)).await;
        sent.map_err(|_| ControlError::Unavailable {})?;
        is_done.await.map_err(|_| ControlError::Unavailable {})
    }

    async fn reset_peer(&self, peer: String, kind: ResetKind) -> Result<(), ControlError> {
        let found = self.find(&peer)?;
        let RunState::Running(handle) = &found.run else {
            return Err(ControlError::Refused {
                reason: format!("peer {peer} does not run; `routelet peers {peer}` says why"),
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

/// The most specific route that covers a whole prefix.
fn longest(rib: &Rib, prefix: IpNet) -> Option<rib::table::RouteView<'_>> {
    let address: IpAddr = prefix.network();
    rib.longest_match(address)
        .filter(|route| route.prefix.contains(&prefix))
}

impl Agent {
    /// Which objects ask for a prefix, and which rules suppress it.
    fn facts(&self, prefix: IpNet) -> Vec<OriginatedFact> {
        let intent = self.shared.intent();
        let mut facts = Vec::new();
        if let Some(originated) = intent.originated.get(&prefix) {
            let mut objects: BTreeMap<_, Vec<String>> = BTreeMap::new();
            for why in &originated.justifications {
                objects
                    .entry(why.advertisement)
                    .or_default()
                    .push(why.source.to_string());
            }
            facts.extend(objects.into_iter().map(|(id, objects)| OriginatedFact {
                active: true,
                advertisement: intent.advertisements.get(&id).cloned().unwrap_or_default(),
                objects,
                reason: None,
            }));
        }
        let suppressed = intent
            .suppressed
            .keys()
            .filter(|suppressed| suppressed.prefix == Some(prefix));
        facts.extend(suppressed.map(|suppressed| OriginatedFact {
            active: false,
            advertisement: String::new(),
            objects: vec![suppressed.object.to_string()],
            reason: Some(show::service::reason(&suppressed.rule)),
        }));
        facts
    }

    /// What the kernel has for a prefix, or why it has nothing.
    fn kernel(&self, prefix: IpNet, paths: &[Route]) -> KernelLookup {
        let view = self.fib.view();
        let learned = self.fib.route(prefix);
        let learned = learned.map(|status| show::fib::entry(&status, self.fib.space(), &view));
        let refused = || Some(show::fib::refusal(&self.fib.refusal(prefix)?, &view));
        let entry = learned.or_else(refused);
        let best = paths.iter().find(|path| path.state == RouteState::Best);
        let reason = match (&entry, best) {
            // It says itself why it is as it is, in the words of `routelet fib`.
            (Some(_), _) => None,
            (_, Some(best)) if best.peer.is_none() => Some(Reason::new(
                "localRoute",
                "this node originates it: the kernel reaches it by its own routes",
            )),
            (_, Some(_)) if self.shared.intent().router.fib.is_none() => Some(Reason::new(
                "fibDisabled",
                "the Router of this node installs no learned routes (fib.enabled: false)",
            )),
            (_, Some(_)) => None,
            (_, None) => Some(Reason::new("noUsablePath", "there is no usable path to it")),
        };
        KernelLookup { entry, reason }
    }
}
