//! The works, a row for each.

mod addresses;
mod churn;
mod clock;
mod cluster;
mod fanout;
mod idle;
mod inputs;
mod kernel;
mod latency;
mod mesh;
mod relay;
mod restart;
mod steps;
mod storms;

use anyhow::{Context, Result, ensure};
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

use self::fanout::Fan;
pub use self::inputs::Inputs;
use super::Measured;

/// Does a work once with a speaker; `None` if it is not done within the limit.
pub(super) type RunOnce = fn(&Inputs, Kind) -> Result<Option<Vec<Measured>>>;

/// A work.
#[derive(Debug)]
pub struct Work {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub what: &'static str,
    pub(super) suits: fn(Kind) -> bool,
    pub(super) run: RunOnce,
}

/// All works, in the order in which they are done.
pub const WORKS: &[Work] = &[
    Work {
        name: "A",
        what: "one feed with a full IPv4 table, one monitor",
        suits: everybody,
        run: |inputs, kind| relay::full_table(inputs, kind, Family::Ipv4),
    },
    Work {
        name: "A6",
        what: "one feed with a full IPv6 table, one monitor",
        suits: everybody,
        run: |inputs, kind| relay::full_table(inputs, kind, Family::Ipv6),
    },
    Work {
        name: "A100000",
        what: "one feed of 100,000 prefixes, one monitor: what share of them it has after how long",
        suits: everybody,
        run: relay::per_prefix,
    },
    Work {
        name: "B",
        what: "10 feeds of 100,000 prefixes each, every one hears the others, one monitor; then F: all feeds close",
        suits: everybody,
        run: |inputs, kind| relay::exchange(inputs, kind, &relay::MANY_ROUTES),
    },
    Work {
        name: "C",
        what: "100 feeds of 1,000 prefixes each, every one hears the others, one monitor",
        suits: everybody,
        run: |inputs, kind| relay::exchange(inputs, kind, &relay::MANY_FEEDS),
    },
    Work {
        name: "D",
        what: "10 feeds of the same 100,000 prefixes, the best path differs, one monitor; then F: all feeds close",
        suits: everybody,
        run: relay::contest,
    },
    Work {
        name: "E250",
        what: "one feed of 10,000 prefixes, 250 receivers",
        suits: everybody,
        run: |inputs, kind| fanout::receivers(inputs, kind, &Fan::external("E250", 250)),
    },
    Work {
        name: "E500",
        what: "one feed of 10,000 prefixes, 500 receivers",
        suits: everybody,
        run: |inputs, kind| fanout::receivers(inputs, kind, &Fan::external("E500", 500)),
    },
    Work {
        name: "E1000",
        what: "one feed of 10,000 prefixes, 1,000 receivers",
        suits: everybody,
        run: |inputs, kind| fanout::receivers(inputs, kind, &Fan::external("E1000", 1000)),
    },
    Work {
        name: "G",
        what: "a day of churn (1,393,421 events) on a full IPv4 table, as fast as it goes",
        suits: everybody,
        run: churn::replay,
    },
    Work {
        name: "H",
        what: "while full tables stream in, a prefix of another peer every 20 ms: until the monitor has it; hold time 3 s",
        suits: latency::sends_nothing_to_some,
        run: latency::under_load,
    },
    Work {
        name: "I",
        what: "a full IPv4 table from the wire into the kernel, and out again; before it a raw netlink writer does the same",
        suits: kernel::installs,
        run: kernel::install,
    },
    Work {
        name: "J",
        what: "one of two routers closes with 500,000 routes on the pair: until the kernel forwards none by it",
        suits: kernel::installs,
        run: kernel::lose_a_router,
    },
    Work {
        name: "K",
        what: "nothing to do: one peer that is not there",
        suits: everybody,
        run: idle::alone,
    },
    Work {
        name: "K5000",
        what: "nothing to do on the manifests of 5,000 Services and 1,000 Nodes",
        suits: idle::reads_manifests,
        run: idle::cluster,
    },
    Work {
        name: "L",
        what: "on the API server of 5,000 Services, 10,000 EndpointSlices and 1,000 Nodes: 100 endpoints turn ready, until each is advertised",
        suits: idle::reads_manifests,
        run: cluster::watched,
    },
    Work {
        name: "M100",
        what: "RouterStates of a mesh of 100 nodes (simulated): a node goes and comes back, and all are updated",
        suits: idle::reads_manifests,
        run: |inputs, _| storms::router_states(inputs, "M100", 100),
    },
    Work {
        name: "M300",
        what: "RouterStates of a mesh of 300 nodes, likewise",
        suits: idle::reads_manifests,
        run: |inputs, _| storms::router_states(inputs, "M300", 300),
    },
    Work {
        name: "M1000",
        what: "RouterStates of a mesh of 1,000 nodes, likewise",
        suits: idle::reads_manifests,
        run: |inputs, _| storms::router_states(inputs, "M1000", 1000),
    },
    Work {
        name: "N1000",
        what: "a page of metrics of 1,000 peers",
        suits: idle::reads_manifests,
        run: |inputs, _| storms::page(inputs, "N1000", 1000),
    },
    Work {
        name: "P2500",
        what: "the controller on 2,500 Services: 40 more appear, one after the other; then their pool gets another range",
        suits: idle::reads_manifests,
        run: |inputs, _| addresses::assigned(inputs, "P2500", 2_500),
    },
    Work {
        name: "P10000",
        what: "the controller on 10,000 Services, likewise",
        suits: idle::reads_manifests,
        run: |inputs, _| addresses::assigned(inputs, "P10000", 10_000),
    },
    Work {
        name: "Q",
        what: "the agent on the API server of 2,500 Services, 5,000 EndpointSlices and 300 Nodes: that grew, and started again",
        suits: idle::reads_manifests,
        run: restart::restarted,
    },
    Work {
        name: "R1000",
        what: "a reflector: one client of 100,000 prefixes, 1,000 other clients",
        suits: everybody,
        run: |inputs, kind| fanout::receivers(inputs, kind, &Fan::reflected("R1000", 1000)),
    },
    Work {
        name: "S1",
        what: "longest step: a full table is withdrawn beside a receiver that reads nothing",
        suits: idle::reads_manifests,
        run: steps::blocked,
    },
    Work {
        name: "S2",
        what: "longest step: a feed with a full table is lost beside 1,000 peers that are sent nothing",
        suits: idle::reads_manifests,
        run: steps::idle_peers,
    },
    Work {
        name: "S3",
        what: "longest step: the export policy of 100 receivers of 100,000 prefixes changes",
        suits: idle::reads_manifests,
        run: steps::policies,
    },
    Work {
        name: "S4",
        what: "longest step: a full table comes in through a list of 20,000 prefixes",
        suits: idle::reads_manifests,
        run: steps::listed,
    },
    Work {
        name: "S5",
        what: "longest step: 1,000 withdrawals, one by one, from a table of which maxRoutes lets half into the kernel",
        suits: idle::reads_manifests,
        run: steps::limited,
    },
    Work {
        name: "S6",
        what: "longest step: `routelet fib` with a full table in the kernel",
        suits: idle::reads_manifests,
        run: steps::shown,
    },
    Work {
        name: "S7",
        what: "longest step: another program adds 100 routes of pods beside a full table in the kernel, one by one",
        suits: idle::reads_manifests,
        run: steps::beside,
    },
    Work {
        name: "T20",
        what: "a full mesh of 20 agents on this machine: until all kernels are full, and what each costs; then one restarts, then all",
        suits: idle::reads_manifests,
        run: |inputs, _| mesh::full(inputs, "T20", mesh::Shape::Mesh, 20),
    },
    Work {
        name: "T50",
        what: "a full mesh of 50 agents, likewise",
        suits: idle::reads_manifests,
        run: |inputs, _| mesh::full(inputs, "T50", mesh::Shape::Mesh, 50),
    },
    Work {
        name: "T100",
        what: "a full mesh of 100 agents, likewise",
        suits: idle::reads_manifests,
        run: |inputs, _| mesh::full(inputs, "T100", mesh::Shape::Mesh, 100),
    },
    Work {
        name: "T100R",
        what: "the same 100 agents with three of them as route reflectors",
        suits: idle::reads_manifests,
        run: |inputs, _| mesh::full(inputs, "T100R", mesh::Shape::Reflectors, 100),
    },
];

fn everybody(_: Kind) -> bool {
    true
}

/// The works that a word of the command line names: one, or all that begin with it and go on with a number (`E`).
///
/// # Errors
/// None is.
pub fn named(word: &str) -> Result<Vec<&'static Work>> {
    let word = match word.to_uppercase() {
        // What F measures comes with B and D.
        word if word == "F" => return Ok([named("B")?, named("D")?].concat()),
        word => word,
    };
    let exact = WORKS.iter().filter(|work| work.name == word);
    let found: Vec<&Work> = match exact.clone().count() {
        0 => WORKS
            .iter()
            .filter(|work| work.name.strip_prefix(&*word).is_some_and(is_number))
            .collect(),
        _ => exact.collect(),
    };
    let all: Vec<&str> = WORKS.iter().map(|work| work.name).collect();
    ensure!(
        !found.is_empty(),
        "\"{word}\" is no work; there are {}",
        all.join(", ")
    );
    Ok(found)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Numbers of blocks of different tables never meet.
fn block_of(table: usize, number: usize) -> usize {
    table * 1_000_000 + number
}

/// Adds the log of the subject to the error of a rig.
fn with_logs<T>(lab: &interop_lab::Lab, result: Result<T>) -> Result<T> {
    result.with_context(|| {
        let logs = lab.logs();
        let end: Vec<&str> = logs.lines().rev().take(12).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        format!("the logs end with:\n{}\n", end.join("\n"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(word: &str) -> Vec<&'static str> {
        named(word).unwrap().iter().map(|work| work.name).collect()
    }

    #[test]
    fn a_word_names_one_work_or_all_of_its_sizes() {
        assert_eq!(names("a"), ["A"]);
        assert_eq!(names("E"), ["E250", "E500", "E1000"]);
        assert_eq!(names("F"), ["B", "D"]);
        assert_eq!(names("S").len(), 7);
        assert!(named("Z").is_err() && named("").is_err());
    }

    #[test]
    fn every_work_has_a_name_of_its_own() {
        let distinct: std::collections::HashSet<_> = WORKS.iter().map(|work| work.name).collect();
        assert_eq!(distinct.len(), WORKS.len());
    }
}
