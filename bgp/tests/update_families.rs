//! Which family the routes of an UPDATE are of, that it was negotiated, and End-of-RIB. Each test names its section.

#![allow(clippy::unwrap_used)]

mod common;

use bgp::types::Family;
use bgp::wire::Outcome::TreatAsWithdraw;
use bgp::wire::{FamilyCodec, NotificationCode as Code, UpdateCodec};
use common::malformed::{
    AS_PATH, EXTERNAL, MP_REACH, NEXT_HOP, NLRI, ORIGIN, attribute, decode, message, resets,
};
use common::nets;

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
fn rfc_4724_2_routes_in_whichever_field_make_a_message_no_end_of_rib() {
    let ipv6 = attribute(0x80, 15, &[0, 2, 1]);
    for (withdrawn, nlri) in [(NLRI, &[][..]), (&[], NLRI), (NLRI, NLRI)] {
        // With NLRI the mandatory attributes are missing: its routes are treated as withdrawn.
        let update = decode(&message(withdrawn, &[&ipv6], nlri), &EXTERNAL);
        assert_eq!(update.end_of_rib, None);
        assert!(update.reach.is_empty() && !update.unreach.is_empty());
    }
    let routes = attribute(0x80, 15, &[0, 2, 1, 16, 0x20, 1]);
    let update = decode(&message(&[], &[&routes], &[]), &EXTERNAL);
    assert_eq!((update.end_of_rib, update.unreach.len()), (None, 1));
}

#[test]
fn rfc_7606_5_2_an_mp_reach_without_routes_leaves_nothing_to_withdraw() {
    let bad = attribute(0x40, 1, &[9]);
    let words = "ORIGIN: value 9; expected 0, 1 or 2";
    for routes in [0, 1] {
        // One octet of routes is the default route.
        let without = [
            &[0x80, 14, 21 + routes],
            &MP_REACH[3..24],
            &[0][..usize::from(routes)],
        ];
        let octets = message(&[], &[&bad, AS_PATH, &without.concat()], &[]);
        if routes == 0 {
            resets(&EXTERNAL, &octets, Code::INVALID_ORIGIN, &bad, words);
        } else {
            let update = decode(&octets, &EXTERNAL);
            assert_eq!(update.outcome(), Some(TreatAsWithdraw));
            assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "::/0");
        }
    }
}
