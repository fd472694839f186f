//! Work K: what a speaker needs when nothing happens, and what a large cluster's manifests cost the agent.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use large_cluster::{Cluster, Layout};

use super::{Inputs, with_logs};
use crate::{CPU, Measured, PEAK, Plan, Quantity, Rig, Usage};
use interop_lab::Lab;
use interop_lab::Namespace;
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

const RESIDENT: Quantity = Quantity::less("resident", "MB");
const READY: Quantity = Quantity::less("until idle", "s");

/// Nothing done for so long is idle.
const STILL: Duration = Duration::from_secs(2);
/// A tick of the meter or two is no work.
const A_TICK: Duration = Duration::from_millis(20);
/// The node of the cluster that the agent is on.
const NODE: &str = "node-0";
/// Services and Nodes of the cluster; there are two EndpointSlices a Service.
const SERVICES: usize = 5_000;
const NODES: usize = 1_000;

/// A speaker with one peer that is not there.
pub(super) fn alone(_inputs: &Inputs, kind: Kind) -> Result<Option<Vec<Measured>>> {
    let plan = Plan {
        family: Family::Ipv4,
        feeds: 1,
        monitors: 0,
        install: false,
    };
    let lab = Lab::new()?;
    let run = || {
        let rig = Rig::start(&lab, kind, plan)?;
        let started = Instant::now();
        let usage = until_idle(&rig.node, started, Duration::from_secs(20))?;
        let usage = usage.map_or_else(|| Usage::of(&rig.node), |(usage, _)| Ok(usage))?;
        Ok(Some(vec![Measured {
            heading: "K",
            metrics: vec![
                RESIDENT.is(usage.resident_kb as f64 / 1024.0),
                PEAK.is(usage.peak_kb as f64 / 1024.0),
            ],
        }]))
    };
    with_logs(&lab, run())
}

/// Only our own kind reads manifests.
pub(super) fn reads_manifests(kind: Kind) -> bool {
    kind == Kind::Routelet
}

/// The agent on the manifests of a cluster of 5,000 Services and 1,000 Nodes.
pub(super) fn cluster(inputs: &Inputs, _kind: Kind) -> Result<Option<Vec<Measured>>> {
    let lab = Lab::new()?;
    let run = || {
        let node = lab.namespace("node")?;
        let folder = lab.dir().join("manifests");
        let [services, nodes] = [SERVICES, NODES].map(|count| inputs.scaled(count));
        Cluster { services, nodes }
            .write(&folder, Layout::Kind)
            .context("the cluster's manifests")?;
        let binary = interop_lab::routelet_binary()?;
        let (binary, folder) = (binary.to_string_lossy(), folder.to_string_lossy());
        let socket = node.dir().join("control.sock");
        let socket = socket.to_string_lossy();
        let mut argv = vec![&*binary, "run", "--manifests", &folder, "--node", NODE];
        argv.extend(["--control", &socket]);
        let started = Instant::now();
        let agent = node.spawn("routelet", &argv)?;
        let idle = until_idle(&node, started, inputs.limit)?;
        agent.check_alive()?;
        let Some((usage, since)) = idle else {
            return Ok(None);
        };
        Ok(Some(vec![Measured {
            heading: "K5000",
            metrics: vec![
                RESIDENT.is(usage.resident_kb as f64 / 1024.0),
                PEAK.is(usage.peak_kb as f64 / 1024.0),
                READY.seconds(since - started),
                CPU.seconds(usage.cpu),
            ],
        }]))
    };
    with_logs(&lab, run())
}

/// What the namespace's processes have used once they do nothing for 2 s, and since when. `None` if that does not come.
pub(super) fn until_idle(
    node: &Namespace,
    started: Instant,
    limit: Duration,
) -> Result<Option<(Usage, Instant)>> {
    const LOOK: Duration = Duration::from_millis(50);
    let mut since = Instant::now();
    let mut still = Duration::ZERO;
    while started.elapsed() < limit {
        std::thread::sleep(LOOK);
        // Before the daemon has begun there is nobody.
        let Ok(usage) = Usage::of(node) else {
            since = Instant::now();
            continue;
        };
        if usage.cpu > still + A_TICK {
            (still, since) = (usage.cpu, Instant::now());
        }
        if since.elapsed() >= STILL {
            return Ok(Some((usage, since)));
        }
    }
    Ok(None)
}
