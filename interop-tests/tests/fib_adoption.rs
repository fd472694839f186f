//! The agent dies and starts again: the kernel goes on forwarding, what is still wanted is taken over without being
//! touched, and what is no longer wanted goes once the routes have converged.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::probe::ping::Ping;
use interop_tests::{Need, Origination, Signal, eventually, run};
use support::SOON;
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
            rack.routers[0].wait_no_route(prefix, SOON)?;
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
fn withdraw_at_the_end_removes_routes_nexthops_and_announcements() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start_with(lab, &serde_json::json!({}), &["--withdraw"])?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for router in &rack.routers {
            for prefix in support::rack::POD_CIDRS {
                router.wait_route(prefix, SOON)?;
            }
        }
        rack.node.end(Signal::SIGTERM)?;
        let left = rack.own_prefixes()?;
        ensure!(left.is_empty(), "routes were left: {left:?}");
        let nexthops = kernel::nexthops(rack.kernel())?;
        ensure!(nexthops.is_empty(), "nexthops were left: {nexthops:?}");
        for router in &rack.routers {
            for prefix in support::rack::POD_CIDRS {
                router.wait_no_route(prefix, SOON)?;
            }
        }
        Ok(())
    });
}

#[test]
fn fib_and_explain_agree_on_stale_routes_until_convergence() {
    let needs = [&NEEDS[..], &[Need::Program("nft")]].concat();
    run(&needs, |lab| {
        let mut rack = Rack::start(lab)?;
        rack.wait_ways(&["eth2", "eth3"])?;
        rack.wait_converged()?;
        rack.node.end(Signal::SIGKILL)?;
        let at = rack.kernel().clone();
        let block = |routers: &str| {
            let to = format!("ip daddr {{ {routers} }} tcp");
            let rules = format!(
                "table inet block\ndelete table inet block\ntable inet block {{\n chain out {{\n\
                 type filter hook output priority 0\n {to} dport 179 drop\n {to} sport 179 drop\n }}\n }}\n"
            );
            at.run_with_input(&["nft", "-f", "-"], &rules)
        };
        block("10.0.2.2, 10.0.3.2")?;
        rack.node.launch()?;
        // What the kernel holds, and what there are paths for.
        let both = ["via 10.0.2.2 dev eth2", "via 10.0.3.2 dev eth3"];
        let says = |asked: &str, why: &str| {
            eventually(SOON, &format!("{asked}: {why}"), || {
                for command in [&["fib", "--prefix", NETWORKS[0]][..], &["explain", asked]] {
                    let text = rack.node.ask_text(command)?;
                    let flat = text.replace(['│', '├', '└', '─'], " ");
                    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
                    for part in ["198.51.100.0/24", "stale", why, both[0], both[1]] {
                        ensure!(flat.contains(part), "{part}: {text}");
                    }
                }
                Ok(())
            })
        };
        for asked in [NETWORKS[0], "198.51.100.7"] {
            says(asked, "left by a predecessor, no usable path so far")?;
        }
        block("10.0.3.2")?;
        says(
            NETWORKS[0],
            "left by a predecessor; paths so far: via 10.0.2.2 dev eth2",
        )?;
        rack.kernel().run(&["nft", "delete table inet block"])?;
        rack.wait_converged()?;
        let text = rack.node.ask_text(&["explain", NETWORKS[0]])?;
        ensure!(text.contains("Kernel: installed"), "{text}");
        rack.wait_ways(&["eth2", "eth3"])
    });
}
