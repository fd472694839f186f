#![allow(clippy::unwrap_used)]
use super::*;
use crate::types::Safi;

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

/// A capability with its code, its name and its octets.
type Row = (Capability, u8, Option<&'static str>, Vec<u8>);

/// Each capability.
fn all() -> Vec<Row> {
    let mut all = plain();
    all.extend(without_a_value());
    all.extend(restarts());
    all
}

/// Those that keep routes while a speaker restarts.
fn restarts() -> Vec<Row> {
    let restart = |restarting, notification, restart_time, families| {
        Capability::GracefulRestart(GracefulRestart {
            restarting,
            notification,
            restart_time,
            families,
        })
    };
    let long_lived = |family, forwarding, stale_time| LongLivedFamily {
        family,
        forwarding,
        stale_time,
    };
    let gr = Some("graceful restart");
    vec![
        (restart(false, false, 0, vec![]), 64, gr, vec![0, 0]),
        (restart(true, false, 1, vec![]), 64, gr, vec![0x80, 1]),
        (restart(false, true, 4095, vec![]), 64, gr, vec![0x4f, 0xff]),
        (
            restart(true, true, 0x0123, vec![(V4, true), (V6, false)]),
            64,
            gr,
            vec![0xc1, 0x23, 0, 1, 1, 0x80, 0, 2, 1, 0],
        ),
        (
            Capability::LongLivedGracefulRestart(vec![
                long_lived(V4, true, 0x0001_0203),
                long_lived(V6, false, 0x00ff_ffff),
            ]),
            71,
            Some("long-lived graceful restart"),
            vec![0, 1, 1, 0x80, 1, 2, 3, 0, 2, 1, 0, 0xff, 0xff, 0xff],
        ),
    ]
}

fn without_a_value() -> [Row; 4] {
    [
        (Capability::RouteRefresh, 2, "route refresh"),
        (Capability::ExtendedMessage, 6, "extended message"),
        (
            Capability::EnhancedRouteRefresh,
            70,
            "enhanced route refresh",
        ),
        (Capability::BfdStrictMode, 74, "BFD strict mode"),
    ]
    .map(|(capability, code, name)| (capability, code, Some(name), vec![]))
}

fn plain() -> Vec<Row> {
    let role = |role, octet| (Capability::Role(role), 9, Some("role"), vec![octet]);
    vec![
        (
            Capability::Multiprotocol(Family::new(0x0102, 3)),
            1,
            Some("multiprotocol"),
            vec![1, 2, 0, 3],
        ),
        (
            Capability::ExtendedNextHop(vec![(V4, V6.afi), (Family::new(0x0102, 128), V4.afi)]),
            5,
            Some("extended next hop"),
            vec![0, 1, 0, 1, 0, 2, 1, 2, 0, 128, 0, 1],
        ),
        role(Role::Provider, 0),
        role(Role::RouteServer, 1),
        role(Role::RouteServerClient, 2),
        role(Role::Customer, 3),
        role(Role::Peer, 4),
        role(Role::Unknown(5), 5),
        (
            Capability::FourOctetAs(Asn(0x0102_0304)),
            65,
            Some("four-octet AS"),
            vec![1, 2, 3, 4],
        ),
        (
            Capability::AddPath(vec![
                (V4, AddPathMode::Receive),
                (V6, AddPathMode::Send),
                (Family::new(0x0102, 3), AddPathMode::Both),
            ]),
            69,
            Some("additional paths"),
            vec![0, 1, 1, 1, 0, 2, 1, 2, 1, 2, 3, 3],
        ),
        (
            Capability::Fqdn {
                host: PeerText::from("a"),
                domain: PeerText::from("bc"),
            },
            73,
            Some("FQDN"),
            vec![1, b'a', 2, b'b', b'c'],
        ),
        (
            Capability::Unknown {
                code: 199,
                value: Bytes::from_static(&[9, 8]),
            },
            199,
            None,
            vec![9, 8],
        ),
    ]
}

fn encoded(capability: &Capability) -> Vec<u8> {
    let mut out = Vec::new();
    encode(capability, &mut out);
    out
}

#[test]
fn each_capability_has_the_code_name_and_value_of_its_rfc() {
    for (capability, code, name, value) in all() {
        assert_eq!((capability.code(), capability.name()), (code, name));
        let octets = [&[code, u8::try_from(value.len()).unwrap()], &value[..]].concat();
        assert_eq!(encoded(&capability), octets, "{capability:?}");
        assert_eq!(decode(code, &value), Ok(capability));
    }
    // A time that its field cannot say is as long as can be.
    let restart = Capability::GracefulRestart(GracefulRestart {
        restarting: false,
        notification: false,
        restart_time: 4096,
        families: vec![],
    });
    assert_eq!(encoded(&restart), [64, 2, 0x0f, 0xff]);
    let stale = Capability::LongLivedGracefulRestart(vec![LongLivedFamily {
        family: V4,
        forwarding: false,
        stale_time: 0x0100_0000,
    }]);
    assert_eq!(encoded(&stale), [71, 7, 0, 1, 1, 0, 0xff, 0xff, 0xff]);
}

#[test]
fn a_capability_of_another_length_is_refused_by_name() {
    for (code, good, name, expected) in [
        (
            1,
            &[4][..],
            "multiprotocol",
            "4 octets: AFI, reserved, SAFI",
        ),
        (2, &[0], "route refresh", "no octets"),
        (
            5,
            &[0, 6, 12],
            "extended next hop",
            "6 octets for each family",
        ),
        (6, &[0], "extended message", "no octets"),
        (9, &[1], "role", "1 octet"),
        (
            64,
            &[2, 6, 10, 14],
            "graceful restart",
            "2 octets and 4 for each family",
        ),
        (65, &[4], "four-octet AS", "4 octets: the AS number"),
        (
            69,
            &[0, 4, 8, 12],
            "additional paths",
            "4 octets for each family",
        ),
        (70, &[0], "enhanced route refresh", "no octets"),
        (
            71,
            &[0, 7, 14],
            "long-lived graceful restart",
            "7 octets for each family",
        ),
    ] {
        for length in 0..=14 {
            let read = decode(code, &vec![1; length]);
            if good.contains(&length) {
                assert_eq!(read.unwrap().code(), code, "{name} of {length} octets");
            } else {
                let refused = WireFault::Capability {
                    code,
                    name,
                    length,
                    expected,
                };
                assert_eq!(read, Err(refused));
            }
        }
    }
    // One that only informs people, or that nobody here knows, is kept as it came.
    for (code, value) in [
        (73, &[][..]),
        (73, &[9, b'x']),
        (73, &[1, b'x', 2]),
        (3, &[1, 2]),
    ] {
        let kept = Capability::Unknown {
            code,
            value: Bytes::from_static(value),
        };
        assert_eq!(kept.code(), code);
        assert_eq!(decode(code, value), Ok(kept));
    }
}

#[test]
fn values_that_mean_nothing_are_skipped_and_the_first_mode_of_a_family_counts() {
    // RFC 7911 section 4.
    let octets = [0, 1, 1, 0, 0, 1, 1, 4, 0, 2, 1, 1, 0, 2, 1, 3];
    let read = Capability::AddPath(vec![(V6, AddPathMode::Receive)]);
    assert_eq!(decode(69, &octets), Ok(read));
    // A SAFI in two octets, over 255 (RFC 8950 section 4).
    let octets = [0, 1, 1, 1, 0, 2, 0, 1, 0, 1, 0, 2];
    let read = Capability::ExtendedNextHop(vec![(V4, V6.afi)]);
    assert_eq!(decode(5, &octets), Ok(read));
}

#[test]
fn a_list_of_families_that_is_too_long_is_cut_after_a_whole_one() {
    let family = |at: u8| Family {
        afi: V4.afi,
        safi: Safi(at),
    };
    let families = || (0..=u8::MAX).map(family);
    for (long, fit, size) in [
        (
            Capability::AddPath(families().map(|f| (f, AddPathMode::Both)).collect()),
            63,
            4,
        ),
        (
            Capability::ExtendedNextHop(families().map(|f| (f, V6.afi)).collect()),
            42,
            6,
        ),
        (
            Capability::GracefulRestart(GracefulRestart {
                restarting: false,
                notification: true,
                restart_time: 120,
                families: families().map(|f| (f, true)).collect(),
            }),
            63,
            4,
        ),
        (
            Capability::LongLivedGracefulRestart(
                families()
                    .map(|family| LongLivedFamily {
                        family,
                        forwarding: true,
                        stale_time: 1,
                    })
                    .collect(),
            ),
            36,
            7,
        ),
    ] {
        let octets = encoded(&long);
        let flags = if long.code() == 64 { 2 } else { 0 };
        assert_eq!(
            usize::from(octets[1]),
            flags + fit * size,
            "{:?}",
            long.name()
        );
        assert_eq!(octets.len(), 2 + flags + fit * size);
        let read: Vec<Family> = match decode(long.code(), &octets[2..]).unwrap() {
            Capability::AddPath(all) => all.into_iter().map(|(family, _)| family).collect(),
            Capability::ExtendedNextHop(all) => all.into_iter().map(|(family, _)| family).collect(),
            Capability::GracefulRestart(value) => value.families.iter().map(|(f, _)| *f).collect(),
            Capability::LongLivedGracefulRestart(all) => all.iter().map(|e| e.family).collect(),
            other => panic!("{other:?}"),
        };
        assert!(read.into_iter().eq(families().take(fit)));
    }
}

#[test]
fn rfc_5492_4_a_repeated_capability_counts_once_or_as_its_rfc_says() {
    let read = |parts: &[(u8, &[u8])]| {
        let mut all = Vec::new();
        for (code, value) in parts {
            add(&mut all, decode(*code, value).unwrap());
        }
        all.iter().map(encoded).collect::<Vec<_>>().concat()
    };
    // Equal ones are one; of those that each say something, each is kept.
    for (code, one, other) in [
        (1, &[0, 1, 0, 1][..], &[0, 2, 0, 1][..]),
        (9, &[0], &[3]),
        (69, &[0, 1, 1, 1], &[0, 2, 1, 1]),
        (199, &[1], &[2]),
    ] {
        let alone = read(&[(code, one)]);
        assert_eq!(
            read(&[(code, one), (2, &[]), (code, one)]),
            [&alone[..], &[2, 0]].concat()
        );
        assert_eq!(
            read(&[(code, one), (code, other)]),
            [alone, read(&[(code, other)])].concat()
        );
    }
    // The last one counts, in the place of the first.
    for (code, one, other) in [
        (64, &[0, 1][..], &[0, 2][..]),
        (65, &[0, 0, 0, 1], &[0, 0, 0, 2]),
        (71, &[0, 1, 1, 0, 0, 0, 1], &[0, 1, 1, 0, 0, 0, 2]),
        (73, &[1, b'a', 0], &[1, b'b', 0]),
    ] {
        assert_eq!(
            read(&[(code, one), (2, &[]), (code, other)]),
            [read(&[(code, other)]), vec![2, 0]].concat()
        );
    }
}

#[test]
fn rfc_9234_4_2_each_role_has_its_counterpart_and_its_name() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient, Unknown};
    for (role, counterpart, name) in [
        (Provider, Some(Customer), "provider"),
        (Customer, Some(Provider), "customer"),
        (RouteServer, Some(RouteServerClient), "rs-server"),
        (RouteServerClient, Some(RouteServer), "rs-client"),
        (Peer, Some(Peer), "peer"),
        (Unknown(7), None, "role 7"),
    ] {
        assert_eq!(
            (role.counterpart(), &*role.to_string()),
            (counterpart, name)
        );
    }
    for (mode, receives, sends) in [
        (AddPathMode::Receive, true, false),
        (AddPathMode::Send, false, true),
        (AddPathMode::Both, true, true),
    ] {
        assert_eq!(
            (mode.receives(), mode.sends()),
            (receives, sends),
            "{mode:?}"
        );
    }
}
