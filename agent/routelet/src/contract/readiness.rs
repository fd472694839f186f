//! When a node gets traffic, with real answers.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use routelet_control::Health;
use routelet_control::model::{Gate, GateName, PeerCounts};
use routelet_control::readiness::{PATIENCE, Stage, TICK, judge};

use super::fake;

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
