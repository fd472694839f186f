//! The ASes that nodes were last found to be in, for as long as what says so is missing.
//!
//! A node whose Router takes the AS from a label of the Node (`asnFrom`) keeps its AS while the label is missing or cannot be read
//! ([`Identity`](super::Identity)): a label that somebody removes, or that a Node lacks which was made again, is no decision to end
//! every session. Its peers have to go on with the same one, or they refuse its OPENs. A restart forgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bgp::types::Asn;
use imbl::ordmap::DiffItem;

use super::router;
use crate::cluster::{ClusterState, Map, Node, Object};
use crate::crd::RouterSpec;

/// See the module.
#[derive(Debug, Default)]
pub struct LastAsNumbers {
    routers: Map<String, Arc<Object<RouterSpec>>>,
    /// As they were looked at.
    nodes: Map<String, Arc<Node>>,
    /// What was found last of Nodes that there are.
    found: BTreeMap<String, Asn>,
    /// Those of which nothing is found now, with what was found last.
    lacking: BTreeMap<String, Arc<Node>>,
}

impl LastAsNumbers {
    /// The state, with the last AS of each Node of which none is found.
    pub fn follow(&mut self, state: Arc<ClusterState>) -> Arc<ClusterState> {
        let nodes = std::mem::replace(&mut self.nodes, state.nodes.clone());
        if self.routers.ptr_eq(&state.routers) || self.routers == state.routers {
            for item in nodes.diff(&state.nodes) {
                match item {
                    DiffItem::Add(name, node)
                    | DiffItem::Update {
                        new: (name, node), ..
                    } => {
                        self.look_at(&state, name, node);
                    }
                    DiffItem::Remove(name, _) => {
                        self.found.remove(name);
                        self.lacking.remove(name);
                    }
                }
            }
        } else {
            self.routers = state.routers.clone();
            self.found.retain(|name, _| state.nodes.contains_key(name));
            self.lacking.clear();
            for (name, node) in &state.nodes {
                self.look_at(&state, name, node);
            }
        }
        if self.lacking.is_empty() {
            return state;
        }
        let mut state = ClusterState::clone(&state);
        for (name, node) in &self.lacking {
            state.nodes.insert(name.clone(), Arc::clone(node));
        }
        Arc::new(state)
    }

    fn look_at(&mut self, state: &ClusterState, name: &str, node: &Arc<Node>) {
        self.lacking.remove(name);
        let router = router::candidates(state, node).first().copied();
        let Some(from) = router.and_then(|router| router.spec.asn_from.as_ref()) else {
            return;
        };
        if let Ok(asn) = router::asn_from(from, node) {
            self.found.insert(name.to_owned(), asn);
        } else if let Some(asn) = self.found.get(name) {
            let whole = Node {
                asn_before: Some(*asn),
                ..Node::clone(node)
            };
            self.lacking.insert(name.to_owned(), Arc::new(whole));
        }
    }
}
