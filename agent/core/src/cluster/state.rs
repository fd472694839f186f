//! The index of cluster state: our own kinds whole, Kubernetes' kinds reduced to the fields that are used.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::types::Asn;
use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use routelet_api::selector::Labels;
use routelet_api::{
    AddressPoolSpec, AdvertisementSpec, IpFamily, PeerSpec, RoutePolicySpec, RouterSpec,
};
use serde::Serialize;

use super::atom::{Atom, AtomMap};
use super::secret::Secret;
use crate::pools::Created;

/// A map that is cheap to clone: clones share what has not changed since, and what has is found without looking at the rest.
pub type Map<K, V> = imbl::OrdMap<K, V>;

/// Everything that decides what nodes do. Cheap to clone; equal states lead to equal intents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// By name.
    pub routers: Map<String, Arc<Object<RouterSpec>>>,
    /// By name.
    pub peers: Map<String, Arc<Object<PeerSpec>>>,
    /// By name.
    pub advertisements: Map<String, Arc<Object<AdvertisementSpec>>>,
    /// By name.
    pub policies: Map<String, Arc<Object<RoutePolicySpec>>>,
    /// By name. Agents do nothing with them, the controller does.
    pub pools: Map<String, Arc<Object<AddressPoolSpec>>>,
    /// By name.
    pub nodes: Map<String, Arc<Node>>,
    /// Labels of namespaces, by name; [`Self::labels_of`] for one that may be missing. `None`: they cannot be read.
    pub namespaces: Map<String, Arc<Option<Labels>>>,
    /// By namespace and name.
    pub services: Map<ObjectKey, Arc<Service>>,
    /// By namespace and name.
    pub endpoint_slices: Map<ObjectKey, Arc<EndpointSlice>>,
    /// Secrets of the agent's namespace that its sessions need, by name. Manifests have none.
    pub secrets: Map<String, Arc<Secret>>,
    /// Those of them that may be there and are not known, and why.
    pub unread_secrets: Map<String, UnreadSecret>,
    /// The agent's namespace. Manifests have none.
    pub secrets_namespace: Option<Arc<str>>,
    /// Where the objects are from.
    pub source: ObjectSource,
}

/// Why a Secret is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadSecret {
    /// In words.
    pub why: Arc<str>,
    /// Whether the API server has refused it for a while. If not, the answer comes later: it has been asked, is overloaded or away, or
    /// has just started.
    pub is_refused: bool,
}

/// Where the objects of a state are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ObjectSource {
    /// Files. People leave out what does not matter to them, such as Namespaces.
    #[default]
    Manifests,
    /// An API server, by a watch for each kind: of two objects that belong together, one may be known before the other.
    ApiServer,
}

impl ClusterState {
    /// The labels of a namespace; `None`: they are not known, and fit no condition ([`selects_known`]). Of an API server, one
    /// without an object is not known yet, or was deleted. Manifests may leave it out: it has the label of all namespaces.
    ///
    /// [`selects_known`]: routelet_api::selector::selects_known
    pub fn labels_of(&self, namespace: &str) -> Option<Cow<'_, Labels>> {
        match (self.namespaces.get(namespace), self.source) {
            (Some(labels), _) => labels.as_ref().as_ref().map(Cow::Borrowed),
            (None, ObjectSource::ApiServer) => None,
            (None, ObjectSource::Manifests) => {
                // The one label that the API server gives to each.
                let name = "kubernetes.io/metadata.name".to_owned();
                Some(Cow::Owned(Labels::from([(name, namespace.to_owned())])))
            }
        }
    }
}

/// An object of one of our kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<S> {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `spec`.
    pub spec: S,
}

impl<S> Object<S> {
    /// An object out of its parts.
    pub fn new(metadata: ObjectMeta, spec: S) -> Self {
        Self {
            name: metadata.name.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            spec,
        }
    }
}

/// Namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: Atom,
    /// `metadata.name`.
    pub name: Atom,
}

impl ObjectKey {
    /// The key of an object.
    pub fn new(namespace: impl Into<Atom>, name: impl Into<Atom>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object by kind, namespace (empty if cluster-scoped) and name. Shown as `Peer tor-a`, `Service shop/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectRef {
    /// `kind`.
    pub kind: Cow<'static, str>,
    /// `metadata.namespace`; empty for cluster-scoped kinds.
    #[serde(skip_serializing_if = "is_empty")]
    pub namespace: Atom,
    /// `metadata.name`.
    pub name: Atom,
}

fn is_empty(text: &Atom) -> bool {
    text.as_str().is_empty()
}

impl ObjectRef {
    /// A cluster-scoped object.
    pub fn cluster(kind: &'static str, name: &str) -> Self {
        Self {
            kind: kind.into(),
            namespace: Atom::default(),
            name: name.into(),
        }
    }

    /// An object in a namespace.
    pub fn namespaced(kind: &'static str, key: &ObjectKey) -> Self {
        Self {
            kind: kind.into(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// What is used of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: which object of that name it is. Only an API server gives one.
    pub uid: Atom,
    /// `metadata.labels`.
    pub labels: AtomMap,
    /// `metadata.annotations`.
    pub annotations: AtomMap,
    /// The object as it is, where some labels or annotations are from before: made again, it has not had them. Its own agent, if that
    /// was started since, knows nothing of them. Of other nodes only.
    pub as_object: Option<Arc<Node>>,
    /// The AS that its Router's `asnFrom` found last, where it finds none now ([`LastAsNumbers`](crate::intent::LastAsNumbers)).
    pub asn_before: Option<Asn>,
    /// `spec.podCIDRs` and `spec.podCIDR`, each once, host bits zero, in their order.
    pub pod_cidrs: Box<[IpNet]>,
    /// They are from before: the object has none itself.
    pub pod_cidrs_bridged: bool,
    /// `status.addresses` of type InternalIP, in their order.
    pub internal_ips: Box<[IpAddr]>,
    /// Its other `status.addresses` that are addresses, such as those of type ExternalIP.
    pub other_ips: Box<[IpAddr]>,
    /// The condition `NetworkUnavailable` is `True`.
    pub network_unavailable: bool,
    /// The condition `Ready` says that the kubelet is shutting the node down.
    pub shutting_down: bool,
    /// `metadata.deletionTimestamp` is there: the Node goes when its finalizers are done.
    pub being_deleted: bool,
    /// The keys of `spec.taints`.
    pub taints: Box<[Atom]>,
    /// Its object was deleted. That of another node a short while ago: its addresses are still its, and it takes part in
    /// nothing. That of the own node is as it was last known.
    pub departed: bool,
}

impl Node {
    /// Takes over addresses and pod CIDRs of a known version if this one has none at all: a Node does not lose them while it is
    /// there, and what others may announce depends on them. Labels are not: they are what operators decide by.
    pub fn bridge(&mut self, known: &Self) {
        if self.internal_ips.is_empty() && self.other_ips.is_empty() {
            self.internal_ips.clone_from(&known.internal_ips);
            self.other_ips.clone_from(&known.other_ips);
        }
        if self.pod_cidrs.is_empty() {
            self.pod_cidrs.clone_from(&known.pod_cidrs);
            self.pod_cidrs_bridged = !self.pod_cidrs.is_empty();
        }
    }

    /// Whether its object itself says which pod CIDRs it has: it is there, and they are not from before.
    pub fn says_pod_cidrs(&self) -> bool {
        !self.departed && !self.pod_cidrs_bridged
    }

    /// The first InternalIP of a family.
    pub fn internal_ip(&self, family: IpFamily) -> Option<IpAddr> {
        self.internal_ips
            .iter()
            .copied()
            .find(|a| IpFamily::of(*a) == family)
    }
}

/// What is used of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.creationTimestamp`.
    pub created: Created,
    /// `metadata.labels`.
    pub labels: AtomMap,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.clusterIPs` (and `clusterIP`) without `None`.
    pub cluster_ips: Box<[IpAddr]>,
    /// `spec.clusterIP` is `None`.
    pub headless: bool,
    /// `spec.externalIPs`.
    pub external_ips: Box<[IpAddr]>,
    /// `status.loadBalancer.ingress` with an address.
    pub ingress: Box<[LoadBalancerIngress]>,
    /// What the controller says of these addresses.
    pub assignment: Option<Assignment>,
    /// `spec.loadBalancerClass`.
    pub load_balancer_class: Option<Atom>,
    /// `spec.externalTrafficPolicy`, default `Cluster`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`, default `Cluster`.
    pub internal_traffic_policy: TrafficPolicy,
}

/// What the condition `routelet.dev/AddressAssigned` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The Service has the addresses that it needs.
    pub holds: bool,
    /// Which pools they are of; or why it has none. Equal for all Services of a pool.
    pub text: Atom,
}

/// `spec.type` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ServiceType {
    /// A virtual address inside the cluster; the default.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// That, and a port on every node.
    NodePort,
    /// That, and addresses for the outside.
    LoadBalancer,
    /// A DNS name; there is nothing to route.
    ExternalName,
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        })
    }
}

/// `externalTrafficPolicy` or `internalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TrafficPolicy {
    /// Any endpoint will do.
    #[default]
    Cluster,
    /// Only endpoints on the node that the traffic arrives at.
    Local,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBalancerIngress {
    /// `ip`.
    pub ip: IpAddr,
    /// `ipMode` is `Proxy`: the load balancer terminates the traffic itself.
    pub proxy: bool,
}

/// What is used of an EndpointSlice. Slices of type FQDN are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace and name of the slice.
    pub key: ObjectKey,
    /// The Service: the label `kubernetes.io/service-name`.
    pub service: Atom,
    /// `addressType`.
    pub family: IpFamily,
    /// The endpoints.
    pub endpoints: Box<[Endpoint]>,
}

/// One endpoint, with Kubernetes' defaults for absent conditions filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `nodeName`.
    pub node: Option<Atom>,
    /// `conditions.ready`; absent is ready.
    pub ready: bool,
    /// `conditions.serving`; absent is as `ready` says.
    pub serving: bool,
    /// `conditions.terminating`; absent is not.
    pub terminating: bool,
}
