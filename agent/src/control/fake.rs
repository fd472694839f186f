//! An agent made of fixed answers, for tests: a node of the lab, in a moment in which much goes on at once.

use std::sync::Mutex;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;

use super::backend::{Backend, Batches};
use super::model::{
    DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery, FibState, Match, Peer,
    ResetKind, Route, RouteQuery, RouteState, RouteView, Status,
};
use super::protocol::ControlError;
use crate::timing::{Holder, LockTimes, Step, StepTimes, Timings};

/// What the fake answers, and what it was told to do.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) peers: Vec<Peer>,
    pub(crate) routes: Vec<(RouteView, Route)>,
    pub(crate) fib: Vec<FibEntry>,
    pub(crate) prefix: ExplainPrefix,
    pub(crate) service: ExplainService,
    pub(crate) done: Vec<String>,
    /// Every question is answered with this, if there is something here.
    pub(crate) broken: Option<ControlError>,
}

/// An agent made of fixed answers.
#[derive(Debug)]
pub(crate) struct Fake(Mutex<State>);

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            status: status(),
            peers: peers(),
            routes: routes(),
            fib: fib(),
            prefix: explain_prefix(),
            service: explain_service(),
            done: Vec::new(),
            broken: None,
        }))
    }

    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().expect("no test panics while it holds this"))
    }

    fn answer<T>(&self, get: impl FnOnce(&State) -> T) -> Result<T, ControlError> {
        self.edit(|state| match &state.broken {
            Some(error) => Err(error.clone()),
            None => Ok(get(state)),
        })
    }

    fn known(&self, peer: &str) -> Result<(), ControlError> {
        let known: Vec<_> = self.answer(|s| s.peers.iter().map(|p| p.name.clone()).collect())?;
        if known.iter().any(|name| name == peer) {
            return Ok(());
        }
        Err(ControlError::UnknownPeer {
            name: peer.to_owned(),
            known,
        })
    }
}

impl Backend for Fake {
    async fn status(&self) -> Result<Status, ControlError> {
        self.answer(|s| s.status.clone())
    }

    fn timings(&self) -> Timings {
        timings()
    }

    async fn peers(&self) -> Result<Vec<Peer>, ControlError> {
        self.answer(|s| s.peers.clone())
    }

    async fn routes(&self, query: RouteQuery, out: Batches<Route>) -> Result<(), ControlError> {
        if let Some(peer) = &query.peer {
            self.known(peer)?;
        }
        let mut found: Vec<Route> = self.answer(|s| {
            s.routes
                .iter()
                .filter(|(view, route)| {
                    *view == query.view
                        && (query.peer.is_none() || query.peer == route.peer)
                        && query.family.is_none_or(|f| f.has(&route.prefix))
                        && query.prefix.is_none_or(|p| p.passes(&route.prefix))
                })
                .map(|(_, route)| route.clone())
                .collect()
        })?;
        if query.prefix.is_some_and(|p| p.matching == Match::Longest) {
            let longest = found.iter().map(|r| r.prefix.prefix_len()).max();
            found.retain(|r| Some(r.prefix.prefix_len()) == longest);
        }
        for batch in found.chunks(2) {
            if out.send(batch.to_vec()).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn fib(&self, query: FibQuery, out: Batches<FibEntry>) -> Result<(), ControlError> {
        let found: Vec<FibEntry> = self.answer(|s| {
            s.fib
                .iter()
                .filter(|e| query.states.is_empty() || query.states.contains(&e.state))
                .filter(|e| query.family.is_none_or(|f| f.has(&e.prefix)))
                .filter(|e| query.prefix.is_none_or(|p| p.passes(&e.prefix)))
                .cloned()
                .collect()
        })?;
        let _ = out.send(found).await;
        Ok(())
    }

    async fn explain_prefix(&self, prefix: IpNet) -> Result<ExplainPrefix, ControlError> {
        self.answer(|s| {
            if s.prefix.asked == prefix {
                return s.prefix.clone();
            }
            ExplainPrefix {
                asked: prefix,
                prefix: None,
                originated: Vec::new(),
                paths: Vec::new(),
                told: Vec::new(),
                kernel: Default::default(),
            }
        })
    }

    async fn explain_service(
        &self,
        namespace: String,
        name: String,
    ) -> Result<ExplainService, ControlError> {
        self.answer(|s| {
            if (&s.service.namespace, &s.service.name) == (&namespace, &name) {
                return Ok(s.service.clone());
            }
            Err(ControlError::UnknownService {
                namespace,
                name,
                known: vec![format!("{}/{}", s.service.namespace, s.service.name)],
            })
        })?
    }

    async fn drain(&self, order: DrainOrder) -> Result<(), ControlError> {
        self.answer(|_| ())?;
        self.edit(|s| s.done.push(format!("drain {order:?}")));
        Ok(())
    }

    async fn reset_peer(&self, peer: String, kind: ResetKind) -> Result<(), ControlError> {
        self.known(&peer)?;
        self.edit(|s| s.done.push(format!("reset {peer} {kind:?}")));
        Ok(())
    }
}

/// The fixtures are written as JSON: they also prove that what may be left out can be left out.
fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("the fixture fits the model")
}

pub(crate) fn status() -> Status {
    read(json!({
        "version": "0.1.0", "pid": 4711, "node": "node-1", "asn": 64512, "routerId": "10.0.0.11",
        "uptimeSeconds": 7384, "source": "manifests in /etc/routelet/manifests",
        "watches": [{"kind": "Service", "failing": false}, {"kind": "Secret", "failing": true}],
        "listening": ["0.0.0.0:179", "[::]:179"],
        "gates": [{"name": "manifests", "open": true, "message": "12 objects of 4 files read"}],
        "convergence": {"converged": true},
        "peers": {"configured": 4, "established": 2, "blocked": 1},
        "connections": {
            "accepted": 17, "withoutOpen": 1,
            "refused": [{"reason": "stranger", "count": 5}, {"reason": "unsigned", "count": 2}]
        },
        "ranges": [{"name": "rack", "peers": 3, "maxPeers": 100}],
        "families": [
            {"family": "ipv4-unicast", "prefixes": 12, "paths": 21, "rejected": 2, "stale": 0, "originated": 3},
            {"family": "ipv6-unicast", "prefixes": 8, "paths": 14, "rejected": 0, "stale": 3, "originated": 2}
        ],
        "attributeSets": 9,
        "fib": {
            "table": 254, "metric": 1024, "protocol": 179, "installedIpv4": 8, "installedIpv6": 6, "pending": 1,
            "failed": 1, "refused": 1, "overLimit": 0, "stale": 0, "nexthops": 4, "operations": 31, "batches": 6,
            "errors": 3, "resyncs": 1, "repairs": 2, "refusingIpv4": 1, "refusingIpv6": 0
        },
        "problems": [
            {"severity": "error", "object": "Peer tor-c", "file": "/etc/routelet/manifests/peers.yaml", "line": 17,
             "field": "spec.timers.hold",
             "message": "\"1s\" is too short: 0s or at least 3s; the peer keeps its last good state"},
            {"severity": "warning", "object": "Advertisement public",
             "message": "peerSelector matches no peer of this node"}
        ],
        "intentRuns": 6, "intentChangedSeconds": 95
    }))
}

pub(crate) fn peers() -> Vec<Peer> {
    let zero =
        json!({"open": 0, "update": 0, "notification": 0, "keepalive": 0, "routeRefresh": 0});
    let restart = json!({
        "restartTimeSeconds": 120, "notification": true, "used": true,
        "families": [{"family": "ipv4-unicast", "forwarding": true},
                     {"family": "ipv6-unicast", "forwarding": false}],
    });
    let mut peers: Vec<Peer> = read(json!([
        {
            "name": "mesh/node-2", "object": "Router default (mesh)", "kind": "mesh", "role": "internal",
            "address": "10.0.0.12", "asn": 64512, "localAsn": 64512, "state": "Established", "stateSeconds": 7380,
            "routerId": "10.0.0.12", "host": "node-2",
            "localAddress": "10.0.0.11:179", "remoteAddress": "10.0.0.12:40112",
            "holdTimeSeconds": 90, "keepaliveSeconds": 30, "configuredHoldTimeSeconds": 90,
            "families": [{"family": "ipv4-unicast", "negotiated": true, "received": 1, "accepted": 1, "best": 1,
                          "advertised": 1, "endOfRibReceived": true, "endOfRibSent": true}],
            "messagesSent": {"open": 1, "update": 2, "notification": 0, "keepalive": 246, "routeRefresh": 0},
            "messagesReceived": {"open": 1, "update": 2, "notification": 0, "keepalive": 246, "routeRefresh": 0},
            "establishedCount": 1
        },
        {
            "name": "tor-a", "object": "Peer tor-a", "kind": "configured", "role": "external", "address": "192.0.2.1",
            "asn": 64500, "localAsn": 64512, "state": "Established", "stateSeconds": 372, "routerId": "192.0.2.1",
            "host": "tor-a", "localAddress": "192.0.2.11:38222", "remoteAddress": "192.0.2.1:179",
            "holdTimeSeconds": 90, "keepaliveSeconds": 30, "peerHoldTimeSeconds": 180, "configuredHoldTimeSeconds": 90,
            "capabilities": [
                {"name": "multiprotocol ipv4-unicast", "ours": true, "theirs": true},
                {"name": "multiprotocol ipv6-unicast", "ours": true, "theirs": true},
                {"name": "graceful restart", "ours": true, "theirs": true,
                 "detail": "120 s, also after NOTIFICATIONs, ipv4-unicast (forwarding kept), ipv6-unicast"},
                {"name": "extended message", "ours": true, "theirs": false},
                {"name": "capability 73", "ours": false, "theirs": true}
            ],
            "families": [
                {"family": "ipv4-unicast", "negotiated": true, "received": 10, "accepted": 8, "best": 8,
                 "advertised": 3, "tooLarge": 1, "maxPrefixes": 1000, "prefixWarning": 750,
                 "maxReceivedPrefixes": 2000, "maxPathsPerPrefix": 256, "pathsRefused": 3, "nextHopsRefused": 2, "endOfRibReceived": true,
                 "endOfRibSent": true},
                {"family": "ipv6-unicast", "negotiated": true, "received": 6, "accepted": 6, "best": 6,
                 "advertised": 2, "endOfRibReceived": false, "endOfRibSent": true}
            ],
            "nextHops": 4, "maxNextHops": 32768, "memoryBytes": 2048,
            "messagesSent": {"open": 3, "update": 9, "notification": 1, "keepalive": 260, "routeRefresh": 1},
            "messagesReceived": {"open": 3, "update": 22, "notification": 1, "keepalive": 251, "routeRefresh": 0},
            "updatesMalformed": 1, "attributesFiltered": 12, "outputQueueBytes": 0, "establishedCount": 3,
            "downs": [{"class": "holdTimerExpired", "count": 1}, {"class": "notificationReceived", "count": 1}],
            "lastDown": {"agoSeconds": 375, "class": "notificationReceived", "direction": "received", "code": 6,
                         "subcode": 4, "text": "Cease/Administrative Reset", "communication": "firmware update"},
            "lastErrorReceived": {"agoSeconds": 375, "class": "notificationReceived", "direction": "received",
                                  "code": 6, "subcode": 4, "text": "Cease/Administrative Reset",
                                  "communication": "firmware update"},
            "lastErrorSent": {"agoSeconds": 5400, "class": "holdTimerExpired", "direction": "sent", "code": 4,
                              "subcode": 0, "text": "Hold Timer Expired"},
            "gracefulRestart": restart,
            "bfd": {"state": "Up", "stateSeconds": 372, "detectionMilliseconds": 900},
            "import": ["no-bogons"], "advertisements": ["public", "pods"]
        },
        {
            "name": "tor-b", "object": "Peer tor-b", "kind": "configured", "role": "external", "address": "192.0.2.65",
            "asn": 64501, "localAsn": 64512, "state": "Active", "stateSeconds": 14, "nextAttemptSeconds": 4,
            "configuredHoldTimeSeconds": 90, "messagesSent": zero, "messagesReceived": zero, "establishedCount": 0,
            "lastConnectError": {"agoSeconds": 1, "text": "connection refused by 192.0.2.65:179"}
        },
        {
            "name": "tor-d", "object": "Peer tor-d", "kind": "unnumbered", "role": "external", "interface": "eth3",
            "localAsn": 64512, "state": "Idle", "stateSeconds": 7384,
            "blocked": "Secret routelet/tor-d has no key \"password\"", "configuredHoldTimeSeconds": 90,
            "messagesSent": zero, "messagesReceived": zero, "establishedCount": 0
        }
    ]));
    for family in peers.iter_mut().flat_map(|peer| &mut peer.families) {
        family.announced = family.negotiated;
    }
    peers
}

fn routes() -> Vec<(RouteView, Route)> {
    let received: Vec<Route> = read(json!([
        {"prefix": "198.51.100.0/24", "peer": "tor-a", "state": "best", "nextHop": "192.0.2.1",
         "asPath": "64500 64510", "origin": "igp", "med": 10, "localPreference": 100,
         "communities": ["64500:80", "no-export"], "largeCommunities": ["64500:1:2"],
         "reason": {"code": "onlyPath", "text": "the only path"}},
        {"prefix": "203.0.113.0/24", "peer": "tor-a", "state": "rejected", "nextHop": "192.0.2.1",
         "asPath": "64500 64512 64496", "origin": "incomplete",
         "reason": {"code": "ownAsInPath", "text": "our AS 64512 is in the AS path"}},
        {"prefix": "2001:db8:a::/48", "peer": "tor-a", "state": "best", "stale": true, "nextHop": "2001:db8::1",
         "nextHopLinkLocal": "fe80::1", "asPath": "64500 {64520 64530}", "origin": "igp"}
    ]));
    let best: Vec<Route> = read(json!([
        {"prefix": "0.0.0.0/0", "peer": "tor-a", "state": "best", "nextHop": "192.0.2.1", "asPath": "64500",
         "origin": "igp", "localPreference": 100,
         "reason": {"code": "lowerRouterId", "text": "lower BGP identifier than tor-b"}},
        {"prefix": "0.0.0.0/0", "peer": "tor-b", "state": "multipath", "nextHop": "192.0.2.65", "asPath": "64501",
         "origin": "igp", "localPreference": 100, "weight": 2,
         "reason": {"code": "equalCost", "text": "equal up to the BGP identifier"}},
        {"prefix": "10.244.1.0/24", "state": "best", "asPath": "", "origin": "igp",
         "reason": {"code": "originated", "text": "originated here"}},
        {"prefix": "198.51.100.0/24", "peer": "tor-a", "state": "best", "nextHop": "192.0.2.1",
         "asPath": "64500 64510", "origin": "igp", "med": 10, "localPreference": 100,
         "reason": {"code": "onlyPath", "text": "the only path"}}
    ]));
    let advertised: Vec<Route> = read(json!([
        {"prefix": "10.244.1.0/24", "peer": "tor-a", "state": "advertised", "nextHop": "192.0.2.11", "asPath": "64512",
         "origin": "igp", "communities": ["64512:100"],
         "reason": {"code": "originated", "text": "Advertisement pods, Node node-1"}},
        {"prefix": "198.51.100.0/24", "peer": "tor-a", "state": "notAdvertised", "nextHop": "192.0.2.1",
         "asPath": "64500 64510", "origin": "igp", "med": 10, "localPreference": 100,
         "reason": {"code": "tooLarge", "text": "its attributes do not fit into a message of 4096 octets, the longest that the peer takes"}}
    ]));
    let tag = |view, routes: Vec<Route>| routes.into_iter().map(move |route| (view, route));
    tag(RouteView::Received, received)
        .chain(tag(RouteView::Best, best))
        .chain(tag(RouteView::Advertised, advertised))
        .collect()
}

fn fib() -> Vec<FibEntry> {
    let entries: Vec<FibEntry> = read(json!([
        {"prefix": "0.0.0.0/0", "state": "refused", "reason": "a default route, and Router default does not accept one",
         "nexthops": [{"gateway": "192.0.2.1", "interface": "eth1", "weight": 1}]},
        {"prefix": "198.51.100.0/24", "state": "installed", "nexthopId": 3003121665u32,
         "nexthops": [{"gateway": "192.0.2.1", "interface": "eth1", "weight": 1},
                      {"gateway": "fe80::65", "interface": "eth2", "weight": 2}]},
        {"prefix": "198.51.101.0/24", "state": "failed", "failingSeconds": 42,
         "reason": "EINVAL: Nexthop id does not exist",
         "nexthops": [{"gateway": "192.0.2.1", "interface": "eth1", "weight": 1}]},
        {"prefix": "198.51.102.0/24", "state": "foreign", "failingSeconds": 3,
         "reason": "a route of somebody else has its place: via 192.0.2.9 dev eth1 table 254 metric 1790, of protocol 4 (static: an administrator or a network manager)",
         "nexthops": [{"gateway": "192.0.2.1", "interface": "eth1", "weight": 1}]},
        {"prefix": "198.51.103.0/24", "state": "stale", "nexthopId": 3003121666u32,
         "reason": "left by a predecessor, and no usable path so far; removed when the routes have converged",
         "nexthops": [{"gateway": "192.0.2.1", "interface": "eth1", "weight": 1}]},
        {"prefix": "203.0.113.0/24", "state": "installed",
         "refuses": {"table": 17900, "what": "addresses of the aggregate that no Service has"}}
    ]));
    assert!(entries.iter().any(|e| e.state == FibState::Failed));
    entries
}

fn explain_prefix() -> ExplainPrefix {
    let paths: Vec<Route> = routes()
        .into_iter()
        .filter(|(view, route)| *view == RouteView::Best && route.prefix.prefix_len() == 0)
        .map(|(_, route)| route)
        .collect();
    assert_eq!(paths[1].state, RouteState::Multipath);
    let mut answer: ExplainPrefix = read(json!({
        "asked": "0.0.0.0/0", "prefix": "0.0.0.0/0",
        "originated": [{"active": false, "advertisement": "public", "objects": ["Service shop/web (LoadBalancer)"],
            "reason": {"code": "noReadyEndpoint", "text": "no ready endpoint anywhere"}}],
        "told": [
            {"peer": "mesh/node-2", "advertised": true, "reason": {"code": "best", "text": "learned from tor-a"},
             "route": {"prefix": "0.0.0.0/0", "peer": "mesh/node-2", "state": "advertised", "nextHop": "192.0.2.1",
                       "asPath": "64500", "origin": "igp", "localPreference": 100}},
            {"peer": "tor-a", "advertised": false,
             "reason": {"code": "source", "text": "the best path came from this peer"}}
        ],
        "kernel": {}
    }));
    answer.paths = paths;
    answer.kernel.entry = fib().into_iter().next();
    answer
}

fn explain_service() -> ExplainService {
    read(json!({
        "namespace": "shop", "name": "web", "type": "LoadBalancer",
        "assignment": {"assigned": true, "text": "AddressPool public"},
        "addresses": [
            {"address": "203.0.113.10", "kind": "LoadBalancer", "advertised": true,
             "reason": {"code": "readyEndpointHere", "text": "a ready endpoint is on this node"},
             "trafficPolicy": "Local",
             "endpoints": {"slices": 2, "ready": 3, "readyHere": 1, "terminating": 1, "terminatingHere": 0,
                           "notReady": 0},
             "prefixes": ["203.0.113.10/32"], "advertisements": ["public"],
             "told": [{"peer": "tor-a", "advertised": true,
                       "reason": {"code": "originated", "text": "Advertisement public selects it"}},
                      {"peer": "mesh/node-2", "advertised": false,
                       "reason": {"code": "notSelected", "text": "no Advertisement of it selects this peer"}}]},
            {"address": "10.96.0.20", "kind": "Cluster", "advertised": false,
             "reason": {"code": "notSelected", "text": "no Advertisement asks for Cluster addresses of this Service"},
             "trafficPolicy": "Cluster",
             "endpoints": {"slices": 2, "ready": 3, "readyHere": 1, "terminating": 1, "terminatingHere": 0,
                           "notReady": 0}}
        ]
    }))
}

/// Steps and holds of the lock, one of each a little below and one above what they should take.
pub(crate) fn timings() -> Timings {
    let (steps, locks) = (StepTimes::default(), LockTimes::default());
    for micros in [1_500, 2_500] {
        let took = Duration::from_micros(micros);
        steps.of(Step::Poll).record(took);
        locks.of(Holder::Rib).record(took);
    }
    Timings {
        steps: steps.read(),
        locks: locks.read(),
    }
}
