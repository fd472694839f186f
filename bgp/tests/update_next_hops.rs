//! Next hops of UPDATEs, in NEXT_HOP and in MP_REACH_NLRI: of each length, malformed, or of no host. Each test names
//! its section.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::wire::Outcome::TreatAsWithdraw;
use bgp::wire::{FamilyCodec, Notification, NotificationCode as Code, UpdateCodec};
use common::malformed::{
    AS_PATH, EXTERNAL, MP_REACH, ORIGIN, attribute, decode, extra, message, resets,
};
use common::nets;

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
