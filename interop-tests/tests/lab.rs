//! The lab itself: what it promises to the tests that run in it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::{self, KernelRoute, Monitor, Ping, WebServer};
use interop_tests::{Kind, Lab, Namespace, Need, Neighbour, Speaker, Subject, eventually, run};

const SOON: Duration = Duration::from_secs(15);

/// Set for the copy of this test that is to be killed.
const VICTIM: &str = "ROUTELET_LAB_VICTIM";

#[test]
fn a_killed_owner_leaves_neither_namespaces_nor_daemons() {
    if std::env::var_os(VICTIM).is_some() {
        run(&[], |lab| {
            let namespace = lab.namespace("victim")?;
            let _sleeper = namespace.spawn("sleeper", &["sleep", "600"])?;
            // One that changed its session, as daemons that go to the background do.
            let _daemon = namespace.spawn("daemon", &["setsid", "-f", "sleep", "601"])?;
            std::fs::write(std::env::var_os(VICTIM).context("path")?, namespace.name())?;
            std::thread::sleep(Duration::from_secs(600));
            Ok(())
        });
        return;
    }
    run(&[], |lab| {
        let note = lab.dir().join("victim");
        let mut victim = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "a_killed_owner_leaves_neither_namespaces_nor_daemons",
            ])
            .env(VICTIM, &note)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let name = eventually(SOON, "the other lab is there", || {
            let name = std::fs::read_to_string(&note)?;
            ensure!(!name.is_empty(), "not yet");
            Ok(name)
        })?;
        let pids = || -> Result<String> {
            let done = Command::new("ip").args(["netns", "pids", &name]).output()?;
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        };
        let before = eventually(SOON, "two daemons run", || {
            let pids = pids()?;
            ensure!(pids.lines().count() == 2, "{pids}");
            Ok(pids)
        })?;
        victim.kill()?;
        victim.wait()?;
        eventually(SOON, "nothing is left", || {
            ensure!(
                !Path::new("/run/netns").join(&name).exists(),
                "{name} is there"
            );
            for pid in before.split_whitespace() {
                ensure!(!is_sleeping(pid), "process {pid} runs");
            }
            let folder = name.trim_end_matches("-victim");
            ensure!(
                !Path::new("/run/routelet-lab").join(folder).exists(),
                "its folder is there"
            );
            Ok(())
        })
    });
}

/// Whether a process with this id runs `sleep`; a zombie that nobody has collected yet does not.
fn is_sleeping(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("sleep"))
}

#[test]
fn two_labs_do_not_see_each_other() {
    run(&[], |one| {
        let other = Lab::new()?;
        for lab in [one, &other] {
            let (left, right) = lab.pair(("a", &["10.0.0.1/24"]), ("b", &["10.0.0.2/24"]))?;
            let _server = WebServer::start(&right, 80)?;
            let answer = eventually(Duration::from_secs(10), "an answer", || {
                probe::get(&left, "10.0.0.2", 80)
            })?;
            ensure!(answer.server == "b");
        }
        let (mine, theirs) = (one.namespace("c")?, other.namespace("c")?);
        ensure!(mine.name() != theirs.name(), "one name for both");
        Ok(())
    });
}

#[test]
fn a_failing_test_prints_the_logs_of_its_daemons() {
    if nix_is_not_root() {
        // `run` skips or fails by itself; there is nothing to show without a lab.
        return;
    }
    let failed = std::panic::catch_unwind(|| {
        run(&[], |lab| {
            let namespace = lab.namespace("a")?;
            let talker = namespace.spawn("talker", &["sh", "-c", "echo last words"])?;
            talker.wait(SOON)?;
            anyhow::bail!("the claim is false")
        });
    });
    let text = failed
        .err()
        .and_then(|panicked| panicked.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    assert!(
        text.contains("the claim is false") && text.contains("last words"),
        "{text}"
    );
}

fn nix_is_not_root() -> bool {
    interop_tests::missing(&[]).is_some()
}

#[test]
fn addresses_of_both_families_work_at_once_across_a_switch_and_a_router() {
    run(&[Need::Program("ping")], |lab| {
        let (client, router, server) = (
            lab.namespace("client")?,
            lab.namespace("router")?,
            lab.namespace("server")?,
        );
        let switch = lab.switch("switch")?;
        switch.plug(lab, &client, "eth0")?;
        switch.plug(lab, &router, "eth0")?;
        lab.link((&router, "eth1"), (&server, "eth0"))?;
        router.forward()?;
        for (namespace, interface, addresses) in [
            (&client, "eth0", ["10.0.0.2/24", "fd00::2/64"]),
            (&router, "eth0", ["10.0.0.1/24", "fd00::1/64"]),
            (&router, "eth1", ["10.0.1.1/24", "fd00:1::1/64"]),
            (&server, "eth0", ["10.0.1.2/24", "fd00:1::2/64"]),
        ] {
            for address in addresses {
                namespace.address(interface, address)?;
            }
        }
        client.ip("route add default via 10.0.0.1")?;
        client.ip("-6 route add default via fd00::1")?;
        server.ip("route add default via 10.0.1.1")?;
        server.ip("-6 route add default via fd00:1::1")?;
        let _web = WebServer::start(&server, 8080)?;
        for (target, source) in [("10.0.1.2", "10.0.0.2"), ("fd00:1::2", "fd00::2")] {
            let answer = eventually(SOON, "an answer", || probe::get(&client, target, 8080))?;
            ensure!(answer.source.to_string() == source, "{answer:?}");
            ensure!(answer.destination.to_string() == target, "{answer:?}");
        }
        loss_is_seen(&switch, &client, &router)
    });
}

/// A probe must be able to fail: with the cable pulled, the ping has a gap.
fn loss_is_seen(
    switch: &interop_tests::Switch,
    client: &Namespace,
    router: &Namespace,
) -> Result<()> {
    let whole = Ping::start(client, "10.0.1.2", None)?.stop()?;
    ensure!(
        whole.longest_gap < Duration::from_millis(500),
        "without a fault: {whole:?}"
    );
    let ping = Ping::start(client, "10.0.1.2", None)?;
    switch.set_port(router, false)?;
    let lost = eventually(SOON, "unreachable", || {
        ensure!(
            probe::get(client, "10.0.1.2", 8080).is_err(),
            "still answers"
        );
        Ok(())
    });
    switch.set_port(router, true)?;
    lost?;
    eventually(SOON, "back", || probe::get(client, "10.0.1.2", 8080))?;
    let broken = ping.stop()?;
    ensure!(broken.answered < broken.sent, "no loss: {broken:?}");
    ensure!(
        broken.longest_gap > Duration::from_millis(500),
        "no gap: {broken:?}"
    );
    Ok(())
}

#[test]
fn changes_of_routes_are_seen_and_silence_is_too() {
    run(&[], |lab| {
        let (left, _right) = lab.pair(("a", &["10.0.0.1/24"]), ("b", &["10.0.0.2/24"]))?;
        left.ip("route add 198.51.100.0/24 via 10.0.0.2")?;
        // The last that the kernel does by itself for the new link.
        eventually(Duration::from_secs(10), "the link-local network", || {
            let routes = left.ip("-6 route show dev eth0 table all")?;
            ensure!(
                routes.contains("fe80::/64") && routes.contains("ff00::/8"),
                "{routes}"
            );
            Ok(())
        })?;
        let monitor = Monitor::start(&left)?;
        ensure!(monitor.lines()?.is_empty(), "{:?}", monitor.lines());
        left.ip("route add 203.0.113.0/24 via 10.0.0.2")?;
        let lines = monitor.lines()?;
        ensure!(
            lines.len() == 1 && lines[0].contains("203.0.113.0/24"),
            "{lines:?}"
        );
        let routes = probe::kernel::routes_to(&left, "203.0.113.0/24")?;
        ensure!(gateways(&routes) == ["10.0.0.2"], "{routes:?}");
        Ok(())
    });
}

#[test]
fn a_router_that_installs_routes_uses_both_paths() {
    let needs = [Need::Speaker(Kind::Bird2), Need::Speaker(Kind::Frr8)];
    run(&needs, |lab| {
        for (number, kind) in [Kind::Bird2, Kind::Frr8].into_iter().enumerate() {
            let node = lab.namespace(&format!("node{number}"))?;
            let mut speaker = Speaker::new(64501, "10.0.0.1").install();
            let mut routers = Vec::new();
            for n in 0..2 {
                let router = lab.namespace(&format!("router{number}-{n}"))?;
                let port = format!("eth{n}");
                lab.link((&node, &port), (&router, "eth0"))?;
                node.address(&port, &format!("10.0.{n}.1/24"))?;
                router.address("eth0", &format!("10.0.{n}.2/24"))?;
                speaker = speaker.neighbour(Neighbour::new(&format!("10.0.{n}.2"), 64502));
                let description = Speaker::new(64502, &format!("10.0.{n}.2"))
                    .neighbour(Neighbour::new(&format!("10.0.{n}.1"), 64501))
                    .originate(interop_tests::Origination::new("198.51.100.0/24"));
                routers.push(Subject::start(lab, Kind::Bird2, &router, description)?);
            }
            let _subject = Subject::start(lab, kind, &node, speaker)?;
            let both = ["10.0.0.2", "10.0.1.2"];
            wait_gateways(&node, &both).with_context(|| format!("with {kind}"))?;
            routers[0].kill()?;
            wait_gateways(&node, &both[1..]).with_context(|| format!("with {kind}, one killed"))?;
        }
        Ok(())
    });
}

fn wait_gateways(node: &Namespace, expected: &[&str]) -> Result<()> {
    eventually(SOON * 2, "the kernel's route", || {
        let routes = probe::kernel::routes_to(node, "198.51.100.0/24")?;
        ensure!(gateways(&routes) == expected, "{routes:?}");
        Ok(())
    })
}

fn gateways(routes: &[KernelRoute]) -> Vec<String> {
    routes
        .iter()
        .flat_map(|route| &route.paths)
        .filter_map(|path| path.gateway)
        .map(|gateway| gateway.to_string())
        .collect()
}
