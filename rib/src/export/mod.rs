//! Adj-RIB-Out (RFC 4271 section 3.2) as update groups: what is advertised to each peer, with which attributes.
//!
//! Peers whose export behaviour is equal form a group (its `GroupKey` is equal), which evaluates policy, stages and
//! encodes once for all of them. `Rib` drives [`UpdateGroups`]: it reports changed slots and peers that were added,
//! changed or removed, then calls `flush`, which reads the current state of [`LocRib`] and passes bytes to
//! [`Transport`].
//!
//! Modules: `rules`, `passing` and `next_hop` decide what is advertised of a route, purely; `adj_rib_out`, `exclusion`
//! and `marks` store what was sent, and `comparison` finds the difference for a peer that changes its group; `hold`
//! decides whose End-of-RIB waits; `group` stages, encodes through `pack` and delivers; `query` answers queries.
//!
//! Nothing is queued. A change is a mark on a slot; what is sent is read from Loc-RIB when it is sent. So a prefix that
//! is added and removed between two flushes costs nothing, and a peer that does not read costs a bit per slot.

mod adj_rib_out;
mod comparison;
mod exclusion;
mod group;
mod groups;
mod hold;
mod key;
mod marks;
mod member;
mod next_hop;
mod pack;
mod passing;
mod query;
mod rules;
mod suppressed;
#[cfg(test)]
mod tests;
mod view;

pub use groups::UpdateGroups;
pub use hold::Pending;
pub use key::GroupKey;
pub use query::Advertised;
pub use suppressed::Suppressed;
pub use view::{Best, Full, LocRib, Progress, Slot, SourcePeer, Transport};
