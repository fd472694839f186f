//! A Service as it is written, and how it becomes a [`Request`].
//!
//! As in [`crate::cluster`], everything else in it is skipped unread. What cannot be understood in a field that asks for
//! something is kept as text, so that the reason can say it. A spec that cannot be read asks for nothing: the Service keeps the
//! addresses of its status, so that nobody else gets them, and gets no more.

use std::net::IpAddr;

use routelet_api::IpFamily;
use routelet_api::selector::Labels;
use routelet_api::text::Address;
use serde::{Deserialize, Deserializer};

use super::annotations::Asked;
use super::request::{Created, IpFamilyPolicy, Port, Request};
use crate::cluster::each::Each;
use crate::cluster::kubernetes::{RawServiceStatus, RawServiceType, RawTrafficPolicy};
use crate::cluster::{Atoms, Metadata};

/// A Service, of which the fields are read that its addresses hang on.
#[derive(Clone, Debug, Deserialize)]
pub struct RawPoolService<M> {
    /// `metadata`.
    pub metadata: M,
    #[serde(default)]
    spec: Attempt<RawSpec>,
    #[serde(default)]
    status: RawServiceStatus,
}

/// A part of an object that is read for itself; nothing, if it cannot be. Both sources read objects out of memory, where a
/// part that fails leaves the place of the next one known.
#[derive(Clone, Debug)]
struct Attempt<T>(Option<T>);

impl<T: Default> Default for Attempt<T> {
    fn default() -> Self {
        Self(Some(T::default()))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Attempt<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).ok()))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    #[serde(rename = "type")]
    kind: RawServiceType,
    load_balancer_class: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Each<Address>,
    ip_families: Vec<RawFamily>,
    ip_family_policy: RawFamilyPolicy,
    ports: Vec<RawPort>,
    external_traffic_policy: RawTrafficPolicy,
    selector: Labels,
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

#[derive(Clone, Debug, Deserialize)]
struct RawPort {
    #[serde(default)]
    protocol: Option<String>,
    port: u16,
}

impl RawSpec {
    /// Stands for one that cannot be read: of both families, so that it keeps whatever it has.
    fn held() -> Self {
        Self {
            kind: RawServiceType::LoadBalancer,
            ip_families: vec![RawFamily::Ipv4, RawFamily::Ipv6],
            ip_family_policy: RawFamilyPolicy::Prefer,
            ..Self::default()
        }
    }
}

impl<M: Metadata> RawPoolService<M> {
    /// Whether its spec cannot be read.
    pub fn is_unreadable(&self) -> bool {
        self.spec.0.is_none()
    }

    /// What the allocation looks at.
    pub fn into_request(self, atoms: &mut Atoms) -> Request {
        let is_unreadable = self.is_unreadable();
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let spec = spec.0.unwrap_or_else(RawSpec::held);
        let families = spec.ip_families.iter().map(|family| match family {
            RawFamily::Ipv4 => IpFamily::Ipv4,
            RawFamily::Ipv6 => IpFamily::Ipv6,
        });
        let ports = spec.ports.iter().map(|port| Port {
            protocol: atoms.atom(port.protocol.as_deref().unwrap_or("TCP")),
            port: port.port,
        });
        let ports = ports.collect();
        let mut cluster_ips: Vec<IpAddr> = Vec::new();
        for ip in spec.cluster_ips.iter().chain(&spec.cluster_ip) {
            cluster_ips.extend(ip.parse::<IpAddr>().ok());
        }
        cluster_ips.dedup();
        let condition = status.condition().map(Box::new);
        let host_names = status.host_names().map(|name| atoms.atom(name)).collect();
        Request {
            key: metadata.key(atoms),
            created: Created(metadata.created()),
            deleting: metadata.deleting() || is_unreadable,
            labels: atoms.map(metadata.labels().into_iter().flatten()),
            asked: Asked::read(
                metadata.annotations(),
                spec.load_balancer_ip.as_deref(),
                atoms,
            ),
            service_type: spec.kind.into(),
            load_balancer_class: spec.load_balancer_class.map(|class| atoms.atom(&class)),
            cluster_ips: cluster_ips.into(),
            external_ips: spec.external_ips.good().map(|ip| ip.0).collect(),
            ip_families: families.collect(),
            ip_family_policy: match spec.ip_family_policy {
                RawFamilyPolicy::Single => IpFamilyPolicy::SingleStack,
                RawFamilyPolicy::Prefer => IpFamilyPolicy::PreferDualStack,
                RawFamilyPolicy::Require => IpFamilyPolicy::RequireDualStack,
            },
            ports,
            external_traffic_policy: spec.external_traffic_policy.into(),
            selector: atoms.map(&spec.selector),
            ingress: status.into_ingress(&mut Vec::new()),
            host_names,
            condition,
        }
    }
}
