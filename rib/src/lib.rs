//! The routing information bases of a BGP speaker (RFC 4271 section 3.2), as a plain struct without threads, sockets
//! or a clock: inputs and a `now` in, bytes for peers and changes for the FIB out.
//!
//! - [`Rib`]: the whole as its owner sees it.
//! - [`attrs`]: attribute sets, interned once, with what the decision process compares kept beside each.
//! - [`policy`]: ordered match/action rules for import and export.
//! - [`peer`]: how a peer is treated: what the intent says, and what its session negotiated.
//! - [`originate`]: the routes that this node originates, and to whom.
//! - [`table`]: Adj-RIB-In and Loc-RIB, the decision process, multipath, next-hop tracking, stale paths.
//! - [`export`]: Adj-RIB-Out as update groups.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod attrs;
pub mod export;
mod facade;
mod fifo;
#[cfg(any(test, feature = "fuzz"))]
#[allow(clippy::disallowed_methods)]
pub mod fuzz;
mod index;
#[cfg(any(test, feature = "fuzz"))]
mod oracle;
pub mod originate;
pub mod peer;
pub mod policy;
mod slab;
#[cfg(test)]
mod soak;
pub mod table;
mod universal;

pub use export::{Full, Transport};
pub use facade::{
    Expected, FibNextHop, FibRoute, Multipath, PeerCounts, Rib, RibConfig, RibEvent, RouteFilter,
    RoutesCursor, Totals, is_news,
};
pub use originate::{AdvertisementId, Offer, Originated};
pub use peer::{
    DEFAULT_MAX_NEXT_HOPS, DEFAULT_MAX_PATHS, LONG_LIVED_MAX, PeerConfig, PeerId, PeerKind,
    SessionInfo,
};
