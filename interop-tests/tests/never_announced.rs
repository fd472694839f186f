//! What a node never announces, whoever asks for it: addresses of Nodes and of its peer, pods of others, a default
//! route, an aggregate over the nodes' network, what kube-proxy does not serve.
//!
//! ```text
//!  node-1 10.0.0.1 --+
//!  node-2 10.0.0.2 --+-- 10.0.0.100 router (BIRD, AS 64501), whose kernel has what it learns
//!  node-3 10.0.0.3 --+   (a Node object, no agent)
//! ```
//!
//! The router forwards by what it learns: announced, the address of node-2 would lead to node-1, and its session would
//! die.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{
    Family, Kind, Lab, Need, Neighbour, Speaker, Subject, always, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::service::Service;

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

/// The router's address.
const ROUTER: &str = "10.0.0.100";

/// What the router is to have in the end, and nothing else.
const EXPECTED: [&str; 7] = [
    "10.244.1.0/24",
    "10.244.2.0/24",
    // With their aggregate.
    "203.0.113.0/24",
    "203.0.113.10/32",
    "203.0.113.11/32",
    "198.51.100.0/24",
    // Of the aggregate that is refused the exact route is left.
    "10.0.0.200/32",
];

/// Services that ask for what is not theirs, each with the address, where it stands, and the rule.
const HARMFUL: [(&str, &str, &str, &str); 9] = [
    // As k3s writes it.
    ("k3s", "ingress", "10.0.0.2", "nodeAddress"),
    ("own", "externalIPs", "10.0.0.1", "nodeAddress"),
    ("silent", "externalIPs", "10.0.0.3", "nodeAddress"),
    ("outside", "externalIPs", "192.0.2.3", "nodeAddress"),
    ("router", "externalIPs", ROUTER, "peerAddress"),
    ("pod", "externalIPs", "10.244.3.7", "otherNodesPodCidr"),
    ("loopback", "externalIPs", "127.0.0.53", "notRoutable"),
    ("reserved", "externalIPs", "240.0.0.1", "notRoutable"),
    ("headless", "headless", "203.0.113.66", "headless"),
];

#[test]
fn addresses_of_others_are_never_announced() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        // Each change goes through before the next one is written.
        rack.write("harmful", &harmful())?;
        rack.write("last", &service("last", "ingress", "203.0.113.11"))?;
        rack.router.wait_route("203.0.113.11/32", SOON)?;
        eventually(SOON, "the router has what may be announced", || {
            rack.check()
        })?;
        always(Duration::from_secs(2), "and nothing else", || rack.check())?;
        for (at, node) in rack.nodes.iter().enumerate() {
            for (name, _, address, rule) in HARMFUL {
                let text = node.ask_text(&["explain", "service", &format!("shop/{name}")])?;
                let line = text.lines().find(|line| line.contains(address));
                let line = line.with_context(|| format!("{address} is not in: {text}"))?;
                ensure!(
                    line.contains("not advertised") && line.contains(&format!("(rule {rule})")),
                    "node {at}: not by {rule}: {text}"
                );
            }
            for (prefix, rule) in [
                ("0.0.0.0/0", "defaultRoute"),
                ("10.0.0.0/24", "aggregateCoversAddress"),
                ("10.0.0.0/25", "coversAddress"),
                ("10.0.0.100/32", "peerAddress"),
                ("10.244.3.0/25", "otherNodesPodCidr"),
            ] {
                let text = node.ask_text(&["explain", "prefix", prefix])?;
                let named = format!("(rule {rule})");
                ensure!(text.contains(&named), "node {at}: no {named} in: {text}");
            }
            let status = node.ask(&["status"])?;
            ensure!(
                status["refusedAnnouncements"].as_u64() >= Some(12),
                "node {at}: {status}"
            );
        }
        // When the reason goes, so does the refusal: a node that is removed has no addresses.
        for node in &rack.nodes {
            node.remove("node-3")?;
        }
        for prefix in ["10.0.0.3/32", "192.0.2.3/32", "10.244.3.7/32"] {
            rack.router.wait_route(prefix, SOON)?;
        }
        rack.check_sessions()
    });
}

struct Rack {
    nodes: Vec<Node>,
    router: Subject,
}

impl Rack {
    fn start(lab: &Lab) -> Result<Self> {
        let switch = lab.switch("switch")?;
        let at = lab.namespace("router")?;
        switch.plug(lab, &at, "eth0")?;
        at.address("eth0", &format!("{ROUTER}/24"))?;
        let mut speaker = Speaker::new(64501, ROUTER).install();
        for number in [1, 2] {
            speaker =
                speaker.neighbour(Neighbour::new(&format!("10.0.0.{number}"), 64512).passive());
        }
        let router = Subject::start(lab, Kind::Bird2, &at, speaker)?;
        let mut nodes = Vec::new();
        for number in [1, 2] {
            let namespace = lab.namespace(&format!("node-{number}"))?;
            switch.plug(lab, &namespace, "eth0")?;
            namespace.address("eth0", &format!("10.0.0.{number}/24"))?;
            let config = json!([
                object("Router", "default", &json!({"mesh": {"enabled": false}})),
                object(
                    "Peer",
                    "router",
                    &json!({"address": ROUTER, "asn": 64501, "timers": {"connectRetry": "1s"}}),
                ),
                object(
                    "Advertisement",
                    "exact",
                    &json!({
                        "podCIDRs": {},
                        "services": {"addresses": ["LoadBalancer", "External"], "externalIPs": ["0.0.0.0/0"]},
                    })
                ),
            ]);
            let files = [
                ("config", config),
                ("node-1", node(1)),
                ("node-2", node(2)),
                ("node-3", node(3)),
                ("first", service("first", "ingress", "203.0.113.10")),
            ];
            nodes.push(Node::start(&namespace, &files, &["--http", "off"])?);
        }
        let rack = Self { nodes, router };
        for number in [1, 2] {
            rack.router.wait_established(&format!("10.0.0.{number}"))?;
        }
        rack.router.wait_route("203.0.113.10/32", SOON)?;
        Ok(rack)
    }

    fn write(&self, name: &str, objects: &Value) -> Result<()> {
        self.nodes
            .iter()
            .try_for_each(|node| node.write(name, objects))
    }

    /// That the router has what is expected, and the sessions that it began with.
    fn check(&self) -> Result<()> {
        let routes = self.router.routes(Family::Ipv4)?;
        let learned = routes.iter().filter(|route| route.from.is_some());
        let found: BTreeSet<String> = learned.map(|route| route.prefix.to_string()).collect();
        let expected: BTreeSet<String> = EXPECTED.map(str::to_owned).into();
        ensure!(found == expected, "the router has {found:?}");
        self.check_sessions()
    }

    fn check_sessions(&self) -> Result<()> {
        for (at, node) in self.nodes.iter().enumerate() {
            let peers = node.ask(&["peers"])?;
            ensure!(
                peers[0]["state"] == "Established" && peers[0]["establishedCount"] == 1,
                "node {at}: not one session that lasted: {peers}"
            );
        }
        Ok(())
    }
}

fn node(number: usize) -> Value {
    let mut object = node_object(
        &format!("node-{number}"),
        &[&format!("10.0.0.{number}")],
        &[&format!("10.244.{number}.0/24")],
    );
    let external = json!({"type": "ExternalIP", "address": format!("192.0.2.{number}")});
    if let Some(addresses) = object["status"]["addresses"].as_array_mut() {
        addresses.push(external);
    }
    object
}

/// Services and Advertisements as somebody may write them who means no harm.
fn harmful() -> Value {
    let mut all: Vec<Value> = HARMFUL
        .iter()
        .flat_map(|(name, field, address, _)| objects(name, field, address))
        .collect();
    all.extend(objects("lan", "ingress", "10.0.0.200"));
    all.push(object(
        "Advertisement",
        "static",
        &json!({"prefixes": [
            "0.0.0.0/0", "198.51.100.0/24", "10.0.0.100/32", "10.0.0.0/25", "10.244.3.0/25",
        ]}),
    ));
    all.push(object(
        "Advertisement",
        "aggregate",
        &json!({"services": {"addresses": ["LoadBalancer"]}, "aggregate": {"ipv4": 24}, "mode": "Both"}),
    ));
    Value::from(all)
}

/// A Service with an endpoint on another node.
fn service(name: &str, field: &str, address: &str) -> Value {
    Value::from(objects(name, field, address))
}

fn objects(name: &str, field: &str, address: &str) -> Vec<Value> {
    let with = |addresses: &[&str], spec: Value| Service::new(name, addresses).spec(&spec);
    let service = match field {
        "ingress" => with(&[address], json!({"clusterIP": "10.96.0.10"})),
        "headless" => {
            let spec = json!({"type": null, "clusterIP": "None", "externalIPs": [address]});
            with(&[], spec)
        }
        _ => with(&[], json!({"clusterIP": "10.96.0.10", field: [address]})),
    };
    service.objects()
}
