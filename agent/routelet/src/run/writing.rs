//! Whether this agent writes to the kernel, and why not.
//!
//! Two things have to be so:
//! - No other agent of the network namespace writes: [`super::owner`]. One that installs learned routes waits for that at its start,
//!   and ends if it waits in vain. One that installs none (`fib.enabled: false`) runs beside another agent; what it would have the
//!   kernel refuse is not refused then.
//! - It is known where learned routes belong. A Router that cannot be read, and of which there is no earlier version, may name
//!   another table: until it can be read, what a predecessor left stays, and nothing is written. No Router at all is no such case:
//!   then the defaults count.
//!
//! An agent that does not write leaves everything of our protocol in the kernel alone. One that has stopped to write, and has removed
//! what it wrote, lets others begin.

use std::time::{Duration, Instant};

use routelet_core::cluster::{Problem, Severity, Snapshot};
use routelet_core::intent::{FibIntent, Intent};
use routelet_fib::RouteSpace;
use tracing::{info, warn};

use super::Runtime;
use super::ending;
use super::gates::{self, Gates};
use super::owner::{self, Claim, Holder, KernelOwner};
use super::rib_thread::Command;

/// How long an agent that ends may take, before another one that waits for it gives up. Of a node that leaves, none waits: the next
/// agent of a DaemonSet starts when the last one has ended.
const PATIENCE: Duration = ending::STOPPING;

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(250);

/// An agent that never writes removes what a predecessor wrote, if nobody has claimed it for so long after the start: another agent
/// may be about to start again beside it.
const ABANDONED: Duration = Duration::from_secs(30);

/// How long what a predecessor left stays, once it is known where it belongs: sessions that the Router brings about are up by then,
/// and have announced what they have.
const RETURN: Duration = Duration::from_secs(30);

/// What an intent needs of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing is written.
    Nothing,
    /// Destinations are refused.
    Refusals,
    /// Learned routes are installed.
    Routes,
}

impl Needs {
    pub(super) fn of(intent: &Intent) -> Self {
        let refuses = || intent.originated.values().any(|one| one.refusal.is_some());
        match &intent.router {
            router if router.fib.is_some() => Self::Routes,
            router if router.refusing_table.is_some() && refuses() => Self::Refusals,
            _ => Self::Nothing,
        }
    }
}

/// Another agent writes, and does not end.
#[derive(Debug, thiserror::Error)]
#[error(
    "another agent writes the kernel's routes in this network namespace ({holder}), and has not ended within {} s. \
     Two agents would remove each other's routes, even with different tables. Stop the other one (`ss -xlp src @{}` \
     shows its process), or let this one \
     install nothing: fib: {{enabled: false, refuse: {{enabled: false}}}} in its Router",
    PATIENCE.as_secs(), owner::NAME
)]
pub(super) struct TwoAgents {
    holder: Holder,
}

/// How long what a predecessor left stays although all has been received: peers that the Router brings about have to announce it, or
/// the RIB to hand it over.
#[derive(Debug, Default)]
struct Return {
    /// Since when this agent writes, if it did not before.
    since: Option<Instant>,
}

impl Return {
    /// It writes from now on.
    const fn begins(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Whether what a predecessor left stays for now, whatever has been received.
    const fn is_under_way(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it ends now. `converged`: whether all has been received. Once.
    fn ends(&mut self, now: Instant, converged: bool) -> bool {
        let is_over = |since: &mut Instant| now.duration_since(*since) >= RETURN;
        converged && self.since.take_if(is_over).is_some()
    }
}

/// See the module.
pub(super) struct Writing {
    says: String,
    owner: Option<KernelOwner>,
    /// Since when it is waited for another agent at the start.
    waits_since: Option<Instant>,
    /// The last one that was seen.
    holder: Option<Holder>,
    /// Whether an agent that needs nothing of the kernel has looked for what was left there.
    looked: bool,
    /// Why the place of learned routes is not known.
    unknown: Option<String>,
    /// What a predecessor left stays for a while.
    returning: Return,
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
            waits_since: None,
            holder: None,
            looked: false,
            unknown: None,
            returning: Return::default(),
        }
    }

    /// Whether the kernel is this agent's to write.
    pub(super) const fn is_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Whether nothing may be written.
    pub(super) const fn is_aside(&self) -> bool {
        self.owner.is_none() || self.unknown.is_some()
    }

    /// Whether what a predecessor left is to go when the routes have converged; if not, it goes later.
    pub(super) const fn sweeps_when_converged(&self) -> bool {
        !self.returning.is_under_way()
    }

    /// Tries to become the one that writes. Whether this agent is.
    async fn claim(&mut self) -> anyhow::Result<bool> {
        if self.owner.is_some() {
            return Ok(true);
        }
        match owner::claim(self.says.clone()).await? {
            Claim::Ours(owner) => {
                self.owner = Some(owner);
                self.holder = None;
            }
            Claim::Theirs(holder) => self.holder = Some(holder),
        }
        Ok(self.owner.is_some())
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
        self.unknown = unknown(loaded, intent);
        let must = Needs::of(intent) == Needs::Routes;
        if !must || self.claim().await? {
            if self.waits_since.is_some() {
                info!("no other agent writes kernel routes any more");
                gates.set(
                    gates::KERNEL,
                    true,
                    "no other agent writes the kernel's routes",
                );
            }
            return Ok(true);
        }
        let Some(holder) = self.holder.clone() else {
            return Ok(false);
        };
        let now = Instant::now();
        let since = *self.waits_since.get_or_insert_with(|| {
            let patience = PATIENCE.as_secs();
            let text = format!(
                "another agent writes the kernel's routes in this network namespace ({holder}); waiting at most \
                 {patience} s for it to end"
            );
            warn!("{text}");
            gates.set(gates::KERNEL, false, text);
            now
        });
        match now.duration_since(since) < PATIENCE {
            true => Ok(false),
            false => Err(TwoAgents { holder }.into()),
        }
    }

    /// Why nothing is written that should be.
    fn obstacle(&self, needs: Needs) -> Option<String> {
        if needs == Needs::Nothing {
            return None;
        }
        if self.owner.is_none() {
            let who = self.holder.as_ref().map(|holder| format!(" ({holder})"));
            return Some(format!(
                "another agent writes the kernel's routes in this network namespace{}: this agent writes nothing \
                 until it ends",
                who.unwrap_or_default()
            ));
        }
        self.unknown.clone()
    }
}

/// When [`Writing::can_begin`] is to be asked again.
pub(super) async fn look_again() {
    tokio::time::sleep(LOOK).await;
}

/// Why it is not known where learned routes belong: which Router cannot be read, if no other one is the node's.
fn unknown(loaded: &Snapshot, intent: &Intent) -> Option<String> {
    if intent.router.object.is_some() {
        return None;
    }
    let problem = unread_router(loaded)?;
    Some(format!(
        "nothing is written until the Router can be read, since it may name another table: {problem}"
    ))
}

/// What is wrong with a Router that may be the node's.
pub(super) fn unread_router(loaded: &Snapshot) -> Option<&Problem> {
    let mut unusable = loaded.problems.iter().filter(|problem| {
        let of = problem.object.as_ref().map(|object| &*object.kind);
        problem.severity == Severity::Error
            && problem.meanwhile.is_none()
            && matches!(of, None | Some("Router"))
    });
    unusable.next()
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
        let writing = &mut self.writing;
        let now = Instant::now();
        let before = std::mem::replace(
            &mut writing.unknown,
            unknown(&self.shared.loaded(), &self.intent),
        );
        if before.is_some() && writing.unknown.is_none() {
            writing.returning.begins(now);
            self.fib.converges_again();
        }
        if writing.returning.ends(now, self.shared.has_converged()) {
            self.fib.converged();
        }
        let claims = match needs {
            Needs::Routes | Needs::Refusals => true,
            Needs::Nothing => {
                !writing.looked
                    && self.shared.has_converged()
                    && self.shared.started.elapsed() >= ABANDONED
            }
        };
        if claims {
            writing.looked = true;
            let is_new = !writing.is_owner() && writing.claim().await?;
            if is_new && needs == Needs::Routes {
                // Another agent may have ended just now, and the RIB begins to hand over what is wanted.
                writing.returning.begins(now);
                self.fib.converges_again();
            }
        } else if needs == Needs::Nothing && writing.is_owner() && self.fib.is_gone() {
            // First nothing more is written.
            self.fib.set_aside(true);
            writing.owner = None;
        }
        self.fib.set_aside(writing.is_aside());
        let obstacle = writing.obstacle(needs);
        if let Some(text) = self.shared.set_unwritten(obstacle) {
            warn!("{text}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_predecessor_left_stays_for_a_while_once_its_place_is_known_and_until_convergence() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut returning = Return::default();
        assert!(!returning.is_under_way() && !returning.ends(after(100), true));
        returning.begins(after(100));
        // The routes converge before, or after.
        for (now, converged) in [(100, true), (129, true), (131, false)] {
            assert!(!returning.ends(after(now), converged), "{now}");
            assert!(returning.is_under_way());
        }
        assert!(returning.ends(after(131), true));
        assert!(
            !returning.is_under_way() && !returning.ends(after(200), true),
            "once"
        );
    }
}
