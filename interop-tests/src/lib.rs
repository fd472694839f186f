//! What the labs use: the lab itself, an API server, and the measuring instrument.

pub use interop_apiserver as apiserver;
pub use interop_bench as bench;
pub use interop_lab::*;
