//! What each rule refuses, and that rails which were replaced are those that would have been made anew.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn services(nets: &[&str]) -> ServiceAddresses {
    nets.iter().map(|one| (net(one), 1_u32)).collect()
}

fn rails() -> GuardRails {
    GuardRails {
        pod_cidrs: vec![net("10.244.3.0/24"), net("fd00:3::/64")],
        service_addresses: services(&["10.96.0.0/12", "203.0.113.7/32"]),
        connected: vec![net("192.0.2.17/24"), net("2001:db8:1::5/64")],
        foreign: ["198.51.96.0/19", "203.0.113.8/32", "fd00:9::/32"]
            .map(net)
            .into(),
        accept_default_route: false,
        max_routes: None,
    }
}

#[test]
fn each_rule_refuses_equal_and_more_specific_and_lets_less_specific_through() {
    let r = rails().compile();
    let connected = Rejection::Connected(net("192.0.2.0/24"));
    for (prefix, want) in [
        (
            "10.244.3.0/24",
            Some(Rejection::OwnPodCidr(net("10.244.3.0/24"))),
        ),
        (
            "10.244.3.128/25",
            Some(Rejection::OwnPodCidr(net("10.244.3.0/24"))),
        ),
        ("10.244.2.0/24", None),
        ("10.244.0.0/16", None),
        (
            "fd00:3::1/128",
            Some(Rejection::OwnPodCidr(net("fd00:3::/64"))),
        ),
        ("fd00:4::/64", None),
        ("192.0.2.0/24", Some(connected)),
        ("192.0.2.1/32", Some(connected)),
        ("192.0.0.0/16", None),
        (
            "2001:db8:1::/64",
            Some(Rejection::Connected(net("2001:db8:1::/64"))),
        ),
        (
            "10.100.0.1/32",
            Some(Rejection::Service(net("10.96.0.0/12"))),
        ),
        (
            "203.0.113.7/32",
            Some(Rejection::Service(net("203.0.113.7/32"))),
        ),
        ("203.0.113.0/24", None),
        // Exactly this, and nothing inside or around it.
        (
            "198.51.96.0/19",
            Some(Rejection::ForeignRoute(net("198.51.96.0/19"))),
        ),
        ("198.51.100.0/24", None),
        ("198.51.0.0/16", None),
        (
            "fd00:9::/32",
            Some(Rejection::ForeignRoute(net("fd00:9::/32"))),
        ),
        ("fd00:9::/64", None),
        ("127.0.0.1/32", Some(Rejection::Martian(net("127.0.0.0/8")))),
        (
            "169.254.1.0/24",
            Some(Rejection::Martian(net("169.254.0.0/16"))),
        ),
        ("239.1.1.0/24", Some(Rejection::Martian(net("224.0.0.0/3")))),
        (
            "255.255.255.255/32",
            Some(Rejection::Martian(net("224.0.0.0/3"))),
        ),
        ("::1/128", Some(Rejection::Martian(net("::/16")))),
        (
            "::ffff:10.0.0.0/104",
            Some(Rejection::Martian(net("::/16"))),
        ),
        ("64:ff9b::/96", None),
        ("fe80::/64", Some(Rejection::Martian(net("fe80::/10")))),
        ("ff02::1/128", Some(Rejection::Martian(net("ff00::/8")))),
        ("2000::/3", None),
    ] {
        assert_eq!(r.check(net(prefix)), want, "{prefix}");
    }
}

#[test]
fn a_default_route_needs_to_be_asked_for_in_both_families() {
    let mut rails = rails();
    for prefix in ["0.0.0.0/0", "::/0"] {
        rails.accept_default_route = false;
        assert_eq!(rails.check(net(prefix)), Some(Rejection::DefaultRoute));
        rails.accept_default_route = true;
        assert_eq!(rails.check(net(prefix)), None);
    }
}

#[test]
fn a_default_route_on_a_tunnel_does_not_refuse_everything() {
    let rails = GuardRails {
        connected: vec![net("0.0.0.0/0")],
        foreign: ["0.0.0.0/1", "128.0.0.0/1"].map(net).into(),
        ..GuardRails::default()
    };
    assert_eq!(rails.check(net("198.51.100.0/24")), None);
}

proptest! {
    /// Networks that are also a pod CIDR, connected, or never routed are among those that come and go.
    #[test]
    fn rails_that_were_replaced_are_those_that_were_made_anew(
        steps in prop::collection::vec(prop::collection::btree_set(0..NETS.len(), 0..5), 1..8),
        strangers in prop::collection::vec(prop::collection::btree_set(0..NETS.len(), 0..3), 8),
        limits in prop::collection::vec(prop::option::weighted(0.2, 1..3u64), 8),
    ) {
        let mut compiled = rails().compile();
        for (step, chosen) in steps.iter().enumerate() {
            let chosen: Vec<&str> = chosen.iter().map(|n| NETS[*n]).collect();
            let wanted = GuardRails {
                service_addresses: services(&chosen),
                foreign: strangers[step].iter().map(|n| net(NETS[*n])).collect(),
                max_routes: limits[step],
                ..rails()
            };
            let before = compiled.source().clone();
            let replaced = compiled.replace(wanted.clone());
            prop_assert_eq!(compiled.source(), &wanted);
            let anew = wanted.clone().compile();
            for probe in NETS.iter().chain(&["10.96.0.1/32", "203.0.113.7/32", "fe80::1/128"]) {
                prop_assert_eq!(compiled.check(net(probe)), anew.check(net(probe)), "{}", probe);
            }
            match replaced {
                Replaced::Nothing => prop_assert_eq!(&before, &wanted),
                Replaced::Networks { services, foreign } => {
                    let differ = |net: &IpNet| before.service_addresses.contains_key(net) != wanted.service_addresses.contains_key(net);
                    prop_assert!(services.iter().all(differ));
                    let differ = |net: &IpNet| before.foreign.contains(net) != wanted.foreign.contains(net);
                    prop_assert!(foreign.iter().all(differ));
                    prop_assert!(services.len() + foreign.len() > 0);
                }
                Replaced::Everything => prop_assert_ne!(before.max_routes, wanted.max_routes),
            }
        }
    }
}

const NETS: [&str; 7] = [
    "10.96.0.0/12",
    "203.0.113.7/32",
    "203.0.113.8/32",
    "10.244.3.0/24",
    "192.0.2.0/24",
    "fe80::/10",
    "2001:db8:f::1/128",
];
