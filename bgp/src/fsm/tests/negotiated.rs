//! Every field of [`Negotiated`], both ways. A field that is new does not compile until it stands here, and fails until a row
//! changes it.

mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::rows::{base, local, long, remote, restart, rows, seconds};
use crate::fsm::negotiate::open;
use crate::fsm::{BfdConfig, Config, Negotiated, RemoteAsn, negotiate};
use crate::types::{Afi, Asn, BgpIdentifier, Family};
use crate::wire::attribute::AttributeFilter;
use crate::wire::capability::{AddPathMode, Role};
use crate::wire::{Capability, FamilyCodec, PeerKind, UpdateCodec};

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
    long_lived peer_role announced_role bfd_strict peer_host peer_open first_as);
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
        expected.peer_open = Arc::new(open.clone());
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

type Change = fn(&mut Negotiated);

#[test]
fn each_field_reaches_the_codec_of_its_family_and_direction() {
    let plain = UpdateCodec {
        extended_message: true,
        first_as: Some(Asn(2)),
        ..UpdateCodec::plain(PeerKind::External)
    };
    let table = of_one_family(plain).into_iter();
    for (number, (change, expected)) in table.chain(of_messages(plain)).enumerate() {
        let mut negotiated = base();
        change(&mut negotiated);
        assert_eq!(
            negotiated.update_codec(&AttributeFilter::DEFAULT),
            expected,
            "row {number}"
        );
    }
}

/// What changes the codec of a family, and to what.
fn of_one_family(plain: UpdateCodec) -> [(Change, UpdateCodec); 9] {
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
    [
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
    ]
}

/// What changes the codec of whole messages, and to what.
fn of_messages(plain: UpdateCodec) -> [(Change, UpdateCodec); 4] {
    [
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
    ]
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
    const STRICT: BfdConfig = BfdConfig {
        strict: true,
        hold_time: None,
    };
    let stays: [Change; 9] = [
        |c| c.passive = true,
        |c| c.hold_time = None,
        |c| c.keepalive = seconds(1),
        |c| c.connect_retry = Duration::from_secs(99),
        |c| c.connect_timeout = Duration::from_secs(99),
        |c| c.idle_hold_max = Duration::from_secs(99),
        |c| c.send_hold_time = seconds(99),
        |c| c.bfd = Some(STRICT),
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
