//! Where next hops lead.
#![allow(clippy::unwrap_used)]

use super::*;

fn resolve(
    view: &KernelView,
    next_hop: &str,
    scope: Option<u32>,
) -> Option<(String, u32, u32, bool)> {
    view.resolve(next_hop.parse().unwrap(), scope)
        .map(|r| (r.gateway.to_string(), r.ifindex, r.metric, r.connected))
}

#[test]
fn a_connected_next_hop_is_its_own_gateway_at_no_cost() {
    let view = node();
    assert_eq!(
        resolve(&view, "192.0.2.9", None),
        Some(("192.0.2.9".into(), 2, 0, true))
    );
    assert_eq!(
        resolve(&view, "2001:db8:1::9", None),
        Some(("2001:db8:1::9".into(), 3, 0, true))
    );
}

#[test]
fn a_distant_next_hop_takes_the_gateway_and_metric_of_the_longest_match() {
    let mut view = node();
    assert_eq!(
        resolve(&view, "198.51.100.1", None),
        Some(("192.0.2.1".into(), 2, 100, false))
    );
    view.apply(present(route(
        "198.51.100.0/24",
        Some("192.0.2.2"),
        2,
        50,
        STATIC,
    )));
    view.apply(present(route(
        "198.51.100.0/24",
        Some("192.0.2.3"),
        2,
        20,
        STATIC,
    )));
    assert_eq!(
        resolve(&view, "198.51.100.1", None),
        Some(("192.0.2.3".into(), 2, 20, false))
    );
}

#[test]
fn routes_of_our_own_protocol_never_resolve_anything() {
    let mut view = node();
    assert!(!view.apply(present(route(
        "198.51.100.0/24",
        Some("192.0.2.2"),
        2,
        1024,
        ROUTE_PROTOCOL
    ))));
    assert_eq!(
        resolve(&view, "198.51.100.1", None),
        Some(("192.0.2.1".into(), 2, 100, false))
    );
}

#[test]
fn a_link_local_next_hop_needs_a_scope_that_is_up() {
    let mut view = node();
    assert_eq!(resolve(&view, "fe80::1", None), None);
    assert_eq!(
        resolve(&view, "fe80::1", Some(3)),
        Some(("fe80::1".into(), 3, 0, true))
    );
    view.apply(link(3, "eth1", false));
    assert_eq!(resolve(&view, "fe80::1", Some(3)), None);
}

#[test]
fn an_ipv4_link_local_next_hop_is_like_any_other() {
    let mut view = node();
    assert_eq!(
        resolve(&view, "169.254.10.1", None),
        Some(("192.0.2.1".into(), 2, 100, false)),
        "by the default route"
    );
    for event in [
        address(3, "169.254.10.2/30"),
        present(route("169.254.10.0/30", None, 3, 0, KERNEL)),
    ] {
        view.apply(event);
    }
    for scope in [None, Some(3)] {
        assert_eq!(
            resolve(&view, "169.254.10.1", scope),
            Some(("169.254.10.1".into(), 3, 0, true))
        );
    }
}

#[test]
fn a_scope_restricts_to_its_interface() {
    let view = node();
    assert_eq!(resolve(&view, "192.0.2.9", Some(3)), None);
    assert_eq!(
        resolve(&view, "192.0.2.9", Some(2)),
        Some(("192.0.2.9".into(), 2, 0, true))
    );
}

#[test]
fn own_addresses_and_blackholes_resolve_to_nothing() {
    let mut view = node();
    assert_eq!(resolve(&view, "192.0.2.17", None), None);
    let mut hole = route("198.51.100.0/24", None, 1, 0, STATIC);
    hole.kind = RouteKind::Blackhole;
    view.apply(present(hole));
    assert_eq!(resolve(&view, "198.51.100.1", None), None);
    assert_eq!(
        resolve(&view, "198.51.101.1", None),
        Some(("192.0.2.1".into(), 2, 100, false))
    );
}

#[test]
fn a_link_set_down_takes_its_routes_along_and_a_lost_carrier_only_suspends_them() {
    let mut view = node();
    let Event::Link(_, mut eth0) = link(2, "eth0", true) else {
        unreachable!()
    };
    eth0.up = false;
    view.apply(Event::Link(Presence::Present, eth0.clone()));
    assert_eq!(resolve(&view, "192.0.2.9", None), None);
    eth0.up = true;
    view.apply(Event::Link(Presence::Present, eth0));
    assert_eq!(
        resolve(&view, "192.0.2.9", None),
        Some(("192.0.2.9".into(), 2, 0, true))
    );

    view.apply(link(2, "eth0", false));
    view.apply(link(2, "eth0", true));
    assert_eq!(
        resolve(&view, "192.0.2.9", None),
        None,
        "the kernel dropped the connected route"
    );
}

#[test]
fn a_route_over_a_nexthop_object_of_another_daemon_resolves_through_it() {
    let mut view = node();
    let mut over = route("198.51.100.0/24", None, 0, 20, 196);
    over.hops.clear();
    over.nexthop_id = Some(12);
    view.apply(present(over));
    assert_eq!(
        resolve(&view, "198.51.100.1", None),
        Some(("192.0.2.1".into(), 2, 100, false))
    );
    for (id, kind) in [
        (
            11,
            NexthopKind::Single {
                family: 2,
                hop: Hop {
                    gateway: Some("192.0.2.7".parse().unwrap()),
                    ifindex: 2,
                    onlink: false,
                },
            },
        ),
        (12, NexthopKind::Group(vec![(11, 1)])),
    ] {
        let protocol = 11;
        view.apply(Event::Nexthop(
            Presence::Present,
            Nexthop { id, protocol, kind },
        ));
    }
    assert_eq!(
        resolve(&view, "198.51.100.1", None),
        Some(("192.0.2.7".into(), 2, 20, false))
    );
}

#[test]
fn a_link_local_address_is_ours_on_its_own_interface_alone() {
    let mut view = node();
    view.apply(address(2, "fe80::1/64"));
    let router = ("fe80::1".to_owned(), 3, 0, true);
    assert_eq!(resolve(&view, "fe80::1", Some(3)), Some(router.clone()));
    assert_eq!(resolve(&view, "fe80::1", Some(2)), None);
    // On both, and on one again.
    view.apply(address(3, "fe80::1/64"));
    assert_eq!(resolve(&view, "fe80::1", Some(3)), None);
    let Event::Address(_, on_eth1) = address(3, "fe80::1/64") else {
        unreachable!()
    };
    view.apply(Event::Address(Presence::Gone, on_eth1));
    assert_eq!(resolve(&view, "fe80::1", Some(3)), Some(router));
    assert_eq!(resolve(&view, "fe80::1", Some(2)), None);
    // One of IPv4 is the node's wherever it is, for the kernel knows no scope of it.
    view.apply(address(2, "169.254.1.1/32"));
    assert_eq!(resolve(&view, "169.254.1.1", Some(3)), None);
}

#[test]
fn a_gateway_of_an_onlink_route_stays_onlink_and_is_connected_itself() {
    for (prefix, gateway, beyond, ifindex) in [
        ("0.0.0.0/0", "172.31.1.1", "198.51.100.1", 2),
        ("10.244.2.0/24", "10.244.2.0", "10.244.2.7", 3),
        ("::/0", "2001:db8:ffff::1", "2001:db8:8::1", 3),
        ("fd00:244:2::/64", "fd00:244:2::", "fd00:244:2::7", 3),
    ] {
        let mut view = KernelView::new(MAIN_TABLE, 1);
        for ifindex in [2, 3] {
            view.apply(link(ifindex, &format!("eth{ifindex}"), true));
        }
        let mut onlink = route(prefix, Some(gateway), ifindex, 50, STATIC);
        onlink.hops[0].onlink = true;
        view.apply(present(onlink));
        let by_default = prefix.ends_with("/0");
        for (next_hop, connected) in [(beyond, false), (gateway, true)] {
            let want = Resolved {
                gateway: gateway.parse().unwrap(),
                ifindex,
                metric: if connected { 0 } else { 50 },
                connected,
                onlink: true,
                by_default: by_default && !connected,
            };
            let found = view.resolve(next_hop.parse().unwrap(), None);
            assert_eq!(found, Some(want), "{next_hop} by {prefix}");
        }
    }
}

#[test]
fn a_next_hop_by_the_default_route_alone_is_marked() {
    let view = node();
    for (next_hop, by_default) in [("198.51.100.1", true), ("192.0.2.9", false)] {
        let found = view.resolve(next_hop.parse().unwrap(), None).unwrap();
        assert_eq!((found.by_default, found.onlink), (by_default, false));
    }
    // Also where the default route leads onto a link, as a tunnel's does.
    let mut view = KernelView::new(MAIN_TABLE, 1);
    view.apply(link(2, "tun0", true));
    view.apply(present(route("0.0.0.0/0", None, 2, 50, STATIC)));
    let found = view.resolve("198.51.100.1".parse().unwrap(), None).unwrap();
    assert!(found.by_default && found.connected, "{found:?}");
}
