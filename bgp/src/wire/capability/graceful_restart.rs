//! Graceful restart (RFC 4724 section 3), with the N bit of RFC 8538.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::Family;

/// R bit, in the first octet.
const RESTARTING: u8 = 0x80;
/// N bit (RFC 8538 section 2), in the first octet.
const NOTIFICATION: u8 = 0x40;
/// F bit, in the flags of a family.
const FORWARDING: u8 = 0x80;
/// The restart time has twelve bits.
const MAX_RESTART_TIME: u16 = 0x0fff;

/// The value of the graceful restart capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GracefulRestart {
    /// R bit: the sender has restarted and its peer should not wait for it.
    pub restarting: bool,
    /// N bit (RFC 8538): hold timer expiry and NOTIFICATIONs do not end the routes' retention.
    pub notification: bool,
    /// Seconds that the sender's routes should be kept after the session fell, at most 4095.
    pub restart_time: u16,
    /// Families, and for each the F bit: whether forwarding state was kept over the restart.
    pub families: Vec<(Family, bool)>,
}

pub(super) const ROW: Row = Row {
    code: 64,
    name: "graceful restart",
    expected: "2 octets and 4 for each family",
    // RFC 4724 section 3: all but the last one are ignored.
    repeats: Repeats::Last,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let (&[high, low], rest) = value.split_first_chunk()?;
    let (families, []) = rest.as_chunks::<4>() else {
        return None;
    };
    Some(Capability::GracefulRestart(GracefulRestart {
        restarting: high & RESTARTING != 0,
        notification: high & NOTIFICATION != 0,
        restart_time: u16::from_be_bytes([high, low]) & MAX_RESTART_TIME,
        families: families
            .iter()
            .map(|&[high, low, safi, flags]| {
                let family = Family::new(u16::from_be_bytes([high, low]), safi);
                (family, flags & FORWARDING != 0)
            })
            .collect(),
    }))
}

pub(super) fn encode(value: &GracefulRestart, out: &mut Vec<u8>) {
    let [mut high, low] = value.restart_time.min(MAX_RESTART_TIME).to_be_bytes();
    if value.restarting {
        high |= RESTARTING;
    }
    if value.notification {
        high |= NOTIFICATION;
    }
    out.extend_from_slice(&[high, low]);
    // As many as one capability can hold.
    for &(family, forwarding) in value.families.iter().take(253 / 4) {
        let [high, low] = family.afi.0.to_be_bytes();
        let flags = if forwarding { FORWARDING } else { 0 };
        out.extend_from_slice(&[high, low, family.safi.0, flags]);
    }
}
