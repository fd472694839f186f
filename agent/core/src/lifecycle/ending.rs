//! How an agent ends: for good, with its node, or so that a successor takes over.

use crate::cluster::ClusterState;
use crate::intent::DrainReason;

/// What becomes of sessions and routes at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing of ours stays, neither with peers nor in the kernel: ordered by `--withdraw`, or the machine is no node any more.
    Withdraw,
    /// The node leaves: peers are told, and what the kernel forwards goes on.
    Leave,
    /// As if nothing had happened: peers keep our routes until a successor is there (RFC 4724), and so does the kernel.
    Update,
}

/// One thing that is done at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sessions end with a Cease, Administrative Shutdown (RFC 4486).
    CeaseSessions,
    /// TCP is closed without a NOTIFICATION, so that peers with graceful restart keep our routes.
    CloseSessions,
    /// The thread of the FIB ends, and what it wrote stays in the kernel.
    KeepRoutes,
    /// What it wrote is removed before.
    WithdrawRoutes,
    /// What is left for the next agent of this node is removed.
    Forget,
}

impl Ending {
    /// How an agent ends. `withdraw`: it was started with `--withdraw`; `leaves`: its node has left step by step, or was on its
    /// way; `reason`: why traffic was led away from it; `is_deleted`: there was a Node object, and there is none any more.
    pub fn of(
        withdraw: bool,
        leaves: bool,
        reason: Option<&DrainReason>,
        is_deleted: bool,
    ) -> Self {
        // A machine that is no node any more keeps nothing of ours.
        let is_deletion = is_deleted || reason == Some(&DrainReason::NodeDeletion);
        match leaves {
            _ if withdraw => Self::Withdraw,
            true if is_deletion => Self::Withdraw,
            true => Self::Leave,
            false => Self::Update,
        }
    }

    /// What is done, in this order.
    pub const fn steps(self) -> &'static [Step] {
        match self {
            Self::Withdraw => &[Step::CeaseSessions, Step::Forget, Step::WithdrawRoutes],
            // The kernel first: the end of the sessions takes the routes out of the RIB.
            Self::Leave => &[Step::KeepRoutes, Step::CeaseSessions],
            Self::Update => &[Step::KeepRoutes, Step::CloseSessions],
        }
    }
}

/// Whether there has been a Node object of this node.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeSeen(bool);

impl NodeSeen {
    /// Takes in a state of the cluster.
    pub fn see(&mut self, state: &ClusterState, node: &str) {
        self.0 |= state.nodes.contains_key(node);
    }

    /// Whether there was one, and there is none any more.
    pub fn is_deleted(self, state: &ClusterState, node: &str) -> bool {
        match state.nodes.get(node) {
            // It is held on to while the agent runs.
            Some(node) => node.departed,
            None => self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Atom, Node};

    #[test]
    fn an_agent_withdraws_if_it_is_told_to_or_its_node_is_gone_and_else_keeps_the_kernels_routes() {
        use Ending::{Leave, Update, Withdraw};
        let taint = DrainReason::Taint(Atom::from("example.com/gone"));
        let deletion = DrainReason::NodeDeletion;
        for (withdraw, leaves, reason, is_deleted, expected) in [
            (false, false, None, false, Update),
            (false, false, Some(&DrainReason::Router), false, Update),
            (false, false, Some(&DrainReason::Command), false, Update),
            // It was asked twice to stop, before anything was done.
            (false, false, Some(&deletion), true, Update),
            (false, true, None, false, Leave),
            (false, true, Some(&taint), false, Leave),
            (false, true, Some(&DrainReason::NodeShutdown), false, Leave),
            (false, true, Some(&deletion), false, Withdraw),
            (false, true, None, true, Withdraw),
            (true, false, None, false, Withdraw),
            (true, true, Some(&taint), false, Withdraw),
        ] {
            let found = Ending::of(withdraw, leaves, reason, is_deleted);
            assert_eq!(
                found, expected,
                "{withdraw} {leaves} {reason:?} {is_deleted}"
            );
        }
    }

    /// The end of the sessions takes the routes out of the RIB: what is to stay is out of its reach by then.
    #[test]
    fn routes_that_stay_in_the_kernel_are_safe_before_sessions_end() {
        for ending in [Ending::Leave, Ending::Update] {
            assert_eq!(ending.steps()[0], Step::KeepRoutes);
        }
        let told = |ending: Ending| ending.steps().contains(&Step::CeaseSessions);
        assert_eq!(
            [Ending::Withdraw, Ending::Leave, Ending::Update].map(told),
            [true, true, false]
        );
        assert_eq!(Ending::Withdraw.steps().last(), Some(&Step::WithdrawRoutes));
    }

    #[test]
    fn a_node_object_is_deleted_if_there_was_one() {
        let mut seen = NodeSeen::default();
        let mut state = ClusterState::default();
        seen.see(&state, "n1");
        assert!(!seen.is_deleted(&state, "n1"), "it may still come");
        let mut node = Node::default();
        state.nodes.insert("n1".to_owned(), node.clone().into());
        seen.see(&state, "n1");
        assert!(!seen.is_deleted(&state, "n1"));
        node.departed = true;
        state.nodes.insert("n1".to_owned(), node.into());
        assert!(seen.is_deleted(&state, "n1"));
        state.nodes.remove("n1");
        assert!(seen.is_deleted(&state, "n1"));
    }
}
