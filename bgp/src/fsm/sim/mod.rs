//! Peers against each other under virtual time: a mesh in which everybody dials everybody, over a network that delays,
//! partitions, resets, forgets one end of a connection, and restarts nodes.
#![allow(clippy::unwrap_used)]

mod damping;
mod properties;
mod restarts;
mod world;
