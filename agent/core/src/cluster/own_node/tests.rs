//! Claims about the own Node: what it had counts while it lacks it, and no longer.
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
            "Node n1: metadata.labels: the object was created again without rack; the agent keeps using the last \
             known value for \
             5 minutes. Set it again, unless it should be removed"
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
                problems[0].contains("created again without rack;"),
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
                .contains("metadata.annotations: the object was created again without router;"),
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
