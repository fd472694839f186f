//! Adj-RIB-Out (RFC 4271 section 3.2) as update groups: what each peer is told, and with which attributes.
//!
//! Peers whose export behaviour is equal form a group (its `GroupKey` is equal), which evaluates policy, stages and
//! encodes once for all of them. `Rib` drives [`UpdateGroups`]: it says which slots changed and which peers came, changed
//! or went, then calls `flush`, which reads the newest state of [`LocRib`] and hands bytes to [`Transport`].
//!
//! The rooms: `rules`, `passing` and `next_hop` say what a peer of a group is told of a route, purely; `told`, `exclusion` and `marks`
//! are the memory of what was said, and `comparison` what a peer that changes its group has to hear; `hold` says whose End-of-RIB waits; `group` stages, encodes through `pack` and delivers; `query` answers questions.
//!
//! Nothing is queued. A change is a mark on a slot; what is sent is read from Loc-RIB when it is sent. So a prefix that
//! comes and goes between two flushes costs nothing, and a peer that does not read costs a bit per slot.

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
