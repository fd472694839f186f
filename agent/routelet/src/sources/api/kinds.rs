//! The kinds that are watched: how the API server names each, and what of it goes into the index.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::Resource;
use routelet_api::selector::Labels;
use routelet_api::{
    AddressPool, AddressPoolSpec, Advertisement, AdvertisementSpec, Peer, PeerSpec, RoutePolicy,
    RoutePolicySpec, Router, RouterSpec,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use routelet_core::cluster::atom::Atoms;
use routelet_core::cluster::secret::Secret;
use routelet_core::cluster::state::{
    ClusterState, EndpointSlice, Map, Node, Object, ObjectKey, Service,
};
use routelet_core::cluster::validate::{self, Finding};
pub(crate) use routelet_core::cluster::watched::{
    WatchedNamespace, WatchedNode, WatchedService, WatchedSlice,
};

/// A kind with a place in the index.
pub(crate) trait Watched:
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

/// The parts of [`Watched`] that hang on the scope of a kind.
macro_rules! keyed {
    (cluster) => {
        type Key = String;
        const NAMESPACED: bool = false;

        fn key(object: &ObjectKey) -> String {
            object.name.to_string()
        }

        fn object(key: &String, atoms: &mut Atoms) -> ObjectKey {
            ObjectKey {
                namespace: atoms.atom(""),
                name: atoms.atom(key),
            }
        }
    };
    (namespaced) => {
        type Key = ObjectKey;
        const NAMESPACED: bool = true;

        fn key(object: &ObjectKey) -> ObjectKey {
            object.clone()
        }

        fn object(key: &ObjectKey, _: &mut Atoms) -> ObjectKey {
            key.clone()
        }
    };
}

/// A kind of ours: whole, once it is valid.
macro_rules! ours {
    ($kind:ident, $spec:ident, $map:ident, $validate:path) => {
        impl Watched for $kind {
            const KIND: &'static str = stringify!($kind);
            type Value = Object<$spec>;
            keyed!(cluster);

            fn look(state: &ClusterState) -> &Map<String, Arc<Object<$spec>>> {
                &state.$map
            }

            fn map(state: &mut ClusterState) -> &mut Map<String, Arc<Object<$spec>>> {
                &mut state.$map
            }

            fn value(
                self,
                _: &mut Atoms,
                _: &mut Vec<Finding>,
            ) -> Result<Option<Object<$spec>>, Vec<Finding>> {
                let findings = $validate(&self.spec);
                if !findings.is_empty() {
                    return Err(findings);
                }
                Ok(Some(Object {
                    name: self.metadata.name.unwrap_or_default(),
                    labels: self.metadata.labels.unwrap_or_default(),
                    spec: self.spec,
                }))
            }
        }
    };
}

ours!(Router, RouterSpec, routers, validate::router);
ours!(Peer, PeerSpec, peers, validate::peer);
ours!(
    Advertisement,
    AdvertisementSpec,
    advertisements,
    validate::advertisement
);
ours!(RoutePolicy, RoutePolicySpec, policies, validate::policy);
ours!(AddressPool, AddressPoolSpec, pools, validate::address_pool);

impl Watched for WatchedNode {
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

impl Watched for WatchedNamespace {
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

impl Watched for WatchedService {
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

impl Watched for WatchedSlice {
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

/// A Secret of the agent's own namespace.
#[derive(Clone, Deserialize)]
pub(crate) struct WatchedSecret {
    metadata: ObjectMeta,
    #[serde(default)]
    data: std::collections::BTreeMap<String, ByteString>,
}

impl Debug for WatchedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedSecret")
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

routelet_core::resource!(
    WatchedSecret,
    "Secret",
    "",
    "secrets",
    NamespaceResourceScope
);

impl Watched for WatchedSecret {
    const KIND: &'static str = "Secret";
    const HIDDEN: bool = true;
    type Value = Secret;
    // All are of one namespace.
    keyed!(cluster);

    fn look(state: &ClusterState) -> &Map<String, Arc<Secret>> {
        &state.secrets
    }

    fn map(state: &mut ClusterState) -> &mut Map<String, Arc<Secret>> {
        &mut state.secrets
    }

    fn value(self, _: &mut Atoms, _: &mut Vec<Finding>) -> Result<Option<Secret>, Vec<Finding>> {
        let data = self.data.into_iter();
        Ok(Some(data.map(|(key, value)| (key, value.0)).collect()))
    }
}
