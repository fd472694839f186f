//! What two OPENs agree on, row by row: what differs from the defaults, and the outcome.

use std::sync::Arc;
use std::time::Duration;

use super::{V4, V6};
use crate::fsm::negotiate::open;
use crate::fsm::tests::config;
use crate::fsm::{Config, GracefulRestartConfig, Negotiated};
use crate::types::{Afi, Asn, BgpIdentifier};
use crate::wire::capability::{AddPathMode, GracefulRestart, LongLivedFamily, Role};
use crate::wire::{Capability, Open};
/// AS 1 with the defaults, and what it agrees on with AS 2 that has them too.
pub(super) fn local() -> Config {
    config(1, 1)
}

pub(super) fn remote() -> Config {
    config(2, 2)
}

pub(super) fn base() -> Negotiated {
    Negotiated {
        peer_asn: Asn(2),
        peer_id: BgpIdentifier(2),
        local_asn: Asn(1),
        local_id: BgpIdentifier(1),
        hold_time: Some(Duration::from_secs(90)),
        keepalive: Some(Duration::from_secs(30)),
        families: vec![V4, V6],
        four_octet_as: true,
        add_path_receive: vec![],
        add_path_send: vec![],
        extended_next_hop: vec![],
        extended_message: true,
        route_refresh: true,
        enhanced_route_refresh: true,
        graceful_restart: None,
        notification_retains: false,
        long_lived: vec![],
        peer_role: None,
        announced_role: None,
        peer_host: None,
        peer_open: Arc::new(open(&remote(), false)),
        first_as: Some(Asn(2)),
    }
}

pub(super) fn seconds(time: u64) -> Option<Duration> {
    Some(Duration::from_secs(time))
}

pub(super) fn restart(config: &mut Config, notification: bool) {
    config.graceful_restart = Some(GracefulRestartConfig {
        restart_time: Duration::from_secs(70),
        notification,
        families: vec![(V6, true)],
    });
}

/// What [`restart`] says in an OPEN.
fn restarts(notification: bool) -> Option<GracefulRestart> {
    Some(GracefulRestart {
        restarting: false,
        notification,
        restart_time: 70,
        families: vec![(V6, true)],
    })
}

pub(super) fn long(stale_time: u32) -> Vec<LongLivedFamily> {
    vec![LongLivedFamily {
        family: V4,
        forwarding: false,
        stale_time,
    }]
}

fn without(open: &mut Open, is: fn(&Capability) -> bool) {
    open.capabilities.retain(|capability| !is(capability));
}

/// What differs from the defaults: on our side, on the peer's, in its OPEN, and then in the outcome.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) local: fn(&mut Config),
    pub(super) remote: fn(&mut Config),
    pub(super) open: fn(&mut Open),
    pub(super) outcome: fn(&mut Negotiated),
}

const SAME: Row = Row {
    name: "defaults",
    local: |_| {},
    remote: |_| {},
    open: |_| {},
    outcome: |_| {},
};

fn identity_and_timers() -> Vec<Row> {
    vec![
        SAME,
        Row {
            name: "the peer's AS past two octets",
            remote: |c| c.local_asn = Asn(70_000),
            outcome: |n| (n.peer_asn, n.first_as) = (Asn(70_000), Some(Asn(70_000))),
            ..SAME
        },
        Row {
            name: "the peer's identifier",
            remote: |c| c.local_id = BgpIdentifier(1),
            outcome: |n| n.peer_id = BgpIdentifier(1),
            ..SAME
        },
        Row {
            name: "our AS",
            local: |c| c.local_asn = Asn(3),
            outcome: |n| n.local_asn = Asn(3),
            ..SAME
        },
        Row {
            name: "our identifier",
            local: |c| c.local_id = BgpIdentifier(9),
            outcome: |n| n.local_id = BgpIdentifier(9),
            ..SAME
        },
        Row {
            name: "the peer's hold time is smaller",
            remote: |c| c.hold_time = seconds(9),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(9), seconds(3)),
            ..SAME
        },
        Row {
            name: "our hold time is smaller",
            local: |c| c.hold_time = seconds(12),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(12), seconds(4)),
            ..SAME
        },
        Row {
            name: "RFC 4271 4.2: never under three seconds, with a KEEPALIVE every second",
            local: |c| c.hold_time = seconds(1),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(3), seconds(1)),
            ..SAME
        },
        Row {
            name: "as long as the field can say",
            local: |c| c.hold_time = seconds(100_000),
            remote: |c| c.hold_time = seconds(100_000),
            outcome: |n| (n.hold_time, n.keepalive) = (seconds(65_535), seconds(21_845)),
            ..SAME
        },
        Row {
            name: "no hold time here",
            local: |c| c.hold_time = None,
            outcome: |n| (n.hold_time, n.keepalive) = (None, None),
            ..SAME
        },
        Row {
            name: "no hold time there",
            remote: |c| c.hold_time = None,
            outcome: |n| (n.hold_time, n.keepalive) = (None, None),
            ..SAME
        },
        Row {
            name: "KEEPALIVE more often, as configured",
            local: |c| c.keepalive = seconds(7),
            outcome: |n| n.keepalive = seconds(7),
            ..SAME
        },
        Row {
            name: "KEEPALIVE no more seldom than a third",
            local: |c| c.keepalive = seconds(31),
            ..SAME
        },
        Row {
            name: "RFC 4271 4.4: KEEPALIVE no more often than once a second",
            local: |c| c.keepalive = Some(Duration::from_millis(1)),
            outcome: |n| n.keepalive = seconds(1),
            ..SAME
        },
    ]
}

fn families_and_capabilities() -> Vec<Row> {
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
            name: "our name",
            local: |c| c.host = Some(("node".to_owned(), "example".to_owned())),
            ..SAME
        },
    ]
}

/// RFC 7911 section 4: who sends is who offers it to one that wants it, by family and direction.
fn add_path() -> Vec<Row> {
    use AddPathMode::{Both, Receive, Send};
    const fn row(
        name: &'static str,
        local: fn(&mut Config),
        remote: fn(&mut Config),
        outcome: fn(&mut Negotiated),
    ) -> Row {
        Row {
            name,
            local,
            remote,
            outcome,
            ..SAME
        }
    }
    vec![
        row(
            "we receive",
            |c| c.add_path = vec![(V4, Receive)],
            |c| c.add_path = vec![(V4, Send)],
            |n| {
                n.add_path_receive = vec![V4];
            },
        ),
        row(
            "we send",
            |c| c.add_path = vec![(V6, Send)],
            |c| c.add_path = vec![(V6, Receive)],
            |n| {
                n.add_path_send = vec![V6];
            },
        ),
        row(
            "both send",
            |c| c.add_path = vec![(V4, Send)],
            |c| c.add_path = vec![(V4, Send)],
            |_| {},
        ),
        row(
            "both receive",
            |c| c.add_path = vec![(V4, Receive)],
            |c| c.add_path = vec![(V4, Receive)],
            |_| {},
        ),
        row(
            "here both, there receive",
            |c| c.add_path = vec![(V4, Both)],
            |c| c.add_path = vec![(V4, Receive)],
            |n| {
                n.add_path_send = vec![V4];
            },
        ),
        row(
            "here both, there send",
            |c| c.add_path = vec![(V4, Both)],
            |c| c.add_path = vec![(V4, Send)],
            |n| {
                n.add_path_receive = vec![V4];
            },
        ),
        row(
            "here receive, there both",
            |c| c.add_path = vec![(V6, Receive)],
            |c| c.add_path = vec![(V6, Both)],
            |n| {
                n.add_path_receive = vec![V6];
            },
        ),
        row(
            "here only",
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |_| {},
            |_| {},
        ),
        row(
            "there only",
            |_| {},
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |_| {},
        ),
        row(
            "other families",
            |c| c.add_path = vec![(V4, Both)],
            |c| c.add_path = vec![(V6, Both)],
            |_| {},
        ),
        row(
            "a direction each",
            |c| c.add_path = vec![(V4, Send), (V6, Receive)],
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |n| (n.add_path_send, n.add_path_receive) = (vec![V4], vec![V6]),
        ),
        row(
            "a family that was not agreed on",
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |c| {
                c.add_path = vec![(V4, Both), (V6, Both)];
                c.families = vec![V4];
            },
            |n| {
                n.families = vec![V4];
                (n.add_path_send, n.add_path_receive) = (vec![V4], vec![V4]);
            },
        ),
    ]
}

fn restarts_and_roles() -> Vec<Row> {
    vec![
        Row {
            name: "graceful restart on both sides, without the N bit there",
            local: |c| restart(c, true),
            remote: |c| restart(c, false),
            outcome: |n| n.graceful_restart = restarts(false),
            ..SAME
        },
        Row {
            name: "RFC 8538: without the N bit here",
            local: |c| restart(c, false),
            remote: |c| restart(c, true),
            outcome: |n| n.graceful_restart = restarts(true),
            ..SAME
        },
        Row {
            name: "RFC 8538: the N bit on both sides",
            local: |c| restart(c, true),
            remote: |c| restart(c, true),
            outcome: |n| (n.graceful_restart, n.notification_retains) = (restarts(true), true),
            ..SAME
        },
        Row {
            name: "graceful restart here only",
            local: |c| restart(c, true),
            ..SAME
        },
        Row {
            name: "graceful restart there only",
            remote: |c| restart(c, true),
            ..SAME
        },
        Row {
            name: "long-lived on both sides: the peer's time counts",
            local: |c| {
                restart(c, false);
                c.long_lived = long(10);
            },
            remote: |c| {
                restart(c, false);
                c.long_lived = long(20);
            },
            outcome: |n| (n.graceful_restart, n.long_lived) = (restarts(false), long(20)),
            ..SAME
        },
        Row {
            name: "long-lived there only",
            local: |c| restart(c, false),
            remote: |c| {
                restart(c, false);
                c.long_lived = long(20);
            },
            outcome: |n| n.graceful_restart = restarts(false),
            ..SAME
        },
        Row {
            name: "RFC 9494 4.2: long-lived without graceful restart there",
            local: |c| {
                restart(c, false);
                c.long_lived = long(10);
            },
            open: |o| {
                o.capabilities
                    .push(Capability::LongLivedGracefulRestart(long(20)));
            },
            ..SAME
        },
        Row {
            name: "long-lived without graceful restart here",
            local: |c| c.long_lived = long(10),
            remote: |c| {
                restart(c, false);
                c.long_lived = long(20);
            },
            ..SAME
        },
        Row {
            name: "RFC 9234 4.2: the peer's role is the counterpart of ours",
            local: |c| c.role = Some(Role::Provider),
            remote: |c| c.role = Some(Role::Customer),
            outcome: |n| {
                (n.peer_role, n.announced_role) = (Some(Role::Customer), Some(Role::Customer));
            },
            ..SAME
        },
        Row {
            name: "RFC 9234 4.2: also of a peer that sends none",
            local: |c| c.role = Some(Role::Provider),
            outcome: |n| n.peer_role = Some(Role::Customer),
            ..SAME
        },
        Row {
            name: "RFC 9234 4.2: a role that the peer sends decides nothing by itself",
            remote: |c| c.role = Some(Role::RouteServer),
            outcome: |n| n.announced_role = Some(Role::RouteServer),
            ..SAME
        },
        Row {
            name: "RFC 7947 2.2.2.1: a route server is not the first of its paths",
            local: |c| c.role = Some(Role::RouteServerClient),
            outcome: |n| (n.peer_role, n.first_as) = (Some(Role::RouteServer), None),
            ..SAME
        },
        Row {
            name: "the first AS is not enforced",
            local: |c| c.enforce_first_as = false,
            outcome: |n| n.first_as = None,
            ..SAME
        },
        Row {
            name: "an internal peer is not the first of its paths",
            remote: |c| c.local_asn = Asn(1),
            outcome: |n| (n.peer_asn, n.first_as) = (Asn(1), None),
            ..SAME
        },
    ]
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = identity_and_timers();
    rows.extend(families_and_capabilities());
    rows.extend(add_path());
    rows.extend(restarts_and_roles());
    rows
}
