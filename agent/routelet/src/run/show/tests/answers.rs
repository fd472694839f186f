//! The answers of a [`World`], made by `run/show` as the agent makes them.

use std::sync::Arc;
use std::time::Instant;

use bgp::session::Admissions;
use bgp::types::Family;
use ipnet::IpNet;
use rib::PeerId;
use routelet_control::model::{
    ExplainPrefix, ExplainService, FibEntry, Peer, Route, RouteView, Status,
};
use routelet_core::cluster::{ClusterState, ObjectKey};
use routelet_core::intent::{PeerIntent, PeerTarget};
use routelet_fib::FibStatus;
use routelet_fib::plan::Plan;

use super::world::{World, numbered, resolver};
use crate::run::gates::{self, Gates};
use crate::run::shared::Shared;
use crate::run::show::peer::{PeerSnapshot, RibCounts};
use crate::run::show::route::PeerNames;
use crate::run::show::{explain, fib, peer, service, status};

impl World {
    fn names(&self) -> PeerNames {
        PeerNames {
            peers: numbered(&self.intent)
                .map(|(id, peer)| (id, Arc::new(peer.clone())))
                .collect(),
            next_hops: self.next_hops.all(),
            resolver: Some(Arc::new(resolver(&self.view, &self.intent))),
        }
    }

    fn ids(&self) -> Vec<PeerId> {
        let is_peer = |peer: &PeerIntent| !matches!(peer.target, PeerTarget::Range { .. });
        let peers = numbered(&self.intent).filter(|(_, peer)| is_peer(peer));
        peers.map(|(id, _)| id).collect()
    }

    /// The answer to `explain PREFIX`.
    pub(crate) fn explain(&self, prefix: &str) -> ExplainPrefix {
        let asked: IpNet = prefix.parse().unwrap();
        let (names, now) = (self.names(), self.now);
        let held = self.plan.longest(asked, now).map(|status| status.prefix);
        let found = explain::find(&self.rib, &self.intent, asked, held, &names);
        let peers = found.prefix.map_or_else(Vec::new, |prefix| {
            explain::to_peers(&self.rib, prefix, &self.ids(), &names)
        });
        let entry = found.prefix.and_then(|prefix| self.entry(prefix));
        explain::prefix(asked, found, peers, entry, &self.intent)
    }

    fn entry(&self, prefix: IpNet) -> Option<FibEntry> {
        let learned = self.plan.route(prefix, self.now);
        let learned = learned.map(|status| fib::entry(&status, self.plan.space(), &self.view));
        let refused = || {
            let status = self.plan.refusal(prefix, self.now)?;
            Some(fib::refusal(&status, &self.view))
        };
        learned.or_else(refused)
    }

    /// The answer to `explain service`.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> ExplainService {
        let key = ObjectKey::new(namespace, name);
        let decision = &self.intent.services[&key];
        let state: &ClusterState = &self.snapshot.state;
        let assignment = state.services[&key].assignment.as_ref();
        let mut answer = service::service(&key, decision, assignment, &self.intent);
        for address in &mut answer.addresses {
            if let Some(prefix) = address.prefixes.first() {
                address.peers = explain::to_peers(&self.rib, *prefix, &self.ids(), &self.names());
            }
        }
        answer
    }

    /// The answer to `routes`, of all peers.
    pub(crate) fn routes(&self, view: RouteView) -> Vec<Route> {
        let (names, ids) = (self.names(), self.ids());
        let mut prefixes = Vec::new();
        for family in Family::ALL {
            let filter = rib::RouteFilter::all(family);
            let mut cursor = Some(rib::RoutesCursor::default());
            while let Some(at) = cursor {
                cursor = self
                    .rib
                    .routes(&filter, at, 1_000, &mut |route| prefixes.push(route.prefix));
            }
        }
        prefixes.sort_unstable();
        let routes = prefixes.into_iter();
        routes
            .flat_map(|prefix| explain::routes_of(&self.rib, prefix, view, None, &ids, &names))
            .collect()
    }

    /// The answer to `fib`.
    pub(crate) fn fib(&self) -> Vec<FibEntry> {
        let mut prefixes = Vec::new();
        for part in 0..Plan::PARTS {
            self.plan.prefixes(part, &mut |_| true, &mut prefixes);
        }
        self.plan.leftover_prefixes(&mut |_| true, &mut prefixes);
        prefixes.extend(self.plan.refused_after(None, usize::MAX));
        prefixes.sort_unstable();
        prefixes.dedup();
        let entries = prefixes.into_iter();
        entries.filter_map(|prefix| self.entry(prefix)).collect()
    }

    /// The answer to `peers`, of these.
    pub(crate) fn peers(&self, shown: &[PeerSnapshot]) -> Vec<Peer> {
        let shown = shown.iter();
        let model = |shown: &PeerSnapshot| {
            let id = self.id(&shown.intent.name);
            let counts = RibCounts::of(&self.rib, id);
            let own = self.next_hops.get(id);
            peer::peer(shown, &self.intent, counts, own.as_ref(), self.now)
        };
        shown.map(model).collect()
    }

    /// The answer to `status` of an agent that started at a moment and reads a directory of manifests.
    pub(crate) fn status(&self, started: Instant, shown: &[PeerSnapshot]) -> Status {
        let gates = Arc::new(Gates::default());
        gates.set(gates::SOURCE, true, "every object was listed");
        let shared = Shared::new(
            "manifests in /etc/routelet/manifests".to_owned(),
            gates,
            started,
            (Default::default(), Arc::new(Admissions::default())),
            self.snapshot.clone(),
            self.intent.clone(),
        );
        let listening = ["0.0.0.0:179", "[::]:179"].map(|text| text.parse().unwrap());
        shared.applied(self.intent.clone(), listening.to_vec());
        let names = self.names();
        let waiting = self.rib.waiting_for().into_iter();
        let waiting = waiting.map(|(peer, family)| (names.peer(peer), family));
        if self.rib.converged() {
            shared.converged();
        }
        let fib = fib::summary(&FibStatus {
            counters: self.plan.counters(),
            space: self.plan.installs().then(|| self.plan.space()),
            nexthops: Vec::new(),
            channel_error: None,
        });
        let rib = status::rib_status(&self.rib);
        status::status(&shared, shown, rib, waiting.collect(), fib, self.now)
    }
}
