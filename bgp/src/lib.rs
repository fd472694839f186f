//! BGP-4, as a library: the wire format, the state machine, and (feature `net`) sessions over TCP.
//!
//! The crate does not depend on Kubernetes, routing tables or the kernel's routes. Modules:
//!
//! - [`types`]: the protocol's terms as newtypes: AS numbers, families, communities, next hops.
//! - [`wire`]: bytes to messages and back. Never panics, never allocates by an unchecked length.
//! - [`fsm`]: RFC 4271 section 8 as a pure machine: inputs and a `now` in, outputs and a deadline out.
//! - [`settings`]: how to reach a peer.
//! - [`admission`]: which connections a listener accepts.
//! - [`refusal`]: why a connection is refused.
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
