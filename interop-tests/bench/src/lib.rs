//! Benchmarks: the same work for every speaker on the same machine, with the result checked route by route.
//!
//! A [`Work`] is a row in a table: its name, what it is, and the function that does it once with one kind of speaker.
//! Each run has a lab of its own (see [`rig`]), so that nothing of a run before is left. Runs go round robin over the
//! speakers, because a machine drifts; of several runs the median counts. What is measured are [`Metric`]s; a receiver
//! with a wrong table makes the run count as [`Outcome::Wrong`], whatever its time. `src/bin/bench.rs` is the command
//! line.

mod machine;
mod netlink;
mod report;
mod rig;
mod route_events;
mod stats;
mod usage;
mod works;

use std::borrow::Cow;
use std::time::Duration;

use anyhow::Error;
use serde::{Deserialize, Serialize};

use interop_lab::feed::WrongTable;
use interop_lab::subject::Kind;
pub use machine::Machine;
pub use report::Report;
pub use rig::{Plan, Rig, Side};
pub use stats::{median, quantile, ratio};
pub use usage::Usage;
pub use works::{Inputs, WORKS, Work, named};

/// What was measured, with its unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quantity {
    /// Its name, as JSON and tables have it.
    pub name: Cow<'static, str>,
    /// Its unit; empty for none.
    pub unit: Cow<'static, str>,
    /// How values of speakers compare.
    pub comparison: Comparison,
}

/// How values of a quantity compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Comparison {
    /// The less the better: speakers are compared by it.
    LessIsBetter,
    /// The more the better, likewise.
    MoreIsBetter,
    /// Nothing by itself: about the instrument, or for understanding.
    Context,
}

/// A quantity with its value in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Which.
    pub quantity: Quantity,
    /// How much, in the quantity's unit.
    pub value: f64,
}

impl Quantity {
    const fn less(name: &'static str, unit: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            comparison: Comparison::LessIsBetter,
        }
    }

    const fn more(name: &'static str, unit: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            comparison: Comparison::MoreIsBetter,
        }
    }

    const fn context(name: &'static str, unit: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            comparison: Comparison::Context,
        }
    }

    /// With a value.
    pub fn is(self, value: f64) -> Metric {
        Metric {
            quantity: self,
            value,
        }
    }

    fn seconds(self, value: Duration) -> Metric {
        self.is(value.as_secs_f64())
    }

    /// The head of its column.
    pub fn head(&self) -> String {
        format!("{} {}", self.name, self.unit).trim().to_owned()
    }
}

/// From the first octet that a feed sends until the receiver's table is right for good.
const TIME: Quantity = Quantity::less("time", "s");
/// The speaker's processor time in that time.
const CPU: Quantity = Quantity::less("cpu", "s");
/// The speaker's memory at its highest.
const PEAK: Quantity = Quantity::less("memory", "MB");
/// The processor time of the instrument meanwhile.
const OWN_CPU: Quantity = Quantity::context("instrument cpu", "s");

/// What one run gave under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The heading: the work's name, or that of a part that is reported by itself.
    pub heading: &'static str,
    /// What was measured; the first one is what the work is about.
    pub metrics: Vec<Metric>,
}

/// How one run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With these results.
    Done(Vec<Measured>),
    /// Not within the limit.
    Slow(Duration),
    /// A receiver's table was wrong: why.
    Wrong(String),
    /// Otherwise: why.
    Failed(String),
}

/// Does a work once with a kind of speaker.
pub fn run_once(work: &Work, kind: Kind, inputs: &Inputs) -> Outcome {
    match (work.run)(inputs, kind) {
        Ok(Some(measured)) => Outcome::Done(measured),
        Ok(None) => Outcome::Slow(inputs.limit),
        Err(error) if is_wrong(&error) => Outcome::Wrong(format!("{error:#}")),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn is_wrong(error: &Error) -> bool {
    error.chain().any(|cause| cause.is::<WrongTable>())
}

/// Does a work with each speaker `runs` times, round robin, for a report. Who was too slow once is not asked again:
/// what is reported would be the same. The inputs' `tell` receives the progress.
pub fn run_work(work: &Work, speakers: &[Kind], runs: usize, inputs: &Inputs, report: &mut Report) {
    (inputs.tell)(&format!("{}: {}", work.name, work.what));
    let able = || speakers.iter().copied().filter(|&kind| (work.suits)(kind));
    able().for_each(|kind| report.forget(work, kind));
    let mut slow = Vec::new();
    for number in 1..=runs {
        for kind in able() {
            if slow.contains(&kind) {
                continue;
            }
            let outcome = run_once(work, kind, inputs);
            let line = report::line(&outcome);
            (inputs.tell)(&format!("  {kind} {number}/{runs}: {line}"));
            if matches!(outcome, Outcome::Slow(_)) {
                slow.push(kind);
            }
            report.add(work, kind, outcome);
        }
    }
}
