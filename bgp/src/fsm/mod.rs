//! RFC 4271 section 8 as a pure machine.
//!
//! [`Negotiated`] is what two OPENs agreed on, and is only built by `negotiate()`. [`Down`] is why a session fell.

mod config;
mod down;
mod negotiate;
mod negotiated;
mod state;

pub use config::{Config, GracefulRestartConfig, RemoteAsn};
pub use down::{Cease, Down, Stop};
pub use negotiate::negotiate;
pub use negotiated::Negotiated;
pub use state::State;
