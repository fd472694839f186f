//! A row of a table of metrics, and the samples that it takes.

use std::fmt;

use routelet_base::printable;
use routelet_base::timing::Recorded;

use super::Snapshot;

/// A metric: one row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Metric<S = Snapshot> {
    /// Its name, with its unit, without the `_total` that counters get.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// What it counts or measures, in a sentence without a full stop.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Takes its samples from a snapshot.
    pub(super) sample: fn(&S, &mut Samples),
}

impl<S> Metric<S> {
    /// The name of its samples: what queries use.
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

/// What a metric's values do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, until the agent restarts.
    Counter,
    /// They go up and down.
    Gauge,
    /// Counts of how many were at most so large, which only grow.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// The samples of one metric: label values, in the order of the label names, and the value.
#[derive(Debug, Default)]
pub struct Samples(pub(super) Vec<(Vec<String>, Sample)>);

/// The value of a sample.
#[derive(Clone, Debug)]
pub(super) enum Sample {
    Number(f64),
    Histogram(Recorded),
}

impl Samples {
    /// Adds one. Labels are names of peers, interfaces and the like: control characters in them are escaped, line
    /// breaks by the encoder.
    pub(crate) fn add<const N: usize>(&mut self, labels: [&str; N], value: impl Value) {
        self.push(labels, Sample::Number(value.to_sample()));
    }

    /// Adds one of a histogram.
    pub(crate) fn add_histogram<const N: usize>(&mut self, labels: [&str; N], value: &Recorded) {
        self.push(labels, Sample::Histogram(value.clone()));
    }

    fn push<const N: usize>(&mut self, labels: [&str; N], value: Sample) {
        let labels = labels
            .iter()
            .map(|&label| printable::lines(label).into_owned())
            .collect();
        self.0.push((labels, value));
    }
}

/// Numbers that samples are made of. Counters stay exact up to 2^53.
pub(crate) trait Value {
    fn to_sample(self) -> f64;
}

impl Value for u64 {
    fn to_sample(self) -> f64 {
        self as f64
    }
}

impl Value for i64 {
    fn to_sample(self) -> f64 {
        self as f64
    }
}

impl Value for u32 {
    fn to_sample(self) -> f64 {
        f64::from(self)
    }
}

impl Value for f64 {
    fn to_sample(self) -> f64 {
        self
    }
}

impl Value for bool {
    fn to_sample(self) -> f64 {
        f64::from(u8::from(self))
    }
}

/// A gauge's row.
pub(crate) const fn gauge<S>(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    sample: fn(&S, &mut Samples),
) -> Metric<S> {
    Metric {
        name,
        kind: Kind::Gauge,
        help,
        labels,
        sample,
    }
}

/// A counter's row.
pub(crate) const fn counter<S>(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    sample: fn(&S, &mut Samples),
) -> Metric<S> {
    Metric {
        name,
        kind: Kind::Counter,
        help,
        labels,
        sample,
    }
}

/// A histogram's row.
pub(crate) const fn histogram<S>(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    sample: fn(&S, &mut Samples),
) -> Metric<S> {
    Metric {
        name,
        kind: Kind::Histogram,
        help,
        labels,
        sample,
    }
}
