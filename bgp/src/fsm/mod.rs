//! RFC 4271 section 8 as a pure machine: no sockets, no clock, no tokio, and nothing that can fail.
//!
//! A [`Peer`] is configured by a [`Config`]. It takes an [`Input`] and the time, and puts out what to do, in order
//! ([`Output`]). What the RFC keeps as six states of one machine is kept apart here by where it can be: dialling (Idle,
//! Connect, Active) is the peer's, and a connection exists only from OpenSent on; there are at most two. Timers are data
//! in the states that they belong to; the earliest of them is [`Peer::deadline`], and one that was stopped is not there.
//!
//! [`Negotiated`] is what two OPENs agreed on, and is only built by [`negotiate()`]. [`Down`] is why a session fell, and
//! knows whether its routes are retained. Every end of a connection passes one function, `tear_down`.
//!
//! A peer with which things go wrong is left alone for longer each time (`damping`); while it is held Idle, its own
//! connections are refused ([`IdleHold`]).
//!
//! What always holds: at most one connection is Established; `Down` follows every `Established` and nothing of that
//! connection follows `Down`; a NOTIFICATION is part of closing, so that nothing is sent after it.
//!
//! RFCs: 4271 (sections 6.2, 6.8, 8), 4724 and 8538 (graceful restart), 6286 (identifiers), 6608 (FSM error subcodes),
//! 9003 (texts), 9234 (roles), 9384 and 5882 (BFD), 9687 (send hold timer).

mod bfd;
mod collision;
mod config;
mod connect_retry;
mod connection;
mod damping;
mod down;
mod io;
mod negotiate;
mod negotiated;
mod peer;
#[cfg(test)]
mod sim;
mod state;
#[cfg(test)]
mod tests;

pub use bfd::{BfdConfig, BfdState};
pub use config::{Config, GracefulRestartConfig, RemoteAsn};
pub use damping::{IdleHold, LimitRestart, PrefixLimit};
pub use down::{Cease, Down, DownClass, Stop};
pub use io::{ConnectionId, Deadline, Input, Output, Outputs, Received, Timer};
pub use negotiate::negotiate;
pub use negotiated::Negotiated;
pub use peer::Peer;
pub use state::State;
