//! Which families a Service gets.

use super::*;

const BOTH: &str = "addresses: [203.0.113.0/24, \"2001:db8::/112\"]";
const ONLY_V4: &str = "addresses: [203.0.113.0/24]";
const ONLY_V6: &str = "addresses: [\"2001:db8::/112\"]";

#[test]
fn the_policy_and_what_pools_have_decide_about_families() {
    let no_v6 = "no AddressPool assigns it an IPv6 address: p: it has no addresses of that family";
    let no_v4 = "no AddressPool assigns it an IPv4 address: p: it has no addresses of that family";
    let table = [
        (BOTH, V4, "203.0.113.0 p"),
        (BOTH, V6, "2001:db8:: p"),
        (BOTH, REQUIRE, "203.0.113.0 p, 2001:db8:: p"),
        (BOTH, PREFER, "203.0.113.0 p, 2001:db8:: p"),
        (ONLY_V4, V4, "203.0.113.0 p"),
        (ONLY_V4, V6, no_v6),
        (ONLY_V4, REQUIRE, no_v6),
        (ONLY_V4, PREFER, &format!("203.0.113.0 p, {no_v6}")),
        (ONLY_V6, REQUIRE, no_v4),
        (ONLY_V6, PREFER, &format!("2001:db8:: p, {no_v4}")),
        // IPv6 comes first where the Service says so.
        (
            BOTH,
            "type: LoadBalancer, ipFamilies: [IPv6, IPv4], ipFamilyPolicy: RequireDualStack",
            "2001:db8:: p, 203.0.113.0 p",
        ),
        // Of two families of a single-stack Service the first counts.
        (
            BOTH,
            "type: LoadBalancer, ipFamilies: [IPv6, IPv4], ipFamilyPolicy: SingleStack",
            "2001:db8:: p",
        ),
        // A cluster without IPv6.
        (
            BOTH,
            "type: LoadBalancer, ipFamilies: [IPv4], ipFamilyPolicy: PreferDualStack",
            "203.0.113.0 p",
        ),
        (
            BOTH,
            "type: LoadBalancer, ipFamilies: [IPv6], ipFamilyPolicy: RequireDualStack",
            "2001:db8:: p, 203.0.113.0 p",
        ),
        // Without a word on families: IPv4, or else IPv6.
        (BOTH, "type: LoadBalancer", "203.0.113.0 p"),
        (ONLY_V6, "type: LoadBalancer", "2001:db8:: p"),
        (
            BOTH,
            "type: LoadBalancer, ipFamilyPolicy: PreferDualStack",
            "203.0.113.0 p, 2001:db8:: p",
        ),
    ];
    for (pool, spec, expected) in table {
        let mut cluster = Cluster::new(&[("p", pool)]);
        cluster.service("s", spec);
        assert_eq!(cluster.shown("s"), expected, "{pool}: {spec}");
    }
}

#[test]
fn one_pool_that_has_both_families_is_preferred_to_two() {
    let mut cluster = Cluster::new(&[
        ("a", "addresses: [198.51.100.1], priority: 9"),
        ("b", "addresses: [\"2001:db8:b::1\"], priority: 5"),
        ("c", "addresses: [203.0.113.1, \"2001:db8:c::1\"]"),
    ]);
    cluster.service("s", REQUIRE);
    cluster.service("t", REQUIRE);
    cluster.service("u", REQUIRE);
    assert_eq!(cluster.shown("s"), "203.0.113.1 c, 2001:db8:c::1 c");
    assert_eq!(cluster.shown("t"), "198.51.100.1 a, 2001:db8:b::1 b");
    assert_eq!(
        cluster.shown("u"),
        "no IPv4 address is free in AddressPool a, c: add addresses, or delete Services that have some"
    );
}

#[test]
fn a_second_family_comes_from_the_pool_of_the_first_if_it_can() {
    let mut cluster = Cluster::new(&[
        ("a", "addresses: [\"2001:db8:a::1\"], priority: 9"),
        ("b", "addresses: [203.0.113.1, \"2001:db8:b::1\"]"),
    ]);
    cluster.holding("s", PREFER, &["203.0.113.1"]);
    assert_eq!(cluster.shown("s"), "203.0.113.1 b, 2001:db8:b::1 b");
}

#[test]
fn who_requires_both_families_takes_nothing_from_others_if_it_cannot_have_both() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1]")]);
    cluster.service("both", REQUIRE);
    cluster.service("one", V4);
    assert_eq!(cluster.shown("one"), "203.0.113.1 p");
}

#[test]
fn who_comes_to_require_both_families_gives_up_the_one_it_has() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1]")]);
    // The younger asks for what the older has to give up, and has its turn first.
    cluster.holding("both", REQUIRE, &["203.0.113.1"]);
    cluster.annotated("one", V4, "routelet.dev/addresses: 203.0.113.1");
    assert_eq!(cluster.shown("one"), "203.0.113.1 p");
    assert_eq!(
        *cluster.decision("both").release,
        ["203.0.113.1".parse::<IpAddr>().unwrap()]
    );
    let before = cluster.settle();
    assert_eq!(cluster.settle().pools, before.pools);
}

#[test]
fn an_address_of_a_family_that_is_not_wanted_any_more_is_released() {
    let mut cluster = Cluster::new(&[("p", BOTH)]);
    cluster.service("s", PREFER);
    cluster.settle();
    cluster.change("s", |s| {
        s.ip_family_policy = IpFamilyPolicy::SingleStack;
        s.ip_families = [IpFamily::Ipv6].into();
    });
    assert_eq!(cluster.shown("s"), "2001:db8:: p");
    assert_eq!(
        *cluster.decision("s").release,
        ["203.0.113.0".parse::<IpAddr>().unwrap()]
    );
}

#[test]
fn without_a_word_on_families_the_one_that_is_there_stays() {
    let mut cluster = Cluster::new(&[("p", BOTH)]);
    cluster.holding("s", "type: LoadBalancer", &["2001:db8::7"]);
    assert_eq!(cluster.shown("s"), "2001:db8::7 p");
}
