//! AS_PATH as a structured value: what policies change and people read.

use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;

use super::as_path_ref::{AsPathRef, write_segments};
use crate::types::Asn;
use crate::types::text::serde_as_text;

/// AS_PATH as its segments. As text, and in JSON, `64500 64501 {64502,64503}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AsPath {
    /// Nearest AS first.
    pub segments: Vec<AsPathSegment>,
}

/// One segment of an AS_PATH.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AsPathSegment {
    /// Its type.
    pub kind: AsPathSegmentKind,
    /// Its AS numbers, nearest first; 1 to 255 of them.
    pub asns: Vec<Asn>,
}

/// The type of an AS_PATH segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsPathSegmentKind {
    /// AS_SET.
    Set,
    /// AS_SEQUENCE.
    Sequence,
    /// AS_CONFED_SEQUENCE (RFC 5065).
    ConfedSequence,
    /// AS_CONFED_SET (RFC 5065).
    ConfedSet,
}

impl AsPathSegmentKind {
    pub(super) const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Set,
            2 => Self::Sequence,
            3 => Self::ConfedSequence,
            4 => Self::ConfedSet,
            _ => return None,
        })
    }

    pub(super) const fn octet(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    /// Whether it is one of the two of RFC 5065.
    pub const fn is_confederation(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }

    /// What stands around its AS numbers in text.
    const fn brackets(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Sequence => ("", " ", ""),
            Self::Set => ("{", ",", "}"),
            Self::ConfedSequence => ("(", " ", ")"),
            Self::ConfedSet => ("[", ",", "]"),
        }
    }
}

impl AsPath {
    /// A path of one AS_SEQUENCE; empty if there is no AS number.
    pub fn sequence(asns: impl IntoIterator<Item = Asn>) -> Self {
        let mut path = Self::default();
        path.push_segment(AsPathSegmentKind::Sequence, asns);
        path
    }

    fn push_segment(&mut self, kind: AsPathSegmentKind, asns: impl IntoIterator<Item = Asn>) {
        let asns: Vec<Asn> = asns.into_iter().collect();
        if !asns.is_empty() {
            self.segments.push(AsPathSegment { kind, asns });
        }
    }

    /// Puts the AS number `times` times in front (RFC 4271 section 5.1.2).
    pub fn prepend(&mut self, asn: Asn, times: usize) {
        if times == 0 {
            return;
        }
        let new = std::iter::repeat_n(asn, times);
        match self.segments.first_mut() {
            Some(first)
                if first.kind == AsPathSegmentKind::Sequence && first.asns.len() + times <= 255 =>
            {
                first.asns.splice(0..0, new);
            }
            _ => {
                let segment = AsPathSegment {
                    kind: AsPathSegmentKind::Sequence,
                    asns: new.collect(),
                };
                self.segments.insert(0, segment);
            }
        }
    }

    /// Puts `new` in the place of every AS number that `matches`.
    pub fn replace(&mut self, new: Asn, matches: impl Fn(Asn) -> bool) {
        for asn in self
            .segments
            .iter_mut()
            .flat_map(|segment| &mut segment.asns)
        {
            if matches(*asn) {
                *asn = new;
            }
        }
    }

    /// Removes every AS number that `matches`, such as [`Asn::is_private`]. Segments left empty go too.
    pub fn remove(&mut self, matches: impl Fn(Asn) -> bool) {
        for segment in &mut self.segments {
            segment.asns.retain(|asn| !matches(*asn));
        }
        self.segments.retain(|segment| !segment.asns.is_empty());
    }

    /// Removes the segments of confederations, as at the border of one (RFC 5065 section 4.1).
    pub fn remove_confederation(&mut self) {
        self.segments
            .retain(|segment| !segment.kind.is_confederation());
    }

    /// Its length as the decision process counts it: a set is one, confederation segments nothing (RFC 4271 9.1.2.2).
    pub fn length(&self) -> u32 {
        self.with_ref(|path| path.length())
    }

    /// The AS nearest to us; see [`AsPathRef::first_as`].
    pub fn first_as(&self) -> Option<Asn> {
        self.with_ref(|path| path.first_as())
    }

    /// The AS that originated the route; see [`AsPathRef::origin_as`].
    pub fn origin_as(&self) -> Option<Asn> {
        self.with_ref(|path| path.origin_as())
    }

    /// How many times the AS stands in the path, in segments of any type.
    pub fn count(&self, asn: Asn) -> usize {
        self.with_ref(|path| path.count(asn))
    }

    /// Whether there is no segment: the route is of this AS.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.asns.is_empty())
    }

    /// The value in canonical form, as [`super::Edit`] takes it.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Writes the canonical value. Segments without AS numbers are left out, those over 255 split.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for segment in &self.segments {
            write_segments(segment.kind, segment.asns.iter().copied(), out);
        }
    }

    /// So that there is one implementation of each question about a path.
    fn with_ref<T>(&self, ask: impl FnOnce(AsPathRef<'_>) -> T) -> T {
        ask(AsPathRef::new(&self.to_canonical()))
    }
}

impl fmt::Display for AsPath {
    /// Sequences plain, sets as `{1,2}`, confederation sequences as `(1 2)`, confederation sets as `[1,2]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.segments.iter();
        write_text(
            f,
            parts.map(|segment| (segment.kind, segment.asns.iter().copied())),
        )
    }
}

/// Writes segments in the notation of [`AsPath`].
pub(super) fn write_text(
    f: &mut fmt::Formatter<'_>,
    segments: impl Iterator<Item = (AsPathSegmentKind, impl Iterator<Item = Asn>)>,
) -> fmt::Result {
    for (at, (kind, asns)) in segments.enumerate() {
        let (open, between, close) = kind.brackets();
        write!(f, "{}{open}", if at == 0 { "" } else { " " })?;
        for (at, asn) in asns.enumerate() {
            write!(f, "{}{asn}", if at == 0 { "" } else { between })?;
        }
        f.write_str(close)?;
    }
    Ok(())
}

/// Text that is no AS path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an AS path: expected AS numbers, and sets in braces: 64500 64501 {{64502,64503}}"
)]
pub struct ParseAsPathError(String);

impl FromStr for AsPath {
    type Err = ParseAsPathError;

    /// Reads what `Display` writes. Neighbouring sequences, which look like one, become one.
    fn from_str(s: &str) -> Result<Self, ParseAsPathError> {
        let parsed = || -> Option<Self> {
            let mut path = Self::default();
            let mut rest = s.trim();
            while !rest.is_empty() {
                let (kind, close) = match rest.as_bytes()[0] {
                    b'{' => (AsPathSegmentKind::Set, Some('}')),
                    b'(' => (AsPathSegmentKind::ConfedSequence, Some(')')),
                    b'[' => (AsPathSegmentKind::ConfedSet, Some(']')),
                    _ => (AsPathSegmentKind::Sequence, None),
                };
                let (inside, after) = match close {
                    Some(close) => rest[1..].split_once(close)?,
                    None => rest.split_at(rest.find(['{', '(', '[']).unwrap_or(rest.len())),
                };
                let asns = inside
                    .split([' ', ','])
                    .filter(|text| !text.is_empty())
                    .map(|text| text.parse::<Asn>().ok())
                    .collect::<Option<SmallVec<[Asn; 8]>>>()?;
                if asns.is_empty() {
                    return None;
                }
                path.push_segment(kind, asns);
                rest = after.trim_start();
            }
            Some(path)
        };
        parsed().ok_or_else(|| ParseAsPathError(s.to_owned()))
    }
}

serde_as_text!(AsPath);

#[cfg(test)]
mod tests;
