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
    let older = "203.0.113.1/32 Service d/web: Service e/thief, which is older, has the address";
    let younger = "203.0.113.1/32 Service e/thief: Service d/web, which is older, has the address";
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
