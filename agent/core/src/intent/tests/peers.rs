//! Whom a node peers with, and that both ends agree.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp::fsm::{LimitRestart, PrefixLimit, RemoteAsn};
use bgp::settings::Ttl;
use rib::PeerKind;

use super::*;

pub(super) fn three() -> String {
    node(
        "n1",
        "rack: a",
        "10.1.0.0/24",
        &["192.0.2.11", "2001:db8::11"],
        "",
    ) + &node(
        "n2",
        "rack: a",
        "10.2.0.0/24",
        &["192.0.2.12", "2001:db8::12"],
        "",
    ) + &node(
        "n3",
        "rack: b, role: rr",
        "10.3.0.0/24",
        &["192.0.2.13", "2001:db8::13"],
        "",
    )
}

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
            "Router (built-in default): node n5 and this node have no InternalIPs of one family; they cannot peer"
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

#[test]
fn the_most_specific_router_is_used_and_the_others_are_warned_of() {
    let text = three()
        + &ours("Router", "all", "", "{asn: 64600}")
        + &ours(
            "Router",
            "b-rack",
            "",
            "{nodeSelector: {matchLabels: {rack: a}}, asn: 64601}",
        )
        + &ours(
            "Router",
            "a-rack",
            "",
            "{nodeSelector: {matchLabels: {rack: a}}, asn: 64602}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(intent.router.object.as_deref(), Some("a-rack"));
    assert_eq!(intent.router.asn.0, 64602);
    assert_eq!(
        warnings(&intent),
        [
            "Router all: Router a-rack selects the same node and is used: it is more specific",
            "Router b-rack: Router a-rack selects the same node and is used: it comes first by name",
        ]
    );
}

#[test]
fn without_a_router_the_defaults_and_an_identifier_that_never_changes_are_used() {
    let intent4 = intent(&three(), "n1");
    assert_eq!(intent4.router.asn.0, 64512);
    assert_eq!(intent4.router.router_id.to_string(), "192.0.2.11");
    assert_eq!(intent4.router.listen.as_ref().unwrap().port, 179);
    let no_ipv4 = intent(&node("n9", "", "", &["2001:db8::9"], ""), "n9");
    assert_eq!(no_ipv4.router.router_id.to_string(), "189.235.97.95");
}

#[test]
fn an_identifier_out_of_a_name_looks_like_an_address_of_a_host_and_is_the_nodes_own() {
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..2000 {
        let name = format!("worker-{number}.example.com");
        let intent = intent(&node(&name, "", "", &[], ""), &name);
        let id = std::net::Ipv4Addr::from(intent.router.router_id.0);
        let first = id.octets()[0];
        assert!(first != 0 && first != 127 && first < 224, "{name}: {id}");
        assert!(seen.insert(id), "{name}: {id} twice");
    }
}

/// What the validation of an object refuses.
#[test]
fn a_label_has_no_value_that_an_object_could_not_have() {
    let peers = |annotation: &str, spec: &str| {
        let own = node("n1", "", "", &["192.0.2.11"], "").replace(
            "metadata: {name: n1",
            &format!("metadata: {{annotations: {{key: '{annotation}'}}, name: n1"),
        );
        let intent = intent(&(own + &ours("Peer", "p", "", spec)), "n1");
        let peers = intent.peers.iter();
        peers
            .map(|peer| format!("{} {:?}", peer.target, peer.session.transport.local))
            .collect::<Vec<_>>()
    };
    let asn = "{address: 192.0.2.9, asnFrom: {nodeAnnotation: key}}";
    let address = "{asn: 64500, addressFrom: {nodeAnnotation: key}}";
    let local = "{asn: 64500, address: 192.0.2.9, localAddressFrom: {nodeAnnotation: key}}";
    for (value, spec) in [
        ("0", asn),
        ("23456", asn),
        ("65535", asn),
        ("4294967295", asn),
        ("0.0.0.0", address),
        ("ff02::1", address),
        ("::", local),
        ("224.0.0.1", local),
    ] {
        assert_eq!(peers(value, spec), [""; 0], "{value} {spec}");
    }
    assert_eq!(peers("64500", asn), ["192.0.2.9 None"]);
    let mapped = "::ffff:192.0.2.8";
    assert_eq!(peers(mapped, address), ["192.0.2.8 None"]);
    assert_eq!(peers(mapped, local), ["192.0.2.9 Some(192.0.2.8)"]);
}

#[test]
fn values_come_from_labels_and_annotations_of_the_node() {
    let text = node("n1", "asn: \"64600\"", "", &["192.0.2.11"], "").replace(
        "metadata: {name: n1",
        "metadata: {annotations: {tor: 192.0.2.99, bad: x}, name: n1",
    ) + &ours("Router", "r", "", "{asnFrom: {nodeLabel: asn}}")
        + &ours(
            "Peer",
            "good",
            "",
            "{addressFrom: {nodeAnnotation: tor}, asn: external}",
        )
        + &ours(
            "Peer",
            "bad",
            "",
            "{addressFrom: {nodeAnnotation: bad}, asn: external}",
        )
        + &ours(
            "Peer",
            "none",
            "",
            "{addressFrom: {nodeAnnotation: none}, asn: external}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(intent.router.asn.0, 64600);
    assert_eq!(peer_names(&intent), ["good"]);
    assert_eq!(intent.peers[0].target.to_string(), "192.0.2.99");
    assert_eq!(
        warnings(&intent),
        [
            "Peer bad: spec.addressFrom takes \"x\" from annotation bad of node n1, which is not an address; the peer \
             is left out",
            "Peer none: spec.addressFrom asks for annotation none of node n1, which has none; the peer is left out",
        ]
    );
}

#[test]
fn kinds_of_peers_their_ttl_and_whether_they_may_be_distant_follow_the_as() {
    let table = [
        ("asn: 64512", PeerKind::Internal, Ttl::System, false),
        (
            "asn: 64512, ebgpMultihop: 4",
            PeerKind::Internal,
            Ttl::System,
            false,
        ),
        (
            "asn: internal, routeReflectorClient: true",
            PeerKind::ReflectorClient,
            Ttl::System,
            false,
        ),
        ("asn: 64500", PeerKind::External, Ttl::Hops(1), false),
        (
            "asn: external, ebgpMultihop: 4",
            PeerKind::External,
            Ttl::Hops(4),
            true,
        ),
        (
            "asn: external, ttlSecurity: {hops: 1}",
            PeerKind::External,
            Ttl::Security { hops: 1 },
            false,
        ),
        (
            "asn: external, ttlSecurity: {hops: 2}",
            PeerKind::External,
            Ttl::Security { hops: 2 },
            true,
        ),
    ];
    for (spec, kind, ttl, multihop) in table {
        let text = three() + &ours("Peer", "p", "", &format!("{{address: 192.0.2.1, {spec}}}"));
        let intent = intent(&text, "n1");
        let peer = intent.peers.iter().find(|p| p.name == "p").unwrap();
        let found = (
            peer.config.kind,
            peer.session.transport.ttl,
            peer.config.multihop,
        );
        assert_eq!(found, (kind, ttl, multihop), "{spec}");
    }
}

#[test]
fn targets_of_all_kinds_are_found_and_a_missing_gateway_is_waited_for() {
    let text = node("n1", "", "", &[], "")
        + &ours("Peer", "gw", "", "{gateway: ipv6, asn: external}")
        + &ours("Peer", "if", "", "{interface: eth1, asn: external}")
        + &ours("Peer", "range", "", "{range: 192.0.2.0/24, asn: external}")
        + &ours(
            "Peer",
            "ll",
            "",
            "{address: \"fe80::1\", sourceInterface: eth2, asn: 64500}",
        );
    let facts = LocalFacts {
        interfaces: Vec::new(),
        gateways: vec![Gateway {
            address: "fe80::99".parse().unwrap(),
            interface: "eth0".into(),
        }],
        ..LocalFacts::default()
    };
    let intent = intend(&state(&text), "n1", &facts);
    let shown: Vec<String> = intent
        .peers
        .iter()
        .map(|p| format!("{} {} {}", p.name, p.target, p.session.protocol.passive))
        .collect();
    assert_eq!(
        shown,
        [
            "gw fe80::99%eth0 false",
            "if interface eth1 false",
            "ll fe80::1%eth2 false",
            "range range 192.0.2.0/24 true"
        ]
    );
    let without = intend(&state(&text), "n1", &LocalFacts::default());
    assert_eq!(
        warnings(&without),
        ["Peer gw: the node has no default gateway of IPv6; the peer waits for one"]
    );
    assert_eq!(without.peers.len(), 3);
}

#[test]
fn the_same_peer_twice_is_used_once_and_stands_before_the_mesh() {
    let text = three()
        + &ours("Peer", "b", "", "{address: 192.0.2.1, asn: 64500}")
        + &ours("Peer", "a", "", "{address: 192.0.2.1, asn: 64501}")
        + &ours(
            "Peer",
            "n2-by-hand",
            "",
            "{address: 192.0.2.12, asn: internal}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(peer_names(&intent), ["a", "mesh/n3", "n2-by-hand"]);
    assert_eq!(
        intent.peers[0].session.protocol.remote_asn,
        RemoteAsn::Number(bgp::types::Asn(64501))
    );
    assert_eq!(
        warnings(&intent),
        [
            "Peer b: duplicates Peer a, which is used for address 192.0.2.1 because it comes first by name. Give one of them another \
             address or nodeSelector, or delete it"
        ]
    );
}

#[test]
fn a_missing_policy_rejects_everything() {
    let directory = tempfile::tempdir().unwrap();
    let text = ours(
        "Peer",
        "p",
        "",
        "{address: 192.0.2.1, asn: 64500, import: [nope]}",
    );
    fs::write(directory.path().join("p.yaml"), text).unwrap();
    let snapshot = manifests::load(directory.path()).unwrap();
    let intent = intend(&snapshot.state, "n1", &LocalFacts::default());
    let policy = &intent.peers[0].config.import[0];
    assert_eq!(policy.rules[0].action, rib::policy::Action::Reject);
    assert_eq!(policy.rules[0].matches, rib::policy::Matches::default());
}

#[test]
fn policies_become_what_the_rib_runs() {
    let text = node("n1", "", "", &[], "")
        + &ours(
            "RoutePolicy",
            "p",
            "",
            "{rules: [{match: {prefixes: [{cidr: 10.0.0.0/8}, {cidr: 10.0.0.0/8, orLonger: true}, {cidr: 10.0.0.0/8, \
             maxLength: 24}, {cidr: 10.0.0.0/8, minLength: 24}]}, action: Continue, set: {weight: 3, addCommunities: \
             [no-export, \"1:2:3\"]}}, {name: rest, action: Reject}]}",
        );
    let intent = intent(&text, "n1");
    let policy = &intent.policies["p"];
    let ranges: Vec<(u8, u8)> = policy.rules[0]
        .matches
        .prefixes
        .ranges()
        .iter()
        .map(|r| (r.min_length, r.max_length))
        .collect();
    assert_eq!(ranges, [(8, 8), (8, 32), (8, 24), (24, 32)]);
    assert_eq!(
        (policy.rules[0].name.as_str(), policy.rules[1].name.as_str()),
        ("rules[0]", "rest")
    );
    assert_eq!(policy.rules[0].set.weight, Some(3));
    assert_eq!(policy.rules[0].set.add_large_communities.len(), 1);
}

#[test]
fn a_node_without_an_object_still_has_the_peers_that_all_nodes_have() {
    let intent = intent(
        &ours("Peer", "p", "", "{address: 192.0.2.1, asn: 64500}"),
        "lost",
    );
    assert_eq!(peer_names(&intent), ["p"]);
    assert_eq!(
        warnings(&intent),
        ["Node lost: there is no such Node object; it has no pod CIDRs, labels or addresses"]
    );
}

#[test]
fn what_a_peer_may_send_is_limited_by_default_and_as_its_object_says() {
    let limits = |fields: &str| {
        let text = three()
            + &format!(
                "---\napiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata: {{name: tor}}\n\
                 spec: {{address: 192.0.2.1, asn: 64500{fields}}}\n"
            );
        let intent = intend(&state(&text), "n1", &LocalFacts::default());
        let config = &intent.peer("tor").unwrap().config;
        (config.max_received, config.max_paths, config.max_next_hops)
    };
    assert_eq!(limits(""), (None, 256, 32_768));
    let fields = ", maxReceivedPrefixes: 7, maxPathsPerPrefix: 8, maxNextHops: 9";
    assert_eq!(limits(fields), (Some(7), 8, 9));
}

#[test]
fn a_prefix_limit_comes_with_a_warning_and_what_follows_it() {
    let peer = |fields: &str| {
        let text = three()
            + &format!(
                "---\napiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata: {{name: tor}}\n\
                 spec: {{address: 192.0.2.1, asn: 64500{fields}}}\n"
            );
        let intent = intend(&state(&text), "n1", &LocalFacts::default());
        let peer = intent.peer("tor").unwrap();
        let protocol = &peer.session.protocol;
        (
            peer.config.prefix_warning,
            protocol.prefix_limit,
            protocol.idle_hold_max.as_secs(),
        )
    };
    let limits = |max, received, restart| {
        Some(PrefixLimit {
            max,
            received,
            restart,
        })
    };
    let limit = |max, restart| limits(Some(max), None, restart);
    let minutes = |minutes: u64| LimitRestart::After(Duration::from_secs(minutes * 60));
    assert_eq!(peer(""), (None, limits(None, None, minutes(5)), 60));
    assert_eq!(
        peer(", maxReceivedPrefixes: 2000, maxPrefixesRestart: 1m"),
        (None, limits(None, Some(2000), minutes(1)), 60)
    );
    assert_eq!(
        peer(", maxPrefixes: 1000"),
        (Some(750), limit(1000, minutes(5)), 60)
    );
    assert_eq!(
        peer(", maxPrefixes: 4000000000, maxPrefixesWarningPercent: 90, maxPrefixesRestart: never"),
        (
            Some(3_600_000_000),
            limit(4_000_000_000, LimitRestart::Never),
            60
        )
    );
    assert_eq!(
        peer(", maxPrefixes: 1, maxPrefixesRestart: 1h, timers: {idleHold: 0s}"),
        (Some(0), limit(1, minutes(60)), 0)
    );
}
