//! BGP Prefix-SID (RFC 8669): type-length-value triples of one and two octets, passed on byte for byte within the
//! administration. Wrong flags, and anything that cannot be read: attribute discard (section 6).
//!
//! Of the triples only lengths are checked. DEVIATION(RFC 9252 7): those of SRv6 services mean nothing to the routes of this
//! speaker, so a malformed one takes the attribute with it, not the routes.

use super::AttributeCode;
use super::table::{Opaque, check_transitive};
use crate::wire::{Outcome, TlvFault, UpdateFault};

pub(super) const OPAQUE: Opaque = Opaque {
    code: AttributeCode::PREFIX_SID,
    name: "PREFIX_SID",
    check: |flags, value| {
        let flags = check_transitive(AttributeCode::PREFIX_SID, flags);
        let fault = flags.and_then(|()| check(value)).err()?;
        Some((fault, Outcome::AttributeDiscard))
    },
};

/// Octets of a triple's type and length.
const HEADER: usize = 3;

fn check(value: &[u8]) -> Result<(), UpdateFault> {
    if value.len() < HEADER {
        return Err(UpdateFault::Length {
            code: AttributeCode::PREFIX_SID,
            length: value.len(),
            expected: "at least 3 octets",
        });
    }
    let mut rest = value;
    while !rest.is_empty() {
        let offset = value.len() - rest.len();
        let fault = |reason| UpdateFault::Tlv {
            code: AttributeCode::PREFIX_SID,
            reason,
            offset,
        };
        let Some((&[kind, high, low], after)) = rest.split_first_chunk() else {
            let available = rest.len();
            return Err(fault(TlvFault::Header { available }));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > after.len() {
            let available = after.len();
            return Err(fault(TlvFault::Overrun { length, available }));
        }
        if let Some(expected) = unexpected_length(kind, length) {
            let kind = u16::from(kind);
            return Err(fault(TlvFault::Length {
                kind,
                length,
                expected,
            }));
        }
        rest = &after[length..];
    }
    Ok(())
}

/// What the length of a triple should be, if it is not that. Unknown ones may have any.
const fn unexpected_length(kind: u8, length: usize) -> Option<&'static str> {
    match kind {
        // Label-Index: RFC 8669 section 3.1.
        1 if length != 7 => Some("7"),
        // Originator SRGB: section 3.2.
        3 if length < 8 || !(length - 2).is_multiple_of(6) => Some("2 and a multiple of 6"),
        // SRv6 L3 and L2 services: RFC 9252 section 2.
        5 | 6 if length < 1 => Some("1 or more"),
        _ => None,
    }
}
