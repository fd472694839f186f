//! The few fields of Kubernetes' own kinds that are used, as they are written, and how they become the index's types.
//!
//! Everything else in such an object is skipped without being kept. An entry of a list that cannot be used (an address that is
//! none) is left out and named, the rest of the object counts: what is stored was not always valid by the rules of today (see
//! [`super::each`]). IPv4 addresses in IPv6 notation are the IPv4 addresses, as kube-proxy has it; those with leading zeros are
//! no addresses, since readers disagree about which.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use routelet_api::IpFamily;
use routelet_api::selector::Labels;
use routelet_api::text::{Address, Cidr};
use serde::{Deserialize, Deserializer, de};

use super::atom::Atoms;
use super::each::Each;
use super::state::{
    Assignment, Endpoint, EndpointSlice, LoadBalancerIngress, Node, ObjectKey, Service,
    ServiceType, TrafficPolicy,
};
use super::validate::Finding;
use crate::pools::{self, Created};

/// What the kubelet says in the message of `Ready` while it shuts its node down.
const SHUTTING_DOWN: &str = "node is shutting down";

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

    /// `uid`. Only an API server gives one.
    fn uid(&self) -> Option<&str> {
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

    fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    fn deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// What manifests need of it: everything else is skipped unread.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The namespace, of what is in one.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Annotations.
    #[serde(default)]
    pub annotations: Labels,
    /// When it was created.
    #[serde(default)]
    pub creation_timestamp: Option<Time>,
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
pub struct MetaOnly<M = Meta> {
    /// Its metadata.
    pub metadata: M,
}

impl<M: Metadata> MetaOnly<M> {
    /// The labels of a Namespace, which every one has one of.
    pub fn into_namespace(self) -> Labels {
        let mut labels = self.metadata.labels().cloned().unwrap_or_default();
        labels
            .entry("kubernetes.io/metadata.name".to_owned())
            .or_insert_with(|| self.metadata.name().to_owned());
        labels
    }
}

/// A Node, as it comes.
#[derive(Clone, Debug, Deserialize)]
pub struct RawNode<M = Meta> {
    /// Its metadata.
    pub metadata: M,
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
    pod_cidrs: Each<Cidr>,
    #[serde(default)]
    taints: Each<RawTaint>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawTaint {
    key: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RawNodeStatus {
    #[serde(default)]
    addresses: Each<RawNodeAddress>,
    #[serde(default)]
    conditions: Each<RawCondition>,
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
    #[serde(default)]
    message: Option<String>,
}

impl RawCondition {
    /// Whether the kubelet says that it is shutting its node down (KEP-2000).
    fn says_shutdown(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        self.kind == "Ready" && self.status != "True" && message.contains(SHUTTING_DOWN)
    }
}

impl<M: Metadata> RawNode<M> {
    /// The node for the index; entries that cannot be used are named.
    pub fn into_node(self, atoms: &mut Atoms, left_out: &mut Vec<Finding>) -> Node {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let single = match spec.pod_cidrs.is_empty() {
            true => text_of::<Cidr>(spec.pod_cidr.as_deref(), "spec.podCIDR", left_out),
            // It is the first of the list.
            false => None,
        };
        let mut pod_cidrs: Vec<IpNet> = Vec::new();
        let listed = spec.pod_cidrs.take("spec.podCIDRs", left_out);
        for cidr in listed.map(|(_, cidr)| cidr).chain(single) {
            if !pod_cidrs.contains(&cidr.net()) {
                pod_cidrs.push(cidr.net());
            }
        }
        let addresses: Vec<_> = status
            .addresses
            .take("status.addresses", left_out)
            .collect();
        let internal = addresses.iter().filter(|(_, a)| a.kind == "InternalIP");
        let internal = internal.filter_map(|(index, a)| {
            let path = format_args!("status.addresses[{index}].address");
            text_of::<Address>(Some(&a.address), path, left_out)
        });
        let internal_ips = internal.map(|address| address.0).collect();
        // Among these are host names.
        let others = addresses.iter().filter(|(_, a)| a.kind != "InternalIP");
        let others = others.filter_map(|(_, a)| a.address.parse::<Address>().ok());
        let other_ips = others.map(|address| address.0).collect();
        let mut network_unavailable = false;
        let mut shutting_down = false;
        for (_, condition) in status.conditions.take("status.conditions", left_out) {
            network_unavailable |=
                condition.kind == "NetworkUnavailable" && condition.status == "True";
            shutting_down |= condition.says_shutdown();
        }
        let taints = spec.taints.take("spec.taints", left_out);
        Node {
            labels: atoms.map(metadata.labels().into_iter().flatten()),
            annotations: atoms.map(metadata.annotations().into_iter().flatten()),
            name: metadata.name().to_owned(),
            uid: metadata.uid().unwrap_or_default().into(),
            pod_cidrs: pod_cidrs.into(),
            as_object: None,
            asn_before: None,
            pod_cidrs_bridged: false,
            internal_ips,
            other_ips,
            network_unavailable,
            shutting_down,
            being_deleted: metadata.deleting(),
            taints: taints.map(|(_, taint)| atoms.atom(&taint.key)).collect(),
            departed: false,
        }
    }
}

/// The value of a text that is there and not empty; Go writes an absent text as an empty one.
fn text_of<T: FromStr<Err: Display>>(
    text: Option<&str>,
    path: impl Display,
    left_out: &mut Vec<Finding>,
) -> Option<T> {
    let text = text.filter(|text| !text.is_empty())?;
    text.parse()
        .map_err(|error| {
            left_out.push(Finding {
                path: path.to_string(),
                reason: format!("{error}"),
            });
        })
        .ok()
}

/// A Service, as it comes.
#[derive(Clone, Debug, Deserialize)]
pub struct RawService<M = Meta> {
    /// Its metadata.
    pub metadata: M,
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
    cluster_ips: Each<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Each<Address>,
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
    conditions: Each<RawSaid>,
}

/// A condition; one that is incomplete says nothing to us.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSaid {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    observed_generation: Option<i64>,
    #[serde(default)]
    last_transition_time: Option<Time>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawLoadBalancer {
    ingress: Each<RawIngress>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIngress {
    #[serde(default, deserialize_with = "not_empty")]
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

/// An address, if the text is not empty.
fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(de::Error::custom))
        .transpose()
}

impl RawServiceStatus {
    /// The entries with nothing but a host name.
    pub(crate) fn host_names(&self) -> impl Iterator<Item = &str> {
        let entries = self.load_balancer.ingress.good();
        entries
            .filter(|entry| entry.ip.is_none())
            .filter_map(|entry| entry.hostname.as_deref())
    }

    /// What our controller has said of the addresses.
    pub(crate) fn condition(&self) -> Option<pools::Condition> {
        let mut conditions = self.conditions.good();
        let ours = conditions.find(|condition| condition.kind == pools::ADDRESS_ASSIGNED)?;
        Some(pools::Condition {
            holds: ours.status == "True",
            reason: ours.reason.as_str().into(),
            message: ours.message.as_str().into(),
            generation: ours.observed_generation,
            since: ours.last_transition_time.as_ref().map(|time| time.0),
        })
    }

    /// The entries with an address; those that cannot be used are named.
    pub(crate) fn into_ingress(self, left_out: &mut Vec<Finding>) -> Box<[LoadBalancerIngress]> {
        let entries = self.load_balancer.ingress;
        let entries = entries.take("status.loadBalancer.ingress", left_out);
        entries
            .filter_map(|(_, entry)| {
                Some(LoadBalancerIngress {
                    ip: entry.ip?.0,
                    proxy: entry.ip_mode.as_deref() == Some("Proxy"),
                })
            })
            .collect()
    }
}

impl<M: Metadata> RawService<M> {
    /// The Service for the index; entries that cannot be used are named.
    pub fn into_service(self, atoms: &mut Atoms, left_out: &mut Vec<Finding>) -> Service {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let mut headless = false;
        let mut cluster_ips: Vec<IpAddr> = Vec::new();
        let mut add = |text: &str, path: &dyn Display, left_out: &mut Vec<Finding>| {
            if text == "None" {
                headless = true;
            } else if let Some(Address(ip)) = text_of(Some(text), path, left_out)
                && !cluster_ips.contains(&ip)
            {
                cluster_ips.push(ip);
            }
        };
        if spec.cluster_ips.is_empty() {
            let single = spec.cluster_ip.unwrap_or_default();
            add(&single, &"spec.clusterIP", left_out);
        }
        let listed: Vec<_> = spec.cluster_ips.take("spec.clusterIPs", left_out).collect();
        for (index, text) in listed {
            add(&text, &format_args!("spec.clusterIPs[{index}]"), left_out);
        }
        let external_ips = spec.external_ips.take("spec.externalIPs", left_out);
        let external_ips = external_ips.map(|(_, ip)| ip.0).collect();
        let assignment = status.condition().map(|condition| Assignment {
            holds: condition.holds,
            text: atoms.atom(&condition.summary()),
        });
        Service {
            key: metadata.key(atoms),
            created: Created(metadata.created()),
            labels: atoms.map(metadata.labels().into_iter().flatten()),
            service_type: spec.kind.into(),
            cluster_ips: cluster_ips.into(),
            headless,
            external_ips,
            assignment,
            ingress: status.into_ingress(left_out),
            load_balancer_class: spec.load_balancer_class.map(|class| atoms.atom(&class)),
            external_traffic_policy: spec.external_traffic_policy.into(),
            internal_traffic_policy: spec.internal_traffic_policy.into(),
        }
    }
}

/// An EndpointSlice, as it comes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawEndpointSlice<M = Meta> {
    /// Its metadata.
    pub metadata: M,
    address_type: RawAddressType,
    #[serde(default)]
    endpoints: Each<RawEndpoint>,
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
    addresses: Each<Address>,
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
    /// The slice for the index; `None` for one that belongs to no Service or whose endpoints are names. Endpoints that cannot
    /// be used are named.
    pub fn into_slice(
        self,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Option<EndpointSlice> {
        let service = self.metadata.labels()?;
        let service = service.get("kubernetes.io/service-name")?;
        let family = match self.address_type {
            RawAddressType::Ipv4 => IpFamily::Ipv4,
            RawAddressType::Ipv6 => IpFamily::Ipv6,
            RawAddressType::Fqdn => return None,
        };
        let (key, service) = (self.metadata.key(atoms), atoms.atom(service));
        let mut bad = Vec::new();
        let all = self.endpoints.take("endpoints", left_out);
        let endpoints = all
            .filter_map(|(index, raw)| raw.into_endpoint(index, family, atoms, &mut bad))
            .collect();
        left_out.append(&mut bad);
        Some(EndpointSlice {
            key,
            service,
            family,
            endpoints,
        })
    }
}

impl RawEndpoint {
    /// The endpoint, unless it has addresses and none of them is one of the slice's family: kube-proxy has nobody to send
    /// packets to then.
    fn into_endpoint(
        self,
        index: usize,
        family: IpFamily,
        atoms: &mut Atoms,
        left_out: &mut Vec<Finding>,
    ) -> Option<Endpoint> {
        let fits = |ip: &Address| IpFamily::of(ip.0) == family;
        let is_served = self.addresses.is_empty() || self.addresses.good().any(fits);
        if !self.addresses.is_all(fits) {
            let path = format!("endpoints[{index}].addresses");
            let addresses: Vec<_> = self.addresses.take(&path, left_out).collect();
            let others = addresses
                .iter()
                .filter(|(_, ip)| IpFamily::of(ip.0) != family);
            left_out.extend(others.map(|(place, ip)| Finding {
                path: format!("{path}[{place}]"),
                reason: format!("{ip} is not an {family} address, and addressType is {family}"),
            }));
        }
        if !is_served {
            return None;
        }
        // The API's words: absent ready is true, absent serving is as ready, absent terminating is false.
        let ready = self.conditions.ready.unwrap_or(true);
        Some(Endpoint {
            node: self.node_name.map(|name| atoms.atom(&name)),
            ready,
            serving: self.conditions.serving.unwrap_or(ready),
            terminating: self.conditions.terminating.unwrap_or(false),
        })
    }
}
