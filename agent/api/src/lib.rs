//! The objects of `routelet.dev/v1alpha1`, one file per kind. All are cluster-scoped.
//!
//! The types are what manifests and the API server hold: text stays as typed (in the newtypes of [`text`], which know
//! their own format), every field but a peer's address and AS has a default, and the documentation of each field is what
//! `kubectl explain` shows. They decide nothing: the intent does, after the validation has looked at
//! what a schema cannot say.
//!
//! A new field is one row here, one use in the intent and, if values can be wrong, one check in the validation.

// The derive macro of schemas repeats each struct inside a scope of its own.
#![allow(unreachable_pub)]
// Two columns of one type are no repetition.
#![allow(clippy::duplicated_attributes)]

pub mod address_block;
pub mod address_pool;
pub mod advertisement;
pub mod attribute;
pub mod definitions;
mod kinds;
mod meant;
mod of_text;
pub mod peer;
pub mod policy;
pub mod reason;
pub mod router;
pub mod router_state;
mod rules;
pub mod selector;
pub mod status;
#[cfg(test)]
mod tests;
pub mod text;
mod text_schema;

pub use address_block::AddressBlock;
pub use address_pool::{AddressPool, AddressPoolSpec, AddressPoolStatus};
pub use advertisement::{Advertisement, AdvertisementSpec};
pub use attribute::AttributeName;
pub use kinds::KINDS;
pub use peer::{PasswordSpec, Peer, PeerSpec};
pub use policy::{RoutePolicy, RoutePolicySpec};
pub use reason::{ProblemReason, Reason, ReasonCode};
pub use router::{Router, RouterSpec};
pub use router_state::{RouterState, RouterStateSpec, RouterStateStatus};
pub use selector::LabelSelector;
pub use status::{Condition, ObjectStatus, PeerStatus};
pub use text::{Address, Cidr, CommunityText, Lapse, PeerAs, RestartAfter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of all kinds.
pub const GROUP: &str = "routelet.dev";

/// Group and version, as `apiVersion` says it.
pub const API_VERSION: &str = "routelet.dev/v1alpha1";

/// A value that each node brings with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::value_from()))]
pub struct ValueFrom {
    /// The value is that of this label of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_label: Option<String>,
    /// The value is that of this annotation of the Node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_annotation: Option<String>,
}

/// One of the two address families, as Kubernetes writes them. Small letters, as earlier versions wanted them, are read too.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum IpFamily {
    /// IPv4.
    #[serde(rename = "IPv4", alias = "ipv4")]
    Ipv4,
    /// IPv6.
    #[serde(rename = "IPv6", alias = "ipv6")]
    Ipv6,
}

impl IpFamily {
    /// Both, in the order of all lists.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    pub const fn of(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(_) => Self::Ipv4,
            std::net::IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The protocol's word for its unicast routes.
    pub const fn unicast(self) -> bgp::types::Family {
        match self {
            Self::Ipv4 => bgp::types::Family::IPV4_UNICAST,
            Self::Ipv6 => bgp::types::Family::IPV6_UNICAST,
        }
    }
}

impl std::fmt::Display for IpFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}
