//! Where the state of the cluster comes from.
//!
//! [`ClusterState`] is an index of everything that decides what a node does: our own kinds, and the few fields of Nodes,
//! Namespaces, Services and EndpointSlices that matter. A source builds it whole and hands it over as an
//! `Arc<ClusterState>`; whoever reads it compares states, never events. There are two, and what they share is here: a directory of
//! manifests, whose text [`manifests`] reads, and an API server.

pub mod atom;
pub mod departed;
pub mod each;
mod kind;
pub mod kubernetes;
pub mod manifests;
pub mod node_keys;
pub mod own_node;
pub mod reading;
pub mod secret;
pub mod snapshot;
pub mod state;
pub mod unreadable;
pub mod validate;
pub mod watched;

pub use atom::{Atom, AtomMap, Atoms};
pub use departed::{DepartedNodes, STAYS as DEPARTED_STAYS};
pub use kind::{Indexed, Kind};
pub use kubernetes::Metadata;
pub use node_keys::EXCLUDE_LABEL;
pub use own_node::OwnNode;
pub use secret::{Secret, SecretText};
pub use snapshot::{Problem, Severity, Snapshot, SourceState};
pub use state::{
    Assignment, ClusterState, Endpoint, EndpointSlice, LoadBalancerIngress, Map, Node, Object,
    ObjectKey, ObjectRef, ObjectSource, Service, ServiceType, TrafficPolicy, UnreadSecret,
};
pub use unreadable::Meanwhile;
