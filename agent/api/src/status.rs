//! What is said about objects: conditions, and the statuses that hold little else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The condition that says whether an object is valid and used.
pub const ACCEPTED: &str = "Accepted";

/// The status of objects of which there is nothing to say but conditions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectStatus {
    /// `Accepted`: the object is valid, what it refers to exists, and nodes use it.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The status of a Peer: the sessions of all its nodes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PeerStatus {
    /// Sessions that the selected nodes should have.
    pub sessions: i64,
    /// Sessions that are Established.
    pub established: i64,
    /// `Accepted`: the object is valid, what it refers to exists, and nodes use it. `Established`: all its sessions are.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
