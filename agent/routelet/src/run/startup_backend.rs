//! The backend of the servers: the state of the start while the source of cluster state is waited for, the agent itself
//! from then on.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ipnet::IpNet;
use routelet_base::timing::Timings;
use routelet_control::model::{
    ConnectionCounts, Convergence, DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery,
    FibSummary, Peer, PeerCounts, RefreshesLimited, ResetKind, Route, RouteQuery, Status,
};
use routelet_control::{Backend, Batches, ControlError};

use super::backend::Agent;
use super::gates::Gates;
use super::show::seconds_since;

/// See the module.
pub(crate) struct StartupBackend {
    node: String,
    source: String,
    started: Instant,
    gates: Arc<Gates>,
    agent: OnceLock<Agent>,
}

impl StartupBackend {
    /// Before there is an agent.
    pub(super) fn new(node: String, source: String, started: Instant, gates: Arc<Gates>) -> Self {
        Self {
            node,
            source,
            started,
            gates,
            agent: OnceLock::new(),
        }
    }

    /// The agent runs: it answers from now on. Only the first one counts.
    pub(super) fn set(&self, agent: Agent) {
        let _ = self.agent.set(agent);
    }

    fn agent(&self) -> Result<&Agent, ControlError> {
        self.agent.get().ok_or_else(|| {
            let closed = self.gates.list().into_iter().filter(|gate| !gate.open);
            let missing: Vec<String> = closed.map(|gate| gate.message).collect();
            ControlError::Refused {
                reason: format!(
                    "the agent is starting and has no routes yet: {}",
                    missing.join("; ")
                ),
            }
        })
    }
}

impl Backend for StartupBackend {
    async fn status(&self) -> Result<Status, ControlError> {
        if let Some(agent) = self.agent.get() {
            return agent.status().await;
        }
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            node: self.node.clone(),
            asn: None,
            router_id: None,
            uptime_seconds: seconds_since(self.started),
            source: self.source.clone(),
            watches: Vec::new(),
            listening: Vec::new(),
            drain: None,
            gates: self.gates.list(),
            convergence: Convergence::default(),
            readiness: None,
            peers: PeerCounts::default(),
            connections: ConnectionCounts::default(),
            ranges: Vec::new(),
            families: Vec::new(),
            attribute_sets: 0,
            fib: FibSummary::default(),
            problems: Vec::new(),
            hanging: Vec::new(),
            refused_announcements: 0,
            refused: Vec::new(),
            refreshes_limited: RefreshesLimited::default(),
            intent_runs: 0,
            intent_changed_seconds: None,
        })
    }

    fn timings(&self) -> Timings {
        self.agent.get().map(Agent::timings).unwrap_or_default()
    }

    async fn peers(&self) -> Result<Vec<Peer>, ControlError> {
        match self.agent.get() {
            Some(agent) => agent.peers().await,
            None => Ok(Vec::new()),
        }
    }

    async fn routes(&self, query: RouteQuery, out: Batches<Route>) -> Result<(), ControlError> {
        self.agent()?.routes(query, out).await
    }

    async fn fib(&self, query: FibQuery, out: Batches<FibEntry>) -> Result<(), ControlError> {
        self.agent()?.fib(query, out).await
    }

    async fn explain_prefix(&self, prefix: IpNet) -> Result<ExplainPrefix, ControlError> {
        self.agent()?.explain_prefix(prefix).await
    }

    async fn explain_service(
        &self,
        namespace: String,
        name: String,
    ) -> Result<ExplainService, ControlError> {
        self.agent()?.explain_service(namespace, name).await
    }

    async fn drain(&self, order: DrainOrder) -> Result<(), ControlError> {
        self.agent()?.drain(order).await
    }

    async fn reset_peer(&self, peer: String, kind: ResetKind) -> Result<(), ControlError> {
        self.agent()?.reset_peer(peer, kind).await
    }
}
