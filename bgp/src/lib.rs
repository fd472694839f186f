//! BGP-4, as a library: the wire format, the state machine, and (feature `net`) sessions over TCP.
//!
//! The crate knows nothing of Kubernetes, of routing tables or of the kernel. Its rooms:
//!
//! - [`types`]: the words of the protocol as newtypes: AS numbers, families, communities, next hops.
//! - [`wire`]: bytes to messages and back. Never panics, never allocates by a length that it has not checked.
//! - [`fsm`]: RFC 4271 section 8 as a pure machine: inputs and a `now` in, outputs and a deadline out.
//! - [`session`] (feature `net`): the only sockets and the only clock of the crate.

pub mod fsm;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(feature = "net")]
pub mod session;
#[cfg(test)]
mod soak;
pub mod types;
pub mod wire;
