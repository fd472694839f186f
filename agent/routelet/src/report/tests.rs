//! Claims about what a RouterState says.
#![allow(clippy::unwrap_used)]

mod bounds;

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use routelet_api::{Condition, RouterStateStatus};
use routelet_control::Health;
use routelet_control::backend::Backend;
use routelet_control::model::{
    Gate, GateName, Peer, PeerKind, Problem, ProblemReason, Readiness, Reason, ReasonCode,
    RefusedAnnouncement, SessionState, Severity, Status,
};

use super::router_state::router_state;
use super::schedule::Change;
use crate::contract::fake;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The fixture, whose mesh is one node.
fn node() -> (Status, Vec<Peer>) {
    let status = fake::status();
    assert_eq!((status.peers.mesh, status.peers.mesh_established), (1, 1));
    (status, fake::peers())
}

fn condition<'a>(status: &'a RouterStateStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|c| c.type_ == kind).unwrap()
}

#[test]
fn a_state_says_what_the_agent_says_of_itself() {
    let (status, peers) = node();
    let state = router_state(
        &status,
        &peers,
        &RouterStateStatus::default(),
        Some(1),
        at(1_800_000_000),
    );
    insta::assert_json_snapshot!(state);
}

#[test]
fn a_look_later_says_the_same_of_what_has_not_changed() {
    let (mut status, mut peers) = node();
    let first = router_state(
        &status,
        &peers,
        &RouterStateStatus::default(),
        Some(1),
        at(1_800_000_000),
    );
    // Ages are whole seconds: a little later they may be one more or less.
    for peer in &mut peers {
        peer.state_seconds += 11;
        let errors = [
            &mut peer.last_down,
            &mut peer.last_error_sent,
            &mut peer.last_error_received,
            &mut peer.last_connect_error,
        ];
        for error in errors.into_iter().flatten() {
            error.ago_seconds += 9;
        }
    }
    let later = router_state(&status, &peers, &first, Some(1), at(1_800_000_010));
    assert_eq!(later, first);

    peers[0].families[0].received += 1;
    status.families[0].originated += 1;
    let counts = router_state(&status, &peers, &later, Some(1), at(1_800_000_011));
    assert_eq!(Change::between(&counts, &later), Change::Counts);

    let in_mesh = peers.iter_mut().find(|p| p.name == "mesh/node-2").unwrap();
    in_mesh.state = SessionState::Active;
    status.peers.established -= 1;
    status.peers.mesh_established -= 1;
    let lost = router_state(&status, &peers, &later, Some(1), at(1_800_000_012));
    assert_eq!(Change::between(&lost, &later), Change::Mesh);
    assert_eq!(condition(&lost, "MeshEstablished").status, "False");

    peers[1].established_count += 1;
    let flapped = router_state(&status, &peers, &later, Some(1), at(1_800_000_012));
    assert_eq!(
        Change::between(&flapped, &later),
        Change::Matters,
        "a session that was made anew"
    );
}

/// The attempts of an outage follow each other every second; what is written to the API server does not follow them.
#[tokio::test]
async fn an_outage_that_goes_on_changes_nothing() {
    const CLOCK: i64 = 1_800_000_000;
    let fake = Arc::new(fake::Fake::new());
    let health = Health::new(Arc::clone(&fake));
    let state = async |before: &RouterStateStatus| {
        let status = health.status().await.unwrap();
        let peers = health.backend().peers().await.unwrap();
        router_state(&status, &peers, before, Some(1), at(CLOCK))
    };
    let attempt = |word: SessionState| {
        fake.edit(|all| {
            (all.status.peers.established, all.status.peers.mesh) = (1, 1);
            all.status.peers.mesh_established = 1;
            for peer in &mut all.peers {
                let is_mesh = peer.kind == PeerKind::Mesh;
                if !is_mesh && peer.blocked.is_none() {
                    peer.state = word;
                }
            }
        });
    };
    attempt(SessionState::Connect);
    let first = state(&RouterStateStatus::default()).await;
    let ready = condition(&first, "Ready");
    assert_eq!(ready.status, "False");
    assert!(ready.message.contains("tor-b is Active"), "{ready:?}");
    for word in [
        SessionState::Active,
        SessionState::Idle,
        SessionState::OpenSent,
        SessionState::OpenConfirm,
    ] {
        attempt(word);
        assert_eq!(state(&first).await, first, "{word}");
    }

    // Other nodes have a condition and a pace of their own.
    fake.edit(|all| {
        all.status.peers.established = 0;
        all.status.peers.mesh_established = 0;
        let mut peers = all.peers.iter_mut();
        let node = peers.find(|peer| peer.kind == PeerKind::Mesh).unwrap();
        node.state = SessionState::Idle;
    });
    let lost = state(&first).await;
    assert_eq!(Change::between(&lost, &first), Change::Mesh);
}

/// How many nodes there are is no part of the reason why a node with routers is not ready.
#[tokio::test]
async fn a_node_that_is_added_to_the_mesh_does_not_matter_to_an_outage() {
    let fake = Arc::new(fake::Fake::new());
    let health = Health::new(Arc::clone(&fake));
    fake.edit(|all| all.status.peers.established = all.status.peers.configured);
    assert!(health.status().await.unwrap().readiness.unwrap().ready);
    let reasons = async |mesh: u32| {
        fake.edit(|all| {
            all.status.peers.established = 0;
            (all.status.peers.configured, all.status.peers.mesh) = (3 + mesh, mesh);
        });
        health.status().await.unwrap().readiness.unwrap().reasons
    };
    let few = reasons(1).await;
    assert_eq!(
        few[0],
        "no session is established (of 3 peers, nor in the node mesh)"
    );
    assert_eq!(reasons(2).await, few);
}

#[test]
fn conditions_name_what_stands_in_the_way() {
    let (mut status, mut peers) = (fake::status(), fake::peers());
    status.readiness = Some(Readiness {
        ready: false,
        reasons: vec!["no session".to_owned(), "no gate".to_owned()],
    });
    status.fib.failed = 3;
    status
        .problems
        .retain(|problem| problem.severity == Severity::Error);
    let state = router_state(&status, &peers, &RouterStateStatus::default(), None, at(0));
    assert_eq!(condition(&state, "Ready").message, "no session; no gate");
    assert!(
        condition(&state, "SessionsEstablished")
            .message
            .contains("tor-b")
    );
    assert_eq!(condition(&state, "RoutesInstalled").reason, "KernelRefuses");
    assert_eq!(condition(&state, "ConfigurationAccepted").status, "False");

    status.readiness = Some(Readiness {
        ready: true,
        reasons: Vec::new(),
    });
    status.fib.failed = 0;
    status.problems.clear();
    peers.retain(|peer| peer.is_established());
    let state = router_state(&status, &peers, &state, None, at(1));
    assert!(
        state.conditions.iter().all(|c| c.status == "True"),
        "{:?}",
        state.conditions
    );
}

#[test]
fn what_must_not_be_announced_is_a_condition_that_names_the_rule() {
    let (mut status, peers) = (fake::status(), fake::peers());
    let refused = |at: usize| RefusedAnnouncement {
        prefix: format!("192.0.2.{at}/32"),
        object: format!("Service shop/s{at}"),
        reason: Reason::new(ReasonCode::NodeAddress, format!("an address of Node n{at}")),
    };
    let mut said = |count: u64| {
        status.refused_announcements = count;
        status.refused = (0..usize::try_from(count).unwrap().min(20))
            .map(refused)
            .collect();
        let before = RouterStateStatus::default();
        let state = router_state(&status, &peers, &before, Some(1), at(1_800_000_000));
        let found = condition(&state, "AnnouncementsAllowed");
        (
            found.status.clone(),
            found.reason.clone(),
            found.message.clone(),
        )
    };
    let text = |status: &str, reason: &str, message: &str| {
        (status.to_owned(), reason.to_owned(), message.to_owned())
    };
    assert_eq!(said(0), text("True", "Allowed", ""));
    let first = "192.0.2.0/32 (Service shop/s0): an address of Node n0 (rule nodeAddress)";
    assert_eq!(said(1), text("False", "Refused", first));
    let (_, _, many) = said(47);
    assert!(
        many.starts_with(first) && many.ends_with("Node n4 (rule nodeAddress) and 42 more"),
        "{many}"
    );
}
