//! The control interface: what the agent shows of itself, and the few things that it can be told to do.
//!
//! - [`model`]: the answers, as plain serde types. They are the agent's only way of describing itself: the commands'
//!   tables, `-o json`, the metrics and the readiness probe are all made from them.
//! - [`backend`]: the trait that the running agent implements to fill the model.
//! - [`protocol`]: requests and replies as lines of JSON over a Unix socket; [`socket`], [`server`] and [`client`] carry them.
//! - [`readiness`]: whether the node should get traffic.
//!
//! The model is stable: fields are added, never renamed or removed within one [`protocol::VERSION`].

pub(crate) mod backend;
pub(crate) mod client;
#[cfg(test)]
pub(crate) mod fake;
pub mod model;
pub(crate) mod protocol;
pub(crate) mod readiness;
pub(crate) mod server;
pub(crate) mod socket;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use backend::{Backend, Batches, Closed};
pub(crate) use client::Client;
pub(crate) use protocol::{ControlError, DEFAULT_SOCKET};
pub(crate) use readiness::Health;
pub(crate) use server::serve;
pub(crate) use socket::ControlSocket;
