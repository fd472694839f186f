#![allow(clippy::unwrap_used)]

use bgp::fsm::{Config, RemoteAsn, negotiate};
use bgp::types::Asn;
use bgp::wire::Open;
use bgp::wire::capability::Capability;

use routelet_fib::kernel::event::{Event, Hop, Presence, Route, RouteKind};
use routelet_fib::types::MAIN_TABLE;

use super::super::tests::{ETH0, ETH1};
use super::*;

/// A view of interfaces with these addresses and the routes to their networks.
fn view(addresses: &[(u32, &str)]) -> KernelView {
    let mut view = super::super::tests::view(addresses);
    for (ifindex, text) in addresses {
        let net: IpNet = text.parse().unwrap();
        let route = Route {
            prefix: net.trunc(),
            table: MAIN_TABLE,
            protocol: 2,
            metric: 0,
            kind: RouteKind::Unicast,
            replaces: false,
            special: false,
            nexthop_id: None,
            hops: smallvec::smallvec![Hop {
                gateway: None,
                ifindex: *ifindex,
                onlink: false,
            }],
        };
        view.apply(Event::Route(Presence::Present, route));
    }
    view
}

/// A session with AS 64500 over both families, or these.
fn session_to(local: &str, remote: &str, families: &[Family]) -> Session {
    let config = Config::new(
        Asn(64512),
        std::net::Ipv4Addr::new(192, 0, 2, 11).into(),
        RemoteAsn::Number(Asn(64500)),
        1,
    );
    let open = Open {
        asn: Asn(64500),
        hold_time: 90,
        identifier: std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
        capabilities: families
            .iter()
            .map(|family| Capability::Multiprotocol(*family))
            .chain([Capability::FourOctetAs(Asn(64500))])
            .collect(),
    };
    Session {
        negotiated: Arc::new(negotiate(&config, &open).unwrap()),
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

/// `interface single-hop ipv4 ipv6 link-local | networks`
fn text(placed: &Placed) -> String {
    fn of(value: Option<impl ToString>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    let info = &placed.info;
    let networks: Vec<String> = info.subnets.iter().map(ToString::to_string).collect();
    format!(
        "{} {} {} {} {} | {}",
        of(info.interface),
        info.single_hop,
        of(info.local_ipv4),
        of(info.local_ipv6),
        of(info.local_link_local),
        networks.join(" ")
    )
}

#[test]
fn a_session_has_the_interface_and_the_networks_of_its_link() {
    let addresses = [
        (ETH0, "192.0.2.11/24"),
        (ETH0, "2001:db8::11/64"),
        (ETH0, "2001:db8::12/64"),
        (ETH0, "fe80::11/64"),
        (ETH1, "198.51.100.11/24"),
    ];
    let view = view(&addresses);
    let on_eth0 = "2 true 192.0.2.11 2001:db8::11 fe80::11 | 192.0.2.0/24 2001:db8::/64 fe80::/64";
    for (local, remote, expected) in [
        ("192.0.2.11:179", "192.0.2.1", on_eth0),
        ("[::ffff:192.0.2.11]:179", "192.0.2.1", on_eth0),
        (
            "[fe80::11%2]:179",
            "fe80::1",
            "2 true 192.0.2.11 2001:db8::11 fe80::11 | 192.0.2.0/24 2001:db8::/64 fe80::/64",
        ),
        (
            "198.51.100.11:179",
            "198.51.100.1",
            "3 true 198.51.100.11 - - | 198.51.100.0/24",
        ),
        // Further away, and by no route at all: it is on no link.
        ("192.0.2.11:179", "203.0.113.1", "- false 192.0.2.11 - - | "),
        // Nobody knows where its address is.
        ("203.0.113.9:179", "192.0.2.1", "- false 203.0.113.9 - - | "),
    ] {
        let session = session_to(local, remote, &Family::ALL);
        let found = session.place(&view, &[], None);
        let expected = match remote {
            // Another address of the interface is one of the other family's next hops.
            "203.0.113.1" => "- false 192.0.2.11 2001:db8::11 - | ",
            _ => expected,
        };
        assert_eq!(text(&found), expected, "{local} {remote}");
    }
}

#[test]
fn what_was_known_of_a_session_stays_while_its_address_is_missing() {
    let all = [(ETH0, "192.0.2.11/24"), (ETH0, "2001:db8::11/64")];
    let session = session_to("192.0.2.11:179", "192.0.2.1", &Family::ALL);
    let first = session.place(&view(&all), &[], None);
    let expected = "2 true 192.0.2.11 2001:db8::11 - | 192.0.2.0/24 2001:db8::/64";
    assert_eq!(text(&first), expected);
    // Its own address is gone for a moment, and the route to the peer with it.
    let gone = session.place(&view(&all[1..]), &[], Some(&first));
    assert_eq!(
        text(&gone),
        "2 true 192.0.2.11 2001:db8::11 - | 2001:db8::/64"
    );
    // Of a new session nothing was known.
    let fresh = session.place(&view(&all[1..]), &[], None);
    assert_eq!(text(&fresh), "- false 192.0.2.11 - - | ");
    let again = session.place(&view(&all), &[], Some(&gone));
    assert_eq!(again, first);
    // It is on another interface: nothing of what was known holds there.
    let moved = [(ETH1, "192.0.2.11/32"), (ETH1, "2001:db8:1::11/64")];
    let moved = session.place(&view(&moved), &[], Some(&first));
    assert!(!moved.info.single_hop && moved.info.interface.is_none());
}

#[test]
fn a_family_that_is_not_advertised_is_named_once_and_only_if_it_was_negotiated() {
    let both = [(ETH0, "192.0.2.11/24"), (ETH0, "2001:db8::11/64")];
    let (full, ipv4, linked) = (
        view(&both),
        view(&both[..1]),
        view(&[both[0], (ETH0, "fe80::11/64")]),
    );
    let names = |placed: &Placed, before: Option<&Placed>| -> Vec<Family> {
        placed
            .newly_missing(before)
            .map(|(family, _)| family)
            .collect()
    };
    let session_of = |families: &[Family]| session_to("192.0.2.11:179", "192.0.2.1", families);
    let session = session_of(&Family::ALL);
    let has_both = session.place(&full, &[], None);
    assert!(names(&has_both, None).is_empty());
    let has_ipv4 = session.place(&ipv4, &[], None);
    assert_eq!(names(&has_ipv4, None), [Family::IPV6_UNICAST]);
    assert_eq!(names(&has_ipv4, Some(&has_both)), [Family::IPV6_UNICAST]);
    assert!(names(&has_ipv4, Some(&has_ipv4)).is_empty(), "said already");
    // The link-local address is advertised alone.
    let alone = session.place(&linked, &[], None);
    assert!(alone.next_hops.ipv6.is_err() && names(&alone, None).is_empty());
    let unwanted = session_of(&[Family::IPV4_UNICAST]).place(&ipv4, &[], None);
    assert!(names(&unwanted, None).is_empty());

    let mut over_ipv6 = session_to("[2001:db8::11]:179", "2001:db8::1", &Family::ALL);
    let only_ipv6 = view(&both[1..]);
    let without = over_ipv6.place(&only_ipv6, &[], None);
    assert_eq!(names(&without, None), [Family::IPV4_UNICAST]);
    // IPv4 routes may have IPv6 next hops there (RFC 8950).
    let mut negotiated = Negotiated::clone(&over_ipv6.negotiated);
    negotiated.extended_next_hop = vec![(Family::IPV4_UNICAST, Afi::IPV6)];
    over_ipv6.negotiated = Arc::new(negotiated);
    let with = over_ipv6.place(&only_ipv6, &[], None);
    assert!(names(&with, None).is_empty());
}
