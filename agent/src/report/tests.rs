//! Claims about what a RouterState says.
#![allow(clippy::unwrap_used)]

use k8s_openapi::jiff::Timestamp;

use super::router_state::{differs_in_kind, router_state};
use crate::control::fake;
use crate::control::model::{Readiness, Reason, RefusedAnnouncement, Severity};
use crate::crd::{Condition, RouterStateStatus};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn condition<'a>(status: &'a RouterStateStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|c| c.type_ == kind).unwrap()
}

#[test]
fn a_state_says_what_the_agent_says_of_itself() {
    let (status, peers) = (fake::status(), fake::peers());
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
    let (mut status, mut peers) = (fake::status(), fake::peers());
    let first = router_state(
        &status,
        &peers,
        &RouterStateStatus::default(),
        Some(1),
        at(1_800_000_000),
    );
    // Ages are told in whole seconds: a look a little later may find them one more or less.
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
    assert!(
        counts != later && !differs_in_kind(&counts, &later),
        "counts alone"
    );

    peers[0].established_count += 1;
    let flapped = router_state(&status, &peers, &later, Some(1), at(1_800_000_012));
    assert!(
        differs_in_kind(&flapped, &later),
        "a session that was made anew"
    );
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
        reason: Reason::new("nodeAddress", format!("an address of Node n{at}")),
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
