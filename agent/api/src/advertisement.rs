//! `Advertisement`: what selected nodes tell selected peers.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LabelSelector;
use super::status::ObjectStatus;
use super::text::{Cidr, CommunityText};

/// The `loadBalancerClass` that is ours, beside none.
pub const LOAD_BALANCER_CLASS: &str = "routelet.dev/bgp";

/// What the selected nodes tell the selected peers. Without any Advertisement: pod CIDRs and LoadBalancer addresses to
/// every peer.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "Advertisement",
    derive = "PartialEq",
    status = "ObjectStatus",
    shortname = "adv",
    category = "routelet",
    doc = "What selected nodes tell selected peers: pod CIDRs, services, prefixes, interface addresses; with attributes.",
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
    /// The nodes that say it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The peers that are told, by the labels of their Peer objects; absent: all. Peers of the node mesh have the label
    /// `routelet.dev/mesh: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_selector: Option<LabelSelector>,
    /// The node's own pod CIDRs.
    #[serde(default, rename = "podCIDRs", skip_serializing_if = "Option::is_none")]
    pub pod_cidrs: Option<PodCidrs>,
    /// Addresses of Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// Prefixes as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub prefixes: Vec<Cidr>,
    /// Whether `prefixes` may have a default route, 0.0.0.0/0 or ::/0. Without it one is refused: all traffic that no other
    /// route takes would go to this node.
    #[serde(default)]
    pub allow_default_route: bool,
    /// The global addresses of these interfaces, each as a host route, such as an anycast address on `lo`. Those of an
    /// interface that is down or has no carrier are not advertised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// Aggregates for what this Advertisement says, by length. An aggregate exists while something inside it does; the
    /// kernel refuses what is sent to its unused part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Which of aggregates and exact routes are told. Default: `Aggregated` if there is an aggregate, else `Exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Attributes of these routes. Where several Advertisements tell a peer of one prefix, communities are united, and
    /// the highest local preference, the lowest MED and the longest prepend win.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The node's own pod CIDRs. There is nothing to say about them yet.
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
    /// The prefixes inside which external IPs of Services may be told. Anyone who may edit a Service may write any
    /// address there (CVE-2020-8554), so that nothing is told without a list.
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

/// Where an address stands in a Service.
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

/// Lengths of aggregates by family. A route that is not longer than the length is told as it is.
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

/// Which of aggregates and exact routes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Exact routes only.
    Exact,
    /// Aggregates only, except that addresses which not every node serves (traffic policy `Local`) are told exactly, and
    /// make no aggregate: an aggregate would attract the traffic of addresses that have no endpoint here.
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
    /// How often our AS is prepended beyond the one time that external peers see anyway, 0 to 32.
    #[schemars(range(min = 0, max = 32))]
    pub prepend: u8,
}
