//! Which Services have one address together.

use super::*;

const POOL: (&str, &str) = ("p", "addresses: [203.0.113.0/24]");

/// One of two Services: name, annotations, and more of its spec.
type Side<'a> = (&'a str, &'a str, &'a str);

/// Whether the second is given the address that the first has: because it asks for it, and because it asks for nothing. If it
/// asks and does not get it, the reason; both ways must come to the same.
fn shares(first: Side<'_>, second: Side<'_>) -> Result<(), String> {
    let mut cluster = Cluster::new(&[POOL]);
    let spec = |side: Side<'_>| format!("{V4}, {}", side.2);
    cluster.annotated(first.0, &spec(first), first.1);
    cluster.annotated(second.0, &spec(second), second.1);
    let found = cluster.shown(second.0) == "203.0.113.0 p";
    let asks = format!("{}, routelet.dev/addresses: 203.0.113.0", second.1);
    cluster.settle();
    cluster.annotated(second.0, &spec(second), asks.trim_start_matches(", "));
    let shown = cluster.shown(second.0);
    assert_eq!(
        found,
        shown == "203.0.113.0 p",
        "{first:?} {second:?}: {shown}"
    );
    let prefix = format!("Service {} has 203.0.113.0: ", key(first.0));
    shown
        .strip_prefix(&prefix)
        .map_or(Ok(()), |why| Err(why.to_owned()))
}

const HTTP: &str = "ports: [{port: 80}]";
const HTTPS: &str = "ports: [{port: 443}]";

#[test]
fn the_same_key_and_other_ports_are_needed() {
    let key = "routelet.dev/sharing-key: k";
    let two = "ports: [{port: 53, protocol: UDP}, {port: 80}]";
    let table = [
        (key, HTTP, key, HTTPS, None),
        (key, HTTP, key, "ports: [{port: 80, protocol: UDP}]", None),
        (key, HTTP, key, HTTP, Some("both have port 80/TCP")),
        (key, HTTP, key, two, Some("both have port 80/TCP")),
        (
            key,
            HTTP,
            "",
            HTTPS,
            Some("to share it, set the same annotation routelet.dev/sharing-key on both"),
        ),
        (
            "",
            HTTP,
            key,
            HTTPS,
            Some("it does not share with sharing key \"k\""),
        ),
        (
            "routelet.dev/sharing-key: j",
            HTTP,
            key,
            HTTPS,
            Some("it does not share with sharing key \"k\""),
        ),
        (
            "routelet.dev/sharing-key: \"\"",
            HTTP,
            "routelet.dev/sharing-key: \"\"",
            HTTPS,
            Some("to share it, set the same annotation routelet.dev/sharing-key on both"),
        ),
    ];
    for (a, ports_a, b, ports_b, expected) in table {
        let result = shares(("a", a, ports_a), ("b", b, ports_b));
        assert_eq!(
            result.err().as_deref(),
            expected,
            "{a} {ports_a} {b} {ports_b}"
        );
    }
}

#[test]
fn everybodys_keys_are_understood_and_reach_as_far_as_there() {
    let own = "sharing across namespaces needs both to allow it, and one does not allow";
    let table = [
        ("routelet.dev/sharing-key", "", Some(own)),
        (
            "routelet.dev/sharing-key",
            "routelet.dev/sharing-namespaces: \"a,b\"",
            None,
        ),
        (
            "routelet.dev/sharing-key",
            "routelet.dev/sharing-namespaces: \"*\"",
            None,
        ),
        (
            "routelet.dev/sharing-key",
            "routelet.dev/sharing-namespaces: \"c, d\"",
            Some(own),
        ),
        (
            "routelet.dev/sharing-key",
            "lbipam.cilium.io/sharing-cross-namespace: \"*\"",
            Some(own),
        ),
        ("metallb.io/allow-shared-ip", "", None),
        ("metallb.universe.tf/allow-shared-ip", "", None),
        ("purelb.io/allow-shared-ip", "", None),
        ("lbipam.cilium.io/sharing-key", "", Some(own)),
        (
            "lbipam.cilium.io/sharing-key",
            "lbipam.cilium.io/sharing-cross-namespace: \"a, b\"",
            None,
        ),
        (
            "io.cilium/lb-ipam-sharing-key",
            "io.cilium/lb-ipam-sharing-cross-namespace: \"*\"",
            None,
        ),
    ];
    for (name, more, expected) in table {
        let annotations = format!("{name}: k, {more}");
        let annotations = annotations.trim_end_matches(", ");
        let same = shares(("a/a", annotations, HTTP), ("a/b", annotations, HTTPS));
        assert_eq!(same, Ok(()), "{annotations}");
        let other = shares(("a/a", annotations, HTTP), ("b/b", annotations, HTTPS));
        let other = other.err();
        assert_eq!(
            other.is_some(),
            expected.is_some(),
            "{annotations}: {other:?}"
        );
        assert!(
            other
                .unwrap_or_default()
                .starts_with(expected.unwrap_or_default())
        );
    }
}

#[test]
fn both_sides_must_allow_the_others_namespace() {
    let key = "lbipam.cilium.io/sharing-key: k";
    let open = format!("{key}, lbipam.cilium.io/sharing-cross-namespace: \"*\"");
    let why = |namespace| {
        Err(format!(
            "sharing across namespaces needs both to allow it, and one does not allow {namespace}"
        ))
    };
    assert_eq!(shares(("a/a", key, HTTP), ("b/b", &open, HTTPS)), why("b"));
    assert_eq!(shares(("a/a", &open, HTTP), ("b/b", key, HTTPS)), why("a"));
    let metallb = "metallb.io/allow-shared-ip: k";
    assert_eq!(
        shares(("a/a", &open, HTTP), ("b/b", metallb, HTTPS)),
        Ok(())
    );
}

#[test]
fn local_traffic_needs_the_same_endpoints() {
    let local = |ports: &str, selector: &str| {
        format!("{ports}, externalTrafficPolicy: Local, selector: {{{selector}}}")
    };
    let cluster = |ports: &str, selector: &str| format!("{ports}, selector: {{{selector}}}");
    let selector =
        "with externalTrafficPolicy: Local, both need the same spec.selector, and not an empty one";
    let policy = "to share it, both need the same externalTrafficPolicy";
    let table = [
        (cluster(HTTP, "app: a"), cluster(HTTPS, "app: b"), None),
        (local(HTTP, "app: a"), local(HTTPS, "app: a"), None),
        (
            local(HTTP, "app: a"),
            local(HTTPS, "app: b"),
            Some(selector),
        ),
        (
            local(HTTP, "app: a"),
            local(HTTPS, "app: a, v: x"),
            Some(selector),
        ),
        (local(HTTP, ""), local(HTTPS, ""), Some(selector)),
        (
            local(HTTP, "app: a"),
            cluster(HTTPS, "app: a"),
            Some(policy),
        ),
        (
            cluster(HTTP, "app: a"),
            local(HTTPS, "app: a"),
            Some(policy),
        ),
    ];
    let key = "metallb.io/allow-shared-ip: k";
    for (a, b, expected) in table {
        let result = shares(("a", key, &a), ("b", key, &b));
        assert_eq!(result.err().as_deref(), expected, "{a} {b}");
    }
}

fn keyed(cluster: &mut Cluster, name: &str, spec: &str, port: u16) {
    let spec = format!("{spec}, ports: [{{port: {port}}}]");
    cluster.annotated(name, &spec, "routelet.dev/sharing-key: k");
}

#[test]
fn each_that_shares_must_fit_all_the_others() {
    let mut cluster = Cluster::new(&[POOL]);
    keyed(&mut cluster, "a", V4, 80);
    keyed(&mut cluster, "b", V4, 443);
    keyed(&mut cluster, "c", V4, 443);
    keyed(&mut cluster, "d", V4, 80);
    keyed(&mut cluster, "e", V4, 8080);
    assert_eq!(cluster.shown("a"), "203.0.113.0 p");
    assert_eq!(cluster.shown("b"), "203.0.113.0 p");
    assert_eq!(cluster.shown("c"), "203.0.113.1 p");
    assert_eq!(cluster.shown("d"), "203.0.113.1 p");
    assert_eq!(
        cluster.shown("e"),
        "203.0.113.0 p",
        "the lowest of those that fit"
    );
    let report = &allocate(&cluster.state).pools["p"];
    assert_eq!((report.ipv4.assigned, report.ipv4.available), (2, 254));
}

#[test]
fn sharing_goes_before_the_priority_of_pools_and_stays_inside_those_that_are_open() {
    let mut cluster = Cluster::new(&[
        (
            "low",
            "addresses: [203.0.113.1, \"2001:db8::1\"], priority: -1",
        ),
        ("high", "addresses: [198.51.100.1]"),
    ]);
    keyed(&mut cluster, "both", REQUIRE, 80);
    keyed(&mut cluster, "v4", V4, 443);
    assert_eq!(cluster.shown("both"), "203.0.113.1 low, 2001:db8::1 low");
    assert_eq!(cluster.shown("v4"), "203.0.113.1 low");
    cluster.settle();
    keyed(&mut cluster, "late", V4, 8080);
    cluster.pool(
        "low",
        "addresses: [203.0.113.1, \"2001:db8::1\"], autoAssign: false",
    );
    assert_eq!(cluster.shown("late"), "198.51.100.1 high");
}

#[test]
fn an_address_that_was_given_back_takes_part_in_sharing_no_more() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1]")]);
    // Has its turn first, gets the address, and gives it back for want of another.
    keyed(&mut cluster, "both", REQUIRE, 443);
    keyed(&mut cluster, "a", V4, 80);
    keyed(&mut cluster, "b", V4, 443);
    assert_eq!(cluster.shown("a"), "203.0.113.1 p");
    assert_eq!(cluster.shown("b"), "203.0.113.1 p");
}

#[test]
fn two_families_are_shared_together() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1, \"2001:db8::1\"]")]);
    keyed(&mut cluster, "a", REQUIRE, 80);
    keyed(&mut cluster, "b", REQUIRE, 443);
    keyed(&mut cluster, "c", "type: LoadBalancer", 8080);
    for name in ["a", "b"] {
        assert_eq!(cluster.shown(name), "203.0.113.1 p, 2001:db8::1 p");
    }
    assert_eq!(cluster.shown("c"), "203.0.113.1 p");
}

#[test]
fn who_may_not_share_any_more_moves_and_the_older_stays() {
    let mut cluster = Cluster::new(&[POOL]);
    keyed(&mut cluster, "a", V4, 80);
    keyed(&mut cluster, "b", V4, 443);
    cluster.settle();
    cluster.change("a", |a| {
        a.ports = [Port {
            protocol: "TCP".into(),
            port: 443,
        }]
        .into();
    });
    assert_eq!(cluster.shown("a"), "203.0.113.0 p");
    assert_eq!(cluster.shown("b"), "203.0.113.1 p");
    assert_eq!(
        *cluster.decision("b").release,
        ["203.0.113.0".parse::<IpAddr>().unwrap()]
    );
}

#[test]
fn an_address_is_free_when_the_last_of_those_that_share_it_goes() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1]")]);
    keyed(&mut cluster, "a", V4, 80);
    keyed(&mut cluster, "b", V4, 443);
    cluster.service("other", V4);
    cluster.settle();
    cluster.state.services.remove(&key("a"));
    assert!(
        cluster
            .shown("other")
            .starts_with("no IPv4 address is free")
    );
    cluster.state.services.remove(&key("b"));
    assert_eq!(cluster.shown("other"), "203.0.113.1 p");
}

/// The second of these shares the first one's address, and cannot keep it without the IPv6 address that it requires as well.
#[test]
fn who_gives_a_shared_address_back_frees_its_ports_there() {
    let key = "routelet.dev/sharing-key: k";
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.0/32]")]);
    let mut add = |name: &str, spec: &str, ingress: &str| {
        let yaml = Yaml {
            annotations: key,
            spec,
            ingress,
            ..Yaml::default()
        };
        cluster.add(name, &yaml);
    };
    let held = "{ip: 203.0.113.0}";
    add("first", &format!("{V4}, {HTTPS}"), held);
    add("both", &format!("{REQUIRE}, {HTTP}"), held);
    add("last", &format!("{V4}, {HTTP}"), "");
    assert_eq!(cluster.shown("first"), "203.0.113.0 p");
    assert!(matches!(
        cluster.decision("both").outcome,
        Outcome::Refused(_)
    ));
    assert_eq!(cluster.shown("last"), "203.0.113.0 p");
}
