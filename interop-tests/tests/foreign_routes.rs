//! Other software that writes the node's routes: VPNs, operators without a metric, Calico.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::probe::ping::Ping;
use interop_tests::{Signal, eventually, run};
use serde_json::json;
use support::SOON;
use support::node::{node_object, object};
use support::rack::{HOSTS, METRIC, NEEDS, NETWORKS, POD_CIDRS, PROTOCOL, Rack};

/// Changes of the agent's routes and nexthops, and of [`NETWORKS`] if they are not said to be of others.
fn about_ours(changes: &Monitor) -> Result<Vec<String>> {
    let mut lines = changes.lines()?;
    let of_ours = format!("proto {PROTOCOL}");
    lines.retain(|line| line.contains(&of_ours));
    Ok(lines)
}

#[test]
fn a_vpn_route_blocks_only_the_equal_prefix() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let tunnel = lab.namespace("tunnel")?;
        lab.link((rack.kernel(), "wg0"), (&tunnel, "eth0"))?;
        let changes = Monitor::start(rack.kernel())?;
        let routes = [
            ("-4", "0.0.0.0/1"),
            ("-4", "128.0.0.0/1"),
            ("-4", "198.0.0.0/8"),
            ("-6", "::/1"),
            ("-6", "2000::/3"),
            ("-6", "2001:db8::/32"),
        ];
        for (family, prefix) in routes {
            rack.kernel()
                .ip(&format!("{family} route add {prefix} dev wg0"))?;
        }
        // The last of all is one with a learned prefix: when it has had its effect, so have those before.
        for (family, prefix) in ["-4", "-6"].iter().zip(NETWORKS) {
            rack.kernel()
                .ip(&format!("{family} route add {prefix} dev wg0 metric 9000"))?;
            eventually(SOON, &format!("{prefix} is refused"), || {
                let fib = rack.node.ask(&["fib", "--prefix", prefix])?;
                let reason = fib[0]["reason"]["text"].as_str().unwrap_or_default();
                ensure!(fib[0]["state"] == json!("refused"), "{fib}");
                ensure!(reason.contains("other software"), "{fib}");
                ensure!(
                    reason.contains("dev wg0 table 254 metric 9000, of protocol 3"),
                    "{fib}"
                );
                Ok(())
            })?;
            rack.kernel()
                .ip(&format!("{family} route del {prefix} dev wg0"))?;
        }
        rack.wait_ways(&["eth2", "eth3"])?;
        let lines = about_ours(&changes)?;
        for prefix in NETWORKS {
            let about = lines.iter().filter(|line| line.contains(prefix));
            ensure!(about.count() == 2, "refused and back, once: {lines:#?}");
        }
        rack.kernel().ip("link del wg0")?;
        rack.wait_ways(&["eth2", "eth3"])
    });
}

#[test]
fn routes_without_a_metric_and_those_of_calico_come_and_go_beside_the_agents() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let changes = Monitor::start(rack.kernel())?;
        for route in [
            ("-4", "add", "198.51.100.0/24 via 10.0.2.2"),
            ("-6", "add", "2001:db8:100::/48 via fd00:2::2"),
            (
                "-4",
                "replace",
                "198.51.100.0/24 via 10.0.2.2 metric 1024 proto 80",
            ),
            ("-6", "replace", "2001:db8:100::/48 via fd00:2::2 proto 80"),
            ("-6", "append", "2001:db8:100::/48 via fd00:2::2 proto 80"),
        ] {
            let (family, verb, route) = route;
            rack.kernel()
                .ip(&format!("{family} route {verb} {route}"))?;
            for prefix in NETWORKS {
                let own = rack.own_route(prefix)?;
                ensure!(own.metric == METRIC && own.paths.len() == 2, "{own:?}");
            }
            rack.kernel().ip(&format!("{family} route del {route}"))?;
        }
        let lines = about_ours(&changes)?;
        ensure!(lines.is_empty(), "{lines:#?}");
        let fib = rack.node.ask(&["fib", "--problems"])?;
        ensure!(fib == json!([]), "{fib}");
        Ok(())
    });
}

#[test]
fn a_foreign_route_with_our_key_is_shown_with_its_owner_and_replaced_once_removed() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.node.end(Signal::SIGKILL)?;
        let foreign = [
            ("-4", "via 10.0.2.9 dev eth2 proto static", "static"),
            ("-6", "via fd00:2::9 dev eth2 proto 80", "Calico"),
        ];
        for ((family, route, _), prefix) in foreign.iter().zip(NETWORKS) {
            rack.kernel().ip(&format!(
                "{family} route replace {prefix} metric {METRIC} {route}"
            ))?;
        }
        rack.node.launch()?;
        rack.wait_converged()?;
        for ((_, route, owner), prefix) in foreign.iter().zip(NETWORKS) {
            eventually(SOON, &format!("{prefix} is somebody else's"), || {
                let fib = rack.node.ask(&["fib", "--prefix", prefix])?;
                ensure!(fib[0]["state"] == json!("foreign"), "{fib}");
                let reason = fib[0]["reason"]["text"].as_str().unwrap_or_default();
                let way = route.split(" proto").next().unwrap_or_default();
                for part in [way, owner, &format!("table 254 metric {METRIC}")] {
                    ensure!(reason.contains(part), "{part}: {reason}");
                }
                for command in [&["fib", "--problems"][..], &["explain", prefix]] {
                    let text = rack.node.ask_text(command)?;
                    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    ensure!(line.contains("foreign"), "{text}");
                    ensure!(line.contains(owner), "{text}");
                }
                Ok(())
            })?;
        }
        // No retry has to be waited for, however long it has failed.
        let changes = Monitor::start(rack.kernel())?;
        for ((family, route, _), prefix) in foreign.iter().zip(NETWORKS) {
            rack.kernel().ip(&format!(
                "{family} route del {prefix} metric {METRIC} {route}"
            ))?;
        }
        rack.wait_ways(&["eth2", "eth3"])?;
        let lines = about_ours(&changes)?;
        ensure!(lines.len() == 2, "{lines:#?}");
        let fib = rack.node.ask(&["fib", "--problems"])?;
        ensure!(fib == json!([]), "{fib}");
        Ok(())
    });
}

#[test]
fn an_update_that_changes_the_metric_moves_every_route_and_loses_no_packet() {
    run(&NEEDS, |lab| {
        let earlier = json!({"fib": {"metric": 1024}});
        let mut rack = Rack::start_with(lab, &earlier, &[])?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for prefix in NETWORKS {
            ensure!(rack.own_route(prefix)?.metric == 1024);
        }
        let changes = Monitor::start(rack.kernel())?;
        let pings = HOSTS
            .iter()
            .map(|host| Ping::start(rack.kernel(), host, None))
            .collect::<Result<Vec<_>>>()?;
        rack.node.end(Signal::SIGKILL)?;
        let mut config = vec![
            object("Router", "default", &json!({})),
            node_object("node-1", &["10.0.2.1", "fd00:2::1"], &POD_CIDRS),
        ];
        for number in [2, 3] {
            let spec = json!({
                "address": format!("10.0.{number}.2"), "asn": 64500 + number,
                "timers": {"connectRetry": "1s"},
            });
            config.push(object("Peer", &format!("router-{number}"), &spec));
        }
        rack.node.write("config", &json!(config))?;
        rack.node.launch()?;
        rack.wait_converged()?;
        for prefix in NETWORKS {
            eventually(SOON, &format!("{prefix} is moved"), || {
                let mut found = kernel::routes_to(rack.kernel(), prefix)?;
                found.retain(|route| route.protocol == PROTOCOL);
                ensure!(found.len() == 1 && found[0].metric == METRIC, "{found:?}");
                Ok(())
            })?;
        }
        rack.wait_ways(&["eth2", "eth3"])?;
        for prefix in NETWORKS {
            let lines = changes.lines()?;
            let place = |start: &str, metric: u32| {
                let metric = format!("metric {metric}");
                let is = |line: &String| {
                    line.starts_with(start) && line.contains(prefix) && line.contains(&metric)
                };
                lines.iter().position(is)
            };
            let (added, removed) = (place("", METRIC), place("Deleted", 1024));
            ensure!(added.is_some() && added < removed, "{lines:#?}");
        }
        for ping in pings {
            let loss = ping.stop()?;
            ensure!(loss.answered == loss.sent, "packets were lost: {loss:?}");
        }
        Ok(())
    });
}
