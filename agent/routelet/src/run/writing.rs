//! Whether this agent writes to the kernel: [`lifecycle::Writing`](decide::Writing) decides; here the right to write is
//! claimed, and the FIB is notified.

use std::time::{Duration, Instant};

use routelet_core::cluster::Snapshot;
use routelet_core::intent::{FibIntent, Intent};
use routelet_core::lifecycle::{self as decide, Begin, Claim, Needs, WritingFacts, WritingStep};
use routelet_fib::RouteSpace;
use tracing::{info, warn};

use super::Runtime;
use super::gates::{self, Gates};
use super::rib_thread::Command;
use super::writer_lock::{self, LockHolder, WriterLock};

/// How often it is looked whether another agent has ended.
const LOOK: Duration = Duration::from_millis(250);

/// Another agent writes, and does not end.
#[derive(Debug, thiserror::Error)]
#[error(
    "another agent writes the kernel's routes in this network namespace ({holder}), and has not ended within {} s. \
     Two agents would remove each other's routes, even with different tables. Stop the other one (`ss -xlp src @{}` \
     shows its process), or let this one \
     install nothing: fib: {{enabled: false, refuse: {{enabled: false}}}} in its Router",
    decide::Writing::PATIENCE.as_secs(), writer_lock::NAME
)]
pub(super) struct TwoAgents {
    holder: LockHolder,
}

/// See the module.
pub(super) struct Writing {
    says: String,
    owner: Option<WriterLock>,
    /// The last one that was seen.
    holder: Option<LockHolder>,
    state: decide::Writing,
}

impl Writing {
    /// Nothing is claimed yet. What others are answered who want to know who writes names node and process.
    pub(super) fn new(node: &str, control: &std::path::Path) -> Self {
        let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
        let control = control.display();
        Self {
            says: format!(
                "routelet {version} of node {node}, process {pid}, control socket {control}"
            ),
            owner: None,
            holder: None,
            state: decide::Writing::default(),
        }
    }

    /// Whether the kernel is this agent's to write.
    pub(super) const fn is_owner(&self) -> bool {
        self.state.is_owner()
    }

    /// Whether nothing may be written.
    pub(super) const fn is_aside(&self) -> bool {
        self.state.is_aside()
    }

    /// Whether stale routes are removed when the routes have converged; if not, later.
    pub(super) const fn sweeps_when_converged(&self) -> bool {
        self.state.sweeps_when_converged()
    }

    /// Tries to become the one that writes. Returns whether routes [converge again](WritingStep::ConvergeAgain).
    async fn claim(&mut self, needs: Needs) -> anyhow::Result<bool> {
        let claim = match writer_lock::claim(self.says.clone()).await? {
            writer_lock::Claim::Ours(owner) => {
                self.owner = Some(owner);
                self.holder = None;
                Claim::Ours
            }
            writer_lock::Claim::Theirs(holder) => {
                let says = holder.to_string();
                self.holder = Some(holder);
                Claim::Theirs(says)
            }
        };
        Ok(self.state.claimed(Instant::now(), needs, claim))
    }

    /// Before anything is written: whether the agent can begin. To be asked again after [`LOOK`] if not.
    ///
    /// # Errors
    /// [`TwoAgents`].
    pub(super) async fn can_begin(
        &mut self,
        loaded: &Snapshot,
        intent: &Intent,
        gates: &Gates,
    ) -> anyhow::Result<bool> {
        let needs = Needs::of(intent);
        if self.state.has_to_claim(needs) {
            self.claim(needs).await?;
        }
        let unknown = decide::Writing::unknown(loaded, intent);
        let begin = self.state.begin(Instant::now(), needs, unknown);
        match (begin, &self.holder) {
            (Begin::Now { has_waited }, _) => {
                if has_waited {
                    info!("no other agent writes kernel routes any more");
                    gates.set(
                        gates::KERNEL,
                        true,
                        "no other agent writes the kernel's routes",
                    );
                }
                Ok(true)
            }
            (Begin::Wait { is_first: true }, Some(holder)) => {
                let patience = decide::Writing::PATIENCE.as_secs();
                let text = format!(
                    "another agent writes the kernel's routes in this network namespace ({holder}); waiting at most \
                     {patience} s for it to end"
                );
                warn!("{text}");
                gates.set(gates::KERNEL, false, text);
                Ok(false)
            }
            (Begin::Never, Some(holder)) => Err(TwoAgents {
                holder: holder.clone(),
            }
            .into()),
            (Begin::Wait { .. } | Begin::Never, _) => Ok(false),
        }
    }
}

/// When [`Writing::can_begin`] is to be asked again.
pub(super) async fn look_again() {
    tokio::time::sleep(LOOK).await;
}

/// Where an intent has learned routes.
pub(super) fn space(fib: &FibIntent) -> RouteSpace {
    RouteSpace {
        table: fib.table,
        metric: fib.metric,
    }
}

impl Runtime {
    /// Hands the FIB its part of the intent.
    pub(super) async fn apply_fib(&mut self, wanted: Option<&FibIntent>) -> anyhow::Result<()> {
        let space = wanted.map(space);
        if let Some(wanted) = wanted {
            self.fib.set_guard_rails(wanted.guard.clone());
        }
        if space != self.space {
            match (self.space, space) {
                (Some(before), Some(RouteSpace { table, metric })) => info!(
                    table,
                    metric,
                    table_before = before.table,
                    metric_before = before.metric,
                    "learned routes are moved: they are installed with the new table and metric, then the old ones \
                     are removed"
                ),
                (None, Some(RouteSpace { table, metric })) => {
                    info!(table, metric, "installing learned routes");
                }
                (_, None) => {
                    info!("learned routes are removed from the kernel: fib.enabled is false");
                }
            }
            self.fib.set_space(space);
            self.space = space;
        }
        // A FIB that opens is given everything again.
        if self.sink.set_enabled(space.is_some()) {
            self.rib.send(Command::Fib(space.is_some())).await?;
        }
        Ok(())
    }

    /// Begins or ends to write to the kernel, as the intent needs it. Called whenever that changes, and now and then.
    pub(super) async fn follow_writing(&mut self) -> anyhow::Result<()> {
        let needs = Needs::of(&self.intent);
        let facts = WritingFacts {
            needs,
            unknown: decide::Writing::unknown(&self.shared.loaded(), &self.intent),
            converged: self.shared.has_converged(),
            uptime: self.shared.started.elapsed(),
        };
        let state = &mut self.writing.state;
        for step in state.follow(Instant::now(), facts, || self.fib.is_gone()) {
            match step {
                WritingStep::ConvergeAgain => self.fib.converges_again(),
                WritingStep::Converged => self.fib.converged(),
                WritingStep::Claim => {
                    if self.writing.claim(needs).await? {
                        self.fib.converges_again();
                    }
                }
                WritingStep::Release => {
                    // First nothing more is written.
                    self.fib.set_aside(true);
                    self.writing.owner = None;
                }
            }
        }
        self.fib.set_aside(self.writing.is_aside());
        let obstacle = self.writing.state.obstacle(needs);
        if let Some(text) = self.shared.set_unwritten(obstacle) {
            warn!("{text}");
        }
        Ok(())
    }
}
