//! Why a node is drained, and what that means when the agent is told to stop.

use std::fmt;

use routelet_api::RouterSpec;

use crate::cluster::{Atom, Node};

/// Why a node is drained; of several reasons the last of these that holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainReason {
    /// `drain` of its Router.
    Router,
    /// The command `routelet drain`.
    Command,
    /// The node has a taint that its Router lists in `leave.taints`.
    Taint(Atom),
    /// The kubelet is shutting the node down.
    NodeShutdown,
    /// The Node object is being deleted.
    NodeDeletion,
}

impl DrainReason {
    /// The reason that a node and its Router give, if any.
    pub(in crate::intent) fn of(node: &Node, router: &RouterSpec) -> Option<Self> {
        let listed = |taint: &&Atom| router.leave.taints.iter().any(|key| *key == taint.as_str());
        if node.being_deleted {
            Some(Self::NodeDeletion)
        } else if node.shutting_down {
            Some(Self::NodeShutdown)
        } else if let Some(taint) = node.taints.iter().find(listed) {
            Some(Self::Taint(taint.clone()))
        } else {
            router.drain.then_some(Self::Router)
        }
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router => f.write_str("the Router has drain: true"),
            Self::Command => f.write_str("requested by routelet drain"),
            Self::Taint(key) => write!(f, "the node has the taint {key}"),
            Self::NodeShutdown => f.write_str("the kubelet is shutting the node down"),
            Self::NodeDeletion => f.write_str("the Node object is being deleted"),
        }
    }
}

/// Whether an agent that is told to stop (SIGTERM) leaves for good, step by step, rather than to make room for its successor.
///
/// Only what says that the *node* goes away counts. A drain by command or Router does not: agents are updated on drained nodes
/// too, and their pods are to stay reachable meanwhile. `is_deleted`: there was a Node object, and there is none any more.
pub(super) fn leaves_when_stopped(reason: Option<&DrainReason>, is_deleted: bool) -> bool {
    is_deleted
        || match reason {
            Some(DrainReason::NodeDeletion | DrainReason::NodeShutdown | DrainReason::Taint(_)) => {
                true
            }
            Some(DrainReason::Router | DrainReason::Command) | None => false,
        }
}
