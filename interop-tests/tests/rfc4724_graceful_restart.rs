//! RFC 4724 between a node and its routers, in both directions: the routers keep the node's routes while the agent is
//! started again, and the node keeps those of a router that restarts.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::{Signal, State, Subject, eventually, run};
use serde_json::json;
use support::SOON;
use support::rack::{NEEDS, NETWORKS, POD_CIDRS, Rack};

/// Waits until a router has noticed that the session is over.
fn wait_fallen(router: &Subject, neighbour: &str) -> Result<()> {
    eventually(SOON, &format!("{router} sees the session fall"), || {
        let session = router.session(neighbour)?;
        ensure!(session.state != State::Established, "{session:?}");
        Ok(())
    })
}

fn kept(router: &Subject) -> Result<()> {
    for prefix in POD_CIDRS {
        router.route(prefix).context("the router has let it go")?;
    }
    Ok(())
}

fn restart_is_hidden(signal: Signal) {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for router in &rack.routers {
            for prefix in POD_CIDRS {
                router.wait_route(prefix, SOON)?;
            }
        }
        let changes = Monitor::start(rack.kernel())?;
        let routers: Vec<Monitor> = rack
            .routers
            .iter()
            .map(|router| Monitor::start(router.namespace()))
            .collect::<Result<_>>()?;
        rack.node.end(signal)?;
        for (router, number) in rack.routers.iter().zip([2, 3]) {
            wait_fallen(router, &format!("10.0.{number}.1"))?;
            kept(router)?;
        }
        rack.node.launch()?;
        for (router, number) in rack.routers.iter().zip([2, 3]) {
            router.wait_established(&format!("10.0.{number}.1"))?;
            kept(router)?;
        }
        rack.wait_converged()?;
        for router in &rack.routers {
            eventually(SOON, &format!("no stale routes at {router}"), || {
                for prefix in POD_CIDRS {
                    let route = router.route(prefix)?;
                    ensure!(!route.stale, "{route:?}");
                }
                Ok(())
            })?;
        }
        rack.wait_ways(&["eth2", "eth3"])?;
        let touched: Vec<String> = changes
            .lines()?
            .into_iter()
            .filter(|line| NETWORKS.iter().any(|network| line.contains(network)))
            .collect();
        ensure!(
            touched.is_empty(),
            "the node's routes were touched: {touched:#?}"
        );
        drop(routers);
        Ok(())
    });
}

#[test]
fn routers_keep_the_routes_of_an_agent_that_is_stopped_and_started() {
    restart_is_hidden(Signal::SIGTERM);
}

#[test]
fn routers_keep_the_routes_of_an_agent_that_is_killed_and_started() {
    restart_is_hidden(Signal::SIGKILL);
}

#[test]
fn what_the_agent_no_longer_announces_after_its_restart_goes_at_its_end_of_rib() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        for router in &rack.routers {
            for prefix in POD_CIDRS {
                router.wait_route(prefix, SOON)?;
            }
        }
        rack.node.end(Signal::SIGTERM)?;
        let text = std::fs::read_to_string(rack.kernel().dir().join("manifests/config.yaml"))?;
        rack.node
            .write_text("config", &text.replace(",\"fd00:244:1::/64\"", ""))?;
        rack.node.launch()?;
        for router in &rack.routers {
            router.wait_no_route(POD_CIDRS[1], Duration::from_secs(30))?;
            router.wait_route(POD_CIDRS[0], SOON)?;
        }
        Ok(())
    });
}

#[test]
fn the_node_keeps_the_routes_of_a_router_that_restarts_gracefully() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for (restarting, number) in [(0, 2), (1, 3)] {
            let changes = Monitor::start(rack.kernel())?;
            rack.routers[restarting].kill()?;
            let peer = format!("router-{number}");
            eventually(SOON, "the node sees the session fall", || {
                let peers = rack.node.ask(&["peers"])?;
                let found = peers
                    .as_array()
                    .and_then(|all| all.iter().find(|one| one["name"] == json!(peer)))
                    .with_context(|| format!("no {peer} in {peers}"))?;
                ensure!(found["state"] != json!("Established"), "{found}");
                Ok(())
            })?;
            for prefix in NETWORKS {
                let route = rack.own_route(prefix)?;
                ensure!(route.paths.len() == 2, "the router's path went: {route:?}");
            }
            rack.routers[restarting].launch()?;
            rack.routers[restarting].wait_established(&format!("10.0.{number}.1"))?;
            for prefix in NETWORKS {
                eventually(SOON, &format!("{prefix} is told again"), || {
                    let received = ["routes", "received", "--prefix", prefix];
                    let paths = rack.node.ask(&received)?;
                    let all = paths.as_array().context("a list of paths")?;
                    let fresh = all.iter().filter(|path| path["stale"] != json!(true));
                    ensure!(fresh.count() == 2, "{paths}");
                    Ok(())
                })?;
            }
            rack.wait_ways(&["eth2", "eth3"])?;
            let touched: Vec<String> = changes
                .lines()?
                .into_iter()
                .filter(|line| NETWORKS.iter().any(|network| line.contains(network)))
                .collect();
            ensure!(touched.is_empty(), "routes were touched: {touched:#?}");
        }
        ensure!(
            !kernel::nexthops(rack.kernel())?.is_empty(),
            "no nexthop objects"
        );
        Ok(())
    });
}
