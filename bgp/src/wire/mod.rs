//! Bytes to messages and back.
//!
//! Decoding never panics and never allocates in proportion to a length that it has not checked against the bytes at
//! hand. OPEN, NOTIFICATION and ROUTE-REFRESH decode to a value or a [`WireError`], which maps to exactly one
//! NOTIFICATION. UPDATE is different (RFC 7606): it decodes to an [`Update`] that carries the usable value *and* the
//! faults, each with its reason and outcome; only a fault of outcome [`Outcome::SessionReset`] ends the session.

pub mod attribute;
pub mod capability;
mod error;
mod message;

pub use attribute::{AttributeSet, PathAttributes};
pub use capability::Capability;
pub use error::{Fault, Outcome, WireError};
pub use message::{
    Message, MessageKind, Notification, NotificationCode, Open, Reach, RouteRefresh,
    RouteRefreshSubtype, Update,
};
