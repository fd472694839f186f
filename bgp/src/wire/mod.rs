//! Bytes to messages and back.
//!
//! Decoding never panics and never allocates in proportion to a length that it has not checked against the bytes at
//! hand. OPEN, NOTIFICATION and ROUTE-REFRESH decode to a value or a [`WireError`], which maps to exactly one
//! NOTIFICATION. UPDATE is different (RFC 7606): it decodes to an [`Update`] that carries the usable value *and* the
//! faults, each with its reason and outcome; only a fault of outcome [`Outcome::SessionReset`] ends the session.
//!
//! Decoding: [`Framer`] splits the stream into [`Frame`]s, [`Message::decode`] or [`decode_update`] decodes one.
//! Encoding: `encode` of each message, and [`UpdateEncoder`] for UPDATEs. An [`UpdateCodec`] holds what was negotiated.
//!
//! The value of a length field is a type of `length`, which cannot exceed its field: no octets of a value can be read
//! as what follows it.

// A length that is cut makes octets of a value into attributes of their own.
#![deny(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

pub mod attribute;
pub mod capability;
mod codec;
mod error;
mod framer;
mod length;
mod message;
mod update;

pub use attribute::{AttributeSet, AttributeSetRef, PathAttributes};
pub use capability::Capability;
pub use codec::{FamilyCodec, PeerKind, UpdateCodec};
pub use error::{
    AsPathFault, Fault, NlriPlace, Outcome, PrefixFault, TlvFault, UpdateFault, WireError,
    WireFault,
};
pub use framer::{Frame, Framer, HEADER, MAX_EXTENDED_MESSAGE, MAX_MESSAGE};
pub use message::{
    Message, MessageKind, Notification, NotificationCode, Open, Reach, ReachList, RouteRefresh,
    RouteRefreshSubtype, UnreachList, Update, keepalive,
};
pub use update::{BatchPart, EncodeError, Routes, UpdateBatch, UpdateEncoder, decode_update};
