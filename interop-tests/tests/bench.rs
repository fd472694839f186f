//! The measuring instrument, on a little of each work: that it comes to an end with results, and that a wrong table is
//! not one. What `make bench` does, in seconds instead of hours; the times mean nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::bench::{Inputs, Measured, Outcome, named, run_once};
use interop_tests::{Kind, Need, run};

/// Of a full table a thousand prefixes.
const LITTLE: f64 = 0.001;
const LIMIT: Duration = Duration::from_secs(40);

/// Made-up tables, so that the test is the same everywhere.
fn inputs() -> Result<Inputs> {
    Inputs::load(Path::new("/nowhere"), LITTLE, LIMIT)
}

fn once(name: &str, kind: Kind, inputs: &Inputs) -> Result<Outcome> {
    let work = named(name)?.first().copied().context("a work")?;
    Ok(run_once(work, kind, inputs))
}

/// Does works, and checks that each gives a first quantity for each heading.
fn completes(kind: Kind, works: &[(&str, &[&str])]) {
    run(&[Need::Speaker(kind)], |_lab| {
        let inputs = inputs()?;
        for &(name, headings) in works {
            let outcome = once(name, kind, &inputs)?;
            let Outcome::Done(parts) = &outcome else {
                anyhow::bail!("{name} with {kind}: {outcome:?}");
            };
            let found: Vec<&str> = parts.iter().map(|part| part.heading).collect();
            ensure!(found == headings, "{name} with {kind}: {found:?}");
            let first = |part: &Measured| part.metrics.first().map(|metric| metric.value);
            let positive = parts.iter().all(|part| first(part) > Some(0.0));
            ensure!(positive, "{name} with {kind}: {parts:?}");
        }
        Ok(())
    });
}

const RELAYED: &[(&str, &[&str])] = &[
    ("A", &["A"]),
    ("A6", &["A6"]),
    ("A100000", &["A100000"]),
    ("B", &["B", "F after B"]),
    ("C", &["C"]),
    ("D", &["D", "F after D"]),
    ("E1000", &["E1000"]),
    ("G", &["G"]),
    ("R1000", &["R1000"]),
];

const INSTALLED_AND_IDLE: &[(&str, &[&str])] = &[("I", &["I"]), ("J", &["J"]), ("K", &["K"])];

#[test]
fn tables_and_churn_are_relayed_and_measured() {
    completes(Kind::Routelet, RELAYED);
}

#[test]
fn tables_and_churn_are_relayed_and_measured_on_bird() {
    completes(Kind::Bird2, RELAYED);
}

#[test]
fn kernel_routes_and_idle_memory_are_measured() {
    completes(Kind::Routelet, INSTALLED_AND_IDLE);
    completes(Kind::Routelet, &[("K5000", &["K5000"])]);
}

#[test]
fn kernel_routes_and_idle_memory_are_measured_on_bird() {
    completes(Kind::Bird2, INSTALLED_AND_IDLE);
}

#[test]
fn a_mesh_of_agents_is_measured_and_a_wrong_kernel_fails_the_run() {
    completes(Kind::Routelet, &[("T100", &["T100"])]);
    run(&[Need::Speaker(Kind::Routelet)], |_lab| {
        let mut inputs = inputs()?;
        inputs.altered = true;
        let outcome = once("T100R", Kind::Routelet, &inputs)?;
        let is_found = match &outcome {
            Outcome::Wrong(error) => error.contains("the kernel of node-1"),
            _ => false,
        };
        ensure!(is_found, "{outcome:?}");
        Ok(())
    });
}

#[test]
fn router_states_and_pages_of_simulated_agents_are_measured() {
    let simulation = interop_tests::routelet_binary().map(|b| b.with_file_name("examples/storms"));
    if !simulation.is_ok_and(|program| program.exists()) {
        println!("skip: cargo build -p routelet --example storms has not been run");
        return;
    }
    completes(
        Kind::Routelet,
        &[("M1000", &["M1000"]), ("N1000", &["N1000"])],
    );
}

#[test]
fn controllers_and_agents_of_large_clusters_are_measured() {
    completes(Kind::Routelet, &[("P10000", &["P10000"]), ("Q", &["Q"])]);
}

/// Every receiver expects another attribute than the speaker rightly sends, and the kernel's table one route less.
#[test]
fn a_wrong_table_at_a_receiver_or_in_the_kernel_fails_the_run() {
    run(&[Need::Speaker(Kind::Bird2)], |_lab| {
        let mut inputs = inputs()?;
        inputs.altered = true;
        for (name, why) in [
            ("A", "should carry"),
            ("I", "the kernel holds"),
            ("R1000", "should carry"),
        ] {
            let outcome = once(name, Kind::Bird2, &inputs)?;
            let is_found = match &outcome {
                Outcome::Wrong(error) => error.contains(why),
                _ => false,
            };
            ensure!(is_found, "{name}: {outcome:?}");
        }
        Ok(())
    });
}
