//! Every field of [`Negotiated`], both ways. A field that is new does not compile until it stands here, and fails until a row
//! changes it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::config;
use crate::fsm::negotiate::open;
use crate::fsm::{Config, GracefulRestartConfig, Negotiated, RemoteAsn, negotiate};
use crate::types::{Afi, Asn, BgpIdentifier, Family};
use crate::wire::attribute::AttributeFilter;
use crate::wire::capability::{AddPathMode, GracefulRestart, LongLivedFamily, Role};
use crate::wire::{Capability, FamilyCodec, Open, PeerKind, UpdateCodec};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

macro_rules! fields {
    ($($field:ident)*) => {
        const FIELDS: &[&str] = &[$(stringify!($field)),*];

        /// The fields in which two differ.
        fn differing(one: &Negotiated, other: &Negotiated) -> BTreeSet<&'static str> {
            let Negotiated { $($field),* } = one;
            let mut names = BTreeSet::new();
            $(if *$field != other.$field {
                names.insert(stringify!($field));
            })*
            names
        }
    };
}

fields!(peer_asn peer_id local_asn local_id hold_time keepalive families four_octet_as add_path_receive add_path_send
    extended_next_hop extended_message route_refresh enhanced_route_refresh graceful_restart notification_retains
    long_lived peer_role announced_role peer_host first_as);

/// AS 1 with the defaults, and what it agrees on with AS 2 that has them too.
fn local() -> Config {
    config(1, 1)
}

fn remote() -> Config {
    config(2, 2)
}

fn base() -> Negotiated {
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
        first_as: Some(Asn(2)),
    }
}

fn seconds(time: u64) -> Option<Duration> {
    Some(Duration::from_secs(time))
}

fn restart(config: &mut Config, notification: bool) {
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

fn long(stale_time: u32) -> Vec<LongLivedFamily> {
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
struct Row {
    name: &'static str,
    local: fn(&mut Config),
    remote: fn(&mut Config),
    open: fn(&mut Open),
    outcome: fn(&mut Negotiated),
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

fn rows() -> Vec<Row> {
    let mut rows = identity_and_timers();
    rows.extend(families_and_capabilities());
    rows.extend(add_path());
    rows.extend(restarts_and_roles());
    rows
}

#[test]
fn every_field_is_what_both_opens_say() {
    let mut changed = BTreeSet::new();
    for row in rows() {
        let (mut local, mut remote, mut expected) = (local(), remote(), base());
        (row.local)(&mut local);
        (row.remote)(&mut remote);
        (row.outcome)(&mut expected);
        let mut open = open(&remote, false);
        (row.open)(&mut open);
        let found = negotiate(&local, &open).unwrap();
        let wrong = differing(&found, &expected);
        assert!(wrong.is_empty(), "{}: {wrong:?} of {found:?}", row.name);
        changed.extend(differing(&expected, &base()));
    }
    let missing: Vec<_> = FIELDS
        .iter()
        .filter(|field| !changed.contains(*field))
        .collect();
    assert!(missing.is_empty(), "no row changes {missing:?}");
}

#[test]
fn rfc_4724_3_the_restart_time_has_twelve_bits_and_the_r_bit_is_the_callers() {
    let mut config = local();
    restart(&mut config, true);
    config.graceful_restart.as_mut().unwrap().restart_time = Duration::from_secs(5000);
    for restarting in [false, true] {
        let said = open(&config, restarting);
        let said = said
            .capabilities
            .iter()
            .find_map(|capability| match capability {
                Capability::GracefulRestart(said) => Some((said.restarting, said.restart_time)),
                _ => None,
            });
        assert_eq!(said, Some((restarting, 4095)));
    }
}

#[test]
fn each_field_reaches_the_codec_of_its_family_and_direction() {
    let plain = UpdateCodec {
        extended_message: true,
        first_as: Some(Asn(2)),
        ..UpdateCodec::plain(PeerKind::External)
    };
    let v4 = |family| UpdateCodec {
        ipv4: family,
        ..plain
    };
    let v6 = |family| UpdateCodec {
        ipv6: family,
        ..plain
    };
    let family = FamilyCodec::PLAIN;
    let none = FamilyCodec {
        negotiated: false,
        ..family
    };
    let receive = FamilyCodec {
        add_path_receive: true,
        ..family
    };
    let send = FamilyCodec {
        add_path_send: true,
        ..family
    };
    let next_hop = FamilyCodec {
        extended_next_hop: true,
        ..family
    };
    type Change = fn(&mut Negotiated);
    let table: [(Change, UpdateCodec); 13] = [
        (|_| {}, plain),
        (|n| n.families = vec![V6], v4(none)),
        (|n| n.families = vec![V4], v6(none)),
        (|n| n.add_path_receive = vec![V4], v4(receive)),
        (|n| n.add_path_receive = vec![V6], v6(receive)),
        (|n| n.add_path_send = vec![V4], v4(send)),
        (|n| n.add_path_send = vec![V6], v6(send)),
        (
            |n| n.extended_next_hop = vec![(V4, Afi::IPV6)],
            v4(next_hop),
        ),
        // A next hop of the family's own AFI needs no agreement.
        (|n| n.extended_next_hop = vec![(V4, Afi::IPV4)], plain),
        (
            |n| n.four_octet_as = false,
            UpdateCodec {
                four_octet_as: false,
                ..plain
            },
        ),
        (
            |n| n.extended_message = false,
            UpdateCodec {
                extended_message: false,
                ..plain
            },
        ),
        (
            |n| n.first_as = None,
            UpdateCodec {
                first_as: None,
                ..plain
            },
        ),
        (
            |n| n.peer_asn = n.local_asn,
            UpdateCodec {
                peer: PeerKind::Internal,
                filtered: AttributeFilter::DEFAULT.received_from(PeerKind::Internal),
                ..plain
            },
        ),
    ];
    for (number, (change, expected)) in table.into_iter().enumerate() {
        let mut negotiated = base();
        change(&mut negotiated);
        assert_eq!(
            negotiated.update_codec(&AttributeFilter::DEFAULT),
            expected,
            "row {number}"
        );
    }
}

#[test]
fn each_way_to_name_an_as_accepts_what_it_says() {
    let all = [Asn(1), Asn(2), Asn(0), Asn::TRANS];
    for (wanted, accepted) in [
        (RemoteAsn::Number(Asn(2)), [false, true, false, false]),
        (RemoteAsn::Number(Asn::TRANS), [false; 4]),
        (RemoteAsn::Internal, [true, false, false, false]),
        (RemoteAsn::External, [false, true, false, false]),
        (RemoteAsn::Any, [true, true, false, false]),
    ] {
        let found = all.map(|remote| wanted.accepts(Asn(1), remote));
        assert_eq!(found, accepted, "{wanted}");
    }
    let texts = [
        RemoteAsn::Number(Asn(7)),
        RemoteAsn::Internal,
        RemoteAsn::External,
        RemoteAsn::Any,
    ];
    assert_eq!(
        texts.map(|asn| asn.to_string()),
        ["7", "internal", "external", "any"]
    );
}

#[test]
fn what_the_opens_say_needs_a_new_session_and_timers_do_not() {
    type Change = fn(&mut Config);
    let resets: [Change; 12] = [
        |c| c.local_asn = Asn(9),
        |c| c.local_id = BgpIdentifier(9),
        |c| c.remote_asn = RemoteAsn::External,
        |c| c.families = vec![V4],
        |c| c.add_path = vec![(V4, AddPathMode::Send)],
        |c| c.extended_next_hop = vec![(V4, Afi::IPV6)],
        |c| c.extended_message = false,
        |c| restart(c, true),
        |c| c.long_lived = long(1),
        |c| c.role = Some(Role::Peer),
        |c| c.role_strict = true,
        |c| c.enforce_first_as = false,
    ];
    let stays: [Change; 8] = [
        |c| c.passive = true,
        |c| c.hold_time = None,
        |c| c.keepalive = seconds(1),
        |c| c.connect_retry = Duration::from_secs(99),
        |c| c.connect_timeout = Duration::from_secs(99),
        |c| c.idle_hold_max = Duration::from_secs(99),
        |c| c.send_hold_time = seconds(99),
        |c| c.host = Some(("node".to_owned(), String::new())),
    ];
    let reset_by = |change: Change| {
        let mut new = local();
        change(&mut new);
        local().needs_reset(&new)
    };
    for (number, change) in resets.into_iter().enumerate() {
        assert!(reset_by(change), "row {number}");
    }
    for (number, change) in stays.into_iter().enumerate() {
        assert!(!reset_by(change), "row {number}");
    }
}
