//! What can be wrong within an attribute or a field of an UPDATE: a TLV, an AS path, a prefix.

use crate::types::Asn;

/// What was wrong with a triple of type, length and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlvFault {
    /// Too few octets for type and length.
    #[error("{available} octets left, too few for another TLV,")]
    Header {
        /// How many.
        available: usize,
    },
    /// It ends after what holds it does.
    #[error("a TLV of length {length}, but {available} octets are left,")]
    Overrun {
        /// What its length field says.
        length: usize,
        /// What is there.
        available: usize,
    },
    /// A length that its type cannot have.
    #[error("a TLV of type {kind} and length {length}, expected {expected},")]
    Length {
        /// Its type.
        kind: u16,
        /// What its length field says.
        length: usize,
        /// In words.
        expected: &'static str,
    },
}

/// What was wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsPathFault {
    /// A segment of a type that is not assigned.
    #[error("segment type {0}; expected 1 to 4")]
    SegmentType(u8),
    /// A segment without AS numbers.
    #[error("a segment without AS numbers")]
    EmptySegment,
    /// A segment that ends after the attribute does.
    #[error("a segment of {asns} AS numbers, but {available} octets are left")]
    Overrun {
        /// How many AS numbers it says.
        asns: u8,
        /// What is there.
        available: usize,
    },
    /// Octets behind the last segment that are too few for another.
    #[error("{0} octets left at the end; no segment is that short")]
    SegmentHeader(usize),
    /// AS 0 (RFC 7607).
    #[error("AS 0 must not be used")]
    ZeroAs,
    /// A confederation's segment from outside of a confederation (RFC 5065 section 5).
    #[error("a confederation segment from outside of the confederation")]
    Confederation,
    /// A path from an external peer that does not begin with its AS (RFC 4271 section 6.3).
    #[error("the path begins with {}; expected the peer's AS {expected}", DisplayFirst(*.found))]
    FirstAs {
        /// What it begins with; `None` if with no AS_SEQUENCE.
        found: Option<Asn>,
        /// The peer's AS.
        expected: Asn,
    },
}

struct DisplayFirst(Option<Asn>);

impl std::fmt::Display for DisplayFirst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(asn) => write!(f, "AS {asn}"),
            None => f.write_str("no AS sequence"),
        }
    }
}

/// What was wrong with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixFault {
    /// Longer than an address.
    #[error("a prefix length of {length}, over {max},")]
    TooLong {
        /// What was found.
        length: u8,
        /// Bits of an address.
        max: u8,
    },
    /// A prefix or path identifier that ends after the field does.
    #[error("a prefix that ends after the field")]
    Overrun,
}

/// Where routes stand in an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NlriPlace {
    /// The Withdrawn Routes field.
    WithdrawnRoutes,
    /// The Network Layer Reachability Information field.
    Nlri,
    /// MP_REACH_NLRI.
    MpReach,
    /// MP_UNREACH_NLRI.
    MpUnreach,
}

impl std::fmt::Display for NlriPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::WithdrawnRoutes => "Withdrawn Routes",
            Self::Nlri => "NLRI",
            Self::MpReach => "MP_REACH_NLRI",
            Self::MpUnreach => "MP_UNREACH_NLRI",
        })
    }
}
