//! RFC 7606: every wrong UPDATE has the outcome of its section, at the real speaker: the attribute is discarded, the
//! route is withdrawn, or the session ends with exactly this NOTIFICATION. The session beside them never notices.
//!
//! The tables run with BIRD as the subject too, but for the rows where it does otherwise.

mod support;

use interop_tests::raw::encode::{
    EXTENDED, NON_TRANSITIVE, TRANSITIVE, WELL_KNOWN, attribute, update,
};
use interop_tests::raw::{UPDATE, message};
use interop_tests::{Kind, run};
use serde_json::{Value, json};
use support::bad_input::needs;
use support::parts::{NEXT_HOP6, Parts};
use support::updates::Outcome::{Discard, Reset, Withdraw};
use support::updates::{NO_DATA, Row, row, table};

/// An UPDATE that is only the two length fields, or what stands in their place.
fn lengths(octets: &[u8]) -> Vec<u8> {
    message(UPDATE, octets)
}

/// MP_REACH_NLRI with an IPv6 prefix of 129 bits.
fn long_ipv6(c: &Parts) -> Vec<u8> {
    c.mp_reach(&NEXT_HOP6, &[[129].as_slice(), &[0; 17]].concat())
}

/// MP_REACH_NLRI of IPv6 whose next hop has 5 octets.
fn short_next_hop(c: &Parts) -> Vec<u8> {
    c.mp_reach(&NEXT_HOP6[..5], &c.nlri6())
}

/// MP_REACH_NLRI that ends in its next hop.
fn cut_next_hop(_: &Parts) -> Vec<u8> {
    attribute(NON_TRANSITIVE, 14, &[0, 2, 1, 16, 0xfd, 1])
}

/// MP_UNREACH_NLRI without a SAFI.
fn cut_family(_: &Parts) -> Vec<u8> {
    attribute(NON_TRANSITIVE, 15, &[0, 2])
}

/// MP_UNREACH_NLRI with a prefix that ends after it.
fn cut_prefix(_: &Parts) -> Vec<u8> {
    attribute(NON_TRANSITIVE, 15, &[0, 2, 1, 48, 0x20, 1])
}

fn as_path(value: &[u8]) -> Vec<u8> {
    attribute(WELL_KNOWN, 2, value)
}

#[rustfmt::skip]
fn structure() -> Vec<Row> {
    vec![
        row("3.c: ORIGIN with the optional bit", |c| c.instead(attribute(TRANSITIVE, 1, &[0])), Withdraw),
        row("3.c: AS_PATH without the transitive bit", |c| { let mut path = c.as_path(); path[0] = 0; c.instead(path) }, Withdraw),
        row("3.c: MULTI_EXIT_DISC with the transitive bit", |c| c.instead(attribute(TRANSITIVE, 4, &[0; 4])), Withdraw),
        row("3.c: COMMUNITIES as well-known", |c| c.with(&[attribute(WELL_KNOWN, 8, &[0; 4])]), Withdraw),
        row("3.c: LARGE_COMMUNITY without the transitive bit", |c| c.with(&[attribute(NON_TRANSITIVE, 32, &[0; 12])]), Withdraw),
        row("3.d: no ORIGIN", |c| c.without(1), Withdraw),
        row("3.d: no AS_PATH", |c| c.without(2), Withdraw),
        row("3.d: no NEXT_HOP", |c| c.without(3), Withdraw),
        row("3.d: no attributes at all", |c| update(&[], &[], &c.nlri()), Withdraw),
        row("3.d: no ORIGIN beside MP_REACH_NLRI", |c| update(&[], &[c.as_path(), c.reach()], &[]), Withdraw).ipv6(),
        row("3.g: COMMUNITIES twice: the first is used", |c| c.with(&[attribute(TRANSITIVE, 8, &[0, 1, 0, 1]), attribute(TRANSITIVE, 8, &[0, 2, 0, 2])]), Discard("communities", json!(["1:1"]))),
        row("3.g: an unknown attribute twice", |c| c.with(&[attribute(TRANSITIVE, 99, &[1]), attribute(TRANSITIVE, 99, &[2])]), Discard("unknownAttributes", json!([99]))),
        row("3.g: MP_REACH_NLRI twice", |c| c.six(&[c.reach(), c.reach()]), Reset(3, 1, NO_DATA)).ipv6(),
        row("3.g: MP_UNREACH_NLRI twice", |c| c.with(&[attribute(NON_TRANSITIVE, 15, &[0, 2, 1]), attribute(NON_TRANSITIVE, 15, &[0, 2, 1])]), Reset(3, 1, NO_DATA)),
        row("3.h: the strongest of several outcomes counts", |c| c.with(&[attribute(WELL_KNOWN, 6, &[0]), attribute(TRANSITIVE, 8, &[0; 3])]), Withdraw),
        row("4: one octet is left behind the attributes", |c| c.with(&[vec![TRANSITIVE]]), Withdraw),
        row("4: two octets are left behind the attributes", |c| c.with(&[vec![TRANSITIVE, 8]]), Withdraw),
        row("4: the last attribute ends after the attributes", |c| c.with(&[vec![TRANSITIVE, 8, 200, 0, 1, 0, 1]]), Withdraw),
        row("4: an extended length of one octet", |c| c.with(&[vec![TRANSITIVE | EXTENDED, 8, 0]]), Withdraw),
        row("4: an attribute in the middle that takes all others in", |c| c.with(&[vec![TRANSITIVE, 8, 255], attribute(TRANSITIVE, 8, &[0; 4])]), Withdraw),
        row("5.1: a wrong attribute beside MP_REACH_NLRI", |c| { let mut all = c.changed(); all[0] = attribute(WELL_KNOWN, 1, &[9]); all.push(c.reach()); update(&[], &all, &[]) }, Withdraw).ipv6(),
        row("5.2: a wrong attribute in an UPDATE without routes", |c| update(&c.nlri(), &[attribute(WELL_KNOWN, 1, &[9])], &[]), Reset(3, 6, |_| attribute(WELL_KNOWN, 1, &[9]))).not_bird(),
        row("5.3: a prefix of 33 bits", |c| update(&[], &c.changed(), &[33, 198, 18, 1, 0, 0]), Reset(3, 10, NO_DATA)),
        row("5.3: a prefix that ends after the message", |c| update(&[], &c.changed(), &[24, 198, 18]), Reset(3, 10, NO_DATA)).not_bird(),
        row("5.3: a withdrawn prefix of 255 bits", |_| update(&[255], &[], &[]), Reset(3, 10, NO_DATA)).not_bird(),
        row("5.3: a withdrawn prefix that ends after its field", |_| update(&[24, 198], &[], &[]), Reset(3, 10, NO_DATA)).not_bird(),
        row("5.3: an IPv6 prefix of 129 bits", |c| c.six(&[long_ipv6(c)]), Reset(3, 9, long_ipv6)).ipv6().not_bird(),
        row("RFC 4271 6.3: withdrawn routes longer than the message", |_| lengths(&[0, 9, 0, 0]), Reset(3, 1, NO_DATA)),
        row("RFC 4271 6.3: attributes longer than the message", |_| lengths(&[0, 0, 0, 9]), Reset(3, 1, NO_DATA)),
        row("RFC 4271 6.3: withdrawn routes that leave no room for a length", |_| lengths(&[0, 2, 8, 10]), Reset(3, 1, NO_DATA)),
        row("RFC 4271 6.3: a well-known attribute that nobody knows", |c| c.with(&[attribute(WELL_KNOWN, 99, &[1])]), Reset(3, 2, |_| attribute(WELL_KNOWN, 99, &[1]))).not_bird(),
    ]
}

#[rustfmt::skip]
fn values() -> Vec<Row> {
    vec![
        row("7.1: ORIGIN without a value", |c| c.instead(attribute(WELL_KNOWN, 1, &[])), Withdraw),
        row("7.1: ORIGIN of two octets", |c| c.instead(attribute(WELL_KNOWN, 1, &[0, 0])), Withdraw),
        row("7.1: ORIGIN 3", |c| c.instead(attribute(WELL_KNOWN, 1, &[3])), Withdraw),
        row("7.1: ORIGIN 3 of an IPv6 route", |c| { let mut all = c.changed(); all[0] = attribute(WELL_KNOWN, 1, &[3]); all.remove(2); all.push(c.reach()); update(&[], &all, &[]) }, Withdraw).ipv6(),
        row("7.2: a segment of an unknown type", |c| c.instead(as_path(&[9, 1, 0, 0, 251, 246])), Withdraw),
        row("7.2: a segment that ends after the path", |c| c.instead(as_path(&[2, 9, 0, 0, 251, 246])), Withdraw),
        row("7.2: half a segment's header", |c| c.instead(as_path(&[2, 1, 0, 0, 251, 246, 2])), Withdraw),
        row("7.2: a segment without AS numbers", |c| c.instead(as_path(&[2, 1, 0, 0, 251, 246, 2, 0])), Withdraw),
        row("7.2: AS numbers of two octets in a session of four", |c| c.instead(as_path(&[2, 1, 251, 246])), Withdraw),
        row("7.2: the path of an external peer begins with another AS", |c| c.instead(as_path(&[2, 1, 0, 0, 253, 232])), Withdraw).not_bird(),
        row("7.2: the path of an external peer is empty", |c| c.instead(as_path(&[])), Withdraw).not_bird(),
        row("RFC 5065 5: a confederation segment from outside", |c| c.instead(as_path(&[3, 1, 0, 0, 251, 246])), Withdraw).not_bird(),
        row("RFC 7607 2: AS 0 in the path", |c| c.instead(as_path(&[2, 2, 0, 0, 251, 246, 0, 0, 0, 0])), Withdraw).not_bird(),
        row("7.3: NEXT_HOP of 3 octets", |c| c.instead(attribute(WELL_KNOWN, 3, &[10, 1, 0])), Withdraw),
        row("7.3: NEXT_HOP of 16 octets", |c| c.instead(attribute(WELL_KNOWN, 3, &NEXT_HOP6)), Withdraw),
        row("RFC 4271 6.3: NEXT_HOP 0.0.0.0", |c| c.instead(attribute(WELL_KNOWN, 3, &[0; 4])), Withdraw).not_bird(),
        row("RFC 4271 6.3: NEXT_HOP 224.0.0.1", |c| c.instead(attribute(WELL_KNOWN, 3, &[224, 0, 0, 1])), Withdraw).not_bird(),
        row("7.4: MULTI_EXIT_DISC of 3 octets", |c| c.instead(attribute(NON_TRANSITIVE, 4, &[0; 3])), Withdraw),
        row("7.5: LOCAL_PREF of 5 octets from inside the AS", |c| c.instead(attribute(WELL_KNOWN, 5, &[0; 5])), Withdraw).internal(),
        row("7.5: LOCAL_PREF from outside of the AS, well-formed or not", |c| c.with(&[attribute(WELL_KNOWN, 5, &[0; 3])]), Discard("state", json!("best"))).not_bird(),
        row("7.6: ATOMIC_AGGREGATE with a value", |c| c.with(&[attribute(WELL_KNOWN, 6, &[1])]), Discard("atomicAggregate", Value::Null)),
        row("7.7: AGGREGATOR of 6 octets in a session of four-octet AS numbers", |c| c.with(&[attribute(TRANSITIVE, 7, &[251, 246, 10, 1, 0, 2])]), Discard("aggregator", Value::Null)),
        row("RFC 7607 2: AGGREGATOR of AS 0", |c| c.with(&[attribute(TRANSITIVE, 7, &[0, 0, 0, 0, 10, 1, 0, 2])]), Discard("aggregator", Value::Null)).not_bird(),
        row("7.8: COMMUNITIES of 5 octets", |c| c.with(&[attribute(TRANSITIVE, 8, &[0; 5])]), Withdraw),
        row("7.8: COMMUNITIES without a value", |c| c.with(&[attribute(TRANSITIVE, 8, &[])]), Withdraw).not_bird(),
        row("7.9: ORIGINATOR_ID of 3 octets from inside the AS", |c| c.with(&[attribute(NON_TRANSITIVE, 9, &[0; 3])]), Withdraw).internal(),
        row("7.9: ORIGINATOR_ID from outside of the AS", |c| c.with(&[attribute(NON_TRANSITIVE, 9, &[1; 4])]), Discard("originatorId", Value::Null)).not_bird(),
        row("7.10: CLUSTER_LIST of 6 octets from inside the AS", |c| c.with(&[attribute(NON_TRANSITIVE, 10, &[0; 6])]), Withdraw).internal(),
        row("7.10: CLUSTER_LIST from outside of the AS", |c| c.with(&[attribute(NON_TRANSITIVE, 10, &[1; 4])]), Discard("clusterList", Value::Null)).not_bird(),
        row("7.11: a next hop of 5 octets in MP_REACH_NLRI", |c| c.six(&[short_next_hop(c)]), Reset(3, 9, short_next_hop)).ipv6().not_bird(),
        row("7.11: MP_REACH_NLRI that ends in its next hop", |c| c.six(&[cut_next_hop(c)]), Reset(3, 9, cut_next_hop)).ipv6().not_bird(),
        row("RFC 4760 3: a next hop of all zeros in MP_REACH_NLRI", |c| c.six(&[c.mp_reach(&[0; 16], &c.nlri6())]), Withdraw).ipv6().not_bird(),
        row("RFC 4760 3: a multicast next hop in MP_REACH_NLRI", |c| { let mut to = [0; 16]; to[0] = 0xff; to[15] = 1; c.six(&[c.mp_reach(&to, &c.nlri6())]) }, Withdraw).ipv6().not_bird(),
        row("7.12: MP_UNREACH_NLRI without a SAFI", |c| c.with(&[cut_family(c)]), Reset(3, 9, cut_family)).not_bird(),
        row("7.12: MP_UNREACH_NLRI with a prefix that ends after it", |c| c.with(&[cut_prefix(c)]), Reset(3, 9, cut_prefix)).not_bird(),
        row("2: routes of a family that was not negotiated are passed over", |c| c.with(&[attribute(NON_TRANSITIVE, 14, &[0, 25, 70, 4, 10, 1, 0, 2, 0, 1, 2, 3])]), Discard("state", json!("best"))).not_bird(),
        row("7.14: EXTENDED COMMUNITIES of 7 octets", |c| c.with(&[attribute(TRANSITIVE, 16, &[0; 7])]), Withdraw),
        row("RFC 5701 4: IPv6 extended communities of 19 octets", |c| c.with(&[attribute(TRANSITIVE, 25, &[0; 19])]), Withdraw).not_bird(),
        row("RFC 6793 6: AS4_PATH in a session of four-octet AS numbers", |c| c.with(&[attribute(TRANSITIVE, 17, &[2, 1, 0, 0, 0, 9])]), Discard("asPath", json!("64502"))).not_bird(),
        row("RFC 6793 6: AS4_AGGREGATOR in a session of four-octet AS numbers", |c| c.with(&[attribute(TRANSITIVE, 18, &[0, 0, 0, 9, 10, 1, 0, 2])]), Discard("aggregator", Value::Null)).not_bird(),
        row("RFC 8092 5: LARGE_COMMUNITY of 11 octets", |c| c.with(&[attribute(TRANSITIVE, 32, &[0; 11])]), Withdraw),
        row("RFC 9234 5: ONLY_TO_CUSTOMER of 3 octets", |c| c.with(&[attribute(TRANSITIVE, 35, &[0; 3])]), Withdraw).not_bird(),
    ]
}

#[test]
fn wrong_structure_has_the_outcome_of_its_section() {
    run(&needs(Kind::Routelet), |lab| {
        table(lab, Kind::Routelet, structure())
    });
}

#[test]
fn wrong_values_have_the_outcome_of_their_section() {
    run(&needs(Kind::Routelet), |lab| {
        table(lab, Kind::Routelet, values())
    });
}

#[test]
fn the_tables_hold_for_bird() {
    run(&needs(Kind::Bird2), |lab| {
        table(
            lab,
            Kind::Bird2,
            structure().into_iter().chain(values()).collect(),
        )
    });
}
