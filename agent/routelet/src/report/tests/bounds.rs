//! A RouterState is of bounded size, whatever a node has to do with.

use super::super::router_state::MOST;
use super::*;

/// A node of a mesh of so many.
fn in_mesh(nodes: usize) -> (Status, Vec<Peer>) {
    let (mut status, all) = (fake::status(), fake::peers());
    let node = all.iter().find(|p| p.kind == PeerKind::Mesh).unwrap();
    let mut peers: Vec<Peer> = (1..nodes)
        .map(|n| Peer {
            name: format!("mesh/node-{n}"),
            ..node.clone()
        })
        .collect();
    peers.extend(all.into_iter().filter(|p| p.kind != PeerKind::Mesh));
    status.peers.mesh = u32::try_from(nodes - 1).unwrap();
    (status, peers)
}

fn size(status: &RouterStateStatus) -> usize {
    serde_json::to_string(status).unwrap().len()
}

#[test]
fn a_mesh_of_any_size_is_counted_and_those_that_are_down_are_named() {
    let said = |nodes: usize, down: usize| {
        let (status, mut peers) = in_mesh(nodes);
        for peer in &mut peers[..down] {
            peer.state = SessionState::Connect;
        }
        router_state(
            &status,
            &peers,
            &RouterStateStatus::default(),
            Some(1),
            at(0),
        )
    };
    let many = said(1000, 7);
    assert!(many.sessions.iter().all(|s| !s.peer.starts_with("mesh/")));
    assert_eq!(many.summary.mesh.as_deref(), Some("992/999"));
    assert_eq!(
        condition(&many, "MeshEstablished").message,
        "7 of 999: mesh/node-1 is Active; mesh/node-2 is Active; mesh/node-3 is Active; and 4 more"
    );
    assert!(size(&many).abs_diff(size(&said(11, 7))) < 20);
    assert!(size(&said(300, 0)) < 4096, "{}", size(&said(300, 0)));
}

#[test]
fn of_many_sessions_those_that_are_down_are_listed_and_all_are_counted() {
    let (status, all) = in_mesh(2);
    let tor = all.iter().find(|p| p.name == "tor-a").unwrap();
    let peers: Vec<Peer> = (100..400)
        .map(|n| Peer {
            name: format!("clients/n{n}"),
            object: "Peer clients".to_owned(),
            state: match n {
                390.. => SessionState::OpenSent,
                _ => SessionState::Established,
            },
            ..tor.clone()
        })
        .collect();
    let state = router_state(
        &status,
        &peers,
        &RouterStateStatus::default(),
        Some(1),
        at(0),
    );
    let listed: Vec<&str> = state.sessions.iter().map(|s| s.peer.as_str()).collect();
    assert_eq!(listed.len(), 20);
    assert_eq!((listed[0], listed[9]), ("clients/n100", "clients/n109"));
    assert_eq!((listed[10], listed[19]), ("clients/n390", "clients/n399"));
    let counts = &state.session_counts[0];
    assert_eq!((counts.sessions, counts.established), (300, 290));
    assert_eq!(
        (counts.object.as_str(), counts.down.len()),
        ("Peer clients", 3)
    );
}

/// Their own conditions repeat what is listed of objects that a node does not use.
#[test]
fn objects_that_are_not_used_are_listed_before_other_warnings_and_after_errors() {
    let (mut status, peers) = node();
    let problem = |severity, object: String, unused| Problem {
        severity,
        object: Some(object),
        file: None,
        line: None,
        field: None,
        message: String::new(),
        reason: Some(ProblemReason::Duplicate),
        unused,
        used_instead: unused.then(|| "Peer a".to_owned()),
    };
    let warnings = (0..40).map(|n| problem(Severity::Warning, format!("Peer {n}"), n == 39));
    status.problems = warnings.collect();
    let invalid = problem(Severity::Error, "Peer b".to_owned(), false);
    status.problems.push(invalid);
    let state = router_state(
        &status,
        &peers,
        &RouterStateStatus::default(),
        Some(1),
        at(0),
    );
    let objects: Vec<&str> = state.problems.iter().map(|p| p.object.as_str()).collect();
    assert_eq!(objects.len(), 20);
    assert_eq!(objects[..3], ["Peer b", "Peer 39", "Peer 0"]);
    assert_eq!(state.problems[1].used_instead.as_deref(), Some("Peer a"));
    assert!(state.problems[1].unused && !state.problems[2].unused);
}

/// Whatever a node has to do with, and however long the names and texts of others are.
#[test]
fn a_status_is_never_larger_than_its_bound() {
    let (mut status, all) = in_mesh(2);
    let long = || "\"\u{1}".repeat(2000);
    let tor = all.iter().find(|p| p.name == "tor-a").unwrap();
    let mut peers: Vec<Peer> = (0..3000)
        .map(|n| Peer {
            name: format!("{n}{}", long()),
            object: format!("Peer {}{}", n / 3, long()),
            state: SessionState::Active,
            blocked: Some(long()),
            kind: if n % 5 == 0 { PeerKind::Mesh } else { tor.kind },
            ..tor.clone()
        })
        .collect();
    for peer in &mut peers {
        let errors = [&mut peer.last_error_sent, &mut peer.last_error_received];
        for error in errors.into_iter().flatten() {
            error.text = long();
        }
    }
    let problem = |n: usize| Problem {
        severity: Severity::Error,
        object: Some(format!("{n}{}", long())),
        file: None,
        line: None,
        field: Some(long()),
        message: long(),
        reason: Some(ProblemReason::NothingAdvertised),
        unused: true,
        used_instead: Some(long()),
    };
    status.problems = (0..1000).map(problem).collect();
    status.gates = vec![
        Gate {
            name: GateName::Source,
            open: false,
            message: long()
        };
        9
    ];
    status.fib.unavailable = Some(long());
    status.refused_announcements = 1000;
    status.refused = vec![
        RefusedAnnouncement {
            prefix: long(),
            object: long(),
            reason: Reason::new(ReasonCode::NodeAddress, long()),
        };
        20
    ];
    status.readiness = Some(Readiness {
        ready: false,
        reasons: vec![long(); 100],
    });
    let before = RouterStateStatus::default();
    let state = router_state(&status, &peers, &before, Some(1), at(0));
    assert_eq!(state.summary.problems, 1000);
    assert!(size(&state) <= MOST, "{}", size(&state));
    assert!(
        size(&state) * 2 > MOST,
        "the bound says something: {}",
        size(&state)
    );
    // The names are cut, and known again.
    let later = router_state(&status, &peers, &state, Some(1), at(1));
    assert_eq!(Change::between(&later, &state), Change::Nothing);
}

#[test]
fn a_waiting_agent_says_no_as_number() {
    let (mut status, _) = in_mesh(2);
    status.asn = None;
    let state = router_state(&status, &[], &RouterStateStatus::default(), Some(1), at(0));
    let said = serde_json::to_value(&state).unwrap();
    assert!(
        said.get("asn").is_none() && said.get("mesh").is_none(),
        "{said}"
    );
    assert_eq!(condition(&state, "MeshEstablished").reason, "NoMesh");
}
