//! Import and export policy: ordered match/action rules.
//!
//! A peer has a list of policies. The first rule that matches and is final decides; a route that no rule of any policy
//! decides is accepted. Rules with [`Action::Continue`] change attributes and go on: later rules see the change.
//!
//! [`Chain`] evaluates a list. Import and export share it. What decided is kept as a [`RuleRef`], two small numbers.
//!
//! # Built-in rules
//!
//! They apply whatever the policies say, before the policies run, and are not written as rules:
//!
//! - Import, in `table`: the loop checks of AS_PATH (RFC 4271 9.1.2), ORIGINATOR_ID and CLUSTER_LIST (RFC 4456 8). A path with
//!   an attribute that would be too long after the policies is rejected, not used without them.
//! - Export, in [`crate::export`]: which peers may be sent a route at all: Advertisements, transit and reflection, the
//!   well-known communities (RFC 1997), Only to Customer (RFC 9234), long-lived stale routes (RFC 9494).
//!   [`crate::export::Suppressed`] lists them. Attributes that never cross an AS border (LOCAL_PREF, a learned MED) are
//!   taken away before export policies run, so a MED set by a policy is sent; next hop and our own AS are put in after
//!   they ran.
//!
//! Policies that are absent accept everything. That replaces the default of RFC 8212: a node advertises no more than
//! its Advertisements offer.

use bgp::types::{Asn, Community, ExtendedCommunity, LargeCommunity};
use bgp::wire::attribute::Origin;
use ipnet::IpNet;

mod eval;
mod sets;
#[cfg(test)]
mod tests;

pub(crate) use eval::unite;
pub use eval::{Accepted, Chain, RuleRef, Signature, Verdict};
pub use sets::{OneOf, PrefixSet};

/// A named list of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The name of the RoutePolicy object, shown wherever one of its rules decided.
    pub name: String,
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

/// One rule: what it matches, what it changes, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, or its place in the list (`rules[2]`).
    pub name: String,
    /// All given conditions must hold. The default matches everything.
    pub matches: Matches,
    /// What is changed on a match unless the route is rejected.
    pub set: Set,
    /// What follows.
    pub action: Action,
}

/// What follows from a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The route is used; no further rule is looked at.
    Accept,
    /// The route is not used.
    Reject,
    /// The next rule is looked at.
    Continue,
}

/// Conditions of a rule: an empty list or `None` is no condition; within a list, one match suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Prefix ranges.
    pub prefixes: PrefixSet,
    /// Communities of which one is present.
    pub communities: OneOf<Community>,
    /// Large communities of which one is present.
    pub large_communities: OneOf<LargeCommunity>,
    /// Extended communities of which one is present.
    pub extended_communities: OneOf<ExtendedCommunity>,
    /// AS numbers of which one stands anywhere in the AS_PATH.
    pub as_path_contains: OneOf<Asn>,
    /// AS numbers of which one originated the route (last in the AS_PATH).
    pub origin_asns: OneOf<Asn>,
    /// AS numbers of which one is the neighbouring AS (first in the AS_PATH).
    pub neighbour_asns: OneOf<Asn>,
    /// Bounds of the AS_PATH length, inclusive.
    pub as_path_length: Option<(u32, u32)>,
    /// Next hops within one of these.
    pub next_hops: PrefixSet,
    /// Values of ORIGIN.
    pub origins: Vec<Origin>,
}

/// A prefix and the lengths of more specific ones that match with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixRange {
    /// The covering prefix.
    pub net: IpNet,
    /// Shortest length that matches.
    pub min_length: u8,
    /// Longest length that matches.
    pub max_length: u8,
}

/// Changes of a rule. `None` and empty lists change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// LOCAL_PREF.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Communities to add.
    pub add_communities: Vec<Community>,
    /// Communities to remove.
    pub remove_communities: Vec<Community>,
    /// Removes every community before adding.
    pub clear_communities: bool,
    /// Large communities to add.
    pub add_large_communities: Vec<LargeCommunity>,
    /// Large communities to remove.
    pub remove_large_communities: Vec<LargeCommunity>,
    /// Extended communities to add.
    pub add_extended_communities: Vec<ExtendedCommunity>,
    /// How often our AS is prepended.
    pub prepend: u8,
    /// Kernel weight among equal paths, 1 to 256 (import only).
    pub weight: Option<u16>,
}
