//! What a node advertises and with whom it peers, made of the state of the cluster: pure. Nothing in it knows a task, a client of the
//! API server, a socket of the kernel or the time.
//!
//! - [`cluster`]: the state of the cluster, how its objects are read, and what is wrong with them.
//! - [`intent`]: what this node is to do about it.
//! - [`pools`]: which addresses Services get.
//! - [`peering`]: which sessions run, and with which settings.
//! - [`bfd`]: which BFD sessions there are, and what their states mean.
//! - [`own_next_hops`]: the next hops of our own routes on a session.
//! - [`lifecycle`]: how an agent starts, when it writes to the kernel, and how it ends.
//! - [`next_hops`]: where those of received routes lead.
//! - [`refreshes`]: how often a peer may have everything sent again.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod bfd;
pub mod cluster;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod intent;
pub mod lifecycle;
pub mod next_hops;
pub mod own_next_hops;
pub mod peering;
pub mod pools;
pub mod refreshes;
#[cfg(test)]
mod soak;
