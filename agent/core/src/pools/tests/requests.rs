//! What Services ask for, in everybody's annotations.

use super::*;

fn cluster() -> Cluster {
    Cluster::new(&[
        (
            "a",
            "addresses: [203.0.113.0/28, \"2001:db8:a::/112\"], excludeFirstAndLast: true",
        ),
        (
            "b",
            "addresses: [198.51.100.0/28, \"2001:db8:b::/112\"], autoAssign: false",
        ),
        (
            "c",
            "addresses: [192.0.2.0/28], serviceSelector: {matchLabels: {x: \"y\"}}",
        ),
    ])
}

/// What a Service with these annotations gets.
fn asked(spec: &str, annotations: &str) -> String {
    let mut cluster = cluster();
    cluster.annotated("s", spec, annotations);
    cluster.shown("s")
}

#[test]
fn everybodys_annotations_for_addresses_are_understood() {
    for name in [
        "routelet.dev/addresses",
        "metallb.io/loadBalancerIPs",
        "metallb.universe.tf/loadBalancerIPs",
        "lbipam.cilium.io/ips",
        "io.cilium/lb-ipam-ips",
        "purelb.io/addresses",
        "kube-vip.io/loadbalancerIPs",
    ] {
        let annotation = format!("{name}: \"203.0.113.7\"");
        assert_eq!(asked(V4, &annotation), "203.0.113.7 a", "{name}");
        let annotation = format!("{name}: \"2001:db8:b::7 , 203.0.113.7,\"");
        let expected = "203.0.113.7 a, 2001:db8:b::7 b";
        assert_eq!(asked(REQUIRE, &annotation), expected, "{name}");
    }
    let field = format!("{V4}, loadBalancerIP: 203.0.113.7");
    assert_eq!(asked(&field, ""), "203.0.113.7 a");
}

#[test]
fn everybodys_annotations_for_pools_are_understood() {
    for name in [
        "routelet.dev/address-pool",
        "metallb.io/address-pool",
        "metallb.universe.tf/address-pool",
        "purelb.io/service-group",
    ] {
        assert_eq!(asked(V4, &format!("{name}: b")), "198.51.100.0 b", "{name}");
        let unknown = format!("{name} names AddressPool z, which does not exist");
        assert_eq!(asked(V4, &format!("{name}: z")), unknown);
    }
}

#[test]
fn of_several_annotations_ours_counts_and_the_field_last_and_an_empty_one_not_at_all() {
    let field = format!("{V4}, loadBalancerIP: 203.0.113.1");
    let all = [
        "io.cilium/lb-ipam-ips: 203.0.113.2",
        "lbipam.cilium.io/ips: 203.0.113.3",
        "metallb.universe.tf/loadBalancerIPs: 203.0.113.4",
        "metallb.io/loadBalancerIPs: 203.0.113.5",
        "routelet.dev/addresses: 203.0.113.6",
    ];
    for upto in 0..=all.len() {
        let expected = format!("203.0.113.{} a", upto + 1);
        assert_eq!(asked(&field, &all[..upto].join(", ")), expected);
    }
    let empty = "routelet.dev/addresses: \"\", routelet.dev/address-pool: \" \"";
    assert_eq!(asked(&field, empty), "203.0.113.1 a");
}

#[test]
fn what_cannot_be_had_gives_nothing_and_the_reason() {
    let ours = |value: &str| format!("routelet.dev/addresses: \"{value}\"");
    let pool = |name: &str| format!(", metallb.io/address-pool: {name}");
    let not = |text: &str| {
        format!(
            "routelet.dev/addresses: \"{text}\" is not an address: expected one such as 192.0.2.1 or 2001:db8::1, several \
             with commas between them"
        )
    };
    let table = [
        (ours("web"), not("web")),
        (ours("203.0.113.7, 203.0.113.0/24"), not("203.0.113.0/24")),
        (ours(","), not(",")),
        (
            ours("203.0.113.7, 10.0.0.1"),
            "routelet.dev/addresses asks for 10.0.0.1, which no AddressPool has: ask for another, or add it to a pool".into(),
        ),
        (
            ours("2001:db8:a::7"),
            "routelet.dev/addresses asks for 2001:db8:a::7, but IPv6 is not among the Service's ipFamilies".into(),
        ),
        (
            ours("203.0.113.15"),
            "203.0.113.15 is the first or last address of a prefix, which AddressPool a excludes \
             (excludeFirstAndLast): \
             ask for another"
                .into(),
        ),
        (
            ours("192.0.2.7"),
            "192.0.2.7 is in AddressPool c: its serviceSelector does not select the Service".into(),
        ),
        (
            ours("203.0.113.7") + &pool("b"),
            "203.0.113.7 is in AddressPool a, but the Service names b: ask for another, or name a".into(),
        ),
        (
            ours("203.0.113.7") + &pool("z"),
            "metallb.io/address-pool names AddressPool z, which does not exist".into(),
        ),
        (
            "routelet.dev/address-pool: c".into(),
            "no AddressPool assigns it an IPv4 address: c: its serviceSelector does not select the Service".into(),
        ),
    ];
    for (annotations, expected) in table {
        assert_eq!(asked(V4, &annotations), expected, "{annotations}");
    }
}

#[test]
fn an_address_that_another_has_is_not_given_and_no_other_in_its_place() {
    let mut cluster = cluster();
    cluster.annotated("first", V4, "routelet.dev/addresses: 203.0.113.7");
    cluster.annotated(
        "second",
        V4,
        "routelet.dev/addresses: \"203.0.113.8,203.0.113.7\"",
    );
    cluster.annotated("third", V4, "routelet.dev/addresses: 203.0.113.8");
    assert_eq!(
        cluster.shown("second"),
        "Service d/first has 203.0.113.7: to share it, set the same annotation routelet.dev/sharing-key on both"
    );
    assert_eq!(cluster.shown("third"), "203.0.113.8 a");
    cluster.state.services.remove(&key("first"));
    assert_eq!(cluster.shown("second"), "203.0.113.8 a, 203.0.113.7 a");
}

#[test]
fn who_asks_for_something_else_gives_up_what_it_has() {
    let mut cluster = cluster();
    cluster.service("s", V4);
    cluster.settle();
    assert_eq!(cluster.shown("s"), "203.0.113.1 a");
    cluster.annotated("s", V4, "routelet.dev/addresses: 10.0.0.1");
    let held = [LoadBalancerIngress {
        ip: "203.0.113.1".parse().unwrap(),
        proxy: false,
    }];
    cluster.change("s", |s| s.ingress = held.into());
    assert_eq!(cluster.decision("s").addresses().count(), 0);
    assert_eq!(*cluster.decision("s").release, [held[0].ip]);
    cluster.annotated("s", V4, "routelet.dev/address-pool: b");
    cluster.change("s", |s| s.ingress = held.into());
    assert_eq!(cluster.shown("s"), "198.51.100.0 b");
}

#[test]
fn of_two_families_the_one_that_is_not_asked_for_is_found() {
    let expected = "203.0.113.7 a, 2001:db8:a::1 a";
    assert_eq!(
        asked(REQUIRE, "routelet.dev/addresses: 203.0.113.7"),
        expected
    );
    // The pool of the other address gives nothing without being asked.
    let expected = "198.51.100.7 b, 2001:db8:a::1 a";
    assert_eq!(
        asked(REQUIRE, "routelet.dev/addresses: 198.51.100.7"),
        expected
    );
    let none = "203.0.113.7 a, no IPv6 address";
    let mut cluster = cluster();
    cluster.pool("a", "addresses: [203.0.113.0/28, \"2001:db8:a::1\"]");
    cluster.service("other", V6);
    cluster.annotated("s", PREFER, "routelet.dev/addresses: 203.0.113.7");
    cluster.annotated("t", REQUIRE, "routelet.dev/addresses: 203.0.113.8");
    cluster.settle();
    assert_eq!(
        cluster.shown("s"),
        "203.0.113.7 a, 2001:db8:a::1 a",
        "who asks comes first"
    );
    assert!(
        cluster
            .shown("other")
            .starts_with("no IPv6 address is free")
    );
    assert!(cluster.shown("t").starts_with("no IPv6 address is free"));
    cluster.holding("s", "type: ClusterIP", &[]);
    cluster.settle();
    assert!(!cluster.shown("t").contains(none));
    assert_eq!(cluster.shown("t"), "203.0.113.8 a, 2001:db8:a::1 a");
}

#[test]
fn several_addresses_of_one_family_are_all_given() {
    let annotation = "routelet.dev/addresses: \"203.0.113.9, 203.0.113.7, 203.0.113.9\"";
    assert_eq!(asked(V4, annotation), "203.0.113.9 a, 203.0.113.7 a");
}

#[test]
fn who_asks_for_an_address_comes_before_those_that_take_any() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1-203.0.113.2]")]);
    cluster.service("any", V4);
    cluster.annotated("asks", V4, "routelet.dev/addresses: 203.0.113.1");
    assert_eq!(cluster.shown("asks"), "203.0.113.1 p");
    assert_eq!(cluster.shown("any"), "203.0.113.2 p");
}

#[test]
fn who_takes_any_in_one_family_does_not_take_what_others_ask_for_in_it() {
    let mut cluster =
        Cluster::new(&[("p", "addresses: [203.0.113.1, \"2001:db8::1-2001:db8::2\"]")]);
    cluster.annotated("both", REQUIRE, "routelet.dev/addresses: 203.0.113.1");
    cluster.annotated("one", V6, "routelet.dev/addresses: \"2001:db8::1\"");
    assert_eq!(cluster.shown("one"), "2001:db8::1 p");
    assert_eq!(cluster.shown("both"), "203.0.113.1 p, 2001:db8::2 p");
}

#[test]
fn who_comes_to_ask_for_an_address_does_not_keep_another_beside_it() {
    let mut cluster = cluster();
    cluster.holding("s", V4, &["203.0.113.7"]);
    let held = cluster.state.services[&key("s")].ingress.clone();
    cluster.annotated("s", V4, "routelet.dev/addresses: 203.0.113.8");
    cluster.change("s", |s| s.ingress = held);
    assert_eq!(cluster.shown("s"), "203.0.113.8 a");
    assert_eq!(
        *cluster.decision("s").release,
        ["203.0.113.7".parse::<IpAddr>().unwrap()]
    );
}

#[test]
fn reasons_name_a_few_pools_and_count_the_others() {
    let names: Vec<String> = (0..6).map(|at| format!("p{at}")).collect();
    let mut cluster = Cluster::default();
    for name in &names {
        cluster.pool(name, &format!("addresses: [203.0.113.{}]", &name[1..]));
        cluster.service(&format!("s{name}"), V4);
    }
    cluster.service("s", V4);
    assert_eq!(
        cluster.shown("s"),
        "no IPv4 address is free in AddressPool p0, p1, p2, p3, and 2 more: add addresses, or delete Services that have some"
    );
    assert_eq!(cluster.decision("s").refusal().unwrap().code(), "exhausted");
}
