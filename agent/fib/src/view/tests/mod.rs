//! Claims about what the kernel's view answers.
#![allow(clippy::unwrap_used)]

mod resolve;
mod surroundings;

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
