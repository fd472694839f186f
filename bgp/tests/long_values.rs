//! Values near the end of a length field of two octets: nothing that is decoded holds an attribute that was not in the
//! message, however long its values become on the way.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::types::Asn;
use bgp::wire::attribute::{AsPath, AsPathSegment, AsPathSegmentKind, AttributeCode};
use bgp::wire::{Outcome, PeerKind, Update, UpdateCodec, decode_update};
use bytes::Bytes;
use common::malformed::{NEXT_HOP, NLRI, OLD_AS_PATH, ORIGIN, message};
use common::{check_invariants, check_nothing_added, nets};
use proptest::collection::vec;
use proptest::prelude::*;

const OLD: UpdateCodec = UpdateCodec {
    four_octet_as: false,
    extended_message: true,
    ..UpdateCodec::plain(PeerKind::External)
};

/// An attribute with a length of two octets.
fn long(code: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[flags | 0x10, code], &length[..], value].concat()
}

/// AS_SEQUENCEs of at most 255 AS numbers in two octets each.
fn narrow(asns: &[u16]) -> Vec<u8> {
    let mut value = Vec::new();
    for segment in asns.chunks(255) {
        value.extend([2, u8::try_from(segment.len()).unwrap()]);
        value.extend(segment.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    value
}

/// The same in four octets.
fn wide(asns: &[u32]) -> Vec<u8> {
    let mut value = Vec::new();
    for segment in asns.chunks(255) {
        value.extend([2, u8::try_from(segment.len()).unwrap()]);
        value.extend(segment.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    value
}

fn decode(message: &Bytes, codec: &UpdateCodec) -> Update {
    let update = decode_update(message, codec);
    check_invariants(&update);
    check_nothing_added(message, &update);
    update
}

/// A path of 127 full segments, which has 129,794 octets with four-octet AS numbers. Cut to two octets, that length ends
/// in the middle of a segment, at AS numbers which spell a LOCAL_PREF of 65535.
fn smuggling() -> Vec<u8> {
    let mut asns = vec![65000; 127 * 255];
    // [0 0 2 0] [0 0 5 4] [0 0 255 255]: an attribute 0 of two octets, then flags 0, code 5, length 4 and the value.
    let end = 62 * 255 + (127 * 1022 - 65536 - 62 * 1022 - 2) / 4;
    asns[end..end + 3].copy_from_slice(&[0x0200, 0x0504, 0xffff]);
    narrow(&asns)
}

#[test]
fn a_path_that_is_too_long_in_four_octets_smuggles_no_attributes_in() {
    let path = long(2, 0x40, &smuggling());
    let update = decode(&message(&[], &[ORIGIN, &path, NEXT_HOP], NLRI), &OLD);
    assert_eq!(update.attributes.local_pref(), None);
    let words: Vec<String> = update.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "AS_PATH: 129794 octets with AS numbers of four octets; no attribute can have more than 65535 \
             (routes treated as withdrawn)"
        ]
    );
    assert_eq!(update.outcome(), Some(Outcome::TreatAsWithdraw));
    assert_eq!(&update.faults[0].attribute[..], &path[..]);
    assert!(update.reach.is_empty() && update.attributes.is_empty());
    assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "198.51.100.0/24");
}

#[test]
fn the_longest_path_that_fits_in_four_octets_is_taken() {
    // 64 segments of 255 and one of n take 64 * 1022 + 2 + 4 n octets: 65,534 with 31.
    for (last, fits) in [(31, true), (32, false)] {
        let asns = vec![65000; 64 * 255 + last];
        let path = long(2, 0x40, &narrow(&asns));
        let update = decode(&message(&[], &[ORIGIN, &path, NEXT_HOP], NLRI), &OLD);
        assert_eq!(update.faults.is_empty(), fits, "{:?}", update.faults);
        if fits {
            assert_eq!(update.attributes.as_path().asns().count(), asns.len());
        } else {
            assert!(update.reach.is_empty());
        }
    }
}

#[test]
fn a_path_that_outgrows_its_length_when_as4_path_is_merged_in_is_treated_as_withdrawn() {
    // Sets count one in the length that decides on the merge, so AS4_PATH may bring more numbers than it replaces.
    let path = long(2, 0x40, &narrow(&vec![23456; 16_000]));
    let mut sets = Vec::new();
    for _ in 0..60 {
        sets.extend([1, 255]);
        sets.extend([0, 1, 0, 1].repeat(255));
    }
    let path4 = long(17, 0xc0, &sets[..4 * 1022]);
    let taken = decode(
        &message(
            &[],
            &[ORIGIN, &path, NEXT_HOP, &long(17, 0xc0, &sets[..1022])],
            NLRI,
        ),
        &OLD,
    );
    assert_eq!(taken.faults, vec![]);
    assert_eq!(taken.attributes.as_path().asns().count(), 15_999 + 255);
    let update = decode(
        &message(&[], &[ORIGIN, &path, NEXT_HOP, &path4], NLRI),
        &OLD,
    );
    assert_eq!(update.outcome(), Some(Outcome::TreatAsWithdraw));
    assert!(update.faults[0].to_string().starts_with("AS_PATH: "));
}

#[test]
fn a_path_too_long_in_a_message_that_announces_nothing_harms_nothing() {
    let path = long(2, 0x40, &smuggling());
    let update = decode(&message(NLRI, &[ORIGIN, &path], &[]), &OLD);
    assert_eq!(update.outcome(), None, "{:?}", update.faults);
    assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "198.51.100.0/24");
}

/// An attribute of such a code with a value of such a length, well-formed or not.
fn filler() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        Just((8, 0xc0)),
        Just((16, 0xc0)),
        Just((32, 0xc0)),
        Just((7, 0xc0)),
        Just((18, 0xc0)),
        (100..=254u8).prop_map(|code| (code, 0xc0)),
    ];
    (code, 0..1500usize, any::<[u8; 4]>()).prop_map(|((code, flags), length, seed)| {
        let value: Vec<u8> = seed.into_iter().cycle().take(length / 24 * 24).collect();
        long(code, flags, &value)
    })
}

proptest! {
    #![proptest_config(common::soak::cases(192))]

    #[test]
    fn long_paths_are_read_whole_or_not_at_all(
        numbers in vec(1..=u16::MAX, 1..64),
        length in prop_oneof![1..31_900usize, 16_300..16_400usize],
        tail in proptest::option::of((vec(1..=u32::MAX, 1..64), 1..4_000usize)),
        fillers in vec(filler(), 0..2),
        external in any::<bool>(),
    ) {
        let asns: Vec<u16> = numbers.into_iter().cycle().take(length).collect();
        // AS4_PATH has room beside the path only where that is short.
        let tail: Option<Vec<u32>> = tail
            .filter(|_| length < 20_000)
            .map(|(numbers, length)| numbers.into_iter().cycle().take(length).collect());
        let mut attributes = vec![ORIGIN.to_vec(), long(2, 0x40, &narrow(&asns)), NEXT_HOP.to_vec()];
        attributes.extend(tail.as_ref().map(|tail| long(17, 0xc0, &wide(tail))));
        attributes.extend(fillers);
        let mut fitting = Vec::new();
        for attribute in &attributes {
            let so_far: usize = fitting.iter().map(|a: &&[u8]| a.len()).sum();
            if so_far + attribute.len() < 65_400 {
                fitting.push(&attribute[..]);
            }
        }
        let peer = if external { PeerKind::External } else { PeerKind::Internal };
        let update = decode(&message(&[], &fitting, NLRI), &UpdateCodec { peer, ..OLD });
        prop_assert_eq!(update.attributes.local_pref(), None);

        // RFC 6793 section 4.2.3, naively.
        let mut expected: Vec<u32> = asns.iter().map(|asn| u32::from(*asn)).collect();
        if let Some(tail) = &tail && tail.len() <= expected.len() {
            expected.truncate(asns.len() - tail.len());
            expected.extend(tail);
        }
        let found: Vec<u32> = update.attributes.as_path().asns().map(|asn| asn.0).collect();
        let too_long = update.faults.iter().any(|fault| fault.reason.to_string().contains("no attribute can have"));
        if too_long {
            prop_assert!(update.reach.is_empty() && found.is_empty());
            // A merge may leave two segments that are not full where they meet, no more.
            prop_assert!(wide(&expected).len() + 2 * 2 > 65_535);
        } else if !update.reach.is_empty() {
            // An AGGREGATOR that is newer than the AS4 attributes overrules them.
            let plain: Vec<u32> = asns.iter().map(|asn| u32::from(*asn)).collect();
            prop_assert!(found == expected || found == plain);
        }
    }

    #[test]
    fn a_damaged_long_message_holds_nothing_that_was_not_sent(
        length in 15_000..32_000usize,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        external in any::<bool>(),
    ) {
        let asns: Vec<u16> = (1..=u16::MAX).cycle().take(length).collect();
        let path = long(2, 0x40, &narrow(&asns));
        let communities = long(8, 0xc0, &[0, 1, 0, 2]);
        let mut octets = message(&[], &[ORIGIN, &path, NEXT_HOP, &communities], NLRI).to_vec();
        for (at, octet) in changes {
            // Most of the message is path: half of the changes are to be elsewhere.
            let at = at.index(octets.len() * 2);
            let end = octets.len() - 1;
            octets[if at <= end { at } else { [at % 12, end - at % 24][at % 2] }] = octet;
        }
        let peer = if external { PeerKind::External } else { PeerKind::Internal };
        decode(&octets.into(), &UpdateCodec { peer, ..OLD });
    }

    #[test]
    fn a_path_is_encoded_for_a_two_octet_peer_as_it_is_read(
        numbers in vec(prop_oneof![1..=65_535u32, 65_536..=u32::MAX], 1..64),
        lengths in vec(1..=255usize, 1..63),
    ) {
        let mut numbers = numbers.into_iter().cycle();
        let segments = lengths.into_iter().enumerate().map(|(at, length)| AsPathSegment {
            // Alternating kinds: a merge may join neighbouring sequences.
            kind: if at % 2 == 0 { AsPathSegmentKind::Sequence } else { AsPathSegmentKind::Set },
            asns: numbers.by_ref().take(length).map(Asn).collect(),
        });
        let as_path = AsPath { segments: segments.collect() };
        let attributes = bgp::wire::PathAttributes {
            origin: Some(bgp::wire::attribute::Origin::Igp),
            as_path,
            ..bgp::wire::PathAttributes::default()
        };
        let set = bgp::wire::AttributeSet::from_attributes(&attributes).unwrap();
        let mut encoder = bgp::wire::UpdateEncoder::new(OLD);
        let nlri = bgp::types::Nlri::new("198.51.100.0/24".parse::<ipnet::Ipv4Net>().unwrap());
        let next_hop = bgp::types::NextHop::Ipv4([192, 0, 2, 1].into());
        let mut messages = Vec::new();
        match encoder.reach(&set, next_hop, [nlri], |message| messages.push(message)) {
            Ok(()) => {
                let body = common::body(&messages[0], true);
                let update = decode(&body, &OLD);
                prop_assert_eq!(&update.faults, &vec![]);
                prop_assert_eq!(update.attributes, set);
            }
            Err(error) => {
                prop_assert!(messages.is_empty(), "{}", error);
                let path = set.find(AttributeCode::AS_PATH).unwrap().len();
                prop_assert!(path / 2 * 3 + 64 > 65_535, "{}", error);
            }
        }
    }
}

#[test]
fn a_short_path_from_a_two_octet_peer_is_taken() {
    let update = decode(&message(&[], &[ORIGIN, OLD_AS_PATH, NEXT_HOP], NLRI), &OLD);
    assert_eq!(update.attributes.as_path().to_string(), "65000");
}
