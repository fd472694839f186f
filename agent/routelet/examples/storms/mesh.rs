//! A mesh of simulated agents under simulated time: what a RouterState says and when it is written are the agent's own
//! pure functions (`routelet::report`). Beside it, a page of metrics of the same agents.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::jiff::Timestamp;
use routelet::metrics::{METRICS, PeerSeries, Snapshot, Totals, render};
use routelet::report::router_state::router_state;
use routelet::report::schedule::{Change, Schedule};
use routelet_api::RouterStateStatus;
use routelet_base::timing::Timings;
use routelet_control::model::{Peer, SessionState, Status};
use serde_json::json;

/// How often an agent is looked at here. It looks at itself once a second.
const STEP: Duration = Duration::from_secs(2);

/// How long a node is away that restarts its agent, and one that is lost.
pub(crate) const RESTART: Duration = Duration::from_secs(10);
pub(crate) const LOST: Duration = Duration::from_secs(900);

/// In a rolling update, between the beginnings of two restarts.
const PACE: Duration = Duration::from_secs(20);

/// What belongs to an event is written within this time after it.
const AFTER: Duration = Duration::from_secs(600);

/// Over how long the writes of a second are averaged.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Nothing happens for an hour.
pub(crate) fn quiet(nodes: usize) -> Result<Written> {
    Mesh::new(nodes)?.run(Duration::from_secs(3600), |_| None)
}

/// A node goes, and comes back after a time.
pub(crate) fn away(nodes: usize, time: Duration) -> Result<Written> {
    let begin = Duration::from_secs(100);
    let away = |at: Duration| (at >= begin && at < begin + time).then_some(0);
    Mesh::new(nodes)?.run(begin + time + AFTER, away)
}

/// All agents restart, one after the other.
pub(crate) fn rolling_update(nodes: usize) -> Result<Written> {
    let end = PACE * u32::try_from(nodes)? + AFTER;
    Mesh::new(nodes)?.run(end, |at| {
        let number = at.as_secs() / PACE.as_secs();
        let since = Duration::from_secs(at.as_secs() % PACE.as_secs());
        let number = usize::try_from(number).ok()?;
        (number < nodes && since < RESTART).then_some(number)
    })
}

/// What agents have written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// All of it, in octets of JSON.
    pub(crate) bytes: u64,
    /// What was not written only because it was time for a sign of life.
    pub(crate) caused: u64,
    /// The largest object.
    pub(crate) largest: u64,
    /// The most objects within [`WINDOW`].
    pub(crate) most: u64,
}

/// The agents of a mesh.
struct Mesh {
    status: Status,
    /// What a node has sessions with: two routers, and the other nodes.
    peers: Vec<Peer>,
    agents: Vec<Agent>,
    random: u64,
}

struct Agent {
    schedule: Schedule,
    written: RouterStateStatus,
}

impl Mesh {
    fn new(nodes: usize) -> Result<Self> {
        let mut peers = vec![
            peer("tor-a", "Peer tor-a", "configured")?,
            peer("tor-b", "Peer tor-b", "configured")?,
        ];
        for n in 0..nodes {
            peers.push(peer(
                &format!("mesh/node-{n}"),
                "Router default (mesh)",
                "mesh",
            )?);
        }
        Ok(Self {
            status: status()?,
            peers,
            agents: Vec::with_capacity(nodes),
            random: 0x9e37_79b9_7f4a_7c15,
        })
    }

    /// From 0 to 1, the same in every run.
    fn share(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % 1024) as f64 / 1024.0
    }

    /// What an agent finds while a node is away: the same on each node, but for the name of the one that is not its
    /// peer.
    fn found(&self, away: Option<usize>, now: Timestamp) -> RouterStateStatus {
        let (mut status, mut peers) = (self.status.clone(), self.peers.clone());
        // Which one of them it is changes nothing.
        let own = if away == Some(self.agents.len() - 1) {
            0
        } else {
            self.agents.len() - 1
        };
        let own = format!("mesh/node-{own}");
        let away = away.map(|n| format!("mesh/node-{n}"));
        peers.retain(|peer| peer.name != own);
        for peer in &mut peers {
            if Some(&peer.name) == away.as_ref() {
                peer.state = SessionState::Active;
            }
        }
        let mesh = u32::try_from(self.agents.len() - 1).unwrap_or(u32::MAX);
        let up = mesh - u32::from(away.is_some());
        status.peers.mesh = mesh;
        status.peers.mesh_established = up;
        status.peers.configured = mesh + 2;
        status.peers.established = up + 2;
        // The routes of a node go with it.
        status.fib.installed_ipv4 = up.into();
        status.fib.installed_ipv6 = up.into();
        router_state(&status, &peers, &RouterStateStatus::default(), Some(1), now)
    }

    /// Runs for a while; `away` says which node is not there at a time.
    fn run(mut self, time: Duration, away: impl Fn(Duration) -> Option<usize>) -> Result<Written> {
        let (begin, stamp) = (Instant::now(), Timestamp::from_second(1_800_000_000)?);
        let nodes = self.peers.len() - 2;
        for _ in 0..nodes {
            let agent = Agent {
                schedule: Schedule::new(begin),
                written: RouterStateStatus::default(),
            };
            self.agents.push(agent);
        }
        let whole = self.found(None, stamp);
        for n in 0..nodes {
            let share = self.share();
            self.agents[n].schedule.written(begin, share);
            self.agents[n].written = whole.clone();
        }
        let mut written = Written::default();
        let mut found = (None, whole.clone());
        let mut window = (Duration::ZERO, 0);
        let mut at = Duration::ZERO;
        while at < time {
            at += STEP;
            let gone = away(at);
            if found.0 != gone {
                found = match gone {
                    None => (None, whole.clone()),
                    gone => (gone, self.found(gone, stamp)),
                };
            }
            if at >= window.0 + WINDOW {
                written.most = written.most.max(window.1);
                window = (at, 0);
            }
            for n in (0..nodes).filter(|n| gone != Some(*n)) {
                let share = self.share();
                let Agent {
                    schedule,
                    written: known,
                } = &mut self.agents[n];
                let now = begin + at;
                if !schedule.is_due(&found.1, known, now, share) {
                    continue;
                }
                let size = size(&found.1)?;
                let change = Change::between(&found.1, known);
                written.bytes += size;
                written.caused += if change == Change::Nothing { 0 } else { size };
                written.largest = written.largest.max(size);
                window.1 += 1;
                schedule.written(now, share);
                known.clone_from(&found.1);
            }
            // An agent that has begun anew writes at once, and again when its sessions are up.
            let back = gone
                .is_none()
                .then(|| away(at.saturating_sub(STEP)))
                .flatten();
            if let Some(n) = back {
                let size = size(&whole)?;
                written.bytes += 2 * size;
                written.caused += 2 * size;
                window.1 += 2;
                let share = self.share();
                self.agents[n].schedule.written(begin + at, share);
                self.agents[n].written = whole.clone();
            }
        }
        written.most = written.most.max(window.1);
        Ok(written)
    }
}

/// The octets of a write.
fn size(status: &RouterStateStatus) -> Result<u64> {
    let object = json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "RouterState",
        "metadata": {
            "name": "node-1", "uid": "00000000-0000-0000-0000-000000000000", "generation": 1,
            "resourceVersion": "1000000", "creationTimestamp": "2027-01-15T08:00:00Z",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "00000000-0000-0000-0000-000000000000"}],
        },
        "spec": {"node": "node-1"}, "status": status,
    });
    Ok(object.to_string().len() as u64)
}

/// A page of metrics of a node with so many peers in its mesh, and how long it takes.
pub(crate) fn page(peers: usize, series: PeerSeries) -> Result<(String, Duration)> {
    let Mesh { status, peers, .. } = Mesh::new(peers)?;
    let mut totals = Totals::default();
    let begin = Instant::now();
    let page = render(
        METRICS,
        Snapshot::new(status, peers, Timings::default(), None, &mut totals, series),
    );
    Ok((page, begin.elapsed()))
}

fn status() -> Result<Status> {
    let status = json!({
        "version": "0.1.0", "pid": 1, "node": "node-1", "asn": 64512, "routerId": "10.0.0.1", "uptimeSeconds": 86400,
        "source": "an API server",
        "gates": [
            {"name": "source", "open": true, "message": "the state of the cluster is complete"},
            {"name": "kubeProxy", "open": true, "message": "kube-proxy at 127.0.0.1:10256 is healthy"},
        ],
        "convergence": {"converged": true}, "readiness": {"ready": true},
        "peers": {"configured": 2, "established": 2, "blocked": 0},
        "families": [
            {"family": "ipv4-unicast", "prefixes": 1, "paths": 1, "rejected": 0, "stale": 0, "originated": 2},
            {"family": "ipv6-unicast", "prefixes": 1, "paths": 1, "rejected": 0, "stale": 0, "originated": 2},
        ],
        "fib": {
            "table": 254, "metric": 32, "protocol": 179, "installedIpv4": 0, "installedIpv6": 0, "pending": 0, "failed": 0,
            "refused": 0, "overLimit": 0, "stale": 0, "nexthops": 0, "operations": 0, "batches": 0, "errors": 0,
            "resyncs": 0, "repairs": 0,
        },
    });
    serde_json::from_value(status).context("the status of a simulated agent")
}

fn peer(name: &str, object: &str, kind: &str) -> Result<Peer> {
    let messages =
        json!({"open": 1, "update": 2, "notification": 0, "keepalive": 2880, "routeRefresh": 0});
    let family = |family| {
        json!({
            "family": family, "negotiated": true, "received": 1, "accepted": 1, "best": 1, "advertised": 1,
            "endOfRibReceived": true, "endOfRibSent": true,
        })
    };
    let peer = json!({
        "name": name, "object": object, "kind": kind, "role": "internal", "address": "10.0.0.2", "asn": 64512,
        "localAsn": 64512, "state": "Established", "stateSeconds": 86400, "configuredHoldTimeSeconds": 90,
        "families": [family("ipv4-unicast"), family("ipv6-unicast")], "messagesSent": messages,
        "messagesReceived": messages, "establishedCount": 1,
    });
    serde_json::from_value(peer).context("a peer of a simulated agent")
}
