//! The driver against itself, over loopback.
#![allow(clippy::unwrap_used)]

mod harness;
mod sessions;
mod traffic;
mod transport;
