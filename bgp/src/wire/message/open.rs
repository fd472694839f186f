//! OPEN (RFC 4271 section 4.2) with its capabilities (RFC 5492, extended length RFC 9072).

use crate::types::{Asn, BgpIdentifier};
use crate::wire::Capability;

/// An OPEN message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sender's AS: the value of the four-octet capability where it is present, else of the two-octet field.
    pub asn: Asn,
    /// Hold time in seconds as proposed: 0, or at least 3.
    pub hold_time: u16,
    /// The sender's identifier.
    pub identifier: BgpIdentifier,
    /// The capabilities in the order of the message, unknown ones included.
    pub capabilities: Vec<Capability>,
}
