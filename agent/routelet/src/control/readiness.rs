//! Whether the node should get traffic: the rule behind `/readyz` and `routelet status`.
//!
//! At first the node is ready when the first exchange of routes is over and every peer is up, but for those of the node mesh:
//! other nodes go and come, and a rollout must not wait for one that is dead. Nor for ever for a router that was down before:
//! after [`PATIENCE`] any one session will do. From then on it is ready while any peer is up: otherwise one dead node or router
//! would make every node of its mesh unready at once.

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
const TICK: Duration = Duration::from_secs(1);

/// How long all peers are waited for, once all gates are open and the routes have converged.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long nodes of the mesh are waited for after the start, before they count as down.
const MESH: Duration = Duration::from_secs(20);

/// How many peers a reason names.
const NAMED: usize = 5;

/// The rule, and whether the start is over. Shared by the control server and the HTTP port.
#[derive(Debug)]
pub(crate) struct Health<B> {
    backend: Arc<B>,
    /// Whether the node was ready once. Never falls back.
    started: AtomicBool,
    /// When all gates were open and the routes had converged.
    converged: OnceLock<Instant>,
}

impl<B: Backend> Health<B> {
    /// The rule over this agent, at the start of its life.
    pub(crate) fn new(backend: Arc<B>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            started: AtomicBool::new(false),
            converged: OnceLock::new(),
        })
    }

    /// The agent that is looked at.
    pub(crate) fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// Looks once a second until the start is over, and then ends. Spawn it beside the servers.
    pub(crate) async fn watch(self: Arc<Self>) {
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
    pub(crate) async fn status(&self) -> Result<Status, ControlError> {
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
pub(crate) enum Stage {
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
pub(crate) fn judge(status: &Status, stage: Stage) -> Readiness {
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

/// Which peers are not up, and the last that is known of each. Nodes of the mesh make no node unready. The text goes into the
/// RouterState: it is the same as long as the outage is.
fn absent(peers: &[Peer]) -> Option<String> {
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
pub(crate) fn shorten(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::control::fake;
    use crate::control::model::{Gate, GateName};

    #[test]
    fn at_the_start_routes_must_be_writable() {
        let mut status = fake::status();
        status.convergence.converged = true;
        status.peers.established = status.peers.configured;
        assert_eq!(judge(&status, Stage::Starting).reasons, [""; 0]);
        status.fib.unavailable = Some("the Router cannot be read".to_owned());
        let expected = "no routes can be installed: the Router cannot be read";
        assert_eq!(judge(&status, Stage::Starting).reasons, [expected]);
        assert!(judge(&status, Stage::Started).ready);
    }

    #[test]
    fn at_the_start_every_peer_must_be_up() {
        let mut status = fake::status();
        status.peers = PeerCounts {
            configured: 3,
            established: 2,
            ..PeerCounts::default()
        };
        let readiness = judge(&status, Stage::Starting);
        assert!(!readiness.ready);
        assert_eq!(
            readiness.reasons,
            ["starting: 2 of 3 sessions are established; one is enough 60 s after convergence"]
        );
        let later = judge(&status, Stage::Started);
        assert!(later.ready, "later, any one peer suffices");
    }

    #[test]
    fn later_the_last_peer_that_falls_makes_it_unready() {
        let mut status = fake::status();
        status.peers.established = 0;
        assert!(!judge(&status, Stage::Started).ready);
    }

    /// A rolling update goes on although a node is dead.
    #[test]
    fn nobody_waits_for_other_nodes() {
        let mut status = fake::status();
        status.peers = PeerCounts {
            configured: 5,
            established: 4,
            mesh: 3,
            mesh_established: 2,
            blocked: 0,
        };
        assert!(judge(&status, Stage::Starting).ready);
        status.convergence.converged = false;
        status.convergence.waiting_for = vec!["mesh/node-9 ipv4-unicast".to_owned()];
        assert!(!judge(&status, Stage::Starting).ready);
        status.convergence.only_mesh_is_down = true;
        status.uptime_seconds = 5;
        assert!(!judge(&status, Stage::Starting).ready, "they had no time");
        status.uptime_seconds = 20;
        assert!(judge(&status, Stage::Starting).ready);
        status.peers.established = 3;
        status.peers.mesh_established = 3;
        assert!(!judge(&status, Stage::Starting).ready, "no router is up");
        assert!(judge(&status, Stage::Started).ready);
        // Nodes and nobody else.
        status.peers = PeerCounts {
            configured: 1,
            mesh: 1,
            ..PeerCounts::default()
        };
        assert!(judge(&status, Stage::Starting).ready);
        assert!(judge(&status, Stage::Started).ready);
    }

    #[test]
    fn a_node_without_peers_is_ready() {
        let mut status = fake::status();
        status.peers = Default::default();
        assert!(judge(&status, Stage::Starting).ready);
        assert!(judge(&status, Stage::Started).ready);
    }

    #[test]
    fn a_closed_gate_and_missing_convergence_are_named_at_the_start_only() {
        let mut status = fake::status();
        status.peers.established = status.peers.configured;
        status.convergence.converged = false;
        status.convergence.waiting_for = vec!["tor-a ipv4-unicast".to_owned()];
        status.gates = vec![Gate {
            name: GateName::KubeProxy,
            open: false,
            message: "http://127.0.0.1:10256/healthz answers 503".to_owned(),
        }];
        assert_eq!(
            judge(&status, Stage::Starting).reasons,
            [
                "waiting for kubeProxy: http://127.0.0.1:10256/healthz answers 503",
                "routes have not converged yet: End-of-RIB awaited from tor-a ipv4-unicast",
            ]
        );
        assert!(judge(&status, Stage::Started).ready);
    }

    #[tokio::test]
    async fn the_end_of_the_start_is_remembered_and_absent_peers_are_named() {
        let fake = Arc::new(fake::Fake::new());
        let health = Health::new(Arc::clone(&fake));
        let before = health.status().await.unwrap().readiness.unwrap();
        assert!(!before.ready);
        assert!(
            before.reasons.iter().any(|r| r.contains("tor-b is Active")),
            "{before:?}"
        );
        fake.edit(|state| {
            state.status.peers.established = state.status.peers.configured;
        });
        Arc::clone(&health).watch().await;
        fake.edit(|state| state.status.peers.established = 1);
        assert!(health.status().await.unwrap().readiness.unwrap().ready);
        fake.edit(|state| state.status.peers.established = 0);
        assert!(!health.status().await.unwrap().readiness.unwrap().ready);
    }

    /// A router that was down before an update does not stop it for ever.
    #[tokio::test(start_paused = true)]
    async fn a_minute_after_the_routes_have_converged_one_session_is_enough() {
        let fake = Arc::new(fake::Fake::new());
        let health = Health::new(Arc::clone(&fake));
        let is_ready = async || health.status().await.unwrap().readiness.unwrap().ready;
        fake.edit(|state| {
            state.status.convergence.converged = false;
            state.status.peers.established = 1;
        });
        tokio::time::advance(PATIENCE * 2).await;
        assert!(
            !is_ready().await,
            "the time begins when routes have converged"
        );
        fake.edit(|state| state.status.convergence.converged = true);
        assert!(!is_ready().await);
        tokio::time::advance(PATIENCE - TICK).await;
        assert!(!is_ready().await);
        tokio::time::advance(TICK * 2).await;
        assert!(is_ready().await);
        fake.edit(|state| state.status.peers.established = 0);
        assert!(!is_ready().await);
    }
}
