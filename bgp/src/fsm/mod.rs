//! RFC 4271 section 8 as a pure machine.
//!
//! [`Negotiated`] is what two OPENs agreed on, and is only built by `negotiate()`. [`Down`] is why a session fell.

mod down;
mod negotiated;

pub use down::Down;
pub use negotiated::Negotiated;
