//! Metrics in the OpenMetrics text format. There are no counters of its own here: a scrape takes the agent's description of
//! itself ([`Snapshot`]) and writes it down, metric by metric, as [`METRICS`] says. The controller has a table and a snapshot
//! of its own.
//!
//! A metric is one row of [`METRICS`]: name, kind, help, labels, and how its samples are taken from a snapshot. The page in
//! `docs/reference/metrics.md` is made of the same rows, and a test compares the two.

mod groups;
mod process;
mod table;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use routelet_base::printable;
use routelet_base::timing::{Recorded, Timings};

use routelet_control::model::{Peer, Status};

pub use groups::{DEFAULT_PEERS, Group, PeerSeries, Totals};
pub use process::Process;
pub use table::METRICS;

/// The content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What one scrape is made of.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The agent as a whole, with its readiness.
    pub status: Status,
    /// The peers with series of their own.
    pub peers: Vec<Peer>,
    /// The others.
    pub groups: Vec<Group>,
    /// How long steps took that others wait for.
    pub timings: Timings,
    /// What the kernel says about this process; `None` if it does not (no `/proc`).
    pub process: Option<Process>,
}

impl Snapshot {
    /// A scrape of all peers, of which some have series of their own.
    pub fn new(
        status: Status,
        peers: Vec<Peer>,
        timings: Timings,
        process: Option<Process>,
        totals: &mut Totals,
        series: PeerSeries,
    ) -> Self {
        let (peers, groups) = totals.split(peers, series);
        Self {
            status,
            peers,
            groups,
            timings,
            process,
        }
    }
}

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
    sample: fn(&S, &mut Samples),
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
pub struct Samples(Vec<(Vec<String>, Sample)>);

/// The value of a sample.
#[derive(Clone, Debug)]
enum Sample {
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

/// The text of a scrape: the metrics of a table, as they are in a snapshot.
pub fn render<S>(metrics: &'static [Metric<S>], snapshot: S) -> String
where
    S: fmt::Debug + Send + Sync + 'static,
{
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { metrics, snapshot }));
    let mut text = String::new();
    // Writing to a `String` cannot fail, and the encoder has no other error.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Scrape<S: 'static> {
    metrics: &'static [Metric<S>],
    snapshot: S,
}

impl<S: fmt::Debug + Send + Sync + 'static> Collector for Scrape<S> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in self.metrics {
            let mut samples = Samples::default();
            (metric.sample)(&self.snapshot, &mut samples);
            if samples.0.is_empty() {
                continue;
            }
            let (name, unit) = split_unit(metric.name);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, metric.help, unit.as_ref(), kind)?;
            for (values, value) in &samples.0 {
                debug_assert_eq!(values.len(), metric.labels.len(), "{}", metric.name);
                let labels: Vec<(&str, &str)> = metric
                    .labels
                    .iter()
                    .copied()
                    .zip(values.iter().map(String::as_str))
                    .collect();
                if labels.is_empty() {
                    encode(metric.kind, value, &mut family)?;
                } else {
                    let mut one = family.encode_family(&labels)?;
                    encode(metric.kind, value, &mut one)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(kind: Kind, value: &Sample, encoder: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
    match (kind, value) {
        (Kind::Counter, Sample::Number(value)) => {
            encoder.encode_counter::<NoLabelSet, f64, f64>(value, None)
        }
        (Kind::Gauge, Sample::Number(value)) => encoder.encode_gauge(value),
        (Kind::Histogram, Sample::Histogram(Recorded { buckets, sum, .. })) => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
        // A row whose values are of another kind: left out, and the test of all rows sees it.
        _ => Ok(()),
    }
}

/// OpenMetrics wants the unit as a field of its own besides its place at the end of the name.
fn split_unit(name: &str) -> (&str, Option<Unit>) {
    for (suffix, unit) in [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)] {
        if let Some(stem) = name.strip_suffix(suffix) {
            return (stem, Some(unit));
        }
    }
    (name, None)
}

/// A table of metrics for `docs/reference/metrics.md`.
pub fn markdown<S>(metrics: &[Metric<S>]) -> String {
    let mut text = String::from("| metric | kind | labels | what |\n|---|---|---|---|\n");
    for metric in metrics {
        let labels: Vec<_> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.sample_name(),
            metric.kind,
            labels.join(", "),
            metric.help.replace('|', "\\|"),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::{BTreeMap, BTreeSet};

    use routelet_control::model::{DownClass, DownCount, PeerKind, Watch};

    use super::*;
    use crate::contract::fake;

    #[test]
    fn labels_hold_no_control_characters() {
        let mut samples = Samples::default();
        samples.add(["eth0\x1b[2J\n\u{202e}"], 1_u64);
        assert_eq!(samples.0[0].0, ["eth0\\u{1b}[2J\n\\u{202e}"]);
    }

    fn snapshot() -> Snapshot {
        let mut status = fake::status();
        status.readiness = Some(Default::default());
        // Of an API server, which the fixture does without.
        status.watches = vec![Watch {
            kind: "Service".to_owned(),
            failing: false,
        }];
        let mut peers = fake::peers();
        let node = peers.iter_mut().find(|p| p.kind == PeerKind::Mesh).unwrap();
        node.downs = vec![DownCount {
            class: DownClass::HoldTimerExpired,
            count: 2,
        }];
        let process = Process {
            cpu_seconds: 1.25,
            resident_bytes: 12_345_678,
            open_fds: 17,
            max_fds: 1024,
            start_time_seconds: 1_700_000_000.5,
            threads: 6,
        };
        let mut totals = Totals::default();
        let series = PeerSeries::default();
        let timings = fake::timings();
        Snapshot::new(status, peers, timings, Some(process), &mut totals, series)
    }

    #[test]
    fn a_scrape_is_what_the_agent_says_of_itself() {
        insta::assert_snapshot!(render(METRICS, snapshot()));
    }

    #[test]
    fn every_row_has_samples_in_the_fixture_and_no_series_stands_twice() {
        let text = render(METRICS, snapshot());
        let mut families = BTreeSet::new();
        let mut series = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                families.insert(rest.split(' ').next().unwrap().to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                assert!(series.insert(name.to_owned(), ()).is_none(), "{name} twice");
            }
        }
        let rows: BTreeSet<_> = METRICS.iter().map(|m| m.name.to_owned()).collect();
        assert_eq!(rows.len(), METRICS.len(), "names are unique");
        assert_eq!(families, rows);
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn names_follow_the_rules() {
        for metric in METRICS {
            let name = metric.name;
            assert!(
                name.starts_with("routelet_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert!(!name.ends_with("_total"), "{name}: the encoder adds it");
            assert!(!metric.help.ends_with('.'), "{name}: the encoder adds it");
        }
    }

    #[test]
    fn a_name_that_needs_escaping_does_not_break_the_scrape() {
        let mut snapshot = snapshot();
        snapshot.peers[0].name = "a\"b\\c\nd".to_owned();
        let text = render(METRICS, snapshot);
        assert!(
            text.contains(r#"routelet_peer_up{peer="a\"b\\c\nd"} 1"#),
            "{text}"
        );
    }

    #[test]
    fn the_tables_in_the_documentation_are_these() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/metrics.md"
        );
        let mut page = std::fs::read_to_string(path).unwrap();
        let tables = [
            ("metrics", markdown(METRICS)),
            ("controller metrics", markdown(crate::controller::METRICS)),
        ];
        let mut is_old = false;
        for (name, wanted) in tables {
            let (begin, end) = (
                format!("<!-- {name}: begin -->\n"),
                format!("<!-- {name}: end -->"),
            );
            let (before, rest) = page.split_once(&begin).unwrap();
            let (table, after) = rest.split_once(&end).unwrap();
            is_old |= table != wanted;
            page = format!("{before}{begin}{wanted}{end}{after}");
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page).unwrap();
            return;
        }
        assert!(
            !is_old,
            "docs/reference/metrics.md is out of date: run UPDATE_DOCS=1 cargo test -p routelet metrics"
        );
    }
}
