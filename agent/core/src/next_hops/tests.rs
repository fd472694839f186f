#![allow(clippy::unwrap_used)]

use ipnet::IpNet;
use routelet_fib::kernel::event::{Event, Hop, Link, Presence, Route, RouteKind};
use routelet_fib::types::MAIN_TABLE;

use super::*;

fn link(ifindex: u32) -> Event {
    Event::Link(
        Presence::Present,
        Link {
            ifindex,
            name: format!("eth{ifindex}"),
            admin_up: true,
            up: true,
            loopback: false,
        },
    )
}

fn route(prefix: &str, gateway: Option<&str>, ifindex: u32, metric: u32) -> Event {
    let prefix: IpNet = prefix.parse().unwrap();
    Event::Route(
        Presence::Present,
        Route {
            prefix,
            table: MAIN_TABLE,
            protocol: 2,
            metric,
            kind: RouteKind::Unicast,
            replaces: false,
            special: false,
            nexthop_id: None,
            hops: smallvec::smallvec![Hop {
                gateway: gateway.map(|text| text.parse().unwrap()),
                ifindex,
                onlink: false,
            }],
        },
    )
}

/// The same networks of 169.254.0.0/16 and fe80::/64 on eth2 and eth3, one of 2001:db8::/64 on eth2, and another one behind
/// eth4's gateway.
fn view() -> KernelView {
    let mut view = KernelView::new(MAIN_TABLE, 1);
    for event in [
        link(2),
        link(3),
        link(4),
        route("169.254.10.0/30", None, 2, 0),
        route("169.254.10.0/30", None, 3, 10),
        route("fe80::/64", None, 2, 0),
        route("fe80::/64", None, 3, 0),
        route("2001:db8::/64", None, 2, 0),
        route("203.0.113.0/24", Some("192.0.2.2"), 4, 20),
        route("0.0.0.0/0", Some("192.0.2.1"), 4, 100),
    ] {
        view.apply(event);
    }
    view
}

/// `192.0.2.1`, or a global address and a link-local one.
fn next_hop(text: &str) -> NextHop {
    match text.split_once(' ') {
        Some((global, link_local)) => NextHop::Ipv6WithLinkLocal {
            global: global.parse().unwrap(),
            link_local: link_local.parse().unwrap(),
        },
        None => text.parse::<std::net::IpAddr>().unwrap().into(),
    }
}

#[test]
fn what_the_default_route_alone_leads_to_is_used_only_if_that_counts() {
    let view = view();
    for (text, through_default, without) in [
        ("198.51.100.1", Ok(()), Err(Unusable::OnlyByDefault)),
        ("169.254.99.1", Ok(()), Err(Unusable::OnlyByDefault)),
        ("169.254.10.1", Ok(()), Ok(())),
        ("203.0.113.9", Ok(()), Ok(())),
        // There is no default route of IPv6.
        (
            "2001:db8:9::1",
            Err(Unusable::NoRoute),
            Err(Unusable::NoRoute),
        ),
    ] {
        for (via_default, expected) in [(true, through_default), (false, without)] {
            let found = resolve(&view, via_default, &next_hop(text), None);
            assert_eq!(found.map(|_| ()), expected, "{text} {via_default}");
        }
    }
}

#[test]
fn a_link_local_next_hop_is_on_the_sessions_link_or_where_the_routes_say() {
    let view = view();
    for (text, interface, expected) in [
        ("169.254.10.1", None, ("169.254.10.1", 2, true)),
        ("169.254.10.1", Some(2), ("169.254.10.1", 2, true)),
        ("169.254.10.1", Some(3), ("169.254.10.1", 3, true)),
        // Its network is on another link than the session's.
        ("169.254.10.1", Some(4), ("169.254.10.1", 2, true)),
        ("169.254.99.1", Some(4), ("192.0.2.1", 4, false)),
        ("169.254.99.1", None, ("192.0.2.1", 4, false)),
        // All others are resolved without the interface.
        ("198.51.100.1", Some(2), ("192.0.2.1", 4, false)),
        ("203.0.113.9", Some(2), ("192.0.2.2", 4, false)),
        ("2001:db8::1", Some(3), ("2001:db8::1", 2, true)),
        // The link-local address of IPv6 goes before the global one: each link has all of fe80::/64.
        ("fe80::1", Some(3), ("fe80::1", 3, true)),
        ("2001:db8::1 fe80::1", Some(3), ("fe80::1", 3, true)),
        ("2001:db8::1 fe80::1", Some(4), ("fe80::1", 4, true)),
        ("2001:db8::1 fe80::1", Some(9), ("2001:db8::1", 2, true)),
        ("2001:db8::1 fe80::1", None, ("2001:db8::1", 2, true)),
    ] {
        let found = resolve(&view, true, &next_hop(text), interface).unwrap();
        let (gateway, ifindex, connected) = expected;
        assert_eq!(
            (found.gateway.to_string(), found.ifindex, found.connected),
            (gateway.to_owned(), ifindex, connected),
            "{text} on {interface:?}"
        );
    }
}
