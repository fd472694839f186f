//! What a kernel says of itself: links, addresses and routes of other software.

use ipnet::IpNet;
use routelet_fib::RouteSpace;
use routelet_fib::kernel::event::{Address, Event, Hop, Link, Presence, Route, RouteKind};

/// An interface that is up.
pub(crate) fn link(ifindex: u32, name: &str) -> Event {
    Event::Link(
        Presence::Present,
        Link {
            ifindex,
            name: name.to_owned(),
            admin_up: true,
            up: true,
            loopback: name == "lo",
        },
    )
}

/// An address with its network, as in `192.0.2.11/26`, and the route to it.
pub(crate) fn address(ifindex: u32, text: &str) -> [Event; 2] {
    let net: IpNet = text.parse().unwrap();
    let address = Address {
        ifindex,
        address: net.addr(),
        prefix_len: net.prefix_len(),
        peer: None,
        tentative: false,
        deprecated: false,
        secondary: false,
    };
    [
        Event::Address(Presence::Present, address),
        route(&net.trunc().to_string(), None, ifindex, 2, 0),
    ]
}

/// A route of other software in the main table.
pub(crate) fn route(
    prefix: &str,
    gateway: Option<&str>,
    ifindex: u32,
    protocol: u8,
    metric: u32,
) -> Event {
    let hop = Hop {
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        ifindex,
        onlink: false,
    };
    Event::Route(
        Presence::Present,
        Route {
            prefix: prefix.parse().unwrap(),
            table: RouteSpace::default().table,
            protocol,
            metric,
            kind: RouteKind::Unicast,
            replaces: false,
            special: false,
            nexthop_id: None,
            hops: smallvec::smallvec![hop],
        },
    )
}
