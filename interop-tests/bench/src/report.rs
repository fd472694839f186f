//! The result of a benchmark, for people, for programs, and for a page of documentation.

mod table;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::works::{Inputs, Work};
use super::{Comparison, Machine, Measured, Outcome, Quantity, median, ratio};
use interop_lab::subject::Kind;

/// What all others are compared with first.
const YARDSTICK: Kind = Kind::Bird2;

/// How it is measured, for whoever reads the numbers without the documentation.
const METHOD: &str = "each speaker alone in a network namespace, feeds and monitors served by one loop in another; \
    time from the first octet sent until the receivers' tables are right for good, every prefix and attribute checked; \
    runs round robin over the speakers, medians; cpu and memory (VmHWM) summed over the speaker's processes";

/// The form of JSON. Another number where a reader would misunderstand it.
const SCHEMA: u32 = 1;

/// All runs of all works. Its own form is the one for programs, with medians and ratios beside what was measured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    schema: u32,
    method: String,
    scale: f64,
    /// Whether tables are real ones.
    real: bool,
    limit_seconds: f64,
    machine: Machine,
    works: Vec<Section>,
    problems: Vec<String>,
}

/// What is reported under one heading.
#[derive(Debug, Serialize, Deserialize)]
struct Section {
    name: String,
    what: String,
    speakers: BTreeMap<Kind, Row>,
}

/// The runs of one speaker under one heading.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    quantities: Vec<Values>,
    /// Runs that were not done: why.
    undone: Vec<String>,
    /// The limit that runs exceeded, in seconds.
    exceeded_seconds: Option<f64>,
}

/// What the runs of a row gave of one quantity.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    #[serde(flatten)]
    quantity: Quantity,
    values: Vec<f64>,
    // Made from the others for readers of JSON, each time that it is written.
    #[serde(default)]
    median: Option<f64>,
    #[serde(default)]
    ratio_to_bird2: Option<f64>,
    #[serde(default)]
    ratio_to_best_other: Option<f64>,
}

impl Row {
    fn add(&mut self, measured: &Measured) {
        for metric in &measured.metrics {
            let known = self
                .quantities
                .iter_mut()
                .find(|one| one.quantity == metric.quantity);
            match known {
                Some(known) => known.values.push(metric.value),
                None => self.quantities.push(Values {
                    quantity: metric.quantity.clone(),
                    values: vec![metric.value],
                    median: None,
                    ratio_to_bird2: None,
                    ratio_to_best_other: None,
                }),
            }
        }
    }

    /// The median of a quantity; `None` where any run was not done, for a median of the lucky ones would lie.
    fn median(&self, quantity: &Quantity) -> Option<f64> {
        if !self.undone.is_empty() {
            return None;
        }
        let found = self.quantities.iter().find(|one| one.quantity == *quantity);
        median(&found?.values)
    }

    /// How many runs were done.
    fn runs(&self) -> usize {
        let counts = self.quantities.iter().map(|one| one.values.len());
        counts.max().unwrap_or(0)
    }
}

impl Section {
    /// All quantities that any row has, in the order of the first row that has them.
    fn quantities(&self) -> Vec<Quantity> {
        let mut all = Vec::new();
        for row in self.speakers.values() {
            for one in &row.quantities {
                if !all.contains(&one.quantity) {
                    all.push(one.quantity.clone());
                }
            }
        }
        all
    }

    /// The best median of a quantity among others than `kind`.
    fn best_other(&self, kind: Kind, quantity: &Quantity) -> Option<f64> {
        let others = self.speakers.iter().filter(|(other, _)| **other != kind);
        let medians = others.filter_map(|(_, row)| row.median(quantity));
        match quantity.comparison {
            Comparison::LessIsBetter => medians.min_by(f64::total_cmp),
            Comparison::MoreIsBetter => medians.max_by(f64::total_cmp),
            Comparison::Context => None,
        }
    }

    /// Writes medians and ratios beside the values.
    fn conclude(&mut self) {
        let mut found = Vec::new();
        for (&kind, row) in &self.speakers {
            for (place, one) in row.quantities.iter().enumerate() {
                let ratios = self.ratios(kind, &one.quantity);
                found.push((kind, place, row.median(&one.quantity), ratios));
            }
        }
        for (kind, place, median, [bird2, best]) in found {
            if let Some(row) = self.speakers.get_mut(&kind) {
                let one = &mut row.quantities[place];
                one.median = median;
                (one.ratio_to_bird2, one.ratio_to_best_other) = (bird2, best);
            }
        }
    }

    /// A row's median in units of the yardstick's, and of the best other's.
    fn ratios(&self, kind: Kind, quantity: &Quantity) -> [Option<f64>; 2] {
        let own = self
            .speakers
            .get(&kind)
            .and_then(|row| row.median(quantity));
        let to = |base: Option<f64>| ratio(own?, base?);
        if quantity.comparison == Comparison::Context {
            return [None, None];
        }
        let yardstick = self.speakers.get(&YARDSTICK);
        [
            to(yardstick.and_then(|row| row.median(quantity))),
            to(self.best_other(kind, quantity)),
        ]
    }
}

impl Report {
    /// No runs yet.
    pub fn new(machine: Machine, inputs: &Inputs) -> Self {
        Self {
            schema: SCHEMA,
            method: METHOD.to_owned(),
            scale: inputs.scale,
            real: inputs.real,
            limit_seconds: inputs.limit.as_secs_f64(),
            machine,
            works: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Reads what [`Report::json`] has written.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_json(text: &str) -> Result<Self> {
        let report: Self = serde_json::from_str(text).context("a report of benchmarks")?;
        ensure!(report.schema == SCHEMA, "schema {}", report.schema);
        Ok(report)
    }

    /// This report, to which runs in the place of `fresh` may be added.
    ///
    /// # Errors
    /// Those would be of another machine, or of other tables: such numbers do not belong into one column.
    pub fn continued_by(mut self, fresh: Self) -> Result<Self> {
        ensure!(
            self.machine.is_like(&fresh.machine),
            "the results of before are of another machine"
        );
        ensure!(
            (self.scale, self.real) == (fresh.scale, fresh.real),
            "the results of before are of other tables"
        );
        for (kind, version) in fresh.machine.versions {
            let known = self.machine.versions.entry(kind).or_insert(version.clone());
            ensure!(
                *known == version,
                "the results of before are of {kind} {known}, not {version}"
            );
        }
        self.limit_seconds = fresh.limit_seconds;
        Ok(self)
    }

    /// Without what is known of a work and a speaker: it will be measured again.
    pub fn forget(&mut self, work: &Work, kind: Kind) {
        let parts = [work.name.to_owned(), format!("F after {}", work.name)];
        for section in &mut self.works {
            if parts.contains(&section.name) {
                section.speakers.remove(&kind);
            }
        }
        let about = format!("{} {kind} ", work.name);
        self.problems.retain(|one| !one.starts_with(&about));
        self.works.retain(|section| !section.speakers.is_empty());
    }

    /// One more run.
    pub fn add(&mut self, work: &Work, kind: Kind, outcome: Outcome) {
        let (undone, why) = match outcome {
            Outcome::Done(parts) => {
                for part in &parts {
                    self.row(part.heading, work.what, kind).add(part);
                }
                return;
            }
            Outcome::Slow(limit) => {
                let row = self.row(work.name, work.what, kind);
                row.undone.push("slow".to_owned());
                row.exceeded_seconds = Some(limit.as_secs_f64());
                return;
            }
            Outcome::Wrong(why) => ("wrong", why),
            Outcome::Failed(why) => ("failed", why),
        };
        let row = self.row(work.name, work.what, kind);
        row.undone.push(undone.to_owned());
        self.problems
            .push(format!("{} {kind} {undone}: {why}", work.name));
    }

    fn row(&mut self, heading: &str, what: &str, kind: Kind) -> &mut Row {
        let known = self.works.iter().position(|one| one.name == heading);
        let at = known.unwrap_or(self.works.len());
        if known.is_none() {
            self.works.push(Section {
                name: heading.to_owned(),
                what: what.to_owned(),
                speakers: BTreeMap::new(),
            });
        }
        self.works[at].speakers.entry(kind).or_default()
    }

    /// The runs that gave a wrong table or could not be done, each with its reason. Empty is success.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// For programs.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&mut self) -> Result<String> {
        self.works.iter_mut().for_each(Section::conclude);
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Of all that was done, how often at least.
    fn least_runs(&self) -> usize {
        let rows = self.works.iter().flat_map(|one| one.speakers.values());
        let done = rows.filter(|row| row.undone.is_empty());
        done.map(Row::runs).min().unwrap_or(0)
    }

    /// For people.
    pub fn text(&self) -> String {
        table::text(self)
    }

    /// For a page of documentation.
    pub fn markdown(&self) -> String {
        table::markdown(self)
    }
}

/// A run in a line.
pub(super) fn line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(parts) => {
            let parts = parts.iter().map(|part| {
                let metrics = part
                    .metrics
                    .iter()
                    .map(|metric| format!("{} {}", metric.quantity.name, table::value(metric)));
                format!(
                    "{}: {}",
                    part.heading,
                    metrics.collect::<Vec<_>>().join(", ")
                )
            });
            parts.collect::<Vec<_>>().join("; ")
        }
        Outcome::Slow(limit) => format!("> {} s", limit.as_secs()),
        Outcome::Wrong(why) => format!("WRONG: {why}"),
        Outcome::Failed(why) => format!("failed: {why}"),
    }
}

#[cfg(test)]
mod tests;
