//! Long-lived graceful restart (RFC 9494 section 3.1): families, flags, and a stale time of 24 bits.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::Family;

/// F bit, in the flags of a family.
const FORWARDING: u8 = 0x80;
/// The stale time has 24 bits.
const MAX_STALE_TIME: u32 = 0x00ff_ffff;

/// One family of the long-lived graceful restart capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLivedFamily {
    /// The family.
    pub family: Family,
    /// F bit: forwarding state was kept.
    pub forwarding: bool,
    /// Seconds that stale routes are kept, at most 16,777,215.
    pub stale_time: u32,
}

pub(super) const ROW: Row = Row {
    code: 71,
    name: "long-lived graceful restart",
    expected: "7 octets for each family",
    repeats: Repeats::Last,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let (families, []) = value.as_chunks::<7>() else {
        return None;
    };
    let families = families
        .iter()
        .map(|&[high, low, safi, flags, a, b, c]| LongLivedFamily {
            family: Family::new(u16::from_be_bytes([high, low]), safi),
            forwarding: flags & FORWARDING != 0,
            stale_time: u32::from_be_bytes([0, a, b, c]),
        });
    Some(Capability::LongLivedGracefulRestart(families.collect()))
}

pub(super) fn encode(families: &[LongLivedFamily], out: &mut Vec<u8>) {
    // As many as one capability can hold.
    for entry in families.iter().take(255 / 7) {
        let [high, low] = entry.family.afi.0.to_be_bytes();
        let flags = if entry.forwarding { FORWARDING } else { 0 };
        let [_, a, b, c] = entry.stale_time.min(MAX_STALE_TIME).to_be_bytes();
        out.extend_from_slice(&[high, low, entry.family.safi.0, flags, a, b, c]);
    }
}
