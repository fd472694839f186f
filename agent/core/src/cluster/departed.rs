//! Other Nodes whose objects were deleted a short while ago: their addresses stay theirs.
//!
//! A Node object goes before its machine does, or by mistake, while the node goes on answering to its addresses. If these were
//! nobody's at once, any Service that names one could be announced with it. A deleted Node takes part in nothing else: it has no
//! sessions, no pod CIDRs (which Kubernetes gives to other nodes soon), and ends after [`STAYS`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbl::ordmap::DiffItem;

use super::node_keys::NodeKeys;
use super::snapshot::Snapshot;
use super::state::{ClusterState, Map, Node};

/// How long a deleted Node keeps its addresses: longer than it takes to shut a machine down, or to register it again.
pub const STAYS: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Default)]
pub struct DepartedNodes {
    /// As the source had them last.
    known: Map<String, Arc<Node>>,
    /// At most those that were there within [`STAYS`], each as it was last, and until when it counts.
    departed: BTreeMap<String, (Arc<Node>, Instant)>,
}

impl DepartedNodes {
    /// The snapshot with the Nodes that have departed. One that is back has what it lacks from before, as the own Node has:
    /// addresses, pod CIDRs, and for [`STAYS`] each label and annotation that something is decided by ([`NodeKeys`]), since a kubelet
    /// registers a Node with its own alone.
    pub fn follow(&mut self, snapshot: Snapshot, now: Instant) -> Snapshot {
        let nodes = &snapshot.state.nodes;
        for item in self.known.diff(nodes) {
            let (name, node) = match item {
                DiffItem::Remove(name, node) => (name, node),
                // Deleted and made again since.
                DiffItem::Update {
                    old: (name, old),
                    new: (_, new),
                } if old.uid != new.uid => (name, old),
                DiffItem::Add(name, _) => {
                    // What it lacks counts from when it is back, as the own Node's.
                    if let Some((_, until)) = self.departed.get_mut(name).filter(|(_, u)| now < *u)
                    {
                        *until = now + STAYS;
                    }
                    continue;
                }
                DiffItem::Update { .. } => continue,
            };
            let mut last = Node::clone(node);
            if let Some((before, until)) = self.departed.get(name)
                && now < *until
            {
                last.bridge(before);
                last.labels = last.labels.with(&before.labels.without(&last.labels));
                last.annotations = last
                    .annotations
                    .with(&before.annotations.without(&last.annotations));
            }
            self.departed
                .insert(name.clone(), (Arc::new(last), now + STAYS));
        }
        self.known = nodes.clone();
        self.departed.retain(|_, (_, until)| now < *until);
        if self.departed.is_empty() {
            return snapshot;
        }
        let keys = NodeKeys::of(&snapshot.state);
        let mut state = ClusterState::clone(&snapshot.state);
        self.departed.retain(|name, (last, _)| {
            let Some(back) = state.nodes.get_mut(name) else {
                state.nodes.insert(name.clone(), Arc::new(departed(last)));
                return true;
            };
            let mut whole = Node::clone(back);
            whole.bridge(last);
            // A label that it has had since it is back is its own to remove.
            let before = Arc::make_mut(last);
            before.labels = before.labels.without(&back.labels);
            before.annotations = before.annotations.without(&back.annotations);
            // Objects may come to use the others as well.
            let lacks_keys = !before.labels.is_empty() || !before.annotations.is_empty();
            let labels = before.labels.only(&keys.labels);
            let annotations = before.annotations.only(&keys.annotations);
            if !labels.is_empty() || !annotations.is_empty() {
                whole.labels = whole.labels.with(&labels);
                whole.annotations = whole.annotations.with(&annotations);
                whole.as_object = Some(Arc::clone(back));
            }
            let is_incomplete = lacks_keys || whole != **back;
            *back = Arc::new(whole);
            is_incomplete
        });
        Snapshot {
            state: Arc::new(state),
            ..snapshot
        }
    }

    /// When one of them has to be forgotten.
    pub fn deadline(&self) -> Option<Instant> {
        self.departed.values().map(|(_, until)| *until).min()
    }
}

/// What is left of a Node: its addresses, and what Peers take from its labels.
fn departed(node: &Node) -> Node {
    Node {
        departed: true,
        pod_cidrs: Box::default(),
        ..node.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use routelet_api::selector::Labels;
    use routelet_api::{LabelSelector, PeerSpec, RouterSpec, ValueFrom};

    use super::*;
    use crate::cluster::{AtomMap, Object};

    fn node(address: &str, pods: &str) -> Node {
        let parsed = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Node {
            name: "n2".to_owned(),
            uid: "first".into(),
            internal_ips: parsed(address).iter().map(|a| a.parse().unwrap()).collect(),
            pod_cidrs: parsed(pods).iter().map(|a| a.parse().unwrap()).collect(),
            ..Node::default()
        }
    }

    fn object<S>(name: &str, spec: S) -> Object<S> {
        Object {
            name: name.to_owned(),
            labels: Labels::default(),
            spec,
        }
    }

    struct World {
        nodes: DepartedNodes,
        now: Instant,
    }

    impl World {
        /// Whether the Node counts as departed, its address, and its pod CIDR.
        fn see(&mut self, there: Option<Node>) -> Option<(bool, String, String)> {
            let mut state = ClusterState::default();
            if let Some(node) = there {
                state.nodes.insert("n2".to_owned(), Arc::new(node));
            }
            let snapshot = Snapshot {
                state: Arc::new(state),
                ..Snapshot::default()
            };
            let seen = self.nodes.follow(snapshot, self.now);
            let node = seen.state.nodes.get("n2")?;
            let first = |list: &mut dyn Iterator<Item = String>| list.next().unwrap_or_default();
            Some((
                node.departed,
                first(&mut node.internal_ips.iter().map(ToString::to_string)),
                first(&mut node.pod_cidrs.iter().map(ToString::to_string)),
            ))
        }
    }

    fn seen(departed: bool, address: &str, pods: &str) -> Option<(bool, String, String)> {
        Some((departed, address.to_owned(), pods.to_owned()))
    }

    #[test]
    fn a_deleted_node_keeps_its_addresses_for_a_while_and_nothing_else() {
        let mut world = World {
            nodes: DepartedNodes::default(),
            now: Instant::now(),
        };
        assert_eq!(world.see(None), None);
        let there = node("192.0.2.2", "10.2.0.0/24");
        let alive = seen(false, "192.0.2.2", "10.2.0.0/24");
        assert_eq!(world.see(Some(there.clone())), alive);
        assert_eq!(world.nodes.deadline(), None);
        let left = seen(true, "192.0.2.2", "");
        assert_eq!(world.see(None), left);
        let until = world.nodes.deadline().unwrap();
        world.now = until - Duration::from_millis(1);
        assert_eq!(world.see(None), left, "whatever else happens");
        world.now = until;
        assert_eq!(world.see(None), None);
        assert_eq!(world.nodes.deadline(), None);
        // Back, it is as it was; gone again, it counts anew.
        assert_eq!(world.see(Some(there)), alive);
        assert_eq!(world.see(None), left);
        assert_eq!(world.nodes.deadline(), Some(until + STAYS));
    }

    #[test]
    fn a_node_that_is_back_has_its_addresses_from_before_until_it_has_some() {
        let mut world = World {
            nodes: DepartedNodes::default(),
            now: Instant::now(),
        };
        world.see(Some(node("192.0.2.2", "10.2.0.0/24")));
        world.see(None);
        let bare = world.see(Some(node("", "10.9.0.0/24")));
        assert_eq!(bare, seen(false, "192.0.2.2", "10.9.0.0/24"));
        let moved = world.see(Some(node("192.0.2.22", "10.9.0.0/24")));
        assert_eq!(moved, seen(false, "192.0.2.22", "10.9.0.0/24"));
        assert_eq!(
            world.nodes.deadline(),
            None,
            "nothing is left of what it was"
        );
    }

    #[test]
    fn a_node_that_is_deleted_again_before_it_was_whole_keeps_what_it_had() {
        let mut world = World {
            nodes: DepartedNodes::default(),
            now: Instant::now(),
        };
        world.see(Some(node("192.0.2.2", "10.2.0.0/24")));
        world.see(None);
        world.see(Some(node("", "")));
        assert_eq!(world.see(None), seen(true, "192.0.2.2", ""));
        // But not what it had long ago.
        world.now += STAYS;
        assert_eq!(world.see(Some(node("", ""))), seen(false, "", ""));
        assert_eq!(world.see(None), seen(true, "", ""));
    }

    /// Its AS may be in one: without it, all others would end their sessions with it.
    #[test]
    fn labels_of_a_node_that_is_back_are_those_from_before_until_it_has_had_them() {
        let mut nodes = DepartedNodes::default();
        let mut now = Instant::now();
        let labelled = |uid: &str, labels: &[(&str, &str)]| Node {
            uid: uid.into(),
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            ..node("192.0.2.2", "10.2.0.0/24")
        };
        // Its AS is that of a label, and a Peer chooses by its rack. Nothing is decided by its role.
        let from_label = RouterSpec {
            asn_from: Some(ValueFrom {
                node_label: Some("asn".to_owned()),
                ..ValueFrom::default()
            }),
            ..RouterSpec::default()
        };
        let by_rack = PeerSpec {
            node_selector: Some(LabelSelector {
                match_labels: [("rack".to_owned(), "a".to_owned())].into(),
                ..LabelSelector::default()
            }),
            ..PeerSpec::default()
        };
        let mut see = |node: Option<Node>, now| {
            let mut state = ClusterState::default();
            let router = object("r", from_label.clone());
            state.routers.insert("r".to_owned(), router.into());
            let peer = object("p", by_rack.clone());
            state.peers.insert("p".to_owned(), peer.into());
            if let Some(node) = node {
                state.nodes.insert("n2".to_owned(), Arc::new(node));
            }
            let snapshot = Snapshot {
                state: Arc::new(state),
                ..Snapshot::default()
            };
            let seen = nodes.follow(snapshot, now);
            let node = &seen.state.nodes["n2"];
            let of = |labels: &AtomMap| {
                let values = ["asn", "rack", "role"].map(|key| labels.get(key).unwrap_or("-"));
                values.join(" ")
            };
            let object = node.as_object.as_ref().map(|object| of(&object.labels));
            (of(&node.labels), object.unwrap_or_default())
        };
        let expect = |labels: &str, object: &str| (labels.to_owned(), object.to_owned());
        let all = [("asn", "64513"), ("rack", "a"), ("role", "worker")];
        let before = labelled("first", &all);
        assert_eq!(see(Some(before), now), expect("64513 a worker", ""));
        see(None, now);
        let bare = || Some(labelled("second", &[]));
        assert_eq!(see(bare(), now), expect("64513 a -", "- - -"));
        let moved = || Some(labelled("second", &[("rack", "b")]));
        assert_eq!(see(moved(), now), expect("64513 b -", "- b -"));
        // Removed from the new one, it is removed; what it never had counts for a while.
        assert_eq!(see(bare(), now), expect("64513 - -", "- - -"));
        // With all that matters it is as its object says.
        let whole = || Some(labelled("second", &all[..2]));
        assert_eq!(see(whole(), now), expect("64513 a -", ""));
        now += STAYS;
        assert_eq!(see(bare(), now), expect("- - -", ""));
    }

    #[test]
    fn a_node_that_was_made_again_unseen_is_bridged_as_well() {
        let mut world = World {
            nodes: DepartedNodes::default(),
            now: Instant::now(),
        };
        world.see(Some(node("192.0.2.2", "10.2.0.0/24")));
        let again = Node {
            uid: "second".into(),
            ..node("", "")
        };
        let whole = seen(false, "192.0.2.2", "10.2.0.0/24");
        assert_eq!(world.see(Some(again)), whole);
        // The same object that loses its addresses is bridged where it is read.
        assert!(world.nodes.deadline().is_some());
    }
}
