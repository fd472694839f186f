//! Clients of two nodes, one of which leaves.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::probe::kernel::Monitor;
use interop_tests::probe::ping::Ping;
use interop_tests::{Kind, Lab, Neighbour, Speaker, Subject, always, eventually, run};
use serde_json::{Value, json};

use crate::service;
use crate::support::SOON;
use crate::support::node::{Node, node_object, object};
use crate::support::rack::NEEDS;

/// What two nodes announce, and clients ask for; the last is announced by the first node alone.
const SHARED: [&str; 8] = [
    "203.0.113.20",
    "203.0.113.21",
    "203.0.113.22",
    "203.0.113.23",
    "203.0.113.24",
    "203.0.113.25",
    "203.0.113.26",
    "203.0.113.27",
];

const OWN: &str = "203.0.113.99";

/// ```text
///  node-1 10.0.0.1 --+
///                    +-- 10.0.0.100 router (FRR, AS 64501), whose kernel has what it learns
///  node-2 10.0.0.2 --+
/// ```
#[test]
fn clients_lose_nothing_when_a_node_leaves_and_is_switched_off() {
    run(&NEEDS, |lab| {
        let (router, nodes) = two_nodes(lab)?;
        let at = router.namespace();
        for (node, number) in nodes.iter().zip([1, 2]) {
            router.wait_established(&format!("10.0.0.{number}"))?;
            for address in SHARED {
                node.namespace.address("lo", &format!("{address}/32"))?;
            }
        }
        let ways = |wanted: usize| {
            eventually(SOON, &format!("{wanted} ways to each address"), || {
                for address in SHARED {
                    let routes = kernel::routes_to(at, &format!("{address}/32"))?;
                    let paths: Vec<_> = routes.iter().flat_map(|route| &route.paths).collect();
                    ensure!(paths.len() == wanted, "{address}: {paths:?}");
                }
                Ok(())
            })
        };
        ways(2)?;
        router.wait_route(&format!("{OWN}/32"), SOON)?;
        let changes = Monitor::start(at)?;
        let clients: Vec<Ping> = SHARED
            .iter()
            .map(|address| Ping::start(at, address, None))
            .collect::<Result<_>>()?;
        nodes[0].ask_text(&["drain", "--leave"])?;
        ways(1)?;
        nodes[0].namespace.ip("link set eth0 down")?;
        always(Duration::from_secs(1), "clients go on", || Ok(()))?;
        for client in clients {
            let loss = client.stop()?;
            ensure!(loss.sent == loss.answered, "{loss:?}");
        }
        let lines = changes.lines()?;
        let taken_out = |what: &str| {
            let found = lines
                .iter()
                .position(|line| line.contains("Deleted") && line.contains(what));
            found.with_context(|| format!("{what} was not taken out: {lines:#?}"))
        };
        ensure!(
            taken_out(OWN)? < taken_out("10.244.1.0/24")?,
            "pods before Services: {lines:#?}"
        );
        Ok(())
    });
}

fn two_nodes(lab: &Lab) -> Result<(Subject, Vec<Node>)> {
    let switch = lab.switch("switch")?;
    let at = lab.namespace("router")?;
    switch.plug(lab, &at, "eth0")?;
    at.address("eth0", "10.0.0.100/24")?;
    let mut speaker = Speaker::new(64501, "10.0.0.100").install();
    for number in [1, 2] {
        let neighbour = Neighbour::new(&format!("10.0.0.{number}"), 64512).passive();
        speaker = speaker.neighbour(neighbour);
    }
    let router = Subject::start(lab, Kind::Frr8, &at, speaker)?;
    let mut services: Vec<Value> = SHARED
        .iter()
        .flat_map(|address| service(&address.replace('.', "-"), address, "Cluster"))
        .collect();
    services.extend(service("own", OWN, "Local"));
    let mut nodes = Vec::new();
    for number in [1, 2] {
        let namespace = lab.namespace(&format!("node-{number}"))?;
        switch.plug(lab, &namespace, "eth0")?;
        namespace.address("eth0", &format!("10.0.0.{number}/24"))?;
        let (address, pods) = (format!("10.0.0.{number}"), format!("10.244.{number}.0/24"));
        let config = json!([
            node_object(namespace.label(), &[&address], &[&pods]),
            object("Router", "default", &json!({"leave": {"wait": "3s"}})),
            object(
                "Peer",
                "router",
                &json!({"address": "10.0.0.100", "asn": 64501, "timers": {"connectRetry": "1s"}}),
            ),
        ]);
        let files = [("config", config), ("services", json!(services))];
        nodes.push(Node::start(&namespace, &files, &["--http", "off"])?);
    }
    Ok((router, nodes))
}
