//! From the attributes of a message to an [`AttributeSet`]: one allocation of the right size, and no other where the peer
//! uses four-octet AS numbers.

use bytes::Bytes;

use super::attributes::{Attributes, Received};
use crate::wire::attribute::{
    AsPathRef, AttributeCode, AttributeTooLong, Canonical, Class, PARTIAL, append, make_set,
    merge_paths, widen_aggregator, widen_path,
};
use crate::wire::{AsPathFault, AttributeSet, Fault, Outcome, PeerKind, UpdateCodec, UpdateFault};

/// Values whose AS numbers were widened or merged; `None` where the received value will do.
#[derive(Default)]
struct Widened {
    path: Option<Vec<u8>>,
    aggregator: Option<[u8; 8]>,
}

/// Writes the set of a message. If it cannot be written, because a value is longer here than any attribute can be, the
/// routes are treated as withdrawn.
pub(super) fn write(
    attributes: &Attributes<'_>,
    codec: &UpdateCodec,
    body: &Bytes,
    faults: &mut Vec<Fault>,
) -> AttributeSet {
    let mut widened = Widened::default();
    if !codec.four_octet_as {
        widened = widen(attributes);
    }
    check_first_as(attributes, &widened, codec, body, faults);
    match write_all(attributes, &widened) {
        Ok(set) => set,
        Err(AttributeTooLong { code, length }) => {
            // Without routes the set is not used, and nothing has to be withdrawn.
            if attributes.has_routes() {
                let reason = UpdateFault::TooLong { code, length };
                let raw = attributes.raw(code, body);
                faults.push(Fault::new(reason, Outcome::TreatAsWithdraw, raw));
            }
            AttributeSet::default()
        }
    }
}

fn write_all(
    attributes: &Attributes<'_>,
    widened: &Widened,
) -> Result<AttributeSet, AttributeTooLong> {
    let mut unknown: Vec<Received<'_>> = attributes.unknown().collect();
    unknown.sort_by_key(|received| received.code);
    let mut unknown = unknown.into_iter().peekable();
    let mut out = Vec::with_capacity(size(attributes, widened));
    for (row, received) in attributes.known() {
        if row.canonical == Canonical::Absent {
            continue;
        }
        while let Some(u) = unknown.next_if(|u| u.code < row.code) {
            append(&mut out, u.flags, u.code, u.value)?;
        }
        let value = match row.canonical {
            Canonical::Widened => widened.value(row.code).unwrap_or(received.value),
            _ => received.value,
        };
        let mut flags = row.class.flags();
        // RFC 4271 section 5: the partial bit of an optional transitive attribute is never cleared again.
        if row.class == Class::OptionalTransitive {
            flags |= received.flags & PARTIAL;
        }
        match row.canonical {
            Canonical::SetOf(octets) => write_set(&mut out, flags, &received, octets)?,
            _ => append(&mut out, flags, row.code, value)?,
        }
    }
    for u in unknown {
        append(&mut out, u.flags, u.code, u.value)?;
    }
    Ok(AttributeSet::owned(out))
}

/// An upper bound of the size of the set, exact unless communities are repeated.
fn size(attributes: &Attributes<'_>, widened: &Widened) -> usize {
    let one = |length: usize| length + if length > 255 { 4 } else { 3 };
    let known = attributes
        .known()
        .map(|(row, received)| match row.canonical {
            Canonical::Absent => 0,
            Canonical::Widened => one(widened.value(row.code).unwrap_or(received.value).len()),
            Canonical::AsIs | Canonical::SetOf(_) => one(received.value.len()),
        });
    let unknown = attributes
        .unknown()
        .map(|received| one(received.value.len()));
    known.sum::<usize>() + unknown.sum::<usize>()
}

/// Writes a set of items: ascending, each once.
fn write_set(
    out: &mut Vec<u8>,
    flags: u8,
    received: &Received<'_>,
    octets: usize,
) -> Result<(), AttributeTooLong> {
    let start = out.len();
    append(out, flags, received.code, received.value)?;
    let value = out.len() - received.value.len();
    let kept = make_set(&mut out[value..], octets);
    if kept != received.value.len() {
        let items = out[value..value + kept].to_vec();
        out.truncate(start);
        append(out, flags, received.code, &items)?;
    }
    Ok(())
}

impl Widened {
    fn value(&self, code: AttributeCode) -> Option<&[u8]> {
        match code {
            AttributeCode::AS_PATH => self.path.as_deref(),
            AttributeCode::AGGREGATOR => self.aggregator.as_ref().map(|octets| &octets[..]),
            _ => None,
        }
    }
}

/// Widens AS_PATH and AGGREGATOR of a speaker of two-octet AS numbers, and merges AS4_PATH and AS4_AGGREGATOR into them
/// (RFC 6793 section 4.2.3).
fn widen(attributes: &Attributes<'_>) -> Widened {
    let aggregator = attributes
        .value(AttributeCode::AGGREGATOR)
        .map(widen_aggregator);
    let aggregator4 = attributes.value(AttributeCode::AS4_AGGREGATOR);
    let path = attributes.value(AttributeCode::AS_PATH).map(widen_path);
    let path4 = attributes.value(AttributeCode::AS4_PATH);
    // An AGGREGATOR whose AS is not AS_TRANS was made by a speaker that does not know AS4_AGGREGATOR: both of the AS4
    // attributes are older than it, and ignored.
    let trans = aggregator.is_none_or(|octets| octets[..4] == [0, 0, 0x5b, 0xa0]);
    let aggregator4 = aggregator4.and_then(|octets| <[u8; 8]>::try_from(octets).ok());
    if !trans && aggregator4.is_some() {
        return Widened { path, aggregator };
    }
    Widened {
        path: match (path, path4) {
            (Some(path), Some(path4)) => Some(merge_paths(&path, path4)),
            (path, _) => path,
        },
        aggregator: aggregator.map(|octets| aggregator4.unwrap_or(octets)),
    }
}

/// RFC 4271 section 6.3: a path from an external peer begins with the peer's AS, where that is checked.
fn check_first_as(
    attributes: &Attributes<'_>,
    widened: &Widened,
    codec: &UpdateCodec,
    body: &Bytes,
    faults: &mut Vec<Fault>,
) {
    let (Some(expected), PeerKind::External) = (codec.first_as, codec.peer) else {
        return;
    };
    let Some(received) = attributes.received(AttributeCode::AS_PATH) else {
        return;
    };
    let path = widened.path.as_deref().unwrap_or(received.value);
    let found = AsPathRef::new(path).first_as();
    if found != Some(expected) {
        let reason = UpdateFault::AsPath {
            code: AttributeCode::AS_PATH,
            reason: AsPathFault::FirstAs { found, expected },
        };
        let raw = attributes.raw(AttributeCode::AS_PATH, body);
        faults.push(Fault::new(reason, Outcome::TreatAsWithdraw, raw));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::attributes::read_attributes;
    use super::*;

    /// The octets that are reserved for the set of these attributes, and those that it has.
    fn measured(field: &[u8], codec: &UpdateCodec) -> (usize, usize) {
        let body = Bytes::copy_from_slice(field);
        let mut faults = Vec::new();
        let attributes = read_attributes(&body, true, &body, codec, &mut faults).unwrap();
        assert_eq!(faults, []);
        let widened = match codec.four_octet_as {
            true => Widened::default(),
            false => widen(&attributes),
        };
        let set = write_all(&attributes, &widened).unwrap();
        (size(&attributes, &widened), set.as_bytes().len())
    }

    #[test]
    fn a_set_takes_the_octets_that_were_reserved_for_it() {
        let new = UpdateCodec::plain(PeerKind::Internal);
        let old = UpdateCodec {
            four_octet_as: false,
            ..new
        };
        let long = |code, octets: u16| {
            let [high, low] = octets.to_be_bytes();
            [&[0xd0, code, high, low], &vec![7; octets.into()][..]].concat()
        };
        let origin = [0x40, 1, 1, 0];
        let next_hop = [0x40, 3, 4, 192, 0, 2, 1];
        let path = [0x40, 2, 6, 2, 2, 0xfd, 0xe8, 0x5b, 0xa0];
        let path4 = [0xc0, 17, 6, 2, 1, 0, 1, 0, 0];
        let aggregator = [0xc0, 7, 6, 0x5b, 0xa0, 1, 1, 1, 1];
        for (codec, attributes, octets) in [
            (new, vec![], 0),
            // NEXT_HOP is no part of the set.
            (new, [&origin[..], &next_hop].concat(), 4),
            (new, long(99, 255), 3 + 255),
            (new, long(99, 256), 4 + 256),
            (new, [long(99, 300), long(12, 1)].concat(), 304 + 4),
            // Widened: ten octets of path, eight of aggregator.
            (old, [&path[..], &aggregator].concat(), 13 + 11),
            (old, [&path[..], &path4, &aggregator].concat(), 13 + 11),
        ] {
            assert_eq!(measured(&attributes, &codec), (octets, octets));
        }
        // Communities that are repeated are in it once: more is reserved than is needed.
        let twice = [0xc0, 8, 12, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(measured(&twice, &new), (15, 11));
    }
}
