//! How a node comes and goes: it leaves its routers step by step when it goes away, it is silent when its agent is
//! updated, and it advertises Services only once kube-proxy is healthy.

#[path = "../support/mod.rs"]
mod support;

mod clients;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::web::WebServer;
use interop_tests::{Community, Lab, Signal, State, Subject, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{binary, node_object};
use support::rack::{NEEDS, POD_CIDRS, Rack};
use support::service::Service;

/// The address of the Service.
const ADDRESS: &str = "203.0.113.10/32";

/// Everything that the node advertises.
const ALL: [&str; 3] = [POD_CIDRS[0], POD_CIDRS[1], ADDRESS];

/// A taint that says that a node goes away.
const TAINT: &str = "example.com/maintenance";

/// Where kube-proxy says that it is healthy.
const HEALTH: u16 = 10256;

#[test]
fn a_leaving_node_moves_its_traffic_first_and_returns_on_command() {
    run(&NEEDS, |lab| {
        // Long enough for both routers to be looked at on a busy machine.
        let rack = start(lab, &json!({"leave": {"wait": "12s"}}), &[])?;
        std::thread::scope(|scope| {
            let leaving = scope.spawn(|| {
                let binary = binary()?;
                let argv = [&binary, "drain", "--leave", "--control", rack.node.socket()];
                rack.kernel().output(&argv, Duration::from_secs(60))
            });
            for router in &rack.routers {
                drained(router, true)?;
            }
            let said = leaving.join().ok().context("the command panicked")??;
            let said = said.stderr;
            let words = [
                "move traffic away",
                "Services are",
                "Pod CIDRs are",
                "has left",
            ];
            let found: Vec<usize> = words.iter().filter_map(|word| said.find(word)).collect();
            ensure!(found.len() == words.len() && found.is_sorted(), "{said}");
            anyhow::Ok(())
        })?;
        gone(&rack)?;
        // It stays away, also when something changes, and says so.
        rack.node
            .write("more", &node_object("node-9", &["10.0.9.1"], &[]))?;
        always(Duration::from_secs(7), "the node stays away", || {
            away(&rack)
        })?;
        let status = rack.node.ask(&["status"])?;
        ensure!(status["drain"]["stage"] == "gone", "{status}");

        rack.node.ask_text(&["drain", "--undo"])?;
        for router in &rack.routers {
            have(router)?;
            drained(router, false)?;
        }
        Ok(())
    });
}
#[test]
fn a_taint_drains_a_node_and_makes_its_end_a_departure() {
    run(&NEEDS, |lab| {
        let leave = json!({"leave": {"taints": [TAINT], "wait": "2s"}});
        let mut rack = start(lab, &leave, &[])?;
        for tainted in [true, false, true] {
            taint(&rack, tainted)?;
            for router in &rack.routers {
                drained(router, tainted)?;
            }
        }
        // What it forwards by stays: its pods may still run, and its successor adopts it.
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.node.end(Signal::SIGTERM)?;
        gone(&rack)?;
        rack.wait_ways(&["eth2", "eth3"])
    });
}

#[test]
fn drain_can_be_repeated_and_cancelled() {
    run(&NEEDS, |lab| {
        // Longer than the lab waits for the end of an agent.
        let leave = json!({"leave": {"taints": [TAINT], "wait": "30s"}});
        let mut rack = start(lab, &leave, &[])?;
        taint(&rack, true)?;
        for router in &rack.routers {
            drained(router, true)?;
        }
        rack.node.signal(Signal::SIGTERM)?;
        eventually(SOON, "it leaves", || {
            let log = rack.node.log();
            ensure!(log.contains("leaves step by step"), "{log}");
            Ok(())
        })?;
        rack.node.end(Signal::SIGTERM)?;
        gone(&rack)?;

        // Told to stay, it ends as for an update.
        rack.node.launch()?;
        for router in &rack.routers {
            drained(router, true)?;
        }
        rack.node.signal(Signal::SIGTERM)?;
        eventually(SOON, "it leaves", || {
            let log = rack.node.log();
            ensure!(log.contains("leaves step by step"), "{log}");
            Ok(())
        })?;
        rack.node.ask_text(&["drain", "--undo"])?;
        rack.node.wait_end()?;
        always(Duration::from_secs(2), "the routes are kept", || {
            for router in &rack.routers {
                for prefix in ALL {
                    router.route(prefix)?;
                }
            }
            Ok(())
        })
    });
}

#[test]
fn a_node_that_only_lost_its_agent_keeps_its_routes() {
    run(&NEEDS, |lab| {
        let leave = json!({"leave": {"taints": [TAINT], "wait": "2s"}});
        let mut rack = start(lab, &leave, &[])?;
        rack.node.ask_text(&["drain"])?;
        for router in &rack.routers {
            drained(router, true)?;
        }
        rack.node.end(Signal::SIGTERM)?;
        for (router, number) in rack.routers.iter().zip([2, 3]) {
            fallen(router, number)?;
        }
        always(Duration::from_secs(3), "the routes are kept", || {
            for router in &rack.routers {
                for prefix in ALL {
                    router.route(prefix)?;
                }
            }
            Ok(())
        })
    });
}

#[test]
fn services_wait_for_kube_proxy_and_pod_cidrs_do_not() {
    run(&NEEDS, |lab| {
        let at = format!("127.0.0.1:{HEALTH}");
        let mut rack = Rack::start_with(lab, &json!({}), &["--kube-proxy", &at])?;
        rack.kernel().ip("link set lo up")?;
        rack.node
            .write("service", &json!(service("web", "203.0.113.10", "Cluster")))?;
        for router in &rack.routers {
            for prefix in POD_CIDRS {
                router.wait_route(prefix, SOON)?;
            }
        }
        let without_service = || {
            for router in &rack.routers {
                ensure!(router.route(ADDRESS).is_err(), "{router} has {ADDRESS}");
            }
            Ok(())
        };
        always(Duration::from_secs(2), "no Service yet", without_service)?;
        let text = rack.node.ask_text(&["explain", "service", "shop/web"])?;
        ensure!(text.contains("(rule kubeProxyNotHealthy)"), "{text}");

        let kube_proxy = WebServer::start(rack.kernel(), HEALTH)?;
        for router in &rack.routers {
            router.wait_route(ADDRESS, SOON)?;
        }
        // An agent that is started again while kube-proxy is not healthy: the Service is still to come, so routers must
        // not take the end of the pod CIDRs for the end of all.
        drop(kube_proxy);
        rack.node.end(Signal::SIGKILL)?;
        for (router, number) in rack.routers.iter().zip([2, 3]) {
            fallen(router, number)?;
        }
        rack.node.launch()?;
        for (router, number) in rack.routers.iter().zip([2, 3]) {
            router.wait_established(&format!("10.0.{number}.1"))?;
            fresh(router, &POD_CIDRS)?;
        }
        always(Duration::from_secs(3), "the Service is kept", || {
            for router in &rack.routers {
                router.route(ADDRESS)?;
            }
            Ok(())
        })?;
        let _kube_proxy = WebServer::start(rack.kernel(), HEALTH)?;
        for router in &rack.routers {
            fresh(router, &ALL)?;
        }
        Ok(())
    });
}

/// A rack whose routers have everything.
fn start(lab: &Lab, router: &Value, extra: &[&str]) -> Result<Rack> {
    let rack = Rack::start_with(lab, router, extra)?;
    rack.node
        .write("service", &json!(service("web", "203.0.113.10", "Cluster")))?;
    for router in &rack.routers {
        have(router)?;
    }
    Ok(rack)
}

fn have(router: &Subject) -> Result<()> {
    for prefix in ALL {
        router.wait_route(prefix, SOON)?;
    }
    Ok(())
}

/// Waits until all of the node's routes ask for traffic to be moved elsewhere, or none does.
fn drained(router: &Subject, drained: bool) -> Result<()> {
    eventually(SOON, &format!("drained at {router}: {drained}"), || {
        for prefix in ALL {
            let route = router.route(prefix)?;
            let asks = route.communities.contains(&Community::GRACEFUL_SHUTDOWN);
            ensure!(asks == drained, "{route:?}");
        }
        Ok(())
    })
}

/// Waits until these are not left over from before a restart.
fn fresh(router: &Subject, prefixes: &[&str]) -> Result<()> {
    eventually(SOON, &format!("fresh routes at {router}"), || {
        for prefix in prefixes {
            let route = router.route(prefix)?;
            ensure!(!route.stale, "{route:?}");
        }
        Ok(())
    })
}

fn fallen(router: &Subject, number: u32) -> Result<()> {
    eventually(SOON, &format!("{router} sees the session fall"), || {
        let session = router.session(&format!("10.0.{number}.1"))?;
        ensure!(session.state != State::Established, "{session:?}");
        Ok(())
    })
}

/// No router has a session or a route, not even a stale one.
fn away(rack: &Rack) -> Result<()> {
    for (router, number) in rack.routers.iter().zip([2, 3]) {
        let session = router.session(&format!("10.0.{number}.1"))?;
        ensure!(session.state != State::Established, "{session:?}");
        for prefix in ALL {
            ensure!(router.route(prefix).is_err(), "{router} has {prefix}");
        }
    }
    Ok(())
}

fn gone(rack: &Rack) -> Result<()> {
    eventually(SOON, "the node has left its routers", || away(rack))
}

/// Gives the node the taint, or takes it away.
fn taint(rack: &Rack, tainted: bool) -> Result<()> {
    let text = std::fs::read_to_string(rack.node.manifests().join("config.yaml"))?;
    let mut objects = Vec::new();
    for document in text.split("\n---\n") {
        let mut object: Value = serde_json::from_str(document)?;
        if object["kind"] == "Node" {
            object["spec"]["taints"] = match tainted {
                true => json!([{"key": TAINT, "effect": "NoExecute"}]),
                false => Value::Null,
            };
        }
        objects.push(object);
    }
    rack.node.write("config", &Value::Array(objects))
}

/// A Service with an endpoint on the first node.
fn service(name: &str, address: &str, policy: &str) -> Vec<Value> {
    let spec = json!({"clusterIP": "10.96.0.10", "externalTrafficPolicy": policy});
    let service = Service::new(name, &[address]).spec(&spec);
    service.endpoint("node-1", &["10.244.1.7"]).objects()
}
