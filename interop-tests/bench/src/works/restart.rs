//! Work Q: what an agent has resident that has seen its cluster grow, and what one has that was started in it.

use std::time::{Duration, Instant};

use anyhow::Result;
use large_cluster::Cluster;

use super::cluster::{agent, api_server, fill};
use super::idle::until_idle;
use super::{Inputs, with_logs};
use crate::{Measured, PEAK, Quantity, Usage};
use interop_lab::Lab;
use interop_lab::Signal;
use interop_lab::subject::Kind;

const GROWN: Quantity = Quantity::less("grown", "MB");
const STARTED: Quantity = Quantity::less("started", "MB");

/// Services and Nodes of the cluster; there are two EndpointSlices a Service.
const SERVICES: usize = 2_500;
const NODES: usize = 300;
/// How often the agent is started in the whole cluster: what a start leaves behind differs from one to the next.
const STARTS: usize = 3;
/// An agent gives memory back for a while after it has nothing else to do.
const SETTLED: Duration = Duration::from_secs(10);

/// The agent, before and after it is started again.
pub(super) fn restarted(inputs: &Inputs, _kind: Kind) -> Result<Option<Vec<Measured>>> {
    let lab = Lab::new()?;
    let run = || {
        let (node, outside) = (lab.namespace("node")?, lab.namespace("outside")?);
        let api = api_server((&lab, &node, &outside), true)?;
        let [services, nodes] = [SERVICES, NODES].map(|count| inputs.scaled(count));
        let mut running = agent(&node, &api)?;
        if until_idle(&node, Instant::now(), inputs.limit)?.is_none() {
            return Ok(None);
        }
        fill(inputs, &api, Cluster { services, nodes })?;
        let (mut grown, mut started, mut peak) = (0, Vec::new(), 0);
        for start in 0..=STARTS {
            if start > 0 {
                running.signal(Signal::SIGTERM)?;
                running.wait(inputs.limit)?;
                running = agent(&node, &api)?;
            }
            if until_idle(&node, Instant::now(), inputs.limit)?.is_none() {
                return Ok(None);
            }
            std::thread::sleep(SETTLED.mul_f64(inputs.scale));
            let usage = Usage::of(&node)?;
            match start {
                0 => grown = usage.resident_kb,
                _ => started.push(usage.resident_kb),
            }
            peak = peak.max(usage.peak_kb);
        }
        running.check_alive()?;
        started.sort_unstable();
        let mb = |kb: u64| kb as f64 / 1024.0;
        Ok(Some(vec![Measured {
            heading: "Q",
            metrics: vec![
                STARTED.is(mb(started[STARTS / 2])),
                GROWN.is(mb(grown)),
                PEAK.is(mb(peak)),
            ],
        }]))
    };
    with_logs(&lab, run())
}
