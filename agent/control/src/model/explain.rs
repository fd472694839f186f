//! Why a prefix or a Service is treated as it is: `routelet explain`.
//!
//! The answers hold facts, not sentences, wherever a program could want them; the tree that people see is made of them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{FibEntry, Reason, Route};

/// Everything about one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainPrefix {
    /// What was asked. An address is its host prefix.
    pub asked: IpNet,
    /// The prefix that the answer is about: the one asked or, if no table knows it, the longest that covers it; absent
    /// if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<IpNet>,
    /// Why this node originates it, or why something that would make it do so was suppressed.
    #[serde(default)]
    pub originated: Vec<OriginatedFact>,
    /// All paths, the best one first, each with the reason for its place.
    #[serde(default)]
    pub paths: Vec<Route>,
    /// What is advertised of it to each peer, in the order of the peers' names.
    #[serde(default)]
    pub peers: Vec<PeerAdvertisement>,
    /// What the kernel has.
    pub kernel: KernelLookup,
}

/// One object's say in whether this node originates a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginatedFact {
    /// Whether it makes this node originate the prefix. If not, `reason` is the rule that suppressed it.
    pub active: bool,
    /// The Advertisement, or `built-in default`.
    pub advertisement: String,
    /// The objects that justify it, such as `Node node-1 (pod CIDR)` or `Service shop/web (LoadBalancer)`.
    #[serde(default)]
    pub objects: Vec<String>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Whether a prefix is advertised to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAdvertisement {
    /// The peer's name.
    pub peer: String,
    /// Whether it is.
    pub advertised: bool,
    /// Why, or why not.
    pub reason: Reason,
    /// The route as it was sent; absent if not advertised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
}

/// What the kernel does with a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelLookup {
    /// Our entry for it; absent: we want none there and have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<FibEntry>,
    /// Why there is none, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// Everything about one Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.type`: `ClusterIP`, `LoadBalancer`...
    #[serde(rename = "type")]
    pub service_type: String,
    /// What keeps all of its addresses from being considered, such as another `loadBalancerClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Reason>,
    /// What the controller says of its addresses: the condition `routelet.dev/AddressAssigned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<Assignment>,
    /// Its addresses and the decision on each.
    #[serde(default)]
    pub addresses: Vec<ServiceAddress>,
}

/// Whether the controller has assigned addresses to a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// It has the addresses that it needs.
    pub assigned: bool,
    /// The AddressPools that they are of, and what was requested; or why there is none.
    pub text: String,
}

/// One address of a Service and the decision on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAddress {
    /// The address.
    pub address: IpAddr,
    /// Where it stands in the Service.
    pub kind: ServiceAddressKind,
    /// Whether this node advertises it.
    pub advertised: bool,
    /// The rule that decided.
    pub reason: Reason,
    /// The traffic policy that applies.
    pub traffic_policy: TrafficPolicy,
    /// The endpoints of the address's family that were counted.
    pub endpoints: Endpoints,
    /// The prefixes that are advertised for it: the host prefix, an aggregate, or both.
    #[serde(default)]
    pub prefixes: Vec<IpNet>,
    /// The Advertisements that ask for it, by name.
    #[serde(default)]
    pub advertisements: Vec<String>,
    /// What is advertised to each peer.
    #[serde(default)]
    pub peers: Vec<PeerAdvertisement>,
}

/// Where an address stands in a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ServiceAddressKind {
    /// `status.loadBalancer.ingress`.
    LoadBalancer,
    /// `spec.externalIPs`.
    External,
    /// `spec.clusterIPs`.
    Cluster,
}

/// `externalTrafficPolicy` or `internalTrafficPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// Any endpoint will do.
    Cluster,
    /// Only endpoints on this node.
    Local,
}

/// Endpoints of one family, over all EndpointSlices together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// EndpointSlices that they stand in.
    pub slices: u32,
    /// Ready, anywhere.
    pub ready: u32,
    /// Ready, on this node.
    pub ready_here: u32,
    /// Serving and terminating, anywhere.
    pub terminating: u32,
    /// Serving and terminating, on this node.
    pub terminating_here: u32,
    /// Neither ready nor serving, anywhere.
    pub not_ready: u32,
}
