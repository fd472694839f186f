//! An object of a manifest, and its way into the state.

use std::sync::Arc;

use kube::core::object::HasSpec;
use routelet_api::selector::Labels;

use super::document::{Fault, ours};
use super::tree::Tree;
use crate::cluster::state::{
    ClusterState, EndpointSlice, Node, Object, ObjectKey, ObjectRef, Service,
};

macro_rules! item {
    ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
        /// An object that was read and is valid.
        #[derive(Clone, Debug)]
        pub(super) enum Item {
            $($kind(Arc<Object<<routelet_api::$kind as HasSpec>::Spec>>),)*
            Node(Arc<Node>),
            /// `None`: its labels cannot be read.
            Namespace(Arc<Option<Labels>>),
            Service(Arc<Service>),
            EndpointSlice(Arc<EndpointSlice>),
        }

        impl Item {
            /// Reads an object of a kind that people write; `None`: it is of another.
            pub(super) fn read(kind: &str, tree: &mut Tree) -> Option<Result<Self, Vec<Fault>>> {
                match kind {
                    $(stringify!($kind) => Some(ours(tree, kind).map(Self::$kind)),)*
                    _ => None,
                }
            }

            /// Puts the object into the state.
            pub(super) fn insert(&self, state: &mut ClusterState, object: &ObjectRef) {
                let name = || object.name.to_string();
                match self {
                    $(Self::$kind(o) => drop(state.$collection.insert(name(), Arc::clone(o))),)*
                    Self::Node(o) => drop(state.nodes.insert(name(), Arc::clone(o))),
                    Self::Namespace(o) => drop(state.namespaces.insert(name(), Arc::clone(o))),
                    Self::Service(o) => drop(state.services.insert(key(object), Arc::clone(o))),
                    Self::EndpointSlice(o) => {
                        drop(state.endpoint_slices.insert(key(object), Arc::clone(o)));
                    }
                }
            }
        }
    };
}

routelet_api::kinds!(item);

/// The key of an object in a namespace.
pub(super) fn key(object: &ObjectRef) -> ObjectKey {
    ObjectKey {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}
