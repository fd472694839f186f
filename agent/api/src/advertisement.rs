//! `Advertisement`: what selected nodes tell selected peers.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LabelSelector;
use super::status::ObjectStatus;
use super::text::{Cidr, CommunityText};

/// The `loadBalancerClass` that is ours, beside none.
pub const LOAD_BALANCER_CLASS: &str = "routelet.dev/bgp";

/// What the selected nodes advertise to the selected peers. Without any Advertisement: pod CIDRs and LoadBalancer
/// addresses to every peer.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "Advertisement",
    derive = "PartialEq",
    status = "ObjectStatus",
    shortname = "adv",
    category = "routelet",
    doc = "What selected nodes advertise to selected peers: pod CIDRs, services, prefixes, interface addresses; \
        with attributes.",
    printcolumn(name = "Aggregate", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::advertisement()))]
pub struct AdvertisementSpec {
    /// The nodes that advertise it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The peers to advertise to, by the labels of their Peer objects; absent: all. Peers of the node mesh have the
    /// label `routelet.dev/mesh: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_selector: Option<LabelSelector>,
    /// The node's own pod CIDRs.
    #[serde(default, rename = "podCIDRs", skip_serializing_if = "Option::is_none")]
    pub pod_cidrs: Option<PodCidrs>,
    /// Addresses of Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// Static prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub prefixes: Vec<Cidr>,
    /// Whether `prefixes` may have a default route, 0.0.0.0/0 or ::/0. Otherwise one is not advertised: all traffic
    /// without another route would go to this node.
    #[serde(default)]
    pub allow_default_route: bool,
    /// The global addresses of these interfaces, each as a host route, such as an anycast address on `lo`. Those of an
    /// interface that is down or has no carrier are not advertised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// Aggregates for the routes of this Advertisement, by length. An aggregate exists while a route inside it does;
    /// the kernel refuses traffic to its unused part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Which of aggregates and exact routes are advertised. Default: `Aggregated` if there is an aggregate, else
    /// `Exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Attributes of these routes. If several Advertisements apply to a prefix and a peer, communities are merged, and
    /// the highest local preference, the lowest MED and the longest prepend win.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The node's own pod CIDRs. There are no settings yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PodCidrs {}

/// Addresses of Services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Services {
    /// The Services, by their labels; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The namespaces of the Services, by their labels; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Which of their addresses. Default: LoadBalancer.
    #[schemars(length(min = 1, max = 3))]
    pub addresses: Vec<AddressKind>,
    /// The prefixes inside which external IPs of Services may be advertised. Anyone who may edit a Service can write
    /// any address there (CVE-2020-8554), so without a list none is advertised.
    #[serde(rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub external_ips: Vec<Cidr>,
    /// Values of `loadBalancerClass` that are ours, beside none. Default: `routelet.dev/bgp`.
    pub load_balancer_classes: Vec<String>,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            selector: None,
            namespace_selector: None,
            addresses: vec![AddressKind::LoadBalancer],
            external_ips: Vec::new(),
            load_balancer_classes: vec![LOAD_BALANCER_CLASS.to_owned()],
        }
    }
}

/// The field of a Service that holds an address.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum AddressKind {
    /// `status.loadBalancer.ingress`.
    LoadBalancer,
    /// `spec.externalIPs`.
    External,
    /// `spec.clusterIPs`.
    Cluster,
}

impl std::fmt::Display for AddressKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::External => "External",
            Self::Cluster => "Cluster",
        })
    }
}

/// Lengths of aggregates by family. A route that is not longer than the length is advertised as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Aggregate {
    /// Length of IPv4 aggregates, 1 to 32. Absent: IPv4 is not aggregated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub ipv4: Option<u8>,
    /// Length of IPv6 aggregates, 1 to 128. Absent: IPv6 is not aggregated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6: Option<u8>,
}

/// Which of aggregates and exact routes are advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Exact routes only.
    Exact,
    /// Aggregates only, except that addresses which not every node serves (traffic policy `Local`) are advertised
    /// exactly, and create no aggregate: an aggregate would attract the traffic of addresses that have no endpoint
    /// here.
    Aggregated,
    /// Both.
    Both,
}

/// Attributes of routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Attributes {
    /// Communities of all kinds in one list: `64512:100`, `64512:1:2` (large), `rt:64512:100` (extended), `no-export`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub communities: Vec<CommunityText>,
    /// LOCAL_PREF towards internal peers. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub med: Option<u32>,
    /// How often our AS is prepended in addition to the one time towards external peers, 0 to 32.
    #[schemars(range(min = 0, max = 32))]
    pub prepend: u8,
}
