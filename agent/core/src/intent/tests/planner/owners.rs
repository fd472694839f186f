//! Addresses and pod CIDRs of others, which decide what of ours is advertised, come and go.

use super::*;

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

const EXACT: [&str; 2] = ["198.51.100.1/32", "203.0.113.1/32"];
const AGGREGATES: [&str; 2] = ["198.51.100.0/24", "203.0.113.0/24"];
const PART: &str = "100.64.0.0/25";
const ALL: [&str; 5] = [PART, AGGREGATES[0], EXACT[0], AGGREGATES[1], EXACT[1]];
/// A gateway that is nobody's address.
const NOWHERE: [u8; 4] = [192, 0, 2, 254];

/// The plan of a node with two addresses of a Service, an aggregate of each, and a static prefix.
struct Plan {
    base: String,
    index: ClusterState,
    planner: Planner,
}

impl Plan {
    fn new() -> Self {
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
        let index = state(&base);
        let mut planner = Planner::new("n0");
        planner.plan(&index, &quiet(), Phase::default());
        Self {
            base,
            index,
            planner,
        }
    }

    /// That with more documents `expected` is advertised, beside pods. Everything is decided again if that `matters`.
    fn check(&mut self, more: &str, facts: &LocalFacts, matters: bool, expected: &[&str]) {
        follow_all(&mut self.index, &state(&(self.base.clone() + more)));
        let (after, change) = self.planner.plan(&self.index, facts, Phase::default());
        assert_eq!(after, intend(&self.index, "n0", facts), "{more} {facts:?}");
        let mut found = prefixes(&after);
        found.retain(|prefix| prefix != "10.0.0.0/24");
        let mut expected = expected.to_vec();
        expected.sort_by_key(|prefix| prefix.parse::<IpNet>().unwrap());
        assert_eq!(found, expected, "{more} {facts:?}");
        let is_everything = change == Change::Everything;
        assert_eq!(is_everything, matters, "{more} {facts:?}: {change:?}");
    }
}

/// An interface with these addresses, and a gateway.
fn facts(addresses: &[&str], gateway: [u8; 4]) -> LocalFacts {
    LocalFacts {
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
    }
}

/// Facts that stand against nothing.
fn quiet() -> LocalFacts {
    facts(&["192.0.2.1/24"], NOWHERE)
}

/// Another Node.
fn other(address: &str) -> String {
    node("n1", "", "", &[address], "")
}

#[test]
fn an_address_of_a_node_a_peer_or_a_gateway_is_withdrawn_and_comes_back_without_one() {
    let peer = |address: &str| {
        let spec = format!("{{asn: 64500, address: {address}}}");
        ours("Peer", "p", "", &spec)
    };
    let mut plan = Plan::new();
    for (more, gateway, matters, expected) in [
        // Another Node beside everything; with one of the addresses; inside an aggregate; gone.
        (other("192.0.2.2"), NOWHERE, false, &ALL[..]),
        (other("203.0.113.1"), NOWHERE, true, &ALL[..3]),
        (
            other("203.0.113.9"),
            NOWHERE,
            true,
            &[PART, AGGREGATES[0], EXACT[0], EXACT[1]],
        ),
        (other("192.0.2.2"), NOWHERE, true, &ALL),
        // A Peer, and a gateway.
        (
            peer("198.51.100.1"),
            NOWHERE,
            true,
            &[PART, AGGREGATES[1], EXACT[1]],
        ),
        (
            peer("198.51.100.2"),
            NOWHERE,
            true,
            &[PART, EXACT[0], AGGREGATES[1], EXACT[1]],
        ),
        (peer("192.0.2.9"), NOWHERE, true, &ALL),
        (String::new(), NOWHERE, false, &ALL),
        (String::new(), [203, 0, 113, 1], true, &ALL[..3]),
        (String::new(), NOWHERE, true, &ALL),
    ] {
        plan.check(&more, &facts(&["192.0.2.1/24"], gateway), matters, expected);
    }
}

#[test]
fn an_address_in_a_network_of_an_interface_is_withdrawn_and_comes_back_without_it() {
    let mut plan = Plan::new();
    for (more, address, matters, expected) in [
        // Bound with the length of a host, and with a network.
        (String::new(), Some("203.0.113.1/32"), false, &ALL[..]),
        (String::new(), Some("203.0.113.1/25"), true, &ALL[..3]),
        (String::new(), None, true, &ALL),
        // A network of which the static prefix is a part, and somebody in it.
        (other("100.64.0.9"), None, false, &ALL),
        (
            other("100.64.0.9"),
            Some("100.64.0.200/24"),
            true,
            &ALL[1..],
        ),
        (String::new(), Some("100.64.0.200/24"), true, &ALL),
    ] {
        let addresses: Vec<&str> = ["192.0.2.1/24"].into_iter().chain(address).collect();
        plan.check(&more, &facts(&addresses, NOWHERE), matters, expected);
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
