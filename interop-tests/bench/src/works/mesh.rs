//! Works T: a full mesh of agents on this machine, a namespace each; what it takes them to fill their kernels, what
//! they cost when nothing happens, and whether other kernels notice that one of them, or all of them, are restarted.

mod fleet;
mod layout;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit};

use super::{Inputs, with_logs};
use crate::route_events::Kernels;
use crate::usage::Memory;
use crate::{Measured, Metric, Quantity, median};
use fleet::Fleet;
use interop_lab::Lab;
use interop_lab::feed::WrongTable;
pub(super) use layout::Shape;

/// From the start of the last agent until the last kernel has the pods of all others.
const FULL: Quantity = Quantity::less("kernels full", "s");
/// From the start of the first agent to that of the last one.
const STARTING: Quantity = Quantity::context("starting", "s");
/// The processor time of an agent from its start until all kernels are full.
const CPU: [Quantity; 2] = [
    Quantity::less("cpu p50", "s"),
    Quantity::less("cpu max", "s"),
];
/// What an agent has resident, pages of the binary that others share among them.
const RESIDENT: [Quantity; 2] = [
    Quantity::less("resident p50", "MB"),
    Quantity::less("resident max", "MB"),
];
/// The same with shared pages divided by those who share them.
const PROPORTIONAL: [Quantity; 2] = [
    Quantity::less("PSS p50", "MB"),
    Quantity::less("PSS max", "MB"),
];
/// The share of one processor of an agent when nothing happens.
const IDLE: [Quantity; 2] = [
    Quantity::less("idle p50", "%"),
    Quantity::less("idle max", "%"),
];
/// From the start of one agent until it has all sessions and routes again.
const RESTART: Quantity = Quantity::less("restart", "s");
/// Changes of routes in all kernels because of it.
const EVENTS: Quantity = Quantity::less("route events", "");
/// From the start of the last of all agents until all have all sessions and routes again.
const HERD: Quantity = Quantity::less("all restart", "s");
const HERD_EVENTS: Quantity = Quantity::less("route events of all", "");

/// The protocol number of Routelet's routes.
const PROTOCOL: u8 = 179;
/// Fewer would be reflectors alone.
const LEAST: usize = 5;
/// In so long every session has a KEEPALIVE each way (a third of the hold time of 90 s).
const IDLE_FOR: Duration = Duration::from_secs(30);
/// Less says nothing.
const LEAST_IDLE: Duration = Duration::from_secs(3);
/// After agents have converged: End-of-RIB of those that restarted comes 5 s later at most, and stale routes go then.
const SETTLE: Duration = Duration::from_secs(6);
/// Descriptors of this process: a socket for each agent, and what it has anyway.
const DESCRIPTORS: u64 = 64;

/// What a mesh has shown.
#[derive(Debug, Default)]
struct Shown {
    starting: Duration,
    full: Duration,
    cpu: Vec<Duration>,
    memory: Vec<Memory>,
    /// Shares of one processor.
    idle: Vec<f64>,
    restart: Duration,
    restart_events: u64,
    herd: Duration,
    herd_events: u64,
}

/// A mesh of `count` agents.
pub(super) fn full(
    inputs: &Inputs,
    heading: &'static str,
    shape: Shape,
    count: usize,
) -> Result<Option<Vec<Measured>>> {
    let count = inputs.scaled(count).max(LEAST);
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        descriptors >= count as u64 + DESCRIPTORS,
        "{count} agents are watched by a socket each, and this process may have {descriptors} open files: raise `ulimit -n`"
    );
    let lab = Lab::new()?;
    let run = || {
        let Some(shown) = Mesh::new(&lab, inputs, shape, count)?.run()? else {
            return Ok(None);
        };
        Ok(Some(vec![Measured {
            heading,
            metrics: metrics(&shown),
        }]))
    };
    with_logs(&lab, run())
}

struct Mesh<'a> {
    inputs: &'a Inputs,
    fleet: Fleet,
    kernels: Kernels,
}

impl<'a> Mesh<'a> {
    fn new(lab: &Lab, inputs: &'a Inputs, shape: Shape, count: usize) -> Result<Self> {
        (inputs.tell)(&format!("    {count} namespaces"));
        let fleet = Fleet::new(lab, shape, count)?;
        let kernels = Kernels::watch(&fleet.namespaces(), PROTOCOL)?;
        Ok(Self {
            inputs,
            fleet,
            kernels,
        })
    }

    /// One thing after the other; `None` once one takes longer than the limit.
    fn run(&mut self) -> Result<Option<Shown>> {
        let mut shown = Shown::default();
        let everybody: Vec<usize> = (0..self.fleet.len()).collect();
        let (first, last) = self.fleet.start(&everybody)?;
        shown.starting = last - first;
        let Some(full) = self.fill()? else {
            return Ok(None);
        };
        shown.full = full.saturating_duration_since(last);
        shown.cpu = self.fleet.cpu()?;
        if self.converge(&everybody)?.is_none() {
            return Ok(None);
        }
        self.check()?;
        shown.idle = self.idle()?;
        shown.memory = self.fleet.memory()?;

        let one = [self.fleet.len() / 2];
        let Some((restart, events)) = self.restart(&one)? else {
            return Ok(None);
        };
        (shown.restart, shown.restart_events) = (restart, events);
        let Some((herd, events)) = self.restart(&everybody)? else {
            return Ok(None);
        };
        (shown.herd, shown.herd_events) = (herd, events);
        Ok(Some(shown))
    }

    fn fill(&mut self) -> Result<Option<Instant>> {
        let Self {
            inputs,
            fleet,
            kernels,
        } = self;
        // Two pod CIDRs of each other node.
        let routes = 2 * (fleet.len() - 1);
        kernels.until_full(routes, inputs.limit, |full| {
            (inputs.tell)(&format!("    {full} of {} kernels are full", fleet.len()));
            fleet.check_alive()
        })
    }

    fn converge(&mut self, which: &[usize]) -> Result<Option<Instant>> {
        let tell = |done| (self.inputs.tell)(&format!("    {done} of {} are back", which.len()));
        let done = self.fleet.until_converged(which, self.inputs.limit, tell)?;
        if done.is_some() {
            self.kernels.listen_for(SETTLE)?;
        }
        Ok(done)
    }

    fn check(&self) -> Result<()> {
        let checked = self.fleet.check_kernels(PROTOCOL, self.inputs.altered);
        Ok(checked.map_err(WrongTable::from)?)
    }

    /// The share of a processor that each agent uses while nothing happens.
    fn idle(&mut self) -> Result<Vec<f64>> {
        let time = IDLE_FOR.mul_f64(self.inputs.scale).max(LEAST_IDLE);
        (self.inputs.tell)(&format!("    idle for {} s", time.as_secs()));
        let (before, since) = (self.fleet.cpu()?, Instant::now());
        self.kernels.listen_for(time)?;
        let (after, elapsed) = (self.fleet.cpu()?, since.elapsed());
        Ok(shares(&before, &after, elapsed))
    }

    /// Ends agents and starts them at once. How long until they are back, and how many changes of routes all kernels
    /// announced.
    fn restart(&mut self, which: &[usize]) -> Result<Option<(Duration, u64)>> {
        (self.inputs.tell)(&format!("    {} restart", which.len()));
        let before: u64 = self.kernels.events().iter().sum();
        self.kernels.first_changes();
        self.fleet.stop(which)?;
        let (_, last) = self.fleet.start(which)?;
        let Some(back) = self.converge(which)? else {
            return Ok(None);
        };
        let after: u64 = self.kernels.events().iter().sum();
        for change in self.kernels.first_changes() {
            (self.inputs.tell)(&format!("    {change}"));
        }
        self.check()?;
        Ok(Some((back - last, after - before)))
    }
}

/// Shares of one processor, from processor times before and after.
fn shares(before: &[Duration], after: &[Duration], elapsed: Duration) -> Vec<f64> {
    let used = before.iter().zip(after).map(|(b, a)| a.saturating_sub(*b));
    used.map(|used| used.as_secs_f64() / elapsed.as_secs_f64())
        .collect()
}

/// The median and the maximum.
fn both([middle, most]: [Quantity; 2], values: &[f64]) -> [Metric; 2] {
    let maximum = values.iter().copied().fold(0.0, f64::max);
    [
        middle.is(median(values).unwrap_or_default()),
        most.is(maximum),
    ]
}

fn metrics(shown: &Shown) -> Vec<Metric> {
    let cpu: Vec<f64> = shown.cpu.iter().map(Duration::as_secs_f64).collect();
    let megabytes = |of: fn(&Memory) -> u64| -> Vec<f64> {
        let all = shown.memory.iter().map(|one| of(one) as f64 / 1024.0);
        all.collect()
    };
    let idle: Vec<f64> = shown.idle.iter().map(|share| share * 100.0).collect();
    let mut metrics = vec![FULL.seconds(shown.full), STARTING.seconds(shown.starting)];
    metrics.extend(both(CPU, &cpu));
    metrics.extend(both(RESIDENT, &megabytes(|one| one.resident_kb)));
    metrics.extend(both(PROPORTIONAL, &megabytes(|one| one.proportional_kb)));
    metrics.extend(both(IDLE, &idle));
    metrics.push(RESTART.seconds(shown.restart));
    metrics.push(EVENTS.is(shown.restart_events as f64));
    metrics.push(HERD.seconds(shown.herd));
    metrics.push(HERD_EVENTS.is(shown.herd_events as f64));
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_agents_the_median_and_the_one_that_costs_most_are_reported() {
        let kb = |resident_kb, proportional_kb| Memory {
            resident_kb,
            proportional_kb,
        };
        let shown = Shown {
            starting: Duration::from_millis(500),
            full: Duration::from_secs(7),
            cpu: [1, 2, 6].map(Duration::from_secs).to_vec(),
            memory: vec![kb(2048, 1024), kb(4096, 2048), kb(3072, 1024)],
            idle: shares(
                &[Duration::from_secs(1); 3],
                &[1030, 1060, 1040].map(Duration::from_millis),
                Duration::from_secs(10),
            ),
            restart: Duration::from_secs(1),
            restart_events: 0,
            herd: Duration::from_secs(9),
            herd_events: 3,
        };
        let rows: Vec<String> = metrics(&shown)
            .iter()
            .map(|one| format!("{}: {:.1}", one.quantity.head(), one.value))
            .collect();
        let expected = [
            "kernels full s: 7.0",
            "starting s: 0.5",
            "cpu p50 s: 2.0",
            "cpu max s: 6.0",
            "resident p50 MB: 3.0",
            "resident max MB: 4.0",
            "PSS p50 MB: 1.0",
            "PSS max MB: 2.0",
            "idle p50 %: 0.4",
            "idle max %: 0.6",
            "restart s: 1.0",
            "route events: 0.0",
            "all restart s: 9.0",
            "route events of all: 3.0",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn an_agent_that_used_nothing_has_a_share_of_nothing() {
        let same = [Duration::from_secs(4)];
        assert_eq!(shares(&same, &same, Duration::from_secs(1)), [0.0]);
    }
}
