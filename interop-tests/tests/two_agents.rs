//! Two agents in one network namespace: one writes the kernel's routes, the other waits for its end, or writes nothing.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel::Monitor;
use interop_tests::{Namespace, Process, Signal, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::binary;
use support::rack::{NEEDS, Rack, config};

/// Where the second agent says how it is.
const HTTP: &str = "127.0.0.1:7199";
/// How long it may wait for the first, and some more.
const PATIENCE: Duration = Duration::from_secs(90);

/// Another agent of the same node.
struct Second {
    namespace: Namespace,
    first: i32,
    socket: String,
    process: Process,
}

impl Second {
    /// Starts it with the objects of the first and this `spec` of the Router. It dials nobody in the way of the first.
    fn start(rack: &Rack, router: &Value) -> Result<Self> {
        Self::start_with(rack, router, &[])
    }

    fn start_with(rack: &Rack, router: &Value, options: &[&str]) -> Result<Self> {
        let manifests = rack.kernel().dir().join("second");
        std::fs::create_dir_all(&manifests)?;
        std::fs::write(manifests.join("all.yaml"), manifest(router)?)?;
        let socket = rack.kernel().dir().join("second.sock");
        let socket = socket.to_string_lossy().into_owned();
        let (binary, manifests) = (binary()?, manifests.to_string_lossy().into_owned());
        let argv = [
            &*binary,
            "run",
            "--manifests",
            &manifests,
            "--node",
            "node-1",
            "--control",
            &socket,
            "--http",
            HTTP,
        ];
        let argv = [&argv, options].concat();
        let process = rack.kernel().spawn("second", &argv)?;
        Ok(Self {
            namespace: rack.kernel().clone(),
            first: rack.node.pid()?,
            socket,
            process,
        })
    }

    fn ask_text(&self, words: &[&str]) -> Result<String> {
        self.process.check_alive()?;
        let binary = binary()?;
        let argv = [&[&*binary], words, &["--control", &*self.socket]].concat();
        self.namespace.run(&argv)
    }

    fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.ask_text(&["-o", "json", "status"])?,
        )?)
    }

    /// Waits until it says that it waits for the first one.
    fn wait_waiting(&self) -> Result<()> {
        let first = format!("process {}", self.first);
        eventually(SOON, "the second one waits", || {
            let status = self.status()?;
            let gates = status["gates"].to_string();
            ensure!(
                gates.contains("another agent writes the kernel's routes"),
                "{gates}"
            );
            ensure!(gates.contains(&first), "who: {gates}");
            ensure!(status["readiness"]["ready"] == json!(false), "{status}");
            Ok(())
        })
    }
}

/// The objects of the first agent with this `spec` of the Router. Without its Peers if it does not listen: it would be
/// in the way.
fn manifest(router: &Value) -> Result<String> {
    let objects = config(Some(router));
    let objects = objects.as_array().context("a list")?.iter();
    let alone = router["listen"]["enabled"] == json!(false);
    let objects = objects.filter(|object| !alone || object["kind"] != json!("Peer"));
    let documents: Vec<String> = objects.map(ToString::to_string).collect();
    Ok(documents.join("\n---\n"))
}

/// What was written to the kernel in our name.
fn of_ours(changes: &Monitor) -> Result<Vec<String>> {
    let mut lines = changes.lines()?;
    lines.retain(|line| line.contains("proto 179"));
    Ok(lines)
}

#[test]
fn a_second_agent_refuses_to_start_and_touches_nothing() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        let changes = Monitor::start(rack.kernel())?;
        // A table of its own does not help: nexthop objects and the protocol number are shared.
        let second = Second::start(&rack, &json!({"fib": {"table": 100}}))?;
        second.wait_waiting()?;
        let ready = format!("http://{HTTP}/readyz");
        let text = rack.kernel().run(&["curl", "-sS", &ready])?;
        ensure!(
            text.contains("another agent writes the kernel's routes"),
            "{text}"
        );
        let status = second.process.wait(PATIENCE)?;
        ensure!(!status.success(), "{status}");
        let log = second.process.log_text();
        for part in [
            "another agent writes the kernel's routes in this network namespace (routelet",
            "of node node-1, process",
            "has not ended within 50 s",
            "Stop the other one",
            "fib: {enabled: false, refuse: {enabled: false}}",
        ] {
            ensure!(log.contains(part), "{part}: {log}");
        }
        let lines = of_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        rack.wait_ways(&["eth2", "eth3"])
    });
}

#[test]
fn an_agent_waits_for_the_one_before_it_and_adopts_its_routes() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        let changes = Monitor::start(rack.kernel())?;
        let second = Second::start(&rack, &json!({}))?;
        second.wait_waiting()?;
        rack.node.end(Signal::SIGTERM)?;
        eventually(SOON, "the second one is at work", || {
            let status = second.status()?;
            ensure!(
                status["convergence"]["converged"] == json!(true),
                "{status}"
            );
            ensure!(status["fib"]["installedIpv4"] == json!(1), "{status}");
            ensure!(
                status["gates"].to_string().contains("no other agent"),
                "{status}"
            );
            Ok(())
        })?;
        let lines = of_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        second.process.signal(Signal::SIGKILL)?;
        second.process.wait(SOON)?;
        // Whoever is killed keeps nobody waiting.
        rack.node.launch()?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        let lines = of_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        Ok(())
    });
}

/// What the other agent has in the kernel is not its to remove, so there is nothing to wait for.
#[test]
fn an_agent_that_installs_nothing_and_withdraws_ends_at_once_and_leaves_the_routes_of_the_other() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        let changes = Monitor::start(rack.kernel())?;
        let nothing = json!({"enabled": false, "refuse": {"enabled": false}});
        let beside = json!({"fib": nothing, "listen": {"enabled": false}});
        let second = Second::start_with(&rack, &beside, &["--withdraw"])?;
        eventually(SOON, "it runs", || {
            let text = second.ask_text(&["status"])?;
            ensure!(
                text.contains("no learned routes are installed (fib.enabled: false)"),
                "{text}"
            );
            Ok(())
        })?;
        second.process.signal(Signal::SIGTERM)?;
        // Withdrawing has 30 s.
        let status = second.process.wait(Duration::from_secs(20))?;
        ensure!(status.success(), "{status}");
        let lines = of_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        rack.wait_ways(&["eth2", "eth3"])
    });
}

#[test]
fn an_agent_that_installs_nothing_runs_beside_another_and_takes_over_when_it_may() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        let changes = Monitor::start(rack.kernel())?;
        let manifests = rack.kernel().dir().join("second/all.yaml");
        let beside = json!({"fib": {"enabled": false}, "listen": {"enabled": false}});
        let second = Second::start(&rack, &beside)?;
        eventually(
            Duration::from_secs(60),
            "it has looked for what nobody claims",
            || {
                let status = second.status()?;
                ensure!(status["uptimeSeconds"].as_u64() > Some(40), "{status}");
                Ok(())
            },
        )?;
        let text = second.ask_text(&["status"])?;
        ensure!(
            text.contains("no learned routes are installed (fib.enabled: false)"),
            "{text}"
        );
        let fib = second.ask_text(&["-o", "json", "fib"])?;
        ensure!(fib.trim() == "[]", "{fib}");
        let lines = of_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        // It is to install, too: it says why it does not, and begins when it may.
        let with = json!({"fib": {"table": 100}, "listen": {"enabled": false}});
        std::fs::write(manifests, manifest(&with)?)?;
        eventually(SOON, "it says why", || {
            let text = second.ask_text(&["status"])?;
            let why = "no routes can be installed: another agent writes the kernel's routes";
            ensure!(text.contains(why), "{text}");
            Ok(())
        })?;
        let lines = of_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        rack.node.end(Signal::SIGTERM)?;
        eventually(Duration::from_secs(30), "it has begun", || {
            let fib = second.status()?["fib"].clone();
            ensure!(fib["unavailable"].is_null(), "{fib}");
            ensure!(fib["table"] == json!(100), "{fib}");
            Ok(())
        })?;
        // What the first one left stays for a while: what is wanted may only now be handed over.
        let begun = Instant::now();
        eventually(PATIENCE, "what the first one left is removed", || {
            let lines = of_ours(&changes)?;
            let removed = |line: &String| line.contains("Deleted") && line.contains("metric");
            ensure!(lines.iter().any(removed), "{lines:#?}");
            Ok(())
        })?;
        let after = begun.elapsed();
        ensure!(after > Duration::from_secs(20), "after {after:?}");
        Ok(())
    });
}
