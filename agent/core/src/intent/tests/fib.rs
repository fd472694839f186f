//! What the FIB is asked for: whose traffic is refused, and what no learned route may take.

use routelet_fib::Refusal;

use super::advertise::lb;
use super::*;

#[test]
fn learned_routes_may_not_take_service_addresses_or_own_pods_but_an_unlisted_external_ip_guards_nothing()
 {
    let text = node("n1", "", "10.1.0.0/24", &[], "")
        + &service(
            "s",
            "type: LoadBalancer, clusterIP: 10.96.0.1, externalIPs: [192.0.2.1, 198.51.100.1]",
            "{ip: 203.0.113.1}",
        )
        + &ours(
            "Advertisement",
            "x",
            "",
            "{services: {addresses: [External], externalIPs: [198.51.100.0/24]}}",
        );
    let guard = intent(&text, "n1").router.fib.clone().unwrap().guard;
    let shown: Vec<String> = guard
        .service_addresses
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["10.96.0.1/32", "198.51.100.1/32", "203.0.113.1/32"]);
    assert_eq!(guard.pod_cidrs.len(), 1);
}

#[test]
fn what_attracts_traffic_that_nothing_here_may_answer_is_refused_and_leaves_to_other_routes_what_it_can()
 {
    let facts = |connects_pods| LocalFacts {
        interfaces: vec![Interface {
            name: "eth1".into(),
            addresses: vec!["192.0.2.77/24".parse().unwrap()],
            up: true,
        }],
        gateways: Vec::new(),
        connects_pods,
        ..LocalFacts::default()
    };
    let spec = "{podCIDRs: {}, services: {}, aggregate: {ipv4: 24, ipv6: 64}, mode: Both, interfaces: [eth1], \
                allowDefaultRoute: true, prefixes: [198.51.100.0/24, 0.0.0.0/0, 192.0.2.77/32, 203.0.113.2/32]}";
    let text = node("n1", "", "10.1.0.0/24, \"fd00:1::/64\"", &[], "")
        + &lb("a", "203.0.113.1", "Cluster")
        + &lb("b", "203.0.113.2", "Cluster")
        + &lb("c", "2001:db8::1", "Local")
        + &ours("Advertisement", "x", "", spec);
    let pods = Some(Refusal::FreePodAddresses);
    for (connects_pods, of_pods) in [(false, None), (true, pods)] {
        let intent = intend(&state(&text), "n1", &facts(connects_pods));
        let of = |prefix: &str| {
            let prefix: IpNet = prefix.parse().unwrap();
            intent.originated[&prefix].refusal
        };
        for (prefix, expected) in [
            ("203.0.113.1/32", Some(Refusal::Service)),
            ("2001:db8::1/128", Some(Refusal::Service)),
            ("203.0.113.0/24", Some(Refusal::Aggregate)),
            // The node passes it on, if only by its default route.
            ("198.51.100.0/24", None),
            // For two reasons: the one that leaves more to others.
            ("203.0.113.2/32", None),
            ("192.0.2.77/32", None),
            ("0.0.0.0/0", None),
            ("10.1.0.0/24", of_pods),
            ("fd00:1::/64", of_pods),
        ] {
            assert_eq!(
                of(prefix),
                expected,
                "{prefix}, connects pods: {connects_pods}"
            );
        }
    }
}

#[test]
fn refusing_does_not_depend_on_learned_routes_being_installed_and_can_be_turned_off() {
    let table = |fib: &str| {
        let text =
            node("n1", "", "", &[], "") + &ours("Router", "r", "", &format!("{{fib: {fib}}}"));
        let intent = intent(&text, "n1");
        (intent.router.fib.is_some(), intent.router.refusing_table)
    };
    assert_eq!(table("{}"), (true, Some(17_900)));
    assert_eq!(table("{enabled: false}"), (false, Some(17_900)));
    assert_eq!(table("{refuse: {table: 4711}}"), (true, Some(4711)));
    assert_eq!(table("{refuse: {enabled: false}}"), (true, None));
}
