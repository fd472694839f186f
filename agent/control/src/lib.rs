//! The control interface: queries of the state of the agent, and a few commands.
//!
//! - [`model`]: the answers, as plain serde types. They are the agent's only way of describing itself: the commands'
//!   tables, `-o json`, the metrics and the readiness probe are all made from them.
//! - `backend` (feature `server`): the trait that the running agent implements to fill the model.
//! - [`protocol`]: requests and replies as lines of JSON over a Unix socket; [`client`] and (feature `server`) `socket` and `server` carry them.
//! - `readiness` (feature `server`): whether the node should get traffic.
//!
//! The model is stable: fields are added, never renamed or removed within one [`protocol::VERSION`].

#[cfg(feature = "server")]
pub mod backend;
pub mod client;
pub mod model;
pub mod protocol;
#[cfg(feature = "server")]
pub mod readiness;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod socket;

#[cfg(feature = "server")]
pub use backend::{Backend, Batches, Closed};
pub use client::Client;
pub use protocol::{ControlError, DEFAULT_SOCKET};
#[cfg(feature = "server")]
pub use readiness::Health;
#[cfg(feature = "server")]
pub use server::serve;
#[cfg(feature = "server")]
pub use socket::ControlSocket;
