//! Peers that ask for a session that another one has: which is used, and what is said of the other.

use std::collections::BTreeMap;

use super::*;

/// What each node says of Peers that duplicate another: the Peer, and the other with what it is used for and why.
fn duplicates(text: &str) -> BTreeMap<String, Vec<String>> {
    let state = state(text);
    let of_node = |name: &String| {
        let intent = intend(&state, name, &LocalFacts::default());
        let warnings = intent.warnings.iter().filter(|w| w.kind.is_unused());
        warnings
            .map(|warning| {
                let WarningKind::PeerTwice {
                    what,
                    used,
                    precedence,
                    ..
                } = &warning.kind
                else {
                    panic!("{warning}");
                };
                format!("{}: {used}, {what}, {precedence:?}", warning.object)
            })
            .collect()
    };
    let names = state.nodes.keys();
    names.map(|name| (name.clone(), of_node(name))).collect()
}

#[test]
fn of_two_peers_for_one_session_the_loser_is_named_with_the_winner() {
    let peer = |name: &str, spec: &str| ours("Peer", name, "", spec);
    // An address is the same however it is written.
    for other in ["2001:DB8:0:0::1", "2001:db8::0001"] {
        let text = three()
            + &peer("a", "{address: '2001:db8::1', asn: 64500}")
            + &peer("b", &format!("{{address: '{other}', asn: 64501}}"));
        let expected = ["Peer b: Peer a, address 2001:db8::1, Name"];
        assert_eq!(duplicates(&text)["n1"], expected);
    }
    let mapped = three()
        + &peer("a", "{address: 192.0.2.1, asn: 64500}")
        + &peer("b", "{address: '::ffff:192.0.2.1', asn: 64500}");
    assert_eq!(
        duplicates(&mapped)["n1"],
        ["Peer b: Peer a, address 192.0.2.1, Name"]
    );
    // By a label of the node, on the nodes that have one.
    let by_label = three()
        + &node("n4", "tor: 192.0.2.1", "", &["192.0.2.14"], "")
        + &peer("a", "{address: 192.0.2.1, asn: 64500}")
        + &peer(
            "b",
            "{addressFrom: {nodeLabel: tor}, asn: 64500, nodeSelector: {matchLabels: {tor: 192.0.2.1}}}",
        );
    let found = duplicates(&by_label);
    assert_eq!(found["n4"], ["Peer b: Peer a, address 192.0.2.1, Name"]);
    assert!(found["n1"].is_empty());
    // Equal ranges, but not one within another, nor an address within one.
    let ranges = three()
        + &peer("a", "{range: 10.9.0.0/16, asn: 64500}")
        + &peer("b", "{range: 10.9.0.0/16, asn: 64500}")
        + &peer("c", "{range: 10.9.1.0/24, asn: 64500}")
        + &peer("d", "{address: 10.9.1.1, asn: 64500}");
    assert_eq!(
        duplicates(&ranges)["n1"],
        ["Peer b: Peer a, range 10.9.0.0/16, Name"]
    );
    // One link-local address on two links is two peers.
    let links = three()
        + &peer(
            "a",
            "{address: 'fe80::1', sourceInterface: eth0, asn: 64500}",
        )
        + &peer(
            "b",
            "{address: 'fe80::1', sourceInterface: eth1, asn: 64500}",
        )
        + &peer(
            "c",
            "{address: 'fe80::1', sourceInterface: eth1, asn: 64500}",
        );
    assert_eq!(
        duplicates(&links)["n1"],
        ["Peer c: Peer b, address fe80::1%eth1, Name"]
    );
}

#[test]
fn of_two_peers_with_the_same_nodes_the_loser_is_named_if_it_says_something_else() {
    let peer = |name: &str, spec: &str| ours("Peer", name, "", spec);
    let pairs = three() + &peer("a", "{nodes: {}}") + &peer("b", "{nodes: {}, timers: {hold: 9s}}");
    assert_eq!(
        duplicates(&pairs)["n1"],
        ["Peer b: Peer a, sessions with other nodes, Name"]
    );
    let many: String = (4..9)
        .map(|n| node(&format!("n{n}"), "", "", &[&format!("192.0.2.1{n}")], ""))
        .collect();
    assert_eq!(
        duplicates(&(pairs + &many))["n1"],
        ["Peer b: Peer a, sessions with other nodes, Name"]
    );
    // What Advertisements choose by differs as well.
    let labelled =
        three() + &peer("a", "{nodes: {}}") + &ours("Peer", "b", "role: rr", "{nodes: {}}");
    assert_eq!(
        duplicates(&labelled)["n1"],
        ["Peer b: Peer a, sessions with other nodes, Name"]
    );
    // One that loses some of its sessions is used.
    let partly = three()
        + &node("n4", "role: rr", "", &["192.0.2.14"], "")
        + &peer(
            "a",
            "{nodes: {selector: {matchLabels: {role: rr}}}, timers: {hold: 9s}}",
        )
        + &peer("b", "{nodes: {}}");
    assert!(duplicates(&partly)["n1"].is_empty());
    let said = warnings(&intent(&partly, "n1"));
    assert!(said[0].starts_with("Peer b: "), "{said:?}");
    // A node by its address and by its name: the address comes first, though not by name.
    let mixed = three()
        + &peer("a", "{nodes: {selector: {matchLabels: {role: rr}}}}")
        + &peer("z", "{address: 192.0.2.13, asn: internal}");
    let found = duplicates(&mixed);
    assert_eq!(
        found["n1"],
        ["Peer a: Peer z, address 192.0.2.13, Explicit"]
    );
    // A Peer for each of two reflectors: both ask for the session of these two, and say the same of it.
    let reflector = |name: &str| {
        let nodes =
            format!("{{selector: {{matchLabels: {{reflector: {name}}}}}, reflectors: true}}");
        peer(name, &format!("{{nodes: {nodes}}}"))
    };
    let reflectors = three()
        + &node("n4", "reflector: a", "", &["192.0.2.14"], "")
        + &node("n5", "reflector: b", "", &["192.0.2.15"], "")
        + &reflector("a")
        + &reflector("b");
    assert!(duplicates(&reflectors).values().all(Vec::is_empty));
    // The mesh does without, on both sides.
    let by_hand = three() + &peer("a", "{address: 192.0.2.12, asn: internal}");
    assert!(duplicates(&by_hand).values().all(Vec::is_empty));
}

/// A route reflector by its address, as a Peer that selects all nodes, itself among them.
#[test]
fn a_node_has_no_session_with_itself() {
    let text = three() + &ours("Peer", "rr", "", "{address: 192.0.2.13, asn: internal}");
    assert_eq!(peer_names(&intent(&text, "n1")), ["mesh/n2", "rr"]);
    let own = intent(&text, "n3");
    assert_eq!(peer_names(&own), ["mesh/n1", "mesh/n2"]);
    assert_eq!(
        warnings(&own),
        ["Peer rr: 192.0.2.13 is an address of the node itself, so it needs no session"]
    );
    assert!(
        !own.warnings[0].kind.is_unused(),
        "nothing is wrong with it"
    );
}
