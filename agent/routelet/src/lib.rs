//! The binary `routelet` as a library: the agent of a node, the controller and the command line, around what the other
//! crates of `agent/` decide, the protocol (`bgp`) and the routes (`rib`).

pub mod cli;
mod cni;
#[cfg(test)]
mod contract;
pub mod controller;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod http;
mod logging;
pub mod memory;
pub mod metrics;
mod reasons;
pub mod report;
pub mod run;
mod sources;
