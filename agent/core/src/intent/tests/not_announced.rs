//! Addresses of Services that are not announced, and the rule that says so.

use super::services::{IP, LB, READY};
use super::*;

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

/// What stands against a Service never stands against pods.
fn assert_suppressed(intent: &Intent, expected: &str) {
    assert_eq!(suppressed(intent), [expected]);
    let pods = prefixes(intent)
        .iter()
        .filter(|p| *p == "10.1.0.0/24")
        .count();
    let has_object = intent.advertisements.values().any(|name| name == "x");
    assert_eq!(pods, 1, "has an object: {has_object}");
}

#[test]
fn what_is_not_ours_is_suppressed_by_the_rule_that_says_so() {
    let label = "node.kubernetes.io/exclude-from-external-load-balancers: \"\"";
    let unavailable = "  conditions: [{type: NetworkUnavailable, status: \"True\"}]";
    for (intent, expected) in [
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
    ] {
        assert_suppressed(&intent, expected);
    }
}

#[test]
fn an_external_ip_that_no_list_allows_is_suppressed_by_the_rule_that_says_so() {
    let advertisement = |services: &str| {
        let spec = format!("{{services: {{{services}}}}}");
        ours("Advertisement", "x", "", &spec)
    };
    let external =
        advertisement("addresses: [LoadBalancer, External], externalIPs: [198.51.100.0/24]");
    let no_list = advertisement("addresses: [External]");
    for (intent, expected) in [
        (
            with_service("externalIPs: [192.0.2.7]", "", "", "", &external),
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
    ] {
        assert_suppressed(&intent, expected);
    }
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
