//! Why something is not originated: the rules, with a sentence for people. Their codes are made in `run/show/reason`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use routelet_api::advertisement::AddressKind;

use super::Owner;
use crate::cluster::{Atom, ObjectKey, ServiceType};

/// Why something is not originated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// No Advertisement that this node has selects it.
    NotSelected,
    /// `loadBalancerClass` is another's.
    ForeignLoadBalancerClass(Atom),
    /// Its external IPs are asked for by an Advertisement that has no allow-list.
    NoAllowList,
    /// The external IP is outside all allow-lists.
    OutsideAllowList,
    /// `ipMode` is `Proxy`.
    ProxyMode,
    /// Ingress addresses are left over from a time when the Service was of type LoadBalancer.
    NotLoadBalancer(ServiceType),
    /// The Service is of type ExternalName.
    ExternalName,
    /// The Service is headless.
    Headless,
    /// Another service proxy than kube-proxy is to serve it: the label `service.kubernetes.io/service-proxy-name`.
    OtherServiceProxy(Atom),
    /// Loopback, link-local, multicast, reserved or unspecified.
    NotRoutable,
    /// A default route that nobody allowed.
    DefaultRoute,
    /// The address is somebody's.
    Owned(Owner),
    /// The prefix is a part of a connected network and would attract the traffic of somebody in it.
    CoversAddress {
        /// The first such address.
        address: IpAddr,
        /// Whose it is.
        owner: Owner,
    },
    /// An older Service of another namespace has the address.
    OtherServicesAddress(ObjectKey),
    /// The interface of the address is down.
    InterfaceDown(String),
    /// The node has the label `node.kubernetes.io/exclude-from-external-load-balancers`.
    NodeExcluded,
    /// The node has the condition NetworkUnavailable.
    NodeNetworkUnavailable,
    /// kube-proxy has not been healthy since the agent started: this node may drop the traffic.
    KubeProxyNotHealthy,
    /// The node goes away.
    NodeLeaves,
    /// No endpoint is ready anywhere.
    NoReadyEndpoint,
    /// The policy is Local and no endpoint on this node is ready.
    NoReadyEndpointHere(AddressKind),
    /// The policy is Local and this node's endpoints are on their way out, while others are ready.
    OnlyTerminatingHere(AddressKind),
    /// It lies inside the pod CIDR of another node.
    OtherNodesPodCidr {
        /// The other node.
        node: Atom,
        /// Its pod CIDR.
        cidr: IpNet,
    },
    /// An aggregate would attract the traffic of a node's pods.
    AggregateCoversPodCidr {
        /// The node.
        node: Atom,
        /// Its pod CIDR.
        cidr: IpNet,
    },
    /// An aggregate would attract the traffic of a node, a peer or a gateway.
    AggregateCoversAddress {
        /// The first such address.
        address: IpAddr,
        /// Whose it is.
        owner: Owner,
    },
}

impl Rule {
    /// Whether it says that something must not be announced at all, because others would lose traffic by it or nobody could
    /// use it. The other rules say that it need not be, or not now.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotRoutable
            | Self::DefaultRoute
            | Self::Owned(_)
            | Self::CoversAddress { .. }
            | Self::OtherServicesAddress(_)
            | Self::OtherNodesPodCidr { .. }
            | Self::AggregateCoversPodCidr { .. }
            | Self::AggregateCoversAddress { .. } => true,
            Self::NotSelected
            | Self::ForeignLoadBalancerClass(_)
            | Self::NoAllowList
            | Self::OutsideAllowList
            | Self::ProxyMode
            | Self::NotLoadBalancer(_)
            | Self::ExternalName
            | Self::Headless
            | Self::OtherServiceProxy(_)
            | Self::InterfaceDown(_)
            | Self::NodeExcluded
            | Self::NodeNetworkUnavailable
            | Self::KubeProxyNotHealthy
            | Self::NodeLeaves
            | Self::NoReadyEndpoint
            | Self::NoReadyEndpointHere(_)
            | Self::OnlyTerminatingHere(_) => false,
        }
    }
}

/// The field of a Service that says which endpoints its addresses of a kind may lead to.
fn policy_field(kind: AddressKind) -> &'static str {
    match kind {
        AddressKind::LoadBalancer | AddressKind::External => "externalTrafficPolicy",
        AddressKind::Cluster => "internalTrafficPolicy",
    }
}

/// What is the case because of a policy that is `Local`.
fn local(f: &mut fmt::Formatter<'_>, text: &str, kind: AddressKind) -> fmt::Result {
    write!(f, "{text} ({}: Local)", policy_field(kind))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSelected => f.write_str("no Advertisement selects it"),
            Self::ForeignLoadBalancerClass(class) => {
                write!(f, "loadBalancerClass {class} belongs to another load balancer")
            }
            Self::NoAllowList => f.write_str(
                "external IP without an allow-list (services.externalIPs of the Advertisement is empty)",
            ),
            Self::OutsideAllowList => f.write_str(
                "external IP outside the allow-list (services.externalIPs of the Advertisement)",
            ),
            Self::ProxyMode => f.write_str("ipMode Proxy: the load balancer terminates the traffic"),
            Self::NotLoadBalancer(kind) => {
                write!(f, "ingress address of a Service that is of type {kind} now")
            }
            Self::ExternalName => f.write_str("type ExternalName has no addresses"),
            Self::Headless => f.write_str("headless: kube-proxy does not serve it"),
            Self::OtherServiceProxy(name) => write!(
                f,
                "label service.kubernetes.io/service-proxy-name is \"{name}\": kube-proxy does not serve it"
            ),
            Self::NotRoutable => f.write_str(
                "a loopback, link-local, multicast, reserved, IPv4-mapped or unspecified address",
            ),
            Self::DefaultRoute => f.write_str(
                "a default route; an Advertisement with allowDefaultRoute: true may have one in prefixes",
            ),
            Self::Owned(owner) => owner.fmt(f),
            Self::CoversAddress { address, owner } => write!(
                f,
                "a part of a network that this node is connected to, with {address} in it, {owner}"
            ),
            Self::OtherServicesAddress(service) => {
                write!(f, "the older Service {service} has the address")
            }
            Self::InterfaceDown(name) => write!(
                f,
                "interface {name} is down (not set up, or without a carrier)"
            ),
            Self::NodeExcluded => f.write_str(
                "node excluded by label node.kubernetes.io/exclude-from-external-load-balancers",
            ),
            Self::NodeNetworkUnavailable => f.write_str("node has condition NetworkUnavailable"),
            Self::KubeProxyNotHealthy => f.write_str(
                "kube-proxy on this node has not been healthy since the agent started",
            ),
            Self::NodeLeaves => f.write_str("the node is leaving, and withdraws its routes"),
            Self::NoReadyEndpoint => f.write_str("no ready endpoint"),
            Self::NoReadyEndpointHere(kind) => {
                local(f, "no ready endpoint on this node", *kind)
            }
            Self::OnlyTerminatingHere(kind) => {
                let text = "only terminating endpoints on this node, others are ready elsewhere";
                local(f, text, *kind)
            }
            Self::OtherNodesPodCidr { node, cidr } => {
                write!(f, "inside {cidr}, a pod CIDR of node {node}")
            }
            Self::AggregateCoversPodCidr { node, cidr } => {
                write!(
                    f,
                    "the aggregate overlaps {cidr}, a pod CIDR of node {node}; exact routes are advertised"
                )
            }
            Self::AggregateCoversAddress { address, owner } => write!(
                f,
                "the aggregate covers {address}, {owner}; exact routes are advertised"
            ),
        }
    }
}
