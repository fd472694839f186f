//! `explain`, and the routes of one prefix in the three RIBs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use rib::attrs::RouteAttributes;
use rib::export::{Advertised, Suppressed};
use rib::{PeerId, Rib};
use routelet_control::model::{
    ExplainPrefix, FibEntry, KernelLookup, OriginatedFact, PeerAdvertisement, Route, RouteState,
    RouteView,
};
use routelet_core::intent::Intent;

use super::reason;
use super::route::{self, As, PeerNames};

/// The routes of one prefix for a query. `peers`: those that a route can be advertised to.
pub(crate) fn routes_of(
    rib: &Rib,
    prefix: IpNet,
    view: RouteView,
    peer: Option<PeerId>,
    peers: &[PeerId],
    names: &PeerNames,
) -> Vec<Route> {
    if view == RouteView::Advertised {
        return peers
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
        .map(|path| route::path(&route, path, shown, names))
        .filter(|model| match view {
            RouteView::Received => model.peer.is_some(),
            RouteView::Best | RouteView::Advertised => {
                matches!(model.state, RouteState::Best | RouteState::Multipath)
            }
        })
        .collect()
}

/// A route of the Adj-RIB-Out of one peer: what is advertised to it, or the best route where no message to the peer can
/// hold it (RFC 8654 section 4). No policy asks for the latter to be withheld, so it is shown among what is advertised.
fn advertised(rib: &Rib, peer: PeerId, prefix: IpNet, names: &PeerNames) -> Option<Route> {
    match rib.explain_export(peer, prefix)? {
        Ok(sent) => Some(sent_route(peer, prefix, sent, names)),
        Err(why @ Suppressed::TooLarge(_)) => {
            let best = rib.route(prefix)?;
            let path = best.paths.first()?;
            let mut route = route::path(&best, path, As::Used, names);
            route.peer = Some(names.peer(peer));
            route.state = RouteState::NotAdvertised;
            route.reason = Some(route::suppressed(why, peer, prefix, names));
            Some(route)
        }
        Err(_) => None,
    }
}

/// A route as it was sent.
fn sent_route(peer: PeerId, prefix: IpNet, sent: Advertised, names: &PeerNames) -> Route {
    let attributes = RouteAttributes {
        set: sent.attributes,
        next_hop: sent.next_hop,
    };
    let mut route = route::attributes_of(prefix, attributes.borrowed());
    route.peer = Some(names.peer(peer));
    route.state = RouteState::Advertised;
    route.reason = Some(reason::best_path());
    route
}

/// What is advertised of a prefix to each of these peers, in the order of their names.
pub(crate) fn to_peers(
    rib: &Rib,
    prefix: IpNet,
    peers: &[PeerId],
    names: &PeerNames,
) -> Vec<PeerAdvertisement> {
    let peers = peers.iter();
    let mut all: Vec<_> = peers
        .map(|peer| to_peer(rib, *peer, prefix, names))
        .collect();
    all.sort_by(|a, b| a.peer.cmp(&b.peer));
    all
}

fn to_peer(rib: &Rib, peer: PeerId, prefix: IpNet, names: &PeerNames) -> PeerAdvertisement {
    let (reason, route) = match rib.explain_export(peer, prefix) {
        Some(Ok(sent)) => (
            reason::best_path(),
            Some(sent_route(peer, prefix, sent, names)),
        ),
        Some(Err(why)) => (route::suppressed(why, peer, prefix, names), None),
        None => (reason::not_established(), None),
    };
    PeerAdvertisement {
        peer: names.peer(peer),
        advertised: route.is_some(),
        reason,
        route,
    }
}

/// A prefix that an answer is about, with its paths.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The prefix; `None`: nothing that covers what was asked is known.
    pub(crate) prefix: Option<IpNet>,
    /// All paths to it, the best one first.
    pub(crate) paths: Vec<Route>,
}

/// Looks for a prefix, or the longest that covers it. `held`: the longest that the kernel has a route of ours to: it
/// may be longer than those with paths, since stale routes stay until the routes have converged.
pub(crate) fn find(
    rib: &Rib,
    intent: &Intent,
    asked: IpNet,
    held: Option<IpNet>,
    names: &PeerNames,
) -> Found {
    let is_known = intent.originated.contains_key(&asked)
        || intent
            .suppressed
            .keys()
            .any(|suppressed| suppressed.prefix == Some(asked));
    let held = held.filter(|_| !is_known);
    let exact = rib.route(asked).filter(|route| !route.paths.is_empty());
    let route = match exact {
        Some(route) => Some(route),
        None if is_known => None,
        None => longest(rib, asked)
            .filter(|route| held.is_none_or(|held| held.prefix_len() <= route.prefix.prefix_len())),
    };
    match route {
        Some(route) => Found {
            prefix: Some(route.prefix),
            paths: route
                .paths
                .iter()
                .map(|path| route::path(&route, path, As::Used, names))
                .collect(),
        },
        None => Found {
            prefix: is_known.then_some(asked).or(held),
            paths: Vec::new(),
        },
    }
}

/// The most specific route that covers a whole prefix.
fn longest(rib: &Rib, prefix: IpNet) -> Option<rib::table::RouteView<'_>> {
    let address: IpAddr = prefix.network();
    rib.longest_match(address)
        .filter(|route| route.prefix.contains(&prefix))
}

/// The answer to `explain PREFIX`. `entry`: what the FIB says of the prefix that was found.
pub(crate) fn prefix(
    asked: IpNet,
    found: Found,
    peers: Vec<PeerAdvertisement>,
    entry: Option<FibEntry>,
    intent: &Intent,
) -> ExplainPrefix {
    let Found { prefix, paths } = found;
    ExplainPrefix {
        asked,
        prefix,
        originated: prefix.map_or_else(Vec::new, |prefix| facts(prefix, intent)),
        kernel: match prefix {
            Some(_) => kernel(entry, &paths, intent),
            None => KernelLookup::default(),
        },
        paths,
        peers,
    }
}

/// Which objects ask for a prefix, and which rules suppress it.
fn facts(prefix: IpNet, intent: &Intent) -> Vec<OriginatedFact> {
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
        reason: Some(reason::of_rule(&suppressed.rule)),
    }));
    facts
}

/// What the kernel has for a prefix, or why it has nothing.
fn kernel(entry: Option<FibEntry>, paths: &[Route], intent: &Intent) -> KernelLookup {
    let best = paths.iter().find(|path| path.state == RouteState::Best);
    let reason = match entry {
        // It says itself why it is as it is, in the words of `routelet fib`.
        Some(_) => None,
        None => {
            let installs = intent.router.fib.is_some();
            reason::of_absence(best.map(|best| best.peer.is_none()), installs)
        }
    };
    KernelLookup { entry, reason }
}
