//! The truth table, row by row, for both families.

use super::*;

const READY: &str = "ready: true";
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

fn with_service(
    spec: &str,
    ingress: &str,
    node_labels: &str,
    node_status: &str,
    more: &str,
) -> Arc<Intent> {
    let mut text = node("n1", node_labels, "10.1.0.0/24", &[], node_status);
    text += &service("s", spec, ingress);
    text += &slice("s-1", "s", "IPv4", &[("n1", READY)]);
    text += &slice("s-2", "s", "IPv6", &[("n1", READY)]);
    text += more;
    intent(&text, "n1")
}

const LB: &str = "type: LoadBalancer";
const IP: &str = "{ip: 203.0.113.1}";

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
fn what_is_not_ours_is_suppressed_by_the_rule_that_says_so() {
    let external = |list: &str| {
        ours(
            "Advertisement",
            "x",
            "",
            &format!(
                "{{services: {{addresses: [LoadBalancer, External], externalIPs: [{list}]}}}}"
            ),
        )
    };
    let no_list = ours(
        "Advertisement",
        "x",
        "",
        "{services: {addresses: [External]}}",
    );
    let label = "node.kubernetes.io/exclude-from-external-load-balancers: \"\"";
    let unavailable = "  conditions: [{type: NetworkUnavailable, status: \"True\"}]";
    let table = [
        (
            with_service(LB, "{ip: 203.0.113.1, ipMode: Proxy}", "", "", ""),
            "203.0.113.1/32 Service d/s: ipMode Proxy: the load balancer terminates the traffic",
        ),
        (
            with_service("type: LoadBalancer, loadBalancerClass: x/y", IP, "", "", ""),
            "203.0.113.1/32 Service d/s: loadBalancerClass x/y belongs to another load balancer",
        ),
        (
            with_service("type: ClusterIP", IP, "", "", ""),
            "203.0.113.1/32 Service d/s: ingress address of a Service that is of type ClusterIP now",
        ),
        (
            with_service(
                "externalIPs: [192.0.2.7]",
                "",
                "",
                "",
                &external("198.51.100.0/24"),
            ),
            "192.0.2.7/32 Service d/s: external IP outside the allow-list (services.externalIPs of the Advertisement)",
        ),
        (
            with_service("externalIPs: [192.0.2.7]", "", "", "", &no_list),
            "192.0.2.7/32 Service d/s: external IP without an allow-list (services.externalIPs of the Advertisement \
             is empty)",
        ),
        (
            with_service("externalIPs: [192.0.2.7]", "", "", "", ""),
            "192.0.2.7/32 Service d/s: no Advertisement selects it",
        ),
        (
            with_service(LB, IP, label, "", ""),
            "203.0.113.1/32 Service d/s: node excluded by label node.kubernetes.io/exclude-from-external-load-balancers",
        ),
        (
            with_service(LB, IP, "", unavailable, ""),
            "203.0.113.1/32 Service d/s: node has condition NetworkUnavailable",
        ),
        (
            with_service(LB, "{ip: 127.0.0.1}", "", "", ""),
            "127.0.0.1/32 Service d/s: a loopback, link-local, multicast, reserved, IPv4-mapped or unspecified address",
        ),
        (
            with_service("type: ExternalName, externalName: x", "", "", "", ""),
            "- Service d/s: type ExternalName has no addresses",
        ),
        (
            with_service("clusterIP: None", "", "", "", ""),
            "- Service d/s: headless: kube-proxy does not serve it",
        ),
    ];
    for (intent, expected) in table {
        assert_eq!(suppressed(&intent), [expected]);
        // What stands against a Service never stands against pods.
        let pods = prefixes(&intent)
            .iter()
            .filter(|p| *p == "10.1.0.0/24")
            .count();
        let has_object = intent.advertisements.values().any(|name| name == "x");
        assert_eq!(pods, 1, "has an object: {has_object}");
    }
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

/// What kube-proxy serves none of: headless Services and those of another proxy, whatever their addresses.
#[test]
fn what_kube_proxy_does_not_serve_is_not_announced() {
    let external = ours(
        "Advertisement",
        "x",
        "",
        "{services: {addresses: [LoadBalancer, External], externalIPs: [198.51.100.0/24]}}",
    );
    let labelled = |label: &str, spec: &str| {
        let text = node("n1", "", "", &[], "")
            + &service("s", spec, "").replace(
                "namespace: d",
                &format!("namespace: d, labels: {{{label}}}"),
            )
            + &slice("s-1", "s", "IPv4", &[("n1", READY)])
            + &external;
        intent(&text, "n1")
    };
    let headless = "clusterIP: None, externalIPs: [198.51.100.7]";
    let plain = "clusterIP: 10.96.0.1, externalIPs: [198.51.100.7]";
    let rule = "headless: kube-proxy does not serve it";
    let proxy =
        "label service.kubernetes.io/service-proxy-name is \"mine\": kube-proxy does not serve it";
    let unnamed =
        "label service.kubernetes.io/service-proxy-name is \"\": kube-proxy does not serve it";
    for (label, spec, expected) in [
        ("", plain, None),
        ("", headless, Some(rule)),
        ("service.kubernetes.io/headless: \"\"", plain, Some(rule)),
        (
            "service.kubernetes.io/service-proxy-name: mine",
            plain,
            Some(proxy),
        ),
        (
            "service.kubernetes.io/service-proxy-name: \"\"",
            plain,
            Some(unnamed),
        ),
    ] {
        let intent = labelled(label, spec);
        let found = suppressed(&intent);
        match expected {
            None => {
                assert_eq!(prefixes(&intent), ["198.51.100.7/32"]);
                assert_eq!(found, Vec::<String>::new());
            }
            Some(rule) => {
                assert_eq!(prefixes(&intent), Vec::<String>::new(), "{label} {spec}");
                let address = format!("198.51.100.7/32 Service d/s: {rule}");
                assert_eq!(found, [format!("- Service d/s: {rule}"), address]);
                assert!(intent.suppressed.keys().all(|s| !s.rule.is_refusal()));
            }
        }
    }
}

/// k3s writes addresses of Nodes into the status of LoadBalancer Services.
#[test]
fn addresses_of_nodes_and_peers_in_services_are_refused_by_name() {
    let addresses = "{ip: 192.0.2.11}, {ip: 192.0.2.12}, {ip: 198.51.100.12}, {ip: 192.0.2.1}, {ip: 203.0.113.1}";
    let external =
        "  - {type: ExternalIP, address: 198.51.100.12}\n  - {type: Hostname, address: n2}";
    let other = node("n2", "", "", &["192.0.2.12"], "")
        .replace("addresses: [{", "addresses:\n  - {")
        .replace("}]", &format!("}}\n{external}"));
    let text = node("n1", "", "", &["192.0.2.11"], "")
        + &other
        + &service("s", LB, addresses)
        + &slice("s-1", "s", "IPv4", &[("n1", READY)])
        + &ours("Peer", "tor", "", "{address: 192.0.2.1, asn: 64500}");
    let intent = intent(&text, "n1");
    assert_eq!(prefixes(&intent), ["203.0.113.1/32"]);
    assert_eq!(
        suppressed(&intent),
        [
            "192.0.2.1/32 Service d/s: the address of Peer tor",
            "192.0.2.11/32 Service d/s: an address of Node n1",
            "192.0.2.12/32 Service d/s: an address of Node n2",
            "198.51.100.12/32 Service d/s: an address of Node n2",
        ]
    );
    assert!(intent.suppressed.keys().all(|s| s.rule.is_refusal()));
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

#[test]
fn only_addresses_that_others_can_send_to_are_advertised() {
    for (address, expected) in [
        ("203.0.113.1", true),
        ("2001:db8::1", true),
        ("fd00::1", true),
        ("127.0.0.1", false),
        ("::1", false),
        ("0.0.0.0", false),
        ("::", false),
        ("224.0.0.1", false),
        ("ff02::1", false),
        ("255.255.255.255", false),
        ("169.254.0.1", false),
        ("fe80::1", false),
        ("::ffff:203.0.113.1", false),
    ] {
        assert_eq!(
            announceable::is_routable(address.parse::<std::net::IpAddr>().unwrap().into()),
            expected,
            "{address}"
        );
    }
}
