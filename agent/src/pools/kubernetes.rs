//! A Service as it is written, and how it becomes a [`Request`].
//!
//! As in [`crate::cluster`], everything else in it is skipped unread. What cannot be understood in a field that asks for
//! something is kept as text, so that the reason can say it; in a field of Kubernetes' own it is an error of the whole
//! object, since Kubernetes itself would not have accepted it.

use serde::Deserialize;

use super::annotations::Asked;
use super::request::{Created, IpFamilyPolicy, Port, Request};
use crate::cluster::{Atoms, LoadBalancerIngress, Metadata, ServiceType, TrafficPolicy};
use crate::crd::IpFamily;
use crate::crd::selector::Labels;
use crate::crd::text::Address;

/// A Service, of which the fields are read that its addresses hang on.
#[derive(Clone, Debug, Deserialize)]
pub struct RawPoolService<M> {
    /// `metadata`.
    pub metadata: M,
    #[serde(default)]
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    #[serde(rename = "type")]
    kind: RawType,
    load_balancer_class: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<String>,
    ip_families: Vec<RawFamily>,
    ip_family_policy: RawFamilyPolicy,
    ports: Vec<RawPort>,
    external_traffic_policy: RawTrafficPolicy,
    selector: Labels,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum RawType {
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum RawFamily {
    #[serde(rename = "IPv4")]
    Ipv4,
    #[serde(rename = "IPv6")]
    Ipv6,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum RawFamilyPolicy {
    #[default]
    #[serde(rename = "SingleStack")]
    Single,
    #[serde(rename = "PreferDualStack")]
    Prefer,
    #[serde(rename = "RequireDualStack")]
    Require,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum RawTrafficPolicy {
    #[default]
    Cluster,
    Local,
}

#[derive(Clone, Debug, Deserialize)]
struct RawPort {
    #[serde(default)]
    protocol: Option<String>,
    port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawStatus {
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

impl<M: Metadata> RawPoolService<M> {
    /// What the allocation looks at.
    pub fn into_request(self, atoms: &mut Atoms) -> Request {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let families = spec.ip_families.iter().map(|family| match family {
            RawFamily::Ipv4 => IpFamily::Ipv4,
            RawFamily::Ipv6 => IpFamily::Ipv6,
        });
        let ports = spec.ports.iter().map(|port| Port {
            protocol: atoms.atom(port.protocol.as_deref().unwrap_or("TCP")),
            port: port.port,
        });
        let ports = ports.collect();
        let ingress = status.load_balancer.ingress.iter().filter_map(|i| {
            Some(LoadBalancerIngress {
                ip: i.ip?.0,
                proxy: i.ip_mode.as_deref() == Some("Proxy"),
            })
        });
        let host_names = status.load_balancer.ingress.iter().filter_map(|i| {
            let name = i.hostname.as_deref().filter(|_| i.ip.is_none())?;
            Some(atoms.atom(name))
        });
        let host_names: Vec<_> = host_names.collect();
        Request {
            key: metadata.key(atoms),
            created: Created(metadata.created()),
            deleting: metadata.deleting(),
            labels: atoms.map(metadata.labels().into_iter().flatten()),
            asked: Asked::read(
                metadata.annotations(),
                spec.load_balancer_ip.as_deref(),
                atoms,
            ),
            service_type: match spec.kind {
                RawType::ClusterIp => ServiceType::ClusterIp,
                RawType::NodePort => ServiceType::NodePort,
                RawType::LoadBalancer => ServiceType::LoadBalancer,
                RawType::ExternalName => ServiceType::ExternalName,
            },
            load_balancer_class: spec.load_balancer_class.map(|class| atoms.atom(&class)),
            ip_families: families.collect(),
            ip_family_policy: match spec.ip_family_policy {
                RawFamilyPolicy::Single => IpFamilyPolicy::SingleStack,
                RawFamilyPolicy::Prefer => IpFamilyPolicy::PreferDualStack,
                RawFamilyPolicy::Require => IpFamilyPolicy::RequireDualStack,
            },
            ports,
            external_traffic_policy: match spec.external_traffic_policy {
                RawTrafficPolicy::Cluster => TrafficPolicy::Cluster,
                RawTrafficPolicy::Local => TrafficPolicy::Local,
            },
            selector: atoms.map(&spec.selector),
            ingress: ingress.collect(),
            host_names: host_names.into(),
        }
    }
}
