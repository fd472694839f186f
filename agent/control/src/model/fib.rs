//! One prefix of the kernel's forwarding table: `routelet fib`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Reason;

/// One prefix: what is wanted of the kernel, and what the kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FibEntry {
    /// The destination.
    pub prefix: IpNet,
    /// The desired route compared with the kernel.
    pub state: FibState,
    /// What the kernel said or which guard rail refuses it; absent when all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For how long the kernel has refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_seconds: Option<u64>,
    /// Present: packets to it that nothing else on the node answers are refused with an ICMP error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses: Option<FibRefusal>,
    /// The wanted nexthops; for a stale or foreign route those that the kernel holds.
    #[serde(default)]
    pub nexthops: Vec<FibNexthopEntry>,
    /// The id of the kernel's nexthop group (`ip nexthop show id N`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nexthop_id: Option<u32>,
}

/// What is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FibRefusal {
    /// The routing table that refuses it (`ip route show table N`).
    pub table: u32,
    /// Which part of the prefix's traffic that is.
    pub what: String,
}

/// One next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FibNexthopEntry {
    /// The router; absent: the destination is on the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The interface's name, or `ifindex N` if it has gone.
    pub interface: String,
    /// The share of flows, relative to the other nexthops.
    pub weight: u32,
}

impl fmt::Display for FibNexthopEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, "via {gateway} ")?;
        }
        write!(f, "dev {}", self.interface)?;
        if self.weight != 1 {
            write!(f, " weight {}", self.weight)?;
        }
        Ok(())
    }
}

/// The desired route compared with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FibState {
    /// The kernel holds what is wanted.
    Installed,
    /// The kernel holds it over some of the nexthops only; the others cannot be used now.
    Degraded,
    /// On its way.
    Pending,
    /// The kernel refused; it is tried again.
    Failed,
    /// A guard rail keeps it out.
    Refused,
    /// Stale: of a previous agent, not desired so far; removed once the routes have converged.
    Stale,
    /// Somebody else's route for the prefix is in the kernel, and is left alone.
    Foreign,
}

impl FibState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Installed,
        Self::Degraded,
        Self::Pending,
        Self::Failed,
        Self::Refused,
        Self::Stale,
        Self::Foreign,
    ];

    /// The word in tables, queries and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::Foreign => "foreign",
        }
    }
}

impl fmt::Display for FibState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
