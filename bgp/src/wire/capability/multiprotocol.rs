//! Multiprotocol extensions (RFC 4760 section 8): AFI, a reserved octet, SAFI. One capability per family.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::Family;

pub(super) const ROW: Row = Row {
    code: 1,
    name: "multiprotocol",
    expected: "4 octets: AFI, reserved, SAFI",
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let &[high, low, _reserved, safi] = value else {
        return None;
    };
    Some(Capability::Multiprotocol(Family::new(
        u16::from_be_bytes([high, low]),
        safi,
    )))
}

pub(super) fn encode(family: Family, out: &mut Vec<u8>) {
    let [high, low] = family.afi.0.to_be_bytes();
    out.extend_from_slice(&[high, low, 0, family.safi.0]);
}
