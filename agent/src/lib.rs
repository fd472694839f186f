//! The node agent of Routelet: everything around the protocol (crate `bgp`) and the routes (crate `rib`).

pub mod cli;
pub mod cluster;
pub mod cni;
pub mod control;
pub mod controller;
pub mod crd;
pub mod fib;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod http;
pub mod intent;
pub mod logging;
pub mod memory;
pub mod metrics;
mod own_next_hops;
pub mod pools;
mod printable;
mod reasons;
pub mod report;
pub mod run;
#[cfg(test)]
mod soak;
pub mod timing;
mod vital;
