//! The kinds that have a place in the index: how each is found there, and what of an object it holds.
//!
//! The kinds that people write come out of the rows of [`routelet_api::kinds`] and are alike: a valid object is held whole. Those
//! of Kubernetes differ in each of it.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::object::{HasSpec, HasStatus};
use routelet_api::selector::Labels;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atom::Atoms;
use super::state::{ClusterState, EndpointSlice, Map, Node, Object, ObjectKey, Service};
use super::validate::{Finding, Validate};
use super::watched::{WatchedNamespace, WatchedNode, WatchedService, WatchedSlice};

/// A kind with a place in the index.
pub trait Indexed:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static
{
    /// `kind`.
    const KIND: &'static str;
    /// What the index finds it by.
    type Key: Ord + Clone;
    /// What the index holds of it.
    type Value: PartialEq;

    /// Whether its objects are told apart by namespace and name, not by name alone.
    const NAMESPACED: bool;

    /// Whether what is found in its objects must not be shown, such as in the words for what is wrong with them.
    const HIDDEN: bool = false;

    /// Where the index holds the kind.
    fn look(state: &ClusterState) -> &Map<Self::Key, Arc<Self::Value>>;

    /// The same, to change it.
    fn map(state: &mut ClusterState) -> &mut Map<Self::Key, Arc<Self::Value>>;

    /// The index's key for an object.
    fn key(object: &ObjectKey) -> Self::Key;

    /// The object of a key.
    fn object(key: &Self::Key, atoms: &mut Atoms) -> ObjectKey;

    /// What the index holds of an object; `None`: nothing, it is of no use. Entries that are left out are added to `left_out`.
    ///
    /// # Errors
    /// All that makes the object unusable.
    fn value(
        self,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Result<Option<Self::Value>, Vec<Finding>>;

    /// Takes over from the known version what cannot have gone, and is missing in the new one for a moment: a gap is no
    /// decision.
    fn bridge(_known: &Self::Value, _new: &mut Self::Value) {}

    /// What the index holds of an object that cannot be used and whose last good version does not count; `None`: nothing.
    fn unknown() -> Option<Self::Value> {
        None
    }
}

/// The parts of [`Indexed`] that depend on the scope of a kind.
#[macro_export]
macro_rules! keyed {
    (cluster) => {
        type Key = String;
        const NAMESPACED: bool = false;

        fn key(object: &$crate::cluster::ObjectKey) -> String {
            object.name.to_string()
        }

        fn object(key: &String, atoms: &mut $crate::cluster::Atoms) -> $crate::cluster::ObjectKey {
            $crate::cluster::ObjectKey {
                namespace: atoms.atom(""),
                name: atoms.atom(key),
            }
        }
    };
    (namespaced) => {
        type Key = $crate::cluster::ObjectKey;
        const NAMESPACED: bool = true;

        fn key(object: &$crate::cluster::ObjectKey) -> $crate::cluster::ObjectKey {
            object.clone()
        }

        fn object(
            key: &$crate::cluster::ObjectKey,
            _: &mut $crate::cluster::Atoms,
        ) -> $crate::cluster::ObjectKey {
            key.clone()
        }
    };
}

/// A kind that people write.
pub trait Kind:
    Indexed<Key = String, Value = Object<<Self as HasSpec>::Spec>>
    + HasSpec<Spec: Validate + DeserializeOwned + Clone + Debug>
    + HasStatus<Status: Serialize + Clone + Debug + Default + PartialEq>
{
    /// Whether agents read it. The controller reads all.
    const READ_BY_AGENTS: bool;

    /// Metadata, spec and status.
    fn into_parts(self) -> (ObjectMeta, Self::Spec, Option<Self::Status>);
}

macro_rules! kind {
    ($($kind:ident { collection: $collection:ident, read_by_agents: $agents:literal })*) => {
        $(
            impl Kind for routelet_api::$kind {
                const READ_BY_AGENTS: bool = $agents;

                fn into_parts(self) -> (ObjectMeta, Self::Spec, Option<Self::Status>) {
                    (self.metadata, self.spec, self.status)
                }
            }

            impl Indexed for routelet_api::$kind {
                const KIND: &'static str = stringify!($kind);
                type Value = Object<<Self as HasSpec>::Spec>;
                keyed!(cluster);

                fn look(state: &ClusterState) -> &Map<String, Arc<Self::Value>> {
                    &state.$collection
                }

                fn map(state: &mut ClusterState) -> &mut Map<String, Arc<Self::Value>> {
                    &mut state.$collection
                }

                fn value(
                    self,
                    _: &mut Atoms,
                    _: &mut Vec<Finding>,
                ) -> Result<Option<Self::Value>, Vec<Finding>> {
                    valid(self).map(Some)
                }
            }
        )*
    };
}

routelet_api::kinds!(kind);

/// An object as the index holds it.
fn valid<K: Kind>(object: K) -> Result<Object<K::Spec>, Vec<Finding>> {
    let (metadata, spec, _) = object.into_parts();
    let findings = spec.validate();
    match findings.is_empty() {
        true => Ok(Object::new(metadata, spec)),
        false => Err(findings),
    }
}

impl Indexed for WatchedNode {
    const KIND: &'static str = "Node";
    type Value = Node;
    keyed!(cluster);

    fn look(state: &ClusterState) -> &Map<String, Arc<Node>> {
        &state.nodes
    }

    fn map(state: &mut ClusterState) -> &mut Map<String, Arc<Node>> {
        &mut state.nodes
    }

    fn value(
        self,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Result<Option<Node>, Vec<Finding>> {
        Ok(Some(self.into_node(atoms, left_out)))
    }

    fn bridge(known: &Node, new: &mut Node) {
        new.bridge(known);
    }
}

impl Indexed for WatchedNamespace {
    const KIND: &'static str = "Namespace";
    type Value = Option<Labels>;
    keyed!(cluster);

    fn look(state: &ClusterState) -> &Map<String, Arc<Option<Labels>>> {
        &state.namespaces
    }

    fn map(state: &mut ClusterState) -> &mut Map<String, Arc<Option<Labels>>> {
        &mut state.namespaces
    }

    fn value(
        self,
        _: &mut Atoms,
        _: &mut Vec<Finding>,
    ) -> Result<Option<Option<Labels>>, Vec<Finding>> {
        Ok(Some(Some(self.into_namespace())))
    }

    fn unknown() -> Option<Option<Labels>> {
        Some(None)
    }
}

impl Indexed for WatchedService {
    const KIND: &'static str = "Service";
    type Value = Service;
    keyed!(namespaced);

    fn look(state: &ClusterState) -> &Map<ObjectKey, Arc<Service>> {
        &state.services
    }

    fn map(state: &mut ClusterState) -> &mut Map<ObjectKey, Arc<Service>> {
        &mut state.services
    }

    fn value(
        self,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Result<Option<Service>, Vec<Finding>> {
        Ok(Some(self.into_service(atoms, left_out)))
    }
}

impl Indexed for WatchedSlice {
    const KIND: &'static str = "EndpointSlice";
    type Value = EndpointSlice;
    keyed!(namespaced);

    fn look(state: &ClusterState) -> &Map<ObjectKey, Arc<EndpointSlice>> {
        &state.endpoint_slices
    }

    fn map(state: &mut ClusterState) -> &mut Map<ObjectKey, Arc<EndpointSlice>> {
        &mut state.endpoint_slices
    }

    fn value(
        self,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Result<Option<EndpointSlice>, Vec<Finding>> {
        Ok(self.into_slice(atoms, left_out))
    }
}
