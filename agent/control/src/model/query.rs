//! What is asked of the tables.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{FamilyName, FibState};

/// Which routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteQuery {
    /// Which RIB.
    pub view: RouteView,
    /// Only of (or to) this peer, by name. It must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Only this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<FamilyName>,
    /// Only these prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PrefixFilter>,
}

/// Which RIB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteView {
    /// Adj-RIB-In: every path of every peer, also rejected ones. Attributes as received.
    Received,
    /// Loc-RIB: the best path and its multipath companions of each prefix, learned or our own.
    Best,
    /// Adj-RIB-Out: what is advertised to each peer. Attributes as sent.
    Advertised,
}

/// Prefixes out of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrefixFilter {
    /// The prefix to compare with. An address is its host prefix. Host bits are zero.
    pub prefix: IpNet,
    /// How it is compared.
    #[serde(default)]
    pub matching: Match,
}

impl PrefixFilter {
    /// Whether a prefix passes, where it alone decides. [`Match::Longest`] needs the table: here every
    /// covering prefix passes, and the caller keeps the longest.
    pub fn passes(&self, prefix: &IpNet) -> bool {
        match self.matching {
            Match::Exact => *prefix == self.prefix,
            Match::Longer => self.prefix.contains(prefix),
            Match::Longest => prefix.contains(&self.prefix),
        }
    }
}

/// How prefixes are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Match {
    /// This prefix.
    #[default]
    Exact,
    /// This prefix and every more specific one.
    Longer,
    /// The most specific one that covers it.
    Longest,
}

/// Which entries of the forwarding table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FibQuery {
    /// Only this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<FamilyName>,
    /// Only these prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PrefixFilter>,
    /// Only these states. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<FibState>,
}

/// What a reset does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResetKind {
    /// Ends the session with Cease/Administrative Reset; it comes back by itself.
    Hard,
    /// Keeps it: policies are run again, the peer is asked for its routes (ROUTE-REFRESH) and sent ours again.
    Soft,
}

/// How far a node's traffic is to be led away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DrainOrder {
    /// Peers are asked to move it elsewhere (RFC 8326).
    Drain,
    /// That, then everything is withdrawn, and the sessions are closed.
    Leave,
    /// Not at all: what was ordered before is over.
    Undo,
}
