//! Fields of Router, Peer and the other objects are changed under an agent that runs, one after the other: each takes
//! effect, and ends the session or not as docs/reference/configuration.md says (`agent/api/tests/changes/fields.yaml`).
//! That every change reaches who acts on it is `agent/core/src/intent/tests/changes.rs`; here it is seen from outside:
//! at a router, in the kernel, or by `routelet`.

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod world;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use changes::changes;
use interop_tests::{Kind, Lab, Need, eventually, run};
use serde::Deserialize;
use serde_json::Value;
use world::{Seen, World, config};

use support::SOON;

/// What the routers announce: with a community and a MED; plain; and the default route.
const MARKED: &str = "198.51.100.0/24";
const PLAIN: &str = "198.51.101.0/24";
const DEFAULT: &str = "0.0.0.0/0";
/// What the node announces: by an Advertisement, and since it is there by default.
const STATIC: &str = "203.0.113.0/24";
const POD_CIDR: &str = "10.244.1.0/24";

#[test]
fn a_changed_field_takes_effect_in_a_running_agent_as_the_page_says() {
    let needs = [Kind::Routelet, Kind::Bird2].map(Need::Speaker);
    run(&needs, scenario);
}
/// A row of the table of the page.
#[derive(Deserialize)]
struct Row {
    kind: String,
    field: String,
    change: String,
}

fn claims() -> Result<BTreeMap<(String, String), String>> {
    let text = include_str!("../../../agent/api/tests/changes/fields.yaml");
    let rows: Vec<Row> = serde_saphyr::from_str(text)?;
    let rows = rows
        .into_iter()
        .map(|row| ((row.kind, row.field), row.change));
    Ok(rows.collect())
}

fn scenario(lab: &Lab) -> Result<()> {
    let world = World::start(lab)?;
    let claims = claims()?;
    for (kind, field, patch, seen) in changes() {
        let name = format!("{kind} {field}");
        let claim = claims
            .get(&(kind.to_owned(), field.to_owned()))
            .with_context(|| format!("{name} is not in the table"))?;
        eventually(SOON, &format!("all as it was before {name}"), || {
            world.is_at_rest()
        })?;
        let before = world.session()?;
        ensure!(world.sees(&seen).is_err(), "{name}: seen before");
        world.node.write("config", &config(Some((kind, &patch)))?)?;
        if claim == "next" {
            eventually(SOON, &format!("{name} is known"), || known(&world, &patch))?;
            ensure!(world.sees(&seen).is_err(), "{name}: in the old session");
            ensure!(world.session()? == before, "{name}: a session ended");
            world.node.ask_text(&["peer", "reset", "p"])?;
        }
        let resets = claim != "now";
        eventually(SOON, &format!("{name} takes effect ({claim})"), || {
            if resets {
                let now = world.session().ok();
                ensure!(now.as_ref() != Some(&before), "the session runs: {before}");
            }
            match &seen {
                Seen::Reset => Ok(()),
                seen => world.sees(seen),
            }
        })?;
        if !resets {
            ensure!(world.session()? == before, "{name}: a session ended");
        }
        let problems = world.node.ask(&["status"])?["problems"].clone();
        ensure!(
            problems.as_array().is_none_or(Vec::is_empty),
            "{name}: {problems}"
        );
        let during = world.session().ok();
        world.node.write("config", &config(None)?)?;
        if claim == "session" || claim == "sessions" {
            // The way back resets it as well. The next field must not be taken for the reason.
            eventually(SOON, &format!("{name} is as before"), || {
                let now = Some(world.session()?);
                ensure!(now != during, "the session runs: {now:?}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// The agent would propose the hold time of the patch.
fn known(world: &World, patch: &Value) -> Result<()> {
    let proposed = world.peer()?["configuredHoldTimeSeconds"].to_string();
    let wanted = patch["timers"]["hold"].as_str().context("no hold time")?;
    ensure!(format!("{proposed}s") == wanted, "{proposed}");
    Ok(())
}
