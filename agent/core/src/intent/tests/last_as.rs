//! Which AS others expect of a node while the label that says it is missing.

use std::collections::BTreeMap;

use bgp::fsm::RemoteAsn;
use bgp::types::Asn;

use super::identity::own;
use super::*;

/// Other nodes go on with the AS that the node itself goes on with: otherwise each of them would end its session.
#[test]
fn others_expect_the_last_as_of_a_node_while_its_label_is_missing() {
    let without = |labels: &str| {
        own("asn: '64600'", &["192.0.2.1"])
            + &node("n2", labels, "10.2.0.0/24", &["192.0.2.12"], "")
            + &ours("Peer", "other-as", "", "{nodes: {}, asn: external}")
    };
    let with =
        |labels: &str| without(labels) + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let mut last = LastAsNumbers::default();
    let mut planner = Planner::new("n1");
    let mut peers = |text: &str| {
        let state = last.follow(Arc::new(state(text)));
        let (intent, _) = planner.plan(&state, &LocalFacts::default(), Phase::default());
        let anew = intend(&state, "n1", &LocalFacts::default());
        assert_eq!(intent, anew, "as if it had been planned from nothing");
        let peers = intent.peers.iter();
        let peers =
            peers.map(|peer| format!("{} {:?}", peer.name, peer.session.protocol.remote_asn));
        peers.collect::<Vec<_>>()
    };
    for (what, labels, expected) in [
        (
            "ours, as it says",
            "asn: '64600'",
            "mesh/n2 Number(Asn(64600))",
        ),
        ("missing", "rack: a", "mesh/n2 Number(Asn(64600))"),
        (
            "another one",
            "asn: '64601'",
            "other-as/n2 Number(Asn(64601))",
        ),
        ("missing again", "", "other-as/n2 Number(Asn(64601))"),
        ("unusable", "asn: x", "other-as/n2 Number(Asn(64601))"),
        ("ours again", "asn: '64600'", "mesh/n2 Number(Asn(64600))"),
    ] {
        assert_eq!(peers(&with(labels)), [expected], "{what}");
    }
    // The Router says it itself, and is to take it from the label then; also if there is none in between, which decides nothing.
    let fixed = |asn: u32| without("") + &ours("Router", "r", "", &format!("{{asn: {asn}}}"));
    for (what, text, expected) in [
        ("said", fixed(64700), "mesh/n2 Number(Asn(64700))"),
        (
            "to be that of the label",
            with(""),
            "other-as/n2 Number(Asn(64700))",
        ),
        ("said again", fixed(64701), "mesh/n2 Number(Asn(64701))"),
        ("by nobody", without(""), "mesh/n2 Number(Asn(64512))"),
        (
            "of the label again",
            with(""),
            "other-as/n2 Number(Asn(64701))",
        ),
    ] {
        assert_eq!(peers(&text), [expected], "{what}");
    }
    // Gone for good, and another one of its name.
    assert_eq!(peers(&own("asn: '64601'", &["192.0.2.1"])), [""; 0]);
}

#[test]
fn an_agent_that_is_started_expects_what_the_one_before_did_of_nodes_whose_label_is_missing() {
    let with = |labels: &str| {
        let nodes = own("asn: '64600'", &["192.0.2.1"])
            + &node("n2", labels, "10.2.0.0/24", &["192.0.2.12"], "")
            + &node("n3", "asn: '64603'", "10.3.0.0/24", &["192.0.2.13"], "");
        let router = ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
        let peer = ours("Peer", "other-as", "", "{nodes: {}, asn: external}");
        Arc::new(state(&(nodes + &router + &peer)))
    };
    let mut last = LastAsNumbers::default();
    last.follow(with("asn: '64601'"));
    assert!(last.lacking().is_empty());
    last.follow(with(""));
    // Over any number of restarts.
    for _ in 0..2 {
        let left = last.lacking();
        assert_eq!(left, [("n2".to_owned(), Asn(64601))].into());
        last = LastAsNumbers::following(left);
        let state = last.follow(with(""));
        let intent = intend(&state, "n1", &LocalFacts::default());
        let peer = intent.peers.iter().find(|peer| peer.name == "other-as/n2");
        let peer = peer.unwrap();
        assert_eq!(
            peer.session.protocol.remote_asn,
            RemoteAsn::Number(Asn(64601))
        );
        assert!(!peer.is_doubtful, "it is waited for");
    }
    last.follow(with("asn: '64602'"));
    assert!(last.lacking().is_empty());
}

/// A Node that is made again may not be there when the agent starts, and a Router may be gone for a moment.
#[test]
fn the_last_as_of_a_node_that_is_not_there_yet_outlives_a_restart() {
    let with = |n2: &str, router: &str| {
        Arc::new(state(&(own("asn: '64600'", &["192.0.2.1"]) + n2 + router)))
    };
    let bare = node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "");
    let router = ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let left: BTreeMap<String, Asn> = [("n2".to_owned(), Asn(64601))].into();
    let mut last = LastAsNumbers::following(left.clone());
    last.follow(with("", &router));
    assert_eq!(last.lacking(), left);
    last.follow(with("", ""));
    assert_eq!(last.lacking(), left);
    last.follow(with("", &router));
    let state = last.follow(with(&bare, &router));
    assert_eq!(state.nodes["n2"].asn_before, Some(Asn(64601)));
    assert_eq!(last.lacking(), left);
    last.follow(with("", &router));
    assert!(last.lacking().is_empty(), "it was there, and went");
}

/// Where no agent was there before, nobody knows the last one. In a mesh of one AS it is ours; what else it is its OPEN says.
#[test]
fn a_node_whose_as_was_never_known_is_tried_as_one_of_ours() {
    let text = own("asn: '64600'", &["192.0.2.1"])
        + &node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "")
        + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}");
    let intent = intent(&text, "n1");
    assert_eq!(peer_names(&intent), ["mesh/n2"]);
    let expected = RemoteAsn::Number(Asn(64600));
    assert_eq!(intent.peers[0].session.protocol.remote_asn, expected);
}

/// It may be of another AS then, and would never have the session that others wait for: 120 s at each of their starts.
#[test]
fn a_node_whose_as_was_never_known_is_not_waited_for_where_nodes_are_in_several() {
    let text = |asn: &str| {
        own("asn: '64600'", &["192.0.2.1"])
            + &node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "")
            + &node("n3", asn, "10.3.0.0/24", &["192.0.2.13"], "")
            + &node("n4", "asn: '64600'", "10.4.0.0/24", &["192.0.2.14"], "")
            + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}")
    };
    let doubtful = |asn: &str| {
        let intent = intent(&text(asn), "n1");
        let peers = intent.peers.iter();
        let all = peers.map(|peer| format!("{} {}", peer.name, peer.is_doubtful));
        all.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        doubtful("asn: '64600'"),
        "mesh/n2 false, mesh/n3 false, mesh/n4 false"
    );
    assert_eq!(doubtful("asn: '64601'"), "mesh/n2 true, mesh/n4 false");
    assert_eq!(doubtful(""), "mesh/n2 false, mesh/n3 false, mesh/n4 false");
}
