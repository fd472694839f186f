//! The agent as a whole: `routelet status`.

use std::fmt;
use std::net::SocketAddr;

use bgp::refusal::Refusal;
use bgp::types::{Asn, BgpIdentifier};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FamilyName, ProblemReason, Reason};

/// The agent as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The version of the running binary.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// The node's name.
    pub node: String,
    /// Our AS; absent until the configuration is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Our BGP identifier; absent until the node's addresses are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<BgpIdentifier>,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Where the configuration comes from, such as `manifests in /etc/routelet`.
    pub source: String,
    /// What is watched at an API server; empty: the configuration comes from manifests.
    #[serde(default)]
    pub watches: Vec<Watch>,
    /// Addresses that accept BGP connections. Empty: only our own connections.
    #[serde(default)]
    pub listening: Vec<SocketAddr>,
    /// How far traffic is led away from the node, and why; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// What must be open before the first route is advertised, in order.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Whether the first exchange of routes after the start is over.
    pub convergence: Convergence,
    /// Whether the node should get traffic. The control server fills it in; backends leave it `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Peers, counted.
    pub peers: PeerCounts,
    /// Connections that came in, counted since the start.
    #[serde(default)]
    pub connections: ConnectionCounts,
    /// Listen ranges with their peers, counted.
    #[serde(default)]
    pub ranges: Vec<RangeCounts>,
    /// Routes per address family, counted.
    pub families: Vec<FamilyCounts>,
    /// Distinct attribute sets that the routes share.
    #[serde(default)]
    pub attribute_sets: u64,
    /// The kernel's forwarding table, counted.
    pub fib: FibSummary,
    /// What is wrong with the configuration, worst first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Parts of the agent that have been in one step for seconds: a bug, or a kernel that does not answer.
    #[serde(default)]
    pub hanging: Vec<String>,
    /// What is not announced because it must not be, counted.
    #[serde(default)]
    pub refused_announcements: u64,
    /// The first of them.
    #[serde(default)]
    pub refused: Vec<RefusedAnnouncement>,
    /// What peers asked for too often.
    #[serde(default)]
    pub refreshes_limited: RefreshesLimited,
    /// How often the intent was recomputed since the start.
    #[serde(default)]
    pub intent_runs: u64,
    /// Seconds since the configuration last changed what is done; absent before the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent_changed_seconds: Option<u64>,
}

/// ROUTE-REFRESH messages that were not followed at once, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshesLimited {
    /// Requests for all routes that had to wait. All that wait are followed by one.
    pub delayed: u64,
    /// Beginnings of refreshes (RFC 7313) that were ignored: routes that these do not repeat stay until they are
    /// withdrawn.
    pub ignored: u64,
}

/// Traffic is led away from a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How far.
    pub stage: DrainStage,
    /// Why.
    pub reason: Reason,
}

/// How far traffic is led away from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DrainStage {
    /// Every peer was asked to send traffic elsewhere.
    Drained,
    /// Services, static prefixes and interface addresses are withdrawn.
    WithoutServices,
    /// So are pod CIDRs.
    WithoutPods,
    /// The sessions are closed.
    Gone,
}

/// A prefix that some object asks for and that must not be announced at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedAnnouncement {
    /// The prefix.
    pub prefix: String,
    /// The object, such as `Service shop/web`.
    pub object: String,
    /// The rule, and what it says of this one.
    pub reason: Reason,
}

/// A condition that must hold before the first route is advertised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// What it waits for.
    pub name: GateName,
    /// Whether it holds.
    pub open: bool,
    /// What was found, or what is waited for.
    pub message: String,
}

/// What a gate waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateName {
    /// The source of cluster state.
    Source,
    /// kube-proxy, before Services are advertised.
    KubeProxy,
    /// The AS of the node, where its Router takes it from the Node.
    AsNumber,
    /// Another agent that writes the kernel's routes.
    KernelRoutes,
}

impl GateName {
    /// The word in answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::KubeProxy => "kubeProxy",
            Self::AsNumber => "asNumber",
            Self::KernelRoutes => "kernelRoutes",
        }
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The watch of a kind at the API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The kind of object, such as `Service`.
    pub kind: String,
    /// Whether it fails at the moment: then what is known of the kind may be old.
    pub failing: bool,
}

/// Whether the first exchange of routes after the start is over: until then, stale routes stay in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Convergence {
    /// Whether it is over.
    pub converged: bool,
    /// Peers (and families) whose End-of-RIB is awaited, such as `tor-a ipv4-unicast`.
    #[serde(default)]
    pub waiting_for: Vec<String>,
    /// Whether nobody is waited for but nodes of the mesh that have no session.
    #[serde(default)]
    pub only_mesh_is_down: bool,
}

/// The answer of `/readyz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether the node should get traffic.
    pub ready: bool,
    /// Why not; empty when ready.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// Peers, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerCounts {
    /// Peers that should have a session. Dynamic peers count while they have one.
    pub configured: u32,
    /// Peers whose session is Established.
    pub established: u32,
    /// Peers that cannot have a session until something is corrected, such as a missing password.
    pub blocked: u32,
    /// Those of `configured` that the node mesh makes.
    #[serde(default)]
    pub mesh: u32,
    /// Those of `established` that the node mesh makes.
    #[serde(default)]
    pub mesh_established: u32,
}

/// Connections that came in, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCounts {
    /// Those that went to a peer.
    pub accepted: u64,
    /// Those that have not sent an OPEN, at this moment.
    pub without_open: u64,
    /// Those that were refused, by reason.
    pub refused: Vec<RefusedCount>,
}

/// How many connections were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedCount {
    /// The reason.
    pub reason: ConnectionRefusal,
    /// How many.
    pub count: u64,
}

/// Why a connection was refused, as the word of [`Refusal::label`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRefusal(pub Refusal);

impl Serialize for ConnectionRefusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.label())
    }
}

impl<'de> Deserialize<'de> for ConnectionRefusal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = Refusal::ALL.into_iter().find(|one| one.label() == text);
        found.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "\"{text}\" is no reason to refuse a connection that this version knows"
            ))
        })
    }
}

/// The peers of one listen range, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RangeCounts {
    /// The name of the Peer with the range.
    pub name: String,
    /// Places that are taken: peers that are connected, or were not long ago.
    pub peers: u32,
    /// How many there are.
    pub max_peers: u32,
}

/// Routes of one address family, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FamilyCounts {
    /// The family.
    pub family: FamilyName,
    /// Prefixes with at least one usable path, learned or our own.
    pub prefixes: u64,
    /// Paths received from peers, accepted or not.
    pub paths: u64,
    /// Paths that import policy or a loop check rejected.
    pub rejected: u64,
    /// Stale paths, kept for peers that restart.
    pub stale: u64,
    /// Prefixes that this node originates.
    pub originated: u64,
}

/// The kernel's forwarding table, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FibSummary {
    /// The configuration says that no learned routes are installed (`fib.enabled: false`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The kernel's table number; absent until the configuration is known, and if no routes are installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// The metric of our routes; absent like the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The route protocol number of our routes; absent until the configuration is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// Why nothing can be written to the kernel, such as a missing CAP_NET_ADMIN; absent when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// IPv4 routes of ours in the kernel.
    pub installed_ipv4: u64,
    /// IPv6 routes of ours in the kernel.
    pub installed_ipv6: u64,
    /// Prefixes that wait for their turn.
    pub pending: u64,
    /// Prefixes whose routes the kernel rejected; retried.
    pub failed: u64,
    /// Prefixes that a guard rail keeps out.
    pub refused: u64,
    /// Of the refused, those that only the limit on the number of routes keeps out.
    pub over_limit: u64,
    /// Stale routes: of a previous agent, not desired so far.
    pub stale: u64,
    /// Nexthop objects and groups of ours in the kernel.
    pub nexthops: u64,
    /// Messages sent that change the kernel, since the start.
    pub operations: u64,
    /// Batches that they were sent in, since the start.
    pub batches: u64,
    /// Messages that the kernel refused, since the start.
    pub errors: u64,
    /// Comparisons with the kernel, of nexthop objects alone or of everything, since the start.
    pub resyncs: u64,
    /// Routes and nexthops that another program changed and that were restored, since the start.
    pub repairs: u64,
    /// IPv4 destinations that are refused where nothing answers.
    #[serde(default)]
    pub refusing_ipv4: u64,
    /// IPv6 destinations that are refused where nothing answers.
    #[serde(default)]
    pub refusing_ipv6: u64,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The object is not used, or its last good state is.
    Error,
    /// The object is used, but not everything that it says can be done.
    Warning,
}

/// Something wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The object, such as `Peer tor-a`; absent if the document could not be read that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The file; absent for objects of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The field, such as `spec.timers.hold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found, what was expected, and what is done meanwhile.
    pub message: String,
    /// One word for what this node makes of an object that is valid; absent for faults of the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ProblemReason>,
    /// This node does not use the object, such as `true` for a Peer that duplicates another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unused: bool,
    /// The object that is used instead, such as `Peer tor-a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_instead: Option<String>,
}
