//! What is originated, for whom, and with which attributes.

use super::*;

pub(super) const READY: &str = "ready: true";

pub(super) fn lb(name: &str, ip: &str, policy: &str) -> String {
    service(
        name,
        &format!("type: LoadBalancer, externalTrafficPolicy: {policy}"),
        &format!("{{ip: \"{ip}\"}}"),
    ) + &slice(&format!("{name}-1"), name, "IPv4", &[("n1", READY)])
        + &slice(&format!("{name}-2"), name, "IPv6", &[("n1", READY)])
}

pub(super) fn tor() -> String {
    ours(
        "Peer",
        "tor",
        "role: tor",
        "{address: 192.0.2.1, asn: 64500}",
    )
}

pub(super) fn told(intent: &Intent, peer: &str) -> Vec<String> {
    let peer = intent.peers.iter().find(|p| p.name == peer).unwrap();
    let ids = &peer.config.advertisements;
    let routes = intent.originated.values();
    routes
        .filter(|r| {
            r.route
                .offers
                .iter()
                .any(|o| ids.contains(&o.advertisement))
        })
        .map(|r| r.route.prefix.to_string())
        .collect()
}

fn two_nodes() -> String {
    node("n1", "", "10.1.0.0/24", &["192.0.2.11"], "")
        + &node("n2", "", "10.2.0.0/24", &["192.0.2.12"], "")
}

#[test]
fn without_any_advertisement_every_peer_is_told_pod_cidrs_and_load_balancers() {
    let intent = intent(
        &(two_nodes() + &tor() + &lb("s", "203.0.113.1", "Cluster")),
        "n1",
    );
    let all = ["10.1.0.0/24", "203.0.113.1/32"];
    assert_eq!(told(&intent, "tor"), all);
    assert_eq!(told(&intent, "mesh/n2"), all);
}

/// Whatever it selects, or fails to: only the Router ends the default.
#[test]
fn the_first_advertisement_withdraws_nothing() {
    let text = two_nodes() + &tor() + &lb("s", "203.0.113.1", "Cluster");
    let all = ["10.1.0.0/24", "203.0.113.1/32"];
    for spec in [
        "{}",
        "{nodeSelector: {matchLabels: {kubernetes.io/hostname: n2}}, podCIDRs: {}}",
        "{nodeSelector: {matchLabels: {mistyped: x}}, podCIDRs: {}}",
        "{peerSelector: {matchLabels: {rolle: tor}}, podCIDRs: {}}",
        "{services: {selector: {matchLabels: {mistyped: x}}}}",
        "{peerSelector: {matchLabels: {role: tor}}, services: {}}",
        "{podCIDRs: {}}",
    ] {
        let intent = intent(
            &(text.clone() + &ours("Advertisement", "x", "", spec)),
            "n1",
        );
        assert_eq!(told(&intent, "tor"), all, "{spec}");
        assert_eq!(told(&intent, "mesh/n2"), all, "{spec}");
    }
    let nothing = intent(&(text.clone() + &without_default()), "n1");
    assert_eq!(told(&nothing, "tor"), [""; 0]);
    assert_eq!(told(&nothing, "mesh/n2"), ["10.1.0.0/24"]);
    assert_eq!(
        warnings(&nothing),
        [
            "Peer tor: nothing is advertised to it: no Advertisement of this node selects it, and the Router disables \
             defaultAdvertisement"
        ]
    );
    let one = "{peerSelector: {matchLabels: {role: tor}}, podCIDRs: {}}";
    let one = text + &without_default() + &ours("Advertisement", "x", "", one);
    assert_eq!(warnings(&intent(&one, "n1")), [""; 0]);
}

#[test]
fn an_advertisement_for_some_peers_leaves_the_mesh_its_pod_cidrs() {
    let text = two_nodes()
        + &without_default()
        + &tor()
        + &lb("s", "203.0.113.1", "Cluster")
        + &ours(
            "Advertisement",
            "x",
            "",
            "{peerSelector: {matchLabels: {role: tor}}, services: {}}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(told(&intent, "tor"), ["203.0.113.1/32"]);
    assert_eq!(told(&intent, "mesh/n2"), ["10.1.0.0/24"]);
}

#[test]
fn a_node_that_an_advertisement_does_not_select_says_nothing_of_it() {
    let text = two_nodes()
        + &ours(
            "Advertisement",
            "x",
            "",
            "{nodeSelector: {matchLabels: {a: b}}, prefixes: [198.51.100.0/24]}",
        );
    assert_eq!(prefixes(&intent(&text, "n1")), ["10.1.0.0/24"]);
}

#[test]
fn nothing_inside_another_node_s_pod_cidr_is_told() {
    let text = two_nodes()
        + &lb("a", "10.2.0.9", "Cluster")
        + &ours(
            "Advertisement",
            "x",
            "",
            "{services: {}, prefixes: [10.2.0.0/25, 10.0.0.0/8]}",
        );
    let intent = intent(&text, "n1");
    assert_eq!(prefixes(&intent), ["10.0.0.0/8", "10.1.0.0/24"]);
    assert_eq!(
        suppressed(&intent),
        [
            "10.2.0.0/25 Advertisement x: inside 10.2.0.0/24, a pod CIDR of node n2",
            "10.2.0.9/32 Service d/a: inside 10.2.0.0/24, a pod CIDR of node n2",
        ]
    );
}

#[test]
fn attributes_of_all_kinds_reach_the_offer_and_a_drain_overrides_them() {
    let spec = "{prefixes: [198.51.100.0/24], attributes: {communities: [no-export, \"64512:1:2\", \"64512:100\", \
                \"rt:64512:7\"], localPreference: 200, med: 10, prepend: 2}}";
    let text = node("n1", "", "", &[], "") + &ours("Advertisement", "x", "", spec);
    let offer = |text: &str| {
        let intent = intent(text, "n1");
        let offer = intent.originated.values().next().unwrap().route.offers[0].clone();
        let communities: Vec<String> = offer.communities.iter().map(ToString::to_string).collect();
        let kinds = (
            offer.large_communities.len(),
            offer.extended_communities.len(),
        );
        (
            communities.join(" "),
            kinds,
            offer.local_preference,
            offer.med,
            offer.prepend,
        )
    };
    assert_eq!(
        offer(&text),
        ("64512:100 no-export".into(), (1, 1), Some(200), Some(10), 2)
    );
    let drained = text + &ours("Router", "r", "", "{drain: true}");
    assert_eq!(
        offer(&drained),
        (
            "64512:100 graceful-shutdown no-export".into(),
            (1, 1),
            Some(0),
            Some(10),
            2
        )
    );
}

#[test]
fn addresses_of_interfaces_are_told_without_link_local_ones_and_a_missing_one_is_warned_of() {
    let text =
        node("n1", "", "", &[], "") + &ours("Advertisement", "x", "", "{interfaces: [lo, eth9]}");
    let facts = LocalFacts {
        interfaces: vec![Interface {
            name: "lo".into(),
            addresses: [
                "127.0.0.1/8",
                "192.0.2.77/32",
                "::1/128",
                "2001:db8::77/64",
                "fe80::1/64",
            ]
            .map(|a| a.parse().unwrap())
            .to_vec(),
            up: true,
        }],
        gateways: Vec::new(),
        ..LocalFacts::default()
    };
    let intent = intend(&state(&text), "n1", &facts);
    assert_eq!(prefixes(&intent), ["192.0.2.77/32", "2001:db8::77/128"]);
    assert_eq!(
        warnings(&intent),
        ["Advertisement x: interface eth9 does not exist on this node or has no global address"]
    );
}

#[test]
fn addresses_of_an_interface_that_is_down_are_not_told_and_say_why() {
    let text =
        node("n1", "", "", &[], "") + &ours("Advertisement", "x", "", "{interfaces: [eth1]}");
    let state = state(&text);
    let facts = |up| LocalFacts {
        interfaces: vec![Interface {
            name: "eth1".into(),
            addresses: vec!["192.0.2.77/24".parse().unwrap()],
            up,
        }],
        ..LocalFacts::default()
    };
    let mut planner = Planner::new("n1");
    let (intent, _) = planner.plan(&state, &facts(true), Phase::default());
    assert_eq!(prefixes(&intent), ["192.0.2.77/32"]);
    // As a link event brings it.
    let (intent, _) = planner.plan(&state, &facts(false), Phase::default());
    assert_eq!(prefixes(&intent), [""; 0]);
    let suppressed: Vec<String> = intent
        .suppressed
        .keys()
        .map(|one| {
            format!(
                "{} {:?} {} {}",
                one.object,
                one.prefix,
                code(&one.rule),
                one.rule
            )
        })
        .collect();
    assert_eq!(
        suppressed,
        [
            "Advertisement x Some(192.0.2.77/32) interfaceDown interface eth1 is down (not set up, or without a carrier)"
        ]
    );
    assert_eq!(warnings(&intent), [""; 0]);
    let (intent, _) = planner.plan(&state, &facts(true), Phase::default());
    assert_eq!(prefixes(&intent), ["192.0.2.77/32"]);
}

#[test]
fn numbers_of_advertisements_stay_when_others_come_and_go() {
    let one = node("n1", "", "", &[], "")
        + &ours("Advertisement", "m", "", "{prefixes: [198.51.100.0/24]}");
    let more = ours("Advertisement", "a", "", "{podCIDRs: {}}")
        + &ours("Advertisement", "z", "", "{podCIDRs: {}}");
    let id = |text: &str| {
        intent(text, "n1")
            .originated
            .values()
            .next()
            .unwrap()
            .route
            .offers[0]
            .advertisement
    };
    assert_eq!(id(&one), id(&(one.clone() + &more)));
}

#[test]
fn a_default_route_is_announced_only_where_the_advertisement_allows_it() {
    let with = |more: &str| {
        let spec = format!("{{prefixes: [0.0.0.0/0, \"::/0\", 198.51.100.0/24]{more}}}");
        intent(
            &(node("n1", "", "", &[], "") + &ours("Advertisement", "x", "", &spec)),
            "n1",
        )
    };
    let refused = with("");
    assert_eq!(prefixes(&refused), ["198.51.100.0/24"]);
    let rule =
        "a default route; an Advertisement with allowDefaultRoute: true may have one in prefixes";
    assert_eq!(
        suppressed(&refused),
        ["0.0.0.0/0", "::/0"].map(|prefix| format!("{prefix} Advertisement x: {rule}"))
    );
    let allowed = with(", allowDefaultRoute: true");
    assert_eq!(prefixes(&allowed), ["0.0.0.0/0", "198.51.100.0/24", "::/0"]);
}

#[test]
fn a_static_prefix_around_the_pod_cidr_of_another_node_is_not_inside_it() {
    let text = node("n1", "", "10.1.0.0/24", &[], "")
        + &node("n2", "", "10.2.0.0/24", &[], "")
        + &ours("Advertisement", "a", "", "{prefixes: [10.2.0.0/16]}");
    assert!(prefixes(&intent(&text, "n1")).contains(&"10.2.0.0/16".to_owned()));
}
