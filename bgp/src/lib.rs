//! BGP-4, as a library: the wire format, the state machine, and (feature `net`) sessions over TCP.
//!
//! The crate knows nothing of Kubernetes, of routing tables or of the kernel. Its rooms:
//!
//! - [`types`]: the words of the protocol as newtypes: AS numbers, families, communities, next hops.
//! - [`wire`]: bytes to messages and back. Never panics, never allocates by a length that it has not checked.
//! - [`fsm`]: RFC 4271 section 8 as a pure machine: inputs and a `now` in, outputs and a deadline out.
//! - [`settings`]: how to reach a peer.
//! - [`admission`]: whom a listener lets in.
//! - [`refusal`]: why a connection is not let in.
//! - [`os_error`]: errors of system calls, in words.
//! - [`session`] (feature `net`): the only sockets and the only clock of the crate.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod admission;
pub mod fsm;
#[cfg(any(test, feature = "fuzz"))]
#[allow(clippy::disallowed_methods)]
pub mod fuzz;
pub mod os_error;
pub mod refusal;
#[cfg(feature = "net")]
#[allow(clippy::disallowed_methods)] // The clock is here.
pub mod session;
pub mod settings;
#[cfg(test)]
mod soak;
pub mod types;
pub mod wire;
