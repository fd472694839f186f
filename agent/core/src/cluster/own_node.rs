//! The Node object of the node that the agent runs on, held on to while the agent runs.
//!
//! It is deleted by mistake, or made again when the kubelet registers anew, and then has no labels but the kubelet's, and no pod
//! CIDRs for moments. The node is there all that time, with its pods and its sessions: that its object is not is no reason to
//! end them. Whoever means it stops the agent.

use std::sync::Arc;
use std::time::Instant;

use super::atom::{Atom, AtomMap};
use super::departed::STAYS as DEPARTED_STAYS;
use super::node_keys::NodeKeys;
use super::snapshot::{Problem, Severity, Snapshot};
use super::state::{ClusterState, Node, ObjectRef};

/// So many keys are named at most.
const NAMED: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct OwnNode {
    name: String,
    /// As it was last held.
    last: Option<Arc<Node>>,
    /// It was made again, and has not got back all that it had.
    before: Option<Before>,
    /// What the agent before left of it, until it is there.
    left: Option<Node>,
    /// See [`OwnNode::deciding`].
    deciding: Option<Node>,
}

/// What a Node was before it was made again.
#[derive(Debug)]
struct Before {
    /// Of labels and annotations those whose keys the new object has never had.
    node: Node,
    /// Until when these count.
    until: Instant,
}

impl OwnNode {
    /// That of the node with this name, of which the agent before left so much.
    pub fn new(name: &str, left: Option<Node>) -> Self {
        Self {
            name: name.to_owned(),
            last: None,
            before: None,
            left,
            deciding: None,
        }
    }

    /// What of it is to be left for the next agent: which object it is, or was as long as labels or annotations of that one count, and
    /// those by which something is decided. `None`: it was not there yet.
    pub fn deciding(&self) -> Option<&Node> {
        self.deciding.as_ref()
    }

    /// The snapshot with the Node as it is, or as it was last known if it has gone. Of one that was made again, what it lacks is
    /// as it was: addresses and pod CIDRs if it has none, and for [`DEPARTED_STAYS`] each label and annotation that something is
    /// decided by ([`NodeKeys`]). Both are problems.
    pub fn hold(&mut self, snapshot: Snapshot, now: Instant) -> Snapshot {
        let there = snapshot.state.nodes.get(&self.name).cloned();
        let (held, more) = match (there, &self.last) {
            (None, None) => return snapshot,
            (None, Some(last)) => {
                let mut last = Node {
                    departed: true,
                    ..Node::clone(last)
                };
                // What it lacked counts from when it is made again.
                if let Some(before) = self.before.take() {
                    last.labels = last.labels.with(&before.node.labels.without(&last.labels));
                    let annotations = before.node.annotations.without(&last.annotations);
                    last.annotations = last.annotations.with(&annotations);
                }
                (Arc::new(last), vec![self.gone()])
            }
            (Some(there), last) => {
                let last = last.as_deref().or(self.left.as_ref());
                if let Some(last) = last
                    && (last.departed || last.uid != there.uid)
                {
                    self.before = Some(Before {
                        node: Node::clone(last),
                        until: now + DEPARTED_STAYS,
                    });
                }
                self.left = None;
                let keys = NodeKeys::of(&snapshot.state);
                let (held, problems) = self.made_again(there, &keys, now);
                self.decide(&held, &keys);
                (held, problems)
            }
        };
        self.last = Some(held.clone());
        let mut state = ClusterState::clone(&snapshot.state);
        state.nodes.insert(self.name.clone(), held);
        let mut problems = snapshot.problems;
        if !more.is_empty() {
            let problems = Arc::make_mut(&mut problems);
            problems.extend(more);
            problems.sort_by(|a, b| (&a.object, &a.path).cmp(&(&b.object, &b.path)));
        }
        Snapshot {
            state: Arc::new(state),
            problems,
            source: snapshot.source,
        }
    }

    /// Notes what is decided by.
    fn decide(&mut self, held: &Node, keys: &NodeKeys<'_>) {
        // Only as long as something is decided by what the object lacks: what it has itself is its own to remove.
        let before = self.before.as_ref().filter(|before| {
            let labels = before.node.labels.only(&keys.labels);
            let annotations = before.node.annotations.only(&keys.annotations);
            !labels.is_empty() || !annotations.is_empty()
        });
        self.deciding = Some(Node {
            name: self.name.clone(),
            uid: before.map_or(&held.uid, |before| &before.node.uid).clone(),
            labels: held.labels.only(&keys.labels),
            annotations: held.annotations.only(&keys.annotations),
            ..Node::default()
        });
    }

    /// When labels or annotations from before end to count.
    pub fn deadline(&self) -> Option<Instant> {
        let before = self.before.as_ref()?;
        before.has_keys().then_some(before.until)
    }

    /// The Node with what it lacks from before, and what is said of that.
    fn made_again(
        &mut self,
        there: Arc<Node>,
        keys: &NodeKeys<'_>,
        now: Instant,
    ) -> (Arc<Node>, Vec<Problem>) {
        let Some(mut before) = self.before.take() else {
            return (there, Vec::new());
        };
        let mut whole = Node::clone(&there);
        whole.bridge(&before.node);
        if now >= before.until {
            before.node.labels = AtomMap::default();
            before.node.annotations = AtomMap::default();
        }
        before.node.labels = before.node.labels.without(&there.labels);
        before.node.annotations = before.node.annotations.without(&there.annotations);
        // Objects may come to use the others as well.
        let labels = before.node.labels.only(&keys.labels);
        let annotations = before.node.annotations.only(&keys.annotations);
        whole.labels = whole.labels.with(&labels);
        whole.annotations = whole.annotations.with(&annotations);
        let problems = [
            ("metadata.annotations", &annotations),
            ("metadata.labels", &labels),
        ];
        let problems = problems.into_iter().filter(|(_, map)| !map.is_empty());
        let problems = problems.map(|(path, map)| self.lacks(path, map)).collect();
        if before.has_keys() || whole != *there {
            self.before = Some(before);
        }
        (Arc::new(whole), problems)
    }

    fn gone(&self) -> Problem {
        self.problem(
            "",
            "the object was removed while the agent runs on the node; the agent keeps using its last known labels, addresses and pod \
             CIDRs. Restart the kubelet to register the node again, or stop the agent to remove the node's routes"
                .to_owned(),
        )
    }

    fn lacks(&self, path: &str, map: &AtomMap) -> Problem {
        let count = map.keys().count();
        let names: Vec<&str> = map.keys().take(NAMED).map(Atom::as_str).collect();
        let mut names = names.join(", ");
        if count > NAMED {
            names += &format!(" and {} more", count - NAMED);
        }
        let (value, it) = if count == 1 {
            ("value", "it")
        } else {
            ("values", "them")
        };
        let minutes = DEPARTED_STAYS.as_secs() / 60;
        self.problem(
            path,
            format!(
                "the object was made again without {names}; the agent keeps using the last known {value} for {minutes} minutes. Set \
                 {it} again, unless the node is to be without {it}"
            ),
        )
    }

    fn problem(&self, path: &str, reason: String) -> Problem {
        Problem {
            severity: Severity::Warning,
            file: None,
            line: None,
            object: Some(ObjectRef::cluster("Node", &self.name)),
            path: path.to_owned(),
            reason,
            meanwhile: None,
        }
    }
}

impl Before {
    fn has_keys(&self) -> bool {
        !self.node.labels.is_empty() || !self.node.annotations.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use routelet_api::selector::{Labels, Operator, Requirement};
    use routelet_api::{LabelSelector, PeerSpec, ValueFrom};

    use super::*;
    use crate::cluster::{EXCLUDE_LABEL, Object};

    /// What a kubelet gives a Node that it registers, and nothing more.
    const KUBELET: [(&str, &str); 5] = [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", "n1"),
        ("kubernetes.io/os", "linux"),
    ];

    /// With the kubelet's labels and more of them.
    fn node(labels: &[(&str, &str)], address: Option<&str>, pods: Option<&str>) -> Node {
        Node {
            name: "n1".to_owned(),
            uid: "first".into(),
            labels: map(&[&KUBELET[..], labels].concat()),
            pod_cidrs: pods.into_iter().map(|p| p.parse().unwrap()).collect(),
            internal_ips: address.into_iter().map(|a| a.parse().unwrap()).collect(),
            ..Node::default()
        }
    }

    fn map(pairs: &[(&str, &str)]) -> AtomMap {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    /// The same in another object.
    fn anew(node: Node) -> Node {
        Node {
            uid: "second".into(),
            ..node
        }
    }

    /// Of a cluster in which Peers choose by the labels rack and zone, and one takes the address from the annotation router.
    fn snapshot(node: Option<&Node>) -> Snapshot {
        let mut state = ClusterState::default();
        let mut spec = PeerSpec::default();
        let zone = Requirement {
            key: "zone".to_owned(),
            operator: Operator::Exists,
            values: Vec::new(),
        };
        spec.node_selector = Some(LabelSelector {
            match_labels: [("rack".to_owned(), "a".to_owned())].into(),
            match_expressions: vec![zone],
        });
        spec.address_from = Some(ValueFrom {
            node_annotation: Some("router".to_owned()),
            ..ValueFrom::default()
        });
        let peer = Object {
            name: "tor".to_owned(),
            labels: Labels::default(),
            spec,
        };
        state.peers.insert("tor".to_owned(), Arc::new(peer));
        if let Some(node) = node {
            state.nodes.insert("n1".to_owned(), Arc::new(node.clone()));
        }
        Snapshot {
            state: Arc::new(state),
            ..Snapshot::default()
        }
    }

    /// An agent, and the time.
    struct World {
        own: OwnNode,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            Self {
                own: OwnNode::new("n1", None),
                now: Instant::now(),
            }
        }

        /// The agent is started again.
        fn restart(&mut self) {
            self.own = OwnNode::new("n1", self.own.deciding().cloned());
        }

        /// What is held of the Node, and the problems.
        fn see(&mut self, node: Option<&Node>) -> (Option<Node>, Vec<String>) {
            let held = self.own.hold(snapshot(node), self.now);
            let node = held.state.nodes.get("n1").map(|node| Node::clone(node));
            let problems = held.problems.iter().map(ToString::to_string);
            (node, problems.collect())
        }
    }

    /// Of a Node that is as its object says.
    fn plain(node: &Node) -> (Option<Node>, Vec<String>) {
        (Some(node.clone()), Vec::new())
    }

    #[test]
    fn a_node_that_is_gone_stays_as_it_was_and_that_is_a_problem() {
        let mut world = World::new();
        assert_eq!(world.see(None), (None, vec![]), "it never was there");
        let known = node(&[("rack", "a")], Some("192.0.2.1"), Some("10.1.0.0/24"));
        assert_eq!(world.see(Some(&known)), plain(&known));
        let departed = Node {
            departed: true,
            ..known.clone()
        };
        for _ in 0..2 {
            let (held, problems) = world.see(None);
            assert_eq!(held, Some(departed.clone()));
            assert_eq!(problems.len(), 1);
            let text = &problems[0];
            assert!(
                text.starts_with("Node n1: the object was removed"),
                "{text}"
            );
            world.now += DEPARTED_STAYS;
        }
        assert_eq!(world.see(Some(&known)), plain(&known));
        assert_eq!(world.own.deadline(), None);
    }

    #[test]
    fn a_node_made_again_has_what_it_lacks_from_before_until_it_has_it_itself() {
        let mut world = World::new();
        let known = node(&[("rack", "a")], Some("192.0.2.1"), Some("10.1.0.0/24"));
        world.see(Some(&known));
        world.see(None);
        let (held, problems) = world.see(Some(&anew(node(&[], None, None))));
        let bridged = Node {
            pod_cidrs_bridged: true,
            ..anew(known)
        };
        assert_eq!(held, Some(bridged));
        assert_eq!(
            problems,
            [
                "Node n1: metadata.labels: the object was made again without rack; the agent keeps using the last known value for \
                 5 minutes. Set it again, unless the node is to be without it"
            ]
        );
        let labelled = node(&[("rack", "b")], Some("192.0.2.1"), None);
        let expected = Node {
            pod_cidrs_bridged: true,
            ..anew(node(
                &[("rack", "b")],
                Some("192.0.2.1"),
                Some("10.1.0.0/24"),
            ))
        };
        let held = world.see(Some(&anew(labelled)));
        assert_eq!(held, plain(&expected));
        let whole = anew(node(
            &[("rack", "b")],
            Some("192.0.2.1"),
            Some("10.9.0.0/24"),
        ));
        assert_eq!(world.see(Some(&whole)), plain(&whole));
        assert_eq!(world.own.deadline(), None);
    }

    #[test]
    fn a_node_that_is_gone_again_has_nobody_wait_for_a_time_that_is_over() {
        let mut world = World::new();
        world.see(Some(&node(&[("rack", "a")], Some("192.0.2.1"), None)));
        world.see(Some(&anew(node(&[], Some("192.0.2.1"), None))));
        assert!(world.own.deadline().is_some());
        world.see(None);
        assert_eq!(world.own.deadline(), None);
        world.now += DEPARTED_STAYS;
        let (held, _) = world.see(None);
        assert_eq!(held.unwrap().labels.get("rack"), Some("a"));
        // And counts its five minutes when it is there.
        let third = Node {
            uid: "third".into(),
            ..node(&[], Some("192.0.2.1"), None)
        };
        world.see(Some(&third));
        assert_eq!(world.own.deadline(), Some(world.now + DEPARTED_STAYS));
    }

    #[test]
    fn a_node_made_again_while_no_agent_ran_or_shortly_before_has_its_labels_too() {
        let known = node(&[("rack", "a"), ("role", "x")], Some("192.0.2.1"), None);
        let bare = anew(node(&[], Some("192.0.2.1"), None));
        for is_seen in [false, true] {
            let mut world = World::new();
            assert_eq!(world.own.deciding(), None);
            world.see(Some(&known));
            if is_seen {
                world.see(Some(&bare));
                world.now += DEPARTED_STAYS / 2;
            }
            // Over any number of restarts, also where it is not there for a while.
            for _ in 0..2 {
                world.restart();
                assert_eq!(world.see(None), (None, vec![]));
                let (held, problems) = world.see(Some(&bare));
                assert_eq!(
                    held,
                    Some(anew(node(&[("rack", "a")], Some("192.0.2.1"), None)))
                );
                assert!(
                    problems[0].contains("made again without rack;"),
                    "{problems:?}"
                );
            }
            // What nothing is decided by is not left.
            let left = world.own.deciding().unwrap();
            assert_eq!(
                (left.uid.as_str(), &left.labels),
                ("first", &map(&[("rack", "a")]))
            );
            world.now = world.own.deadline().unwrap();
            assert_eq!(world.see(Some(&bare)), plain(&bare));
            assert_eq!(world.own.deciding().unwrap().uid.as_str(), "second");
            world.restart();
            assert_eq!(world.see(Some(&bare)), plain(&bare));
        }
    }

    #[test]
    fn a_label_that_somebody_removed_while_no_agent_ran_counts_at_once() {
        let mut world = World::new();
        world.see(Some(&node(&[("rack", "a")], None, None)));
        world.restart();
        let bare = node(&[], None, None);
        assert_eq!(world.see(Some(&bare)), plain(&bare));
    }

    /// What else a Node that was made again lacks makes no other object of it.
    #[test]
    fn a_label_of_a_node_made_again_that_somebody_removed_while_no_agent_ran_counts_at_once() {
        let mut world = World::new();
        world.see(Some(&node(&[("rack", "a"), ("role", "x")], None, None)));
        world.see(Some(&anew(node(&[("rack", "b")], None, None))));
        assert_eq!(world.own.deciding().unwrap().uid.as_str(), "second");
        world.restart();
        let bare = anew(node(&[], None, None));
        assert_eq!(world.see(Some(&bare)), plain(&bare));
    }

    #[test]
    fn labels_of_a_node_made_again_are_those_from_before_for_five_minutes() {
        let labels = &[("rack", "a"), ("zone", "z")];
        let known = node(labels, Some("192.0.2.1"), Some("10.1.0.0/24"));
        let known = Node {
            annotations: map(&[("router", "192.0.2.250")]),
            ..known
        };
        // Deleted and made between two looks at it, too.
        for is_seen in [true, false] {
            let mut world = World::new();
            world.see(Some(&known));
            if is_seen {
                world.see(None);
                world.now += Duration::from_secs(3600);
            }
            let bare = anew(node(&[], Some("192.0.2.1"), Some("10.1.0.0/24")));
            let (held, problems) = world.see(Some(&bare));
            assert_eq!(held, Some(anew(known.clone())));
            let [annotations, labels] = &problems[..] else {
                panic!("{problems:?}");
            };
            assert!(
                annotations
                    .contains("metadata.annotations: the object was made again without router;"),
                "{annotations}"
            );
            assert!(labels.contains("without rack, zone; "), "{labels}");
            let until = world.now + DEPARTED_STAYS;
            assert_eq!(world.own.deadline(), Some(until));
            // What it has had counts, also that it has it no more.
            let labelled = anew(node(
                &[("rack", "b")],
                Some("192.0.2.1"),
                Some("10.1.0.0/24"),
            ));
            let (held, problems) = world.see(Some(&labelled));
            assert_eq!(held.unwrap().labels.get("rack"), Some("b"));
            assert!(problems[1].contains("without zone;"), "{problems:?}");
            world.now = until - Duration::from_millis(1);
            let held = world.see(Some(&bare)).0.unwrap();
            assert_eq!(held.labels, map(&[&KUBELET[..], &[("zone", "z")]].concat()));
            assert_eq!(world.own.deadline(), Some(until));
            world.now = until;
            assert_eq!(world.see(Some(&bare)), plain(&bare));
            assert_eq!(world.own.deadline(), None);
        }
    }

    /// Roles, features, drivers: what nothing is decided by is neither held on to nor spoken of.
    #[test]
    fn labels_and_annotations_that_no_object_names_are_none_of_its_business() {
        let mut world = World::new();
        let role = ("node-role.kubernetes.io/worker", "");
        let known = Node {
            annotations: map(&[("csi.volume.kubernetes.io/nodeid", "{}")]),
            ..node(&[role], Some("192.0.2.1"), Some("10.1.0.0/24"))
        };
        world.see(Some(&known));
        world.see(None);
        let bare = anew(node(&[], Some("192.0.2.1"), Some("10.1.0.0/24")));
        assert_eq!(world.see(Some(&bare)), plain(&bare));
        // The one with a meaning of its own counts.
        let excluded = (EXCLUDE_LABEL, "");
        let third = Node {
            uid: "third".into(),
            ..node(&[excluded], Some("192.0.2.1"), Some("10.1.0.0/24"))
        };
        world.see(Some(&third));
        let (held, problems) = world.see(Some(&bare));
        assert_eq!(held.unwrap().labels.get(EXCLUDE_LABEL), Some(""));
        assert!(problems[0].contains(EXCLUDE_LABEL), "{problems:?}");
    }

    #[test]
    fn a_node_that_was_never_gone_is_as_its_object_says() {
        let mut world = World::new();
        world.see(Some(&node(&[("rack", "a")], Some("192.0.2.1"), None)));
        for labels in [&[("rack", "b")][..], &[]] {
            let other = node(labels, None, None);
            assert_eq!(world.see(Some(&other)), plain(&other));
        }
        let bare = Node {
            labels: AtomMap::default(),
            ..node(&[], None, None)
        };
        assert_eq!(world.see(Some(&bare)), plain(&bare));
    }
}
