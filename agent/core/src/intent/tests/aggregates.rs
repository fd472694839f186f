//! Aggregates: when there is one, and when its parts are advertised in its place.

use super::advertise::lb;
use super::*;

#[test]
fn aggregates_stand_while_a_part_does_and_local_addresses_make_none() {
    let table = [
        (
            "Aggregated",
            "Cluster",
            vec!["203.0.113.0/24 aggregate", "2001:db8::/64 aggregate"],
        ),
        (
            "Both",
            "Cluster",
            vec![
                "203.0.113.0/24 aggregate",
                "203.0.113.1/32",
                "2001:db8::/64 aggregate",
                "2001:db8::1/128",
            ],
        ),
        (
            "Exact",
            "Cluster",
            vec!["203.0.113.1/32", "2001:db8::1/128"],
        ),
        (
            "Aggregated",
            "Local",
            vec!["203.0.113.1/32", "2001:db8::1/128"],
        ),
        ("Both", "Local", vec!["203.0.113.1/32", "2001:db8::1/128"]),
    ];
    for (mode, policy, expected) in table {
        let spec = format!("{{services: {{}}, aggregate: {{ipv4: 24, ipv6: 64}}, mode: {mode}}}");
        let text = node("n1", "", "", &[], "")
            + &without_default()
            + &lb("a", "203.0.113.1", policy)
            + &lb("b", "2001:db8::1", policy)
            + &ours("Advertisement", "x", "", &spec);
        let intent = intent(&text, "n1");
        let shown: Vec<String> = intent
            .originated
            .values()
            .map(|r| {
                format!(
                    "{}{}",
                    r.route.prefix,
                    if r.is_aggregate() { " aggregate" } else { "" }
                )
            })
            .collect();
        assert_eq!(shown, expected, "{mode} {policy}");
    }
    let alone = node("n1", "", "", &[], "")
        + &ours(
            "Advertisement",
            "x",
            "",
            "{services: {}, aggregate: {ipv4: 24}}",
        );
    assert_eq!(prefixes(&intent(&alone, "n1")), Vec::<String>::new());
}

#[test]
fn an_aggregate_that_would_attract_pods_is_not_told_and_its_parts_are() {
    let text = node("n1", "", "", &[], "")
        + &node("n2", "", "203.0.113.128/25", &[], "")
        + &lb("a", "203.0.113.1", "Cluster")
        + &ours(
            "Advertisement",
            "x",
            "",
            "{services: {}, aggregate: {ipv4: 24}}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(prefixes(&intent), ["203.0.113.1/32"]);
    assert_eq!(
        suppressed(&intent),
        [
            "203.0.113.0/24 Advertisement x: the aggregate overlaps 203.0.113.128/25, a pod CIDR of node n2; exact routes \
          are advertised"
        ]
    );
}

#[test]
fn an_aggregate_is_shorter_than_what_it_is_made_of_and_bears_the_advertisements_name() {
    let text = node("n1", "", "10.1.0.0/24", &[], "")
        + &service("s", "type: LoadBalancer", "{ip: 203.0.113.1}")
        + &slice("e", "s", "IPv4", &[("n1", "ready: true")]);
    for (length, expected, aggregate) in
        [(31, "203.0.113.0/31", true), (32, "203.0.113.1/32", false)]
    {
        let spec = format!("{{services: {{}}, aggregate: {{ipv4: {length}}}}}");
        let intent = intent(
            &(text.clone() + &ours("Advertisement", "a", "", &spec)),
            "n1",
        );
        let prefix: IpNet = expected.parse().unwrap();
        let route = &intent.originated[&prefix];
        assert_eq!(route.is_aggregate(), aggregate, "{length}");
        let id = route.route.offers[0].advertisement;
        assert_eq!(intent.advertisements[&id], "a");
    }
}

/// What would attract the traffic of pods, our own or another node's, whether it is wider than their CIDR or inside.
#[test]
fn an_aggregate_that_overlaps_a_pod_cidr_is_replaced_by_its_exact_routes() {
    for (address, length, cidr, of) in [
        ("10.1.7.1", 8, "10.1.0.0/16", "n1"),
        ("10.1.7.1", 24, "10.1.0.0/16", "n1"),
        ("10.2.7.1", 8, "10.1.0.0/16", "n1"),
        ("10.3.0.1", 15, "10.2.0.0/16", "n2"),
    ] {
        let spec = format!("{{services: {{}}, aggregate: {{ipv4: {length}}}}}");
        let text = node("n1", "", "10.1.0.0/16", &[], "")
            + &node("n2", "", "10.2.0.0/16", &[], "")
            + &service("s", "type: LoadBalancer", &format!("{{ip: {address}}}"))
            + &slice("e", "s", "IPv4", &[("n1", "ready: true")])
            + &ours("Advertisement", "a", "", &spec);
        let intent = intent(&text, "n1");
        assert!(intent.originated.values().all(|r| !r.is_aggregate()));
        let told = suppressed(&intent).concat();
        let expected = format!("overlaps {cidr}, a pod CIDR of node {of}");
        // In the CIDR of another node there is nothing to aggregate.
        let inside = address.starts_with("10.2.");
        assert!(
            inside || told.contains(&expected),
            "{address}/{length}: {told}"
        );
    }
}
