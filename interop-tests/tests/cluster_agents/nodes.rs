//! Nodes: their pods, their mesh, and gaps in their objects.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::probe::{kernel, tcp};
use interop_tests::{Signal, Subject, always, eventually, run};
use serde_json::{Value, json};

use crate::NEEDS;
use crate::support::SOON;
use crate::support::cluster::{Cluster, cluster_node, pod_cidrs, service, slice, told_by};
use crate::support::node::{Node, node_object};
use crate::support::segment::{v4, v6};

#[test]
fn one_peer_object_makes_the_pods_of_all_nodes_reachable() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let mut nodes = [cluster.node(1)?, cluster.node(2)?];
        let tor = cluster.tor(2)?;
        cluster.peer_with_tor(&json!({}))?;
        for n in [1, 2] {
            for prefix in pod_cidrs(n) {
                tor.wait_route(&prefix, SOON)?;
            }
        }
        // And among each other, by the mesh.
        for (node, other) in [(&nodes[0], 2), (&nodes[1], 1)] {
            for prefix in pod_cidrs(other) {
                eventually(SOON, "the other node's pods", || {
                    let found = kernel::routes_to(&node.namespace, &prefix)?;
                    ensure!(!found.is_empty(), "no route to {prefix}");
                    Ok(())
                })?;
            }
        }
        // Its address is no Service's, also when its object is deleted: the machine may live on.
        cluster.api.put(&service("thief", &v4(2), "Cluster"))?;
        cluster.api.put(&slice("thief", &[(1, true)]))?;
        let refused = || {
            let address =
                nodes[0].ask(&["explain", "service", "shop/thief"])?["addresses"][0].clone();
            ensure!(address["reason"]["code"] == "nodeAddress", "{address}");
            Ok(())
        };
        eventually(SOON, "the node's address is refused", refused)?;
        // A Node that is deleted leaves the mesh. Its own agent, while it runs, goes on with its router.
        cluster.api.delete("Node", "", "node-2")?;
        for prefix in pod_cidrs(2) {
            eventually(SOON, "no pods of the other node", || {
                let found = kernel::routes_to(&nodes[0].namespace, &prefix)?;
                ensure!(found.is_empty(), "{found:?}");
                Ok(())
            })?;
            tor.route(&prefix)?;
        }
        refused()?;
        ensure!(told_by(&tor, &format!("{}/32", v4(2)))?.is_empty());
        // Stopped, it takes its routes along: the node is none of the cluster's any more.
        nodes[1].end(Signal::SIGTERM)?;
        for prefix in pod_cidrs(2) {
            tor.wait_no_route(&prefix, SOON)?;
        }
        Ok(())
    });
}

/// A node that is on its way back says what it is made of bit by bit; its sessions are none of that.
#[test]
fn fields_missing_temporarily_in_a_node_close_no_session() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let nodes = [cluster.node(1)?, cluster.node(2)?];
        let tor = cluster.tor(2)?;
        for n in [1, 2] {
            cluster.api.put(&in_rack(cluster_node(n)))?;
        }
        cluster.peer_with_tor(&json!({"nodeSelector": {"matchLabels": {"rack": "a"}}}))?;
        let whole = || has_all(&tor, &nodes[1]);
        eventually(SOON, "the routes of both nodes, and the mesh", whole)?;
        // The same connections in the end, and identifiers: nothing was made anew, however quickly.
        let seen = || -> Result<_> {
            let mut all = tcp::connections(tor.namespace(), &[179])?;
            all.extend(tcp::connections(&nodes[1].namespace, &[179])?);
            let id = nodes[0].ask(&["status"])?["routerId"].to_string();
            Ok((all, id))
        };
        let before = seen()?;
        let still = |what: &str| {
            always(Duration::from_secs(2), what, || {
                whole()?;
                let now = seen()?;
                ensure!(now == before, "{before:?} became {now:?}");
                Ok(())
            })
        };
        cluster.api.change("Node", "", "node-1", |node| {
            node["status"]["addresses"] = json!([]);
        })?;
        still("without addresses")?;
        cluster.api.put(&in_rack(cluster_node(1)))?;
        still("with its addresses again")?;
        cluster.api.delete("Node", "", "node-1")?;
        let problem = |text: &str, there: bool| {
            eventually(SOON, "what its status says of the Node", || {
                let problems = nodes[0].ask(&["status"])?["problems"].to_string();
                ensure!(problems.contains(text) == there, "{problems}");
                Ok(())
            })
        };
        problem("object was removed", true)?;
        still("without its object")?;
        // Made again as the kubelet does, before anybody has given it anything.
        let bare = node_object("node-1", &[&v4(1), &v6(1)], &[]);
        cluster.api.put(&registered(bare))?;
        problem("object was removed", false)?;
        problem("created again without rack;", true)?;
        still("created again without pod CIDRs and its rack")?;
        cluster.api.put(&in_rack(cluster_node(1)))?;
        problem("created again", false)?;
        still("created again")?;
        // Another address is another mesh session; the router's is not touched, and the identifier stays.
        nodes[0].namespace.address("eth0", "10.0.0.11/24")?;
        let other = node_object("node-1", &["10.0.0.11", &v6(1)], &[]);
        let router = tcp::connections(tor.namespace(), &[179])?;
        cluster.api.put(&in_rack(other))?;
        eventually(SOON, "the mesh with the new address", || {
            let peer = nodes[1].ask(&["peers", "mesh/node-1"])?;
            let there = peer["address"] == "10.0.0.11" && peer["state"] == "Established";
            ensure!(there, "{peer}");
            Ok(())
        })?;
        ensure!(tcp::connections(tor.namespace(), &[179])? == router);
        ensure!(seen()?.1 == before.1, "{:?} was {:?}", seen()?.1, before.1);
        Ok(())
    });
}

/// That the router has the routes of both nodes, and the second node its session with the first.
fn has_all(tor: &Subject, second: &Node) -> Result<()> {
    for n in [1, 2] {
        for prefix in pod_cidrs(n) {
            tor.route(&prefix)?;
        }
    }
    let peers = second.ask(&["peers", "mesh/node-1"])?;
    ensure!(peers["state"] == "Established", "{peers}");
    Ok(())
}

/// A Node with the labels that a kubelet gives it when it registers.
fn registered(mut node: Value) -> Value {
    node["metadata"]["labels"] = json!({
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node["metadata"]["name"], "kubernetes.io/os": "linux",
    });
    node
}

/// The same, and the label that somebody gives it.
fn in_rack(node: Value) -> Value {
    let mut node = registered(node);
    node["metadata"]["labels"]["rack"] = json!("a");
    node
}

#[test]
fn a_dead_node_of_the_mesh_does_not_keep_an_agent_unready() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        // Nobody runs there.
        cluster.api.put(&cluster_node(9))?;
        let node = cluster.node(1)?;
        let _tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        // 20 s, in which it might have come up.
        eventually(Duration::from_secs(60), "the node is ready", || {
            let status = node.ask(&["status"])?;
            ensure!(status["peers"]["mesh"] == 1, "{}", status["peers"]);
            ensure!(
                status["peers"]["meshEstablished"] == 0,
                "{}",
                status["peers"]
            );
            ensure!(
                status["readiness"]["ready"] == true,
                "{}",
                status["readiness"]
            );
            Ok(())
        })
    });
}
