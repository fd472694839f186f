#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use routelet_api::{RouterSpec, ValueFrom};
use routelet_core::cluster::{ClusterState, Node, Object};
use routelet_core::intent::{LocalFacts, intend};

use super::*;

fn identity(asn: u32) -> Identity {
    Identity {
        asn: Some(Asn(asn)),
        router_id_from: Some(BgpIdentifier::from(std::net::Ipv4Addr::new(192, 0, 2, 50))),
        derived_router_id: None,
    }
}

#[test]
fn the_next_agent_of_the_node_has_the_as_of_the_last_one_and_that_of_another_node_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("routelet.sock");
    let mut first = Remembered::read(&socket, "n1");
    assert_eq!(first.identity(), Identity::default());
    for asn in [64_600, 4_200_000_000] {
        first.leave(identity(asn));
        let next = Remembered::read(&socket, "n1");
        assert_eq!(next.identity(), identity(asn));
    }
    let other = Remembered::read(&socket, "n2");
    assert_eq!(other.identity(), Identity::default());
    // Nothing else is left beside the socket.
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names, ["routelet.sock.identity"]);
}

#[test]
fn a_file_that_cannot_be_read_says_nothing_and_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("routelet.sock");
    let path = folder.path().join("routelet.sock.identity");
    for text in [
        "",
        "{",
        "{\"node\": \"n1\", \"asn\": -1}",
        &"x".repeat(5000),
    ] {
        fs::write(&path, text).unwrap();
        let mut found = Remembered::read(&socket, "n1");
        assert_eq!(found.identity(), Identity::default(), "{text}");
        found.leave(identity(64_600));
        assert_eq!(Remembered::read(&socket, "n1").identity(), identity(64_600));
    }
}

#[test]
fn an_agent_that_does_not_know_its_as_waits_and_says_for_what() {
    let folder = tempfile::tempdir().unwrap();
    let mut remembered = Remembered::read(&folder.path().join("socket"), "n1");
    let gates = Gates::default();
    let mut state = ClusterState::default();
    let spec = RouterSpec {
        asn_from: Some(ValueFrom {
            node_label: Some("asn".to_owned()),
            ..ValueFrom::default()
        }),
        ..RouterSpec::default()
    };
    let router = Object {
        name: "r".to_owned(),
        labels: routelet_api::selector::Labels::default(),
        spec,
    };
    state.routers.insert("r".to_owned(), Arc::new(router));
    let mut can_begin = |state: &ClusterState, identity| {
        let facts = LocalFacts {
            identity,
            ..LocalFacts::default()
        };
        let loaded = Snapshot::default();
        remembered.can_begin(&loaded, &intend(state, "n1", &facts), &gates)
    };
    assert!(can_begin(&state, identity(64_600)));
    assert_eq!(gates.list().len(), 0, "most nodes never wait for it");
    assert!(!can_begin(&state, Identity::default()));
    let gate = gates.list().remove(0);
    assert!(!gate.open && gate.message.contains("label asn"), "{gate:?}");
    let node = Node {
        name: "n1".to_owned(),
        labels: [("asn".into(), "64601".into())].into_iter().collect(),
        ..Node::default()
    };
    state.nodes.insert("n1".to_owned(), node.into());
    assert!(can_begin(&state, Identity::default()));
    assert!(gates.list()[0].open);
}

/// Routers of a name and an AS.
fn state(routers: &[(&str, u32)]) -> ClusterState {
    let mut state = ClusterState::default();
    for (name, asn) in routers {
        let router = Object {
            name: (*name).to_owned(),
            labels: routelet_api::selector::Labels::default(),
            spec: RouterSpec {
                asn: Some(*asn),
                ..RouterSpec::default()
            },
        };
        state.routers.insert((*name).to_owned(), Arc::new(router));
    }
    state
}

#[test]
fn nothing_is_left_for_the_next_agent_that_nobody_decided() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut remembered = Remembered::read(&socket, "n1");
    let router = |routers| {
        let state = state(routers);
        intend(&state, "n1", &LocalFacts::default()).router.clone()
    };
    remembered.keep(&router(&[]));
    assert_eq!(Remembered::read(&socket, "n1").identity().asn, None);
    remembered.keep(&router(&[("all", 64_700)]));
    let asn = || Remembered::read(&socket, "n1").identity().asn;
    assert_eq!(asn(), Some(Asn(64_700)));
    remembered.keep(&router(&[]));
    assert_eq!(asn(), Some(Asn(64_700)));
    // The number of no AS is not used.
    remembered.leave(identity(0));
    assert_eq!(asn(), None);
    LastNodes::read(&socket, "n1").leave(Some(&Node::default()), BTreeMap::new());
    remembered.forget();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
