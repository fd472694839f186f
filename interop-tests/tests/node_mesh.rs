//! Nodes among themselves: the iBGP mesh and route reflectors, both families, from pod to pod.
//!
//! Each node has one pod address per family on its loopback, inside its pod CIDRs, and pings between pods go by what
//! the agents learned from each other and installed.

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::{Ping, kernel};
use interop_tests::{Kind, Lab, Namespace, Need, Switch, always, eventually, run};
use serde_json::{Value, json};
use std::time::Duration;
use support::SOON;
use support::node::{Node, node_object, object};
use support::service::Service;

#[test]
fn nodes_of_a_mesh_reach_each_others_pods_while_nodes_are_added_and_removed() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let mut rack = Rack::new(lab, 3)?;
        rack.start(lab, 3, &mesh())?;
        rack.wait_pods(&[1, 2, 3])?;
        rack.check_one_session_each(&[1, 2, 3], 2)?;
        rack.check_services_stay_at_home(&[1, 2, 3])?;

        // A fourth node joins; its address is on the switch before anybody knows of it.
        rack.add(lab, 4)?;
        rack.describe(4)?;
        rack.start_node(3, 4, &mesh())?;
        rack.wait_pods(&[1, 2, 3, 4])?;
        // The sessions that there were have not been touched.
        rack.check_one_session_each(&[1, 2, 3, 4], 3)?;

        // Node 2 is removed from the cluster.
        for node in [1, 3, 4] {
            rack.nodes[node - 1].remove("node-2")?;
        }
        for node in [1, 3, 4] {
            for (_, prefix) in pods(2) {
                eventually(Duration::from_secs(30), "the removed node's pods", || {
                    let found = kernel::routes_to(&rack.nodes[node - 1].namespace, &prefix)?;
                    ensure!(found.is_empty(), "still there on node {node}: {found:?}");
                    Ok(())
                })?;
            }
        }
        rack.wait_pods(&[1, 3, 4])
    });
}

#[test]
fn a_mesh_becomes_reflectors_and_a_mesh_again_without_a_lost_packet() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let mut rack = Rack::new(lab, 3)?;
        rack.start(lab, 3, &mesh())?;
        rack.wait_pods(&[1, 2, 3])?;
        let pings = rack.ping_pods(&[(2, 3), (3, 2), (1, 2)])?;

        let monitor = kernel::Monitor::start(&rack.nodes[1].namespace)?;
        // One node after the other hears of it, as in a cluster, but slower.
        for node in [3, 2, 1] {
            rack.nodes[node - 1].write("config", &reflectors())?;
            eventually(SOON, "the node's sessions have their new names", || {
                let names = rack.peer_names(node)?;
                ensure!(
                    names.iter().any(|name| name.starts_with("reflectors/")),
                    "{names:?}"
                );
                Ok(())
            })?;
        }
        // In the end the clients have no session with each other any more.
        for (node, expected) in [
            (1, vec!["reflectors/node-2", "reflectors/node-3"]),
            (2, vec!["reflectors/node-1"]),
            (3, vec!["reflectors/node-1"]),
        ] {
            eventually(Duration::from_secs(40), "the mesh is gone", || {
                let names = rack.peer_names(node)?;
                ensure!(names == expected, "node {node}: {names:?}");
                Ok(())
            })?;
        }
        always(Duration::from_secs(1), "pods reach each other", || {
            rack.wait_pods(&[1, 2, 3])
        })?;
        rack.check_one_session_each(&[2, 3], 1)?;
        // Reflected: the next hop is the node of the pods, not the reflector.
        let route = kernel::routes_to(&rack.nodes[1].namespace, "10.244.3.0/24")?;
        let gateway = route.first().and_then(|route| route.paths[0].gateway);
        ensure!(gateway == Some([10, 0, 0, 3].into()), "{route:?}");

        // The path by a reflector leads to the same next hop of IPv4, so that the kernel hears nothing. Of IPv6 it has
        // the global one alone (RFC 2545): with the path of the other node, then without.
        let changes = monitor.lines()?;
        let of = |pods: &str| changes.iter().filter(|line| line.starts_with(pods)).count();
        ensure!(of("10.244.") == 0 && of("fd00:244:3:") <= 2, "{changes:#?}");
        // And back: the reflector hears of it first, and goes on to reflect until the mesh is there.
        for node in [1, 2, 3] {
            rack.nodes[node - 1].write("config", &mesh())?;
            eventually(SOON, "the node's sessions have their old names", || {
                let names = rack.peer_names(node)?;
                let in_mesh = names.iter().filter(|name| name.starts_with("mesh/"));
                ensure!(in_mesh.count() == 2, "{names:?}");
                Ok(())
            })?;
        }
        eventually(Duration::from_secs(40), "nobody reflects any more", || {
            let peers = rack.nodes[0].ask(&["peers"])?;
            let peers = peers.as_array().context("a list of peers")?;
            ensure!(
                peers.iter().all(|peer| peer["role"] == "internal"),
                "{peers:?}"
            );
            Ok(())
        })?;
        rack.wait_pods(&[1, 2, 3])?;
        for ping in pings {
            let loss = ping.stop()?;
            ensure!(loss.sent == loss.answered, "{loss:?}");
        }
        Ok(())
    });
}

/// The one that knows of the other first is refused until the other knows of it too, and waits longer each time. The
/// other dials at once, and is heard.
#[test]
fn a_node_that_learns_of_another_late_has_a_session_at_once() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let mut rack = Rack::new(lab, 2)?;
        let config = object("Router", "default", &json!({"mesh": {"enabled": true}}));
        rack.start_node(0, 2, &config)?;
        rack.start_node(1, 2, &config)?;
        rack.nodes[1].remove("node-1")?;
        eventually(SOON, "node 2 knows nobody", || {
            let names = rack.peer_names(2)?;
            ensure!(names.is_empty(), "{names:?}");
            Ok(())
        })?;
        let refused = || std::fs::read_to_string(rack.namespaces[1].dir().join("routelet.log"));
        eventually(Duration::from_secs(60), "node 1 is refused", || {
            let line = "refused a connection: no peer or listen range has its address";
            ensure!(refused()?.contains(line), "node 1 does not dial");
            Ok(())
        })?;
        rack.nodes[1].write("node-1", &node(1))?;
        eventually(SOON, "the session", || {
            let peers = rack.nodes[1].ask(&["peers"])?;
            ensure!(peers[0]["state"] == "Established", "{peers}");
            Ok(())
        })?;
        rack.wait_pods(&[1, 2])?;
        let log = std::fs::read_to_string(rack.namespaces[0].dir().join("routelet.log"))?;
        let mut sessions = log.lines().rev();
        let last = sessions.find(|line| line.contains("session established"));
        let last = last.context("no session")?;
        ensure!(
            last.contains("dialled=false"),
            "node 1 was not heard, but dialled: {last}"
        );
        Ok(())
    });
}

struct Rack {
    switch: Switch,
    namespaces: Vec<Namespace>,
    nodes: Vec<Node>,
}

impl Rack {
    /// `count` namespaces on one switch, without agents.
    fn new(lab: &Lab, count: usize) -> Result<Self> {
        let mut rack = Self {
            switch: lab.switch("switch")?,
            namespaces: Vec::new(),
            nodes: Vec::new(),
        };
        for number in 1..=count {
            rack.add(lab, number)?;
        }
        Ok(rack)
    }

    fn add(&mut self, lab: &Lab, number: usize) -> Result<()> {
        let namespace = lab.namespace(&format!("node-{number}"))?;
        // A link-local address that can be told by its number, instead of the kernel's.
        namespace.without_link_local()?;
        self.switch.plug(lab, &namespace, "eth0")?;
        namespace.address("eth0", &format!("fe80::{number}/64"))?;
        namespace.address("eth0", &format!("10.0.0.{number}/24"))?;
        namespace.address("eth0", &format!("fd00::{number}/64"))?;
        for (address, _) in pods(number) {
            let length = if address.contains(':') { 128 } else { 32 };
            namespace.address("lo", &format!("{address}/{length}"))?;
        }
        self.namespaces.push(namespace);
        Ok(())
    }

    /// Starts the agents of all namespaces at once: both ends of each session dial.
    fn start(&mut self, _lab: &Lab, count: usize, config: &Value) -> Result<()> {
        (0..count).try_for_each(|index| self.start_node(index, count, config))
    }

    fn start_node(&mut self, index: usize, count: usize, config: &Value) -> Result<()> {
        let mut files = vec![("config".to_owned(), config.clone())];
        files.extend((1..=count).map(|number| (format!("node-{number}"), node(number))));
        let files: Vec<(&str, Value)> = files
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let node = Node::start(&self.namespaces[index], &files, &["--http", "off"])?;
        self.nodes.push(node);
        Ok(())
    }

    /// Tells the agents that run of one more node.
    fn describe(&self, number: usize) -> Result<()> {
        self.nodes
            .iter()
            .try_for_each(|agent| agent.write(&format!("node-{number}"), &node(number)))
    }

    /// Pings between the pods of nodes, of both families, until they are stopped.
    fn ping_pods(&self, nodes: &[(usize, usize)]) -> Result<Vec<Ping>> {
        let pairs = nodes.iter().flat_map(|(from, to)| {
            let namespace = &self.nodes[from - 1].namespace;
            let ends = pods(*from).into_iter().zip(pods(*to));
            ends.map(move |(a, b)| Ping::start(namespace, &b.0, Some(&a.0)))
        });
        pairs.collect()
    }

    /// Waits until each node's kernel leads to each other's pods, in both families. Then they answer: the way back is
    /// there.
    fn wait_pods(&self, numbers: &[usize]) -> Result<()> {
        let pairs: Vec<(usize, usize)> = numbers
            .iter()
            .flat_map(|from| numbers.iter().map(|to| (*from, *to)))
            .filter(|(from, to)| from != to)
            .collect();
        for &(from, to) in &pairs {
            for (target, prefix) in pods(to) {
                let what = format!("node-{from} reaches {target} by {prefix}");
                eventually(SOON, &what, || {
                    let found = kernel::routes_to(&self.nodes[from - 1].namespace, &prefix)?;
                    let route = found.first().context("no route")?;
                    let gateway = route.paths.first().and_then(|path| path.gateway);
                    // Of two IPv6 next hops in an UPDATE the link-local one is taken (RFC 2545); a reflector passes
                    // only the global one on.
                    let expected = ["10.0.0.", "fe80::", "fd00::"].map(|net| format!("{net}{to}"));
                    ensure!(
                        gateway.is_some_and(|via| expected.contains(&via.to_string())),
                        "{found:?}"
                    );
                    Ok(())
                })?;
            }
        }
        for (from, to) in pairs {
            let namespace = &self.nodes[from - 1].namespace;
            for ((source, _), (target, _)) in pods(from).into_iter().zip(pods(to)) {
                namespace.run(&["ping", "-n", "-c1", "-W2", "-I", &source, &target])?;
            }
        }
        Ok(())
    }

    fn peer_names(&self, number: usize) -> Result<Vec<String>> {
        let peers = self.nodes[number - 1].ask(&["peers"])?;
        let peers = peers.as_array().context("a list of peers")?;
        let name = |peer: &Value| peer["name"].as_str().map(str::to_owned);
        peers
            .iter()
            .map(|peer| name(peer).with_context(|| format!("no name: {peer}")))
            .collect()
    }

    /// That nodes don't tell each other of Services: each knows them from the cluster.
    fn check_services_stay_at_home(&self, numbers: &[usize]) -> Result<()> {
        for number in numbers {
            let node = &self.nodes[number - 1];
            node.write("service", &service())?;
            eventually(SOON, "the Service is announced", || {
                let text = node.ask_text(&["explain", "prefix", "203.0.113.10/32"])?;
                ensure!(text.contains("nodes of the mesh know"), "{text}");
                Ok(())
            })?;
        }
        always(Duration::from_secs(1), "only pods are learned", || {
            for number in numbers {
                let status = self.nodes[number - 1].ask(&["status"])?;
                for family in status["families"].as_array().context("families")? {
                    let [paths, own] = ["paths", "originated"].map(|field| family[field].as_u64());
                    let learned = paths.zip(own).map(|(paths, own)| paths - own);
                    ensure!(
                        learned == Some(numbers.len() as u64 - 1),
                        "{number}: {status}"
                    );
                }
            }
            Ok(())
        })
    }

    /// That each of the nodes has `count` peers, and one session with each that never fell.
    fn check_one_session_each(&self, numbers: &[usize], count: usize) -> Result<()> {
        for number in numbers {
            let peers = self.nodes[number - 1].ask(&["peers"])?;
            let peers = peers.as_array().context("a list of peers")?;
            ensure!(peers.len() == count, "node {number}: {peers:?}");
            for peer in peers {
                ensure!(
                    peer["state"] == "Established" && peer["establishedCount"] == 1,
                    "node {number}: not one session that lasted: {peer}"
                );
            }
        }
        Ok(())
    }
}

/// A node's pod addresses with the pod CIDRs they are in, IPv4 first.
fn pods(number: usize) -> [(String, String); 2] {
    [
        (
            format!("10.244.{number}.1"),
            format!("10.244.{number}.0/24"),
        ),
        (
            format!("fd00:244:{number}::1"),
            format!("fd00:244:{number}::/64"),
        ),
    ]
}

/// The Node object of a node. The first one carries the label of reflectors.
fn node(number: usize) -> Value {
    let addresses = [format!("10.0.0.{number}"), format!("fd00::{number}")];
    let [(_, v4), (_, v6)] = pods(number);
    let mut object = node_object(
        &format!("node-{number}"),
        &addresses.each_ref().map(String::as_str),
        &[&v4, &v6],
    );
    object["metadata"]["labels"] = if number == 1 {
        json!({"role": "reflector"})
    } else {
        json!({"role": "worker"})
    };
    object
}

/// A Service that every node announces.
fn service() -> Value {
    let service = Service::new("web", &["203.0.113.10"]);
    let service = service.endpoint("node-1", &["10.244.1.7"]);
    json!(service.objects())
}

fn mesh() -> Value {
    let timers = json!({"connectRetry": "1s"});
    object(
        "Router",
        "default",
        &json!({"mesh": {"enabled": true, "timers": timers}}),
    )
}

fn reflectors() -> Value {
    let timers = json!({"connectRetry": "1s"});
    let peer = json!({
        "asn": "internal", "timers": timers,
        "nodes": {"selector": {"matchLabels": {"role": "reflector"}}, "reflectors": true},
    });
    json!([mesh(), object("Peer", "reflectors", &peer)])
}
