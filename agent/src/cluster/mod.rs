//! Where the state of the cluster comes from.
//!
//! [`ClusterState`] is an index of everything that decides what a node does: our own kinds, and the few fields of Nodes,
//! Namespaces, Services and EndpointSlices that matter. A source builds it whole and hands it over as an
//! `Arc<ClusterState>`; whoever reads it compares states, never events. Today's source is a directory of manifests
//! ([`manifests`]); an API server builds the same index from watches.

mod atom;
mod kubernetes;
pub mod manifests;
pub mod state;
pub mod validate;

pub use atom::{Atom, AtomMap};
pub use manifests::{Manifests, Problem, Severity, Snapshot};
pub use state::{
    ClusterState, Endpoint, EndpointSlice, LoadBalancerIngress, Node, Object, ObjectKey, ObjectRef,
    Service, ServiceType, TrafficPolicy,
};
