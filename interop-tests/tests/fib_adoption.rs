//! The agent dies and starts again: the kernel goes on forwarding, what is still wanted is taken over without being
//! touched, and what is no longer wanted goes once the routes have converged.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::probe::ping::Ping;
use interop_tests::{Origination, Signal, run};
use support::node::object;
use support::rack::{HOSTS, NEEDS, NETWORKS, Rack, speaker};

/// Announced by router 2 alone, and withdrawn while the agent is down.
const STALE: [&str; 2] = ["198.51.101.0/24", "2001:db8:101::/48"];

fn with_stale(number: u32) -> interop_tests::Speaker {
    STALE.iter().fold(speaker(number), |speaker, prefix| {
        speaker.originate(Origination::new(prefix))
    })
}

#[test]
fn a_killed_agent_leaves_its_routes_and_the_next_one_touches_only_what_is_stale() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.routers[0].reconfigure(with_stale(2))?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for prefix in STALE {
            rack.wait_ways_to(prefix, &["eth2"])?;
        }
        let nexthops = kernel::nexthops(rack.kernel())?;
        let changes = Monitor::start(rack.kernel())?;
        let pings = HOSTS
            .iter()
            .map(|host| Ping::start(rack.kernel(), host, None))
            .collect::<Result<Vec<_>>>()?;

        rack.node.end(Signal::SIGKILL)?;
        rack.routers[0].reconfigure(speaker(2))?;
        for prefix in STALE {
            rack.routers[0].wait_no_route(prefix, support::SOON)?;
            ensure!(
                rack.own_route(prefix).is_ok(),
                "{prefix} went with the agent"
            );
        }
        rack.node.launch()?;
        rack.wait_converged()?;
        for prefix in STALE {
            rack.wait_no_way_to(prefix)?;
        }
        rack.wait_ways(&["eth2", "eth3"])?;

        let lines = changes.lines()?;
        let touched: Vec<&String> = lines
            .iter()
            .filter(|line| NETWORKS.iter().any(|network| line.contains(network)))
            .collect();
        ensure!(
            touched.is_empty(),
            "unchanged routes were touched: {lines:#?}"
        );
        for prefix in STALE {
            let about: Vec<&String> = lines.iter().filter(|line| line.contains(prefix)).collect();
            ensure!(
                about.len() == 1 && about[0].starts_with("Deleted"),
                "{prefix} was to be deleted once: {lines:#?}"
            );
        }
        // The objects that the routes use are the same ones; those of the stale routes alone may go.
        let kept = kernel::nexthops(rack.kernel())?;
        for prefix in NETWORKS {
            let id = rack.own_route(prefix)?.nexthop_id;
            let group = |all: &[kernel::KernelNexthop]| {
                all.iter().find(|nexthop| Some(nexthop.id) == id).cloned()
            };
            ensure!(
                group(&nexthops) == group(&kept),
                "{nexthops:?} became {kept:?}"
            );
        }
        for ping in pings {
            let loss = ping.stop()?;
            ensure!(loss.answered == loss.sent, "packets were lost: {loss:?}");
        }
        Ok(())
    });
}

#[test]
fn a_second_kill_before_convergence_loses_nothing_either() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let changes = Monitor::start(rack.kernel())?;
        for _ in 0..3 {
            rack.node.end(Signal::SIGKILL)?;
            rack.node.launch()?;
        }
        rack.wait_converged()?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let lines = changes.lines()?;
        ensure!(
            !lines
                .iter()
                .any(|line| NETWORKS.iter().any(|network| line.contains(network))),
            "routes were touched: {lines:#?}"
        );
        Ok(())
    });
}

#[test]
fn routes_of_a_peer_that_is_gone_from_the_manifests_are_swept_after_a_kill() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.routers[0].reconfigure(with_stale(2))?;
        rack.wait_ways_to(STALE[0], &["eth2"])?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.node.end(Signal::SIGKILL)?;
        rack.node.write(
            "config",
            &serde_json::json!([
                object("Router", "default", &serde_json::json!({})),
                object(
                    "Peer",
                    "router-3",
                    &serde_json::json!({
                        "address": "10.0.3.2", "asn": 64503, "timers": {"connectRetry": "1s"},
                    })
                ),
            ]),
        )?;
        rack.node.launch()?;
        rack.wait_converged()?;
        rack.wait_ways(&["eth3"])?;
        for prefix in STALE {
            rack.wait_no_way_to(prefix)?;
        }
        Ok(())
    });
}

#[test]
fn an_end_with_withdraw_leaves_neither_route_nor_nexthop_nor_announcement() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start_with(lab, &serde_json::json!({}), &["--withdraw"])?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for router in &rack.routers {
            for prefix in support::rack::POD_CIDRS {
                router.wait_route(prefix, support::SOON)?;
            }
        }
        rack.node.end(Signal::SIGTERM)?;
        let left = rack.own_prefixes()?;
        ensure!(left.is_empty(), "routes were left: {left:?}");
        let nexthops = kernel::nexthops(rack.kernel())?;
        ensure!(nexthops.is_empty(), "nexthops were left: {nexthops:?}");
        for router in &rack.routers {
            for prefix in support::rack::POD_CIDRS {
                router.wait_no_route(prefix, support::SOON)?;
            }
        }
        Ok(())
    });
}
