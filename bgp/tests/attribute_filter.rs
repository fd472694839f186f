//! Attributes that are taken out of UPDATEs, or make their routes count as withdrawn: by the operator's filter, and by what
//! RFC 6514, 7311, 8669, 9012 and 9552 say of who may send them. And the syntax of those that are passed on.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::wire::Outcome::{AttributeDiscard, TreatAsWithdraw};
use bgp::wire::attribute::{AttributeCode, AttributeCodes, AttributeFilter};
use bgp::wire::{Outcome, PeerKind, Update, UpdateCodec, UpdateFault};
use common::malformed::{
    AS_PATH, EXTERNAL, INTERNAL, MP_REACH, NEXT_HOP, NLRI, OLD, OLD_AS_PATH, ORIGIN, attribute,
    decode, extra, message,
};

const ACCEPTING: UpdateCodec = filtering(AttributeFilter {
    accept: AttributeFilter::ACCEPTABLE,
    ..AttributeFilter::DEFAULT
});

const fn filtering(filter: AttributeFilter) -> UpdateCodec {
    UpdateCodec {
        filtered: filter.received_from(PeerKind::External),
        ..EXTERNAL
    }
}

fn discarding(code: u8) -> UpdateCodec {
    filtering(AttributeFilter {
        discard: AttributeCodes::of(&[AttributeCode(code)]),
        ..AttributeFilter::DEFAULT
    })
}

fn withdrawing(code: u8) -> UpdateCodec {
    filtering(AttributeFilter {
        treat_as_withdraw: AttributeCodes::of(&[AttributeCode(code)]),
        ..AttributeFilter::DEFAULT
    })
}

/// A good UPDATE with these attributes added.
fn with(codec: &UpdateCodec, added: &[&[u8]]) -> Update {
    let path = if codec.four_octet_as {
        AS_PATH
    } else {
        OLD_AS_PATH
    };
    let attributes = [&[ORIGIN, path, NEXT_HOP][..], added].concat();
    decode(&message(&[], &attributes, NLRI), codec)
}

/// The routes are used, without the attribute, and nothing is said to be wrong.
fn is_discarded(codec: &UpdateCodec, added: &[u8]) {
    let update = with(codec, &[added]);
    assert_eq!(update.faults, [], "{added:02x?}");
    assert_eq!(
        (update.reach.len(), update.filtered),
        (1, 1),
        "{added:02x?}"
    );
    assert_eq!(update.attributes.find(AttributeCode(added[1])), None);
}

/// Everything that an attribute can be: right, wrong flags of each kind, too short, empty.
fn forms(code: u8) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for flags in [0xc0, 0xe0, 0x80, 0x40, 0x00] {
        for value in [&[][..], &[0], &[1, 2, 3], &[0xff; 28]] {
            forms.push(attribute(flags, code, value));
        }
    }
    forms
}

#[test]
fn what_an_operator_discards_is_not_looked_at_whatever_it_is() {
    // Known and unknown ones, those of internal peers and those of old speakers.
    for code in [4, 5, 6, 7, 8, 9, 16, 18, 28, 32, 35, 99, 255] {
        for form in forms(code) {
            is_discarded(&discarding(code), &form);
        }
        let twice = attribute(0xc0, code, &[1]);
        let update = with(&discarding(code), &[&twice, &twice]);
        assert_eq!((update.faults.len(), update.filtered), (0, 2));
    }
}

#[test]
fn others_are_what_they_would_be_without_the_filter() {
    let kept = attribute(0xc0, 99, &[1, 2]);
    let update = with(&discarding(28), &[&kept]);
    assert_eq!((update.faults.len(), update.filtered), (0, 0));
    let found = update.attributes.find(AttributeCode(99));
    assert_eq!(found, Some(&[1, 2][..]));
}

#[test]
fn routes_whose_attribute_will_be_seen_are_left_to_who_takes_them_in() {
    for good in [
        attribute(0xc0, 99, &[1, 2]),
        attribute(0xc0, 35, &[0, 0, 0, 1]),
        attribute(0x80, 4, &[0, 0, 0, 1]),
    ] {
        let update = with(&withdrawing(good[1]), &[&good]);
        assert_eq!(update.faults, [], "{good:02x?}");
        assert_eq!((update.reach.len(), update.filtered), (1, 1));
        let found = update.attributes.find(AttributeCode(good[1]));
        assert_eq!(found, Some(&good[3..]));
    }
}

#[test]
fn routes_whose_attribute_would_not_be_seen_are_treated_as_withdrawn_at_once() {
    for bad in [
        // Not transitive and not known.
        attribute(0x80, 98, &[1]),
        attribute(0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1]),
        attribute(0x80, 29, &[]),
        // Marked as well-known and not known: no session reset.
        attribute(0x40, 98, &[1]),
        // Malformed, whatever that would lead to.
        attribute(0xc0, 35, &[1]),
        attribute(0xc0, 7, &[1]),
        attribute(0x40, 8, &[0, 0, 0, 1]),
        attribute(0xc0, 40, &[1]),
        // Of no meaning from such a peer.
        attribute(0x40, 5, &[0, 0, 0, 1]),
        attribute(0x80, 9, &[0, 0, 0, 1]),
    ] {
        let code = AttributeCode(bad[1]);
        let update = with(&withdrawing(code.0), &[&bad]);
        let reasons: Vec<_> = update.faults.iter().map(|fault| &fault.reason).collect();
        assert_eq!(reasons, [&UpdateFault::Filtered { code }], "{bad:02x?}");
        assert_eq!(update.outcome(), Some(TreatAsWithdraw));
        assert_eq!((update.reach.len(), update.unreach.len()), (0, 1));
        assert_eq!(update.filtered, 1);
        let words = "its routes are not wanted (attributeFilter.treatAsWithdraw)";
        assert_eq!(
            update.faults[0].reason.to_string(),
            format!("{code}: {words}")
        );
    }
    // Part of AS_PATH from speakers of two-octet numbers: in no set.
    let as4 = attribute(0xc0, 17, &[2, 1, 0, 1, 0, 0]);
    let codec = UpdateCodec {
        filtered: withdrawing(17).filtered,
        ..OLD
    };
    let update = with(&codec, &[&as4]);
    assert_eq!((update.reach.len(), update.unreach.len()), (0, 1));
}

#[test]
fn a_filter_never_resets_a_session() {
    // RFC 7606 section 5.2 would, as nothing is announced that could be withdrawn. The operator's wish is no fault.
    for codec in [withdrawing(98), discarding(98)] {
        for form in forms(98) {
            let update = decode(&message(&[24, 192, 0, 2], &[&form], &[]), &codec);
            assert_eq!(update.reset(), None, "{form:02x?}");
            assert_eq!(update.unreach.len(), 1);
        }
    }
    // A real fault beside it still does.
    let overrun = [0xc0, 98, 9, 1];
    let update = decode(
        &message(&[24, 192, 0, 2], &[&overrun], &[]),
        &withdrawing(98),
    );
    assert!(update.reset().is_some());
}

#[test]
fn mandatory_attributes_are_above_any_filter() {
    let all = AttributeFilter {
        discard: AttributeFilter::MANDATORY,
        treat_as_withdraw: AttributeFilter::MANDATORY,
        ..AttributeFilter::DEFAULT
    };
    let update = with(&filtering(all), &[MP_REACH]);
    assert_eq!((update.reach.len(), update.filtered), (2, 0));
    assert_eq!(update.faults, []);
}

#[test]
fn rfc_6514_rfc_7311_and_rfc_9552_what_means_nothing_here_is_discarded_whoever_sends_it() {
    for code in [22, 26, 29] {
        for form in forms(code) {
            for codec in [EXTERNAL, INTERNAL, OLD, ACCEPTING] {
                is_discarded(&codec, &form);
            }
        }
    }
    // RFC 7311 section 3.2: a TLV that ends after its type, lengths that cannot be, the Transitive bit.
    for aigp in [
        attribute(0x80, 26, &[1, 0]),
        attribute(0x80, 26, &[1, 0, 0]),
        attribute(0x80, 26, &[1, 0, 2]),
        attribute(0xc0, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        is_discarded(&INTERNAL, &aigp);
    }
}

#[test]
fn rfc_8669_4_and_rfc_9012_11_what_stays_within_a_domain_is_discarded_from_external_peers() {
    for code in [23, 40] {
        for form in forms(code) {
            is_discarded(&EXTERNAL, &form);
        }
    }
    // Seen on the Internet in 2025: it reset sessions of two vendors.
    is_discarded(&EXTERNAL, &attribute(0xe0, 40, &[0; 28]));
    for good in [
        attribute(0xc0, 23, &[0, 8, 0, 2, 4, 0]),
        attribute(0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]),
    ] {
        for codec in [INTERNAL, ACCEPTING] {
            let update = with(&codec, &[&good]);
            assert_eq!((update.faults.len(), update.filtered), (0, 0));
            let found = update.attributes.find(AttributeCode(good[1]));
            assert_eq!(found, Some(&good[3..]), "kept byte for byte");
        }
    }
}

fn refused(bad: &[u8], outcome: Outcome, words: &str) {
    for codec in [INTERNAL, ACCEPTING] {
        extra(&codec, bad, outcome, words);
    }
}

#[test]
fn rfc_8669_6_a_malformed_prefix_sid_is_discarded_and_its_routes_are_used() {
    for (value, words) in [
        (&[][..], "length 0; expected at least 3 octets"),
        (&[1, 0], "length 2; expected at least 3 octets"),
        (
            &[1, 0, 7, 0, 0, 0],
            "a TLV of length 7, but 3 octets are left, at octet 0",
        ),
        (
            &[1, 0, 0],
            "a TLV of type 1 and length 0, expected 7, at octet 0",
        ),
        (
            &[3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "a TLV of type 3 and length 9, expected 2 and a multiple of 6, at octet 0",
        ),
        (
            &[3, 0, 2, 0, 0],
            "a TLV of type 3 and length 2, expected 2 and a multiple of 6, at octet 0",
        ),
        (
            &[5, 0, 0],
            "a TLV of type 5 and length 0, expected 1 or more, at octet 0",
        ),
        (
            &[99, 0, 1, 7, 6, 0, 0],
            "a TLV of type 6 and length 0, expected 1 or more, at octet 4",
        ),
        (
            &[99, 0, 0, 1],
            "1 octets left, too few for another TLV, at octet 3",
        ),
        // Nine empty ones and an octet.
        (
            &[0; 28],
            "1 octets left, too few for another TLV, at octet 27",
        ),
    ] {
        let words = format!("PREFIX_SID: {words}");
        refused(&attribute(0xc0, 40, value), AttributeDiscard, &words);
    }
    let good = &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9];
    for flags in [0x80, 0x40, 0x00] {
        let words = format!("PREFIX_SID: flags 0x{flags:02x}; expected 0xc0");
        refused(&attribute(flags, 40, good), AttributeDiscard, &words);
    }
    for value in [
        &good[..],
        &[3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 1, 0],
        // Unknown ones are passed on.
        &[200, 0, 0, 201, 0, 2, 1, 2],
    ] {
        let update = with(&INTERNAL, &[&attribute(0xc0, 40, value)]);
        assert_eq!(update.faults, []);
        assert_eq!(update.attributes.find(AttributeCode(40)), Some(value));
    }
}

#[test]
fn rfc_9012_13_a_tunnel_that_does_not_end_with_its_last_sub_tlv_withdraws() {
    for (value, words) in [
        (
            &[0, 8][..],
            "2 octets left, too few for another TLV, at octet 0",
        ),
        (
            &[0, 8, 0, 3, 4, 0],
            "a TLV of length 3, but 2 octets are left, at octet 0",
        ),
        // One octet more or less than the sub-TLVs have.
        (
            &[0, 8, 0, 3, 4, 0, 4],
            "1 octets left, too few for another TLV, at octet 6",
        ),
        (
            &[0, 8, 0, 3, 4, 2, 1],
            "a TLV of length 2, but 1 octets are left, at octet 4",
        ),
        // Types from 128 on have a length of two octets.
        (
            &[0, 8, 0, 2, 128, 0],
            "2 octets left, too few for another TLV, at octet 4",
        ),
        (
            &[0, 8, 0, 0, 0, 8, 0, 4, 128, 0, 9, 1],
            "a TLV of length 9, but 1 octets are left, at octet 8",
        ),
        // Each place counts from the beginning of the attribute, whatever follows.
        (
            &[0, 8, 0, 3, 4, 0, 4, 0, 8, 0, 2, 4, 0],
            "1 octets left, too few for another TLV, at octet 6",
        ),
        (
            &[0, 8, 0, 2, 4, 0, 0, 8, 0, 3, 4, 0],
            "a TLV of length 3, but 2 octets are left, at octet 6",
        ),
        (
            &[0, 8, 0, 2, 4, 0, 0, 8, 0],
            "3 octets left, too few for another TLV, at octet 6",
        ),
        (
            &[0, 8, 0, 2, 4, 0, 0, 8, 0, 4, 4, 1, 7, 4],
            "1 octets left, too few for another TLV, at octet 13",
        ),
        (
            &[0, 8, 0, 7, 4, 1, 7, 200, 0, 1, 7, 0, 9, 0],
            "3 octets left, too few for another TLV, at octet 11",
        ),
    ] {
        let words = format!("TUNNEL_ENCAPSULATION: {words}");
        refused(&attribute(0xc0, 23, value), TreatAsWithdraw, &words);
    }
    let good = &[0, 8, 0, 2, 4, 0];
    for (flags, outcome) in [(0x80, AttributeDiscard), (0x40, TreatAsWithdraw)] {
        let words = format!("TUNNEL_ENCAPSULATION: flags 0x{flags:02x}; expected 0xc0");
        refused(&attribute(flags, 23, good), outcome, &words);
    }
    let none = "TUNNEL_ENCAPSULATION: length 0; expected at least one tunnel";
    refused(&attribute(0xc0, 23, &[]), AttributeDiscard, none);
    for value in [&good[..], &[0, 8, 0, 0], &[0, 8, 0, 4, 200, 0, 1, 7]] {
        let update = with(&INTERNAL, &[&attribute(0xc0, 23, value)]);
        assert_eq!(update.faults, []);
        assert_eq!(update.attributes.find(AttributeCode(23)), Some(value));
    }
}

#[test]
fn thousands_of_empty_sub_tlvs_are_read_once() {
    let tunnel: Vec<u8> = [4, 0].repeat(16_000);
    let length = (tunnel.len() as u16).to_be_bytes();
    let value = [&[0, 8][..], &length, &tunnel].concat();
    let [high, low] = (value.len() as u16).to_be_bytes();
    let long = [&[0xd0, 23, high, low][..], &value].concat();
    let update = with(&INTERNAL, &[&long]);
    assert_eq!(update.faults, []);
    let found = update.attributes.find(AttributeCode(23));
    assert_eq!(found.map(<[u8]>::len), Some(value.len()));
}
