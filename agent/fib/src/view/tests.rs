//! Claims about what the kernel's view answers.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::kernel::event::{Event, Nexthop, Presence, Route};
use crate::types::ROUTE_PROTOCOL;

const STATIC: u8 = 4;
const KERNEL: u8 = 2;

fn link(ifindex: u32, name: &str, up: bool) -> Event {
    Event::Link(
        Presence::Present,
        Link {
            ifindex,
            name: name.to_owned(),
            admin_up: up,
            up,
            loopback: name == "lo",
        },
    )
}

fn route(prefix: &str, gateway: Option<&str>, ifindex: u32, metric: u32, protocol: u8) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        table: MAIN_TABLE,
        protocol,
        metric,
        kind: RouteKind::Unicast,
        replaces: false,
        special: false,
        nexthop_id: None,
        hops: smallvec::smallvec![Hop {
            gateway: gateway.map(|g| g.parse().unwrap()),
            ifindex,
            onlink: false,
        }],
    }
}

fn present(route: Route) -> Event {
    Event::Route(Presence::Present, route)
}

fn address(ifindex: u32, address: &str) -> Event {
    let net: IpNet = address.parse().unwrap();
    Event::Address(
        Presence::Present,
        Address {
            ifindex,
            address: net.addr(),
            prefix_len: net.prefix_len(),
            peer: None,
            tentative: false,
            deprecated: false,
            secondary: false,
        },
    )
}

/// eth0 with 192.0.2.17/24, eth1 with 2001:db8:1::5/64 and a link-local address, and a default route over eth0.
fn node() -> KernelView {
    let mut view = KernelView::new(MAIN_TABLE, 1);
    for event in [
        link(1, "lo", true),
        link(2, "eth0", true),
        link(3, "eth1", true),
        address(1, "127.0.0.1/8"),
        address(2, "192.0.2.17/24"),
        address(3, "2001:db8:1::5/64"),
        address(3, "fe80::5/64"),
        present(route("192.0.2.0/24", None, 2, 0, KERNEL)),
        present(route("2001:db8:1::/64", None, 3, 256, KERNEL)),
        present(route("0.0.0.0/0", Some("192.0.2.1"), 2, 100, STATIC)),
    ] {
        assert!(view.apply(event));
    }
    view
}

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

#[test]
fn connected_networks_are_those_of_addresses_and_on_link_routes_of_others_are_not() {
    let nets =
        |all: &[&str]| -> BTreeSet<IpNet> { all.iter().map(|s| s.parse().unwrap()).collect() };
    let mut view = node();
    let connected = nets(&["192.0.2.0/24", "2001:db8:1::/64"]);
    assert_eq!(view.connected(), connected);
    assert_eq!(
        view.on_link(&connected),
        nets(&[]),
        "the kernel's own of these"
    );
    let calico = 80;
    for (prefix, gateway, ifindex, protocol) in [
        ("10.244.3.7/32", None, 3, calico),
        ("0.0.0.0/1", None, 3, STATIC),
        // By a router advertisement, without an address.
        ("2001:db8:2::/64", None, 3, KERNEL),
        // None of these: by a gateway, everything, the loopback's, link-local, ours.
        ("10.244.4.0/26", Some("192.0.2.4"), 2, calico),
        ("0.0.0.0/0", None, 3, STATIC),
        ("10.96.0.0/12", None, 1, STATIC),
        ("fe80::/64", None, 3, KERNEL),
        ("203.0.113.0/24", None, 3, ROUTE_PROTOCOL),
    ] {
        view.apply(present(route(prefix, gateway, ifindex, 512, protocol)));
    }
    let mut hole = route("10.244.5.0/26", None, 1, 0, calico);
    hole.kind = RouteKind::Blackhole;
    view.apply(present(hole));
    assert_eq!(view.connected(), connected);
    let want = nets(&["10.244.3.7/32", "0.0.0.0/1", "2001:db8:2::/64"]);
    assert_eq!(view.on_link(&connected), want);
}

#[test]
fn an_address_guards_its_network_or_that_of_its_other_end_or_itself_alone() {
    for (own, peer, want) in [
        ("10.9.0.1/24", None, &["10.9.0.0/24"] as &[&str]),
        ("10.9.0.1/8", None, &["10.0.0.0/8"]),
        ("10.9.0.1/7", None, &["10.9.0.1/32"]),
        ("10.9.0.1/0", None, &["10.9.0.1/32"]),
        (
            "10.9.0.1/32",
            Some("10.9.0.2"),
            &["10.9.0.1/32", "10.9.0.2/32"],
        ),
        (
            "10.9.0.1/24",
            Some("10.8.0.2"),
            &["10.9.0.1/32", "10.8.0.0/24"],
        ),
        ("10.9.0.1/24", Some("10.9.0.2"), &["10.9.0.0/24"]),
        ("169.254.0.1/32", Some("10.9.0.2"), &["10.9.0.2/32"]),
        (
            "fd00:9::1/128",
            Some("fd00:9::2"),
            &["fd00:9::1/128", "fd00:9::2/128"],
        ),
        ("fd00:9::1/7", None, &["fd00:9::1/128"]),
        ("fe80::1/64", None, &[]),
    ] {
        let mut view = KernelView::new(MAIN_TABLE, 1);
        view.apply(link(2, "eth0", true));
        let Event::Address(_, mut address) = address(2, own) else {
            unreachable!()
        };
        address.peer = peer.map(|peer| peer.parse().unwrap());
        view.apply(Event::Address(Presence::Present, address));
        let want: BTreeSet<IpNet> = want.iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(view.connected(), want, "{own} {peer:?}");
        assert!(view.apply(Event::Address(Presence::Gone, address)));
        assert_eq!(view.connected(), BTreeSet::new());
    }
}

#[test]
fn a_repeated_event_changes_nothing() {
    let mut view = node();
    assert!(!view.apply(link(2, "eth0", true)));
    assert!(!view.apply(address(2, "192.0.2.17/24")));
    assert!(!view.apply(present(route("192.0.2.0/24", None, 2, 0, KERNEL))));
}

/// A million routes of another speaker, say. A snapshot is made each time that something changes.
#[test]
fn a_snapshot_shares_the_routes_of_others_and_does_not_change_with_them() {
    let mut view = node();
    let mut nets = (0..50_000_u32)
        .map(|i| Ipv4Net::new_assert(Ipv4Addr::from_bits(0x0b00_0000 + (i << 8)), 24));
    for net in nets.clone() {
        let there = route(&net.to_string(), Some("192.0.2.1"), 2, 20, STATIC);
        assert!(view.apply(present(there)));
    }
    let nanoseconds = || {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        let time = nix::time::clock_gettime(clock).unwrap();
        time.tv_sec() * 1_000_000_000 + time.tv_nsec()
    };
    let before = nanoseconds();
    let snapshots: Vec<KernelView> = (0..20).map(|_| view.clone()).collect();
    let guarded = view.on_link(&view.connected());
    let took = nanoseconds() - before;
    // One copy of 50,000 takes longer than that.
    assert!(took < 20_000_000, "{took} ns for 20 snapshots");
    assert!(guarded.is_empty());

    let first = nets.next().unwrap();
    let gone = route(&first.to_string(), Some("192.0.2.1"), 2, 20, STATIC);
    assert!(view.apply(Event::Route(Presence::Gone, gone)));
    assert!(view.foreign(first.into()).is_empty());
    for snapshot in snapshots {
        assert_eq!(snapshot.foreign(first.into()).len(), 1);
    }
}

#[test]
fn of_the_routes_of_others_only_those_that_may_be_on_a_link_are_looked_at_for_guard_rails() {
    let mut view = node();
    let none = BTreeSet::new();
    let before = view.on_link(&none);
    let tunnel = |gateway| route("10.8.0.0/16", gateway, 3, 20, STATIC);
    let net: IpNet = "10.8.0.0/16".parse().unwrap();
    for (gateway, is_guarded) in [(None, true), (Some("192.0.2.1"), false), (None, true)] {
        let replaced = Route {
            replaces: true,
            ..tunnel(gateway)
        };
        view.apply(present(replaced));
        assert_eq!(
            view.on_link(&none).contains(&net),
            is_guarded,
            "{gateway:?}"
        );
    }
    view.apply(Event::Route(Presence::Gone, tunnel(None)));
    assert_eq!(view.on_link(&none), before);
}

/// Those of pods come and go, beside a million routes that lead elsewhere.
#[test]
fn of_an_interface_that_goes_the_routes_are_found_and_no_others_are_looked_at() {
    let mut view = KernelView::new(MAIN_TABLE, 0);
    for ifindex in [2, 3] {
        view.apply(link(ifindex, "eth", true));
    }
    let over = |ifindex| {
        route(
            "198.51.100.0/24",
            Some("192.0.2.1"),
            ifindex,
            ifindex,
            STATIC,
        )
    };
    let mut both = route("203.0.113.0/24", Some("192.0.2.1"), 2, 20, STATIC);
    let other = Hop {
        ifindex: 3,
        ..both.hops[0]
    };
    both.hops.push(other);
    for route in [over(2), over(3), both.clone()] {
        view.apply(present(route));
    }
    let metrics = |view: &KernelView, prefix: &str| -> Vec<u32> {
        let routes = view.foreign(prefix.parse().unwrap());
        routes.iter().map(|route| route.metric).collect()
    };
    assert_eq!(view.v4.counted(), [(2, 2), (3, 2)].into());
    view.apply(link(3, "eth", false));
    assert_eq!(metrics(&view, "198.51.100.0/24"), [2]);
    assert_eq!(metrics(&view, "203.0.113.0/24"), [20], "one way is left");
    assert_eq!(view.v4.counted(), [(2, 2), (3, 1)].into());
    // It is back, and its route, and goes once more.
    view.apply(link(3, "eth", true));
    view.apply(present(over(3)));
    view.apply(link(3, "eth", false));
    assert_eq!(metrics(&view, "198.51.100.0/24"), [2]);
    view.apply(Event::Route(Presence::Gone, both));
    view.apply(link(2, "eth", false));
    assert_eq!(metrics(&view, "198.51.100.0/24"), [0; 0]);
    assert_eq!(view.v4.counted(), [].into());
    // All but one of many.
    for n in 0..10 {
        let prefix = format!("100.64.{n}.0/24");
        view.apply(present(route(&prefix, None, 2, 20, STATIC)));
    }
    view.apply(present(route("100.64.9.0/24", None, 3, 21, STATIC)));
    view.apply(link(2, "eth", true));
    view.apply(link(2, "eth", false));
    assert_eq!(view.v4.counted(), [(3, 1)].into());
    assert_eq!(view.v4.direct().count(), 1);
    assert_eq!(metrics(&view, "100.64.9.0/24"), [21]);
    assert_eq!(metrics(&view, "100.64.8.0/24"), [0; 0]);
}
