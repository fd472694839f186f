//! Whether the node should get traffic: the rule behind `/readyz` and `routelet status`.
//!
//! At first the node is ready when the first exchange of routes is over and every peer is up, but for those of the node
//! mesh: other nodes go and come, and a rollout must not wait for one that is dead. Nor for ever for a router that was
//! down before: after [`PATIENCE`] any one session will do. From then on it is ready while any peer is up: otherwise
//! one dead node or router would make every node of its mesh unready at once.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::backend::Backend;
use super::model::{Peer, PeerCounts, PeerKind, Readiness, Status};
use super::protocol::ControlError;

/// How often the first condition is looked at while it does not hold: a moment in which it held must not depend on
/// somebody's probe.
pub const TICK: Duration = Duration::from_secs(1);

/// How long all peers are waited for, once all gates are open and the routes have converged.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long nodes of the mesh are waited for after the start, before they count as down.
const MESH: Duration = Duration::from_secs(20);

/// How many peers a reason names.
const NAMED: usize = 5;

/// The rule, and whether the start is over. Shared by the control server and the HTTP port.
#[derive(Debug)]
pub struct Health<B> {
    backend: Arc<B>,
    /// Whether the node was ready once. Never falls back.
    started: AtomicBool,
    /// When all gates were open and the routes had converged.
    converged: OnceLock<Instant>,
}

impl<B: Backend> Health<B> {
    /// The rule over this agent, at the start of its life.
    pub fn new(backend: Arc<B>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            started: AtomicBool::new(false),
            converged: OnceLock::new(),
        })
    }

    /// The agent that is looked at.
    pub fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// Looks once a second until the start is over, and then ends. Spawn it beside the servers.
    pub async fn watch(self: Arc<Self>) {
        let mut tick = tokio::time::interval(TICK);
        while !self.started.load(Ordering::Relaxed) {
            tick.tick().await;
            if let Ok(status) = self.backend.status().await {
                self.note(&status);
            }
        }
    }

    /// The agent's status, with the readiness filled in.
    ///
    /// # Errors
    /// What the agent answers.
    pub async fn status(&self) -> Result<Status, ControlError> {
        let mut status = self.backend.status().await?;
        let stage = self.note(&status);
        let mut readiness = judge(&status, stage);
        if !readiness.ready {
            let peers = self.backend.peers().await?;
            readiness.reasons.extend(absent(&peers));
        }
        status.readiness = Some(readiness);
        Ok(status)
    }

    fn note(&self, status: &Status) -> Stage {
        if self.started.load(Ordering::Relaxed) {
            return Stage::Started;
        }
        let stage = if has_converged(status) {
            let since = self.converged.get_or_init(Instant::now);
            if since.elapsed() > PATIENCE {
                Stage::Started
            } else {
                Stage::Starting
            }
        } else {
            Stage::Starting
        };
        if judge(status, stage).ready {
            self.started.store(true, Ordering::Relaxed);
            return Stage::Started;
        }
        stage
    }
}

/// How far the agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Every peer is waited for.
    Starting,
    /// Any session will do.
    Started,
}

fn has_converged(status: &Status) -> bool {
    status.gates.iter().all(|gate| gate.open) && is_exchanged(status)
}

/// Whether the first exchange of routes is over, but for nodes that may be dead.
fn is_exchanged(status: &Status) -> bool {
    let mesh_is_down =
        status.convergence.only_mesh_is_down && status.uptime_seconds >= MESH.as_secs();
    status.convergence.converged || mesh_is_down
}

/// The rule.
pub fn judge(status: &Status, stage: Stage) -> Readiness {
    let mut reasons = Vec::new();
    let PeerCounts {
        configured,
        established,
        mesh,
        mesh_established,
        ..
    } = status.peers;
    let peers = configured.saturating_sub(mesh);
    match stage {
        // Other nodes may all be down, and this one serves its routers, or has none.
        Stage::Started => {
            if peers > 0 && established == 0 {
                // How many nodes the mesh has is no part of it: the text must not change as nodes come and go.
                let nodes = if mesh > 0 {
                    ", nor in the node mesh"
                } else {
                    ""
                };
                reasons.push(format!(
                    "no session is established (of {peers} peers{nodes})"
                ));
            }
        }
        Stage::Starting => {
            for gate in status.gates.iter().filter(|gate| !gate.open) {
                reasons.push(format!("waiting for {}: {}", gate.name, gate.message));
            }
            if let Some(why) = &status.fib.unavailable {
                reasons.push(format!("no routes can be installed: {why}"));
            }
            if !is_exchanged(status) {
                let what = match status.convergence.waiting_for.as_slice() {
                    [] => String::new(),
                    names => format!(": End-of-RIB awaited from {}", shorten(names)),
                };
                reasons.push(format!("routes have not converged yet{what}"));
            }
            let up = established.saturating_sub(mesh_established);
            if up < peers {
                let patience = PATIENCE.as_secs();
                reasons.push(format!(
                    "starting: {up} of {peers} sessions are established; one is enough {patience} s after convergence"
                ));
            }
        }
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
    }
}

/// Which peers are not up, and the last that is known of each. Nodes of the mesh make no node unready. The text goes
/// into the RouterState: it is the same as long as the outage is.
pub fn absent(peers: &[Peer]) -> Option<String> {
    let down: Vec<String> = peers
        .iter()
        .filter(|peer| !peer.is_established() && peer.kind != PeerKind::Mesh)
        .map(|peer| {
            let (name, state) = (&peer.name, peer.steady_state());
            match peer.trouble() {
                Some(why) => format!("{name} is {state} ({why})"),
                None => format!("{name} is {state}"),
            }
        })
        .collect();
    (!down.is_empty()).then(|| shorten(&down))
}

/// The first few of a list, and how many more there are: a large mesh must not fill the screen.
pub fn shorten(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}
