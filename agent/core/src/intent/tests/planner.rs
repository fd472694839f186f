//! Claims about plans that are brought up to date: they are those that are made from nothing, and what is said to be new in
//! them is all that is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use routelet_fib::Refusal;

use super::properties::documents;
use super::*;
use crate::cluster::{AtomMap, Map};

/// Makes a map another one as an index does: what differs is put in or taken out, the rest is shared.
fn follow<K: Ord + Clone, V: Clone + PartialEq>(map: &mut Map<K, V>, wanted: &Map<K, V>) {
    for (key, value) in wanted {
        if map.get(key) != Some(value) {
            map.insert(key.clone(), value.clone());
        }
    }
    let gone: Vec<K> = map
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .cloned()
        .collect();
    for key in gone {
        map.remove(&key);
    }
}

fn follow_all(state: &mut ClusterState, wanted: &ClusterState) {
    follow(&mut state.routers, &wanted.routers);
    follow(&mut state.peers, &wanted.peers);
    follow(&mut state.advertisements, &wanted.advertisements);
    follow(&mut state.policies, &wanted.policies);
    follow(&mut state.nodes, &wanted.nodes);
    follow(&mut state.namespaces, &wanted.namespaces);
    follow(&mut state.services, &wanted.services);
    follow(&mut state.endpoint_slices, &wanted.endpoint_slices);
}

/// A state that differs from another in a part of its documents: of two clusters, those of one kind from the second.
fn mixed(one: &[String], other: &[String], kinds: &[&str]) -> ClusterState {
    let is_of = |text: &String| {
        kinds
            .iter()
            .any(|kind| text.contains(&format!("kind: {kind}\n")))
    };
    let kept = one.iter().filter(|text| !is_of(text));
    let all: Vec<String> = kept
        .chain(other.iter().filter(|text| is_of(text)))
        .cloned()
        .collect();
    state(&all.concat())
}

/// No kind of document: what the API lacks of Nodes.
const GAPS: &str = "gaps";

/// What may differ from one state to the next, by kind of document; the last step of a plan begins anew if it must.
const STEPS: [&[&str]; 9] = [
    &["EndpointSlice"],
    &["Service"],
    &["Service", "EndpointSlice"],
    &["Advertisement"],
    &["Node"],
    &["Peer"],
    &["Namespace"],
    &["Node", "Peer", "Service", "Namespace"],
    &[GAPS],
];

proptest! {
    #![proptest_config(crate::soak::cases(96))]

    #[test]
    fn a_plan_that_is_brought_up_to_date_is_one_that_is_made_from_nothing(
        clusters in prop::collection::vec(documents(), 2..5),
        what in prop::collection::vec(0..STEPS.len(), 4),
        phases in prop::collection::vec(phase(), 4),
        mut views in prop::collection::vec(facts(), 5),
        known in prop::collection::vec(any::<bool>(), 4),
        gaps in prop::collection::vec(prop::collection::vec(gap(), 4), 5),
    ) {
        let mut index = with_gaps(state(&clusters[0].concat()), &gaps[0]);
        let mut planner = Planner::new("n0");
        let (mut intent, change) = planner.plan(&index, &views[0], Phase::default());
        prop_assert_eq!(change, Change::Everything);
        let (mut routes, mut refusals) = (originated(&intent), refused(&intent));
        let mut at = Phase::default();
        for (step, cluster) in clusters.iter().enumerate().skip(1) {
            let kinds = STEPS[what[step - 1]];
            let at_nodes = if kinds.contains(&"Node") || kinds == [GAPS] { step } else { 0 };
            let wanted = with_gaps(mixed(&clusters[0], cluster, kinds), &gaps[at_nodes]);
            let before = index.clone();
            follow_all(&mut index, &wanted);
            // Now and then something else changes at the same time.
            // As the agent does, which hands in what the last plan found.
            if known[step - 1] {
                views[step].identity = intent.router.identity;
            }
            let phase = if what[step - 1] == 1 { phases[step - 1] } else { at };
            let (next, change) = planner.plan(&index, &views[step], phase);
            let (from_nothing, _) = Planner::new("n0").plan(&wanted, &views[step], phase);
            prop_assert_eq!(&next, &from_nothing);
            let ground_is_the_same = phase == at && before.advertisements == index.advertisements;
            match change {
                Change::Nothing => prop_assert_eq!(&next, &intent),
                Change::Parts(parts) => {
                    prop_assert!(ground_is_the_same);
                    for RouteChange { prefix, route, refusal } in parts.routes {
                        let before = (routes.get(&prefix), refusals.get(&prefix).copied());
                        prop_assert_ne!(before, (route.as_ref(), refusal));
                        match route {
                            Some(route) => routes.insert(prefix, route),
                            None => routes.remove(&prefix),
                        };
                        match refusal {
                            Some(refusal) => refusals.insert(prefix, refusal),
                            None => refusals.remove(&prefix),
                        };
                    }
                    prop_assert_eq!(&refusals, &refused(&next));
                    prop_assert_eq!(&routes, &originated(&next));
                    let peers = (&next.peers, &next.policies, &next.warnings);
                    prop_assert_eq!(parts.peers, peers != (&intent.peers, &intent.policies, &intent.warnings));
                    if !parts.guard {
                        prop_assert_eq!(&next.router, &intent.router);
                    }
                    let mut router = next.router.clone();
                    router.fib.clone_from(&intent.router.fib);
                    prop_assert_eq!(&router, &intent.router);
                }
                Change::Everything => (routes, refusals) = (originated(&next), refused(&next)),
            }
            (intent, at) = (next, phase);
        }
    }
}

/// What the API lacks of a Node: nothing, its object, or pod CIDRs, which are from before then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gap {
    None,
    Object,
    PodCidrs,
    Labels,
}

fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![3 => Just(Gap::None), 2 => Just(Gap::Object), 1 => Just(Gap::PodCidrs), 1 => Just(Gap::Labels)]
}

/// The state as an agent on `n0` holds it.
fn with_gaps(mut state: ClusterState, gaps: &[Gap]) -> ClusterState {
    let names = state.nodes.keys().cloned().collect::<Vec<_>>();
    for (name, gap) in names.iter().zip(gaps) {
        let mut node = Node::clone(&state.nodes[name]);
        node.departed = *gap == Gap::Object;
        node.pod_cidrs_bridged = *gap == Gap::PodCidrs;
        if *gap == Gap::Labels {
            let bare = Node {
                labels: AtomMap::default(),
                ..node.clone()
            };
            node.as_object = Some(bare.into());
        }
        if node.departed && name != "n0" {
            node.pod_cidrs = Box::default();
        }
        state.nodes.insert(name.clone(), node.into());
    }
    state
}

fn phase() -> impl Strategy<Value = Phase> {
    let leaving = prop_oneof![
        3 => Just(Leaving::No),
        1 => Just(Leaving::Drained),
        1 => Just(Leaving::WithoutServices),
        1 => Just(Leaving::WithoutPods),
        1 => Just(Leaving::Gone),
    ];
    (any::<bool>(), leaving).prop_map(|(services_wait, leaving)| Phase {
        services_wait,
        leaving,
    })
}

/// An interface that Advertisements name, one that none does, and a gateway.
fn facts() -> impl Strategy<Value = LocalFacts> {
    let numbers = (0..2u8, 0..3u8, 0..2u8, any::<bool>(), any::<bool>());
    numbers.prop_map(|(own, pod, gateway, cni, up)| LocalFacts {
        interfaces: [("eth1", own), ("veth1", pod)]
            .map(|(name, last)| Interface {
                name: name.to_owned(),
                addresses: vec![format!("198.18.{last}.1/24").parse().unwrap()],
                up,
            })
            .into(),
        gateways: vec![Gateway {
            address: [198, 18, 0, 250 + gateway].into(),
            interface: "eth1".to_owned(),
        }],
        connects_pods: cni,
        ..LocalFacts::default()
    })
}

fn originated(intent: &Intent) -> BTreeMap<IpNet, rib::Originated> {
    let routes = intent.originated.iter();
    routes.map(|(p, r)| (*p, r.route.clone())).collect()
}

fn refused(intent: &Intent) -> BTreeMap<IpNet, Refusal> {
    let routes = intent.originated.iter();
    routes.filter_map(|(p, r)| Some((*p, r.refusal?))).collect()
}

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

/// Pod CIDRs of other nodes that stand against something of ours, or did.
#[test]
fn pod_cidrs_of_another_node_matter_where_something_is_decided_by_them() {
    let other = |cidr: &str| node("n1", "", cidr, &["192.0.2.1"], "");
    let spec = "{podCIDRs: {}, services: {addresses: [LoadBalancer]}, aggregate: {ipv4: 24}, prefixes: [198.51.100.0/24]}";
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.2"], "")
        + &service("s", "type: LoadBalancer", "{ip: 203.0.113.1}")
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")])
        + &service("idle", "type: LoadBalancer", "{ip: 192.0.2.200}")
        + &without_default()
        + &ours("Advertisement", "a", "", spec);
    let mut index = state(&(base.clone() + &other("10.0.1.0/24")));
    let mut planner = Planner::new("n0");
    planner.plan(&index, &LocalFacts::default(), Phase::default());
    let all = ["10.0.0.0/24", "198.51.100.0/24", "203.0.113.0/24"];
    for (cidr, matters, expected) in [
        // Beside everything; around a static prefix, and inside one, which is nobody's aggregate.
        ("10.0.2.0/24", false, &all[..]),
        ("198.51.0.0/16", true, &["10.0.0.0/24", "203.0.113.0/24"]),
        ("10.0.2.0/24", true, &all),
        ("198.51.100.128/25", false, &all),
        // Under an aggregate, which comes back afterwards; ours.
        (
            "203.0.113.128/25",
            true,
            &["10.0.0.0/24", "198.51.100.0/24", "203.0.113.1/32"],
        ),
        ("10.0.2.0/24", true, &all),
        // Around an address that is not told for want of endpoints.
        ("192.0.2.192/26", false, &all),
        ("10.0.0.0/24", true, &all),
    ] {
        follow_all(&mut index, &state(&(base.clone() + &other(cidr))));
        let (after, change) = planner.plan(&index, &LocalFacts::default(), Phase::default());
        assert_eq!(prefixes(&after), expected, "{cidr}");
        assert_eq!(change != Change::Nothing, matters, "{cidr}: {change:?}");
        let is_shared = cidr == "10.0.0.0/24";
        assert_eq!(warnings(&after).len(), usize::from(is_shared), "{cidr}");
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

/// Addresses of Nodes, Peers, gateways and interfaces that stand against something of ours, or did; and those that do not.
#[test]
fn an_address_that_gets_an_owner_is_withdrawn_and_comes_back_without_one() {
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.1"], "")
        + &service(
            "s",
            "type: LoadBalancer",
            "{ip: 203.0.113.1}, {ip: 198.51.100.1}",
        )
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")])
        + &ours(
            "Advertisement",
            "a",
            "",
            "{services: {addresses: [LoadBalancer]}, prefixes: [100.64.0.0/25]}",
        )
        + &ours(
            "Advertisement",
            "b",
            "",
            "{services: {addresses: [LoadBalancer]}, aggregate: {ipv4: 24}}",
        );
    let other = |address: &str| node("n1", "", "", &[address], "");
    let peer = |address: &str| {
        let spec = format!("{{asn: 64500, address: {address}}}");
        ours("Peer", "p", "", &spec)
    };
    let facts = |addresses: &[&str], gateway: [u8; 4]| LocalFacts {
        interfaces: vec![Interface {
            name: "eth1".to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            up: true,
        }],
        connects_pods: false,
        gateways: vec![Gateway {
            address: gateway.into(),
            interface: "eth1".to_owned(),
        }],
        ..LocalFacts::default()
    };
    let nowhere = [192, 0, 2, 254];
    let quiet = facts(&["192.0.2.1/24"], nowhere);
    let exact = ["198.51.100.1/32", "203.0.113.1/32"];
    let aggregates = ["198.51.100.0/24", "203.0.113.0/24"];
    let part = "100.64.0.0/25";
    let all = [part, aggregates[0], exact[0], aggregates[1], exact[1]];
    let mut index = state(&base);
    let mut planner = Planner::new("n0");
    planner.plan(&index, &quiet, Phase::default());
    for (more, facts, matters, expected) in [
        // Another Node beside everything; with one of the addresses; inside an aggregate; gone.
        (other("192.0.2.2"), &quiet, false, &all[..]),
        (other("203.0.113.1"), &quiet, true, &all[..3]),
        (
            other("203.0.113.9"),
            &quiet,
            true,
            &[part, aggregates[0], exact[0], exact[1]],
        ),
        (other("192.0.2.2"), &quiet, true, &all),
        // A Peer, and a gateway.
        (
            peer("198.51.100.1"),
            &quiet,
            true,
            &[part, aggregates[1], exact[1]],
        ),
        (
            peer("198.51.100.2"),
            &quiet,
            true,
            &[part, exact[0], aggregates[1], exact[1]],
        ),
        (peer("192.0.2.9"), &quiet, true, &all),
        (String::new(), &quiet, false, &all),
        (
            String::new(),
            &facts(&["192.0.2.1/24"], [203, 0, 113, 1]),
            true,
            &all[..3],
        ),
        (String::new(), &quiet, true, &all),
        // Interfaces: bound with the length of a host, and with a network.
        (
            String::new(),
            &facts(&["192.0.2.1/24", "203.0.113.1/32"], nowhere),
            false,
            &all,
        ),
        (
            String::new(),
            &facts(&["192.0.2.1/24", "203.0.113.1/25"], nowhere),
            true,
            &all[..3],
        ),
        (String::new(), &quiet, true, &all),
        // A network of which the static prefix is a part, and somebody in it.
        (other("100.64.0.9"), &quiet, false, &all),
        (
            other("100.64.0.9"),
            &facts(&["192.0.2.1/24", "100.64.0.200/24"], nowhere),
            true,
            &all[1..],
        ),
        (
            String::new(),
            &facts(&["192.0.2.1/24", "100.64.0.200/24"], nowhere),
            true,
            &all,
        ),
    ] {
        follow_all(&mut index, &state(&(base.clone() + &more)));
        let (after, change) = planner.plan(&index, facts, Phase::default());
        assert_eq!(after, intend(&index, "n0", facts), "{more} {facts:?}");
        let mut found = prefixes(&after);
        found.retain(|prefix| prefix != "10.0.0.0/24");
        let mut expected = expected.to_vec();
        expected.sort_by_key(|prefix| prefix.parse::<IpNet>().unwrap());
        assert_eq!(found, expected, "{more} {facts:?}");
        let is_everything = change == Change::Everything;
        assert_eq!(is_everything, matters, "{more} {facts:?}: {change:?}");
    }
}

/// Of two Services of different namespaces the other one is decided on again as well.
#[test]
fn an_external_ip_of_another_namespace_comes_and_goes_with_the_service_that_claims_it() {
    let created = |text: String, namespace: &str, second: u8| {
        let metadata =
            format!("namespace: {namespace}, creationTimestamp: \"2026-01-01T00:00:0{second}Z\"");
        text.replace("namespace: d", &metadata)
    };
    let web = service("web", "type: LoadBalancer", "{ip: 203.0.113.1}");
    let thief = |labels: &str| {
        service("thief", "externalIPs: [203.0.113.1]", "").replace(
            "namespace: d",
            &format!("labels: {{{labels}}}, namespace: d"),
        )
    };
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.1"], "")
        + &slice("e", "web", "IPv4", &[("n1", "ready: true")])
        + &slice("f", "thief", "IPv4", &[("n1", "ready: true")])
            .replace("namespace: d", "namespace: e")
        + &ours(
            "Advertisement",
            "a",
            "",
            "{services: {addresses: [LoadBalancer]}}",
        )
        + &ours(
            "Advertisement",
            "b",
            "",
            "{services: {addresses: [External], externalIPs: [203.0.113.0/24], selector: {matchLabels: {edge: yes-please}}}}",
        );
    let labels = "edge: yes-please";
    let older = "203.0.113.1/32 Service d/web: the older Service e/thief has the address";
    let younger = "203.0.113.1/32 Service e/thief: the older Service d/web has the address";
    let unselected = "203.0.113.1/32 Service e/thief: no Advertisement selects it";
    let mut index = state(&(base.clone() + &created(web.clone(), "d", 5)));
    let mut planner = Planner::new("n0");
    planner.plan(&index, &LocalFacts::default(), Phase::default());
    let web = created(web, "d", 5);
    for (services, expected) in [
        (web.clone(), &[][..]),
        (web.clone() + &created(thief(labels), "e", 7), &[younger]),
        // The oldest claim counts only where an Advertisement allows it.
        (web.clone() + &created(thief(""), "e", 3), &[unselected]),
        (web.clone() + &created(thief(labels), "e", 3), &[older]),
        (created(thief(labels), "e", 7), &[]),
        (web.clone() + &created(thief(labels), "e", 7), &[younger]),
        (web, &[]),
    ] {
        follow_all(&mut index, &state(&(base.clone() + &services)));
        let (after, change) = planner.plan(&index, &LocalFacts::default(), Phase::default());
        assert_ne!(change, Change::Everything);
        assert_eq!(*after, *intend(&index, "n0", &LocalFacts::default()));
        assert_eq!(suppressed(&after), expected, "{services}");
        assert!(prefixes(&after).contains(&"203.0.113.1/32".to_owned()));
    }
}

/// The way to a node may be learned though its address stands in a Service; when it is no node's any more, it is guarded.
#[test]
fn the_address_of_a_node_in_a_service_keeps_no_learned_route_out() {
    let base = node("n0", "", "10.0.0.0/24", &["192.0.2.1"], "")
        + &service(
            "s",
            "type: LoadBalancer",
            "{ip: 192.0.2.2}, {ip: 203.0.113.1}",
        );
    let other = node("n1", "", "", &["192.0.2.2"], "");
    let mut index = state(&(base.clone() + &other));
    let mut planner = Planner::new("n0");
    for (nodes, expected) in [
        (other.as_str(), &["203.0.113.1/32"][..]),
        ("", &["192.0.2.2/32", "203.0.113.1/32"]),
        (&other, &["203.0.113.1/32"]),
    ] {
        follow_all(&mut index, &state(&(base.clone() + nodes)));
        let (intent, _) = planner.plan(&index, &LocalFacts::default(), Phase::default());
        let guard = &intent.router.fib.as_ref().unwrap().guard;
        let addresses = guard.service_addresses.keys();
        let guarded: Vec<String> = addresses.map(ToString::to_string).collect();
        assert_eq!(guarded, expected);
    }
}
