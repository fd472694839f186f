//! Every way in which an UPDATE can be malformed, with the outcome and the exact NOTIFICATION of its RFC.
//!
//! Each test names its section and is a table: what the message holds, the reason in words, the outcome. For a session
//! reset the NOTIFICATION is compared whole; for the others, what is left of the message.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::types::{Asn, Family};
use bgp::wire::Outcome::{AttributeDiscard, SessionReset, TreatAsWithdraw};
use bgp::wire::attribute::AttributeCode;
use bgp::wire::{
    FamilyCodec, Notification, NotificationCode as Code, Outcome, PeerKind, Update, UpdateCodec,
    decode_update,
};
use bytes::Bytes;
use common::{check_invariants, nets};

const INTERNAL: UpdateCodec = UpdateCodec::plain(PeerKind::Internal);
const EXTERNAL: UpdateCodec = UpdateCodec::plain(PeerKind::External);
const OLD: UpdateCodec = UpdateCodec {
    four_octet_as: false,
    ..INTERNAL
};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe8];
const OLD_AS_PATH: &[u8] = &[0x40, 2, 4, 2, 1, 0xfd, 0xe8];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
/// 198.51.100.0/24.
const NLRI: &[u8] = &[24, 198, 51, 100];
/// 2001:db8::/32 over 2001:db8::1.
const MP_REACH: &[u8] = &[
    0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20,
    1, 0xd, 0xb8,
];

fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    [&[flags, code, value.len() as u8], value].concat()
}

fn message(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Bytes {
    let attributes = attributes.concat();
    let length = |part: &[u8]| (part.len() as u16).to_be_bytes();
    [
        &length(withdrawn)[..],
        withdrawn,
        &length(&attributes)[..],
        &attributes,
        nlri,
    ]
    .concat()
    .into()
}

fn decode(message: &Bytes, codec: &UpdateCodec) -> Update {
    let update = decode_update(message, codec);
    check_invariants(&update);
    update
}

/// An UPDATE that would be fine without this attribute has just the one fault, with this outcome and these words.
fn extra(codec: &UpdateCodec, bad: &[u8], outcome: Outcome, words: &str) -> Update {
    let path = if codec.four_octet_as {
        AS_PATH
    } else {
        OLD_AS_PATH
    };
    let replaced = |code: u8| bad[1] == code;
    let mut attributes: Vec<&[u8]> = Vec::new();
    for (code, good) in [(1, ORIGIN), (2, path), (3, NEXT_HOP)] {
        if !replaced(code) {
            attributes.push(good);
        }
    }
    attributes.push(bad);
    let update = decode(&message(&[], &attributes, NLRI), codec);
    let found: Vec<String> = update.faults.iter().map(ToString::to_string).collect();
    assert_eq!(found, [format!("{words} ({outcome})")]);
    assert_eq!(update.faults[0].outcome, outcome);
    match outcome {
        AttributeDiscard => {
            assert_eq!(update.reach.len(), 1);
            assert_eq!(
                update.attributes.find(AttributeCode(bad[1])),
                None,
                "it is not kept"
            );
            assert_eq!(&update.faults[0].attribute[..], bad);
        }
        TreatAsWithdraw => {
            assert_eq!(update.unreach.len(), 1);
            assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "198.51.100.0/24");
            assert_eq!(&update.faults[0].attribute[..], bad);
        }
        SessionReset => {}
    }
    update
}

/// An UPDATE of these octets resets the session with this NOTIFICATION.
fn resets(codec: &UpdateCodec, message: &Bytes, code: Code, data: &[u8], words: &str) {
    let update = decode(message, codec);
    let expected = Notification::with_data(code, data.to_vec());
    assert_eq!(update.reset(), Some(expected), "{words}");
    let last = update.faults.last().unwrap();
    assert_eq!(last.reason.to_string(), words);
}

#[test]
fn rfc_4271_6_3_lengths_past_the_end_are_a_malformed_attribute_list() {
    for (octets, words) in [
        (&[][..], "Withdrawn Routes Length is 2, but 0 octets follow"),
        (&[0], "Withdrawn Routes Length is 2, but 1 octets follow"),
        (&[0, 1], "Withdrawn Routes Length is 1, but 0 octets follow"),
        (
            &[0, 0],
            "Total Path Attribute Length is 2, but 0 octets follow",
        ),
        (
            &[0, 0, 0, 1],
            "Total Path Attribute Length is 1, but 0 octets follow",
        ),
        (
            &[0xff, 0xff, 0, 0],
            "Withdrawn Routes Length is 65535, but 2 octets follow",
        ),
    ] {
        let message = Bytes::from_static(octets);
        resets(
            &INTERNAL,
            &message,
            Code::MALFORMED_ATTRIBUTE_LIST,
            &[],
            words,
        );
    }
}

#[test]
fn rfc_4271_6_3_an_unknown_well_known_attribute_is_answered_with_itself() {
    for flags in [0x00, 0x40] {
        let unknown = attribute(flags, 99, &[1, 2]);
        let update = message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &unknown], NLRI);
        let words = "attribute 99: marked as well-known, and not known";
        resets(
            &EXTERNAL,
            &update,
            Code::UNRECOGNIZED_WELL_KNOWN,
            &unknown,
            words,
        );
    }
}

#[test]
fn rfc_4271_5_unknown_optional_attributes_are_kept_if_transitive_and_ignored_if_not() {
    let transitive = attribute(0xc0, 99, &[1, 2]);
    let quiet = attribute(0x80, 98, &[3]);
    let octets = message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &quiet, &transitive], NLRI);
    let update = decode(&octets, &EXTERNAL);
    assert_eq!(update.faults, []);
    assert_eq!(update.attributes.find(AttributeCode(99)), Some(&[1, 2][..]));
    assert_eq!(update.attributes.find(AttributeCode(98)), None);
}

#[test]
fn rfc_4271_6_3_a_prefix_that_cannot_be_is_an_invalid_network_field() {
    let good: &[&[u8]] = &[ORIGIN, AS_PATH, NEXT_HOP];
    for (withdrawn, nlri, words) in [
        (
            &[][..],
            &[33, 1, 2, 3, 4, 5][..],
            "NLRI: a prefix length of 33, over 32, at octet 0",
        ),
        (
            &[],
            &[8, 10, 24, 1, 2],
            "NLRI: a prefix that ends after the field at octet 2",
        ),
        (
            &[33],
            &[],
            "Withdrawn Routes: a prefix length of 33, over 32, at octet 0",
        ),
        (
            &[8],
            &[],
            "Withdrawn Routes: a prefix that ends after the field at octet 0",
        ),
    ] {
        let attributes = if nlri.is_empty() { &[] } else { good };
        let message = message(withdrawn, attributes, nlri);
        resets(&EXTERNAL, &message, Code::INVALID_NETWORK_FIELD, &[], words);
    }
}

#[test]
fn rfc_7606_3_c_flags_that_contradict_the_type_treat_as_withdraw() {
    for (bad, words) in [
        (
            attribute(0xc0, 1, &[0]),
            "ORIGIN: flags 0xc0; expected 0x40",
        ),
        (
            attribute(0x00, 2, &AS_PATH[3..]),
            "AS_PATH: flags 0x00; expected 0x40",
        ),
        (
            attribute(0x80, 3, &NEXT_HOP[3..]),
            "NEXT_HOP: flags 0x80; expected 0x40",
        ),
        (
            attribute(0xc0, 4, &[0; 4]),
            "MULTI_EXIT_DISC: flags 0xc0; expected 0x80",
        ),
        (
            attribute(0x80, 5, &[0; 4]),
            "LOCAL_PREF: flags 0x80; expected 0x40",
        ),
        (
            attribute(0xc0, 6, &[]),
            "ATOMIC_AGGREGATE: flags 0xc0; expected 0x40",
        ),
        (
            attribute(0x80, 7, &[1; 8]),
            "AGGREGATOR: flags 0x80; expected 0xc0",
        ),
        (
            attribute(0x40, 8, &[0; 4]),
            "COMMUNITIES: flags 0x40; expected 0xc0",
        ),
        (
            attribute(0xc0, 9, &[0; 4]),
            "ORIGINATOR_ID: flags 0xc0; expected 0x80",
        ),
        (
            attribute(0xc0, 10, &[0; 4]),
            "CLUSTER_LIST: flags 0xc0; expected 0x80",
        ),
        (
            attribute(0x80, 16, &[0; 8]),
            "EXTENDED COMMUNITIES: flags 0x80; expected 0xc0",
        ),
        (
            attribute(0x80, 32, &[0; 12]),
            "LARGE_COMMUNITY: flags 0x80; expected 0xc0",
        ),
        (
            attribute(0x80, 35, &[1; 4]),
            "ONLY_TO_CUSTOMER: flags 0x80; expected 0xc0",
        ),
    ] {
        let update = extra(&INTERNAL, &bad, TreatAsWithdraw, words);
        assert_eq!(update.faults[0].code, Code::ATTRIBUTE_FLAGS);
        assert_eq!(&update.faults[0].notification().data[..], bad);
    }
    // The partial bit alone contradicts nothing.
    let partial = attribute(0x60, 1, &[0]);
    assert_eq!(
        decode(
            &message(&[], &[&partial, AS_PATH, NEXT_HOP], NLRI),
            &INTERNAL
        )
        .faults,
        []
    );
}

#[test]
fn rfc_7606_3_c_routes_in_mp_reach_with_wrong_flags_are_withdrawn() {
    let mut mp_reach = MP_REACH.to_vec();
    mp_reach[0] = 0xc0;
    let update = decode(&message(&[], &[ORIGIN, AS_PATH, &mp_reach], &[]), &EXTERNAL);
    assert_eq!(update.outcome(), Some(TreatAsWithdraw));
    assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "2001:db8::/32");
}

#[test]
fn rfc_7606_3_d_missing_mandatory_attributes_treat_as_withdraw() {
    for (attributes, missing) in [
        (&[AS_PATH, NEXT_HOP][..], vec![1]),
        (&[ORIGIN, NEXT_HOP], vec![2]),
        (&[ORIGIN, AS_PATH], vec![3]),
        (&[], vec![1, 2, 3]),
    ] {
        let update = decode(&message(&[], attributes, NLRI), &EXTERNAL);
        assert_eq!(update.outcome(), Some(TreatAsWithdraw));
        let told: Vec<_> = update
            .faults
            .iter()
            .map(|fault| fault.notification())
            .collect();
        let expected: Vec<_> = missing
            .iter()
            .map(|code| Notification::with_data(Code::MISSING_WELL_KNOWN, vec![*code]))
            .collect();
        assert_eq!(told, expected);
    }
    let update = decode(&message(&[], &[MP_REACH], &[]), &EXTERNAL);
    assert_eq!(
        update.faults.len(),
        2,
        "NEXT_HOP is not missing beside MP_REACH_NLRI"
    );
    assert_eq!(update.outcome(), Some(TreatAsWithdraw));
}

#[test]
fn rfc_7606_3_g_a_repeated_attribute_is_discarded_and_repeated_mp_routes_reset() {
    let origin = attribute(0x40, 1, &[2]);
    let update = decode(
        &message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &origin], NLRI),
        &EXTERNAL,
    );
    assert_eq!(
        update.faults[0].to_string(),
        "ORIGIN: more than once; the first is used (attribute discarded)"
    );
    assert_eq!(
        update.attributes.origin(),
        Some(bgp::wire::attribute::Origin::Igp)
    );
    // Unknown ones too.
    let (first, second) = (attribute(0xc0, 99, &[1]), attribute(0xc0, 99, &[2]));
    let octets = message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &first, &second], NLRI);
    let update = decode(&octets, &EXTERNAL);
    assert_eq!(update.outcome(), Some(AttributeDiscard));
    assert_eq!(update.attributes.find(AttributeCode(99)), Some(&[1][..]));

    let unreach = attribute(0x80, 15, &[0, 2, 1]);
    for (twice, words) in [
        (MP_REACH, "MP_REACH_NLRI: more than once"),
        (&unreach[..], "MP_UNREACH_NLRI: more than once"),
    ] {
        let octets = message(&[], &[ORIGIN, AS_PATH, twice, twice], &[]);
        resets(
            &EXTERNAL,
            &octets,
            Code::MALFORMED_ATTRIBUTE_LIST,
            &[],
            words,
        );
    }
}

#[test]
fn rfc_7606_3_h_the_strongest_of_several_outcomes_counts() {
    let (bad_origin, aggregator) = (attribute(0x40, 1, &[9]), attribute(0xc0, 7, &[1]));
    let octets = message(&[], &[&bad_origin, AS_PATH, NEXT_HOP, &aggregator], NLRI);
    let update = decode(&octets, &EXTERNAL);
    let outcomes: Vec<_> = update.faults.iter().map(|fault| fault.outcome).collect();
    assert_eq!(outcomes, [TreatAsWithdraw, AttributeDiscard]);
    assert!(update.reach.is_empty());
}

#[test]
fn rfc_7606_4_attributes_that_overrun_treat_as_withdraw_and_the_nlri_are_still_found() {
    for (tail, words) in [
        (
            &[0x40][..],
            "path attributes: 1 octets left at the end; no attribute is that short",
        ),
        (
            &[0x40, 5],
            "path attributes: 2 octets left at the end; no attribute is that short",
        ),
        (
            &[0x50, 5, 0],
            "path attributes: 3 octets left at the end; no attribute is that short",
        ),
        (
            &[0x40, 5, 4, 1, 2],
            "LOCAL_PREF: length 4, but 2 octets are left of the path attributes",
        ),
        (
            &[0xd0, 99, 0xff, 0xff, 1],
            "attribute 99: length 65535, but 1 octets are left of the path attributes",
        ),
    ] {
        let update = decode(
            &message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, tail], NLRI),
            &INTERNAL,
        );
        assert_eq!(
            update.faults[0].to_string(),
            format!("{words} (routes treated as withdrawn)")
        );
        assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "198.51.100.0/24");
        // RFC 7606 section 5.2: without routes there is nothing to withdraw.
        let octets = message(&[], &[ORIGIN, tail], &[]);
        resets(
            &INTERNAL,
            &octets,
            Code::MALFORMED_ATTRIBUTE_LIST,
            &[],
            words,
        );
    }
}

#[test]
fn rfc_7606_5_2_a_fault_without_routes_to_withdraw_resets_but_a_discard_does_not() {
    let bad = attribute(0x40, 1, &[9]);
    let words = "ORIGIN: value 9; expected 0, 1 or 2";
    let withdrawn = message(NLRI, &[&bad], &[]);
    resets(&EXTERNAL, &withdrawn, Code::INVALID_ORIGIN, &bad, words);
    let aggregator = attribute(0xc0, 7, &[1]);
    let update = decode(&message(NLRI, &[&aggregator], &[]), &EXTERNAL);
    assert_eq!(update.outcome(), Some(AttributeDiscard));
    assert_eq!(update.unreach.len(), 1);
}

#[test]
fn rfc_7606_7_1_and_7_4_to_7_8_malformed_values() {
    for (bad, outcome, code, words) in [
        (
            attribute(0x40, 1, &[]),
            TreatAsWithdraw,
            5,
            "ORIGIN: length 0; expected 1 octet",
        ),
        (
            attribute(0x40, 1, &[0, 0]),
            TreatAsWithdraw,
            5,
            "ORIGIN: length 2; expected 1 octet",
        ),
        (
            attribute(0x40, 1, &[3]),
            TreatAsWithdraw,
            6,
            "ORIGIN: value 3; expected 0, 1 or 2",
        ),
        (
            attribute(0x80, 4, &[0; 3]),
            TreatAsWithdraw,
            5,
            "MULTI_EXIT_DISC: length 3; expected 4 octets",
        ),
        (
            attribute(0x80, 4, &[]),
            TreatAsWithdraw,
            5,
            "MULTI_EXIT_DISC: length 0; expected 4 octets",
        ),
        (
            attribute(0x40, 5, &[0; 5]),
            TreatAsWithdraw,
            5,
            "LOCAL_PREF: length 5; expected 4 octets",
        ),
        (
            attribute(0x40, 6, &[0]),
            AttributeDiscard,
            5,
            "ATOMIC_AGGREGATE: length 1; expected no octets",
        ),
        (
            attribute(0xc0, 7, &[1; 6]),
            AttributeDiscard,
            5,
            "AGGREGATOR: length 6; expected 8 octets: AS number and address",
        ),
        (
            attribute(0xc0, 8, &[]),
            TreatAsWithdraw,
            5,
            "COMMUNITIES: length 0; expected a multiple of 4, not 0",
        ),
        (
            attribute(0xc0, 8, &[0; 6]),
            TreatAsWithdraw,
            5,
            "COMMUNITIES: length 6; expected a multiple of 4, not 0",
        ),
        (
            attribute(0xc0, 16, &[0; 4]),
            TreatAsWithdraw,
            5,
            "EXTENDED COMMUNITIES: length 4; expected a multiple of 8, not 0",
        ),
        (
            attribute(0xc0, 25, &[0; 8]),
            TreatAsWithdraw,
            5,
            "IPV6_EXTENDED_COMMUNITIES: length 8; expected a multiple of 20, not 0",
        ),
        (
            attribute(0xc0, 32, &[0; 8]),
            TreatAsWithdraw,
            5,
            "LARGE_COMMUNITY: length 8; expected a multiple of 12, not 0",
        ),
        (
            attribute(0xc0, 35, &[0; 2]),
            TreatAsWithdraw,
            5,
            "ONLY_TO_CUSTOMER: length 2; expected 4 octets",
        ),
    ] {
        let update = extra(&INTERNAL, &bad, outcome, words);
        let expected = Notification::with_data(Code::new(3, code), bad);
        assert_eq!(update.faults[0].notification(), expected);
    }
}

#[test]
fn rfc_7606_7_2_a_path_that_cannot_be_read_treats_as_withdraw() {
    for (value, words) in [
        (&[5, 1, 0, 0, 0, 1][..], "segment type 5; expected 1 to 4"),
        (&[0, 1, 0, 0, 0, 1], "segment type 0; expected 1 to 4"),
        (&[2, 0], "a segment without AS numbers"),
        (
            &[2, 2, 0, 0, 0, 1],
            "a segment of 2 AS numbers, but 4 octets are left",
        ),
        (
            &[2, 1, 0, 0, 0, 1, 2],
            "1 octets left at the end; no segment is that short",
        ),
    ] {
        let words = format!("AS_PATH: {words}");
        let update = extra(
            &INTERNAL,
            &attribute(0x40, 2, value),
            TreatAsWithdraw,
            &words,
        );
        let expected = Notification::new(Code::MALFORMED_AS_PATH);
        assert_eq!(update.faults[0].notification(), expected);
    }
}

#[test]
fn rfc_5065_5_confederation_segments_are_for_internal_peers() {
    let path = attribute(0x40, 2, &[3, 1, 0, 0, 0, 1]);
    let words = "AS_PATH: a confederation segment from outside of the confederation";
    extra(&EXTERNAL, &path, TreatAsWithdraw, words);
    let update = decode(&message(&[], &[ORIGIN, &path, NEXT_HOP], NLRI), &INTERNAL);
    assert_eq!(update.faults, []);
    assert_eq!(update.attributes.as_path().to_string(), "(1)");
}

#[test]
fn rfc_4271_6_3_a_path_that_does_not_begin_with_the_peers_as_is_refused_where_that_is_checked() {
    let codec = |asn| UpdateCodec {
        first_as: Some(Asn(asn)),
        ..EXTERNAL
    };
    let good = message(&[], &[ORIGIN, AS_PATH, NEXT_HOP], NLRI);
    assert_eq!(decode(&good, &codec(65000)).faults, []);
    let words = "AS_PATH: the path begins with AS 65000; expected the peer's AS 65001";
    extra(&codec(65001), AS_PATH, TreatAsWithdraw, words);
    let words = "AS_PATH: the path begins with no AS sequence; expected the peer's AS 65001";
    extra(
        &codec(65001),
        &attribute(0x40, 2, &[]),
        TreatAsWithdraw,
        words,
    );
}

#[test]
fn rfc_7607_2_as_0_is_malformed_everywhere() {
    let path = attribute(0x40, 2, &[2, 2, 0, 0, 0, 1, 0, 0, 0, 0]);
    extra(
        &EXTERNAL,
        &path,
        TreatAsWithdraw,
        "AS_PATH: AS 0 must not be used",
    );
    let set = attribute(0x40, 2, &[1, 1, 0, 0]);
    extra(
        &OLD,
        &set,
        TreatAsWithdraw,
        "AS_PATH: AS 0 must not be used",
    );
    let aggregator = attribute(0xc0, 7, &[0, 0, 0, 0, 1, 1, 1, 1]);
    extra(
        &EXTERNAL,
        &aggregator,
        AttributeDiscard,
        "AGGREGATOR: AS 0 must not be used",
    );
    let path4 = attribute(0xc0, 17, &[2, 1, 0, 0, 0, 0]);
    extra(
        &OLD,
        &path4,
        AttributeDiscard,
        "AS4_PATH: AS 0 must not be used",
    );
    let aggregator4 = attribute(0xc0, 18, &[0, 0, 0, 0, 1, 1, 1, 1]);
    extra(
        &OLD,
        &aggregator4,
        AttributeDiscard,
        "AS4_AGGREGATOR: AS 0 must not be used",
    );
}

#[test]
fn rfc_7606_7_3_a_next_hop_that_is_none_treats_as_withdraw() {
    for (value, code, words) in [
        (
            &[192, 0, 2][..],
            Code::ATTRIBUTE_LENGTH,
            "NEXT_HOP: length 3; expected 4 octets",
        ),
        (
            &[],
            Code::ATTRIBUTE_LENGTH,
            "NEXT_HOP: length 0; expected 4 octets",
        ),
        (
            &[0; 4],
            Code::INVALID_NEXT_HOP,
            "NEXT_HOP: next hop 0.0.0.0 is no address of a host",
        ),
        (
            &[224, 0, 0, 1],
            Code::INVALID_NEXT_HOP,
            "NEXT_HOP: next hop 224.0.0.1 is no address of a host",
        ),
        (
            &[255; 4],
            Code::INVALID_NEXT_HOP,
            "NEXT_HOP: next hop 255.255.255.255 is no address of a host",
        ),
    ] {
        let bad = attribute(0x40, 3, value);
        let update = extra(&EXTERNAL, &bad, TreatAsWithdraw, words);
        assert_eq!(
            update.faults[0].notification(),
            Notification::with_data(code, bad)
        );
    }
}

#[test]
fn rfc_4760_3_next_hop_is_ignored_where_only_mp_reach_announces() {
    for value in [&[0, 0, 0, 0][..], &[1]] {
        let next_hop = attribute(0x40, 3, value);
        let octets = message(&[], &[ORIGIN, AS_PATH, &next_hop, MP_REACH], &[]);
        let update = decode(&octets, &EXTERNAL);
        assert_eq!(update.faults, []);
        assert_eq!(update.reach.len(), 1);
    }
}

#[test]
fn rfc_7606_7_5_7_9_and_7_10_what_is_for_internal_peers_is_discarded_from_external_ones() {
    for (code, flags, name) in [
        (5, 0x40, "LOCAL_PREF"),
        (9, 0x80, "ORIGINATOR_ID"),
        (10, 0x80, "CLUSTER_LIST"),
    ] {
        // Whatever it holds.
        for value in [&[0, 0, 0, 1][..], &[1], &[]] {
            let words = format!("{name}: has no meaning from an external peer");
            extra(
                &EXTERNAL,
                &attribute(flags, code, value),
                AttributeDiscard,
                &words,
            );
        }
        let fine = attribute(flags, code, &[0, 0, 0, 1]);
        let octets = message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &fine], NLRI);
        assert_eq!(
            decode(&octets, &INTERNAL)
                .attributes
                .find(AttributeCode(code)),
            Some(&[0, 0, 0, 1][..])
        );
    }
    extra(
        &INTERNAL,
        &attribute(0x80, 9, &[1]),
        TreatAsWithdraw,
        "ORIGINATOR_ID: length 1; expected 4 octets",
    );
    extra(
        &INTERNAL,
        &attribute(0x80, 10, &[]),
        TreatAsWithdraw,
        "CLUSTER_LIST: length 0; expected a multiple of 4, not 0",
    );
}

#[test]
fn rfc_6793_6_as4_attributes_are_discarded_when_malformed_or_from_a_new_speaker() {
    for (code, value, name) in [
        (17, &[2, 1, 0, 1, 0, 0][..], "AS4_PATH"),
        (18, &[0, 1, 0, 0, 1, 1, 1, 1], "AS4_AGGREGATOR"),
    ] {
        let words = format!("{name}: has no meaning from a speaker of four-octet AS numbers");
        extra(
            &EXTERNAL,
            &attribute(0xc0, code, value),
            AttributeDiscard,
            &words,
        );
    }
    for (code, value, words) in [
        (
            17,
            &[][..],
            "AS4_PATH: length 0; expected at least one segment",
        ),
        (
            17,
            &[2, 1, 0],
            "AS4_PATH: a segment of 1 AS numbers, but 1 octets are left",
        ),
        (17, &[2, 0], "AS4_PATH: a segment without AS numbers"),
        (
            17,
            &[9, 1, 0, 0, 0, 1],
            "AS4_PATH: segment type 9; expected 1 to 4",
        ),
        (
            18,
            &[1; 6],
            "AS4_AGGREGATOR: length 6; expected 8 octets: AS number and address",
        ),
    ] {
        extra(&OLD, &attribute(0xc0, code, value), AttributeDiscard, words);
    }
    let words = "AGGREGATOR: length 8; expected 6 octets: two-octet AS number and address";
    extra(&OLD, &attribute(0xc0, 7, &[1; 8]), AttributeDiscard, words);
}

#[test]
fn rfc_6793_4_2_3_as4_attributes_are_merged_unless_the_aggregator_is_younger() {
    let path = attribute(0x40, 2, &[2, 2, 0xfd, 0xe8, 0x5b, 0xa0]);
    let path4 = attribute(0xc0, 17, &[2, 1, 0, 1, 0, 0]);
    let aggregator4 = attribute(0xc0, 18, &[0, 1, 0, 0, 1, 1, 1, 1]);
    let read = |aggregator: &[u8]| {
        let attributes = [ORIGIN, &path, NEXT_HOP, aggregator, &path4, &aggregator4];
        let update = decode(&message(&[], &attributes, NLRI), &OLD);
        assert_eq!(update.faults, []);
        let aggregator = update.attributes.aggregator().unwrap().to_string();
        (update.attributes.as_path().to_string(), aggregator)
    };
    let trans = attribute(0xc0, 7, &[0x5b, 0xa0, 2, 2, 2, 2]);
    assert_eq!(
        read(&trans),
        ("65000 65536".into(), "AS 65536 at 1.1.1.1".into())
    );
    let other = attribute(0xc0, 7, &[0, 9, 2, 2, 2, 2]);
    assert_eq!(
        read(&other),
        ("65000 23456".into(), "AS 9 at 2.2.2.2".into())
    );
}

#[test]
fn rfc_7606_7_11_mp_reach_whose_routes_cannot_be_found_resets() {
    let mp = |value: &[u8]| attribute(0x80, 14, value);
    let with_next_hop = |afi: u8, length: usize, rest: &[u8]| {
        mp(&[&[0, afi, 1, length as u8][..], &vec![0x20; length], rest].concat())
    };
    for (bad, words) in [
        (mp(&[]), "MP_REACH_NLRI: 0 octets, which is too short"),
        (
            mp(&[0, 2, 1]),
            "MP_REACH_NLRI: 3 octets, which is too short",
        ),
        (
            mp(&[0, 2, 1, 16, 0, 0]),
            "MP_REACH_NLRI: 6 octets, which is too short",
        ),
        (
            with_next_hop(2, 4, &[0, 0]),
            "MP_REACH_NLRI: next hop of 4 octets for ipv6-unicast; expected 16 or 32",
        ),
        (
            with_next_hop(2, 24, &[0, 0]),
            "MP_REACH_NLRI: next hop of 24 octets for ipv6-unicast; expected 16 or 32",
        ),
        (
            with_next_hop(1, 16, &[0, 0]),
            "MP_REACH_NLRI: next hop of 16 octets for ipv4-unicast; expected 4",
        ),
        (
            with_next_hop(2, 16, &[0, 129, 1]),
            "MP_REACH_NLRI: a prefix length of 129, over 128, at octet 0",
        ),
        (
            with_next_hop(2, 16, &[0, 8, 1, 64, 1, 2, 3]),
            "MP_REACH_NLRI: a prefix that ends after the field at octet 2",
        ),
    ] {
        let octets = message(&[], &[ORIGIN, AS_PATH, &bad], &[]);
        resets(&EXTERNAL, &octets, Code::OPTIONAL_ATTRIBUTE, &bad, words);
    }
}

#[test]
fn rfc_7606_7_12_mp_unreach_that_cannot_be_read_resets() {
    for (value, words) in [
        (&[0, 2][..], "MP_UNREACH_NLRI: 2 octets, which is too short"),
        (
            &[0, 2, 1, 129],
            "MP_UNREACH_NLRI: a prefix length of 129, over 128, at octet 0",
        ),
        (
            &[0, 1, 1, 24, 1],
            "MP_UNREACH_NLRI: a prefix that ends after the field at octet 0",
        ),
    ] {
        let bad = attribute(0x80, 15, value);
        let octets = message(&[], &[&bad], &[]);
        resets(&EXTERNAL, &octets, Code::OPTIONAL_ATTRIBUTE, &bad, words);
    }
}

#[test]
fn rfc_2545_3_and_rfc_8950_3_next_hops_of_each_length() {
    let global = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let unspecified = [0; 16];
    let multicast = [0xff; 16];
    let v6 = |parts: &[[u8; 16]]| parts.concat();
    let codec = UpdateCodec {
        ipv4: FamilyCodec {
            extended_next_hop: true,
            ..FamilyCodec::PLAIN
        },
        ..EXTERNAL
    };
    for (next_hop, read) in [
        (vec![192, 0, 2, 1], Some("192.0.2.1")),
        (v6(&[global]), Some("2001:db8::1")),
        (v6(&[local]), Some("fe80::2")),
        (v6(&[global, local]), Some("2001:db8::1 (fe80::2)")),
        (v6(&[unspecified, local]), Some(":: (fe80::2)")),
        (v6(&[global, unspecified]), Some("2001:db8::1")),
        (v6(&[local, local]), Some("fe80::2 (fe80::2)")),
        (v6(&[unspecified]), None),
        (v6(&[multicast]), None),
        (v6(&[unspecified, unspecified]), None),
    ] {
        let value = [&[0, 1, 1, next_hop.len() as u8][..], &next_hop, &[0, 8, 10]].concat();
        let octets = message(&[], &[ORIGIN, AS_PATH, &attribute(0x80, 14, &value)], &[]);
        let update = decode(&octets, &codec);
        match read {
            Some(read) => assert_eq!(update.reach[0].next_hop.to_string(), read),
            None => {
                assert_eq!(update.outcome(), Some(TreatAsWithdraw));
                assert_eq!(update.faults[0].code, Code::OPTIONAL_ATTRIBUTE);
                assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "10.0.0.0/8");
            }
        }
    }
}

#[test]
fn rfc_4760_6_routes_of_a_family_that_was_not_negotiated_are_ignored() {
    let without_ipv6 = UpdateCodec {
        ipv6: FamilyCodec::default(),
        ..EXTERNAL
    };
    let update = decode(
        &message(&[], &[ORIGIN, AS_PATH, NEXT_HOP, MP_REACH], NLRI),
        &without_ipv6,
    );
    assert_eq!(
        update.faults[0].to_string(),
        "MP_REACH_NLRI: routes of ipv6-unicast, which was not negotiated (attribute discarded)"
    );
    assert_eq!(update.reach.len(), 1);
    // Also in the classic fields, and of families that nobody here knows, whatever their next hop.
    let without_ipv4 = UpdateCodec {
        ipv4: FamilyCodec::default(),
        ..EXTERNAL
    };
    let update = decode(
        &message(NLRI, &[ORIGIN, AS_PATH, NEXT_HOP, MP_REACH], NLRI),
        &without_ipv4,
    );
    assert_eq!(update.faults.len(), 2);
    assert_eq!((update.reach.len(), update.unreach.len()), (1, 0));
    let vpn = attribute(0x80, 14, &[0, 1, 128, 3, 1, 2, 3, 0, 1, 2, 3]);
    let update = decode(&message(&[], &[ORIGIN, AS_PATH, &vpn], &[]), &EXTERNAL);
    assert_eq!(
        update.faults[0].to_string(),
        "MP_REACH_NLRI: routes of afi1/safi128, which was not negotiated (attribute discarded)"
    );
}

#[test]
fn rfc_4724_2_an_end_of_rib_is_an_update_without_anything_but_its_family() {
    let end =
        |attributes: &[&[u8]], codec| decode(&message(&[], attributes, &[]), codec).end_of_rib;
    let ipv6 = attribute(0x80, 15, &[0, 2, 1]);
    let ipv4 = attribute(0x80, 15, &[0, 1, 1]);
    assert_eq!(end(&[], &EXTERNAL), Some(Family::IPV4_UNICAST));
    assert_eq!(end(&[&ipv6], &EXTERNAL), Some(Family::IPV6_UNICAST));
    assert_eq!(end(&[&ipv4], &EXTERNAL), Some(Family::IPV4_UNICAST));
    assert_eq!(end(&[ORIGIN, &ipv6], &EXTERNAL), None);
    assert_eq!(end(&[ORIGIN], &EXTERNAL), None);
    let without_ipv6 = UpdateCodec {
        ipv6: FamilyCodec::default(),
        ..EXTERNAL
    };
    assert_eq!(end(&[&ipv6], &without_ipv6), None);
}

#[test]
fn rfc_7911_3_path_identifiers_stand_before_each_prefix_of_the_family() {
    let codec = UpdateCodec {
        ipv4: FamilyCodec {
            add_path_receive: true,
            ..FamilyCodec::PLAIN
        },
        ..EXTERNAL
    };
    let octets = message(
        &[0, 0, 0, 7, 8, 11],
        &[ORIGIN, AS_PATH, NEXT_HOP],
        &[0, 0, 1, 0, 8, 10],
    );
    let update = decode(&octets, &codec);
    assert_eq!(nets(&update.reach[0].nlri)[0].1.0, 256);
    assert_eq!(nets(&update.unreach[0])[0].1.0, 7);
    let short = message(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[0, 0, 1]);
    let words = "NLRI: a prefix that ends after the field at octet 0";
    resets(&codec, &short, Code::INVALID_NETWORK_FIELD, &[], words);
}
