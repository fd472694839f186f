#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::cluster::{ClusterState, Object, ObjectRef, Problem, Severity};
use crate::intent::{LocalFacts, intend};

fn theirs() -> Claim {
    Claim::Theirs("process 7".to_owned())
}

fn facts(needs: Needs) -> Facts {
    Facts {
        needs,
        unknown: None,
        converged: false,
        uptime: Duration::ZERO,
    }
}

/// An agent that has begun, and writes.
fn owner(needs: Needs) -> Writing {
    let mut writing = Writing::default();
    writing.claimed(Instant::now(), needs, Claim::Ours);
    writing.begin(Instant::now(), needs, None);
    writing
}

#[test]
fn one_that_installs_routes_waits_for_another_agent_and_gives_up_in_the_end() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut writing = Writing::default();
    for (second, expected) in [
        (0, Begin::Wait { is_first: true }),
        (1, Begin::Wait { is_first: false }),
        (49, Begin::Wait { is_first: false }),
        (50, Begin::Never),
    ] {
        assert!(writing.has_to_claim(Needs::Routes));
        assert!(!writing.claimed(after(second), Needs::Routes, theirs()));
        assert_eq!(writing.begin(after(second), Needs::Routes, None), expected);
    }
    // The other one ends. What is in the kernel is adopted as at every start.
    assert!(!writing.claimed(after(51), Needs::Routes, Claim::Ours));
    let found = writing.begin(after(51), Needs::Routes, None);
    assert_eq!(found, Begin::Now { has_waited: true });
    assert!(writing.sweeps_when_converged() && !writing.is_aside());
}

#[test]
fn one_that_installs_no_routes_begins_beside_another_agent() {
    let now = Instant::now();
    for needs in [Needs::Nothing, Needs::Refusals] {
        let mut writing = Writing::default();
        assert!(!writing.has_to_claim(needs));
        let found = writing.begin(now, needs, None);
        assert_eq!(found, Begin::Now { has_waited: false });
        assert!(writing.is_aside());
    }
    // It says so only if it would write.
    let mut writing = Writing::default();
    writing.begin(now, Needs::Refusals, None);
    let asks = writing.follow(now, facts(Needs::Refusals), || false);
    assert_eq!(asks, [Step::Claim]);
    assert!(!writing.claimed(now, Needs::Refusals, theirs()));
    let why = writing.obstacle(Needs::Refusals).unwrap();
    assert!(why.contains("process 7"), "{why}");
    assert_eq!(writing.obstacle(Needs::Nothing), None);
    assert!(!writing.claimed(now, Needs::Refusals, Claim::Ours));
    assert_eq!(writing.obstacle(Needs::Refusals), None);
}

#[test]
fn one_that_comes_to_write_later_keeps_what_is_there_until_peers_had_their_time() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut writing = Writing::default();
    writing.begin(start, Needs::Nothing, None);
    let asks = writing.follow(after(9), facts(Needs::Routes), || false);
    assert_eq!(asks, [Step::Claim]);
    assert!(writing.claimed(after(9), Needs::Routes, Claim::Ours));
    let converged = Facts {
        converged: true,
        ..facts(Needs::Routes)
    };
    for (second, steps) in [
        (10, &[][..]),
        (38, &[]),
        (39, &[Step::Converged]),
        (99, &[]),
    ] {
        assert_eq!(writing.sweeps_when_converged(), second > 39);
        let found = writing.follow(after(second), converged.clone(), || false);
        assert_eq!(found, steps, "{second}");
    }
}

#[test]
fn nothing_is_written_while_a_router_that_cannot_be_read_may_name_another_table() {
    let now = Instant::now();
    let mut writing = Writing::default();
    writing.claimed(now, Needs::Routes, Claim::Ours);
    let unknown = || Some("Router r".to_owned());
    writing.begin(now, Needs::Routes, unknown());
    let of = |unknown| Facts {
        unknown,
        ..facts(Needs::Routes)
    };
    assert!(writing.follow(now, of(unknown()), || false).is_empty());
    assert!(writing.is_aside() && writing.is_owner());
    assert_eq!(writing.obstacle(Needs::Routes), unknown());
    let steps = writing.follow(now, of(None), || false);
    assert_eq!(steps, [Step::ConvergeAgain]);
    assert!(!writing.is_aside() && !writing.sweeps_when_converged());
}

#[test]
fn one_that_needs_nothing_looks_once_for_what_was_left_and_lets_others_write() {
    let now = Instant::now();
    let mut writing = Writing::default();
    writing.begin(now, Needs::Nothing, None);
    let of = |seconds, converged| Facts {
        converged,
        uptime: Duration::from_secs(seconds),
        ..facts(Needs::Nothing)
    };
    for (seconds, converged, steps) in [
        (31, false, &[][..]),
        (29, true, &[]),
        (30, true, &[Step::Claim]),
    ] {
        let found = writing.follow(now, of(seconds, converged), || panic!("it owns nothing"));
        assert_eq!(found, steps, "{seconds}");
    }
    assert!(!writing.claimed(now, Needs::Nothing, Claim::Ours));
    // First all of ours has to be gone.
    assert!(writing.follow(now, of(31, true), || false).is_empty());
    let found = writing.follow(now, of(32, true), || true);
    assert_eq!(found, [Step::Release]);
    assert!(writing.is_aside());
    let found = writing.follow(now, of(33, true), || panic!("it owns nothing"));
    assert!(found.is_empty(), "once");
    // One that writes gives nothing up while it is needed.
    let mut writing = owner(Needs::Routes);
    let found = writing.follow(now, facts(Needs::Routes), || panic!("it is needed"));
    assert!(found.is_empty() && writing.is_owner());
}

#[test]
fn what_a_predecessor_left_stays_for_a_while_once_its_place_is_known_and_until_convergence() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut returning = Return::default();
    assert!(!returning.is_under_way() && !returning.ends(after(100), true));
    returning.begins(after(100));
    // The routes converge before, or after.
    for (now, converged) in [(100, true), (129, true), (131, false)] {
        assert!(!returning.ends(after(now), converged), "{now}");
        assert!(returning.is_under_way());
    }
    assert!(returning.ends(after(131), true));
    assert!(
        !returning.is_under_way() && !returning.ends(after(200), true),
        "once"
    );
}

#[test]
fn the_place_of_routes_is_not_known_if_a_router_without_an_earlier_version_cannot_be_read() {
    let problem = |kind: &'static str, severity, has_earlier: bool| Problem {
        severity,
        file: None,
        line: None,
        object: Some(ObjectRef::cluster(kind, "r")),
        path: "spec.fib".to_owned(),
        reason: "cannot be read".to_owned(),
        meanwhile: has_earlier.then_some(crate::cluster::Meanwhile::LastGood),
    };
    let mut with_router = ClusterState::default();
    let router = Object {
        name: "all".to_owned(),
        labels: routelet_api::selector::Labels::default(),
        spec: routelet_api::RouterSpec::default(),
    };
    let router = Arc::new(router);
    with_router.routers.insert("all".to_owned(), router);
    let none = ClusterState::default();
    for (state, problem, expected) in [
        (&none, problem("Router", Severity::Error, false), true),
        (&none, problem("Router", Severity::Error, true), false),
        (&none, problem("Router", Severity::Warning, false), false),
        (&none, problem("Peer", Severity::Error, false), false),
        (
            &with_router,
            problem("Router", Severity::Error, false),
            false,
        ),
    ] {
        let intent = intend(state, "n1", &LocalFacts::default());
        let loaded = Snapshot {
            problems: Arc::new(vec![problem.clone()]),
            ..Snapshot::default()
        };
        let found = Writing::unknown(&loaded, &intent);
        assert_eq!(found.is_some(), expected, "{problem:?}");
    }
}
