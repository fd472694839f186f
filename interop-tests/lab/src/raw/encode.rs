//! Messages as octets: whole ones, and the parts to make wrong ones of.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use super::UPDATE;

/// Flags of attributes (RFC 4271 4.3): well-known.
pub const WELL_KNOWN: u8 = 0x40;
/// Optional and transitive.
pub const TRANSITIVE: u8 = 0xc0;
/// Optional and not transitive.
pub const NON_TRANSITIVE: u8 = 0x80;
/// A length of two octets.
pub const EXTENDED: u8 = 0x10;

/// A message with a right header.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    // Longer than the field can say is cut off there: such messages are made by hand.
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    let mut octets = vec![0xff; 16];
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// The body of an OPEN with one parameter of capabilities, the four-octet AS number among them (RFC 6793).
///
/// # Errors
/// The capabilities have more than 247 octets.
pub fn open(asn: u32, router_id: Ipv4Addr, hold_time: u16, capabilities: &[u8]) -> Result<Vec<u8>> {
    let mut all = vec![65, 4];
    all.extend(asn.to_be_bytes());
    all.extend(capabilities);
    let length = u8::try_from(all.len()).ok().filter(|length| *length <= 253);
    let length = length.context("too many capabilities for one parameter")?;
    let two_octets = u16::try_from(asn).unwrap_or(23456);
    let mut body = vec![4];
    body.extend(two_octets.to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(router_id.octets());
    body.extend([length + 2, 2, length]);
    body.extend(all);
    Ok(body)
}

/// An optional parameter of an OPEN, or a capability in one: they have the same shape.
pub fn parameter(code: u8, value: &[u8]) -> Vec<u8> {
    // What does not fit is for tests that mean to lie about it.
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    [&[code, length], value].concat()
}

/// The body of an OPEN with every field as it is given, lengths too.
pub fn open_as_is(
    version: u8,
    asn: u16,
    hold_time: u16,
    router_id: Ipv4Addr,
    parameters_length: u8,
    parameters: &[u8],
) -> Vec<u8> {
    let mut body = vec![version];
    body.extend(asn.to_be_bytes());
    body.extend(hold_time.to_be_bytes());
    body.extend(router_id.octets());
    body.push(parameters_length);
    body.extend(parameters);
    body
}

/// A path attribute; with a length of two octets if the flags say so.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![flags, code];
    if flags & EXTENDED == 0 {
        octets.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    } else {
        octets.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    octets.extend(value);
    octets
}

/// An UPDATE of withdrawn routes, attributes and announced routes, with right lengths.
pub fn update(withdrawn: &[u8], attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = Vec::new();
    for part in [withdrawn, &attributes[..]] {
        body.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(part);
    }
    body.extend(nlri);
    message(UPDATE, &body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_update_has_its_lengths_where_rfc_4271_4_3_says() {
        let octets = update(&[8, 10], &[attribute(0x40, 1, &[0])], &[8, 11]);
        assert_eq!(octets[16..19], [0, 31, UPDATE]);
        assert_eq!(octets[19..], [0, 2, 8, 10, 0, 4, 0x40, 1, 1, 0, 8, 11]);
    }

    #[test]
    fn an_extended_length_has_two_octets() {
        let octets = attribute(0xd0, 8, &[0; 300]);
        assert_eq!(octets[..4], [0xd0, 8, 1, 44]);
    }
}
