//! A node that leaves, and one that is drained: [`Presence`](routelet_core::intent::Presence) decides how far it has
//! come; here that is said and carried out.

use std::time::Instant;

use routelet_control::model::DrainOrder;
use routelet_core::intent::Leaving;
use routelet_core::lifecycle::limits::GOOD_BYE;
use tracing::info;

use super::Runtime;
use super::backend::LoopRequest;
use super::stop::shutdown;

impl Runtime {
    /// Whether the agent has to stop, and the node has left, or stays after all.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.is_stopping && self.presence.has_left_or_stays(now)
    }

    /// What follows from the plan for the node's presence.
    pub(super) fn presence_is_planned(&mut self, now: Instant) {
        self.node_seen.see(&self.state, &self.intent.node);
        let is_drained = self.intent.router.drain.is_some();
        self.presence.planned(now, is_drained);
    }

    /// Says how far the node has left, where that is new, and closes its sessions at the end.
    pub(super) async fn follow_leaving(&mut self, now: Leaving) {
        if now == self.intent.router.leaving {
            return;
        }
        match now {
            Leaving::No => info!("drain is over"),
            Leaving::Drained => info!("peers are asked to move traffic elsewhere"),
            Leaving::WithoutServices => info!("leaving: Services are withdrawn"),
            Leaving::WithoutPods => info!("leaving: pod CIDRs are withdrawn"),
            Leaving::Gone => {
                info!("leaving: sessions are closed");
                self.sessions.stop(shutdown(), GOOD_BYE).await;
            }
        }
    }

    /// The agent has to stop. Returns whether the node has to leave before, which starts now.
    pub(super) fn leaves_when_stopped(&mut self) -> bool {
        let router = &self.intent.router;
        let is_deleted = self.is_deleted();
        let (wait, reason) = (router.leave_wait, router.drain.as_ref());
        let leaves = self.presence.stop(Instant::now(), wait, reason, is_deleted);
        if leaves {
            let reason =
                reason.map_or_else(|| "the Node object is gone".to_owned(), ToString::to_string);
            info!(%reason, "stopping: this node leaves step by step");
        }
        leaves
    }

    /// Whether there was a Node object of this node, and there is none any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.node_seen.is_deleted(&self.state, &self.intent.node)
    }

    pub(super) async fn order(&mut self, order: LoopRequest) -> anyhow::Result<()> {
        match order {
            LoopRequest::Drain(order, done) => {
                info!(?order, "drain requested by the control socket");
                match order {
                    DrainOrder::Drain => self.presence.drain(),
                    DrainOrder::Leave => {
                        let wait = self.intent.router.leave_wait;
                        self.presence.leave(Instant::now(), wait);
                    }
                    DrainOrder::Undo => self.presence.stay(),
                }
                self.recompute().await?;
                // Nobody waits for it any more.
                let _ = done.send(());
                Ok(())
            }
        }
    }
}
