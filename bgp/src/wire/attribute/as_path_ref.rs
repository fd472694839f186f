//! AS_PATH as a view of its canonical value: the questions that the decision process asks, without an allocation.

use std::fmt;

use super::as_path_value::{AsPath, AsPathSegment, AsPathSegmentKind, write_text};
use crate::types::Asn;

const SEQUENCE: u8 = AsPathSegmentKind::Sequence.octet();

/// An AS_PATH in four-octet encoding, well-formed: it comes out of an [`super::AttributeSet`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AsPathRef<'a>(&'a [u8]);

/// One segment of an [`AsPathRef`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRef<'a> {
    /// Its type.
    pub kind: AsPathSegmentKind,
    /// How many AS numbers there are: as the segment's length field says.
    count: u8,
    asns: &'a [[u8; 4]],
}

impl<'a> SegmentRef<'a> {
    /// Its AS numbers, nearest first.
    pub fn asns(
        &self,
    ) -> impl DoubleEndedIterator<Item = Asn> + ExactSizeIterator + Clone + use<'a> {
        self.asns
            .iter()
            .map(|octets| Asn(u32::from_be_bytes(*octets)))
    }

    /// What it adds to the length of the path (RFC 4271 section 9.1.2.2, RFC 5065 section 5.3).
    const fn length(&self) -> u32 {
        match self.kind {
            AsPathSegmentKind::Sequence => self.count as u32,
            AsPathSegmentKind::Set => 1,
            AsPathSegmentKind::ConfedSequence | AsPathSegmentKind::ConfedSet => 0,
        }
    }
}

impl<'a> AsPathRef<'a> {
    /// A view of a value that has been checked.
    pub(in crate::wire) const fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// The segments, nearest first.
    pub fn segments(self) -> impl Iterator<Item = SegmentRef<'a>> + Clone {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&[kind, count], after) = rest.split_first_chunk()?;
            let (asns, after) = after.split_at_checked(usize::from(count) * 4)?;
            rest = after;
            Some(SegmentRef {
                kind: AsPathSegmentKind::from_octet(kind)?,
                count,
                asns: asns.as_chunks().0,
            })
        })
    }

    /// All AS numbers in segments of any type, nearest first.
    pub fn asns(self) -> impl Iterator<Item = Asn> + Clone {
        self.segments().flat_map(|segment| segment.asns())
    }

    /// Its length as the decision process counts it: a set is one, confederation segments nothing (RFC 4271 9.1.2.2).
    pub fn length(self) -> u32 {
        self.segments().map(|segment| segment.length()).sum()
    }

    /// The AS nearest to us: the first of the leftmost segment that is of no confederation. `None` if the path is empty
    /// there or begins with a set: then MED has no neighbouring AS to be compared within.
    pub fn first_as(self) -> Option<Asn> {
        let first = self
            .segments()
            .find(|segment| !segment.kind.is_confederation())?;
        match first.kind {
            AsPathSegmentKind::Sequence => first.asns().next(),
            _ => None,
        }
    }

    /// The AS that originated the route: the last of the path. `None` if the path is empty or ends with a set.
    pub fn origin_as(self) -> Option<Asn> {
        let last = self.segments().last()?;
        match last.kind {
            AsPathSegmentKind::Sequence => last.asns().next_back(),
            _ => None,
        }
    }

    /// How many times the AS stands in the path, in segments of any type: what loop detection compares with its
    /// allowance (RFC 4271 section 9.1.2).
    pub fn count(self, asn: Asn) -> usize {
        self.asns().filter(|found| *found == asn).count()
    }

    /// Whether there is an AS_SET or AS_CONFED_SET, which RFC 9774 deprecates.
    pub fn has_set(self) -> bool {
        self.segments().any(|s| {
            matches!(
                s.kind,
                AsPathSegmentKind::Set | AsPathSegmentKind::ConfedSet
            )
        })
    }

    /// Whether there is no segment: the route is of this AS.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The structured value.
    pub fn to_path(self) -> AsPath {
        let segments = self.segments().map(|segment| AsPathSegment {
            kind: segment.kind,
            asns: segment.asns().collect(),
        });
        AsPath {
            segments: segments.collect(),
        }
    }

    /// Writes the value, in canonical form, with the AS number so many times in front: see [`AsPath::prepend`].
    pub(super) fn prepended(self, asn: Asn, times: usize, out: &mut Vec<u8>) {
        let rest = match self.sequence_with_room(times) {
            Some((count, rest)) => {
                out.extend_from_slice(&[SEQUENCE, count]);
                out.extend(std::iter::repeat_n(asn.0.to_be_bytes(), times).flatten());
                rest
            }
            None => {
                let asns = std::iter::repeat_n(asn, times);
                write_segments(AsPathSegmentKind::Sequence, asns, out);
                self.0
            }
        };
        out.extend_from_slice(rest);
    }

    /// How many octets [`AsPathRef::prepended`] writes.
    pub(super) fn prepended_len(self, times: usize) -> usize {
        let added = match self.sequence_with_room(times) {
            Some(_) => times * 4,
            None => Self::prepended_by(times),
        };
        self.0.len() + added
    }

    /// How many octets a path grows by at most with so many AS numbers in front.
    pub(super) const fn prepended_by(times: usize) -> usize {
        times * 4 + times.div_ceil(255) * 2
    }

    /// The first segment's count with so many more and what follows, if it is an AS_SEQUENCE that can take them.
    fn sequence_with_room(self, more: usize) -> Option<(u8, &'a [u8])> {
        match self.0.split_first_chunk() {
            Some((&[SEQUENCE, count], rest)) => {
                let count = count.checked_add(u8::try_from(more).ok()?)?;
                Some((count, rest))
            }
            _ => None,
        }
    }

    /// Writes the value for a speaker of two-octet AS numbers. Returns whether a number did not fit, so that AS4_PATH
    /// must accompany it (RFC 6793 section 4.2.2).
    pub(in crate::wire) fn write_narrow(self, out: &mut Vec<u8>) -> bool {
        let mut wide = false;
        for segment in self.segments() {
            out.extend_from_slice(&[segment.kind.octet(), segment.count]);
            for asn in segment.asns() {
                wide |= asn.0 > 0xffff;
                out.extend_from_slice(&asn.to_two_octets().to_be_bytes());
            }
        }
        wide
    }

    /// Writes the value of AS4_PATH: without confederation segments (RFC 6793 section 4.2.2).
    pub(in crate::wire) fn write_as4(self, out: &mut Vec<u8>) {
        for segment in self.segments().filter(|s| !s.kind.is_confederation()) {
            write_segments(segment.kind, segment.asns(), out);
        }
    }
}

impl fmt::Display for AsPathRef<'_> {
    /// As [`AsPath`] is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(
            f,
            self.segments()
                .map(|segment| (segment.kind, segment.asns())),
        )
    }
}

impl fmt::Debug for AsPathRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsPathRef({self})")
    }
}

/// Writes AS numbers as one segment; more than the 255 that it can have as several, none as no segment.
pub(super) fn write_segments(
    kind: AsPathSegmentKind,
    mut asns: impl ExactSizeIterator<Item = Asn>,
    out: &mut Vec<u8>,
) {
    while asns.len() > 0 {
        let count = u8::try_from(asns.len()).unwrap_or(u8::MAX);
        out.extend_from_slice(&[kind.octet(), count]);
        for asn in asns.by_ref().take(count.into()) {
            out.extend_from_slice(&asn.0.to_be_bytes());
        }
    }
}
