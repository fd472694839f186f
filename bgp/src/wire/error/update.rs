//! What can be wrong with an UPDATE, and what follows from it (RFC 7606).

use bytes::Bytes;

use super::super::attribute::AttributeCode;
use super::super::{Notification, NotificationCode};
use super::parts::{AsPathFault, NlriPlace, PrefixFault, TlvFault};
use crate::types::{Family, NextHop};

/// What a fault in an UPDATE leads to, weakest first (RFC 7606 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The attribute is dropped, the routes are used.
    AttributeDiscard,
    /// The routes of the message are withdrawn.
    TreatAsWithdraw,
    /// The session is closed with a NOTIFICATION.
    SessionReset,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::AttributeDiscard => "attribute discarded",
            Self::TreatAsWithdraw => "routes treated as withdrawn",
            Self::SessionReset => "session reset",
        })
    }
}

/// One thing that was wrong with an UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was found, what was expected, and where.
    pub reason: UpdateFault,
    /// What follows from it.
    pub outcome: Outcome,
    /// The NOTIFICATION it maps to if the outcome is a reset.
    pub code: NotificationCode,
    /// The attribute concerned as it came: flags, code, length and value. Empty if it is not about one. It is a slice
    /// of the message: copy it if it is to be kept.
    pub attribute: Bytes,
}

impl Fault {
    /// A fault with its code from the mapping.
    pub(in crate::wire) fn new(reason: UpdateFault, outcome: Outcome, attribute: Bytes) -> Self {
        Self {
            code: reason.code(),
            reason,
            outcome,
            attribute,
        }
    }

    /// The NOTIFICATION for it, with the data that RFC 4271 section 6.3 asks for.
    pub fn notification(&self) -> Notification {
        let data = match &self.reason {
            UpdateFault::Missing { code } => Bytes::copy_from_slice(&[code.0]),
            _ => match self.code {
                NotificationCode::UNRECOGNIZED_WELL_KNOWN
                | NotificationCode::ATTRIBUTE_FLAGS
                | NotificationCode::ATTRIBUTE_LENGTH
                | NotificationCode::INVALID_ORIGIN
                | NotificationCode::INVALID_NEXT_HOP
                | NotificationCode::OPTIONAL_ATTRIBUTE => self.attribute.clone(),
                _ => Bytes::new(),
            },
        };
        Notification::with_data(self.code, data)
    }
}

impl std::fmt::Display for Fault {
    /// `ORIGIN: length 2; expected 1 octet (routes treated as withdrawn)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.reason, self.outcome)
    }
}

/// Why a part of an UPDATE cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateFault {
    /// A length field at the front of the message that points past its end.
    #[error("{field} is {length}, but {available} octets follow")]
    FieldLength {
        /// Withdrawn Routes Length or Total Path Attribute Length.
        field: &'static str,
        /// What it says.
        length: usize,
        /// What is there.
        available: usize,
    },
    /// Too few octets are left for the header of another attribute.
    #[error("path attributes: {available} octets left at the end; no attribute is that short")]
    AttributeHeader {
        /// How many.
        available: usize,
    },
    /// An attribute that ends after the attributes do.
    #[error("{code}: length {length}, but {available} octets are left of the path attributes")]
    AttributeOverrun {
        /// The attribute.
        code: AttributeCode,
        /// What its length field says.
        length: usize,
        /// What is there.
        available: usize,
    },
    /// An attribute's Optional or Transitive bit contradicts its type (RFC 7606 section 3 c).
    #[error("{code}: flags 0x{found:02x}; expected 0x{expected:02x}")]
    Flags {
        /// The attribute.
        code: AttributeCode,
        /// The two bits found.
        found: u8,
        /// The two bits expected.
        expected: u8,
    },
    /// An attribute for a second time; the first one counts (RFC 7606 section 3 g).
    #[error("{code}: more than once; the first is used")]
    Repeated {
        /// The attribute.
        code: AttributeCode,
    },
    /// MP_REACH_NLRI or MP_UNREACH_NLRI for a second time (RFC 7606 section 3 g).
    #[error("{code}: more than once")]
    RepeatedRoutes {
        /// The attribute.
        code: AttributeCode,
    },
    /// A mandatory attribute is not there (RFC 7606 section 3 d).
    #[error("{code}: missing, and mandatory where routes are announced")]
    Missing {
        /// The attribute.
        code: AttributeCode,
    },
    /// An attribute marked well-known that is not assigned.
    #[error("{code}: marked as well-known, and not known")]
    UnrecognizedWellKnown {
        /// The attribute.
        code: AttributeCode,
    },
    /// An attribute that has no place in this kind of session.
    #[error("{code}: has no meaning {context}")]
    OutOfPlace {
        /// The attribute.
        code: AttributeCode,
        /// Where it has none.
        context: &'static str,
    },
    /// A triple of type, length and value within an attribute that cannot be.
    #[error("{code}: {reason} at octet {offset}")]
    Tlv {
        /// The attribute.
        code: AttributeCode,
        /// What was wrong.
        reason: TlvFault,
        /// Where in the value of the attribute the triple begins.
        offset: usize,
    },
    /// An attribute whose routes the operator wants to be treated as withdrawn. The peer's message is not at fault.
    #[error("{code}: its routes are not wanted (attributeFilter.treatAsWithdraw)")]
    Filtered {
        /// The attribute.
        code: AttributeCode,
    },
    /// A value of the wrong length.
    #[error("{code}: length {length}; expected {expected}")]
    Length {
        /// The attribute.
        code: AttributeCode,
        /// What was found.
        length: usize,
        /// In words.
        expected: &'static str,
    },
    /// ORIGIN over 2.
    #[error("ORIGIN: value {0}; expected 0, 1 or 2")]
    Origin(u8),
    /// A path that cannot be read.
    #[error("{code}: {reason}")]
    AsPath {
        /// AS_PATH or AS4_PATH.
        code: AttributeCode,
        /// What was wrong.
        reason: AsPathFault,
    },
    /// A path of a speaker of two-octet AS numbers that no attribute can hold with the four octets that each has here
    /// (RFC 6793 section 4.2.3), AS4_PATH merged in.
    #[error(
        "{code}: {length} octets with AS numbers of four octets; no attribute can have more than 65535"
    )]
    TooLong {
        /// The attribute.
        code: AttributeCode,
        /// How many octets its value would have.
        length: usize,
    },
    /// AGGREGATOR or AS4_AGGREGATOR from AS 0 (RFC 7607).
    #[error("{code}: AS 0 must not be used")]
    ZeroAs {
        /// The attribute.
        code: AttributeCode,
    },
    /// A next hop that is no host's address.
    #[error("{code}: next hop {next_hop} is no address of a host")]
    NextHop {
        /// NEXT_HOP or MP_REACH_NLRI.
        code: AttributeCode,
        /// What was found.
        next_hop: NextHop,
    },
    /// A next hop of impossible length: what follows it cannot be found (RFC 7606 section 7.11).
    #[error("MP_REACH_NLRI: next hop of {length} octets for {family}; expected {expected}")]
    NextHopLength {
        /// The family of the routes.
        family: Family,
        /// What was found.
        length: usize,
        /// In words.
        expected: &'static str,
    },
    /// MP_REACH_NLRI or MP_UNREACH_NLRI too short for what it must hold.
    #[error("{code}: {length} octets, which is too short")]
    RoutesTruncated {
        /// The attribute.
        code: AttributeCode,
        /// What was found.
        length: usize,
    },
    /// A prefix that cannot be.
    #[error("{place}: {reason} at octet {offset}")]
    Prefix {
        /// Where.
        place: NlriPlace,
        /// What was wrong.
        reason: PrefixFault,
        /// Where in the field the prefix starts.
        offset: usize,
    },
    /// Routes of a family that was not negotiated; they are ignored.
    #[error("{place}: routes of {family}, which was not negotiated")]
    Family {
        /// Where.
        place: NlriPlace,
        /// Which family.
        family: Family,
    },
}

impl UpdateFault {
    /// The NOTIFICATION code for it (RFC 4271 section 6.3, RFC 4760 section 7).
    pub const fn code(&self) -> NotificationCode {
        use NotificationCode as Code;
        match self {
            Self::FieldLength { .. }
            | Self::AttributeHeader { .. }
            | Self::AttributeOverrun { .. }
            | Self::Repeated { .. }
            | Self::RepeatedRoutes { .. } => Code::MALFORMED_ATTRIBUTE_LIST,
            Self::Flags { .. } => Code::ATTRIBUTE_FLAGS,
            Self::Missing { .. } => Code::MISSING_WELL_KNOWN,
            Self::UnrecognizedWellKnown { .. } => Code::UNRECOGNIZED_WELL_KNOWN,
            Self::Length { .. } | Self::TooLong { .. } => Code::ATTRIBUTE_LENGTH,
            Self::Origin(_) => Code::INVALID_ORIGIN,
            Self::AsPath { .. } => Code::MALFORMED_AS_PATH,
            Self::NextHop { code, .. } if code.0 == AttributeCode::NEXT_HOP.0 => {
                Code::INVALID_NEXT_HOP
            }
            Self::NextHop { .. }
            | Self::NextHopLength { .. }
            | Self::RoutesTruncated { .. }
            | Self::OutOfPlace { .. }
            | Self::Tlv { .. }
            | Self::Filtered { .. }
            | Self::ZeroAs { .. } => Code::OPTIONAL_ATTRIBUTE,
            Self::Prefix { place, .. } | Self::Family { place, .. } => match place {
                NlriPlace::WithdrawnRoutes | NlriPlace::Nlri => Code::INVALID_NETWORK_FIELD,
                NlriPlace::MpReach | NlriPlace::MpUnreach => Code::OPTIONAL_ATTRIBUTE,
            },
        }
    }
}
