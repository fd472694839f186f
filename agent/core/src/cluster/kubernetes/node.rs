//! The fields of a Node that are used.

use ipnet::IpNet;
use routelet_api::text::{Address, Cidr};
use serde::Deserialize;

use super::{Meta, Metadata, text_of};
use crate::cluster::atom::Atoms;
use crate::cluster::each::Each;
use crate::cluster::state::Node;
use crate::cluster::validate::Finding;

/// What the kubelet says in the message of `Ready` while it shuts its node down.
const SHUTTING_DOWN: &str = "node is shutting down";

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
