//! Where the state of the cluster comes from.
//!
//! [`ClusterState`] is an index of everything that decides what a node does: our own kinds, and the few fields of Nodes,
//! Namespaces, Services and EndpointSlices that matter. A source builds it whole and hands it over as an
//! `Arc<ClusterState>`; whoever reads it compares states, never events. There are two: a directory of manifests
//! ([`manifests`]) and an API server ([`api`]).

pub mod api;
mod atom;
mod departed;
pub(crate) mod each;
pub(crate) mod kubernetes;
pub mod manifests;
mod node_keys;
mod own_node;
mod reading;
mod secret;
mod snapshot;
pub mod state;
#[cfg(test)]
mod tests;
mod unreadable;
pub mod validate;

pub use api::ApiServer;
pub(crate) use api::{Failure, Fed, Received, Scope, Unreadable, Watches};
pub use atom::{Atom, AtomMap, Atoms};
pub(crate) use departed::{DepartedNodes, STAYS as DEPARTED_STAYS};
pub use kubernetes::Metadata;
pub use manifests::Manifests;
pub(crate) use node_keys::EXCLUDE_LABEL;
pub(crate) use own_node::OwnNode;
pub use secret::{Secret, SecretText};
pub use snapshot::{Problem, Severity, Snapshot, SourceState};
pub use state::{
    Assignment, ClusterState, Endpoint, EndpointSlice, LoadBalancerIngress, Map, Node, Object,
    ObjectKey, ObjectRef, ObjectSource, Service, ServiceType, TrafficPolicy, UnreadSecret,
};
pub use unreadable::Meanwhile;
