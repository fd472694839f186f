//! The few fields of Kubernetes' own kinds that are used, as they are written, and how they become the index's types.
//!
//! Everything else in such an object is skipped without being kept. A value that cannot be used (an address that is
//! none) is an error of the whole object, since Kubernetes itself would not have accepted it.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;

use super::atom::Atoms;
use super::state::{
    Endpoint, EndpointSlice, LoadBalancerIngress, Node, ObjectKey, Service, ServiceType,
    TrafficPolicy,
};
use crate::crd::IpFamily;
use crate::crd::selector::Labels;
use crate::crd::text::{Address, Cidr};
use crate::pools::Created;

/// Metadata of any object, wherever it was read.
pub trait Metadata {
    /// `name`.
    fn name(&self) -> &str;
    /// `namespace`.
    fn namespace(&self) -> Option<&str>;
    /// `labels`.
    fn labels(&self) -> Option<&Labels>;
    /// `annotations`.
    fn annotations(&self) -> Option<&Labels>;

    /// `creationTimestamp`, in seconds since 1970. Only an API server gives one.
    fn created(&self) -> Option<i64> {
        None
    }

    /// Whether there is a `deletionTimestamp`. Only an API server gives one.
    fn deleting(&self) -> bool {
        false
    }

    /// Namespace and name; an object that names no namespace is in `default`.
    fn key(&self, atoms: &mut Atoms) -> ObjectKey {
        let namespace = self.namespace().filter(|n| !n.is_empty());
        ObjectKey {
            namespace: atoms.atom(namespace.unwrap_or("default")),
            name: atoms.atom(self.name()),
        }
    }
}

impl Metadata for ObjectMeta {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    fn annotations(&self) -> Option<&Labels> {
        self.annotations.as_ref()
    }

    fn created(&self) -> Option<i64> {
        let created = self.creation_timestamp.as_ref()?;
        Some(created.0.as_second())
    }

    fn deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// What manifests need of it: everything else is skipped unread.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    #[serde(default)]
    pub(crate) labels: Labels,
    #[serde(default)]
    pub(crate) annotations: Labels,
    #[serde(default)]
    pub(crate) creation_timestamp: Option<Time>,
}

impl Metadata for Meta {
    fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn labels(&self) -> Option<&Labels> {
        Some(&self.labels)
    }

    fn annotations(&self) -> Option<&Labels> {
        Some(&self.annotations)
    }

    fn created(&self) -> Option<i64> {
        let created = self.creation_timestamp.as_ref()?;
        Some(created.0.as_second())
    }
}

/// An object of which only the metadata is used.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct MetaOnly<M = Meta> {
    pub(crate) metadata: M,
}

impl<M: Metadata> MetaOnly<M> {
    /// The labels of a Namespace, which every one has one of.
    pub(crate) fn into_namespace(self) -> Labels {
        let mut labels = self.metadata.labels().cloned().unwrap_or_default();
        labels
            .entry("kubernetes.io/metadata.name".to_owned())
            .or_insert_with(|| self.metadata.name().to_owned());
        labels
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RawNode<M = Meta> {
    pub(crate) metadata: M,
    #[serde(default)]
    spec: RawNodeSpec,
    #[serde(default)]
    status: RawNodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RawNodeSpec {
    #[serde(default, rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(default, rename = "podCIDRs")]
    pod_cidrs: Vec<Cidr>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RawNodeStatus {
    #[serde(default)]
    addresses: Vec<RawNodeAddress>,
    #[serde(default)]
    conditions: Vec<RawCondition>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawNodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Clone, Debug, Deserialize)]
struct RawCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl<M: Metadata> RawNode<M> {
    /// The node for the index.
    pub(crate) fn into_node(self, atoms: &mut Atoms) -> Node {
        let raw = self;
        let mut pod_cidrs: Vec<IpNet> = Vec::new();
        let single = raw.spec.pod_cidr.iter().filter_map(|c| c.parse().ok());
        for cidr in raw.spec.pod_cidrs.into_iter().chain(single) {
            if !pod_cidrs.contains(&cidr.net()) {
                pod_cidrs.push(cidr.net());
            }
        }
        let addresses = raw.status.addresses.iter();
        Node {
            labels: atoms.map(raw.metadata.labels().into_iter().flatten()),
            annotations: atoms.map(raw.metadata.annotations().into_iter().flatten()),
            name: raw.metadata.name().to_owned(),
            pod_cidrs: pod_cidrs.into(),
            internal_ips: addresses
                .clone()
                .filter(|a| a.kind == "InternalIP")
                .filter_map(|a| a.address.parse().ok())
                .collect(),
            other_ips: addresses
                .filter(|a| a.kind != "InternalIP")
                .filter_map(|a| a.address.parse().ok())
                .collect(),
            network_unavailable: raw
                .status
                .conditions
                .iter()
                .any(|c| c.kind == "NetworkUnavailable" && c.status == "True"),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RawService<M = Meta> {
    pub(crate) metadata: M,
    #[serde(default)]
    spec: RawServiceSpec,
    #[serde(default)]
    status: RawServiceStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawServiceSpec {
    #[serde(rename = "type")]
    kind: RawServiceType,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<Address>,
    load_balancer_class: Option<String>,
    external_traffic_policy: RawTrafficPolicy,
    internal_traffic_policy: RawTrafficPolicy,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum RawServiceType {
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum RawTrafficPolicy {
    #[default]
    Cluster,
    Local,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawServiceStatus {
    load_balancer: RawLoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawLoadBalancer {
    ingress: Vec<RawIngress>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIngress {
    #[serde(default)]
    ip: Option<Address>,
    #[serde(default)]
    ip_mode: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
}

impl From<RawServiceType> for ServiceType {
    fn from(raw: RawServiceType) -> Self {
        match raw {
            RawServiceType::ClusterIp => Self::ClusterIp,
            RawServiceType::NodePort => Self::NodePort,
            RawServiceType::LoadBalancer => Self::LoadBalancer,
            RawServiceType::ExternalName => Self::ExternalName,
        }
    }
}

impl From<RawTrafficPolicy> for TrafficPolicy {
    fn from(raw: RawTrafficPolicy) -> Self {
        match raw {
            RawTrafficPolicy::Cluster => Self::Cluster,
            RawTrafficPolicy::Local => Self::Local,
        }
    }
}

impl RawServiceStatus {
    /// The entries with an address.
    pub(crate) fn ingress(&self) -> Box<[LoadBalancerIngress]> {
        let entries = self.load_balancer.ingress.iter();
        entries
            .filter_map(|entry| {
                Some(LoadBalancerIngress {
                    ip: entry.ip?.0,
                    proxy: entry.ip_mode.as_deref() == Some("Proxy"),
                })
            })
            .collect()
    }

    /// The entries with nothing but a host name.
    pub(crate) fn host_names(&self) -> impl Iterator<Item = &str> {
        let entries = self.load_balancer.ingress.iter();
        entries
            .filter(|entry| entry.ip.is_none())
            .filter_map(|entry| entry.hostname.as_deref())
    }
}

impl<M: Metadata> RawService<M> {
    /// The Service for the index.
    pub(crate) fn into_service(self, atoms: &mut Atoms) -> Service {
        let raw = self;
        let spec = raw.spec;
        let all = spec.cluster_ips.iter().chain(&spec.cluster_ip);
        let headless = all.clone().any(|ip| ip == "None");
        let mut cluster_ips: Vec<IpAddr> = Vec::new();
        for ip in all.filter_map(|ip| ip.parse().ok()) {
            if !cluster_ips.contains(&ip) {
                cluster_ips.push(ip);
            }
        }
        Service {
            key: raw.metadata.key(atoms),
            created: Created(raw.metadata.created()),
            labels: atoms.map(raw.metadata.labels().into_iter().flatten()),
            service_type: spec.kind.into(),
            cluster_ips: cluster_ips.into(),
            headless,
            external_ips: spec.external_ips.iter().map(|ip| ip.0).collect(),
            ingress: raw.status.ingress(),
            load_balancer_class: spec.load_balancer_class.map(|class| atoms.atom(&class)),
            external_traffic_policy: spec.external_traffic_policy.into(),
            internal_traffic_policy: spec.internal_traffic_policy.into(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawEndpointSlice<M = Meta> {
    pub(crate) metadata: M,
    address_type: RawAddressType,
    #[serde(default)]
    endpoints: Vec<RawEndpoint>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum RawAddressType {
    #[serde(rename = "IPv4")]
    Ipv4,
    #[serde(rename = "IPv6")]
    Ipv6,
    #[serde(rename = "FQDN")]
    Fqdn,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    #[serde(default)]
    conditions: RawConditions,
    #[serde(default)]
    node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawConditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

impl<M: Metadata> RawEndpointSlice<M> {
    /// The slice for the index; `None` for one that belongs to no Service or whose endpoints are names.
    pub(crate) fn into_slice(self, atoms: &mut Atoms) -> Option<EndpointSlice> {
        let service = self.metadata.labels()?;
        let service = service.get("kubernetes.io/service-name")?;
        let family = match self.address_type {
            RawAddressType::Ipv4 => IpFamily::Ipv4,
            RawAddressType::Ipv6 => IpFamily::Ipv6,
            RawAddressType::Fqdn => return None,
        };
        let (key, service) = (self.metadata.key(atoms), atoms.atom(service));
        let endpoints = self.endpoints.into_iter().map(|raw| {
            // The API's words: absent ready is true, absent serving is as ready, absent terminating is false.
            let ready = raw.conditions.ready.unwrap_or(true);
            Endpoint {
                node: raw.node_name.map(|name| atoms.atom(&name)),
                ready,
                serving: raw.conditions.serving.unwrap_or(ready),
                terminating: raw.conditions.terminating.unwrap_or(false),
            }
        });
        Some(EndpointSlice {
            key,
            service,
            family,
            endpoints: endpoints.collect(),
        })
    }
}
