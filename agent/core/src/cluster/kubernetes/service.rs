//! The fields of a Service that are used.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use routelet_api::text::Address;
use serde::{Deserialize, Deserializer, de};

use super::{Meta, Metadata, text_of};
use crate::cluster::atom::Atoms;
use crate::cluster::each::Each;
use crate::cluster::state::{Assignment, LoadBalancerIngress, Service, ServiceType, TrafficPolicy};
use crate::cluster::validate::Finding;
use crate::pools::{self, Created};

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
