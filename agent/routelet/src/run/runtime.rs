//! The state of the loop, and how the intent is brought up to date.

use std::sync::Arc;
use std::time::Instant;

use routelet_core::cluster::ClusterState;
use routelet_core::intent::{Change, Intent, Leaving, Phase, Planner, Presence};
use routelet_core::lifecycle::{EndOfRib, NodeSeen};
use routelet_core::peering::Awaited;
use routelet_fib::{FibHandle, RouteSpace};

use super::facts::local_facts;
use super::fib_sink::FibSink;
use super::peers::Peers;
use super::rib_thread::RibHandle;
use super::saved_state::Remembered;
use super::shared::Shared;
use super::writing::Writing;
use crate::memory;

/// See the module.
pub(super) struct Runtime {
    pub(super) planner: Planner,
    pub(super) state: Arc<ClusterState>,
    pub(super) presence: Presence,
    /// Whether there has been a Node object of this node.
    pub(super) node_seen: NodeSeen,
    /// Whether the agent has to stop, and the node leaves before.
    pub(super) is_stopping: bool,
    /// Whether End-of-RIB is kept back since Services are still to come.
    pub(super) end_of_rib: EndOfRib,
    /// Which peers the RIB waits for although they are not configured.
    pub(super) awaited: Awaited,
    /// Whether pods of this node are connected by what the agent configures.
    pub(super) connects_pods: bool,
    pub(super) intent: Arc<Intent>,
    /// The intent in force; `None` at first.
    pub(super) applied: Option<Arc<Intent>>,
    pub(super) sessions: Peers,
    pub(super) rib: RibHandle,
    pub(super) fib: FibHandle,
    pub(super) sink: FibSink,
    /// Where learned routes are; `None`: nowhere.
    pub(super) space: Option<RouteSpace>,
    pub(super) writing: Writing,
    pub(super) remembered: Remembered,
    pub(super) shared: Arc<Shared>,
}

impl Runtime {
    /// Brings the intent up to date and acts on what is new in it, at the end of a step of leaving as well.
    pub(super) async fn recompute(&mut self) -> anyhow::Result<()> {
        self.presence.advance(Instant::now());
        let phase = self.presence.phase();
        if self.is_stopping && phase.leaving == Leaving::Gone {
            // Without peers nothing is learned, and what has been learned is to stay in the kernel.
            return Ok(());
        }
        self.follow_leaving(phase.leaving).await;
        self.follow_plan(phase).await?;
        // What comes next waits from now on, however long this took.
        self.presence.carried_out(Instant::now());
        Ok(())
    }

    async fn follow_plan(&mut self, phase: Phase) -> anyhow::Result<()> {
        let identity = self.intent.router.identity;
        let facts = local_facts(&self.fib.view(), self.connects_pods, identity);
        let (intent, change) = self.planner.plan(&self.state, &facts, phase);
        self.shared.computed();
        self.intent = intent;
        self.remembered.keep(&self.intent.router);
        self.presence_is_planned(Instant::now());
        match change {
            // Which Routers cannot be read is no part of it.
            Change::Nothing => return self.follow_writing().await,
            Change::Parts(parts) => self.apply_parts(parts).await?,
            Change::Everything => {
                self.listen().await;
                self.apply().await?;
                memory::give_back();
            }
        }
        self.follow_writing().await?;
        self.expect().await
    }
}
