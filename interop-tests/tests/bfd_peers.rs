//! BFD with the peers of a node: a router that falls silent on a link that stays up is left within the detection time, and
//! nothing else ends a session.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::ping::Ping;
use interop_tests::{Bfd, Lab, Namespace, Signal, Speaker, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::rack::{HOSTS, NEEDS, POD_CIDRS, Rack, config, speaker};

/// How long traffic may stop when a router falls silent: 3 x 50 ms, and what a busy machine adds. A hold timer takes 90 s.
const OUTAGE: Duration = Duration::from_secs(1);

/// The router with a BFD session to the node.
fn watching(number: u32) -> Speaker {
    let (own, node) = (format!("10.0.{number}.2"), format!("10.0.{number}.1"));
    speaker(number).bfd(Bfd::new(&own, &node))
}

/// The node's objects, with BFD for both peers.
fn with_bfd(bfd: &Value) -> Value {
    let mut objects = config(Some(&json!({"leave": {"wait": "1s"}})));
    for object in objects.as_array_mut().into_iter().flatten() {
        if object["kind"] == "Peer" {
            object["spec"]["bfd"] = bfd.clone();
        }
    }
    objects
}

/// What the agent says of the peer `router-NUMBER`.
fn peer(rack: &Rack, number: u32) -> Result<Value> {
    let peers = rack.node.ask(&["peers"])?;
    let mut peers = peers.as_array().into_iter().flatten();
    let name = format!("router-{number}");
    let found = peers.find(|peer| peer["name"] == *name);
    found.cloned().with_context(|| format!("no peer {name}"))
}

/// Waits until BFD is up with both routers, with this detection time.
fn wait_up(rack: &Rack, detection_time: u64) -> Result<()> {
    for number in [2, 3] {
        eventually(SOON, &format!("BFD with router-{number}"), || {
            let bfd = peer(rack, number)?["bfd"].clone();
            ensure!(bfd["state"] == "Up", "{bfd}");
            ensure!(bfd["detectionTimeMilliseconds"] == detection_time, "{bfd}");
            Ok(())
        })?;
    }
    Ok(())
}

/// A rack whose peers get BFD while their sessions are up.
fn start(lab: &Lab) -> Result<Rack> {
    let rack = Rack::start_beside(lab, watching)?;
    rack.wait_ways(&["eth2", "eth3"])?;
    let bfd = json!({"interval": "50ms", "multiplier": 3});
    rack.node.write("config", &with_bfd(&bfd))?;
    wait_up(&rack, 150)?;
    Ok(rack)
}

/// Drops every packet that a router sends or receives.
fn silence(router: &Namespace) -> Result<()> {
    router.run(&["nft", "add table inet silent"])?;
    for hook in ["input", "output"] {
        let chain = format!("{{ type filter hook {hook} priority 0; policy drop; }}");
        router.run(&["nft", &format!("add chain inet silent {hook} {chain}")])?;
    }
    Ok(())
}

#[test]
fn a_router_that_falls_silent_is_left_within_the_detection_time() {
    run(&NEEDS, |lab| {
        let rack = start(lab)?;
        for (at, number, other) in [(0, 2, "eth3"), (1, 3, "eth2")] {
            let pings = HOSTS
                .iter()
                .map(|host| Ping::start(rack.kernel(), host, None))
                .collect::<Result<Vec<_>>>()?;
            let router = rack.routers[at].namespace();
            silence(router)?;
            rack.wait_ways(&[other])?;
            for ping in pings {
                let loss = ping.stop()?;
                ensure!(loss.longest_gap < OUTAGE, "traffic stopped: {loss:?}");
            }
            eventually(SOON, "the reason", || {
                let peer = peer(&rack, number)?;
                ensure!(peer["lastDown"]["class"] == "bfdDown", "{peer}");
                ensure!(peer["bfd"]["downs"] == 1, "{peer}");
                ensure!(peer["state"] == "Idle", "it is dialled: {peer}");
                Ok(())
            })?;
            router.run(&["nft", "delete table inet silent"])?;
            rack.wait_ways(&["eth2", "eth3"])?;
        }
        Ok(())
    });
}

#[test]
fn bfd_and_its_intervals_change_without_a_reset() {
    run(&NEEDS, |lab| {
        let rack = start(lab)?;
        for (bfd, detection_time) in [
            (json!({"interval": "100ms", "multiplier": 5}), 300),
            (json!({"interval": "50ms", "multiplier": 3}), 150),
        ] {
            rack.node.write("config", &with_bfd(&bfd))?;
            wait_up(&rack, detection_time)?;
        }
        rack.node.write("config", &config(Some(&json!({}))))?;
        eventually(SOON, "no BFD", || {
            let peer = peer(&rack, 2)?;
            ensure!(peer["bfd"].is_null(), "{peer}");
            Ok(())
        })?;
        // Nothing was lost by it, here or there.
        always(Duration::from_secs(1), "the sessions stay", || {
            for number in [2, 3] {
                let peer = peer(&rack, number)?;
                ensure!(peer["state"] == "Established", "{peer}");
                ensure!(peer["establishedCount"] == 1, "{peer}");
            }
            Ok(())
        })
    });
}

/// The routers end their BGP sessions by BFD too. Neither takes AdminDown for what it is (RFC 5882 3.2), so that either needs an
/// option to keep routes while the agent restarts: it says that its BFD fares as its control plane does (C is 0).
#[test]
fn a_restart_of_the_agent_is_no_failure_to_the_routers() {
    run(&NEEDS, |lab| {
        let mut rack = start(lab)?;
        for (router, (number, words)) in rack.routers.iter_mut().zip([
            (2, "bfd graceful;"),
            (3, "neighbor 10.0.3.1 bfd check-control-plane-failure\n"),
        ]) {
            let mut tied = watching(number);
            let neighbour = tied.neighbours.remove(0);
            router.reconfigure(tied.neighbour(neighbour.extra(words)))?;
        }
        wait_up(&rack, 150)?;
        let present = |rack: &Rack| -> Result<()> {
            for router in &rack.routers {
                for prefix in POD_CIDRS {
                    router.route(prefix)?;
                }
            }
            Ok(())
        };
        eventually(SOON, "the routers have the routes", || present(&rack))?;
        rack.node.end(Signal::SIGTERM)?;
        always(Duration::from_secs(2), "the routes stay", || present(&rack))?;
        rack.node.launch()?;
        wait_up(&rack, 150)?;
        always(Duration::from_secs(1), "the routes stay", || present(&rack))
    });
}

/// The thread of BFD ends with the sessions, and begins again with them.
#[test]
fn a_node_with_bfd_leaves_and_comes_back() {
    run(&NEEDS, |lab| {
        let rack = start(lab)?;
        let pid = rack.node.pid()?;
        rack.node.ask_text(&["drain", "--leave"])?;
        let stage = |expected: &str| {
            eventually(Duration::from_secs(60), expected, || {
                let status = rack.node.ask(&["status"])?;
                ensure!(status["drain"]["stage"] == expected, "{status}");
                Ok(())
            })
        };
        stage("gone")?;
        // The watchdog looks each second.
        always(Duration::from_secs(3), "the agent runs", || {
            ensure!(rack.node.pid()? == pid);
            rack.node.ask(&["status"])
        })?;
        rack.node.ask_text(&["drain", "--undo"])?;
        wait_up(&rack, 150)?;
        always(Duration::from_secs(3), "the agent runs", || {
            ensure!(rack.node.pid()? == pid);
            rack.node.ask(&["status"])
        })?;
        rack.wait_ways(&["eth2", "eth3"])
    });
}
