//! BFD between two agents: in a mesh, out of a listen range, and in strict mode.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{Kind, Lab, Namespace, Need, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::segment::{Segment, v4, v6};

const BFD: [(&str, &str); 2] = [("interval", "50ms"), ("holdTime", "60s")];

/// 50 ms x 3, strict or not.
fn bfd(strict: bool) -> Value {
    let mut bfd = json!({"multiplier": 3, "strict": strict});
    for (field, value) in BFD {
        bfd[field] = json!(value);
    }
    bfd
}

/// The two nodes, of which each knows the other.
fn nodes() -> Vec<Value> {
    let node = |n: u8| {
        let pods = [format!("10.244.{n}.0/24"), format!("fd00:244:{n}::/64")];
        let (name, addresses) = (format!("node-{n}"), [v4(n), v6(n)]);
        let addresses = addresses.each_ref().map(String::as_str);
        node_object(&name, &addresses, &pods.each_ref().map(String::as_str))
    };
    vec![node(1), node(2)]
}

/// A node that has these objects too.
fn start(namespace: &Namespace, objects: Vec<Value>) -> Result<Node> {
    let all: Vec<Value> = nodes().into_iter().chain(objects).collect();
    Node::start(namespace, &[("config", json!(all))], &["--http", "off"])
}

/// Two nodes on one segment.
fn pair(lab: &Lab, first: Vec<Value>, second: Vec<Value>) -> Result<[Node; 2]> {
    let segment = Segment::new(lab)?;
    let (one, two) = (segment.host("node-1", 1)?, segment.host("node-2", 2)?);
    Ok([start(&one, first)?, start(&two, second)?])
}

/// What a node says of its only peer.
fn peer(node: &Node) -> Result<Value> {
    let peers = node.ask(&["peers"])?;
    peers.get(0).cloned().context("it has no peer yet")
}

fn wait_up(node: &Node) -> Result<()> {
    eventually(SOON, "BGP and BFD", || {
        let peer = peer(node)?;
        ensure!(peer["state"] == "Established", "{peer}");
        ensure!(peer["bfd"]["state"] == "Up", "{peer}");
        ensure!(peer["bfd"]["detectionTimeMilliseconds"] == 150, "{peer}");
        Ok(())
    })
}

/// Drops packets of BFD that arrive at a node, and nothing else.
fn drop_bfd(namespace: &Namespace) -> Result<()> {
    namespace.run(&["nft", "add table inet silent"])?;
    let chain = "{ type filter hook input priority 0; }";
    namespace.run(&["nft", &format!("add chain inet silent input {chain}")])?;
    let rule = "add rule inet silent input udp dport { 3784, 4784 } drop";
    namespace.run(&["nft", rule])?;
    Ok(())
}

/// Loses the path between two nodes that are up, and gives it back.
fn loses_and_regains(nodes: &[Node; 2]) -> Result<()> {
    for node in nodes {
        wait_up(node)?;
    }
    let kernel = &nodes[0].namespace;
    let has_route =
        || -> Result<bool> { Ok(!kernel::routes_to(kernel, "10.244.2.0/24")?.is_empty()) };
    eventually(SOON, "the route to the pods", || {
        ensure!(has_route()?);
        Ok(())
    })?;
    drop_bfd(kernel)?;
    for node in nodes {
        eventually(SOON, "the fall by BFD", || {
            let peer = peer(node)?;
            let downs = peer["downs"].as_array().context("no downs")?;
            // Of the two ends one finds it, and tells the other by BFD or by its NOTIFICATION.
            ensure!(!downs.is_empty(), "{peer}");
            ensure!(peer["state"] != "Established", "{peer}");
            Ok(())
        })?;
    }
    // Not kept by graceful restart: packets over that path are lost.
    eventually(SOON, "no route to the pods", || {
        ensure!(!has_route()?);
        Ok(())
    })?;
    kernel.run(&["nft", "delete table inet silent"])?;
    for node in nodes {
        wait_up(node)?;
    }
    eventually(SOON, "the route is back", || {
        ensure!(has_route()?);
        Ok(())
    })
}

fn router(mesh: &Value) -> Value {
    object("Router", "default", &json!({"mesh": mesh}))
}

#[test]
fn a_path_in_the_mesh_that_fails_is_found() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let timers = json!({"connectRetry": "1s"});
        let mesh = router(&json!({"enabled": true, "timers": timers, "bfd": bfd(false)}));
        loses_and_regains(&pair(lab, vec![mesh.clone()], vec![mesh])?)
    });
}

/// A range, and a peer that connects out of it.
fn range_and_peer(lab: &Lab, strict: bool) -> Result<[Node; 2]> {
    let off = router(&json!({"enabled": false}));
    let range = json!({"range": "10.0.0.0/24", "asn": "internal", "bfd": bfd(strict)});
    let dialling = json!({
        "address": v4(1), "asn": "internal", "bfd": bfd(strict),
        "timers": {"connectRetry": "1s"},
    });
    let first = vec![off.clone(), object("Peer", "range", &range)];
    let second = vec![off, object("Peer", "dialling", &dialling)];
    pair(lab, first, second)
}

#[test]
fn a_path_to_a_peer_out_of_a_range_that_fails_is_found() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        loses_and_regains(&range_and_peer(lab, false)?)
    });
}

#[test]
fn in_strict_mode_no_session_is_established_before_bfd_is_up() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let segment = Segment::new(lab)?;
        let (one, two) = (segment.host("node-1", 1)?, segment.host("node-2", 2)?);
        drop_bfd(&one)?;
        let side = |other: u8| {
            let spec = json!({
                "address": v4(other), "asn": "internal", "bfd": bfd(true),
                "timers": {"connectRetry": "1s"},
            });
            vec![
                router(&json!({"enabled": false})),
                object("Peer", "other", &spec),
            ]
        };
        let nodes = [start(&one, side(2))?, start(&two, side(1))?];
        for node in &nodes {
            eventually(SOON, "it waits for BFD", || {
                let peer = peer(node)?;
                ensure!(peer["state"] == "OpenConfirm", "{peer}");
                Ok(())
            })?;
        }
        always(Duration::from_secs(2), "it waits on", || {
            let peer = peer(&nodes[0])?;
            ensure!(peer["establishedCount"] == 0, "{peer}");
            Ok(())
        })?;
        one.run(&["nft", "delete table inet silent"])?;
        nodes.iter().try_for_each(wait_up)
    });
}

/// The peer out of a range is not known before it connects: its BFD session begins when the OPENs are agreed.
#[test]
fn strict_mode_works_with_a_range() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let nodes = range_and_peer(lab, true)?;
        nodes.iter().try_for_each(wait_up)
    });
}
