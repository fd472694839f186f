//! Interned attribute sets.
//!
//! A full table has one set per 5.5 routes, so a path stores a four-byte [`AttrId`] and the set stands here once, with a
//! count of its users and a [`Summary`] of what the decision process compares.

use bgp::types::NextHop;
use bgp::wire::AttributeSet;

/// The index of an interned set. Valid while the interner counts at least one user of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrId(pub(crate) u32);

/// What is interned: attributes and next hop. Next hops of different families differ, so the families share one interner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteAttributes {
    /// The path attributes.
    pub set: AttributeSet,
    /// The next hop.
    pub next_hop: NextHop,
}
