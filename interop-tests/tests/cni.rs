//! Pods of nodes without another network plugin: connected by the standard plugins from the list that the agent wrote,
//! and reached by the routes that the agents exchanged, with no address translated.

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::{WebServer, get, kernel};
use interop_tests::{Family, Kind, Lab, Namespace, Need, Signal, eventually, run};
use ipnet::IpNet;
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{cluster_node, pod_cidrs};
use support::cni::{NEEDS, Runtime};
use support::node::{Node, node_object, object};
use support::segment::{Segment, v4, v6};

/// The file that the agent writes.
const FILE: &str = "10-routelet.conflist";

/// Where pods serve.
const PORT: u16 = 8080;

#[test]
fn pods_of_two_nodes_reach_each_other_over_veth_pairs() {
    pods_reach_each_other(&[]);
}

#[test]
fn pods_of_two_nodes_reach_each_other_by_bridges() {
    pods_reach_each_other(&["--cni-plugin", "bridge", "--cni-mtu", "1400"]);
}

fn pods_reach_each_other(options: &[&str]) {
    let needs = [&[Need::Speaker(Kind::Routelet)], &NEEDS[..]].concat();
    run(&needs, |lab| {
        let segment = Segment::new(lab)?;
        let hosts = [1, 2]
            .map(|n| Host::start(&segment, n, options))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let pods = [(1, "a"), (1, "b"), (2, "c")]
            .map(|(n, label)| Pod::start(lab, &hosts[n - 1], n, label, &[]))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;

        for pod in &pods {
            for address in pod.addresses.iter().map(ToString::to_string) {
                eventually(SOON, "the pod answers its node", || {
                    hosts[pod.node - 1].ping(&address)
                })?;
            }
        }
        for (from, to) in [(0, 1), (0, 2), (2, 1)] {
            for (source, target) in pods[from].addresses.iter().zip(&pods[to].addresses) {
                let (client, target) = (&pods[from].namespace, target.to_string());
                let answer = eventually(SOON, "one pod asks the other", || {
                    get(client, &target, PORT)
                })?;
                ensure!(answer.source == *source, "{answer:?}, not {source}");
            }
        }
        if options.contains(&"--cni-mtu") {
            let link = pods[0].namespace.ip("link show eth0")?;
            ensure!(link.contains("mtu 1400"), "{link}");
        }

        // What is deleted leaves nothing behind, and harms nobody.
        hosts[0]
            .runtime
            .delete(&pods[0].namespace, &[], &pods[0].result)?;
        let links = pods[0].namespace.ip("link show")?;
        ensure!(!links.contains("eth0"), "{links}");
        for (address, family) in pods[0].addresses.iter().zip([Family::Ipv4, Family::Ipv6]) {
            let file = format!("routelet/{address}");
            ensure!(!hosts[0].runtime.allocations().join(file).exists());
            let routes = kernel::routes(&hosts[0].node.namespace, family)?;
            ensure!(
                !routes
                    .iter()
                    .any(|route| route.prefix == IpNet::from(*address)),
                "{routes:?}"
            );
        }
        for address in pods[1].addresses.iter().map(ToString::to_string) {
            hosts[0].ping(&address)?;
            eventually(SOON, "the other pod still answers", || {
                get(&pods[2].namespace, &address, PORT)
            })?;
        }
        Ok(())
    });
}

#[test]
fn a_port_of_the_node_leads_to_the_pod_that_asks_for_it() {
    let needs = [
        &[Need::Speaker(Kind::Routelet), Need::Program("iptables")],
        &NEEDS[..],
    ]
    .concat();
    run(&needs, |lab| {
        let segment = Segment::new(lab)?;
        let host = Host::start(&segment, 1, &[])?;
        let client = segment.host("client", 9)?;
        let ports = [(8000, PORT)];
        let pod = Pod::start(lab, &host, 1, "pod", &ports)?;
        for (node, client_address) in [(v4(1), v4(9)), (v6(1), v6(9))] {
            let answer = eventually(SOON, "the port answers", || get(&client, &node, 8000))?;
            ensure!(answer.source.to_string() == client_address, "{answer:?}");
        }
        host.runtime.delete(&pod.namespace, &ports, &pod.result)?;
        ensure!(get(&client, &v4(1), 8000).is_err(), "still there");
        Ok(())
    });
}

#[test]
fn the_list_outlives_the_agent_and_the_pod_cidrs_and_is_not_written_twice() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let segment = Segment::new(lab)?;
        let mut host = Host::start(&segment, 1, &[])?;
        let path = host.directory.join(FILE);
        let written = std::fs::metadata(&path)?;
        std::fs::write(host.directory.join("05-other.conflist"), "{}")?;
        host.node.end(Signal::SIGTERM)?;
        ensure!(path.exists(), "the agent has ended, and the list with it");

        host.node.launch()?;
        eventually(SOON, "the other list is named", || {
            let log = host.node.log();
            ensure!(log.contains("05-other.conflist is before"), "{log}");
            Ok(())
        })?;
        let text = std::fs::read_to_string(&path)?;
        host.node
            .write("node-1", &node_object("node-1", &[&v4(1), &v6(1)], &[]))?;
        eventually(SOON, "the agent says that the CIDRs are gone", || {
            let log = host.node.log();
            ensure!(log.contains("no longer has pod CIDRs"), "{log}");
            Ok(())
        })?;
        ensure!(std::fs::read_to_string(&path)? == text);
        let now = std::fs::metadata(&path)?;
        ensure!((now.ino(), now.mtime_nsec()) == (written.ino(), written.mtime_nsec()));

        let other = node_object("node-1", &[&v4(1), &v6(1)], &["10.244.77.0/24"]);
        host.node.write("node-1", &other)?;
        eventually(SOON, "other CIDRs, another list", || {
            let text = std::fs::read_to_string(&path)?;
            ensure!(
                text.contains("10.244.77.0/24") && !text.contains("fd00:"),
                "{text}"
            );
            Ok(())
        })
    });
}

/// A node with an agent that writes a list, and a runtime that reads it.
struct Host {
    node: Node,
    directory: PathBuf,
    runtime: Runtime,
}

impl Host {
    /// Node `n` of two that are a mesh; its list is there.
    fn start(segment: &Segment<'_>, n: u8, options: &[&str]) -> Result<Self> {
        let namespace = segment.host(&format!("node-{n}"), n)?;
        namespace.forward()?;
        let directory = namespace.dir().join("net.d");
        let timers = json!({"connectRetry": "1s"});
        let router = object(
            "Router",
            "default",
            &json!({"mesh": {"enabled": true, "timers": timers}}),
        );
        let files = [
            ("config", router),
            ("node-1", cluster_node(1)),
            ("node-2", cluster_node(2)),
        ];
        let shown = directory.to_string_lossy();
        let mut extra = vec!["--http", "off", "--cni-config-dir", &shown];
        extra.extend(options);
        let node = Node::start(&namespace, &files, &extra)?;
        eventually(SOON, "the agent writes its list", || {
            std::fs::metadata(directory.join(FILE)).context("no list")
        })?;
        let runtime = Runtime::new(&namespace, &directory);
        Ok(Self {
            node,
            directory,
            runtime,
        })
    }

    fn ping(&self, address: &str) -> Result<()> {
        let argv = ["ping", "-n", "-c1", "-W2", address];
        self.node.namespace.run(&argv).map(drop)
    }
}

/// A pod that serves.
struct Pod {
    namespace: Namespace,
    node: usize,
    /// IPv4 first.
    addresses: Vec<std::net::IpAddr>,
    result: Value,
    _server: WebServer,
}

impl Pod {
    /// A pod of node `n`, with an address of each of its CIDRs; `ports` as of [`Runtime::add`].
    fn start(lab: &Lab, host: &Host, n: usize, label: &str, ports: &[(u16, u16)]) -> Result<Self> {
        let namespace = lab.namespace(label)?;
        let result = host.runtime.add(&namespace, ports)?;
        let ips = result["ips"].as_array().context("no addresses")?;
        let addresses = ips
            .iter()
            .map(|ip| {
                let address = ip["address"].as_str().context("no address")?;
                Ok(address.parse::<IpNet>()?.addr())
            })
            .collect::<Result<Vec<_>>>()?;
        let cidrs = pod_cidrs(u8::try_from(n)?);
        ensure!(addresses.len() == cidrs.len(), "{result}");
        for (address, cidr) in addresses.iter().zip(&cidrs) {
            ensure!(
                cidr.parse::<IpNet>()?.contains(address),
                "{address}, {cidr}"
            );
        }
        let _server = WebServer::start(&namespace, PORT)?;
        Ok(Self {
            namespace,
            node: n,
            addresses,
            result,
            _server,
        })
    }
}
