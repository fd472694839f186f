//! What guard rails are made of, and what a change costs.
#![allow(clippy::unwrap_used)]

use super::*;

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
