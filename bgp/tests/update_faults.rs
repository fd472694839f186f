//! Every way in which the structure of an UPDATE can be malformed, with the outcome and the exact NOTIFICATION of its RFC.
//!
//! Each test names its section and is a table: what the message holds, the reason in words, the outcome. For a session
//! reset the NOTIFICATION is compared whole; for the others, what is left of the message. The values of the single
//! attributes are in `update_values.rs` and `update_next_hops.rs`, what is about families in `update_families.rs`.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::wire::Outcome::{AttributeDiscard, TreatAsWithdraw};
use bgp::wire::attribute::AttributeCode;
use bgp::wire::{Notification, NotificationCode as Code};
use bytes::Bytes;
use common::malformed::{
    AS_PATH, EXTERNAL, INTERNAL, MP_REACH, NEXT_HOP, NLRI, ORIGIN, attribute, decode, extra,
    message, resets,
};
use common::nets;

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
fn nothing_is_read_past_what_resets_the_session() {
    let bad = attribute(0x40, 5, &[0]);
    for reset in [
        // Without next hop; one that is not known; the routes of both fields cannot be read.
        attribute(0x80, 14, &[0, 2, 1]),
        attribute(0x80, 15, &[0]),
        attribute(0x40, 99, &[]),
    ] {
        let update = decode(
            &message(&[], &[ORIGIN, AS_PATH, &reset, &bad], &[]),
            &INTERNAL,
        );
        assert_eq!(update.faults.len(), 1, "{:?}", update.faults);
        assert_eq!(&update.faults[0].attribute[..], reset);
        // What was found before is kept for the operator.
        let update = decode(&message(&[], &[&bad, ORIGIN, &reset], &[]), &INTERNAL);
        assert_eq!(update.faults.len(), 2, "{:?}", update.faults);
        assert_eq!(&update.faults[1].attribute[..], reset);
    }
}

#[test]
fn attributes_not_interpreted_stand_at_their_place_in_the_set() {
    let unknown = |code| attribute(0xc0, code, &[code]);
    let communities = attribute(0xc0, 32, &[7; 12]);
    let codes = [255, 33, 12, 11, 28];
    let mut attributes: Vec<Vec<u8>> = codes.iter().map(|code| unknown(*code)).collect();
    attributes.push(communities);
    attributes.extend([NEXT_HOP, AS_PATH, ORIGIN].map(<[u8]>::to_vec));
    let parts: Vec<&[u8]> = attributes.iter().map(|a| &a[..]).collect();
    let update = decode(&message(&[], &parts, NLRI), &EXTERNAL);
    assert_eq!(update.faults, []);
    let found: Vec<u8> = update.attributes.iter().map(|a| a.code.0).collect();
    assert_eq!(found, [1, 2, 11, 12, 28, 32, 33, 255]);
}
