//! One route of one of the three RIBs: `routelet routes`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use bgp::types::{Asn, BgpIdentifier};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Reason;

/// One route: received from a peer, in the Loc-RIB, or advertised to a peer.
///
/// Attributes are those of the view: as received, after import policy, or as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The destination.
    pub prefix: IpNet,
    /// The peer that it came from (`received`, `best`) or went to (`advertised`); absent: this node originates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What it is.
    pub state: RouteState,
    /// Kept from the peer's previous session.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// Why it is what it is: the step that decided for or against it, the rule that rejected it, the objects that ask
    /// for it to be advertised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The next hop; absent for routes that this node originates, before they are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// The link-local next hop beside a global one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop_link_local: Option<Ipv6Addr>,
    /// The path identifier (RFC 7911); absent without ADD-PATH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// AS_PATH as people write it: `64500 64510 {64520 64530}`; empty for our own AS's routes.
    #[serde(default)]
    pub as_path: String,
    /// ORIGIN.
    pub origin: RouteOrigin,
    /// MULTI_EXIT_DISC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF, as received or as the decision process used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
    /// Communities, such as `64512:100` or `no-export`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// Large communities, such as `64512:1:2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large_communities: Vec<String>,
    /// Extended communities, in their notation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended_communities: Vec<String>,
    /// AGGREGATOR, such as `64500 192.0.2.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// ATOMIC_AGGREGATE.
    #[serde(default, skip_serializing_if = "is_false")]
    pub atomic_aggregate: bool,
    /// ORIGINATOR_ID (RFC 4456).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<BgpIdentifier>,
    /// CLUSTER_LIST (RFC 4456).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_list: Vec<BgpIdentifier>,
    /// Only to customer (RFC 9234).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_to_customer: Option<Asn>,
    /// Type codes of attributes that we do not know and pass on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_attributes: Vec<u8>,
    /// Weight among the paths of a multipath route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Cost of reaching the next hop by the kernel's other routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub igp_cost: Option<u32>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteState {
    /// The best path.
    Best,
    /// Used together with the best path.
    Multipath,
    /// Usable, but another is better.
    Candidate,
    /// Its next hop cannot be reached.
    Unreachable,
    /// Not usable: a policy rule, a loop, a fault or a limit; `reason` says which.
    Rejected,
    /// Advertised to the peer.
    Advertised,
    /// Best or originated here, but not advertised to the peer; `reason` says why. In `explain`, and among the routes
    /// that are advertised where no message to the peer can hold the route.
    NotAdvertised,
}

impl fmt::Display for RouteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Best => "best",
            Self::Multipath => "multipath",
            Self::Candidate => "candidate",
            Self::Unreachable => "unreachable",
            Self::Rejected => "rejected",
            Self::Advertised => "advertised",
            Self::NotAdvertised => "not advertised",
        })
    }
}

/// ORIGIN (RFC 4271 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteOrigin {
    /// IGP.
    Igp,
    /// EGP.
    Egp,
    /// INCOMPLETE.
    Incomplete,
}

impl fmt::Display for RouteOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}
