//! Sessions between nodes, in a mesh or with reflectors, and that both ends agree.

use std::collections::BTreeMap;

use super::*;

/// Peers of each node, with kind and target.
fn sessions(text: &str) -> BTreeMap<String, Vec<String>> {
    let state = state(text);
    let names = state.nodes.keys();
    names
        .map(|name| {
            let intent = intend(&state, name, &LocalFacts::default());
            let peers = intent.peers.iter();
            let shown = peers.map(|p| format!("{} {} {:?}", p.name, p.target, p.config.kind));
            (name.clone(), shown.collect())
        })
        .collect()
}

/// Every session between nodes is configured at both ends, with each other's addresses.
fn assert_symmetric(text: &str) {
    let state = state(text);
    let mut ends = Vec::new();
    for name in state.nodes.keys() {
        for peer in intend(&state, name, &LocalFacts::default()).peers.iter() {
            if let (PeerTarget::Address { address, .. }, Some(local)) =
                (&peer.target, peer.session.transport.local)
            {
                ends.push((local, *address));
            }
        }
    }
    for (local, remote) in &ends {
        assert!(
            ends.contains(&(*remote, *local)),
            "{local} to {remote} has no other end"
        );
    }
}

#[test]
fn nodes_of_one_as_make_a_full_mesh_over_ipv4_and_both_ends_agree() {
    let sessions = sessions(&three());
    assert_eq!(
        sessions["n1"],
        ["mesh/n2 192.0.2.12 Internal", "mesh/n3 192.0.2.13 Internal"]
    );
    assert_eq!(
        sessions["n3"],
        ["mesh/n1 192.0.2.11 Internal", "mesh/n2 192.0.2.12 Internal"]
    );
    assert_symmetric(&three());
}

#[test]
fn the_mesh_uses_ipv6_where_both_want_it_or_nothing_else_is_in_common() {
    let router = |rack: &str| {
        ours(
            "Router",
            &format!("r{rack}"),
            "",
            &format!(
                "{{nodeSelector: {{matchLabels: {{rack: {rack}}}}}, mesh: {{transport: ipv6}}}}"
            ),
        )
    };
    let one = three() + &router("a");
    assert_eq!(
        sessions(&one)["n1"],
        [
            "mesh/n2 2001:db8::12 Internal",
            "mesh/n3 192.0.2.13 Internal"
        ]
    );
    assert_symmetric(&one);
    let only_v6 = three()
        + &node("n4", "", "", &["2001:db8::14"], "")
        + &node("n5", "", "", &["192.0.2.15"], "");
    let all = sessions(&only_v6);
    assert!(all["n1"].contains(&"mesh/n4 2001:db8::14 Internal".to_owned()));
    assert!(!all["n4"].iter().any(|p| p.starts_with("mesh/n5")));
    assert_eq!(
        warnings(&intent(&only_v6, "n4")),
        [
            "Router (built-in default): node n5 and this node have no InternalIPs of one family; they cannot have a \
             session"
        ]
    );
}

#[test]
fn another_as_or_a_disabled_mesh_has_no_sessions() {
    let other_as = three()
        + &ours(
            "Router",
            "b",
            "",
            "{nodeSelector: {matchLabels: {rack: b}}, asn: 64513}",
        );
    assert_eq!(sessions(&other_as)["n1"], ["mesh/n2 192.0.2.12 Internal"]);
    assert_eq!(sessions(&other_as)["n3"], Vec::<String>::new());
    let off = three()
        + &ours(
            "Router",
            "b",
            "",
            "{nodeSelector: {matchLabels: {rack: b}}, mesh: {enabled: false}}",
        );
    assert_eq!(sessions(&off)["n1"], ["mesh/n2 192.0.2.12 Internal"]);
    assert_symmetric(&off);
}

#[test]
fn a_node_that_does_not_listen_is_not_dialled() {
    let silent = three()
        + &ours(
            "Router",
            "b",
            "",
            "{nodeSelector: {matchLabels: {rack: b}}, listen: {enabled: false}}",
        );
    let of = |node: &str| {
        let intent = intent(&silent, node);
        let peers = intent.peers.iter();
        peers
            .map(|p| (p.name.clone(), p.session.protocol.passive))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of("n1"),
        [("mesh/n2".to_owned(), false), ("mesh/n3".to_owned(), true)]
    );
    assert_eq!(
        of("n3"),
        [("mesh/n1".to_owned(), false), ("mesh/n2".to_owned(), false)]
    );
}

#[test]
fn a_reflector_by_label_replaces_the_mesh_of_those_it_serves() {
    let text = three()
        + &ours(
            "Peer",
            "rr",
            "",
            "{asn: internal, nodes: {selector: {matchLabels: {role: rr}}, reflectors: true}}",
        );
    let all = sessions(&text);
    assert_eq!(all["n1"], ["rr/n3 192.0.2.13 Internal"]);
    assert_eq!(all["n2"], ["rr/n3 192.0.2.13 Internal"]);
    assert_eq!(
        all["n3"],
        [
            "rr/n1 192.0.2.11 ReflectorClient",
            "rr/n2 192.0.2.12 ReflectorClient"
        ]
    );
    assert_symmetric(&text);
    // With no reflector left, the mesh is back.
    let none = text.replace("rack: b, role: rr", "rack: b");
    assert_eq!(
        sessions(&none)["n1"],
        ["mesh/n2 192.0.2.12 Internal", "mesh/n3 192.0.2.13 Internal"]
    );
}

/// Of a node that was made again, the agent, started since, may know only what its object says.
#[test]
fn what_a_node_is_only_by_labels_from_before_does_not_replace_the_mesh() {
    let text = three()
        + &ours(
            "Peer",
            "rr",
            "",
            "{asn: internal, nodeSelector: {matchExpressions: [{key: rack, operator: Exists}]}, nodes: {selector: {matchLabels: \
             {role: rr}}, reflectors: true}}",
        )
        + &ours("Router", "by-label", "", "{asnFrom: {nodeLabel: asn}}");
    let text = text.replace("rack: a", "rack: a, asn: \"64600\"");
    let text = text.replace("rack: b, ", "rack: b, asn: \"64600\", zone: z, ");
    // Whether n1 has a session of the mesh, with n2 if `of` is n3, which is the reflector.
    let peers = |of: &str, lacks: &[&str]| {
        let mut state = state(&text);
        let whole = Node::clone(&state.nodes[of]);
        let labels = whole.labels.keys();
        let has = labels.filter(|key| !lacks.contains(&key.as_str()));
        let pairs = has.map(|key| (key.clone(), whole.labels.get(key).unwrap().into()));
        let object = Node {
            labels: pairs.collect(),
            ..whole.clone()
        };
        let again = Node {
            as_object: Some(object.into()),
            ..whole
        };
        state.nodes.insert(of.to_owned(), again.into());
        let intent = intend(&state, "n1", &LocalFacts::default());
        intent
            .peers
            .iter()
            .map(|p| p.name.clone())
            .collect::<Vec<_>>()
    };
    for (of, lacks, expected) in [
        ("n3", &[][..], &["rr/n3"][..]),
        ("n3", &["zone"], &["rr/n3"]),
        // It is in an AS all the same: agents go on with the last one.
        ("n3", &["asn"], &["rr/n3"]),
        ("n3", &["role"], &["mesh/n2", "rr/n3"]),
        ("n2", &["asn"], &["rr/n3"]),
        ("n2", &["rack"], &["mesh/n2", "rr/n3"]),
    ] {
        assert_eq!(peers(of, lacks), expected, "{of} without {lacks:?}");
    }
}

#[test]
fn nodes_of_the_mesh_know_services_and_reflectors_are_told_of_them() {
    let reflectors = ours(
        "Peer",
        "rr",
        "",
        "{asn: internal, nodes: {selector: {matchLabels: {role: rr}}, reflectors: true}}",
    );
    let knowing = |more: &str| {
        let intent = intent(&(three() + more), "n1");
        let peers = intent.peers.iter();
        let knowing = peers.filter(|peer| peer.config.knows_services);
        let names: Vec<&str> = knowing.map(|peer| peer.name.as_str()).collect();
        names.join(" ")
    };
    assert_eq!(knowing(""), "mesh/n2 mesh/n3");
    assert_eq!(knowing(&reflectors), "");
    // Who passes on is told: a node in front of a router that is its client, one that gives transit, the reflector of others.
    for (kind, spec) in [
        (
            "Peer",
            "{address: 192.0.2.99, asn: internal, routeReflectorClient: true, nodeSelector: {matchLabels: {role: rr}}}",
        ),
        (
            "Router",
            "{transit: true, nodeSelector: {matchLabels: {role: rr}}}",
        ),
        (
            "Peer",
            "{asn: internal, nodeSelector: {matchLabels: {no: one}}, nodes: {selector: {matchLabels: {role: rr}}, \
             reflectors: true}}",
        ),
    ] {
        assert_eq!(knowing(&ours(kind, "x", "", spec)), "mesh/n2", "{spec}");
    }
}

#[test]
fn two_reflectors_peer_as_equals_and_nodes_outside_stay_in_the_mesh() {
    let text = three()
        + &node("n4", "role: rr", "", &["192.0.2.14"], "")
        + &node("n5", "outside: yes", "", &["192.0.2.15"], "")
            .replace("outside: yes", "outside: \"yes\"")
        + &ours(
            "Peer",
            "rr",
            "",
            "{asn: internal, nodeSelector: {matchExpressions: [{key: outside, operator: DoesNotExist}]}, nodes: \
             {selector: {matchLabels: {role: rr}}, reflectors: true}}",
        );
    let all = sessions(&text);
    assert!(
        all["n3"].contains(&"rr/n4 192.0.2.14 Internal".to_owned()),
        "{all:?}"
    );
    assert_eq!(all["n5"].len(), 4, "the whole mesh: {all:?}");
    assert_eq!(
        all["n1"],
        [
            "mesh/n5 192.0.2.15 Internal",
            "rr/n3 192.0.2.13 Internal",
            "rr/n4 192.0.2.14 Internal"
        ]
    );
    assert_symmetric(&text);
}
