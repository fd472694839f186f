//! A node whose AS comes from a label (`asnFrom`) and whose agent is started again while the label is missing: it
//! speaks with the AS that it had, or with nobody. The same where the label chooses the Router.

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::{
    Family, Kind, Need, Neighbour, Origination, Signal, Speaker, Subject, eventually, run,
};
use serde_json::{Value, json};
use std::time::Duration;
use support::SOON;
use support::cluster::{Cluster, TOR, cluster_node};
use support::node::{Node, node_object, object};
use support::segment::v4;

const ASN: u32 = 64600;
const NETWORK: &str = "198.51.100.0/24";

/// The objects of the node, with or without the label.
fn config(labels: &Value) -> Value {
    let mut node = node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]);
    node["metadata"]["labels"] = labels.clone();
    json!([
        node,
        object(
            "Router",
            "default",
            &json!({"asnFrom": {"nodeLabel": "asn"}})
        ),
        object(
            "Peer",
            "router",
            &json!({"address": "10.0.0.2", "asn": 64502, "timers": {"connectRetry": "1s"}})
        ),
    ])
}

/// What the agent says of its AS, and which gates are closed.
fn shown(node: &Node) -> Result<(Value, Vec<String>)> {
    let status = node.ask(&["status"])?;
    let gates = status["gates"].as_array().cloned().unwrap_or_default();
    let closed = gates.iter().filter(|gate| gate["open"] == json!(false));
    let closed = closed.map(|gate| gate["name"].as_str().unwrap_or_default().to_owned());
    Ok((status["asn"].clone(), closed.collect()))
}

fn has_route(node: &Node) -> Result<bool> {
    let routes = kernel::routes(&node.namespace, Family::Ipv4)?;
    let mut ours = routes.iter().filter(|route| route.protocol == "179");
    Ok(ours.any(|route| route.prefix.to_string() == NETWORK))
}

#[test]
fn an_agent_started_without_its_label_has_the_as_from_before_or_waits() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let (at, other) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        let neighbour = Neighbour::new("10.0.0.1", ASN)
            .passive()
            .graceful_restart(Duration::from_secs(120));
        let speaker = Speaker::new(64502, "10.0.0.2")
            .neighbour(neighbour)
            .originate(Origination::new(NETWORK));
        let router = Subject::start(lab, Kind::Bird2, &other, speaker)?;
        let labelled = config(&json!({"asn": ASN.to_string()}));
        let mut node = Node::start(&at, &[("config", labelled.clone())], &["--http", "off"])?;
        let wait_up = |node: &Node| {
            router.wait_established("10.0.0.1")?;
            eventually(SOON, "the route is in the kernel", || {
                let found = shown(node)?;
                ensure!(found == (json!(ASN), vec![]), "{found:?}");
                ensure!(has_route(node)?, "no route");
                Ok(())
            })
        };
        wait_up(&node)?;
        node.write("config", &config(&json!({})))?;
        eventually(SOON, "the label is missed", || {
            let problems = node.ask(&["status"])?["problems"].to_string();
            ensure!(problems.contains("the AS in use stays"), "{problems}");
            Ok(())
        })?;
        let changes = Monitor::start(&at)?;
        node.end(Signal::SIGKILL)?;
        node.launch()?;
        wait_up(&node)?;
        // As after a start of the machine, but for the route of a predecessor.
        node.end(Signal::SIGKILL)?;
        let left = format!("{}.identity", node.socket());
        std::fs::remove_file(left)?;
        node.launch_until(|status| status["gates"].to_string().contains("asNumber"))?;
        let (asn, closed) = shown(&node)?;
        ensure!(asn.is_null(), "no AS is said: {asn}");
        ensure!(closed == ["asNumber"], "{closed:?}");
        let gates = node.ask(&["status"])?["gates"].to_string();
        ensure!(
            gates.contains("label asn, which node node-1 does not have"),
            "{gates}"
        );
        node.write("config", &labelled)?;
        wait_up(&node)?;
        let lines = changes.lines()?;
        let gone = lines
            .iter()
            .find(|line| line.contains("Deleted") && line.contains(NETWORK));
        ensure!(gone.is_none(), "the kernel forwards all the time: {gone:?}");
        Ok(())
    });
}

/// As the kubelet does, with its own labels alone. The label by which the Router selects the node is missing until
/// somebody sets it.
#[test]
fn a_node_that_is_made_again_while_no_agent_runs_stays_in_its_as() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let cluster = Cluster::start(lab)?;
        let spec = json!({"asn": ASN, "nodeSelector": {"matchLabels": {"rack": "a"}}});
        cluster.api.put(&object("Router", "rack-a", &spec))?;
        let mut node = cluster.node(1)?;
        let mut labelled = cluster_node(1);
        labelled["metadata"]["labels"] = json!({"rack": "a", "example.com/role": "x"});
        cluster.api.put(&labelled)?;
        let host = cluster.segment.host("tor", TOR)?;
        let neighbour = Neighbour::new(&v4(1), ASN).passive();
        let neighbour = neighbour.graceful_restart(Duration::from_secs(120));
        let speaker = Speaker::new(64500, &v4(TOR)).neighbour(neighbour);
        let tor = Subject::start(lab, Kind::Bird2, &host, speaker)?;
        cluster.peer_with_tor(&json!({}))?;
        let says = |node: &Node, problem: bool| {
            tor.wait_established(&v4(1))?;
            eventually(SOON, "the AS of the node", || {
                let status = node.ask(&["status"])?;
                ensure!(status["asn"] == json!(ASN), "{status}");
                let problems = status["problems"].to_string();
                let found = problems.contains("created again without rack;");
                ensure!(found == problem, "{problems}");
                Ok(())
            })
        };
        says(&node, false)?;
        node.end(Signal::SIGKILL)?;
        cluster.api.delete("Node", "", "node-1")?;
        cluster.api.put(&cluster_node(1))?;
        // Again, shortly after.
        for _ in 0..2 {
            node.launch()?;
            says(&node, true)?;
            node.end(Signal::SIGKILL)?;
        }
        cluster.api.put(&labelled)?;
        node.launch()?;
        says(&node, false)
    });
}

/// Where nodes are in several ASes, one whose AS was never known is probably of another one: its session would never
/// come.
#[test]
fn a_node_whose_as_is_not_known_does_not_keep_others_waiting_at_their_start() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let (at, other) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        let neighbour = Neighbour::new("10.0.0.1", ASN)
            .passive()
            .graceful_restart(Duration::from_secs(120));
        let speaker = Speaker::new(64502, "10.0.0.2")
            .neighbour(neighbour)
            .originate(Origination::new(NETWORK));
        let router = Subject::start(lab, Kind::Bird2, &other, speaker)?;
        let mut objects = config(&json!({"asn": ASN.to_string()}));
        let all = objects.as_array_mut().context("a list")?;
        // Nobody is at these addresses.
        for (n, labels) in [(8, json!({})), (9, json!({"asn": "64601"}))] {
            let mut node = node_object(&format!("node-{n}"), &[&format!("10.0.0.{n}")], &[]);
            node["metadata"]["labels"] = labels;
            all.push(node);
        }
        let node = Node::start(&at, &[("config", objects)], &["--http", "off"])?;
        router.wait_established("10.0.0.1")?;
        let peers = node.ask(&["peers"])?.to_string();
        ensure!(peers.contains("mesh/node-8"), "it is tried: {peers}");
        ensure!(!peers.contains("mesh/node-9"), "of another AS: {peers}");
        eventually(Duration::from_secs(30), "convergence", || {
            let status = node.ask(&["status"])?;
            let convergence = &status["convergence"];
            ensure!(convergence["converged"] == json!(true), "{convergence}");
            Ok(())
        })
    });
}
