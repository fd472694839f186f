//! Pools: their blocks, order, selectors, overlaps and counts.

use super::*;

#[test]
fn prefixes_ranges_and_single_addresses_are_used_from_the_lowest_on() {
    let mut cluster = Cluster::new(&[(
        "p",
        "addresses: [203.0.113.9, 198.51.100.10-198.51.100.11, 192.0.2.0/31]",
    )]);
    let expected = [
        "192.0.2.0 p",
        "192.0.2.1 p",
        "198.51.100.10 p",
        "198.51.100.11 p",
        "203.0.113.9 p",
        "no IPv4 address is free in AddressPool p: add addresses, or delete Services that have some",
    ];
    for at in 0..expected.len() {
        cluster.service(&format!("s{at}"), V4);
    }
    for (at, expected) in expected.into_iter().enumerate() {
        assert_eq!(cluster.shown(&format!("s{at}")), expected);
    }
    let report = &allocate(&cluster.state).pools["p"];
    assert_eq!(report.waiting, [key("s5")]);
    assert_eq!(
        (
            report.ipv4.total,
            report.ipv4.assigned,
            report.ipv4.available
        ),
        (5, 5, 0)
    );
}

#[test]
fn the_first_and_the_last_address_of_prefixes_alone_are_left_out() {
    let first = |block: &str| {
        let mut cluster = Cluster::new(&[(
            "p",
            &format!("addresses: [\"{block}\"], excludeFirstAndLast: true"),
        )]);
        cluster.service("s", "type: LoadBalancer");
        let report = &allocate(&cluster.state).pools["p"];
        let addresses: Vec<String> = cluster
            .decision("s")
            .addresses()
            .map(|a| a.to_string())
            .collect();
        (addresses.concat(), report.ipv4.total + report.ipv6.total)
    };
    let table = [
        ("203.0.113.0/24", "203.0.113.1", 254),
        ("203.0.113.0/30", "203.0.113.1", 2),
        ("203.0.113.0/31", "", 0),
        ("203.0.113.0/32", "", 0),
        ("203.0.113.0-203.0.113.255", "203.0.113.0", 256),
        ("203.0.113.0", "203.0.113.0", 1),
        ("2001:db8::/112", "2001:db8::1", 65_534),
    ];
    for (block, expected, total) in table {
        assert_eq!(first(block), (expected.to_owned(), total), "{block}");
    }
}

#[test]
fn the_highest_priority_is_asked_first_and_among_equals_the_first_by_name() {
    let mut cluster = Cluster::new(&[
        ("d", "addresses: [203.0.113.4], priority: -1"),
        ("c", "addresses: [203.0.113.3]"),
        ("b", "addresses: [203.0.113.2]"),
        ("a", "addresses: [203.0.113.1], priority: 7"),
    ]);
    for at in 1..5 {
        cluster.service(&format!("s{at}"), V4);
    }
    let pools = ["a", "b", "c", "d"];
    for (at, pool) in (1..).zip(pools) {
        assert_eq!(
            cluster.shown(&format!("s{at}")),
            format!("203.0.113.{at} {pool}")
        );
    }
}

#[test]
fn a_pool_without_auto_assign_is_only_for_those_that_name_it_or_an_address_of_it() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/24], autoAssign: false")]);
    cluster.service("plain", V4);
    cluster.annotated("names", V4, "routelet.dev/address-pool: p");
    cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.7");
    assert_eq!(
        cluster.shown("plain"),
        "no AddressPool assigns it an IPv4 address: p: only for Services that name it with routelet.dev/address-pool"
    );
    assert_eq!(cluster.shown("names"), "203.0.113.0 p");
    assert_eq!(cluster.shown("asks"), "203.0.113.7 p");
    assert_eq!(allocate(&cluster.state).pools["p"].waiting, []);
}

#[test]
fn selectors_of_services_and_namespaces_must_both_admit() {
    let mut cluster = Cluster::new(&[(
        "p",
        "addresses: [203.0.113.0/24], serviceSelector: {matchLabels: {expose: \"yes\"}}, \
         namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a]}]}",
    )]);
    cluster.namespace("a", &[("team", "a")]);
    cluster.namespace("b", &[("team", "b")]);
    let labels = |labels| Yaml {
        labels,
        spec: V4,
        ..Yaml::default()
    };
    cluster.add("a/yes", &labels("expose: \"yes\""));
    cluster.add("a/no", &labels("expose: \"no\""));
    cluster.add("b/yes", &labels("expose: \"yes\""));
    cluster.add("c/yes", &labels("expose: \"yes\""));
    let none = "no AddressPool assigns it an IPv4 address: p: its";
    assert_eq!(cluster.shown("a/yes"), "203.0.113.0 p");
    assert_eq!(
        cluster.shown("a/no"),
        format!("{none} serviceSelector does not select the Service")
    );
    for name in ["b/yes", "c/yes"] {
        let expected = format!("{none} namespaceSelector does not select the namespace");
        assert_eq!(cluster.shown(name), expected);
    }
}

/// Which pools are for it is not known.
#[test]
fn a_service_of_an_unknown_namespace_gets_nothing_and_loses_nothing() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/31], serviceSelector: {}")]);
    cluster.service("u/new", V4);
    cluster.holding("u/old", V4, &["203.0.113.0", "192.0.2.1"]);
    cluster.service("k/one", V4);
    cluster.service("k/two", V4);
    cluster.state.namespaces.remove("u");
    let allocation = allocate(&cluster.state);
    for name in ["u/new", "u/old"] {
        let decision = &allocation.services[&key(name)];
        let outcome = Outcome::NotOurs(NotOurs::UnknownNamespace);
        assert_eq!((&decision.outcome, &*decision.release), (&outcome, &[][..]));
        assert!(decision.is_written(&cluster.state.services[&key(name)]));
        assert!(decision.is_of_unknown_namespace());
    }
    // What it has is nobody else's meanwhile.
    assert_eq!(cluster.shown("k/one"), "203.0.113.1 p");
    let decision = &allocation.services[&key("k/two")];
    assert!(matches!(
        decision.refusal(),
        Some(Refusal::Exhausted { .. })
    ));
    cluster.namespace("u", &[]);
    assert_eq!(cluster.shown("u/old"), "203.0.113.0 p");
}

#[test]
fn of_pools_that_overlap_the_older_keeps_what_both_claim_and_the_younger_says_so() {
    let mut cluster = Cluster::new(&[
        ("old", "addresses: [203.0.113.4-203.0.113.5, 203.0.113.7]"),
        (
            "new",
            "addresses: [203.0.113.0/29, 198.51.100.1], priority: 9",
        ),
    ]);
    let overlap = |block: &str, older: &str, older_block: &str| Overlap {
        block: block.parse().unwrap(),
        older: older.to_owned(),
        older_block: older_block.parse().unwrap(),
    };
    let allocation = allocate(&cluster.state);
    assert_eq!(allocation.pools["old"].overlaps, []);
    assert_eq!(
        allocation.pools["new"].overlaps,
        [overlap("203.0.113.0/29", "old", "203.0.113.4-203.0.113.5")]
    );
    assert_eq!(
        allocation.pools["new"].overlaps[0].to_string(),
        "203.0.113.0/29 overlaps 203.0.113.4-203.0.113.5 of AddressPool old, which is older and keeps the addresses \
         that both have"
    );
    assert_eq!(allocation.pools["old"].ipv4.total, 3);
    assert_eq!(allocation.pools["new"].ipv4.total, 6);
    for (name, ip) in [
        ("s4", "203.0.113.4"),
        ("s6", "203.0.113.6"),
        ("s7", "203.0.113.7"),
    ] {
        cluster.holding(name, V4, &[ip]);
    }
    assert_eq!(cluster.shown("s4"), "203.0.113.4 old");
    assert_eq!(cluster.shown("s6"), "203.0.113.6 new");
    assert_eq!(cluster.shown("s7"), "203.0.113.7 old");
    // Of one age: the first by name.
    for pool in cluster.state.pools.values_mut() {
        Arc::make_mut(pool).created = Created(None);
    }
    assert_eq!(cluster.shown("s4"), "203.0.113.4 new");
    assert_eq!(allocate(&cluster.state).pools["old"].overlaps.len(), 2);
}

#[test]
fn what_an_older_pool_leaves_out_a_younger_may_have() {
    let mut cluster = Cluster::new(&[
        (
            "old",
            "addresses: [203.0.113.0/24], excludeFirstAndLast: true",
        ),
        ("new", "addresses: [203.0.113.255]"),
    ]);
    cluster.annotated("s", V4, "routelet.dev/address-pool: new");
    assert_eq!(cluster.shown("s"), "203.0.113.255 new");
    assert_eq!(allocate(&cluster.state).pools["new"].overlaps, []);
}

#[test]
fn blocks_of_one_pool_that_overlap_count_once() {
    let cluster = Cluster::new(&[(
        "p",
        "addresses: [203.0.113.0/30, 203.0.113.2-203.0.113.9, 203.0.113.2]",
    )]);
    assert_eq!(allocate(&cluster.state).pools["p"].ipv4.total, 10);
}

#[test]
fn huge_pools_are_counted_as_the_most_that_a_status_can_say() {
    let mut cluster = Cluster::new(&[
        ("all", "addresses: [\"::/0\"]"),
        ("half", "addresses: [203.0.113.0/24]"),
    ]);
    cluster.service("s", V6);
    let report = &allocate(&cluster.state).pools["all"];
    assert_eq!(report.ipv6.total, i64::MAX);
    assert_eq!(report.ipv6.assigned, 1);
    assert_eq!(report.ipv6.available, i64::MAX);
    assert_eq!(report.ipv4, PoolUsage::default());
}

#[test]
fn what_is_given_back_is_free_again_though_a_higher_one_was_looked_at() {
    let cluster = Cluster::new(&[("p", "addresses: [203.0.113.1-203.0.113.3]")]);
    let space = Space::new(
        cluster.state.pools.values().cloned(),
        cluster.state.unknown_pools.clone(),
        &[],
        [],
    );
    let request = Arc::new(Request::default());
    let mut books = Books::new(Arc::new(space), HashMap::new());
    let [one, two] = [1, 2].map(|last| IpAddr::from([203, 0, 113, last]));
    assert_eq!(books.free(0, (IpFamily::Ipv4, Choice::AtOnce)), Some(one));
    books.take(one, &request);
    assert_eq!(books.free(0, (IpFamily::Ipv4, Choice::AtOnce)), Some(two));
    books.give_back(one, &request.key);
    assert_eq!(books.free(0, (IpFamily::Ipv4, Choice::AtOnce)), Some(one));
}

#[test]
fn the_last_address_of_all_is_given_out_too() {
    let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let mut cluster = Cluster::new(&[("p", &format!("addresses: [\"{last}\"]"))]);
    cluster.service("a", V6);
    cluster.service("b", V6);
    assert_eq!(cluster.shown("a"), format!("{last} p"));
    assert!(cluster.shown("b").starts_with("no IPv6 address is free"));
}

#[test]
fn five_thousand_services_of_a_slash_64_get_the_first_five_thousand_addresses() {
    let mut cluster = Cluster::new(&[("p", "addresses: [\"2001:db8::/64\"]")]);
    cluster.namespace("d", &[]);
    let request = Yaml {
        spec: V6,
        ..Yaml::default()
    }
    .read("s", 0);
    for at in 0..5000_u32 {
        let key = ObjectKey::new("d", format!("s{at:04}"));
        let request = Request {
            key: key.clone(),
            ..request.clone()
        };
        cluster.state.services.insert(key, Arc::new(request));
    }
    assert_eq!(cluster.shown("s4999"), "2001:db8::1387 p");
    assert_eq!(allocate(&cluster.state).pools["p"].ipv6.assigned, 5000);
}
