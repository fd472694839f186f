//! Interned attribute sets.
//!
//! A full table has one set per 5.5 routes, so a path stores a four-byte [`AttrId`] and the set stands here once, with a
//! count of its users and a [`Summary`] of what the decision process compares. Sets are found by their canonical bytes
//! and next hop in a randomly seeded table (peers choose the bytes). The Adj-RIB-In counts one use per path; with the last
//! one a set is gone and its index is free again.

mod accounts;
mod interner;
mod next_hop;
mod summary;

pub use interner::AttrInterner;
pub(crate) use next_hop::{ChangedNextHops, NextHops, TooMany};
pub use next_hop::{NextHopResolver, Resolution};
pub use summary::{DEFAULT_LOCAL_PREF, Flags, Identity, NextHopIndex, Summary};

use bgp::types::NextHop;
use bgp::wire::AttributeSet;

/// The index of an interned set. Valid while the interner counts at least one user of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrId(pub(crate) u32);

/// What is interned: attributes and next hop. Next hops of different families differ, so the families share one interner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteAttributes<B = Box<[u8]>> {
    /// The path attributes.
    pub set: AttributeSet<B>,
    /// The next hop.
    pub next_hop: NextHop,
}

/// Attributes of a route that lie in the interner.
pub type RouteAttributesRef<'a> = RouteAttributes<&'a [u8]>;

impl<B: AsRef<[u8]>> RouteAttributes<B> {
    /// The same, borrowed.
    pub fn borrowed(&self) -> RouteAttributesRef<'_> {
        RouteAttributes {
            set: self.set.as_set_ref(),
            next_hop: self.next_hop,
        }
    }
}
