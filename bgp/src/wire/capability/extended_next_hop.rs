//! Extended next hop encoding (RFC 8950 section 4): families, and the AFI that their next hops may have.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::{Afi, Family};

pub(super) const ROW: Row = Row {
    code: 5,
    name: "extended next hop",
    expected: "6 octets for each family",
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let (entries, []) = value.as_chunks::<6>() else {
        return None;
    };
    // The SAFI stands in two octets; one over 255 is none that exists.
    let families = entries.iter().filter_map(|&[ah, al, sh, sl, nh, nl]| {
        let afi = u16::from_be_bytes([ah, al]);
        (sh == 0).then(|| (Family::new(afi, sl), Afi(u16::from_be_bytes([nh, nl]))))
    });
    Some(Capability::ExtendedNextHop(families.collect()))
}

pub(super) fn encode(families: &[(Family, Afi)], out: &mut Vec<u8>) {
    // As many as one capability can hold.
    for (family, next_hop) in families.iter().take(255 / 6) {
        out.extend_from_slice(&family.afi.0.to_be_bytes());
        out.extend_from_slice(&[0, family.safi.0]);
        out.extend_from_slice(&next_hop.0.to_be_bytes());
    }
}
