//! Work M: what the agents of a mesh write into the API server when a node goes and comes back, and when all are
//! updated; and work N: a page of metrics of many peers.
//!
//! Agents and time are simulated, by the agent's own rules: a program beside its binary
//! (`agent/routelet/examples/storms`) does that.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Inputs;
use crate::{Measured, Metric, Quantity, TIME};

const UPDATE: Quantity = Quantity::less("rolling update", "MB");
const FLAP: Quantity = Quantity::less("node restarts", "MB");
const LOST: Quantity = Quantity::less("node lost", "MB");
const EACH: Quantity = Quantity::less("each object", "kB");
const WRITES: Quantity = Quantity::less("writes at most", "/s");
const QUIET: Quantity = Quantity::context("quiet hour", "MB");
const PAGE: Quantity = Quantity::less("page", "kB");
const SERIES: Quantity = Quantity::less("series", "");
const SINGLY: Quantity = Quantity::context("page, each by itself", "kB");

/// The RouterStates of a mesh of `nodes`, as the scale has it.
pub(super) fn router_states(
    inputs: &Inputs,
    heading: &'static str,
    nodes: usize,
) -> Result<Option<Vec<Measured>>> {
    let found = simulated("mesh", inputs.scaled(nodes).max(3))?;
    let metrics = vec![
        is(UPDATE, &found, "update", 1e6)?,
        is(FLAP, &found, "flap", 1e6)?,
        is(LOST, &found, "lost", 1e6)?,
        is(EACH, &found, "largest", 1e3)?,
        is(WRITES, &found, "writesPerSecond", 1.0)?,
        is(QUIET, &found, "quietHour", 1e6)?,
    ];
    Ok(Some(vec![Measured { heading, metrics }]))
}

/// A page of metrics of a node with so many peers in its mesh.
pub(super) fn page(
    inputs: &Inputs,
    heading: &'static str,
    peers: usize,
) -> Result<Option<Vec<Measured>>> {
    let found = simulated("page", inputs.scaled(peers).max(3))?;
    let metrics = vec![
        is(PAGE, &found, "bytes", 1e3)?,
        is(TIME, &found, "seconds", 1.0)?,
        is(SERIES, &found, "series", 1.0)?,
        is(SINGLY, &found, "singly", 1e3)?,
    ];
    Ok(Some(vec![Measured { heading, metrics }]))
}

fn simulated(what: &str, count: usize) -> Result<Value> {
    let binary = interop_lab::routelet_binary()?;
    let program = binary.with_file_name("examples").join("storms");
    let output = Command::new(&program)
        .args([what, &count.to_string()])
        .output()
        .with_context(|| {
            format!(
                "{}: build it with cargo build -p routelet --example storms",
                program.display()
            )
        })?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("what the simulation says")
}

fn is(quantity: Quantity, found: &Value, field: &str, unit: f64) -> Result<Metric> {
    let value = found[field].as_f64().with_context(|| found.to_string())?;
    Ok(quantity.is(value / unit))
}
