//! Bidirectional Forwarding Detection (BFD): failures of a path found within milliseconds.
//!
//! - [`packet`]: control packets, octets to values and back, and why one is discarded.
//! - [`auth`]: keyed SHA1 and meticulous keyed SHA1, with several keys for rotation.
//! - [`session`]: one session as a pure machine: states, timers as data, Poll Sequences, the Echo function.
//! - [`sessions`]: all sessions of a system: which of them a packet belongs to, who shares one, which timer is next.
//! - [`random`]: discriminators, sequence numbers and jitter out of one seed.
//! - `driver` (feature `driver`): the thread, its sockets, and how to talk to it.
//!
//! All but `driver` is pure: the time is an argument, nothing blocks and nothing can fail.
//!
//! RFCs: 5880 (the protocol), 5881 (a single hop over IPv4 and IPv6), 5882 (its users), 5883 (multihop).

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]
#![warn(clippy::too_many_lines)]

pub mod auth;
#[cfg(feature = "driver")]
#[allow(clippy::disallowed_methods)] // The thread, and its clock.
pub mod driver;
pub mod packet;
pub mod random;
pub mod session;
pub mod sessions;

pub use session::{DownReason, LocalFailure, Parameters, Role, Status};
pub use sessions::{
    Hops, LastDown, Request, RequestError, SessionKey, UserId, UserLevel, UserState,
};
