//! Which labels and annotations of Nodes anything is decided by.
//!
//! A Node that is made again lacks what others wrote to it. Most of that is none of an agent's business (roles, features, drivers);
//! what is, is named by an object: by a selector, or as where a value is taken from.

use std::collections::BTreeSet;

use routelet_api::{LabelSelector, ValueFrom};

use super::state::ClusterState;

/// Nodes with this label take no traffic from load balancers (KEP-1143).
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeKeys<'a> {
    /// Of labels.
    pub labels: BTreeSet<&'a str>,
    /// Of annotations.
    pub annotations: BTreeSet<&'a str>,
}

impl<'a> NodeKeys<'a> {
    /// Those that objects of this state name, and those with a meaning of their own. Costs as much as there are Routers, Peers and
    /// Advertisements.
    pub(crate) fn of(state: &'a ClusterState) -> Self {
        let mut keys = Self::default();
        keys.labels.insert(EXCLUDE_LABEL);
        for router in state.routers.values() {
            let spec = &router.spec;
            keys.selector(spec.node_selector.as_ref());
            keys.value(spec.asn_from.as_ref());
            keys.value(spec.router_id_from.as_ref());
        }
        for peer in state.peers.values() {
            let spec = &peer.spec;
            keys.selector(spec.node_selector.as_ref());
            keys.selector(
                spec.nodes
                    .as_ref()
                    .and_then(|nodes| nodes.selector.as_ref()),
            );
            keys.value(spec.address_from.as_ref());
            keys.value(spec.asn_from.as_ref());
            keys.value(spec.local_address_from.as_ref());
        }
        for advertisement in state.advertisements.values() {
            keys.selector(advertisement.spec.node_selector.as_ref());
        }
        keys
    }

    fn selector(&mut self, selector: Option<&'a LabelSelector>) {
        if let Some(selector) = selector {
            let listed = selector.match_labels.keys();
            self.labels.extend(listed.map(String::as_str));
            let conditions = selector.match_expressions.iter();
            self.labels.extend(conditions.map(|one| one.key.as_str()));
        }
    }

    fn value(&mut self, from: Option<&'a ValueFrom>) {
        if let Some(from) = from {
            self.labels.extend(from.node_label.as_deref());
            self.annotations.extend(from.node_annotation.as_deref());
        }
    }
}
