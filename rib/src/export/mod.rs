//! Adj-RIB-Out (RFC 4271 section 3.2) as update groups: what each peer is told, and with which attributes.
//!
//! Peers whose export behaviour is equal form a group, which evaluates policy, stages and encodes once for all of them.
//! `Rib` drives [`UpdateGroups`]: it says which slots changed and which peers came, changed or went, then calls
//! `flush`, which reads the newest state of [`LocRib`] and hands bytes to [`Transport`].

// The seam lands before the machinery that uses all of it.
#![allow(dead_code)]

mod groups;
mod marks;
mod suppressed;
mod view;

pub use groups::UpdateGroups;
pub use suppressed::Suppressed;
pub use view::{Best, Full, LocRib, MAX_BATCH, Progress, Slot, SourcePeer, Transport};
