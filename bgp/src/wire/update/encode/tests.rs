#![allow(clippy::unwrap_used)]
mod attributes;

use super::*;
use crate::types::{Asn, BgpIdentifier, Community, PathId};
use crate::wire::PeerKind;
use crate::wire::attribute::{Aggregator, AsPath, Origin, UnknownAttribute};
use crate::wire::{FamilyCodec, PathAttributes};

const INTERNAL: UpdateCodec = UpdateCodec::plain(PeerKind::Internal);
const EXTERNAL: UpdateCodec = UpdateCodec::plain(PeerKind::External);

fn with_add_path(codec: UpdateCodec) -> UpdateCodec {
    let family = FamilyCodec {
        add_path_send: true,
        ..FamilyCodec::PLAIN
    };
    UpdateCodec {
        ipv4: family,
        ipv6: family,
        ..codec
    }
}

fn over_ipv6(codec: UpdateCodec) -> UpdateCodec {
    let ipv4 = FamilyCodec {
        extended_next_hop: true,
        ..codec.ipv4
    };
    UpdateCodec { ipv4, ..codec }
}

fn next_hop(text: &str) -> NextHop {
    text.parse().unwrap()
}

/// So many prefixes of that length, with different path identifiers.
fn routes<P: RoutePrefix>(count: u32, length: u8) -> Vec<Nlri<P>> {
    (0..count)
        .map(|at| Nlri {
            prefix: P::from_key(
                u128::from(at)
                    .checked_shl(128 - u32::from(length))
                    .unwrap_or(0),
                length,
            )
            .unwrap(),
            path_id: PathId(at + 1),
        })
        .collect()
}

/// A set with an unknown attribute of so many octets.
fn padded(octets: usize) -> AttributeSet {
    AttributeSet::from_attributes(&PathAttributes {
        origin: Some(Origin::Igp),
        as_path: AsPath::sequence([Asn(64500)]),
        unknown: vec![UnknownAttribute {
            flags: 0xe0,
            code: 99,
            value: vec![7; octets].into(),
        }],
        ..PathAttributes::default()
    })
    .unwrap()
}

/// Attributes are accepted up to the octet at which a message holds them and one prefix, which it then is full of.
/// `around`: octets of NEXT_HOP, or of MP_REACH_NLRI around its prefixes.
fn fills_to_the_octet<P: RoutePrefix>(codec: UpdateCodec, next_hop: NextHop, around: usize) {
    let max = codec.max_message();
    let id = if codec.ipv4.add_path_send { 4 } else { 0 };
    let longest = id + 1 + usize::from(P::ADDRESS_BITS / 8);
    // Beside the unknown attribute with its header of four octets stand ORIGIN and AS_PATH.
    let fit = max - 23 - 4 - 9 - 4 - around - longest;
    let mut encoder = UpdateEncoder::new(codec);
    for (octets, lengths) in [(max, vec![max; 3]), (max + 1, vec![]), (max + 30, vec![])] {
        let set = padded(fit + octets - max);
        let mut sent = Vec::new();
        let routes = routes::<P>(3, P::ADDRESS_BITS);
        let result = encoder.reach(&set, next_hop, routes, |message| sent.push(message.len()));
        let refused = EncodeError::TooLarge { octets, max };
        assert_eq!(result.err(), (octets > max).then_some(refused));
        assert_eq!(sent, lengths, "{codec:?} {next_hop}");
        assert_eq!(encoder.waiting(), 0, "nothing of it is left");
    }
}

#[test]
fn rfc_4271_9_2_attributes_are_accepted_to_the_octet_at_which_one_prefix_still_fits() {
    let (v4, v6) = (next_hop("192.0.2.1"), next_hop("2001:db8::1"));
    let both = next_hop("2001:db8::1 (fe80::1)");
    for codec in [EXTERNAL, with_add_path(EXTERNAL)] {
        for extended_message in [false, true] {
            let codec = UpdateCodec {
                extended_message,
                ..codec
            };
            fills_to_the_octet::<Ipv4Net>(codec, v4, 7);
            for (next_hop, around) in [(v6, 4 + 21), (both, 4 + 37)] {
                fills_to_the_octet::<Ipv6Net>(codec, next_hop, around);
                fills_to_the_octet::<Ipv4Net>(over_ipv6(codec), next_hop, around);
            }
        }
    }
}

/// The lengths of the messages that announce, and that withdraw, so many prefixes of that length.
fn lengths<P: RoutePrefix>(
    codec: UpdateCodec,
    next_hop: NextHop,
    count: u32,
    length: u8,
) -> [Vec<usize>; 2] {
    let mut encoder = UpdateEncoder::new(codec);
    let routes = routes::<P>(count, length);
    let (mut reach, mut unreach) = (Vec::new(), Vec::new());
    encoder
        .reach(&padded(0), next_hop, routes.iter().copied(), |message| {
            reach.push(message.len());
        })
        .unwrap();
    encoder
        .unreach(routes.iter().copied(), |message| {
            unreach.push(message.len());
        })
        .unwrap();
    [reach, unreach]
}

#[test]
fn a_message_holds_as_many_prefixes_as_fit_and_the_rest_goes_into_the_next() {
    let (v4, v6) = (next_hop("192.0.2.1"), next_hop("2001:db8::1"));
    // ORIGIN, AS_PATH and the unknown attribute.
    let attributes = 4 + 9 + 3;
    for (add_path, id) in [(false, 0), (true, 4)] {
        let codec = match add_path {
            false => INTERNAL,
            true => with_add_path(INTERNAL),
        };
        for (length, octets) in [(32, 5), (25, 5), (24, 4), (17, 4)] {
            let one = octets + id;
            let (reach, unreach) = (23 + attributes + 7, 23);
            let full = (4096 - reach) / one;
            let fit = u32::try_from(full).unwrap();
            let found = lengths::<Ipv4Net>(codec, v4, fit, length);
            assert_eq!(found[0], [reach + full * one]);
            let found = lengths::<Ipv4Net>(codec, v4, fit + 1, length);
            assert_eq!(found[0], [reach + full * one, reach + one]);
            let full = (4096 - unreach) / one;
            let fit = u32::try_from(full).unwrap();
            let found = lengths::<Ipv4Net>(codec, v4, fit, length);
            assert_eq!(found[1], [unreach + full * one]);
            let found = lengths::<Ipv4Net>(codec, v4, fit + 1, length);
            assert_eq!(found[1], [unreach + full * one, unreach + one]);
        }
        for (length, octets) in [(128, 17), (121, 17), (64, 9), (48, 7)] {
            let one = octets + id;
            let (reach, unreach) = (23 + attributes + 4 + 21, 23 + 4 + 3);
            let full = (4096 - reach) / one;
            let fit = u32::try_from(full).unwrap();
            let found = lengths::<Ipv6Net>(codec, v6, fit + 1, length);
            assert_eq!(found[0], [reach + full * one, reach + one]);
            let full = (4096 - unreach) / one;
            let fit = u32::try_from(full).unwrap();
            let found = lengths::<Ipv6Net>(codec, v6, fit + 1, length);
            assert_eq!(found[1], [unreach + full * one, unreach + one]);
        }
    }
}

/// Routes of IPv4, or of IPv6, cannot be advertised with this next hop; those of the other family are not concerned.
fn is_refused(codec: UpdateCodec, next_hop: NextHop, of_ipv4: bool, words: &str) {
    let set = padded(0);
    let mut encoder = UpdateEncoder::new(codec);
    assert_eq!(*encoder.codec(), codec);
    match of_ipv4 {
        true => encoder.put_unreach(routes::<Ipv6Net>(1, 64)).unwrap(),
        false => encoder.put_unreach(routes::<Ipv4Net>(1, 24)).unwrap(),
    }
    let waiting = encoder.waiting();
    assert_eq!(waiting, if of_ipv4 { 30 + 9 } else { 23 + 4 });
    let result = match of_ipv4 {
        true => encoder.put_reach(set.as_set_ref(), next_hop, routes::<Ipv4Net>(1, 24)),
        false => encoder.put_reach(set.as_set_ref(), next_hop, routes::<Ipv6Net>(1, 64)),
    };
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), words);
    assert_eq!(encoder.waiting(), waiting);
    let withdrawn = match of_ipv4 {
        true => encoder.put_unreach(routes::<Ipv4Net>(1, 24)),
        false => encoder.put_unreach(routes::<Ipv6Net>(1, 64)),
    };
    // Withdrawing needs no next hop.
    let not_negotiated = matches!(error, EncodeError::Family { .. });
    assert_eq!(withdrawn.err(), not_negotiated.then_some(error));
}

#[test]
fn what_cannot_be_advertised_says_why_and_leaves_what_waits() {
    let without = |ipv4: bool| UpdateCodec {
        ipv4: if ipv4 {
            FamilyCodec::default()
        } else {
            FamilyCodec::PLAIN
        },
        ipv6: if ipv4 {
            FamilyCodec::PLAIN
        } else {
            FamilyCodec::default()
        },
        ..EXTERNAL
    };
    let (v4, v6) = (next_hop("192.0.2.1"), next_hop("2001:db8::1"));
    let both = next_hop("2001:db8::1 (fe80::1)");
    for (codec, next_hop, of_ipv4, words) in [
        (
            without(true),
            v4,
            true,
            "ipv4-unicast was not negotiated with this peer",
        ),
        (
            without(false),
            v6,
            false,
            "ipv6-unicast was not negotiated with this peer",
        ),
        (
            EXTERNAL,
            v6,
            true,
            "ipv4-unicast routes cannot have the next hop 2001:db8::1 towards this peer",
        ),
        (
            EXTERNAL,
            both,
            true,
            "ipv4-unicast routes cannot have the next hop 2001:db8::1 (fe80::1) towards this peer",
        ),
        (
            over_ipv6(EXTERNAL),
            v4,
            false,
            "ipv6-unicast routes cannot have the next hop 192.0.2.1 towards this peer",
        ),
    ] {
        is_refused(codec, next_hop, of_ipv4, words);
    }
    let (octets, max) = (4097, 4096);
    assert_eq!(
        EncodeError::TooLarge { octets, max }.to_string(),
        "attributes and one prefix take 4097 octets; a message to this peer holds 4096"
    );
}

#[test]
fn messages_that_are_put_wait_in_order_until_they_are_taken_at_once() {
    let mut encoder = UpdateEncoder::new(EXTERNAL);
    assert_eq!((encoder.waiting(), encoder.take()), (0, Bytes::new()));
    let (set, v4) = (padded(0), next_hop("192.0.2.1"));
    let mut each = Vec::new();
    encoder
        .reach(&set, v4, routes::<Ipv4Net>(2, 24), |m| each.push(m))
        .unwrap();
    encoder
        .unreach(routes::<Ipv4Net>(1, 24), |m| each.push(m))
        .unwrap();
    assert_eq!((each.len(), encoder.waiting()), (2, 0));
    encoder
        .put_reach(set.as_set_ref(), v4, routes::<Ipv4Net>(2, 24))
        .unwrap();
    encoder.put_unreach(routes::<Ipv4Net>(1, 24)).unwrap();
    let all = each.concat();
    assert_eq!(encoder.waiting(), all.len());
    assert_eq!(encoder.take(), all);
    assert_eq!((encoder.waiting(), encoder.take()), (0, Bytes::new()));
    // No routes, no message.
    encoder
        .put_reach(set.as_set_ref(), v4, routes::<Ipv4Net>(0, 24))
        .unwrap();
    encoder.put_unreach(routes::<Ipv6Net>(0, 64)).unwrap();
    assert_eq!(encoder.waiting(), 0);
}

#[test]
fn messages_share_a_block_of_memory_until_it_cannot_hold_the_longest() {
    let mut encoder = UpdateEncoder::new(EXTERNAL);
    let mut blocks = 0;
    let mut end = std::ptr::null();
    for _ in 0..2 * BLOCK / 30 {
        encoder.put_unreach(routes::<Ipv6Net>(1, 0)).unwrap();
        let message = encoder.take();
        assert_eq!(message.len(), 31);
        if message.as_ptr() != end {
            blocks += 1;
            assert!(encoder.block.capacity() + 31 >= 128 * 1024, "a whole block");
        }
        end = message.as_ptr_range().end;
    }
    // The last 4,096 octets of a block are left.
    assert!((2..=4).contains(&blocks), "{blocks} blocks");
}

#[test]
fn before_a_message_is_begun_there_is_room_for_the_longest() {
    for codec in [
        EXTERNAL,
        UpdateCodec {
            extended_message: true,
            ..EXTERNAL
        },
    ] {
        let mut encoder = UpdateEncoder::new(codec);
        while encoder.waiting() < 2 * BLOCK {
            let start = encoder.waiting();
            encoder.put_unreach(routes::<Ipv6Net>(700, 128)).unwrap();
            assert!(encoder.block.capacity() - start >= codec.max_message());
            // A block more at most.
            assert!(encoder.block.capacity() <= 2 * (start + BLOCK));
        }
        // What has just that room left is used up.
        encoder.block = BytesMut::with_capacity(codec.max_message());
        encoder.put_unreach(routes::<Ipv6Net>(1, 128)).unwrap();
        assert_eq!(encoder.block.capacity(), codec.max_message());
    }
}

#[test]
fn rfc_4724_2_an_end_of_rib_is_written_in_the_form_of_its_family() {
    let encoder = UpdateEncoder::new(EXTERNAL);
    for (family, body) in [
        (Family::IPV4_UNICAST, &[0, 0, 0, 0][..]),
        (Family::IPV6_UNICAST, &[0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]),
    ] {
        let message = encoder.end_of_rib(family);
        assert_eq!(message[HEADER..], *body);
        assert_eq!(usize::from(message[17]), HEADER + body.len());
    }
}

#[test]
fn lists_are_written_as_the_routes_in_them() {
    let (v4, v6) = (routes::<Ipv4Net>(3, 24), routes::<Ipv6Net>(3, 64));
    let set = padded(0);
    let mut encoder = UpdateEncoder::new(INTERNAL);
    let mut found = Vec::new();
    for (list, hop) in [
        (NlriList::Ipv4(v4.clone()), next_hop("192.0.2.1")),
        (NlriList::Ipv6(v6.clone()), next_hop("2001:db8::1")),
    ] {
        encoder
            .reach_list(&set, hop, &list, |m| found.push(m))
            .unwrap();
        encoder.unreach_list(&list, |m| found.push(m)).unwrap();
    }
    let mut expected = Vec::new();
    let mut keep = |message| expected.push(message);
    encoder
        .reach(&set, next_hop("192.0.2.1"), v4.clone(), &mut keep)
        .unwrap();
    encoder.unreach(v4, &mut keep).unwrap();
    encoder
        .reach(&set, next_hop("2001:db8::1"), v6.clone(), &mut keep)
        .unwrap();
    encoder.unreach(v6, &mut keep).unwrap();
    assert_eq!(found, expected);
    assert_eq!(found.len(), 4);
}
