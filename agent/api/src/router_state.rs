//! `RouterState`: what one node's agent says of itself. Written by the agent, read by people.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::status::Condition;

/// The state of one node's agent as a BGP speaker: named like the node, written by its agent, and deleted with the
/// node.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "RouterState",
    derive = "PartialEq",
    status = "RouterStateStatus",
    shortname = "rst",
    category = "routelet",
    doc = "Status of the agent of one node: sessions, routes, forwarding table, conditions. Written by the agent.",
    printcolumn(name = "AS", type_ = "integer", json_path = ".status.asn"),
    printcolumn(name = "Router ID", type_ = "string", json_path = ".status.routerID"),
    printcolumn(
        name = "Sessions",
        type_ = "string",
        json_path = ".status.summary.sessions"
    ),
    printcolumn(name = "Mesh", type_ = "string", json_path = ".status.summary.mesh"),
    printcolumn(
        name = "Advertised",
        type_ = "integer",
        json_path = ".status.summary.advertised"
    ),
    printcolumn(
        name = "Installed",
        type_ = "integer",
        json_path = ".status.fib.installed"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Problems",
        type_ = "integer",
        json_path = ".status.summary.problems"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message"
    ),
    printcolumn(
        name = "Heard",
        type_ = "date",
        json_path = ".status.lastHeartbeatTime"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(default, rename_all = "camelCase")]
pub struct RouterStateSpec {
    /// The node.
    pub node: String,
}

/// The last report of the agent. Its size is bounded: lists are truncated, counts are not. `routelet peers` and
/// `routelet status` on the node show everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RouterStateStatus {
    /// The agent's version.
    pub version: String,
    /// The node's AS; absent until it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<i64>,
    /// The node's BGP identifier.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// The sessions outside the node mesh, in the order of their names. Of more than 20, 20 are listed: as many as there are of
    /// those that are down, then others.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub sessions: Vec<SessionStatus>,
    /// The sessions of each object but the Router (its mesh), counted: at most 100 objects.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub session_counts: Vec<SessionCounts>,
    /// The sessions of the node mesh, counted; absent where the node has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<SessionCounts>,
    /// Columns of `kubectl get`.
    pub summary: Summary,
    /// The kernel's forwarding table.
    pub fib: FibStatus,
    /// Conditions for advertising routes: those of Services, or all.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub gates: Vec<GateStatus>,
    /// When the agent wrote last: at least every five minutes. If it is older, the agent is not running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<Time>,
    /// Problems of the configuration on this node, worst first, at most 20.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub problems: Vec<ProblemStatus>,
    /// `Ready`: the node should get traffic. `SessionsEstablished`: every session outside the mesh is. `MeshEstablished`: every
    /// session of the mesh is. `RoutesInstalled`: the kernel has every route that it should. `ConfigurationAccepted`: no
    /// object that the node uses has an error. `AnnouncementsAllowed`: everything that objects ask for may be announced.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Summary {
    /// Established sessions of all sessions outside the node mesh, such as `2/3`.
    pub sessions: String,
    /// Established sessions of all sessions of the node mesh, such as `298/299`; absent where the node has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    /// Prefixes that this node originates.
    pub advertised: i64,
    /// The number of errors and warnings of the configuration on this node.
    pub problems: i64,
}

/// Sessions of one object, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionCounts {
    /// The object that asks for them, such as `Peer tor-a`.
    pub object: String,
    /// How many there are.
    pub sessions: i64,
    /// How many of them are Established.
    pub established: i64,
    /// Those that are down, with the reason if it is known: at most 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub down: Vec<String>,
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionStatus {
    /// The peer's name on this node: that of the Peer, or with a suffix if it has several: `mesh/node-2`.
    pub peer: String,
    /// The object that asks for it, such as `Peer tor-a`.
    pub object: String,
    /// The peer's address, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The peer's AS, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<i64>,
    /// The state of RFC 4271 section 8.2.2: Idle, Connect, Active, OpenSent, OpenConfirm or Established.
    pub state: String,
    /// Since when it is Established, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why it is not Established, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The last NOTIFICATION that this node sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_sent: Option<SessionErrorStatus>,
    /// The last NOTIFICATION that the peer sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_received: Option<SessionErrorStatus>,
    /// How often it has become Established since the agent started.
    pub established_count: i64,
    /// Prefixes, by family.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub families: Vec<SessionFamilyStatus>,
}

/// An error of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionErrorStatus {
    /// When.
    pub time: Time,
    /// The error code and subcode in words, and the data with them.
    pub text: String,
}

/// A session's prefixes of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionFamilyStatus {
    /// The family, such as `ipv4-unicast`.
    pub family: String,
    /// Paths received from the peer.
    pub received: i64,
    /// Of those, paths that may be used.
    pub accepted: i64,
    /// Prefixes advertised to the peer.
    pub advertised: i64,
}

/// The kernel's forwarding table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FibStatus {
    /// Routes of ours in the kernel, both families.
    pub installed: i64,
    /// Routes that the kernel rejected; retried.
    pub failed: i64,
    /// Routes that a guard rail keeps out.
    pub refused: i64,
    /// Why nothing can be written to the kernel; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// Conditions for advertising routes: those of Services, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GateStatus {
    /// Its name, such as `kubeProxy`.
    pub name: String,
    /// Whether it is open.
    pub open: bool,
    /// What was found, or what the agent waits for.
    pub message: String,
}

/// A problem of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProblemStatus {
    /// `Error`: the object is not used, or its last good version is. `Warning`: it is used, but not completely.
    pub severity: String,
    /// The object, such as `Peer tor-a`.
    pub object: String,
    /// What was found, what was expected, and what is done meanwhile.
    pub message: String,
    /// The reason code, for objects that are valid; the object's condition `Accepted` repeats it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// This node does not use the object at all, such as a Peer that duplicates another.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unused: bool,
    /// The object that is used instead, such as `Peer tor-a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_instead: Option<String>,
}
