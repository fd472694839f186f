//! Metrics in the OpenMetrics text format. There are no counters of its own here: a scrape takes the agent's
//! description of itself ([`Snapshot`]) and writes it down, metric by metric, as [`METRICS`] says. The controller has a
//! table and a snapshot of its own.
//!
//! A metric is one row of [`METRICS`]: name, kind, help, labels, and how its samples are taken from a snapshot. The
//! page in `docs/reference/metrics.md` is made of the same rows, and a test compares the two.

mod groups;
mod metric;
mod openmetrics;
mod process;
mod table;

use routelet_base::timing::Timings;
use routelet_control::model::{Peer, Status};

pub use groups::{DEFAULT_PEERS, Group, PeerSeries, Totals};
pub use metric::{Kind, Metric, Samples};
pub(crate) use metric::{counter, gauge, histogram};
pub use openmetrics::{CONTENT_TYPE, render};
pub use process::Process;
pub use table::METRICS;

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
