#![allow(clippy::unwrap_used)]
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
    let set = padded(0);
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
        let mut encoder = UpdateEncoder::new(codec);
        assert_eq!(*encoder.codec(), codec);
        // The other family is not concerned.
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
    let (octets, max) = (4097, 4096);
    assert_eq!(
        EncodeError::TooLarge { octets, max }.to_string(),
        "attributes and one prefix take 4097 octets; a message to this peer holds 4096"
    );
}

/// The attributes of the UPDATE that announces 10.0.0.0/8 with this set, each as flags, code and value.
fn advertised(codec: UpdateCodec, set: &AttributeSet) -> Vec<(u8, u8, Vec<u8>)> {
    let mut encoder = UpdateEncoder::new(codec);
    let mut messages = Vec::new();
    let route = Nlri::new("10.0.0.0/8".parse::<Ipv4Net>().unwrap());
    encoder
        .reach(set, next_hop("192.0.2.1"), [route], |message| {
            messages.push(message);
        })
        .unwrap();
    let [message] = &messages[..] else {
        panic!("{} messages", messages.len());
    };
    assert_eq!(message[message.len() - 2..], [8, 10]);
    let field = &message[FRAME..message.len() - 2];
    AttributeSetRef::from_canonical(field)
        .iter()
        .map(|a| (a.flags, a.code.0, a.value.to_vec()))
        .collect()
}

#[test]
fn rfc_6793_4_2_2_and_rfc_4271_5_each_peer_gets_the_attributes_that_are_for_it() {
    let everything = |path: &str, asn| {
        AttributeSet::from_attributes(&PathAttributes {
            origin: Some(Origin::Egp),
            as_path: path.parse().unwrap(),
            med: Some(4),
            local_pref: Some(5),
            aggregator: Some(Aggregator {
                asn: Asn(asn),
                address: [192, 0, 2, 7].into(),
            }),
            communities: vec![Community(8)],
            originator_id: Some(BgpIdentifier(9)),
            cluster_list: vec![BgpIdentifier(10)],
            only_to_customer: Some(Asn(64535)),
            unknown: [(0xc0, 12), (0xe0, 13), (0xc0, 17 + 2), (0xc0, 99)]
                .map(|(flags, code)| UnknownAttribute {
                    flags,
                    code,
                    value: vec![code].into(),
                })
                .into(),
            ..PathAttributes::default()
        })
        .unwrap()
    };
    let u32 = |value: u32| value.to_be_bytes().to_vec();
    let head = |path: &[u8], aggregator: &[u8]| {
        vec![
            (0x40, 1, vec![1]),
            (0x40, 2, path.to_vec()),
            (0x40, 3, vec![192, 0, 2, 1]),
            (0x80, 4, u32(4)),
            (0xc0, 7, aggregator.to_vec()),
            (0xc0, 8, u32(8)),
        ]
    };
    // The partial bit says that an attribute passed somebody who does not know it: this speaker.
    let early = vec![(0xe0, 12, vec![12]), (0xe0, 13, vec![13])];
    let late = vec![
        (0xe0, 19, vec![19]),
        (0xc0, 35, u32(64535)),
        (0xe0, 99, vec![99]),
    ];
    let wide_path = [2, 2, 0, 0, 0xfd, 0xe8, 0, 1, 0, 0];
    let wide_aggregator = [0, 1, 0, 1, 192, 0, 2, 7];
    let wide = everything("65000 65536", 65537);
    let external = [
        head(&wide_path, &wide_aggregator),
        early.clone(),
        late.clone(),
    ]
    .concat();
    assert_eq!(advertised(EXTERNAL, &wide), external);

    let mut internal = external;
    internal.insert(4, (0x40, 5, u32(5)));
    internal.splice(7..7, [(0x80, 9, u32(9)), (0x80, 10, u32(10))]);
    assert_eq!(advertised(INTERNAL, &wide), internal);

    let old = UpdateCodec {
        four_octet_as: false,
        ..EXTERNAL
    };
    let narrow_path = [2, 2, 0xfd, 0xe8, 0x5b, 0xa0];
    let narrow_aggregator = [0x5b, 0xa0, 192, 0, 2, 7];
    let path4 = (0xc0, 17, wide_path.to_vec());
    let aggregator4 = (0xc0, 18, wide_aggregator.to_vec());
    assert_eq!(
        advertised(old, &wide),
        [
            head(&narrow_path, &narrow_aggregator),
            early.clone(),
            vec![path4.clone(), aggregator4.clone()],
            late.clone()
        ]
        .concat()
    );
    // Each of the two only where a number does not fit.
    let short_path = [2, 2, 0xfd, 0xe8, 0xff, 0xff];
    let short_aggregator = [0xff, 0xff, 192, 0, 2, 7];
    for (path, asn, sent, as4) in [
        (
            "65000 65535",
            65535,
            head(&short_path, &short_aggregator),
            vec![],
        ),
        (
            "65000 65536",
            65535,
            head(&narrow_path, &short_aggregator),
            vec![path4],
        ),
        (
            "65000 65535",
            65537,
            head(&short_path, &narrow_aggregator),
            vec![aggregator4],
        ),
        // AS4_PATH has no confederations, and is not sent with nothing in it.
        (
            "(65536)",
            65535,
            head(&[3, 1, 0x5b, 0xa0], &short_aggregator),
            vec![],
        ),
    ] {
        let expected = [sent, early.clone(), as4, late.clone()].concat();
        assert_eq!(advertised(old, &everything(path, asn)), expected, "{path}");
    }
}

#[test]
fn next_hop_and_the_as4_attributes_stand_at_their_place_whatever_follows_or_nothing() {
    let set = |customer: Option<u32>, communities: &[u32]| {
        AttributeSet::from_attributes(&PathAttributes {
            as_path: AsPath::sequence([Asn(65536)]),
            communities: communities.iter().copied().map(Community).collect(),
            only_to_customer: customer.map(Asn),
            ..PathAttributes::default()
        })
        .unwrap()
    };
    let hop = (0x40, 3, vec![192, 0, 2, 1]);
    let path = (0x40, 2, vec![2, 1, 0, 1, 0, 0]);
    let narrow = (0x40, 2, vec![2, 1, 0x5b, 0xa0]);
    let path4 = (0xc0, 17, vec![2, 1, 0, 1, 0, 0]);
    let community = (0xc0, 8, vec![0, 0, 0, 8]);
    let customer = (0xc0, 35, vec![0, 0, 0, 9]);
    let old = UpdateCodec {
        four_octet_as: false,
        ..EXTERNAL
    };
    for (set, wide, as_old) in [
        (set(None, &[]), vec![], vec![&path4]),
        (set(Some(9), &[]), vec![&customer], vec![&path4, &customer]),
        (set(None, &[8]), vec![&community], vec![&community, &path4]),
        (
            set(Some(9), &[8]),
            vec![&community, &customer],
            vec![&community, &path4, &customer],
        ),
    ] {
        let expected: Vec<_> = [&path, &hop].into_iter().chain(wide).cloned().collect();
        assert_eq!(advertised(EXTERNAL, &set), expected);
        let expected: Vec<_> = [&narrow, &hop].into_iter().chain(as_old).cloned().collect();
        assert_eq!(advertised(old, &set), expected);
    }
    assert_eq!(advertised(EXTERNAL, &AttributeSet::default()), [hop]);
}

#[test]
fn an_attribute_not_transitive_that_nobody_here_knows_is_not_passed_on() {
    // A set that came out of the decoder holds none; one from elsewhere may.
    let octets = [0x40, 1, 1, 0, 0x80, 98, 1, 7, 0xa0, 99, 1, 7];
    let set = AttributeSet::owned(octets.to_vec());
    let sent = advertised(EXTERNAL, &set);
    assert_eq!(sent, [(0x40, 1, vec![0]), (0x40, 3, vec![192, 0, 2, 1])]);
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
