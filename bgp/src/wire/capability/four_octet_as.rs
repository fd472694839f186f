//! Four-octet AS numbers (RFC 6793 section 3), with the sender's own.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::Asn;

pub(super) const ROW: Row = Row {
    code: 65,
    name: "four-octet AS",
    expected: "4 octets: the AS number",
    repeats: Repeats::Last,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let octets = <[u8; 4]>::try_from(value).ok()?;
    Some(Capability::FourOctetAs(Asn(u32::from_be_bytes(octets))))
}

pub(super) fn encode(asn: Asn, out: &mut Vec<u8>) {
    out.extend_from_slice(&asn.0.to_be_bytes());
}
