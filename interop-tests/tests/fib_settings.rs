//! `fib` of a Router changed while the agent runs: routes are where the configuration has them, and nowhere else.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::probe::ping::Ping;
use interop_tests::{Family, Signal, eventually, run};
use serde_json::{Value, json};
use std::time::Duration;
use support::SOON;
use support::node::object;
use support::rack::{HOSTS, METRIC, NEEDS, NETWORKS, PROTOCOL, Rack, config};
use support::service::Service;

/// A Service without an endpoint on the node, in an aggregate that the node announces: both are refused.
const SERVICE: &str = "203.0.113.10";
/// The table of learned routes, where it is not the main one.
const TABLE: u32 = 100;

/// Table and metric of each route of the agent's to [`NETWORKS`].
fn places(rack: &Rack) -> Result<Vec<(String, String, u32)>> {
    let mut all = Vec::new();
    for prefix in NETWORKS {
        let family = Family::of(prefix.parse()?);
        for table in ["main".to_owned(), TABLE.to_string()] {
            // A table that never had a route is unknown to `ip`.
            let found = kernel::routes_of_table(rack.kernel(), family, &table).unwrap_or_default();
            let ours = found
                .into_iter()
                .filter(|route| route.prefix.to_string() == prefix && route.protocol == PROTOCOL);
            all.extend(ours.map(|route| (prefix.to_owned(), table.clone(), route.metric)));
        }
    }
    Ok(all)
}

/// Waits until routes to [`NETWORKS`] are in this place alone; `None`: until there is none.
fn wait_place(rack: &Rack, place: Option<(&str, u32)>) -> Result<()> {
    let at =
        |prefix: &str| place.map(|(table, metric)| (prefix.to_owned(), table.to_owned(), metric));
    let wanted: Vec<_> = NETWORKS.into_iter().filter_map(at).collect();
    eventually(
        Duration::from_secs(60),
        &format!("routes in {place:?}"),
        || {
            let found = places(rack)?;
            ensure!(found == wanted, "{found:?}");
            Ok(())
        },
    )
}

fn nexthops(rack: &Rack) -> Result<usize> {
    let all = kernel::nexthops(rack.kernel())?;
    let ours = |n: &&kernel::KernelNexthop| n.protocol.as_deref() == Some(PROTOCOL);
    Ok(all.iter().filter(ours).count())
}

fn refusing_rules(rack: &Rack) -> Result<Vec<String>> {
    let text = rack.kernel().ip("rule show")?;
    let ours = text.lines().filter(|line| line.contains("proto 179"));
    Ok(ours.map(str::to_owned).collect())
}

fn fib(settings: &Value) -> Value {
    json!({"fib": settings})
}

/// How long each session has been up, in seconds; all have to be.
fn sessions(rack: &Rack) -> Result<Vec<u64>> {
    let peers = rack.node.ask(&["peers"])?;
    let peers = peers.as_array().cloned().unwrap_or_default();
    let up = peers
        .iter()
        .filter(|peer| peer["state"] == json!("Established"));
    let times: Vec<u64> = up
        .filter_map(|peer| peer["stateSeconds"].as_u64())
        .collect();
    ensure!(times.len() == 2, "{peers:#?}");
    Ok(times)
}

#[test]
fn routes_go_when_the_fib_is_disabled_and_come_back_when_it_is_enabled_again() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        let service = Service::new("web", &[SERVICE]).endpoint("node-1", &["10.244.1.5"]);
        rack.node.write("services", &json!(service.objects()))?;
        let refused = |rack: &Rack| -> Result<()> {
            eventually(SOON, "the Service is refused", || {
                let table = kernel::routes_of_table(rack.kernel(), Family::Ipv4, "17900")?;
                ensure!(
                    table.len() == 1 && table[0].protocol == PROTOCOL,
                    "{table:?}"
                );
                let rules = refusing_rules(rack)?;
                ensure!(rules.len() == 1, "{rules:?}");
                Ok(())
            })
        };
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        refused(&rack)?;
        for round in 0..2 {
            rack.node
                .write("config", &config(Some(&fib(&json!({"enabled": false})))))?;
            wait_place(&rack, None)?;
            eventually(SOON, "nexthop objects are gone", || {
                let left = nexthops(&rack)?;
                ensure!(left == 0, "{left}");
                Ok(())
            })?;
            refused(&rack)?;
            let status = rack.node.ask_text(&["status"])?;
            ensure!(
                status.contains(
                    "no learned routes are installed (fib.enabled: false); 1 destination for refused"
                ),
                "{status}"
            );
            let explained = rack.node.ask_text(&["explain", NETWORKS[0]])?;
            ensure!(explained.contains("fib.enabled: false"), "{explained}");
            // Whatever routers say meanwhile, nothing is written.
            let changes = Monitor::start(rack.kernel())?;
            rack.node.ask_text(&["peer", "reset", "router-2"])?;
            eventually(SOON, "the session is back", || sessions(&rack).map(drop))?;
            rack.node
                .ask_text(&["peer", "reset", "--soft", "router-3"])?;
            ensure!(places(&rack)?.is_empty());
            let lines = changes.lines()?;
            ensure!(
                !lines.iter().any(|line| line.contains("proto 179")),
                "{lines:#?}"
            );
            if round == 1 {
                // An agent that starts so finds the routes of one that did not.
                rack.node.write("config", &config(Some(&json!({}))))?;
                rack.wait_ways(&["eth2", "eth3"])?;
                rack.node.end(Signal::SIGKILL)?;
                rack.node
                    .write("config", &config(Some(&fib(&json!({"enabled": false})))))?;
                ensure!(places(&rack)?.len() == 2);
                rack.node.launch()?;
                wait_place(&rack, None)?;
                refused(&rack)?;
            }
            rack.node.write("config", &config(Some(&json!({}))))?;
            rack.wait_ways(&["eth2", "eth3"])?;
            wait_place(&rack, Some(("main", METRIC)))?;
            refused(&rack)?;
        }
        Ok(())
    });
}

#[test]
fn routes_are_moved_to_another_table_or_metric_without_a_lost_packet() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        for family in ["-4", "-6"] {
            rack.kernel()
                .ip(&format!("{family} rule add lookup {TABLE}"))?;
        }
        let up = sessions(&rack)?;
        let pings = HOSTS.map(|host| Ping::start(rack.kernel(), host, None));
        let changes = Monitor::start(rack.kernel())?;
        for (settings, table, metric) in [
            (json!({"table": TABLE}), "100", METRIC),
            (json!({"table": TABLE, "metric": 20}), "100", 20),
            (json!({"metric": 3000}), "main", 3000),
            (json!({"metric": 7}), "main", 7),
            (json!({}), "main", METRIC),
        ] {
            let before = changes.lines()?.len();
            rack.node.write("config", &config(Some(&fib(&settings))))?;
            wait_place(&rack, Some((table, metric)))?;
            let lines = changes.lines()?.split_off(before);
            for prefix in NETWORKS {
                let about = lines.iter().filter(|line| line.contains(prefix));
                let about: Vec<_> = about.map(|line| line.starts_with("Deleted")).collect();
                ensure!(about == [false, true], "added, then removed: {lines:#?}");
            }
            let is_nexthop = |line: &String| line.trim_start_matches("Deleted ").starts_with("id ");
            ensure!(!lines.iter().any(is_nexthop), "{lines:#?}");
        }
        for (now, before) in sessions(&rack)?.iter().zip(up) {
            ensure!(*now >= before, "a session was lost");
        }
        for ping in pings {
            let loss = ping?.stop()?;
            ensure!(loss.answered == loss.sent, "packets were lost: {loss:?}");
        }
        let repairs = &rack.node.ask(&["status"])?["fib"]["repairs"];
        ensure!(
            *repairs == json!(0),
            "nobody else changed anything: {repairs}"
        );
        Ok(())
    });
}

#[test]
fn unrelated_fib_settings_change_no_route() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        let changes = Monitor::start(rack.kernel())?;
        for settings in [
            json!({"maxRoutes": 50, "acceptDefaultRoute": true}),
            json!({"maxRoutes": 0, "refuse": {"enabled": false}}),
            json!({"refuse": {"table": 17901}}),
            json!({"resolveViaDefaultRoute": false}),
            json!({"table": 254, "metric": METRIC}),
        ] {
            let ran = rack.node.ask(&["status"])?["intentChangedSeconds"].clone();
            let runs = rack.node.ask(&["status"])?["intentRuns"].as_u64();
            rack.node.write("config", &config(Some(&fib(&settings))))?;
            eventually(SOON, "the change is seen", || {
                let now = rack.node.ask(&["status"])?["intentRuns"].as_u64();
                ensure!(now > runs, "{now:?} {ran}");
                Ok(())
            })?;
        }
        // The last of all is seen in the kernel: when it has had its effect, so have those before.
        let before = changes.lines()?;
        ensure!(
            !before.iter().any(|line| line.contains("proto 179")),
            "{before:#?}"
        );
        rack.node
            .write("config", &config(Some(&fib(&json!({"metric": 9})))))?;
        wait_place(&rack, Some(("main", 9)))?;
        let lines = changes.lines()?;
        let routes = lines.iter().filter(|line| line.contains("metric"));
        ensure!(routes.count() == 4, "{lines:#?}");
        Ok(())
    });
}

#[test]
fn a_router_added_late_takes_effect_and_an_unreadable_one_is_waited_for() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.node.end(Signal::SIGKILL)?;
        // Without a Router the defaults are the configuration.
        rack.node.write("config", &config(None))?;
        rack.node.launch()?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        wait_place(&rack, Some(("main", METRIC)))?;
        let router = |settings: &Value| object("Router", "late", &fib(settings));
        rack.node
            .write("router", &router(&json!({"table": TABLE, "metric": 20})))?;
        wait_place(&rack, Some(("100", 20)))?;
        // Nothing may be written, nor removed, while it is not known where routes belong.
        rack.node.end(Signal::SIGKILL)?;
        let changes = Monitor::start(rack.kernel())?;
        for unreadable in [
            router(&json!({"table": TABLE, "metric": 0})).to_string(),
            "kind: [".to_owned(),
        ] {
            rack.node.write_text("router", &unreadable)?;
            rack.node.launch()?;
            eventually(SOON, "sessions are up", || sessions(&rack).map(drop))?;
            rack.wait_converged()?;
            eventually(SOON, "status says why", || {
                let status = rack.node.ask_text(&["status"])?;
                ensure!(
                    status.contains("no routes can be installed: nothing is written until the Router can be read"),
                    "{status}"
                );
                Ok(())
            })?;
            let lines = changes.lines()?;
            ensure!(
                !lines.iter().any(|line| line.contains("proto 179")),
                "{lines:#?}"
            );
            rack.node.end(Signal::SIGKILL)?;
        }
        rack.node.launch()?;
        rack.wait_converged()?;
        rack.node
            .write("router", &router(&json!({"table": TABLE, "metric": 20})))?;
        eventually(SOON, "routes are ours again", || {
            let status = rack.node.ask(&["status"])?;
            let fib = &status["fib"];
            ensure!(
                fib["installedIpv4"] == json!(1) && fib["unavailable"].is_null(),
                "{fib}"
            );
            Ok(())
        })?;
        let lines = changes.lines()?;
        ensure!(
            !lines.iter().any(|line| line.contains("proto 179")),
            "adopted: {lines:#?}"
        );
        rack.node.remove("router")?;
        wait_place(&rack, Some(("main", METRIC)))
    });
}
