//! What a router may announce as much as it likes, and a node does not put into its kernel.

mod support;

use anyhow::{Result, ensure};
use interop_tests::{Origination, Speaker, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{node_object, object};
use support::rack::{NEEDS, NETWORKS, POD_CIDRS, Rack, speaker};

/// What would take the node off the network, and a word of the reason that the agent gives for each.
const HARMFUL: [(&str, &str); 7] = [
    ("0.0.0.0/0", "default route"),
    ("::/0", "default route"),
    ("10.244.1.128/25", "pod CIDR"),
    ("fd00:244:1::8000:0:0:0/65", "pod CIDR"),
    ("10.0.3.0/24", "network on an interface"),
    ("10.0.3.2/32", "network on an interface"),
    ("fd00:3::2/128", "network on an interface"),
];

fn announcing(number: u32, prefixes: impl IntoIterator<Item = String>) -> Speaker {
    prefixes
        .into_iter()
        .fold(speaker(number), |speaker, prefix| {
            speaker.originate(Origination::new(&prefix))
        })
}

fn refused(rack: &Rack, prefix: &str, word: &str) -> Result<()> {
    eventually(SOON, &format!("{prefix} is refused"), || {
        let fib = rack.node.ask(&["fib", "--prefix", prefix])?;
        ensure!(fib[0]["state"] == json!("refused"), "{fib}");
        let reason = fib[0]["reason"]["text"].as_str().unwrap_or_default();
        ensure!(reason.contains(word), "\"{word}\" is not in: {reason}");
        Ok(())
    })
}

fn manifests(fib: &Value) -> Value {
    let mut all = vec![
        object("Router", "default", &json!({"fib": fib})),
        node_object("node-1", &["10.0.2.1", "fd00:2::1"], &POD_CIDRS),
    ];
    for number in [2, 3] {
        all.push(object(
            "Peer",
            &format!("router-{number}"),
            &json!({
                "address": format!("10.0.{number}.2"), "asn": 64500 + number,
                "timers": {"connectRetry": "1s"},
            }),
        ));
    }
    json!(all)
}

#[test]
fn routes_that_would_cut_the_node_off_are_rejected_with_a_reason() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        // The pod CIDRs themselves lose against the node's own routes before any guard rail is asked.
        let harmful = HARMFUL
            .iter()
            .map(|(prefix, _)| *prefix)
            .chain(POD_CIDRS)
            .map(str::to_owned);
        rack.routers[0].reconfigure(announcing(2, harmful))?;
        rack.wait_ways(&["eth2", "eth3"])?;
        for (prefix, word) in HARMFUL {
            refused(&rack, prefix, word)?;
        }
        for prefix in POD_CIDRS {
            eventually(SOON, &format!("{prefix} has come"), || {
                let received = rack.node.ask(&["routes", "received", "--prefix", prefix])?;
                ensure!(received[0]["peer"] == json!("router-2"), "{received}");
                Ok(())
            })?;
        }
        let own = rack.own_prefixes()?;
        ensure!(own.len() == NETWORKS.len(), "in the kernel: {own:?}");
        Ok(())
    });
}

#[test]
fn a_default_route_follows_the_manifest_without_a_session_reset() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(lab)?;
        for (router, number) in rack.routers.iter_mut().zip([2, 3]) {
            let both = ["0.0.0.0/0", "::/0"].map(str::to_owned);
            router.reconfigure(announcing(number, both))?;
        }
        for prefix in ["0.0.0.0/0", "::/0"] {
            refused(&rack, prefix, "acceptDefaultRoute")?;
        }
        rack.node
            .write("config", &manifests(&json!({"acceptDefaultRoute": true})))?;
        for prefix in ["0.0.0.0/0", "::/0"] {
            rack.wait_ways_to(prefix, &["eth2", "eth3"])?;
        }
        rack.node.write("config", &manifests(&json!({})))?;
        for prefix in ["0.0.0.0/0", "::/0"] {
            rack.wait_no_way_to(prefix)?;
            refused(&rack, prefix, "acceptDefaultRoute")?;
        }
        let peers = rack.node.ask(&["peers"])?;
        for peer in peers.as_array().into_iter().flatten() {
            ensure!(
                peer["establishedCount"] == json!(1),
                "a session fell: {peer}"
            );
        }
        Ok(())
    });
}

#[test]
fn routes_beyond_max_routes_are_installed_once_others_are_removed() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start_with(lab, &json!({"fib": {"maxRoutes": 10}}), &[])?;
        rack.wait_ways(&["eth2", "eth3"])?;
        let many = |count: u32| (0..count).map(|n| format!("203.0.113.{n}/32"));
        rack.routers[0].reconfigure(announcing(2, many(20)))?;
        eventually(SOON, "the limit is reached", || {
            let fib = rack.node.ask(&["status"])?["fib"].clone();
            ensure!(fib["overLimit"] == json!(12), "{fib}");
            let own = rack.own_prefixes()?;
            ensure!(own.len() == 10, "{} in the kernel: {own:?}", own.len());
            ensure!(
                NETWORKS
                    .iter()
                    .all(|net| own.iter().any(|have| have.to_string() == *net)),
                "what was in has been displaced: {own:?}"
            );
            ensure!(
                rack.node.log().contains("maxRoutes"),
                "the log does not tell of the limit"
            );
            Ok(())
        })?;

        // Half of them go: those left out before get their places.
        rack.routers[0].reconfigure(announcing(2, many(8)))?;
        eventually(SOON, "all are in", || {
            let own = rack.own_prefixes()?;
            ensure!(own.len() == 10, "{own:?}");
            let fib = rack.node.ask(&["status"])?["fib"].clone();
            ensure!(fib["overLimit"] == json!(0), "{fib}");
            Ok(())
        })?;
        // And a higher limit takes effect at once.
        rack.routers[0].reconfigure(announcing(2, many(20)))?;
        rack.node
            .write("config", &manifests(&json!({"maxRoutes": 100})))?;
        eventually(SOON, "the limit is higher", || {
            let own = rack.own_prefixes()?;
            ensure!(own.len() == 22, "{} in the kernel", own.len());
            Ok(())
        })
    });
}
