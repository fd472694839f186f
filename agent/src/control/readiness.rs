//! Whether the node should get traffic: the rule behind `/readyz` and `routelet status`.
//!
//! At first the node is ready when every peer is up and the first exchange of routes is over. From then on it is ready
//! while any one peer is up: otherwise one dead node or router would make every node of its mesh unready at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::backend::Backend;
use super::model::{Peer, Readiness, Status};
use super::protocol::ControlError;

/// How often the first condition is looked at while it does not hold: a moment in which it held must not depend on
/// somebody's probe.
const TICK: Duration = Duration::from_secs(1);

/// How many peers a reason names.
const NAMED: usize = 5;

/// The rule, and whether the start is over. Shared by the control server and the HTTP port.
#[derive(Debug)]
pub struct Health<B> {
    backend: Arc<B>,
    /// Whether every peer was up once after the routes had converged. Never falls back.
    started: AtomicBool,
}

impl<B: Backend> Health<B> {
    /// The rule over this agent, at the start of its life.
    pub fn new(backend: Arc<B>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            started: AtomicBool::new(false),
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
        let started = self.note(&status);
        let mut readiness = judge(&status, started);
        if !readiness.ready {
            let peers = self.backend.peers().await?;
            readiness.reasons.extend(absent(&peers));
        }
        status.readiness = Some(readiness);
        Ok(status)
    }

    fn note(&self, status: &Status) -> bool {
        if start_is_over(status) {
            self.started.store(true, Ordering::Relaxed);
        }
        self.started.load(Ordering::Relaxed)
    }
}

fn start_is_over(status: &Status) -> bool {
    status.gates.iter().all(|gate| gate.open)
        && status.convergence.converged
        && status.peers.established >= status.peers.configured
}

/// The rule. `started`: whether the start was over at some time.
pub fn judge(status: &Status, started: bool) -> Readiness {
    let mut reasons = Vec::new();
    let peers = status.peers;
    if started {
        if peers.configured > 0 && peers.established == 0 {
            reasons.push(format!(
                "no session is established (of {} peers)",
                peers.configured
            ));
        }
    } else {
        for gate in status.gates.iter().filter(|gate| !gate.open) {
            reasons.push(format!("waiting for {}: {}", gate.name, gate.message));
        }
        if !status.convergence.converged {
            let what = match status.convergence.waiting_for.as_slice() {
                [] => String::new(),
                names => format!(": End-of-RIB awaited from {}", shorten(names)),
            };
            reasons.push(format!("routes have not converged yet{what}"));
        }
        if peers.established < peers.configured {
            reasons.push(format!(
                "starting: {} of {} sessions are established",
                peers.established, peers.configured
            ));
        }
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
    }
}

/// Which peers are not up, and the last that is known of each.
fn absent(peers: &[Peer]) -> Option<String> {
    let down: Vec<String> = peers
        .iter()
        .filter(|peer| !peer.is_established())
        .map(|peer| match peer.trouble() {
            Some(why) => format!("{} is {} ({why})", peer.name, peer.state),
            None => format!("{} is {}", peer.name, peer.state),
        })
        .collect();
    (!down.is_empty()).then(|| shorten(&down))
}

fn shorten(names: &[String]) -> String {
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
    use crate::control::model::Gate;

    #[test]
    fn at_the_start_every_peer_must_be_up() {
        let mut status = fake::status();
        status.peers.configured = 3;
        status.peers.established = 2;
        let readiness = judge(&status, false);
        assert!(!readiness.ready);
        assert_eq!(
            readiness.reasons,
            ["starting: 2 of 3 sessions are established"]
        );
        assert!(judge(&status, true).ready, "later, any one peer suffices");
    }

    #[test]
    fn later_the_last_peer_that_falls_makes_it_unready() {
        let mut status = fake::status();
        status.peers.established = 0;
        assert!(!judge(&status, true).ready);
    }

    #[test]
    fn a_node_without_peers_is_ready() {
        let mut status = fake::status();
        status.peers = Default::default();
        assert!(judge(&status, false).ready);
        assert!(judge(&status, true).ready);
    }

    #[test]
    fn a_closed_gate_and_missing_convergence_are_named_at_the_start_only() {
        let mut status = fake::status();
        status.peers.established = status.peers.configured;
        status.convergence.converged = false;
        status.convergence.waiting_for = vec!["tor-a ipv4-unicast".to_owned()];
        status.gates = vec![Gate {
            name: "kubeProxy".to_owned(),
            open: false,
            message: "http://127.0.0.1:10256/healthz answers 503".to_owned(),
        }];
        assert_eq!(
            judge(&status, false).reasons,
            [
                "waiting for kubeProxy: http://127.0.0.1:10256/healthz answers 503",
                "routes have not converged yet: End-of-RIB awaited from tor-a ipv4-unicast",
            ]
        );
        assert!(judge(&status, true).ready);
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
}
