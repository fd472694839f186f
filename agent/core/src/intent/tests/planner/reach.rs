//! How far a change reaches: what it does not concern is neither decided again nor copied.

use super::*;

/// What does not change costs nothing, and is shared.
#[test]
fn an_endpoint_that_turns_ready_changes_the_routes_of_its_service_and_nothing_else() {
    let service = |n: u32| {
        let address = format!("{{ip: 203.0.113.{n}}}");
        service(&format!("s{n}"), "type: LoadBalancer", &address)
    };
    let text: String = (0..100).map(service).collect();
    let ready = |ready| slice("e", "s7", "IPv4", &[("n1", &format!("ready: {ready}"))]);
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.1"], "") + &text;
    let mut index = state(&(base.clone() + &ready(false)));
    let mut planner = Planner::new("n0");
    let (before, _) = planner.plan(&index, &LocalFacts::default(), Phase::default());
    let (same, change) = planner.plan(&index, &LocalFacts::default(), Phase::default());
    assert!(Arc::ptr_eq(&before, &same) && change == Change::Nothing);
    follow_all(&mut index, &state(&(base + &ready(true))));
    let (after, change) = planner.plan(&index, &LocalFacts::default(), Phase::default());
    let Change::Parts(Parts {
        routes: changes,
        guard: false,
        peers: false,
    }) = change
    else {
        panic!("{change:?}");
    };
    let changed: Vec<String> = changes.iter().map(|c| c.prefix.to_string()).collect();
    assert_eq!(changed, ["203.0.113.7/32"]);
    assert!(changes[0].route.is_some());
    assert!(Arc::ptr_eq(&before.peers, &after.peers));
    let key = |n: u32| crate::cluster::ObjectKey::new("d", format!("s{n}"));
    assert!(Arc::ptr_eq(
        &before.services[&key(8)],
        &after.services[&key(8)]
    ));
}

/// The changes of other nodes that are daily ones, and how far each reaches: no Service is decided on again.
#[test]
fn another_node_changes_peers_at_most() {
    let cidr = |n: u32| format!("10.0.{n}.0/24");
    let plain = |n: u32, labels: &str| {
        let address = format!("192.0.2.{n}");
        node(&format!("n{n}"), labels, &cidr(n), &[&address], "")
    };
    let base = plain(0, "")
        + &service("s", "type: LoadBalancer", "{ip: 203.0.113.1}")
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")])
        + &ours(
            "Peer",
            "reflectors",
            "",
            "{asn: internal, nodes: {selector: {matchLabels: {role: rr}}}}",
        )
        + &ours(
            "Router",
            "default",
            "",
            "{asn: 64500, mesh: {enabled: false}}",
        );
    let mut index = state(&(base.clone() + &plain(1, "")));
    let mut planner = Planner::new("n0");
    let (before, _) = planner.plan(&index, &LocalFacts::default(), Phase::default());
    assert_eq!(prefixes(&before), ["10.0.0.0/24", "203.0.113.1/32"]);
    let no_peers: &[&str] = &[];
    let only_peers = Change::Parts(Parts {
        peers: true,
        ..Parts::default()
    });
    for (nodes, expected, peers) in [
        // A label that nobody asks for; another node; one that reflects, has moved, and reflects no more; and none is left.
        (plain(1, "zone: a"), Change::Nothing, no_peers),
        (plain(1, "zone: a") + &plain(2, ""), Change::Nothing, &[]),
        (
            plain(1, "zone: b") + &plain(2, "role: rr"),
            only_peers.clone(),
            &["reflectors/n2"],
        ),
        (
            plain(1, "") + &plain(2, "role: rr").replace("192.0.2.2", "192.0.2.22"),
            only_peers.clone(),
            &["reflectors/n2"],
        ),
        (plain(1, "") + &plain(2, ""), only_peers, &[]),
        (String::new(), Change::Nothing, &[]),
    ] {
        follow_all(&mut index, &state(&(base.clone() + &nodes)));
        let (after, change) = planner.plan(&index, &LocalFacts::default(), Phase::default());
        assert_eq!(change, expected, "{nodes}");
        assert_eq!(peer_names(&after), peers);
        assert!(after.originated.ptr_eq(&before.originated), "{nodes}");
    }
}

/// What happens on a node all day: pods and their interfaces come and go, others write annotations, a gateway fails.
#[test]
fn what_nothing_on_the_node_hangs_on_changes_nothing() {
    let own = |more: &str| {
        node("n0", "zone: a", "10.0.0.0/24", &["192.0.2.1"], "")
            .replace("labels: {zone: a}", &format!("labels: {{{more}}}"))
    };
    let base = service("s", "type: LoadBalancer", "{ip: 203.0.113.1}")
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")])
        + &ours(
            "Advertisement",
            "a",
            "",
            "{nodeSelector: {matchLabels: {role: edge}}, services: {addresses: [LoadBalancer]}, interfaces: [eth1]}",
        )
        + &ours("Peer", "p", "", "{asn: 64500, gateway: ipv4}");
    let facts = |eth1: &str, pods: usize, gateway: u8| {
        let interface = |name: String, address: &str| Interface {
            name,
            addresses: vec![address.parse().unwrap()],
            up: true,
        };
        let mut interfaces = vec![interface("eth1".to_owned(), eth1)];
        interfaces.extend((0..pods).map(|at| interface(format!("veth{at}"), "10.0.0.1/24")));
        LocalFacts {
            interfaces,
            gateways: vec![Gateway {
                address: [192, 0, 2, gateway].into(),
                interface: "eth1".to_owned(),
            }],
            ..LocalFacts::default()
        }
    };
    let mut index = state(&(base.clone() + &own("role: edge")));
    let mut planner = Planner::new("n0");
    planner.plan(&index, &facts("198.18.0.1/24", 3, 250), Phase::default());
    let only_peers = Change::Parts(Parts {
        peers: true,
        ..Parts::default()
    });
    for (labels, facts, expected) in [
        (
            "role: edge",
            facts("198.18.0.1/24", 4, 250),
            Change::Nothing,
        ),
        (
            "role: edge, note: x",
            facts("198.18.0.1/24", 4, 250),
            Change::Nothing,
        ),
        ("role: edge", facts("198.18.0.1/24", 2, 251), only_peers),
        (
            "role: edge",
            facts("198.18.0.2/24", 2, 251),
            Change::Everything,
        ),
        (
            "role: none",
            facts("198.18.0.2/24", 2, 251),
            Change::Everything,
        ),
        ("note: z", facts("198.18.0.2/24", 9, 251), Change::Nothing),
    ] {
        follow_all(&mut index, &state(&(base.clone() + &own(labels))));
        let (_, change) = planner.plan(&index, &facts, Phase::default());
        assert_eq!(change, expected, "{labels}");
    }
}

/// A namespace's labels are asked about by the Services in it alone.
#[test]
fn a_namespace_that_gets_a_label_changes_the_services_in_it() {
    let namespace = |labels: &str| {
        format!(
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: d, labels: {{{labels}}}}}\n"
        )
    };
    let spec =
        "{services: {addresses: [LoadBalancer], namespaceSelector: {matchLabels: {edge: here}}}}";
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.1"], "")
        + &without_default()
        + &service("s", "type: LoadBalancer", "{ip: 203.0.113.1}")
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")])
        + &ours("Advertisement", "a", "", spec);
    let mut index = state(&(base.clone() + &namespace("")));
    let mut planner = Planner::new("n0");
    let (before, _) = planner.plan(&index, &LocalFacts::default(), Phase::default());
    assert_eq!(prefixes(&before), ["10.0.0.0/24"]);
    for (labels, expected) in [
        ("edge: here", &["10.0.0.0/24", "203.0.113.1/32"][..]),
        ("edge: there", &["10.0.0.0/24"]),
    ] {
        follow_all(&mut index, &state(&(base.clone() + &namespace(labels))));
        let (after, change) = planner.plan(&index, &LocalFacts::default(), Phase::default());
        let Change::Parts(parts) = change else {
            panic!("{change:?}");
        };
        assert_eq!(parts.routes.len(), 1);
        assert_eq!(prefixes(&after), expected);
    }
}
