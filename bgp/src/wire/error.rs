//! What can be wrong with bytes from a peer, and what follows from it.

use super::{Notification, NotificationCode};

/// A message that cannot be used at all: the session ends with exactly this NOTIFICATION.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WireError {
    /// What was found and what was expected.
    pub reason: WireFault,
    /// What the peer is told.
    pub notification: Notification,
}

/// Placeholder for the enumeration of reasons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct WireFault;

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
    /// What follows from it.
    pub outcome: Outcome,
    /// The NOTIFICATION it maps to if the outcome is a reset.
    pub code: NotificationCode,
}
