//! Tunnel encapsulation (RFC 9012): tunnels, each a list of sub-TLVs, passed on byte for byte within the administration.
//! A tunnel whose length or whose sub-TLVs do not fit: treat-as-withdraw. Without a tunnel, or not transitive: attribute
//! discard (section 13).
//!
//! Only the structure is checked. DEVIATION(RFC 9012 13): a tunnel whose egress endpoint is missing or malformed is passed on
//! with the others, as this speaker uses none of them.

use super::table::{Opaque, check_transitive};
use super::{AttributeCode, TRANSITIVE};
use crate::wire::{Outcome, TlvFault, UpdateFault};

pub(super) const OPAQUE: Opaque = Opaque {
    code: AttributeCode::TUNNEL_ENCAPSULATION,
    name: "TUNNEL_ENCAPSULATION",
    check: |flags, value| {
        if let Err(fault) = check_transitive(AttributeCode::TUNNEL_ENCAPSULATION, flags) {
            // With the Transitive bit it is only marked as well-known: RFC 7606 section 3 c.
            return Some(match flags & TRANSITIVE {
                0 => (fault, Outcome::AttributeDiscard),
                _ => (fault, Outcome::TreatAsWithdraw),
            });
        }
        if value.is_empty() {
            let fault = UpdateFault::Length {
                code: AttributeCode::TUNNEL_ENCAPSULATION,
                length: 0,
                expected: "at least one tunnel",
            };
            return Some((fault, Outcome::AttributeDiscard));
        }
        check(value)
            .err()
            .map(|fault| (fault, Outcome::TreatAsWithdraw))
    },
};

/// The lowest type of sub-TLVs with a length of two octets (RFC 9012 section 2).
const LONG_SUB_TLV: u8 = 128;

fn fault(reason: TlvFault, offset: usize) -> UpdateFault {
    UpdateFault::Tlv {
        code: AttributeCode::TUNNEL_ENCAPSULATION,
        reason,
        offset,
    }
}

/// Tunnels have two octets of type and two of length.
fn check(value: &[u8]) -> Result<(), UpdateFault> {
    let mut rest = value;
    while !rest.is_empty() {
        let offset = value.len() - rest.len();
        let available = rest.len();
        let Some((&[_, _, high, low], after)) = rest.split_first_chunk() else {
            return Err(fault(TlvFault::Header { available }, offset));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((tunnel, after)) = after.split_at_checked(length) else {
            let available = after.len();
            return Err(fault(TlvFault::Overrun { length, available }, offset));
        };
        check_sub_tlvs(tunnel, value.len() - after.len() - length)?;
        rest = after;
    }
    Ok(())
}

/// The last sub-TLV ends where the tunnel does. `start`: where the tunnel's value begins.
fn check_sub_tlvs(tunnel: &[u8], start: usize) -> Result<(), UpdateFault> {
    let mut rest = tunnel;
    while let Some((&kind, after)) = rest.split_first() {
        let offset = start + tunnel.len() - rest.len();
        let header = TlvFault::Header {
            available: rest.len(),
        };
        let (length, after) = if kind < LONG_SUB_TLV {
            let (&length, after) = after.split_first().ok_or(fault(header, offset))?;
            (usize::from(length), after)
        } else {
            let (length, after) = after.split_first_chunk().ok_or(fault(header, offset))?;
            (usize::from(u16::from_be_bytes(*length)), after)
        };
        let available = after.len();
        rest = after
            .get(length..)
            .ok_or(fault(TlvFault::Overrun { length, available }, offset))?;
    }
    Ok(())
}
