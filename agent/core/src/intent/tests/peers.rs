//! The peers that objects ask for: where they are, and with which settings.

use std::time::Duration;

use bgp::fsm::{LimitRestart, PrefixLimit, RemoteAsn};
use bgp::settings::Ttl;
use rib::PeerKind;

use super::*;

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
            "Peer none: spec.addressFrom refers to annotation none, which node n1 does not have; the peer is left out",
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
        ["Peer gw: the node has no IPv6 default gateway; the peer is started when it has one"]
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
            "Peer b: duplicates Peer a, which is used for address 192.0.2.1 because it is first by name. Change the \
             address or nodeSelector of one, or delete it"
        ]
    );
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
        [
            "Node lost: there is no Node object of this name; pod CIDRs, labels and addresses are unknown"
        ]
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
