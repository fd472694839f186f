//! The Node object of the node that the agent runs on, held on to while the agent runs.
//!
//! It is deleted by mistake, or made again when the kubelet registers anew, and has neither labels nor pod CIDRs then for
//! moments. The node is there all that time, with its pods and its sessions: that its object is not is no reason to end them.
//! Whoever means it stops the agent.

use std::sync::Arc;

use super::snapshot::{Problem, Severity, Snapshot};
use super::state::{ClusterState, Node, ObjectRef};

/// See the module.
#[derive(Debug)]
pub(crate) struct OwnNode {
    name: String,
    /// As it was last known.
    last: Option<Arc<Node>>,
    /// It was gone, and has not got back all that it had.
    is_incomplete: bool,
}

impl OwnNode {
    /// That of the node with this name; nothing is known of it yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            last: None,
            is_incomplete: false,
        }
    }

    /// The snapshot with the Node as it is, or as it was last known if it has gone, which is a problem then. Of one that was
    /// made again, what it lacks altogether (labels, addresses, pod CIDRs) is as it was.
    pub(crate) fn hold(&mut self, snapshot: Snapshot) -> Snapshot {
        let now = snapshot.state.nodes.get(&self.name).cloned();
        let (held, problem) = match (now, &self.last) {
            (None, None) => return snapshot,
            (None, Some(last)) => {
                self.is_incomplete = true;
                let last = Node {
                    departed: true,
                    ..Node::clone(last)
                };
                (Arc::new(last), Some(self.gone()))
            }
            (Some(now), Some(last)) if self.is_incomplete => {
                let mut whole = Node::clone(&now);
                whole.bridge(last);
                // The kubelet gives every Node some.
                if whole.labels.is_empty() {
                    whole.labels.clone_from(&last.labels);
                }
                self.is_incomplete = whole != *now;
                (Arc::new(whole), None)
            }
            (Some(now), _) => {
                self.last = Some(now);
                return snapshot;
            }
        };
        self.last = Some(held.clone());
        let mut state = ClusterState::clone(&snapshot.state);
        state.nodes.insert(self.name.clone(), held);
        let mut problems = snapshot.problems;
        if let Some(problem) = problem {
            let problems = Arc::make_mut(&mut problems);
            problems.push(problem);
            problems.sort_by(|a, b| (&a.object, &a.path).cmp(&(&b.object, &b.path)));
        }
        Snapshot {
            state: Arc::new(state),
            problems,
            source: snapshot.source,
        }
    }

    fn gone(&self) -> Problem {
        Problem {
            severity: Severity::Warning,
            file: None,
            line: None,
            object: Some(ObjectRef::cluster("Node", &self.name)),
            path: String::new(),
            reason: "the object was removed while the agent runs on the node; the agent keeps using its last known labels, \
                     addresses and pod CIDRs. Restart the kubelet to register the node again, or stop the agent to remove the \
                     node's routes"
                .to_owned(),
            meanwhile: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn node(labels: &[(&str, &str)], address: Option<&str>, pods: Option<&str>) -> Node {
        Node {
            name: "n1".to_owned(),
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            pod_cidrs: pods.into_iter().map(|p| p.parse().unwrap()).collect(),
            internal_ips: address.into_iter().map(|a| a.parse().unwrap()).collect(),
            ..Node::default()
        }
    }

    fn snapshot(node: Option<&Node>) -> Snapshot {
        let mut state = ClusterState::default();
        if let Some(node) = node {
            state.nodes.insert("n1".to_owned(), Arc::new(node.clone()));
        }
        Snapshot {
            state: Arc::new(state),
            ..Snapshot::default()
        }
    }

    /// What is held of the Node, and how many problems there are.
    fn held(own: &mut OwnNode, node: Option<&Node>) -> (Option<Node>, usize) {
        let held = own.hold(snapshot(node));
        let node = held.state.nodes.get("n1").map(|node| Node::clone(node));
        (node, held.problems.len())
    }

    #[test]
    fn a_node_that_is_gone_stays_as_it_was_and_that_is_a_problem() {
        let mut own = OwnNode::new("n1");
        assert_eq!(held(&mut own, None), (None, 0), "it never was there");
        let known = node(&[("rack", "a")], Some("192.0.2.1"), Some("10.1.0.0/24"));
        assert_eq!(held(&mut own, Some(&known)), (Some(known.clone()), 0));
        let departed = Node {
            departed: true,
            ..known.clone()
        };
        for _ in 0..2 {
            assert_eq!(held(&mut own, None), (Some(departed.clone()), 1));
        }
        let text = own.hold(snapshot(None)).problems[0].to_string();
        assert!(
            text.starts_with("Node n1: the object was removed"),
            "{text}"
        );
        assert_eq!(held(&mut own, Some(&known)), (Some(known), 0));
    }

    #[test]
    fn a_node_made_again_has_what_it_lacks_from_before_until_it_has_it_itself() {
        let mut own = OwnNode::new("n1");
        let known = node(&[("rack", "a")], Some("192.0.2.1"), Some("10.1.0.0/24"));
        held(&mut own, Some(&known));
        held(&mut own, None);
        assert_eq!(
            held(&mut own, Some(&node(&[], None, None))),
            (Some(known.clone()), 0)
        );
        let labelled = node(&[("rack", "b")], Some("192.0.2.1"), None);
        let expected = node(&[("rack", "b")], Some("192.0.2.1"), Some("10.1.0.0/24"));
        assert_eq!(held(&mut own, Some(&labelled)), (Some(expected), 0));
        let whole = node(&[("rack", "b")], Some("192.0.2.1"), Some("10.9.0.0/24"));
        assert_eq!(held(&mut own, Some(&whole)), (Some(whole), 0));
    }

    #[test]
    fn a_node_that_was_never_gone_is_as_its_object_says() {
        let mut own = OwnNode::new("n1");
        held(
            &mut own,
            Some(&node(&[("rack", "a")], Some("192.0.2.1"), None)),
        );
        let bare = node(&[], None, None);
        assert_eq!(held(&mut own, Some(&bare)), (Some(bare), 0));
    }
}
