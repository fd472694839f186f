//! What can be wrong with bytes from a peer, and what follows from it.
//!
//! Two kinds. A [`WireError`] ends the session: header, OPEN, NOTIFICATION and ROUTE-REFRESH. A [`Fault`] is one thing
//! wrong with an UPDATE, with its RFC 7606 outcome. Either has a reason that says what was found, what was expected and
//! where, and each reason maps to exactly one NOTIFICATION: [`WireFault::notification`] and [`UpdateFault::code`].

use bytes::Bytes;

use super::attribute::AttributeCode;
use super::{MessageKind, Notification, NotificationCode};
use crate::types::{Asn, BgpIdentifier, Family, NextHop};

/// A message that cannot be used at all: the session ends with exactly this NOTIFICATION.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WireError {
    /// What was found and what was expected.
    pub reason: WireFault,
    /// What the peer is told.
    pub notification: Notification,
}

impl From<WireFault> for WireError {
    fn from(reason: WireFault) -> Self {
        Self {
            notification: reason.notification(),
            reason,
        }
    }
}

/// Why a message cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// The marker is not sixteen octets of ones.
    #[error("message header: the marker is not all ones; the stream is out of step or is not BGP")]
    Marker,
    /// A length that no message, or no message of this kind, can have.
    #[error(
        "message header: length {length} of {}; expected {min} to {max}",
        .kind.map_or("a message", MessageKind::name)
    )]
    MessageLength {
        /// The kind, if the length would do for some other.
        kind: Option<MessageKind>,
        /// What was found.
        length: u16,
        /// The shortest that is allowed.
        min: usize,
        /// The longest that is allowed.
        max: usize,
    },
    /// A type octet that is not assigned.
    #[error("message header: type {0}; expected 1 to 5")]
    MessageType(u8),
    /// An OPEN of another version.
    #[error("OPEN: version {0}; expected 4")]
    Version(u8),
    /// An OPEN from AS 0 (RFC 7607).
    #[error("OPEN: AS 0 must not be used")]
    ZeroAs,
    /// An OPEN whose two places for the AS contradict each other.
    #[error("OPEN: AS {field} in the header and {capability} in the four-octet AS capability")]
    AsMismatch {
        /// The two-octet field.
        field: u16,
        /// The capability.
        capability: Asn,
    },
    /// A hold time of one or two seconds.
    #[error("OPEN: hold time of {0} s; expected 0, or 3 or more")]
    HoldTime(u16),
    /// An identifier that cannot be.
    #[error("OPEN: BGP identifier {0}; expected any but zero")]
    Identifier(BgpIdentifier),
    /// An optional parameter other than capabilities.
    #[error("OPEN: optional parameter of type {0}; expected 2 (capabilities)")]
    OptionalParameter(u8),
    /// Lengths of optional parameters or capabilities that contradict each other.
    #[error("OPEN: {missing} octets are missing at the end of {what}")]
    Overrun {
        /// What is longer than what holds it.
        what: &'static str,
        /// By how many octets.
        missing: usize,
    },
    /// Octets after the optional parameters.
    #[error("OPEN: {0} octets after the optional parameters")]
    TrailingOctets(usize),
    /// A capability whose value cannot be.
    #[error("OPEN: capability {code} ({name}) of {length} octets; expected {expected}")]
    Capability {
        /// Its code.
        code: u8,
        /// Its name.
        name: &'static str,
        /// The length of its value.
        length: usize,
        /// What its value looks like.
        expected: &'static str,
    },
    /// A beginning or end of route refresh with octets too many (RFC 7313 section 5).
    #[error(
        "ROUTE-REFRESH: {} octets of a begin or end of route refresh; expected 23",
        .message.len()
    )]
    RouteRefreshLength {
        /// The whole message.
        message: Bytes,
    },
}

impl WireFault {
    /// A body shorter than its kind allows.
    pub(super) fn too_short(kind: MessageKind, body: usize) -> Self {
        Self::MessageLength {
            kind: Some(kind),
            length: u16::try_from(super::HEADER + body).unwrap_or(u16::MAX),
            min: kind.min_length(),
            max: super::MAX_MESSAGE,
        }
    }

    /// The NOTIFICATION that tells the peer, data included.
    pub fn notification(&self) -> Notification {
        use NotificationCode as Code;
        let (code, data) = match self {
            Self::Marker => (Code::CONNECTION_NOT_SYNCHRONIZED, vec![]),
            Self::MessageLength { length, .. } => {
                (Code::BAD_MESSAGE_LENGTH, length.to_be_bytes().to_vec())
            }
            Self::MessageType(octet) => (Code::BAD_MESSAGE_TYPE, vec![*octet]),
            // RFC 4271 section 6.2: the largest version that is supported, in two octets.
            Self::Version(_) => (Code::UNSUPPORTED_VERSION, vec![0, 4]),
            Self::ZeroAs | Self::AsMismatch { .. } => (Code::BAD_PEER_AS, vec![]),
            Self::HoldTime(_) => (Code::UNACCEPTABLE_HOLD_TIME, vec![]),
            Self::Identifier(_) => (Code::BAD_BGP_IDENTIFIER, vec![]),
            Self::OptionalParameter(_) => (Code::UNSUPPORTED_OPTIONAL_PARAMETER, vec![]),
            Self::Overrun { .. } | Self::TrailingOctets(_) | Self::Capability { .. } => {
                (Code::OPEN_UNSPECIFIC, vec![])
            }
            Self::RouteRefreshLength { message } => {
                return Notification::with_data(Code::REFRESH_INVALID_LENGTH, message.clone());
            }
        };
        Notification::with_data(code, data)
    }
}

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

/// One thing that was wrong with an UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was found, what was expected, and where.
    pub reason: UpdateFault,
    /// What follows from it.
    pub outcome: Outcome,
    /// The NOTIFICATION it maps to if the outcome is a reset.
    pub code: NotificationCode,
    /// The attribute concerned as it came: flags, code, length and value. Empty if it is not about one. It is a slice of
    /// the message: copy it if it is to be kept.
    pub attribute: Bytes,
}

impl Fault {
    /// A fault with its code from the mapping.
    pub(super) fn new(reason: UpdateFault, outcome: Outcome, attribute: Bytes) -> Self {
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

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::AttributeDiscard => "attribute discarded",
            Self::TreatAsWithdraw => "routes treated as withdrawn",
            Self::SessionReset => "session reset",
        })
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
