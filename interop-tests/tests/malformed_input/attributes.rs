//! UPDATEs with attributes that made other speakers crash, loop or reset sessions (RFC 7606 section 7, and each
//! attribute's own RFC).

use interop_tests::raw::encode::{
    EXTENDED, NON_TRANSITIVE, TRANSITIVE, WELL_KNOWN, attribute, update,
};

use crate::outcome::Outcome::{Discard, Filtered, Ignored, Reset, Unusable, Used, Withdraw};
use crate::outcome::{NO_DATA, Row, quoted, row};
use crate::parts::{NEXT_HOP6, Parts};

/// NEXT_HOP as given.
fn next_hop(parts: &Parts, octets: &[u8]) -> Vec<u8> {
    parts.instead(attribute(WELL_KNOWN, 3, octets))
}

/// The IPv6 route over this next hop.
fn next_hop6(parts: &Parts, octets: [u8; 16]) -> Vec<u8> {
    parts.six(&[parts.mp_reach(&octets, &parts.nlri6())])
}

/// An IPv6 address of these first two octets, zeros, and this last one.
fn ipv6(first: [u8; 2], last: u8) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&first);
    octets[15] = last;
    octets
}

/// MP_REACH_NLRI of these octets.
fn mp(value: &[u8]) -> Vec<u8> {
    attribute(NON_TRANSITIVE, 14, value)
}

/// MP_REACH_NLRI of IPv6 unicast whose next hop says `length` and has `there` octets.
fn cut_next_hop(length: u8, there: usize) -> Vec<u8> {
    mp(&[&[0, 2, 1, length][..], &vec![0xfd; there]].concat())
}

/// AS4_PATH.
fn as4_path(value: &[u8]) -> Vec<u8> {
    attribute(TRANSITIVE, 17, value)
}

/// A well-known attribute that nobody knows, too long to be quoted whole.
fn long_unknown() -> Vec<u8> {
    attribute(WELL_KNOWN | EXTENDED, 99, &[7; 20_000])
}

/// MP_REACH_NLRI of IPv6 with a prefix of 129 bits, too long to be quoted whole.
fn long_prefixes(parts: &Parts) -> Vec<u8> {
    let nlri = [parts.nlri6().repeat(3000), vec![129]].concat();
    let value = [&[0, 2, 1, 16][..], &NEXT_HOP6, &[0], &nlri].concat();
    attribute(NON_TRANSITIVE | EXTENDED, 14, &value)
}

/// An AS_PATH of this many segments of 255 numbers.
fn long_path(parts: &Parts, segments: usize) -> Vec<u8> {
    parts.instead(parts.long_path(segments))
}

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    [well_known(), next_hops(), multiprotocol(), optional(), two_octets()].concat()
}

#[rustfmt::skip]
fn well_known() -> Vec<Row> {
    vec![
        row("RFC 7606 3.c", "ORIGIN without any flag", |p| p.instead(attribute(0, 1, &[0])), Withdraw),
        row("RFC 7606 7.1", "ORIGIN 3", |p| p.instead(attribute(WELL_KNOWN, 1, &[3])), Withdraw),
        row("RFC 7606 7.1", "ORIGIN of no octets", |p| p.instead(attribute(WELL_KNOWN, 1, &[])), Withdraw),
        row("RFC 7606 7.1", "ORIGIN of two octets", |p| p.instead(attribute(WELL_KNOWN, 1, &[0, 0])), Withdraw),
        row("RFC 4271 6.3", "an empty AS_PATH", |p| p.instead(attribute(WELL_KNOWN, 2, &[])), Withdraw).internal(Used),
        row("RFC 4271 5.1.2", "an AS_PATH of 2,295 numbers", |p| long_path(p, 9), Used),
        row("RFC 4271 5.1.2", "an AS_PATH of 13,005 numbers", |p| long_path(p, 51), Used),
        row("RFC 4271 6.3", "an unknown attribute without the optional bit", |p| p.with_one(WELL_KNOWN, 99, &[1]), Reset(3, 2, |_| attribute(WELL_KNOWN, 99, &[1]))),
        row("RFC 4271 6.3", "an unknown attribute without any flag", |p| p.with_one(0, 255, &[]), Reset(3, 2, |_| attribute(0, 255, &[]))),
        row("RFC 4271 6.3", "an unknown attribute without the optional bit, of 20,000 octets", |p| p.with(&[long_unknown()]), Reset(3, 2, |_| quoted(&long_unknown()))),
    ]
}

#[rustfmt::skip]
fn next_hops() -> Vec<Row> {
    vec![
        row("RFC 7606 7.3", "NEXT_HOP of no octets", |p| next_hop(p, &[]), Withdraw),
        row("RFC 7606 7.3", "NEXT_HOP of 1 octet", |p| next_hop(p, &[10]), Withdraw),
        row("RFC 7606 7.3", "NEXT_HOP of 2 octets", |p| next_hop(p, &[10, 1]), Withdraw),
        row("RFC 7606 7.3", "NEXT_HOP of 3 octets", |p| next_hop(p, &[10, 1, 0]), Withdraw),
        row("RFC 7606 7.3", "NEXT_HOP of 5 octets", |p| next_hop(p, &[10, 1, 0, 2, 0]), Withdraw),
        row("RFC 7606 7.3", "NEXT_HOP of 16 octets", |p| next_hop(p, &NEXT_HOP6), Withdraw),
        row("RFC 4271 6.3", "NEXT_HOP 0.0.0.0", |p| next_hop(p, &[0; 4]), Withdraw),
        row("RFC 4271 6.3", "NEXT_HOP 255.255.255.255", |p| next_hop(p, &[255; 4]), Withdraw),
        row("RFC 4271 6.3", "a multicast NEXT_HOP", |p| next_hop(p, &[224, 0, 0, 1]), Withdraw),
        row("RFC 4271 6.3", "a loopback NEXT_HOP", |p| next_hop(p, &[127, 0, 0, 1]), Unusable),
        row("RFC 4271 6.3", "our own address as NEXT_HOP", |p| next_hop(p, &[10, 1, 0, 1]), Unusable),
        row("RFC 4760 3", "a next hop :: in MP_REACH_NLRI", |p| next_hop6(p, [0; 16]), Withdraw).ipv6(),
        row("RFC 4760 3", "a multicast next hop in MP_REACH_NLRI", |p| next_hop6(p, ipv6([0xff, 2], 1)), Withdraw).ipv6(),
        row("RFC 4760 3", "a loopback next hop in MP_REACH_NLRI", |p| next_hop6(p, ipv6([0, 0], 1)), Unusable).ipv6(),
        row("RFC 4760 3", "our own address as the next hop in MP_REACH_NLRI", |p| next_hop6(p, ipv6([0xfd, 1], 1)), Unusable).ipv6(),
        row("RFC 4760 3", "a next hop 0.0.0.0 of IPv4 in MP_REACH_NLRI", |p| { let mut all = p.changed(); all.retain(|one| one[1] != 3); all.push(mp(&[&[0, 1, 1, 4, 0, 0, 0, 0, 0][..], &p.nlri()].concat())); update(&[], &all, &[]) }, Withdraw),
    ]
}

#[rustfmt::skip]
fn multiprotocol() -> Vec<Row> {
    vec![
        row("RFC 7606 7.11", "MP_REACH_NLRI with a next hop of no octets", |p| p.six(&[p.mp_reach(&[], &p.nlri6())]), Reset(3, 9, |p| p.mp_reach(&[], &p.nlri6()))).ipv6(),
        row("RFC 7606 7.11", "MP_REACH_NLRI of IPv4 with a next hop of no octets", |p| p.six(&[mp(&[0, 1, 1, 0, 0, 24, 198, 18, 1])]), Reset(3, 9, |_| mp(&[0, 1, 1, 0, 0, 24, 198, 18, 1]))),
        row("RFC 7606 5.3", "MP_REACH_NLRI that ends inside of a next hop of 16 octets", |p| p.six(&[cut_next_hop(16, 6)]), Reset(3, 9, |_| cut_next_hop(16, 6))).ipv6(),
        row("RFC 7606 5.3", "MP_REACH_NLRI that ends inside of a next hop of 32 octets", |p| p.six(&[cut_next_hop(32, 20)]), Reset(3, 9, |_| cut_next_hop(32, 20))).ipv6(),
        row("RFC 7606 5.3", "MP_REACH_NLRI that ends with its next hop", |p| p.six(&[cut_next_hop(16, 16)]), Reset(3, 9, |_| cut_next_hop(16, 16))).ipv6(),
        row("RFC 7606 5.3", "MP_REACH_NLRI of one octet", |p| p.six(&[mp(&[0])]), Reset(3, 9, |_| mp(&[0]))).ipv6(),
        row("RFC 7606 5.3", "an IPv6 prefix of 129 bits behind 3,000 good ones", |p| p.six(&[long_prefixes(p)]), Reset(3, 9, |p| quoted(&long_prefixes(p)))).ipv6(),
        // Of families that were not agreed on, nothing but the frame is looked at (RFC 7606 section 2, RFC 4760 section
        // 6).
        row("RFC 4760 6", "labelled unicast without a bottom of the stack", |p| p.with(&[mp(&[0, 1, 4, 4, 10, 1, 0, 2, 0, 56, 0, 0, 0x10, 10, 0, 0, 0])]), Discard(&[14])),
        row("RFC 4760 6", "labelled unicast without a next hop", |p| p.with(&[mp(&[0, 1, 4, 0, 0, 56, 0, 0, 0x11, 10, 0, 0, 0])]), Discard(&[14])),
        row("RFC 4760 6", "labelled unicast shorter than a label", |p| p.with(&[mp(&[0, 1, 4, 4, 10, 1, 0, 2, 0, 8, 1])]), Discard(&[14])),
        row("RFC 4760 6", "a VPN route shorter than label and distinguisher", |p| p.with(&[mp(&[&[0, 1, 128, 12][..], &[0; 8], &[10, 1, 0, 2, 0, 24, 0, 0, 0x11]].concat())]), Discard(&[14])),
        row("RFC 4760 6", "a VPN route without a next hop", |p| p.with(&[mp(&[0, 1, 128, 0, 0, 88])]), Discard(&[14])),
        row("RFC 4760 6", "a flow specification of length 0", |p| p.with(&[mp(&[0, 1, 133, 0, 0, 0])]), Discard(&[14])),
        row("RFC 4760 6", "a withdrawn flow specification of length 0", |p| p.with(&[attribute(NON_TRANSITIVE, 15, &[0, 1, 133, 0])]), Discard(&[15])),
        row("RFC 4760 6", "a withdrawn VPN route of length 0", |p| p.with(&[attribute(NON_TRANSITIVE, 15, &[0, 2, 128, 0])]), Discard(&[15])),
        row("RFC 4760 6", "a flow specification of length 0, and nothing else", |p| p.six(&[mp(&[0, 1, 133, 0, 0, 0])]), Ignored),
        row("RFC 4760 6", "AFI and SAFI that do not exist", |p| p.with(&[mp(&[255, 255, 255, 0, 0, 1, 2, 3])]), Discard(&[14])),
    ]
}

#[rustfmt::skip]
fn optional() -> Vec<Row> {
    vec![
        row("RFC 7606 7.7", "AGGREGATOR of 6 octets", |p| p.with_one(TRANSITIVE, 7, &[251, 246, 10, 1, 0, 2]), Discard(&[7])),
        row("RFC 7311 3", "AIGP whose TLV ends after its type and an octet", |p| p.with_one(NON_TRANSITIVE, 26, &[1, 0]), Filtered(&[26])),
        row("RFC 7311 3", "AIGP with a TLV of length 0", |p| p.with_one(NON_TRANSITIVE, 26, &[1, 0, 0]), Filtered(&[26])),
        row("RFC 7311 3", "AIGP with a TLV of length 1", |p| p.with_one(NON_TRANSITIVE, 26, &[1, 0, 1]), Filtered(&[26])),
        row("RFC 7311 3", "AIGP with a TLV of length 2", |p| p.with_one(NON_TRANSITIVE, 26, &[1, 0, 2]), Filtered(&[26])),
        row("RFC 8669 6", "Prefix-SID with an SRv6 TLV of length 0", |p| p.with_one(TRANSITIVE, 40, &[5, 0, 0]), Filtered(&[40])).internal(Discard(&[40])),
        row("RFC 8669 6", "Prefix-SID without the transitive bit", |p| p.with_one(NON_TRANSITIVE, 40, &[5, 0, 0]), Filtered(&[40])).internal(Discard(&[40])),
        row("RFC 8669 6", "Prefix-SID of 28 zeros, partial", |p| p.with(&[attribute(0xe0, 40, &[0; 28])]), Filtered(&[40])).internal(Discard(&[40])),
        row("RFC 9012 13", "tunnel encapsulation of no octets", |p| p.with_one(TRANSITIVE, 23, &[]), Filtered(&[23])).internal(Discard(&[23])),
        row("RFC 9012 13", "tunnel encapsulation without its last octet", |p| p.with_one(TRANSITIVE, 23, &[0, 8, 0, 4, 4, 2, 0]), Filtered(&[23])).internal(Withdraw),
        row("RFC 9012 13", "tunnel encapsulation without its last two octets", |p| p.with_one(TRANSITIVE, 23, &[0, 8, 0, 4, 4, 2]), Filtered(&[23])).internal(Withdraw),
        row("RFC 9012 13", "tunnel encapsulation with a TLV that is one octet too long", |p| p.with_one(TRANSITIVE, 23, &[0, 8, 0, 5, 4, 2, 0, 1]), Filtered(&[23])).internal(Withdraw),
        row("RFC 9012 13", "tunnel encapsulation with a TLV that is one octet too short", |p| p.with_one(TRANSITIVE, 23, &[0, 8, 0, 3, 4, 2, 0, 1]), Filtered(&[23])).internal(Withdraw),
        row("RFC 9012 13", "tunnel encapsulation with 10,000 empty sub-TLVs", |p| p.with_one(TRANSITIVE, 23, &[&[0, 8, 0x4e, 0x20][..], &[4, 0].repeat(10_000)].concat()), Filtered(&[23])).internal(Used),
        row("RFC 9234 5", "ONLY_TO_CUSTOMER of no octets", |p| p.with_one(TRANSITIVE, 35, &[]), Withdraw),
        row("RFC 9234 5", "ONLY_TO_CUSTOMER of 2 octets", |p| p.with_one(TRANSITIVE, 35, &[251, 246]), Withdraw),
        row("RFC 9234 5", "ONLY_TO_CUSTOMER of 8 octets", |p| p.with_one(TRANSITIVE, 35, &[0; 8]), Withdraw),
        row("RFC 4271 5", "attribute 28", |p| p.with_one(TRANSITIVE, 28, &[0, 1, 2]), Used),
        row("RFC 4271 5", "attribute 255", |p| p.with_one(TRANSITIVE, 255, &[]), Used),
        row("RFC 4271 5", "attribute 20", |p| p.with_one(TRANSITIVE, 20, &[0; 14]), Used),
        row("RFC 4271 5", "attribute 21", |p| p.with_one(TRANSITIVE, 21, &[0; 5]), Used),
    ]
}

#[rustfmt::skip]
fn two_octets() -> Vec<Row> {
    vec![
        row("RFC 7606 3.c", "AS4_PATH as well-known, of one octet, before AS_PATH", |p| p.before(2, attribute(WELL_KNOWN, 17, &[2])), Withdraw).two_octets(),
        row("RFC 6793 6", "AS4_PATH as well-known, of one octet, before AS_PATH, from a peer of four-octet AS numbers", |p| p.before(2, attribute(WELL_KNOWN, 17, &[2])), Discard(&[17])),
        row("RFC 6793 6", "AS4_PATH of one octet", |p| p.before(2, as4_path(&[2])), Discard(&[17])).two_octets(),
        row("RFC 6793 6", "an empty AS4_PATH", |p| p.with(&[as4_path(&[])]), Discard(&[17])).two_octets(),
        row("RFC 6793 6", "AS4_PATH of an odd length", |p| p.with(&[as4_path(&[2, 1, 0, 0, 251])]), Discard(&[17])).two_octets(),
        row("RFC 6793 6", "AS4_PATH with a segment that ends after it", |p| p.with(&[as4_path(&[2, 9, 0, 0, 0, 9])]), Discard(&[17])).two_octets(),
        row("RFC 6793 6", "AS4_PATH with a segment of no numbers", |p| p.with(&[as4_path(&[2, 0, 2, 1, 0, 0, 0, 9])]), Discard(&[17])).two_octets(),
        row("RFC 6793 6", "AS4_PATH with a segment of an unknown type", |p| p.with(&[as4_path(&[9, 1, 0, 0, 0, 9])]), Discard(&[17])).two_octets(),
        row("RFC 6793 6", "AS4_PATH with a confederation's segment", |p| p.with(&[as4_path(&[3, 1, 0, 0, 0, 9])]), Used).two_octets(),
        row("RFC 6793 6", "AS4_PATH longer than AS_PATH", |p| p.with(&[as4_path(&[2, 2, 0, 0, 0, 9, 0, 0, 0, 8])]), Used).two_octets(),
        row("RFC 6793 6", "AS4_AGGREGATOR of 7 octets", |p| p.with_one(TRANSITIVE, 18, &[0; 7]), Discard(&[18])).two_octets(),
        row("RFC 7606 7.7", "AGGREGATOR of 8 octets", |p| p.with_one(TRANSITIVE, 7, &[0, 0, 251, 246, 10, 1, 0, 2]), Discard(&[7])).two_octets(),
        row("RFC 4271 6.3", "an empty AS_PATH", |p| p.instead(attribute(WELL_KNOWN, 2, &[])), Withdraw).internal(Used).two_octets(),
        row("RFC 6793 4.2.3", "an AS_PATH of 12,750 numbers, which fits with four octets each", |p| long_path(p, 50), Used).two_octets(),
        row("RFC 6793 4.2.3", "an AS_PATH of 32,385 numbers, which does not fit with four octets each", |p| long_path(p, 127), Withdraw).two_octets(),
        row("RFC 7606 5.2", "ORIGIN 3, and no routes", |_| update(&[], &[attribute(WELL_KNOWN, 1, &[3])], &[]), Reset(3, 6, |_| attribute(WELL_KNOWN, 1, &[3]))).two_octets(),
        row("RFC 7606 5.2", "half a header of an attribute, and no routes", |_| update(&[], &[vec![TRANSITIVE]], &[]), Reset(3, 1, NO_DATA)).two_octets(),
    ]
}
