//! Every way in which the value of a path attribute can be malformed, or strange and fine, with the outcome and the exact
//! NOTIFICATION of its RFC. The structure of the message is in `update_faults.rs`.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::types::Asn;
use bgp::wire::Outcome::{self, AttributeDiscard, TreatAsWithdraw};
use bgp::wire::attribute::AttributeCode;
use bgp::wire::{FamilyCodec, Notification, NotificationCode as Code, UpdateCodec};
use common::malformed::{
    AS_PATH, EXTERNAL, INTERNAL, NEXT_HOP, NLRI, OLD, ORIGIN, attribute, decode, extra, message,
    resets,
};
use common::nets;

/// An attribute, its outcome, the subcode of the NOTIFICATION, and the reason.
type Row = ((u8, u8, &'static [u8]), Outcome, u8, &'static str);

const MALFORMED: [Row; 14] = [
    (
        (0x40, 1, &[]),
        TreatAsWithdraw,
        5,
        "ORIGIN: length 0; expected 1 octet",
    ),
    (
        (0x40, 1, &[0, 0]),
        TreatAsWithdraw,
        5,
        "ORIGIN: length 2; expected 1 octet",
    ),
    (
        (0x40, 1, &[3]),
        TreatAsWithdraw,
        6,
        "ORIGIN: value 3; expected 0, 1 or 2",
    ),
    (
        (0x80, 4, &[0; 3]),
        TreatAsWithdraw,
        5,
        "MULTI_EXIT_DISC: length 3; expected 4 octets",
    ),
    (
        (0x80, 4, &[]),
        TreatAsWithdraw,
        5,
        "MULTI_EXIT_DISC: length 0; expected 4 octets",
    ),
    (
        (0x40, 5, &[0; 5]),
        TreatAsWithdraw,
        5,
        "LOCAL_PREF: length 5; expected 4 octets",
    ),
    (
        (0x40, 6, &[0]),
        AttributeDiscard,
        5,
        "ATOMIC_AGGREGATE: length 1; expected no octets",
    ),
    (
        (0xc0, 7, &[1; 6]),
        AttributeDiscard,
        5,
        "AGGREGATOR: length 6; expected 8 octets: AS number and address",
    ),
    (
        (0xc0, 8, &[]),
        TreatAsWithdraw,
        5,
        "COMMUNITIES: length 0; expected a multiple of 4, not 0",
    ),
    (
        (0xc0, 8, &[0; 6]),
        TreatAsWithdraw,
        5,
        "COMMUNITIES: length 6; expected a multiple of 4, not 0",
    ),
    (
        (0xc0, 16, &[0; 4]),
        TreatAsWithdraw,
        5,
        "EXTENDED COMMUNITIES: length 4; expected a multiple of 8, not 0",
    ),
    (
        (0xc0, 25, &[0; 8]),
        TreatAsWithdraw,
        5,
        "IPV6_EXTENDED_COMMUNITIES: length 8; expected a multiple of 20, not 0",
    ),
    (
        (0xc0, 32, &[0; 8]),
        TreatAsWithdraw,
        5,
        "LARGE_COMMUNITY: length 8; expected a multiple of 12, not 0",
    ),
    (
        (0xc0, 35, &[0; 2]),
        TreatAsWithdraw,
        5,
        "ONLY_TO_CUSTOMER: length 2; expected 4 octets",
    ),
];

#[test]
fn rfc_7606_7_1_and_7_4_to_7_8_malformed_values() {
    for ((flags, number, value), outcome, code, words) in MALFORMED {
        let bad = attribute(flags, number, value);
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
