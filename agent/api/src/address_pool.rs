//! `AddressPool`: addresses for Services of type LoadBalancer.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LabelSelector;
use super::address_block::AddressBlock;
use super::status::Condition;

/// Addresses that the controller assigns to Services of type LoadBalancer.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "routelet.dev",
    version = "v1alpha1",
    kind = "AddressPool",
    derive = "PartialEq",
    status = "AddressPoolStatus",
    shortname = "pool",
    category = "routelet",
    doc = "Addresses that the controller assigns to Services of type LoadBalancer.",
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(name = "Auto", type_ = "boolean", json_path = ".spec.autoAssign"),
    printcolumn(
        name = "IPv4 used",
        type_ = "integer",
        json_path = ".status.ipv4.assigned"
    ),
    printcolumn(
        name = "IPv4 free",
        type_ = "integer",
        json_path = ".status.ipv4.available"
    ),
    printcolumn(
        name = "IPv6 used",
        type_ = "integer",
        json_path = ".status.ipv6.assigned"
    ),
    printcolumn(
        name = "IPv6 free",
        type_ = "integer",
        json_path = ".status.ipv6.available"
    ),
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
#[x_kube(
    validation = Rule::new(
        "!(has(self.autoAssign) && !self.autoAssign && has(self.allowRequests) && !self.allowRequests)"
    ).message("autoAssign: false and allowRequests: false: no Service could get an address; set one of them to true")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::address_pool()))]
pub struct AddressPoolSpec {
    /// Prefixes (`203.0.113.0/24`), ranges (`198.51.100.10-198.51.100.20`) and single addresses, of either family.
    /// Pools must not overlap: of two that do, the older one keeps the addresses that both have.
    #[schemars(length(min = 1, max = 256))]
    pub addresses: Vec<AddressBlock>,
    /// Whether Services that ask for no pool get addresses from this one. `false`: only Services that name it.
    #[serde(default = "yes")]
    pub auto_assign: bool,
    /// Which pool is tried first if several select a Service: the one with the highest number, among equals the first
    /// by name.
    #[serde(default)]
    pub priority: i32,
    /// Whether Services may ask for certain addresses of this pool, or for the pool, with an annotation or
    /// `spec.loadBalancerIP`. `false`: the controller chooses, and a Service that asks gets no address of it. Assigned
    /// addresses are kept.
    #[serde(default = "yes")]
    pub allow_requests: bool,
    /// Whether only Services with `loadBalancerClass: routelet.dev/bgp` get addresses of this pool, so that those
    /// without a class are left to another load balancer. If all pools do, the controller does not change Services
    /// without a class.
    #[serde(default)]
    pub require_class: bool,
    /// The maximum number of addresses of this pool, per family, for one Service. Absent: as many as it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_per_service: Option<u32>,
    /// The maximum number of addresses of this pool, per family, for all Services of a namespace; an address that
    /// several share counts once. Absent: no limit. Lowering it removes no address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_per_namespace: Option<u32>,
    /// Exclude the first and the last address of every prefix, which some devices treat as network and broadcast
    /// addresses. Ranges and single addresses are used as they are.
    #[serde(default)]
    pub exclude_first_and_last: bool,
    /// The Services that may have addresses from this pool, by their labels; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selector: Option<LabelSelector>,
    /// The namespaces whose Services may have addresses from this pool, by their labels; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

impl Default for AddressPoolSpec {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            auto_assign: true,
            priority: 0,
            allow_requests: true,
            require_class: false,
            max_per_service: None,
            max_per_namespace: None,
            exclude_first_and_last: false,
            service_selector: None,
            namespace_selector: None,
        }
    }
}

const fn yes() -> bool {
    true
}

/// Status of a pool, written by the controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AddressPoolStatus {
    /// IPv4 addresses, counted.
    pub ipv4: PoolUsage,
    /// IPv6 addresses, counted.
    pub ipv6: PoolUsage,
    /// `Accepted`: the pool is valid and used. `Exhausted`: a Service got no address because none is free.
    /// `RequestsRefused`: a Service asks for the pool or an address of it and gets none.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Addresses of one family, counted, up to 9223372036854775807.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PoolUsage {
    /// Addresses that the pool can assign, assigned or not.
    pub total: i64,
    /// Addresses that Services have.
    pub assigned: i64,
    /// Addresses that are free.
    pub available: i64,
}
