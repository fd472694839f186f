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
                "the object was created again without {names}; the agent keeps using the last known {value} for \
                 {minutes} minutes. Set {it} again, unless {it} should be removed"
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
mod tests;
