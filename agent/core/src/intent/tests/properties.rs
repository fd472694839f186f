//! What holds for every state.

use proptest::prelude::*;

use super::*;

/// A cluster as documents: nodes whose pod CIDRs, labels and addresses clash now and then, Services with addresses of nodes,
/// peers, interfaces and of each other, slices, objects.
pub(super) fn documents() -> impl Strategy<Value = Vec<String>> {
    let nodes = prop::collection::vec((0..4u8, 0..4u8, any::<bool>()), 1..5);
    let services = prop::collection::vec(
        (
            (0..6u8, any::<bool>(), 0..3u8),
            (0..8u8, any::<bool>(), 0..3u8),
        ),
        0..6,
    );
    let slices = prop::collection::vec((0..6u8, 0..4u8, 0..4u8, any::<bool>()), 0..8);
    let adverts = prop::collection::vec((0..4u8, 0..3u8, any::<bool>()), 0..3);
    let peers = prop::collection::vec((0..4u8, any::<bool>()), 0..3);
    (nodes, services, slices, adverts, peers, 0..2u8).prop_map(|(nodes, services, slices, adverts, peers, edge)| {
        let mut all = Vec::new();
        all.extend(each(nodes, drawn_node));
        all.extend(each(services, drawn_service));
        all.extend(each(slices, drawn_slice));
        all.extend(each(adverts, drawn_advertisement));
        all.extend(each(peers, drawn_peer));
        if edge == 0 {
            all.push(without_default());
        }
        all.push(format!(
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: d, labels: {{edge: e{edge}}}}}\n"
        ));
        all
    })
}

fn each<T>(drawn: Vec<T>, document: fn(usize, T) -> String) -> impl Iterator<Item = String> {
    let numbered = drawn.into_iter().enumerate();
    numbered.map(move |(at, drawn)| document(at, drawn))
}

fn drawn_node(at: usize, (cidr, label, v6): (u8, u8, bool)) -> String {
    let cidrs = format!("10.{cidr}.0.0/24, \"fd00:{cidr}::/64\"");
    let mut addresses = vec![format!("192.0.2.{at}")];
    if v6 {
        addresses.push(format!("2001:db8::{at}"));
    }
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    node(
        &format!("n{at}"),
        &format!("rack: r{label}"),
        &cidrs,
        &addresses,
        "",
    )
}

type DrawnService = ((u8, bool, u8), (u8, bool, u8));

fn drawn_service(at: usize, ((name, local, kind), (whose, there, age)): DrawnService) -> String {
    let policy = if local { "Local" } else { "Cluster" };
    let kind = ["LoadBalancer", "ClusterIP", "ExternalName"][usize::from(kind)];
    let (external, ingress, headless) = match whose {
        0 => (
            format!("10.{name}.0.7"),
            format!("192.0.2.{}", name % 4),
            false,
        ),
        1 => (
            format!("192.0.2.{}", name % 4),
            format!("203.0.113.{name}"),
            false,
        ),
        2 => (
            format!("203.0.113.{}", name % 2),
            format!("203.0.113.{name}"),
            false,
        ),
        3 => (
            format!("203.0.113.{}", name % 2),
            "203.0.113.200".to_owned(),
            false,
        ),
        4 => ("198.18.0.250".to_owned(), "198.18.0.1".to_owned(), false),
        5 => (format!("10.{name}.0.7"), format!("203.0.113.{name}"), true),
        _ => (
            format!("10.{name}.0.7"),
            format!("203.0.113.{}", name % 2),
            false,
        ),
    };
    let cluster_ip = if headless {
        "None".to_owned()
    } else {
        format!("10.96.0.{at}")
    };
    let spec = format!(
        "type: {kind}, externalTrafficPolicy: {policy}, clusterIP: {cluster_ip}, externalIPs: [{external}]"
    );
    let ingress = format!("{{ip: {ingress}}}, {{ip: \"fd00:{name}::9\"}}");
    let created = format!("namespace: d, creationTimestamp: \"2026-01-01T00:00:0{age}Z\"");
    let text = service(&format!("s{at}"), &spec, &ingress).replace("namespace: d", &created);
    if there {
        text.replace("namespace: d", "namespace: e")
    } else {
        text
    }
}

fn drawn_slice(at: usize, (service, node, condition, v6): (u8, u8, u8, bool)) -> String {
    let conditions = [
        "",
        "ready: false",
        "ready: false, serving: true, terminating: true",
        "ready: true",
    ];
    let (node, condition) = (format!("n{node}"), conditions[usize::from(condition)]);
    let family = if v6 { "IPv6" } else { "IPv4" };
    let text = slice(
        &format!("e{at}"),
        &format!("s{service}"),
        family,
        &[(&node, condition)],
    );
    if at.is_multiple_of(3) {
        text.replace("namespace: d", "namespace: e")
    } else {
        text
    }
}

fn drawn_advertisement(at: usize, (prefix, mode, pods): (u8, u8, bool)) -> String {
    let mode = [
        "",
        ", aggregate: {ipv4: 8, ipv6: 32}",
        ", aggregate: {ipv4: 24}, mode: Both",
    ][usize::from(mode)];
    let edge = if pods {
        ""
    } else {
        ", namespaceSelector: {matchLabels: {edge: e1}}"
    };
    let pods = if pods {
        ", podCIDRs: {}, interfaces: [eth1]"
    } else {
        ""
    };
    let spec = format!(
        "{{prefixes: [10.{prefix}.0.0/25, 198.51.100.0/24, 192.0.2.{prefix}/32, 198.18.0.128/25], \
         services: {{addresses: [LoadBalancer, External, Cluster], \
         externalIPs: [10.0.0.0/8, 203.0.113.0/24, 192.0.2.0/24, 198.18.0.0/16]{edge}}}{mode}{pods}}}"
    );
    ours("Advertisement", &format!("a{at}"), "", &spec)
}

fn drawn_peer(at: usize, (address, nodes): (u8, bool)) -> String {
    let spec = if nodes && address == 3 {
        "{asn: 64500, gateway: ipv4}".to_owned()
    } else if nodes {
        format!(
            "{{asn: internal, nodes: {{selector: {{matchLabels: {{rack: r{address}}}}}, reflectors: true}}}}"
        )
    } else {
        let address =
            ["192.0.2.0", "192.0.2.1", "198.18.0.200", "203.0.113.200"][usize::from(address)];
        format!("{{asn: 64500, address: {address}}}")
    };
    ours("Peer", &format!("p{at}"), "", &spec)
}

fn intents(documents: &[String]) -> Vec<Arc<Intent>> {
    let state = state(&documents.concat());
    let names = state.nodes.keys();
    names
        .map(|name| intend(&state, name, &LocalFacts::default()))
        .collect()
}

proptest! {
    #![proptest_config(crate::soak::cases(32))]

    #[test]
    fn the_order_of_documents_does_not_matter(documents in documents(), seed in any::<u64>()) {
        let mut shuffled = documents.clone();
        let mut state = seed | 1;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        prop_assert_eq!(intents(&documents), intents(&shuffled));
    }

    #[test]
    fn a_node_never_tells_of_another_s_pods_and_every_route_has_a_reason(documents in documents()) {
        let state = state(&documents.concat());
        for name in state.nodes.keys() {
            let intent = intend(&state, name, &LocalFacts::default());
            let own = &state.nodes[name].pod_cidrs;
            for route in intent.originated.values() {
                let prefix = route.route.prefix;
                prop_assert!(!route.justifications.is_empty(), "{prefix}");
                prop_assert!(!route.route.offers.is_empty(), "{prefix}");
                prop_assert_eq!(prefix, prefix.trunc());
                prop_assert!(route.route.offers.is_sorted_by_key(|o| o.advertisement));
                for other in state.nodes.values().filter(|n| n.name != *name) {
                    for cidr in &other.pod_cidrs {
                        let inside = cidr.contains(&prefix) && !own.iter().any(|o| o.contains(&prefix));
                        prop_assert!(!inside, "{name} tells {prefix} inside {cidr} of {}", other.name);
                        let attracts = route.is_aggregate() && prefix.contains(cidr);
                        prop_assert!(!attracts, "{name} aggregates {prefix} over {cidr} of {}", other.name);
                    }
                }
            }
            prop_assert!(intent.originated.keys().is_sorted());
            let nodes = state.nodes.values().flat_map(|node| node.internal_ips.iter().copied());
            let peers = state.peers.values().filter_map(|peer| Some(peer.spec.address?.0));
            for address in nodes.chain(peers) {
                for route in intent.originated.values() {
                    let attracts = route.justifications.iter().any(|why| match why.source {
                        Source::Service { .. } | Source::AggregateOf { .. } => true,
                        Source::PodCidr { .. } | Source::Prefix | Source::Interface { .. } => false,
                    });
                    let prefix = route.route.prefix;
                    prop_assert!(!(attracts && prefix.contains(&address)), "{name} announces {prefix} over {address}");
                }
            }
            // Each decision on an address shows: as a route, or as a rule.
            for service in intent.services.values() {
                for address in &service.addresses {
                    let covered = intent.originated.values().any(|r| r.route.prefix.contains(&address.address)
                        && r.justifications.iter().any(|j| matches!(j.source, Source::Service { .. } | Source::AggregateOf { .. })));
                    if matches!(address.decision, Decision::Advertise(_)) {
                        prop_assert!(covered, "{}", address.address);
                    }
                }
            }
        }
    }

    #[test]
    fn sessions_between_nodes_have_two_ends_and_one_name_each(documents in documents()) {
        let intents = intents(&documents);
        let mut ends = Vec::new();
        for intent in &intents {
            let mut names = peer_names(intent);
            prop_assert!(names.is_sorted());
            names.dedup();
            prop_assert_eq!(names.len(), intent.peers.len());
            for peer in intent.peers.iter() {
                if let (PeerTarget::Address { address, .. }, Some(local)) = (&peer.target, peer.session.transport.local) {
                    ends.push((local, *address));
                }
            }
        }
        // A Peer object with a node's own address stands before that session, on one side only.
        let by_hand: Vec<_> = intents
            .iter()
            .flat_map(|i| i.peers.iter())
            .filter(|p| p.session.transport.local.is_none())
            .filter_map(|p| match p.target { PeerTarget::Address { address, .. } => Some(address), _ => None })
            .collect();
        for (local, remote) in &ends {
            prop_assert!(ends.contains(&(*remote, *local)) || by_hand.contains(local), "{local} to {remote}");
        }
    }
}

#[test]
fn five_thousand_services_take_milliseconds() {
    let mut state = ClusterState::default();
    for at in 0..1000_u32 {
        let name = format!("n{at}");
        let node = Node {
            name: name.clone(),
            pod_cidrs: vec![
                IpNet::new(
                    std::net::Ipv4Addr::from_bits(0x0a00_0000 + at * 256).into(),
                    24,
                )
                .unwrap(),
            ]
            .into(),
            internal_ips: vec![std::net::Ipv4Addr::from_bits(0xc0a8_0000 + at).into()].into(),
            ..Node::default()
        };
        state.nodes.insert(name, node.into());
    }
    for at in 0..5000_u32 {
        let key = crate::cluster::ObjectKey::new("d", format!("s{at}"));
        let service = crate::cluster::Service {
            key: key.clone(),
            service_type: crate::cluster::ServiceType::LoadBalancer,
            ingress: vec![crate::cluster::LoadBalancerIngress {
                ip: std::net::Ipv4Addr::from_bits(0xcb00_0000 + at).into(),
                proxy: false,
            }]
            .into(),
            ..crate::cluster::Service::default()
        };
        state.services.insert(key, service.into());
        for part in 0..2 {
            let key = crate::cluster::ObjectKey::new("d", format!("s{at}-{part}"));
            let endpoint = |n: u32| crate::cluster::Endpoint {
                node: Some(format!("n{}", (at + n) % 1000).into()),
                ready: true,
                serving: true,
                terminating: false,
            };
            let slice = crate::cluster::EndpointSlice {
                key: key.clone(),
                service: format!("s{at}").into(),
                family: routelet_api::IpFamily::Ipv4,
                endpoints: (0..10).map(endpoint).collect(),
            };
            state.endpoint_slices.insert(key, slice.into());
        }
    }
    let start = std::time::Instant::now();
    let intent = intend(&state, "n1", &LocalFacts::default());
    let took = start.elapsed();
    assert_eq!((intent.originated.len(), intent.peers.len()), (5001, 999));
    println!("intend: {took:?}");
    // In a debug build on a busy machine; some 10 ms in a release build. Quadratic work would take minutes.
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
}
