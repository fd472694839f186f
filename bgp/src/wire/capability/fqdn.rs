//! Host and domain name (draft-walton-bgp-hostname-capability): two texts, each after an octet with its length.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::PeerText;
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
    Some(Capability::Fqdn { host, domain })
}

fn text(value: &[u8]) -> Option<(PeerText, &[u8])> {
    let (&length, rest) = value.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((PeerText::from_octets(text), rest))
}

pub(super) fn encode(host: &PeerText, domain: &PeerText, out: &mut Vec<u8>) {
    for name in [host.as_str(), domain.as_str()] {
        put_text(out, name, MAX_NAME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whatever_octets_they_have_and_are_safe_to_print() {
        let value = [&[7][..], b"\x1b[2Ja\n\xff", &[3], b"x\r\x7f"].concat();
        let Some(Capability::Fqdn { host, domain }) = decode(&value) else {
            panic!("not read");
        };
        assert_eq!(host.as_str(), "\\u{1b}[2Ja\\n\u{fffd}");
        assert_eq!(domain.as_str(), r"x\r\u{7f}");
        assert_eq!(decode(&[9, b'x']), None, "it ends after its capability");
    }
}
