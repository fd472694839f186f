//! The ASes that nodes were last found to be in, for as long as what says so is missing.
//!
//! A node whose Router takes the AS from a label of the Node (`asnFrom`) keeps its AS while the label is missing or cannot be read
//! ([`Identity`](super::Identity)): a label that somebody removes, or that a Node lacks which was made again, is no decision to end
//! every session. So it does where the Router is one with `asnFrom` only now, or was gone in between. Its peers have to go on with the
//! same one, or they refuse its OPENs. Of nodes that lack it when an agent ends, the next one has it from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bgp::types::Asn;
use imbl::ordmap::DiffItem;

use super::router::{self, Routers};
use crate::cluster::{ClusterState, Map, Node};

/// See the module.
#[derive(Debug, Default)]
pub struct LastAsNumbers {
    routers: Routers,
    /// As they were looked at.
    nodes: Map<String, Arc<Node>>,
    /// What was found last of Nodes that there are, but for those whose Router says the AS itself.
    found: BTreeMap<String, Asn>,
    /// Those of which nothing is found now, with what was found last.
    lacking: BTreeMap<String, Arc<Node>>,
}

impl LastAsNumbers {
    /// After an agent in whose time these nodes, by name, lacked what their AS is in, with the last one.
    pub fn following(found: BTreeMap<String, Asn>) -> Self {
        Self {
            found,
            ..Self::default()
        }
    }

    /// The nodes, by name, that lack what their AS is in, or did for the agent before and have not been seen since, with the last one.
    pub fn lacking(&self) -> BTreeMap<String, Asn> {
        let lacking = self.lacking.iter();
        let lacking = lacking.filter_map(|(name, node)| Some((name.clone(), node.asn_before?)));
        // Of those that are not there yet, nobody knows better than the agent before.
        let unseen = self.found.iter();
        let unseen = unseen.filter(|(name, _)| !self.nodes.contains_key(name.as_str()));
        lacking
            .chain(unseen.map(|(name, asn)| (name.clone(), *asn)))
            .collect()
    }

    /// The state, with the last AS of each Node of which none is found.
    pub fn follow(&mut self, state: Arc<ClusterState>) -> Arc<ClusterState> {
        let nodes = std::mem::replace(&mut self.nodes, state.nodes.clone());
        let routers = std::mem::replace(&mut self.routers, state.routers.clone());
        if routers.ptr_eq(&state.routers) || routers == state.routers {
            for item in nodes.diff(&state.nodes) {
                match item {
                    DiffItem::Add(name, node) => self.look_at(&state, (name, node), None),
                    DiffItem::Update {
                        old: (_, old),
                        new: (name, node),
                    } => self.look_at(&state, (name, node), Some((&routers, old))),
                    DiffItem::Remove(name, _) => {
                        self.found.remove(name);
                        self.lacking.remove(name);
                    }
                }
            }
        } else {
            // Those that are known from the agent before may come yet.
            self.found
                .retain(|name, _| state.nodes.contains_key(name) || !nodes.contains_key(name));
            self.lacking.clear();
            for (name, node) in &state.nodes {
                let before = nodes.get(name).map(|node| (&routers, &**node));
                self.look_at(&state, (name, node), before);
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

    /// Looks at a Node. `before`: the Routers that there were, and the Node as it was.
    fn look_at(
        &mut self,
        state: &ClusterState,
        (name, node): (&str, &Arc<Node>),
        before: Option<(&Routers, &Node)>,
    ) {
        self.lacking.remove(name);
        let router = router::candidates(state, node).first().copied();
        if let Some(router) = router {
            match router::own_asn(&router.spec, node) {
                Ok(_) if router.spec.asn_from.is_none() => {
                    self.found.remove(name);
                    return;
                }
                Ok(asn) => {
                    self.found.insert(name.to_owned(), asn);
                    return;
                }
                Err(_) => {}
            }
        }
        if !self.found.contains_key(name)
            && let Some(asn) = before.and_then(|(routers, node)| said(routers, node))
        {
            self.found.insert(name.to_owned(), asn);
        }
        if let Some(asn) = self.found.get(name).filter(|_| router.is_some()) {
            let whole = Node {
                asn_before: Some(*asn),
                ..Node::clone(node)
            };
            self.lacking.insert(name.to_owned(), Arc::new(whole));
        }
    }
}

/// The AS that a Router says a node is in, if there is one that does.
fn said(routers: &Routers, node: &Node) -> Option<Asn> {
    let candidates = router::candidates_of(routers, node);
    let router = candidates.first()?;
    router::own_asn(&router.spec, node).ok()
}
