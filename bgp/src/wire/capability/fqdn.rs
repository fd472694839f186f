//! Host and domain name (draft-walton-bgp-hostname-capability): two texts, each after an octet with its length.

use super::{Capability, Malformed, Repeats, Row};
use crate::wire::length::put_text;

/// The longest of either name: two of them with their lengths stay under 255 octets.
const MAX_NAME: u8 = 64;

pub(super) const ROW: Row = Row {
    code: 73,
    name: "FQDN",
    expected: "two texts, each after its length",
    repeats: Repeats::Last,
    // It only informs people: an odd one is no reason to refuse a session.
    malformed: Malformed::Keep,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let (host, rest) = text(value)?;
    let (domain, _) = text(rest)?;
    Some(Capability::Fqdn {
        host: host.to_owned(),
        domain: domain.to_owned(),
    })
}

fn text(value: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = value.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

pub(super) fn encode(host: &str, domain: &str, out: &mut Vec<u8>) {
    for name in [host, domain] {
        put_text(out, name, MAX_NAME);
    }
}
