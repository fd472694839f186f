//! The walk over the path attributes of a message: each is checked by its row, and its position recorded.

use bytes::Bytes;
use nom::Parser;
use nom::number::complete::{be_u8, be_u16};
use smallvec::SmallVec;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use crate::types::{Family, NextHop};
use crate::wire::attribute::{
    AttributeCode, Canonical, EXTENDED_LENGTH, OPTIONAL, OPTIONAL_TRANSITIVE, Row, Scope, TABLE,
    TRANSITIVE, index, opaque, rows,
};
use crate::wire::{Fault, Outcome, PeerKind, UpdateCodec, UpdateFault};

/// One attribute as it came.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    /// Its flags.
    pub(super) flags: u8,
    /// Its type code.
    pub(super) code: AttributeCode,
    /// Its value.
    pub(super) value: &'a [u8],
    /// All of it: flags, code, length and value.
    raw: &'a [u8],
}

/// The lengths of an attribute as it came: of what stands before its value, and of that, as its length field says.
#[derive(Clone, Copy)]
struct Lengths {
    header: u16,
    value: u16,
}

/// Where an attribute stands in the field of attributes, which has at most 65,535 octets. Eight octets, so that the table
/// of a message is small: it is cleared for every message.
#[derive(Clone, Copy)]
struct Place {
    flags: u8,
    code: AttributeCode,
    start: u16,
    /// Behind flags, code and length, so never 0.
    value: NonZeroU16,
    end: u16,
}

impl Place {
    /// Of an attribute that starts there; `None` past the 65,535 octets that the field can have.
    fn new(received: &Received<'_>, lengths: Lengths, start: u16) -> Option<Self> {
        let value = start.checked_add(lengths.header)?;
        Some(Self {
            flags: received.flags,
            code: received.code,
            start,
            value: NonZeroU16::new(value)?,
            end: value.checked_add(lengths.value)?,
        })
    }
}

/// The attributes of a message that can be used.
pub(super) struct Attributes<'a> {
    /// All attributes as they came.
    field: &'a [u8],
    /// By place in the table.
    known: [Option<Place>; TABLE.len()],
    /// A bit for each of `known` that is there.
    present: u32,
    /// Optional transitive ones without a row, in the order of the message.
    unknown: SmallVec<[Place; 4]>,
    /// Type codes that occurred, well-formed or not.
    seen: [u64; 4],
    /// How many occurred.
    count: usize,
    /// How many were discarded, or will make their routes count as withdrawn, because of the peer's filter.
    filtered: u32,
    /// Whether the message has an NLRI field, which NEXT_HOP is about.
    has_nlri: bool,
}

impl<'a> Attributes<'a> {
    fn at(&self, place: Place) -> Received<'a> {
        Received {
            flags: place.flags,
            code: place.code,
            value: &self.field[usize::from(place.value.get())..usize::from(place.end)],
            raw: &self.field[usize::from(place.start)..usize::from(place.end)],
        }
    }

    /// Those of the table that were there and well-formed, ascending by type code.
    pub(super) fn known(&self) -> impl Iterator<Item = (&'static Row, Received<'a>)> + '_ {
        let mut left = self.present;
        std::iter::from_fn(move || {
            let at = left.trailing_zeros() as usize;
            let place = (*self.known.get(at)?)?;
            left &= left - 1;
            Some((&rows()[at], self.at(place)))
        })
    }

    /// Optional transitive ones without a row, in the order of the message.
    pub(super) fn unknown(&self) -> impl ExactSizeIterator<Item = Received<'a>> + '_ {
        self.unknown.iter().map(|place| self.at(*place))
    }

    /// An attribute of the table, if it was there and well-formed.
    pub(super) fn received(&self, code: AttributeCode) -> Option<Received<'a>> {
        self.known[index(code)?].map(|place| self.at(place))
    }

    /// Its value.
    pub(super) fn value(&self, code: AttributeCode) -> Option<&'a [u8]> {
        self.received(code).map(|received| received.value)
    }

    /// The whole attribute, to be kept with a fault.
    pub(super) fn raw(&self, code: AttributeCode, body: &Bytes) -> Bytes {
        self.received(code)
            .map_or_else(Bytes::new, |received| body.slice_ref(received.raw))
    }

    /// The next hop of the NLRI field.
    pub(super) fn classic_next_hop(&self) -> Option<NextHop> {
        let octets = <[u8; 4]>::try_from(self.value(AttributeCode::NEXT_HOP)?).ok()?;
        Some(NextHop::Ipv4(Ipv4Addr::from(octets)))
    }

    /// Remembers that the code occurred; whether it had before.
    fn see(&mut self, code: AttributeCode) -> bool {
        let (word, bit) = (usize::from(code.0 / 64), 1 << (code.0 % 64));
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        self.count += 1;
        before
    }

    /// How many the peer's filter was applied to.
    pub(super) const fn filtered(&self) -> u32 {
        self.filtered
    }

    /// Whether the attribute is going to stand in the set, where its receiver sees it.
    fn is_in_set(&self, code: AttributeCode) -> bool {
        match index(code) {
            Some(at) => self.known[at].is_some() && rows()[at].canonical != Canonical::Absent,
            None => self.unknown.iter().any(|place| place.code == code),
        }
    }

    fn has_seen(&self, code: AttributeCode) -> bool {
        self.seen[usize::from(code.0 / 64)] & (1 << (code.0 % 64)) != 0
    }

    /// Missing mandatory attributes treat the routes as withdrawn (RFC 7606 section 3 d). One that is there and malformed
    /// has its own fault already.
    pub(super) fn check_mandatory(&self, has_nlri: bool, faults: &mut Vec<Fault>) {
        let has_mp = self.has_seen(AttributeCode::MP_REACH_NLRI);
        let mut demand = |code, demanded: bool| {
            if demanded && !self.has_seen(code) {
                let reason = UpdateFault::Missing { code };
                faults.push(Fault::new(reason, Outcome::TreatAsWithdraw, Bytes::new()));
            }
        };
        demand(AttributeCode::ORIGIN, has_nlri || has_mp);
        demand(AttributeCode::AS_PATH, has_nlri || has_mp);
        // With MP_REACH_NLRI alone it is not sent, and ignored if it is (RFC 4760 section 3).
        demand(AttributeCode::NEXT_HOP, has_nlri);
    }

    /// Whether the message announces routes, of whichever family.
    pub(super) fn has_routes(&self) -> bool {
        self.has_nlri || self.has_mp_routes()
    }

    /// Whether MP_REACH_NLRI holds octets of routes, of whichever family.
    fn has_mp_routes(&self) -> bool {
        self.value(AttributeCode::MP_REACH_NLRI)
            .is_some_and(|value| {
                let next_hop = value.get(3).map_or(0, |length| usize::from(*length));
                value.len() > 5 + next_hop
            })
    }

    /// The family whose End-of-RIB the message is, if it announces and withdraws nothing: MP_UNREACH_NLRI without routes
    /// and no other attribute (RFC 4724 section 2).
    pub(super) fn end_of_rib(
        &self,
        nothing_withdrawn: bool,
        codec: &UpdateCodec,
    ) -> Option<Family> {
        let value = self.value(AttributeCode::MP_UNREACH_NLRI)?;
        match (value, self.count, nothing_withdrawn) {
            (&[high, low, safi], 1, true) => {
                let family = Family::new(u16::from_be_bytes([high, low]), safi);
                codec.family(family).map(|_| family)
            }
            _ => None,
        }
    }
}

/// Reads all attributes. `Err` is a fault that resets the session.
pub(super) fn read_attributes<'a>(
    field: &'a [u8],
    has_nlri: bool,
    body: &Bytes,
    codec: &UpdateCodec,
    faults: &mut Vec<Fault>,
) -> Result<Attributes<'a>, Fault> {
    let mut attributes = Attributes {
        field,
        present: 0,
        known: [None; TABLE.len()],
        unknown: SmallVec::new(),
        seen: [0; 4],
        count: 0,
        filtered: 0,
        has_nlri,
    };
    let (mut rest, mut start) = (field, 0);
    while !rest.is_empty() {
        match split(rest, start) {
            Ok((after, received, place)) => {
                (rest, start) = (after, place.end);
                if codec.filtered.contains(received.code) {
                    take_filtered(&mut attributes, received, place, body, codec, faults);
                } else {
                    take(&mut attributes, received, place, body, codec, faults)?;
                }
            }
            // RFC 7606 section 4: the remaining attributes cannot be found, the NLRI field can.
            Err(reason) => {
                let raw = body.slice_ref(rest);
                faults.push(Fault::new(reason, Outcome::TreatAsWithdraw, raw));
                break;
            }
        }
    }
    Ok(attributes)
}

/// Splits the first attribute off, which starts at octet `start` of all.
fn split(field: &[u8], start: u16) -> Result<(&[u8], Received<'_>, Place), UpdateFault> {
    let short = |_: nom::Err<()>| UpdateFault::AttributeHeader {
        available: field.len(),
    };
    let (rest, (flags, code)) = (be_u8, be_u8).parse(field).map_err(short)?;
    let (rest, lengths) = match flags & EXTENDED_LENGTH {
        0 => {
            let (rest, value) = be_u8.map(u16::from).parse(rest).map_err(short)?;
            (rest, Lengths { header: 3, value })
        }
        _ => {
            let (rest, value) = be_u16(rest).map_err(short)?;
            (rest, Lengths { header: 4, value })
        }
    };
    let code = AttributeCode(code);
    let length = usize::from(lengths.value);
    let overrun = || UpdateFault::AttributeOverrun {
        code,
        length,
        available: rest.len(),
    };
    let (value, after) = rest.split_at_checked(length).ok_or_else(overrun)?;
    let raw = &field[..field.len() - after.len()];
    let received = Received {
        flags,
        code,
        value,
        raw,
    };
    let place = Place::new(&received, lengths, start).ok_or_else(overrun)?;
    Ok((after, received, place))
}

/// An attribute that the peer's filter names. Nothing in it can reset the session: it is discarded without being
/// parsed, or its routes are treated as withdrawn. Where it will stand in the set, that is left to who takes in the
/// routes, so that people see what became of them.
#[cold]
fn take_filtered(
    attributes: &mut Attributes<'_>,
    received: Received<'_>,
    place: Place,
    body: &Bytes,
    codec: &UpdateCodec,
    faults: &mut Vec<Fault>,
) {
    let code = received.code;
    attributes.filtered += 1;
    if !codec.filtered.treats_as_withdraw(code) {
        attributes.see(code);
        return;
    }
    let before = faults.len();
    let taken = take(attributes, received, place, body, codec, faults);
    if taken.is_err() || faults.len() > before || !attributes.is_in_set(code) {
        faults.truncate(before);
        let reason = UpdateFault::Filtered { code };
        let raw = body.slice_ref(received.raw);
        faults.push(Fault::new(reason, Outcome::TreatAsWithdraw, raw));
    }
}

/// Checks one attribute and remembers it. `Err` is a fault that resets the session.
///
/// Inlined into the walk: the call from [`take_filtered`] would otherwise cost every attribute of every message a call.
#[inline(always)]
fn take(
    attributes: &mut Attributes<'_>,
    received: Received<'_>,
    place: Place,
    body: &Bytes,
    codec: &UpdateCodec,
    faults: &mut Vec<Fault>,
) -> Result<(), Fault> {
    let Received {
        flags, code, value, ..
    } = received;
    let fault = |reason, outcome| Fault::new(reason, outcome, body.slice_ref(received.raw));
    if attributes.see(code) {
        // RFC 7606 section 3 g.
        if code == AttributeCode::MP_REACH_NLRI || code == AttributeCode::MP_UNREACH_NLRI {
            return Err(fault(
                UpdateFault::RepeatedRoutes { code },
                Outcome::SessionReset,
            ));
        }
        faults.push(fault(
            UpdateFault::Repeated { code },
            Outcome::AttributeDiscard,
        ));
        return Ok(());
    }
    let Some(at) = index(code) else {
        if let Some((reason, outcome)) = opaque(code).and_then(|known| (known.check)(flags, value))
        {
            faults.push(fault(reason, outcome));
            return Ok(());
        }
        if flags & OPTIONAL == 0 {
            // RFC 4271 section 6.3; RFC 7606 leaves it as it was.
            let reason = UpdateFault::UnrecognizedWellKnown { code };
            return Err(fault(reason, Outcome::SessionReset));
        }
        // RFC 4271 section 5: what is not transitive is quietly ignored.
        if flags & TRANSITIVE != 0 {
            attributes.unknown.push(place);
        }
        return Ok(());
    };
    if code == AttributeCode::NEXT_HOP && !attributes.has_nlri {
        // RFC 4760 section 3: beside MP_REACH_NLRI it is ignored. Some send 0.0.0.0 there.
        return Ok(());
    }
    let row = &rows()[at];
    let out_of_place = match row.scope {
        Scope::InternalPeers if codec.peer == PeerKind::External => Some("from an external peer"),
        Scope::OldSpeakers if codec.four_octet_as => {
            Some("from a speaker of four-octet AS numbers")
        }
        Scope::Anyone | Scope::InternalPeers | Scope::OldSpeakers => None,
    };
    if let Some(context) = out_of_place {
        let reason = UpdateFault::OutOfPlace { code, context };
        faults.push(fault(reason, Outcome::AttributeDiscard));
        return Ok(());
    }
    let (found, expected) = (flags & OPTIONAL_TRANSITIVE, row.class.flags());
    if found != expected {
        // RFC 7606 section 3 c. The routes are still read: they are what is withdrawn.
        let reason = UpdateFault::Flags {
            code,
            found,
            expected,
        };
        faults.push(fault(reason, Outcome::TreatAsWithdraw));
    }
    match (row.check)(value, codec) {
        Ok(()) => {
            attributes.known[at] = Some(place);
            attributes.present |= 1 << at;
        }
        Err(reason) if row.malformed == Outcome::SessionReset => {
            return Err(fault(reason, Outcome::SessionReset));
        }
        Err(reason) => faults.push(fault(reason, row.malformed)),
    }
    Ok(())
}
