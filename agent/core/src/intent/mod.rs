//! Intent: from the state of the cluster to what one node does, and why.
//!
//! A pure function, [`intend`]; a [`Planner`] gives the same, and says besides what is new since it was asked last. Equal
//! states give equal intents, whatever the order of events or documents.
//!
//! | room | decides |
//! |---|---|
//! | `router` | which Router is the node's, and its settings |
//! | `peers` | the node's peers: explicit ones, other nodes by selector, the mesh |
//! | `services` | which Service addresses this node advertises: the truth table |
//! | `advertise` | what is originated, with attributes and aggregates, and to which peers |
//! | `announceable` | whether a prefix may be announced at all, whatever asks for it |
//! | `contested` | which of two Services of different namespaces keeps an address |
//! | `guarded` | the Service addresses that learned routes must not take away |
//! | `phase` | what is advertised between the start of the agent, kube-proxy's, and the end of the node |
//! | `last_as` | which AS a node is in while the label that says so is missing |
//! | `planner` | keeps it up to date at the cost of what changed |
//! | `reach` | how far what changed reaches |
//! | `types`, `originated` | the intent, its peers; its prefixes, and what is decided on Services |
//! | `rule` | the rules by which something is not originated, in words |
//! | `warning` | what is not as the operator may think, and whether the object is used all the same |
//! | `policies` | RoutePolicy objects as the RIB runs them |
//!
//! What always holds: every originated prefix names the objects that justify it, every address of a Service that is not
//! advertised names the rule that suppressed it, nothing is originated that `announceable` refuses, and an object that cannot be used is left out alone, with a warning.

mod advertise;
mod announceable;
mod codes;
mod contested;
mod facts;
mod guarded;
mod last_as;
mod originated;
mod peers;
mod phase;
mod planner;
mod policies;
mod reach;
mod router;
mod rule;
mod services;
#[cfg(test)]
mod tests;
mod types;
mod warning;

pub use announceable::{Announceable, Owner};
pub use facts::{Gateway, Identity, Interface, LocalFacts};
pub use last_as::LastAsNumbers;
pub use originated::{
    AddressDecision, AdvertisementIds, Decision, EndpointCounts, Justification, OriginatedRoute,
    ServiceDecision, Source, Suppressed,
};
pub use phase::LEAVE_STEP;
pub use phase::{DrainReason, Leaving, Phase, Presence};
pub use planner::{Change, Parts, Planner, RouteChange};
pub use rule::Rule;
pub use types::{
    BfdDistance, BfdIntent, FibIntent, Intent, ListenIntent, MissingSecret, PasswordSource,
    PeerIntent, PeerTarget, RequestedBy, RouterSettings,
};
pub use warning::{Consequence, Precedence, Warning, WarningKind};

use std::sync::Arc;

use crate::cluster::ClusterState;

/// What the node of this name does in this state of the cluster.
///
/// A node without a Node object still has the peers and static prefixes of objects that select all nodes.
pub fn intend(state: &ClusterState, node_name: &str, local: &LocalFacts) -> Arc<Intent> {
    Planner::new(node_name)
        .plan(state, local, Phase::default())
        .0
}

/// FNV-1a. Not against adversaries: for numbers that must be the same in every process and version.
fn stable_hash64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The same, folded to 32 bits.
fn stable_hash32(text: &str) -> u32 {
    let hash = stable_hash64(text);
    (hash ^ (hash >> 32)) as u32
}
