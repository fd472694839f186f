//! The driver against itself, over loopback.
#![allow(clippy::unwrap_used)]

mod admission;
mod failing_tasks;
mod faults;
mod filter;
mod handshake;
mod harness;
mod keys;
mod misbehaviour;
mod options;
mod reader;
mod sessions;
mod traffic;
mod transport;
mod writer;
