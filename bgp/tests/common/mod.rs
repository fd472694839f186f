//! What the tests of the wire format share: real messages, and generators of values.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::Read;
use std::path::PathBuf;

use bgp::types::{Nlri, NlriList, PathId, RoutePrefix};
use bgp::wire::{Frame, Framer, MessageKind, Update};
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;

pub(crate) mod generate;
pub(crate) mod malformed;
pub(crate) mod soak;

/// The bodies of the real UPDATEs in `../shared/data`; `None`, with the reason printed, if the file is not there.
pub(crate) fn real_updates() -> Option<Vec<Bytes>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/mrt-updates.et-header.2015.gz");
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("SKIPPED: {}: {error}", path.display());
            return None;
        }
    };
    let mut octets = Vec::new();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut octets)
        .unwrap();
    let mut bodies = Vec::new();
    let mut rest = &octets[..];
    while let Some((header, after)) = rest.split_first_chunk::<12>() {
        let subtype = u16::from_be_bytes([header[6], header[7]]);
        let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (record, after) = after.split_at(length);
        rest = after;
        // BGP4MP_MESSAGE and BGP4MP_MESSAGE_AS4 (RFC 6396): microseconds, two AS numbers, interface, AFI, two addresses.
        let as_octets = match subtype {
            1 => 2,
            4 => 4,
            _ => continue,
        };
        let afi_at = 4 + 2 * as_octets + 2;
        let addresses = if record[afi_at + 1] == 1 { 8 } else { 32 };
        let mut message = BytesMut::from(&record[afi_at + 2 + addresses..]);
        let frame = Framer::new().next(&mut message).unwrap().unwrap();
        assert!(message.is_empty());
        if frame.kind == MessageKind::Update {
            bodies.push(frame.body);
        }
    }
    Some(bodies)
}

/// All messages of a stream of octets.
pub(crate) fn frames(stream: &[u8], extended: bool) -> Vec<Frame> {
    let mut framer = Framer::new();
    if extended {
        framer.allow_extended();
    }
    let mut buffer = BytesMut::from(stream);
    let mut frames = Vec::new();
    while let Some(frame) = framer.next(&mut buffer).unwrap() {
        frames.push(frame);
    }
    assert!(buffer.is_empty(), "{} octets are left over", buffer.len());
    frames
}

/// The body of one message.
pub(crate) fn body(message: &[u8], extended: bool) -> Bytes {
    let frames = frames(message, extended);
    assert_eq!(frames.len(), 1);
    frames[0].body.clone()
}

/// The prefixes of a list, of whichever family.
pub(crate) fn nets(list: &NlriList) -> Vec<(IpNet, PathId)> {
    fn of<P: RoutePrefix>(list: &[Nlri<P>]) -> Vec<(IpNet, PathId)> {
        list.iter()
            .map(|nlri| (nlri.prefix.into(), nlri.path_id))
            .collect()
    }
    match list {
        NlriList::Ipv4(list) => of(list),
        NlriList::Ipv6(list) => of(list),
    }
}

/// Octets from hexadecimal digits; white space is ignored.
pub(crate) fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    assert!(
        digits.len().is_multiple_of(2),
        "odd number of digits: {text}"
    );
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect::<Vec<u8>>()
        .into()
}

/// What must hold of every decoded UPDATE, whatever the octets were.
pub(crate) fn check_invariants(update: &Update) {
    use bgp::wire::{AttributeSet, Outcome};
    let strongest = update.outcome();
    if strongest == Some(Outcome::SessionReset) {
        assert!(update.reset().is_some());
        assert!(
            update.reach.is_empty() && update.unreach.is_empty() && update.end_of_rib.is_none()
        );
    } else {
        assert!(update.reset().is_none());
    }
    if strongest >= Some(Outcome::TreatAsWithdraw) {
        assert!(update.reach.is_empty());
    }
    assert_eq!(update.reach.is_empty(), update.attributes.is_empty());
    if update.end_of_rib.is_some() {
        assert!(update.reach.is_empty() && update.unreach.is_empty());
    }
    for reach in &update.reach {
        assert!(!reach.nlri.is_empty());
    }
    if !update.attributes.is_empty() {
        // Canonical, and the two forms say the same.
        let again = AttributeSet::from_attributes(&update.attributes.parse()).unwrap();
        assert_eq!(again, update.attributes);
        assert!(
            update
                .attributes
                .iter()
                .is_sorted_by(|a, b| a.code < b.code)
        );
    }
    for fault in &update.faults {
        assert!(!fault.to_string().is_empty());
        assert_eq!(fault.notification().code, fault.code);
    }
}

/// The type codes of the attributes in the body of an UPDATE, read naively: as far as they can be found.
fn codes(body: &[u8]) -> Vec<u8> {
    let mut codes = Vec::new();
    let field = |at: usize| -> Option<usize> {
        let octets = body.get(at..at + 2)?;
        Some(usize::from(octets[0]) << 8 | usize::from(octets[1]))
    };
    let Some(withdrawn) = field(0) else {
        return codes;
    };
    let Some(attributes) = field(2 + withdrawn) else {
        return codes;
    };
    let (mut at, end) = (4 + withdrawn, 4 + withdrawn + attributes);
    while let Some(&[flags, code, length]) = body.get(at..at + 3) {
        if at >= end {
            break;
        }
        codes.push(code);
        at += match flags & 0x10 {
            0 => 3 + usize::from(length),
            _ => 4 + field(at + 2).unwrap_or_default(),
        };
    }
    codes
}

/// That the set of a decoded UPDATE holds no attribute that was not in the message, and that reading its octets one by
/// one finds the same attributes and nothing behind them.
pub(crate) fn check_nothing_added(body: &[u8], update: &Update) {
    let sent = codes(body);
    let octets = update.attributes.as_bytes();
    let mut at = 0;
    for attribute in update.attributes.iter() {
        let code = attribute.code.0;
        // AS_PATH and AGGREGATOR have taken AS4_PATH and AS4_AGGREGATOR in.
        assert!(sent.contains(&code), "{code} was not in the message");
        let header = if attribute.value.len() > 255 { 4 } else { 3 };
        assert_eq!(octets[at + 1], code);
        assert_eq!(
            &octets[at + header..][..attribute.value.len()],
            attribute.value
        );
        at += header + attribute.value.len();
    }
    assert_eq!(at, octets.len(), "octets behind the last attribute");
}
