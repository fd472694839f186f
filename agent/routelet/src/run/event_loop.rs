//! The event loop of the agent: one turn for each event.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::session::Candidate;
use routelet_base::vital::{self, Heartbeat};
use routelet_core::cluster::{Problem, Snapshot};
use routelet_core::lifecycle::limits::LONGEST;
use tokio::sync::{mpsc, watch};

use super::Runtime;
use super::backend::LoopRequest;
use super::notices::Reports;
use super::signals::Signals;
use super::source::{Source, report};

/// How often it is looked at whether this agent may write, and tried to listen where that failed.
const TICK: Duration = Duration::from_secs(5);

/// Ends when kube-proxy is healthy, or waited for no longer.
pub(super) type KubeProxyReady = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the loop waits for.
pub(super) struct Inputs {
    pub(super) stop: Signals,
    pub(super) kube_proxy: KubeProxyReady,
    pub(super) source: Source,
    /// The kernel's view has changed.
    pub(super) view: watch::Receiver<()>,
    pub(super) rib_events: Reports,
    pub(super) connecting: mpsc::Receiver<Candidate>,
    pub(super) ordered: mpsc::Receiver<LoopRequest>,
    /// What the watchdog sees of the loop.
    pub(super) turns: Arc<Heartbeat>,
    /// What was wrong with what was read last of the cluster.
    pub(super) problems: Arc<Vec<Problem>>,
}

/// Turns until the agent is to end. `withdraw`: nothing is waited for then.
pub(super) async fn turn_until_over(
    runtime: &mut Runtime,
    inputs: &mut Inputs,
    withdraw: bool,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(TICK);
    while !runtime.is_over(Instant::now()) {
        // One at least in each [`TICK`]: it never rests for longer.
        inputs.turns.step();
        let step = runtime.presence.deadline();
        let count = runtime.awaited.deadline();
        let look = runtime.sessions.deadline();
        let end_of_rib = runtime.end_of_rib.deadline();
        tokio::select! {
            () = inputs.stop.received() => {
                // Who asks twice does not want to wait.
                if runtime.is_stopping || withdraw || !runtime.leaves_when_stopped() {
                    break;
                }
                runtime.is_stopping = true;
                // From here on the process ends, whatever is ordered or hangs meanwhile.
                vital::end_within(LONGEST);
                runtime.recompute().await?;
            }
            () = &mut inputs.kube_proxy, if runtime.presence.waits_for_kube_proxy() => {
                runtime.presence.kube_proxy_is_healthy();
                runtime.recompute().await?;
                runtime.hold_end_of_rib().await?;
            }
            // Beyond that, peers do not wait for us any more.
            () = until(end_of_rib) => runtime.hold_end_of_rib().await?,
            () = until(step) => runtime.recompute().await?,
            () = until(count) => runtime.expect().await?,
            () = until(look) => runtime.look_at_peers().await?,
            changed = inputs.source.changed() => {
                let loaded = changed?;
                report(&inputs.problems, &loaded.problems);
                inputs.problems = loaded.problems.clone();
                runtime.loaded(loaded).await?;
            }
            Ok(()) = inputs.view.changed() => runtime.view_changed().await?,
            event = inputs.rib_events.recv() => runtime.rib_event(event),
            () = runtime.sessions.changed() => runtime.sessions.follow_sessions().await?,
            Some(candidate) = inputs.connecting.recv() => runtime.candidate(candidate).await?,
            Some(order) = inputs.ordered.recv() => runtime.order(order).await?,
            _ = tick.tick() => runtime.tick().await?,
        }
    }
    Ok(())
}

impl Runtime {
    /// The state of the cluster is another one.
    async fn loaded(&mut self, loaded: Snapshot) -> anyhow::Result<()> {
        self.state = loaded.state.clone();
        self.shared.set_loaded(loaded);
        self.recompute().await
    }

    /// The kernel's view has changed.
    async fn view_changed(&mut self) -> anyhow::Result<()> {
        self.view().await?;
        self.recompute().await?;
        self.tick().await?;
        // A peer may have waited for this interface.
        self.look_at_peers().await
    }

    async fn candidate(&mut self, candidate: Candidate) -> anyhow::Result<()> {
        self.sessions.candidate(candidate, self.fib.view()).await?;
        Ok(())
    }

    async fn look_at_peers(&mut self) -> anyhow::Result<()> {
        self.sessions.look(self.fib.view()).await?;
        Ok(())
    }
}

/// Waits for a time; without one, for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
