//! Objects of Kubernetes as watches of an API server bring them, of which only some fields are read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};

use super::kubernetes::{MetaOnly, RawEndpointSlice, RawNode, RawService};
use crate::pools::RawPoolService;

/// How the API server names a kind of Kubernetes of which only some fields are read.
#[macro_export]
macro_rules! resource {
    ($type:ty, $kind:literal, $group:literal, $plural:literal, $scope:ty) => {
        impl ::kube::Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> ::std::borrow::Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> ::std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> ::std::borrow::Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> ::std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(
                &mut self,
            ) -> &mut ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

/// A Node.
pub type WatchedNode = RawNode<ObjectMeta>;
resource!(WatchedNode, "Node", "", "nodes", ClusterResourceScope);

/// A Namespace.
pub type WatchedNamespace = MetaOnly<ObjectMeta>;
resource!(
    WatchedNamespace,
    "Namespace",
    "",
    "namespaces",
    ClusterResourceScope
);

/// A Service, as far as announcements are concerned.
pub type WatchedService = RawService<ObjectMeta>;
resource!(
    WatchedService,
    "Service",
    "",
    "services",
    NamespaceResourceScope
);

/// A Service, as far as its addresses are concerned.
pub type WatchedPoolService = RawPoolService<ObjectMeta>;
resource!(
    WatchedPoolService,
    "Service",
    "",
    "services",
    NamespaceResourceScope
);

/// An EndpointSlice.
pub type WatchedSlice = RawEndpointSlice<ObjectMeta>;
resource!(
    WatchedSlice,
    "EndpointSlice",
    "discovery.k8s.io",
    "endpointslices",
    NamespaceResourceScope
);
