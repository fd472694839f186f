//! What the kernel refuses of the traffic that this node attracts, so that it does not go back to where it came from.
//!
//! A node announces addresses that are on no interface: kube-proxy translates packets to them before they are routed, but only
//! those to a port that an endpoint serves. Any other packet would follow the default route back to the router that sent it, until
//! its hop limit ends. Such packets get an ICMP error from a routing table of our own ([`DEFAULT_TABLE`]), which rules of priority
//! [`RULE_PRIORITY`], directly before the main table, lead to:
//!
//! ```text
//! 32765: from all to 203.0.113.0/24 lookup main suppress_prefixlength 23 proto 179   # one for each network that is refused
//! 32765: not from all iif lo lookup 17900 proto 179                                  # always the last of ours
//! 32766: from all lookup main
//! ```
//!
//! - Locally generated packets (`iif lo`) never see the table. They are routed before they are translated, so a route that refuses
//!   them would cut the host off from its own Services, the API server among them.
//! - What answers in the main table wins: see [`Refusal`].
//! - Rules of others come first: every rule that was added without a priority, by whomever, has one below or was there before.

use std::fmt;

use ipnet::IpNet;
use serde::Serialize;

use crate::types::ROUTE_PROTOCOL;

pub use routelet_base::numbers::DEFAULT_REFUSING_TABLE as DEFAULT_TABLE;

/// The priority of our rules. The main table's is 32766. The kernel gives rules without a priority those downwards from 32765,
/// and puts equal ones in the order in which they came.
pub const RULE_PRIORITY: u32 = 32_765;

/// The metric of routes that refuse. Alone in their table, they need none; IPv6 would make 1024 of 0.
pub const METRIC: u32 = 1024;

/// How many refused networks of one length are left to the main table by a rule for each. More share one rule for the length: each
/// forwarded packet is compared with all rules.
pub(super) const MAX_SCOPED: usize = 32;

/// Why a destination is refused, and which routes of the main table (and of the table of learned routes) win over that.
///
/// In the order of how much they leave to other routes, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Refusal {
    /// The address of a Service: ports that no endpoint serves. A route of somebody else to exactly this address wins.
    Service,
    /// An aggregate of Service addresses: those that no Service has. Equal and more specific routes win.
    Aggregate,
    /// A pod CIDR of a node whose pods we connect: addresses that no pod has. Equal and more specific routes win.
    FreePodAddresses,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "ports of the Service address that no endpoint serves",
            Self::Aggregate => "addresses of the aggregate that no Service has",
            Self::FreePodAddresses => "addresses of the pod CIDR that no pod has",
        })
    }
}

/// A prefix that is refused from now on, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalChange {
    /// The destination.
    pub prefix: IpNet,
    /// Why it is refused; `None`: no more.
    pub refusal: Option<Refusal>,
}

/// A routing rule (`ip rule`) in one of the shapes that we make.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Whether it is one of IPv6.
    pub ipv6: bool,
    /// Its place; lower ones are consulted first.
    pub priority: u32,
    /// Only packets to here; `None`: all.
    pub destination: Option<IpNet>,
    /// Only packets that were not generated here (`not iif lo`).
    pub not_local: bool,
    /// The table that it leads to.
    pub table: u32,
    /// Routes of this length or a lesser one are taken for none (`suppress_prefixlength`).
    pub suppress: Option<u8>,
    /// `FRA_PROTOCOL`: who made it.
    pub protocol: u8,
}

impl Rule {
    /// Leaves a network to a table, as far as that has a route longer than `suppress`.
    pub(super) fn yields(destination: IpNet, table: u32, suppress: u8) -> Self {
        Self {
            ipv6: destination.addr().is_ipv6(),
            priority: RULE_PRIORITY,
            destination: Some(destination),
            not_local: false,
            table,
            suppress: Some(suppress),
            protocol: ROUTE_PROTOCOL,
        }
    }

    /// Leaves everything to a table that has a route longer than `suppress`. So directly before the main table, that is no
    /// more than what happens anyway.
    pub(super) fn yields_all(ipv6: bool, table: u32, suppress: u8) -> Self {
        Self {
            ipv6,
            priority: RULE_PRIORITY,
            destination: None,
            not_local: true,
            table,
            suppress: Some(suppress),
            protocol: ROUTE_PROTOCOL,
        }
    }

    /// Refuses what forwarded packets are not to find in the main table.
    pub(super) fn refuses(ipv6: bool, table: u32) -> Self {
        Self {
            ipv6,
            priority: RULE_PRIORITY,
            destination: None,
            not_local: true,
            table,
            suppress: None,
            protocol: ROUTE_PROTOCOL,
        }
    }
}
