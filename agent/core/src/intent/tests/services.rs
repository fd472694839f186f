//! The truth table, row by row, for both families.

use super::*;

pub(super) const READY: &str = "ready: true";
const NIL: &str = "";
const NOT_READY: &str = "ready: false";
const TERMINATING: &str = "ready: false, serving: true, terminating: true";
const GONE: &str = "ready: false, serving: false, terminating: true";

/// Policy, endpoints (node and conditions), and what follows.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// What node `n1` decides on a LoadBalancer address with these endpoints (each in a slice of its own), per family.
fn decide(policy: &str, endpoints: &[(&str, &str)]) -> [String; 2] {
    [("IPv4", "203.0.113.1"), ("IPv6", "2001:db8::1")].map(|(family, address)| {
        let mut text = node("n1", "", "", &[], "") + &node("n2", "", "", &[], "");
        let spec = format!("type: LoadBalancer, externalTrafficPolicy: {policy}");
        text += &service("s", &spec, &format!("{{ip: \"{address}\"}}"));
        for (at, endpoint) in endpoints.iter().enumerate() {
            text += &slice(&format!("s-{at}"), "s", family, &[*endpoint]);
        }
        // Ready endpoints of the other family must not count.
        let other = if family == "IPv4" { "IPv6" } else { "IPv4" };
        text += &slice("other", "s", other, &[("n1", READY)]);
        let intent = intent(&text, "n1");
        let decision = &intent.services.values().next().unwrap().addresses[0].decision;
        match decision {
            Decision::Advertise(_) => {
                assert_eq!(intent.originated.len(), 1);
                "yes".to_owned()
            }
            Decision::Suppress(rule) => {
                assert_eq!(intent.originated.len(), 0);
                rule.to_string()
            }
        }
    })
}

#[test]
fn every_row_of_the_truth_table_holds_in_both_families() {
    let none = "no ready endpoint";
    let not_here = "no ready endpoint on this node (externalTrafficPolicy: Local)";
    let leaving = "only terminating endpoints on this node, others are ready elsewhere (externalTrafficPolicy: Local)";
    let table: &[Row<'_>] = &[
        ("Cluster", &[("n1", READY)], "yes"),
        ("Cluster", &[("n2", READY)], "yes"),
        ("Cluster", &[("n2", NIL)], "yes"),
        ("Cluster", &[("n1", NOT_READY), ("n2", READY)], "yes"),
        ("Cluster", &[], none),
        ("Cluster", &[("n1", NOT_READY)], none),
        ("Cluster", &[("n1", TERMINATING)], "yes"),
        ("Cluster", &[("n2", TERMINATING)], "yes"),
        ("Cluster", &[("n2", TERMINATING), ("n1", NOT_READY)], "yes"),
        ("Cluster", &[("n2", TERMINATING), ("n2", READY)], "yes"),
        ("Cluster", &[("n1", GONE)], none),
        ("Local", &[("n1", READY)], "yes"),
        ("Local", &[("n1", NIL)], "yes"),
        ("Local", &[("n1", READY), ("n2", READY)], "yes"),
        ("Local", &[("n1", NOT_READY), ("n1", READY)], "yes"),
        ("Local", &[("n1", TERMINATING), ("n1", READY)], "yes"),
        ("Local", &[("n2", READY)], not_here),
        ("Local", &[("n1", NOT_READY), ("n2", READY)], not_here),
        ("Local", &[("n1", TERMINATING), ("n2", READY)], leaving),
        ("Local", &[("n1", TERMINATING)], "yes"),
        ("Local", &[("n1", TERMINATING), ("n2", TERMINATING)], "yes"),
        ("Local", &[("n1", TERMINATING), ("n2", NOT_READY)], "yes"),
        ("Local", &[("n2", TERMINATING)], none),
        ("Local", &[("n1", GONE)], none),
        ("Local", &[], none),
    ];
    for (policy, endpoints, expected) in table {
        assert_eq!(
            decide(policy, endpoints),
            [*expected, *expected],
            "{policy} {endpoints:?}"
        );
    }
}

pub(super) const LB: &str = "type: LoadBalancer";
pub(super) const IP: &str = "{ip: 203.0.113.1}";

#[test]
fn the_internal_policy_decides_for_cluster_ips_and_the_external_one_for_the_rest() {
    let all = ours(
        "Advertisement",
        "all",
        "",
        "{services: {addresses: [LoadBalancer, External, Cluster], externalIPs: [198.51.100.0/24]}}",
    );
    let text = node("n1", "", "", &[], "")
        + &service(
            "s",
            "type: LoadBalancer, externalTrafficPolicy: Cluster, internalTrafficPolicy: Local, \
             clusterIPs: [10.96.0.1], externalIPs: [198.51.100.7]",
            IP,
        )
        + &slice("s-1", "s", "IPv4", &[("n2", READY)])
        + &all;
    let intent = intent(&text, "n1");
    assert_eq!(prefixes(&intent), ["198.51.100.7/32", "203.0.113.1/32"]);
    assert_eq!(
        suppressed(&intent),
        ["10.96.0.1/32 Service d/s: no ready endpoint on this node (internalTrafficPolicy: Local)"]
    );
}

#[test]
fn a_class_that_is_ours_is_advertised_and_a_cordon_changes_nothing() {
    let class = "type: LoadBalancer, loadBalancerClass: routelet.dev/bgp";
    let cordoned =
        node("n1", "", "10.1.0.0/24", &[], "").replace("spec: {", "spec: {unschedulable: true, ");
    let text = cordoned + &service("s", class, IP) + &slice("s-1", "s", "IPv4", &[("n1", READY)]);
    assert_eq!(
        prefixes(&intent(&text, "n1")),
        ["10.1.0.0/24", "203.0.113.1/32"]
    );
}

#[test]
fn both_families_of_a_service_are_decided_each_for_itself() {
    let text = node("n1", "", "", &[], "")
        + &service("s", LB, "{ip: 203.0.113.1}, {ip: \"2001:db8::1\"}")
        + &slice("s-1", "s", "IPv4", &[("n1", NOT_READY)])
        + &slice("s-2", "s", "IPv6", &[("n1", READY)]);
    let intent = intent(&text, "n1");
    assert_eq!(prefixes(&intent), ["2001:db8::1/128"]);
    assert_eq!(
        suppressed(&intent),
        ["203.0.113.1/32 Service d/s: no ready endpoint"]
    );
}

#[test]
fn a_shared_address_goes_when_its_last_reason_goes() {
    let shared = |a: &str, b: &str| {
        let text = node("n1", "", "", &[], "")
            + &service("a", LB, IP)
            + &service("b", LB, IP)
            + &slice("a-1", "a", "IPv4", &[("n1", a)])
            + &slice("b-1", "b", "IPv4", &[("n1", b)]);
        let intent = intent(&text, "n1");
        let justifications = intent
            .originated
            .values()
            .next()
            .map_or(0, |r| r.justifications.len());
        (prefixes(&intent).len(), justifications)
    };
    assert_eq!(shared(READY, READY), (1, 2));
    assert_eq!(shared(READY, NOT_READY), (1, 1));
    assert_eq!(shared(NOT_READY, READY), (1, 1));
    assert_eq!(shared(NOT_READY, NOT_READY), (0, 0));
}

#[test]
fn slices_of_another_service_or_namespace_do_not_count() {
    let foreign =
        slice("x-1", "s", "IPv4", &[("n1", READY)]).replace("namespace: d", "namespace: e");
    let text = node("n1", "", "", &[], "")
        + &service("s", LB, IP)
        + &slice("t-1", "t", "IPv4", &[("n1", READY)])
        + &foreign;
    assert_eq!(
        suppressed(&intent(&text, "n1")),
        ["203.0.113.1/32 Service d/s: no ready endpoint"]
    );
}

#[test]
fn a_namespace_selector_sees_labels_and_the_name_that_every_namespace_has() {
    let namespace =
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: d, labels: {team: red}}\n";
    let by = |selector: &str, namespace: &str| {
        let spec = format!("{{services: {{namespaceSelector: {{matchLabels: {{{selector}}}}}}}}}");
        let text = node("n1", "", "", &[], "")
            + &without_default()
            + namespace
            + &service("s", LB, IP)
            + &slice("s-1", "s", "IPv4", &[("n1", READY)])
            + &ours("Advertisement", "x", "", &spec);
        prefixes(&intent(&text, "n1")).len()
    };
    assert_eq!(by("team: red", namespace), 1);
    assert_eq!(by("team: blue", namespace), 0);
    assert_eq!(by("kubernetes.io/metadata.name: d", namespace), 1);
    assert_eq!(by("kubernetes.io/metadata.name: d", ""), 1);
}

#[test]
fn endpoints_of_all_slices_of_a_family_are_counted_by_what_they_are_and_where() {
    let text = node("n1", "", "", &[], "")
        + &service(
            "s",
            "type: LoadBalancer",
            "{ip: 203.0.113.1}, {ip: \"2001:db8::1\"}",
        )
        + &slice(
            "a",
            "s",
            "IPv4",
            &[("n1", READY), ("n2", READY), ("n1", TERMINATING)],
        )
        + &slice(
            "b",
            "s",
            "IPv4",
            &[("n2", TERMINATING), ("n1", GONE), ("n1", READY)],
        )
        + &slice("c", "s", "IPv4", &[])
        + &slice("d", "s", "IPv6", &[("n2", NOT_READY)]);
    let intent = intent(&text, "n1");
    let addresses = &intent.services.values().next().unwrap().addresses;
    let [v4, v6] = [0, 1].map(|at| addresses[at].endpoints);
    assert_eq!(
        v4,
        EndpointCounts {
            slices: 3,
            ready: 3,
            ready_here: 2,
            terminating: 2,
            terminating_here: 1,
            not_ready: 1,
        }
    );
    assert_eq!(
        v6,
        EndpointCounts {
            slices: 1,
            not_ready: 1,
            ..EndpointCounts::default()
        }
    );
}
