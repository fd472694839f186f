//! Whose Services are given addresses, and what is taken from others.

use super::*;

const POOL: (&str, &str) = ("p", "addresses: [203.0.113.0/24]");

fn released(cluster: &Cluster, name: &str) -> Vec<String> {
    let decision = cluster.decision(name);
    decision.release.iter().map(ToString::to_string).collect()
}

#[test]
fn only_load_balancers_without_a_class_or_of_ours_get_addresses() {
    for (spec, expected) in [
        ("type: LoadBalancer", "203.0.113.0 p"),
        (
            "type: LoadBalancer, loadBalancerClass: routelet.dev/bgp",
            "203.0.113.0 p",
        ),
        (
            "type: LoadBalancer, loadBalancerClass: example.com/other",
            "loadBalancerClass example.com/other belongs to another load balancer; Routelet's is routelet.dev/bgp, \
             or none",
        ),
        ("type: ClusterIP", "is of type ClusterIP, not LoadBalancer"),
        ("", "is of type ClusterIP, not LoadBalancer"),
        ("type: NodePort", "is of type NodePort, not LoadBalancer"),
        (
            "type: ExternalName",
            "is of type ExternalName, not LoadBalancer",
        ),
    ] {
        let mut cluster = Cluster::new(&[POOL]);
        cluster.service("s", spec);
        assert_eq!(cluster.shown("s"), expected, "{spec}");
    }
}

#[test]
fn who_is_no_load_balancer_any_more_loses_what_is_of_a_pool_and_nothing_else() {
    let mut cluster = Cluster::new(&[POOL]);
    cluster.holding("s", "type: NodePort", &["203.0.113.1", "198.51.100.1"]);
    assert_eq!(released(&cluster, "s"), ["203.0.113.1"]);
    cluster.service("t", "type: LoadBalancer");
    cluster.annotated(
        "u",
        "type: LoadBalancer",
        "routelet.dev/addresses: 203.0.113.1",
    );
    assert_eq!(cluster.shown("u"), "203.0.113.1 p", "it is free at once");
}

#[test]
fn what_another_load_balancer_gave_out_is_left_alone_and_given_to_nobody() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1-203.0.113.3]")]);
    let class = "type: LoadBalancer, loadBalancerClass: example.com/other";
    cluster.holding("theirs", class, &["203.0.113.1"]);
    cluster.add(
        "proxy",
        &Yaml {
            spec: "type: LoadBalancer",
            ingress: "{ip: 203.0.113.2, ipMode: Proxy}, {hostname: lb.example.com}",
            ..Yaml::default()
        },
    );
    assert_eq!(released(&cluster, "theirs"), [""; 0]);
    assert_eq!(released(&cluster, "proxy"), [""; 0]);
    assert_eq!(cluster.shown("proxy"), "203.0.113.3 p");
    cluster.annotated("s", V4, "routelet.dev/addresses: 203.0.113.1");
    assert_eq!(
        cluster.shown("s"),
        "Service d/theirs has 203.0.113.1: another load balancer assigned it"
    );
    let report = &allocate(&cluster.state).pools["p"];
    assert_eq!((report.ipv4.assigned, report.ipv4.available), (3, 0));
    // Whoever has it already is not made to suffer for the other's mistake.
    cluster.holding("s", V4, &["203.0.113.1"]);
    assert_eq!(cluster.shown("s"), "203.0.113.1 p");
}

#[test]
fn without_any_pool_only_services_that_have_something_of_ours_are_ours() {
    let theirs = "has no loadBalancerClass, and there is no AddressPool";
    let none = "there is no AddressPool with IPv4 addresses";
    let class = format!("{V4}, loadBalancerClass: routelet.dev/bgp");
    for (spec, annotations, expected) in [
        (V4, "", theirs),
        (
            V4,
            "metallb.io/address-pool: p, metallb.io/allow-shared-ip: k",
            theirs,
        ),
        (V4, "lbipam.cilium.io/ips: 203.0.113.1", theirs),
        (&format!("{V4}, loadBalancerIP: 203.0.113.1"), "", theirs),
        (&class, "", none),
        (V4, "routelet.dev/sharing-key: k", none),
        (
            V4,
            "routelet.dev/address-pool: p",
            "routelet.dev/address-pool names AddressPool p, which does not exist",
        ),
        (
            V4,
            "routelet.dev/addresses: 203.0.113.1",
            "routelet.dev/addresses asks for 203.0.113.1, which no AddressPool has: ask for another, or add it to a pool",
        ),
    ] {
        let mut cluster = Cluster::default();
        cluster.annotated("s", spec, annotations);
        assert_eq!(cluster.shown("s"), expected, "{spec} {annotations}");
        assert_eq!(
            cluster.decision("s").refusal().is_none(),
            expected == theirs
        );
        // A pool that exists, valid or not, is one.
        cluster.state.unknown_pools.insert("q".to_owned());
        assert_ne!(cluster.shown("s"), theirs);
    }
    // What was said goes on being said.
    let mut cluster = Cluster::new(&[POOL]);
    cluster.service("s", V4);
    cluster.settle();
    cluster.state.pools.clear();
    cluster.settle();
    assert_eq!(cluster.shown("s"), "203.0.113.0 p");
}

#[test]
fn an_address_of_no_pool_is_replaced_and_not_taken_without_a_replacement() {
    let mut cluster = Cluster::default();
    cluster.holding("s", PREFER, &["198.51.100.1", "2001:db8::1"]);
    assert_eq!(
        cluster.shown("s"),
        "has no loadBalancerClass, and there is no AddressPool"
    );
    assert_eq!(released(&cluster, "s"), [""; 0]);
    cluster.pool(
        "p",
        "addresses: [203.0.113.1], namespaceSelector: {matchLabels: {team: a}}",
    );
    assert_eq!(released(&cluster, "s"), [""; 0]);
    cluster.pool("p", "addresses: [203.0.113.1]");
    assert_eq!(
        released(&cluster, "s"),
        ["198.51.100.1"],
        "the other family's has no replacement"
    );
    cluster.change("s", |s| s.ip_family_policy = IpFamilyPolicy::SingleStack);
    assert_eq!(released(&cluster, "s"), ["198.51.100.1", "2001:db8::1"]);
}

#[test]
fn who_is_being_deleted_keeps_what_it_has_and_gets_nothing_new() {
    let mut cluster = Cluster::new(&[("p", "addresses: [203.0.113.1, 203.0.113.2]")]);
    cluster.holding("old", V4, &["203.0.113.1"]);
    cluster.service("new", V4);
    cluster.change("old", |s| s.deleting = true);
    cluster.change("new", |s| s.deleting = true);
    cluster.annotated("other", V4, "routelet.dev/addresses: 203.0.113.1");
    assert_eq!(cluster.decision("old").addresses().count(), 1);
    assert_eq!(cluster.shown("new"), "the Service is being deleted");
    assert!(
        cluster
            .shown("other")
            .starts_with("Service d/old has 203.0.113.1")
    );
}

#[test]
fn a_service_is_read_whole_and_ports_are_of_tcp_if_they_do_not_say() {
    let yaml = Yaml {
        labels: "app: web",
        annotations: "metallb.io/address-pool: a, unused: x",
        spec: "type: LoadBalancer, ipFamilies: [IPv6], ipFamilyPolicy: PreferDualStack, loadBalancerIP: \"2001:db8::1\", \
               loadBalancerClass: c, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}, {port: 53, protocol: UDP}]",
        ingress: "{ip: 203.0.113.1}, {ip: 203.0.113.2, ipMode: VIP}, {ip: 203.0.113.3, ipMode: Proxy}",
        ..Yaml::default()
    };
    let request = yaml.read("web", 7);
    assert_eq!(request.key, key("web"));
    assert_eq!(request.created, Created(Some(1_767_225_607)));
    assert!(!request.deleting);
    assert_eq!(request.labels.get("app"), Some("web"));
    assert_eq!(request.selector.get("app"), Some("web"));
    assert_eq!(*request.ip_families, [IpFamily::Ipv6]);
    assert_eq!(request.ip_family_policy, IpFamilyPolicy::PreferDualStack);
    let ports: Vec<String> = request.ports.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["80/TCP", "53/UDP"]);
    assert_eq!(request.load_balancer_class, Some("c".into()));
    assert_eq!(
        request.external_traffic_policy,
        crate::cluster::TrafficPolicy::Local
    );
    assert_eq!(
        request.ingress.iter().map(|i| i.proxy).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert_eq!(
        request.asked.pool.unwrap().source,
        "metallb.io/address-pool"
    );
    assert_eq!(
        request.asked.addresses.unwrap().source,
        "spec.loadBalancerIP"
    );
}

#[test]
fn the_oldest_come_first_and_last_those_that_do_not_say() {
    let mut all = [Created(None), Created(Some(2)), Created(Some(1))];
    all.sort_unstable();
    assert_eq!(all, [Created(Some(1)), Created(Some(2)), Created(None)]);
}
