//! What can be wrong with bytes from a peer, and what follows from it.
//!
//! Two kinds. A [`WireError`] ends the session: header, OPEN, NOTIFICATION and ROUTE-REFRESH. A [`Fault`] is one thing
//! wrong with an UPDATE, with its RFC 7606 outcome. Either has a reason that says what was found, what was expected and
//! where, and each reason maps to exactly one NOTIFICATION: [`WireFault::notification`] and [`UpdateFault::code`].

mod parts;
mod update;

pub use parts::{AsPathFault, NlriPlace, PrefixFault, TlvFault};
pub use update::{Fault, Outcome, UpdateFault};

use bytes::Bytes;

use super::{MessageKind, Notification, NotificationCode};
use crate::types::{Asn, BgpIdentifier};

/// A message that cannot be used at all: the session ends with exactly this NOTIFICATION.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WireError {
    /// What was found and what was expected.
    pub reason: WireFault,
    /// What is sent to the peer.
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

    /// The NOTIFICATION for the peer, with data.
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
