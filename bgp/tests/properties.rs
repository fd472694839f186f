//! Properties of the wire format: what is written is read, nothing panics, nothing is lost, no message is too long.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::types::{Asn, BgpIdentifier, Family, NextHop, Nlri, PathId, PeerText, RoutePrefix};
use bgp::wire::attribute::AttributeCode;
use bgp::wire::capability::{AddPathMode, Capability, GracefulRestart, LongLivedFamily, Role};
use bgp::wire::{
    AttributeSet, EncodeError, FamilyCodec, Frame, Message, MessageKind, Open, PathAttributes,
    PeerKind, UpdateCodec, UpdateEncoder, decode_update,
};
use bytes::Bytes;
use common::generate::{attributes, ipv4_next_hop, ipv6_next_hop, nlri};
use common::{check_invariants, check_nothing_added, frames, nets};
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;

fn codec() -> impl Strategy<Value = UpdateCodec> {
    any::<[bool; 5]>().prop_map(
        |[
            external,
            four_octet_as,
            extended_message,
            add_path,
            next_hop,
        ]| {
            let family = FamilyCodec {
                add_path_receive: add_path,
                add_path_send: add_path,
                ..FamilyCodec::PLAIN
            };
            let peer = if external {
                PeerKind::External
            } else {
                PeerKind::Internal
            };
            UpdateCodec {
                peer,
                filtered: UpdateCodec::plain(peer).filtered,
                four_octet_as,
                extended_message,
                first_as: None,
                ipv4: FamilyCodec {
                    extended_next_hop: next_hop,
                    ..family
                },
                ipv6: family,
            }
        },
    )
}

/// What a peer with this codec is to see of the attributes.
fn as_seen(sent: &PathAttributes, codec: &UpdateCodec) -> PathAttributes {
    let mut seen = sent.clone();
    if codec.peer == PeerKind::External {
        seen.local_pref = None;
        seen.originator_id = None;
        seen.cluster_list.clear();
    }
    for unknown in &mut seen.unknown {
        unknown.flags |= 0x20;
    }
    seen
}

/// Encodes, and checks that the messages hold exactly what was given.
fn round_trip<P: RoutePrefix>(
    codec: UpdateCodec,
    sent: &PathAttributes,
    next_hop: NextHop,
    prefixes: &[Nlri<P>],
) -> Result<(), TestCaseError> {
    let set = AttributeSet::from_attributes(sent).unwrap();
    prop_assert_eq!(&set.parse(), sent);
    let mut encoder = UpdateEncoder::new(codec);
    let mut messages: Vec<Bytes> = Vec::new();
    let result = encoder.reach(&set, next_hop, prefixes.iter().copied(), |m| {
        messages.push(m);
    });
    match result {
        Ok(()) => {}
        Err(EncodeError::TooLarge { octets, max }) => {
            prop_assert!(octets > max && max == codec.max_message() && messages.is_empty());
            return Ok(());
        }
        Err(EncodeError::NextHop { .. }) => {
            prop_assert!(!codec.ipv4.extended_next_hop && P::FAMILY == Family::IPV4_UNICAST);
            prop_assert!(next_hop.address().is_ipv6());
            return Ok(());
        }
        Err(other) => panic!("{other}"),
    }
    let mut expected: Vec<_> = prefixes
        .iter()
        .map(|nlri| {
            let id = if codec.ipv4.add_path_send {
                nlri.path_id
            } else {
                PathId::NONE
            };
            (nlri.prefix.into(), id)
        })
        .collect();
    let mut found = Vec::new();
    let expected_set = AttributeSet::from_attributes(&as_seen(sent, &codec)).unwrap();
    let longest = 1 + usize::from(P::ADDRESS_BITS) / 8 + 4;
    for (at, message) in messages.iter().enumerate() {
        prop_assert!(message.len() <= codec.max_message());
        // All but the last are full.
        prop_assert!(at + 1 == messages.len() || message.len() + longest > codec.max_message());
        let frame = &frames(message, codec.extended_message)[0];
        let update = decode_update(&frame.body, &codec);
        check_invariants(&update);
        prop_assert_eq!(&update.faults, &vec![]);
        prop_assert_eq!(&update.attributes, &expected_set);
        prop_assert_eq!(update.reach.len(), 1);
        prop_assert_eq!(update.reach[0].next_hop, next_hop);
        found.extend(nets(&update.reach[0].nlri));
    }
    prop_assert_eq!(&found, &expected);

    let mut withdrawn = Vec::new();
    encoder
        .unreach(prefixes.iter().copied(), |message| {
            assert!(message.len() <= codec.max_message());
            let frame = &frames(&message, codec.extended_message)[0];
            let update = decode_update(&frame.body, &codec);
            check_invariants(&update);
            assert!(update.faults.is_empty() && update.unreach.len() == 1);
            withdrawn.extend(nets(&update.unreach[0]));
        })
        .unwrap();
    withdrawn.sort();
    expected.sort();
    prop_assert_eq!(withdrawn, expected);
    Ok(())
}

fn capability() -> impl Strategy<Value = Capability> {
    let family = || (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family::new(afi, safi));
    let mode = prop_oneof![
        Just(AddPathMode::Receive),
        Just(AddPathMode::Send),
        Just(AddPathMode::Both)
    ];
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::EnhancedRouteRefresh),
        Just(Capability::ExtendedMessage),
        (
            any::<bool>(),
            any::<bool>(),
            0..4096u16,
            vec((family(), any::<bool>()), 0..6)
        )
            .prop_map(|(restarting, notification, restart_time, families)| {
                Capability::GracefulRestart(GracefulRestart {
                    restarting,
                    notification,
                    restart_time,
                    families,
                })
            }),
        vec((family(), any::<bool>(), 0..0x0100_0000u32), 0..6).prop_map(|all| {
            let family = |(family, forwarding, stale_time)| LongLivedFamily {
                family,
                forwarding,
                stale_time,
            };
            Capability::LongLivedGracefulRestart(all.into_iter().map(family).collect())
        }),
        (family(), mode).prop_map(|entry| Capability::AddPath(vec![entry])),
        vec((family(), any::<u16>()), 0..6).prop_map(|all| {
            let entry = |(family, afi)| (family, bgp::types::Afi(afi));
            Capability::ExtendedNextHop(all.into_iter().map(entry).collect())
        }),
        ("[a-z0-9.-]{0,64}", "[a-z.ä]{0,30}").prop_map(|(host, domain)| Capability::Fqdn {
            host: PeerText::from(host.as_str()),
            domain: PeerText::from(domain.as_str()),
        }),
        (100..=255u8, vec(any::<u8>(), 0..=255)).prop_map(|(code, value)| Capability::Unknown {
            code,
            value: value.into(),
        }),
    ]
}

proptest! {
    #![proptest_config(common::soak::cases(192))]

    #[test]
    fn ipv4_routes_are_read_as_they_were_written(
        codec in codec(),
        sent in attributes(),
        next_hop in prop_oneof![ipv4_next_hop(), ipv6_next_hop()],
        prefixes in nlri::<Ipv4Net>(2000),
    ) {
        round_trip(codec, &sent, next_hop, &prefixes)?;
    }

    #[test]
    fn ipv6_routes_are_read_as_they_were_written(
        codec in codec(),
        sent in attributes(),
        next_hop in ipv6_next_hop(),
        prefixes in nlri::<Ipv6Net>(1000),
    ) {
        round_trip(codec, &sent, next_hop, &prefixes)?;
    }

    #[test]
    fn an_open_is_read_as_it_was_written(
        asn in 1..=u32::MAX,
        hold_time in prop_oneof![Just(0), 3..=u16::MAX],
        identifier in 1..=u32::MAX,
        role in 0..5usize,
        rest in vec(capability(), 0..30),
    ) {
        let role = [Role::Provider, Role::Customer, Role::Peer, Role::RouteServer, Role::Unknown(9)][role];
        let mut capabilities = vec![Capability::FourOctetAs(Asn(asn)), Capability::Role(role)];
        for capability in rest {
            let repeats = matches!(
                capability,
                Capability::Multiprotocol(_) | Capability::AddPath(_) | Capability::ExtendedNextHop(_)
                    | Capability::Unknown { .. }
            );
            let once = capabilities.iter().all(|c| c.code() != capability.code());
            if once || repeats && !capabilities.contains(&capability) {
                capabilities.push(capability);
            }
        }
        let open = Open {
            asn: Asn(asn),
            hold_time,
            identifier: BgpIdentifier(identifier),
            capabilities,
        };
        let message = open.encode();
        prop_assert!(message.len() <= 4096);
        let read = Open::decode(&frames(&message, false)[0].body).unwrap();
        if message.len() < 3500 {
            prop_assert_eq!(read, open);
        } else {
            prop_assert!(open.capabilities.starts_with(&read.capabilities));
        }
    }
}

/// Octets that are an UPDATE but for a few changes.
fn mutated() -> impl Strategy<Value = (UpdateCodec, Vec<u8>)> {
    let change = (any::<proptest::sample::Index>(), any::<u8>(), 0..4u8);
    let routes = (
        nlri::<Ipv4Net>(8),
        nlri::<Ipv6Net>(8),
        ipv4_next_hop(),
        ipv6_next_hop(),
    );
    (
        codec(),
        attributes(),
        routes,
        any::<bool>(),
        vec(change, 1..6),
    )
        .prop_map(
            |(codec, sent, (v4, v6, next_hop4, next_hop6), ipv6, changes)| {
                let mut encoder = UpdateEncoder::new(codec);
                let set = AttributeSet::from_attributes(&sent).unwrap();
                let mut octets = Vec::new();
                let mut keep = |message: Bytes| octets = message[19..].to_vec();
                // Attributes that are too large for a message leave nothing to change; the empty message is one too.
                let _ = match ipv6 {
                    false => encoder.reach(&set, next_hop4, v4, &mut keep),
                    true => encoder.reach(&set, next_hop6, v6, &mut keep),
                };
                for (at, octet, how) in changes {
                    if octets.is_empty() {
                        octets = vec![0; 4];
                    }
                    let at = at.index(octets.len());
                    match how {
                        0 => octets[at] = octet,
                        1 => octets[at] ^= 1 << (octet % 8),
                        2 => octets.insert(at, octet),
                        _ => drop(octets.remove(at)),
                    }
                }
                (codec, octets)
            },
        )
}

fn kind() -> impl Strategy<Value = MessageKind> {
    (1..=5u8).prop_map(|octet| MessageKind::from_octet(octet).unwrap())
}

proptest! {
    #![proptest_config(common::soak::cases(4096))]

    #[test]
    fn arbitrary_octets_never_panic(
        codec in codec(),
        kind in kind(),
        octets in vec(any::<u8>(), 0..400),
    ) {
        let frame = Frame { kind, body: octets.into() };
        match Message::decode(&frame, &codec) {
            Ok(Message::Update(update)) => {
                check_invariants(&update);
                check_nothing_added(&frame.body, &update);
            }
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_damaged_update_never_panics_and_what_is_left_of_it_is_canonical(
        (codec, octets) in mutated(),
    ) {
        let body = octets.into();
        let update = decode_update(&body, &codec);
        check_invariants(&update);
        check_nothing_added(&body, &update);
    }

    #[test]
    fn a_damaged_open_never_panics(
        capabilities in vec(capability(), 0..6),
        at in any::<proptest::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let open = Open {
            asn: Asn(64512),
            hold_time: 90,
            identifier: BgpIdentifier(1),
            capabilities,
        };
        let mut body = open.encode()[19..].to_vec();
        let at = at.index(body.len());
        body[at] = octet;
        if let Ok(open) = Open::decode(&body.into()) {
            // What was accepted can be said again.
            let again = Open::decode(&open.encode().slice(19..)).unwrap();
            prop_assert_eq!(again.capabilities.len(), open.capabilities.len());
        }
    }

    #[test]
    fn a_list_of_communities_in_any_order_gives_one_canonical_form(
        communities in vec(0..20u32, 0..40),
        seed in any::<u64>(),
    ) {
        let mut attributes = PathAttributes {
            communities: communities.into_iter().map(bgp::types::Community).collect(),
            ..PathAttributes::default()
        };
        let one = AttributeSet::from_attributes(&attributes).unwrap();
        let turn = seed as usize % attributes.communities.len().max(1);
        attributes.communities.rotate_left(turn);
        attributes.communities.reverse();
        let other = AttributeSet::from_attributes(&attributes).unwrap();
        prop_assert_eq!(&one, &other);
        prop_assert!(one.communities().collect::<Vec<_>>().is_sorted_by(|a, b| a < b));
        prop_assert_eq!(one.find(AttributeCode::COMMUNITIES).is_some(), !attributes.communities.is_empty());
    }
}
