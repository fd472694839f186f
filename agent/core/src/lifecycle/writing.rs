//! Whether an agent writes to the kernel, and why not.
//!
//! Two things have to be so:
//! - No other agent of the network namespace writes: who does holds a [`Claim`]. An agent that installs learned routes waits for that
//!   at its start, and ends if it waits in vain. One that installs none (`fib.enabled: false`) runs beside another agent; what it
//!   would have the kernel refuse is not refused then.
//! - It is known where learned routes belong. A Router that cannot be read, and of which there is no earlier version, may name
//!   another table: until it can be read, what a predecessor left stays, and nothing is written. No Router at all is no such case:
//!   then the defaults count.
//!
//! An agent that does not write leaves everything of our protocol in the kernel alone. One that has stopped to write, and has removed
//! what it wrote, lets others begin.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::limits;
use super::unread_router::unread_router;
use crate::cluster::Snapshot;
use crate::intent::Intent;

/// How long an agent that ends may take, before another one that waits for it gives up. Of a node that leaves, none waits: the next
/// agent of a DaemonSet starts when the last one has ended.
const PATIENCE: Duration = limits::STOPPING;

/// An agent that never writes removes what a predecessor wrote, if nobody has claimed it for so long after the start: another agent
/// may be about to start again beside it.
const ABANDONED: Duration = Duration::from_secs(30);

/// How long what a predecessor left stays, once it is known where it belongs: sessions that the Router brings about are up by then,
/// and have announced what they have.
const RETURN: Duration = Duration::from_secs(30);

/// What an intent needs of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing is written.
    Nothing,
    /// Destinations are refused.
    Refusals,
    /// Learned routes are installed.
    Routes,
}

impl Needs {
    /// Those of an intent.
    pub fn of(intent: &Intent) -> Self {
        let refuses = || intent.originated.values().any(|one| one.refusal.is_some());
        match &intent.router {
            router if router.fib.is_some() => Self::Routes,
            router if router.refusing_table.is_some() && refuses() => Self::Refusals,
            _ => Self::Nothing,
        }
    }
}

/// What came of a claim to be the one that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This agent is.
    Ours,
    /// Another process is, which says this of itself.
    Theirs(String),
}

/// Whether an agent can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It can.
    Now {
        /// It has waited for another agent before.
        has_waited: bool,
    },
    /// Another agent writes, and may be ending: it is asked again.
    Wait {
        /// From now on.
        is_first: bool,
    },
    /// Another agent writes, and has not ended in time.
    Never,
}

/// What is so at a moment.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What is needed of the kernel.
    pub needs: Needs,
    /// Why the place of learned routes is not known: [`Writing::unknown`].
    pub unknown: Option<String>,
    /// Whether all routes have been received once.
    pub converged: bool,
    /// For how long the agent has been running.
    pub uptime: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// What a predecessor left stays until the FIB is told again that the routes have converged.
    ConvergeAgain,
    /// They have: what a predecessor left goes.
    Converged,
    /// The right to write is claimed; what comes of it is given to [`Writing::claimed`].
    Claim,
    /// Nothing is written any more, and then the right to write is given up.
    Release,
}

/// How long what a predecessor left stays although all has been received: peers that the Router brings about have to announce it, or
/// the RIB to hand it over.
#[derive(Clone, Copy, Debug, Default)]
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
#[derive(Clone, Debug, Default)]
pub struct Writing {
    is_owner: bool,
    /// Whether the agent has begun.
    has_begun: bool,
    /// Since when it is waited for another agent at the start.
    waits_since: Option<Instant>,
    /// The last one that was seen.
    holder: Option<String>,
    /// Whether an agent that needs nothing of the kernel has looked for what was left there.
    looked: bool,
    /// Why the place of learned routes is not known.
    unknown: Option<String>,
    /// What a predecessor left stays for a while.
    returning: Return,
}

impl Writing {
    /// How long another agent is waited for at the start.
    pub const PATIENCE: Duration = PATIENCE;

    /// Why it is not known where learned routes belong: which Router cannot be read, if no other one is the node's.
    pub fn unknown(loaded: &Snapshot, intent: &Intent) -> Option<String> {
        if intent.router.object.is_some() {
            return None;
        }
        let problem = unread_router(loaded)?;
        Some(format!(
            "nothing is written until the Router can be read, since it may name another table: {problem}"
        ))
    }

    /// Whether the kernel is this agent's to write.
    pub const fn is_owner(&self) -> bool {
        self.is_owner
    }

    /// Whether nothing may be written.
    pub const fn is_aside(&self) -> bool {
        !self.is_owner || self.unknown.is_some()
    }

    /// Whether what a predecessor left is to go when the routes have converged; if not, it goes later.
    pub const fn sweeps_when_converged(&self) -> bool {
        !self.returning.is_under_way()
    }

    /// Whether an agent that starts has to claim the right to write before it can begin.
    pub fn has_to_claim(&self, needs: Needs) -> bool {
        needs == Needs::Routes && !self.is_owner
    }

    /// Before anything is written: whether the agent can begin, once it has claimed what it [has to](Self::has_to_claim).
    /// `unknown`: why the place of learned routes is not known.
    pub fn begin(&mut self, now: Instant, needs: Needs, unknown: Option<String>) -> Begin {
        self.unknown = unknown;
        if !self.has_to_claim(needs) {
            self.has_begun = true;
            let has_waited = self.waits_since.take().is_some();
            return Begin::Now { has_waited };
        }
        let is_first = self.waits_since.is_none();
        let since = *self.waits_since.get_or_insert(now);
        match now.duration_since(since) < PATIENCE {
            true => Begin::Wait { is_first },
            false => Begin::Never,
        }
    }

    /// Takes in what came of a claim. Returns whether routes [converge again](Step::ConvergeAgain): another agent may have ended
    /// just now, and the RIB begins to hand over what is wanted.
    pub fn claimed(&mut self, now: Instant, needs: Needs, claim: Claim) -> bool {
        match claim {
            Claim::Ours => {
                self.is_owner = true;
                self.holder = None;
                let again = self.has_begun && needs == Needs::Routes;
                if again {
                    self.returning.begins(now);
                }
                again
            }
            Claim::Theirs(holder) => {
                self.holder = Some(holder);
                false
            }
        }
    }

    /// Begins or ends to write, as it is needed now: what is to be done, in this order. To be asked whenever something of the
    /// facts changes, and now and then. `is_gone`: whether nothing of ours is left in the kernel; asked only if it matters.
    pub fn follow(
        &mut self,
        now: Instant,
        facts: Facts,
        is_gone: impl FnOnce() -> bool,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let before = std::mem::replace(&mut self.unknown, facts.unknown);
        if before.is_some() && self.unknown.is_none() {
            self.returning.begins(now);
            steps.push(Step::ConvergeAgain);
        }
        if self.returning.ends(now, facts.converged) {
            steps.push(Step::Converged);
        }
        let claims = match facts.needs {
            Needs::Routes | Needs::Refusals => true,
            Needs::Nothing => !self.looked && facts.converged && facts.uptime >= ABANDONED,
        };
        if claims {
            self.looked = true;
            if !self.is_owner {
                steps.push(Step::Claim);
            }
        } else if facts.needs == Needs::Nothing && self.is_owner && is_gone() {
            self.is_owner = false;
            steps.push(Step::Release);
        }
        steps
    }

    /// Why nothing is written that should be.
    pub fn obstacle(&self, needs: Needs) -> Option<String> {
        if needs == Needs::Nothing {
            return None;
        }
        if !self.is_owner {
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
