//! The node agent of Routelet: everything around the protocol (crate `bgp`) and the routes (crate `rib`).

pub mod control;
pub mod fib;
pub mod run;
