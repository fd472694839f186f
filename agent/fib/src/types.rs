//! What the RIB asks of the FIB, and what the FIB shows of itself.
//!
//! A [`FibChange`] is level-triggered: it says what a prefix shall be from now on, whatever it was. The latest one wins.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;
use smallvec::SmallVec;

pub use routelet_base::numbers::{DEFAULT_METRIC, ROUTE_PROTOCOL};

/// The first id of our nexthop objects. The top byte is [`ROUTE_PROTOCOL`], so `ip nexthop` tells them apart at a glance,
/// and neither the ids that the kernel assigns (from 1 upwards) nor FRR's (up to some 200,000,000) come near.
pub const NEXTHOP_ID_FIRST: u32 = (ROUTE_PROTOCOL as u32) << 24;

/// The last id of our nexthop objects.
pub const NEXTHOP_ID_LAST: u32 = NEXTHOP_ID_FIRST | 0x00ff_ffff;

/// The kernel's main table (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;

/// The most members that a multipath route keeps; the rest are dropped. The kernel takes more, routers rarely do.
pub const MAX_NEXTHOPS: usize = 128;

/// Where our routes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RouteSpace {
    /// The table.
    pub table: u32,
    /// The metric of every route, at least 1 (IPv6 takes 0 for its default).
    pub metric: u32,
}

impl Default for RouteSpace {
    fn default() -> Self {
        Self {
            table: MAIN_TABLE,
            metric: DEFAULT_METRIC,
        }
    }
}

/// The new wish for one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FibChange {
    /// The destination. Host bits are ignored.
    pub prefix: IpNet,
    /// What it shall be.
    pub action: FibAction,
}

impl FibChange {
    /// The wish that `prefix` has `route`.
    pub fn install(prefix: IpNet, route: FibRoute) -> Self {
        Self {
            prefix,
            action: FibAction::Install(route),
        }
    }

    /// The wish that there is no route of ours for `prefix`.
    pub fn remove(prefix: IpNet) -> Self {
        Self {
            prefix,
            action: FibAction::Remove,
        }
    }
}

/// What to do with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FibAction {
    /// Have exactly this route, whatever there was of ours.
    Install(FibRoute),
    /// Have no route of ours.
    Remove,
}

/// A learned route as the kernel is to hold it: forward to these, in proportion to their weights. Guard rails apply. Order does
/// not matter; twins are merged by adding their weights; an empty list is the same as removing the route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FibRoute {
    /// The ways out.
    #[serde(serialize_with = "slice")]
    pub nexthops: SmallVec<[FibNexthop; 2]>,
}

impl FibRoute {
    /// A route to one gateway on one interface.
    pub fn via(gateway: IpAddr, ifindex: u32) -> Self {
        Self {
            nexthops: smallvec::smallvec![FibNexthop::via(gateway, ifindex)],
        }
    }
}

/// One way out: a gateway on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FibNexthop {
    /// The router. An IPv6 one is fine for an IPv4 route, not the other way round. `None`: the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub ifindex: u32,
    /// The share of flows, relative to the other members.
    pub weight: NonZeroU8,
    /// Use the gateway on this interface even if no connected network covers it (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

impl FibNexthop {
    /// A gateway on an interface, weight 1.
    pub fn via(gateway: IpAddr, ifindex: u32) -> Self {
        Self {
            gateway: Some(gateway),
            ifindex,
            weight: NonZeroU8::MIN,
            onlink: false,
        }
    }
}

impl fmt::Display for FibNexthop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, "via {gateway} ")?;
        }
        write!(f, "ifindex {}", self.ifindex)?;
        if self.weight.get() != 1 {
            write!(f, " weight {}", self.weight)?;
        }
        Ok(())
    }
}

/// Why the kernel did not do what it was asked, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{}: {text}", errno_name(*.errno))]
pub struct KernelError {
    /// The error number, positive (`EEXIST` is 17).
    pub errno: i32,
    /// The extended ACK's text; the error number's description where the kernel gave none.
    pub text: String,
}

impl KernelError {
    /// An error with the description that goes with its number.
    pub fn from_errno(errno: i32) -> Self {
        Self {
            errno,
            text: nix::errno::Errno::from_raw(errno).desc().to_owned(),
        }
    }
}

/// The symbolic name of an error number, such as `EEXIST`.
pub fn errno_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

/// The rule that keeps a prefix out of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "rule", content = "by")]
pub enum Rejection {
    /// An address block that is never routed.
    Martian(IpNet),
    /// A default route, and they are not accepted.
    DefaultRoute,
    /// Inside this pod CIDR of the node.
    OwnPodCidr(IpNet),
    /// Inside this network on one of the node's interfaces.
    Connected(IpNet),
    /// Inside this service address or service CIDR.
    Service(IpNet),
    /// Equal to the destination of an on-link route of other software.
    ForeignRoute(IpNet),
    /// The limit on the number of routes is reached.
    OverLimit(u64),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Martian(net) => write!(f, "inside {net}, which is not routable"),
            Self::DefaultRoute => {
                write!(f, "a default route, and acceptDefaultRoute is not set")
            }
            Self::OwnPodCidr(net) => write!(f, "inside {net}, this node's own pod CIDR"),
            Self::Connected(net) => {
                write!(f, "inside {net}, a network on an interface of the node")
            }
            Self::Service(net) => write!(f, "inside {net}, a service address"),
            Self::ForeignRoute(net) => write!(
                f,
                "other software on the node has an on-link route for exactly {net}"
            ),
            Self::OverLimit(max) => write!(f, "the limit maxRoutes of {max} is reached"),
        }
    }
}

/// One prefix, for people and programs that ask what is going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FibRouteStatus {
    /// The destination.
    pub prefix: IpNet,
    /// What the RIB wants; `None` if nothing (a route on its way out, or one of a predecessor).
    pub desired: Option<FibRoute>,
    /// What the kernel holds of ours; `None` if nothing.
    pub installed: Option<InstalledRoute>,
    /// How the two relate.
    pub state: FibRouteState,
    /// Where the kernel holds it, if that is not where it belongs: a predecessor was configured otherwise.
    pub elsewhere: Option<RouteSpace>,
}

/// A route of ours in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledRoute {
    /// The id of the nexthop group that it uses; `None` for an adopted route of another shape.
    pub nexthop_id: Option<u32>,
    /// What that group holds now. `None` if that is not known (an adopted route of another shape).
    pub route: Option<FibRoute>,
}

/// How far a prefix has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum FibRouteState {
    /// The kernel holds what is wanted.
    Installed,
    /// The kernel holds it, but only over those members of the group that are usable now.
    Degraded,
    /// On its way.
    Pending,
    /// The kernel refused; it is tried again.
    Failed {
        /// What the kernel said.
        error: KernelError,
        /// Which of our objects it said it about.
        about: FailedObject,
        /// For how long it has failed, in seconds.
        #[serde(serialize_with = "seconds")]
        failing_for: Duration,
    },
    /// A guard rail keeps it out of the kernel.
    Refused {
        /// Which one.
        reason: Rejection,
    },
    /// Left by a predecessor, and what is wanted so far is nothing or another way; changed or removed once the RIB has
    /// converged.
    Stale,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FailedObject {
    /// The route itself.
    Route,
    /// The nexthop object or group that it needs.
    Nexthop,
}

/// Counters and gauges of the FIB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FibCounters {
    /// IPv4 routes of ours in the kernel.
    pub installed_ipv4: u64,
    /// IPv6 routes of ours in the kernel.
    pub installed_ipv6: u64,
    /// IPv4 destinations that the refusing table holds.
    pub refusing_ipv4: u64,
    /// IPv6 destinations that the refusing table holds.
    pub refusing_ipv6: u64,
    /// Prefixes whose kernel state is not what is wanted and that wait for their turn, or for nexthop objects to be made.
    pub pending: u64,
    /// Prefixes that the kernel refused, or whose nexthops it refused.
    pub failed: u64,
    /// Prefixes that a guard rail keeps out.
    pub refused: u64,
    /// Of those, prefixes that are kept out by the limit on the number of routes alone.
    pub over_limit: u64,
    /// Routes left by a predecessor that nobody has asked for yet as they are.
    pub stale: u64,
    /// Nexthop objects and groups of ours in the kernel.
    pub nexthops: u64,
    /// Messages sent that change the kernel.
    pub operations: u64,
    /// Batches that they were sent in.
    pub batches: u64,
    /// Messages that the kernel refused; without those that relied on nexthop objects or groups which it had just removed.
    pub errors: u64,
    /// Comparisons with what the kernel holds: of nexthop objects (after link events, and where one of ours was changed or refused), or of
    /// everything (at the start, and after lost notifications).
    pub resyncs: u64,
    /// Routes and nexthops of ours that somebody else removed or changed, and that were repaired.
    pub repairs: u64,
    /// Of those, nexthop objects that somebody else replaced by another.
    pub replaced_nexthops: u64,
}

fn seconds<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(d.as_secs_f64())
}

fn slice<S: serde::Serializer>(v: &SmallVec<[FibNexthop; 2]>, s: S) -> Result<S::Ok, S::Error> {
    v.as_slice().serialize(s)
}
