//! Families, and the capabilities that are there or not.

use super::*;
use crate::fsm::BfdConfig;

fn strict(strict: bool) -> Option<BfdConfig> {
    Some(BfdConfig {
        strict,
        ..BfdConfig::default()
    })
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = families_and_messages();
    rows.extend(next_hops_and_names());
    rows
}

fn families_and_messages() -> Vec<Row> {
    vec![
        Row {
            name: "we have IPv4 only",
            local: |c| c.families = vec![V4],
            outcome: |n| n.families = vec![V4],
            ..SAME
        },
        Row {
            name: "the peer has IPv6 only",
            remote: |c| c.families = vec![V6],
            outcome: |n| n.families = vec![V6],
            ..SAME
        },
        Row {
            name: "RFC 4760 8: a peer that announces no family speaks IPv4",
            open: |o| without(o, |c| matches!(c, Capability::Multiprotocol(_))),
            outcome: |n| n.families = vec![V4],
            ..SAME
        },
        Row {
            name: "a peer of two-octet AS numbers",
            open: |o| without(o, |c| matches!(c, Capability::FourOctetAs(_))),
            outcome: |n| n.four_octet_as = false,
            ..SAME
        },
        Row {
            name: "the peer takes no extended messages",
            remote: |c| c.extended_message = false,
            outcome: |n| n.extended_message = false,
            ..SAME
        },
        Row {
            name: "we take no extended messages",
            local: |c| c.extended_message = false,
            outcome: |n| n.extended_message = false,
            ..SAME
        },
        Row {
            name: "no ROUTE-REFRESH",
            open: |o| without(o, |c| *c == Capability::RouteRefresh),
            outcome: |n| n.route_refresh = false,
            ..SAME
        },
        Row {
            name: "no enhanced ROUTE-REFRESH",
            open: |o| without(o, |c| *c == Capability::EnhancedRouteRefresh),
            outcome: |n| n.enhanced_route_refresh = false,
            ..SAME
        },
    ]
}

fn next_hops_and_names() -> Vec<Row> {
    vec![
        Row {
            name: "RFC 8950 on both sides, for IPv4 over IPv6",
            local: |c| c.extended_next_hop = vec![(V4, Afi::IPV6)],
            remote: |c| c.extended_next_hop = vec![(V6, Afi::IPV4), (V4, Afi::IPV6)],
            outcome: |n| n.extended_next_hop = vec![(V4, Afi::IPV6)],
            ..SAME
        },
        Row {
            name: "RFC 8950 here only",
            local: |c| c.extended_next_hop = vec![(V4, Afi::IPV6)],
            ..SAME
        },
        Row {
            name: "RFC 8950 there only",
            remote: |c| c.extended_next_hop = vec![(V4, Afi::IPV6)],
            ..SAME
        },
        Row {
            name: "RFC 8950 of a family that was not agreed on",
            local: |c| c.extended_next_hop = vec![(V4, Afi::IPV6)],
            remote: |c| {
                c.extended_next_hop = vec![(V4, Afi::IPV6)];
                c.families = vec![V6];
            },
            outcome: |n| n.families = vec![V6],
            ..SAME
        },
        Row {
            name: "the peer's name, the first if it says two",
            remote: |c| c.host = Some(("tor-a".to_owned(), "example".to_owned())),
            open: |o| {
                o.capabilities.push(Capability::Fqdn {
                    host: "other".into(),
                    domain: "".into(),
                });
            },
            outcome: |n| n.peer_host = Some("tor-a".into()),
            ..SAME
        },
        Row {
            name: "BFD in strict mode on both sides",
            local: |c| c.bfd = strict(true),
            remote: |c| c.bfd = strict(true),
            outcome: |n| n.bfd_strict = true,
            ..SAME
        },
        Row {
            name: "BFD in strict mode here only",
            local: |c| c.bfd = strict(true),
            remote: |c| c.bfd = strict(false),
            ..SAME
        },
        Row {
            name: "BFD in strict mode there only",
            local: |c| c.bfd = strict(false),
            remote: |c| c.bfd = strict(true),
            ..SAME
        },
        Row {
            name: "our name",
            local: |c| c.host = Some(("node".to_owned(), "example".to_owned())),
            ..SAME
        },
    ]
}
