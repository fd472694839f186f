//! `examples/routers/frr.conf` as it is: FRR with that configuration, and nodes with that of `peers.yaml`.
//!
//! ```text
//!  node-1 192.0.2.11 --+
//!                      +-- 192.0.2.1 tor-a (FRR with frr.conf)
//!  node-2 192.0.2.12 --+
//! ```

mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{Kind, Namespace, Need, Process, always, eventually, run};
use serde_json::{Value, json};
use std::time::Duration;
use support::SOON;
use support::node::{Node, node_object};
use support::service::Service;

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Frr8)];

/// What both nodes announce, by family, and the address of each node that it is announced with.
const SHARED: [(&str, [&str; 2]); 2] = [
    ("203.0.113.10/32", ["192.0.2.11", "192.0.2.12"]),
    ("2001:db8:f::10/128", ["2001:db8:a::11", "2001:db8:a::12"]),
];

/// The router's addresses, by family, and what it gives nodes.
const ROUTER: [(&str, &str); 2] = [("192.0.2.1", "0.0.0.0/0"), ("2001:db8:a::1", "::/0")];

#[test]
fn the_frr_snippet_accepts_the_right_routes_and_moves_the_traffic_of_a_drained_node() {
    run(&NEEDS, |lab| {
        let switch = lab.switch("switch")?;
        let tor = lab.namespace("tor-a")?;
        switch.plug(lab, &tor, "eth0")?;
        tor.address("eth0", "192.0.2.1/26")?;
        tor.address("eth0", "2001:db8:a::1/64")?;
        let frr = Frr::start(&tor)?;
        let mut nodes = Vec::new();
        for number in [1, 2] {
            let namespace = lab.namespace(&format!("node-{number}"))?;
            switch.plug(lab, &namespace, "eth0")?;
            nodes.push(node(&namespace, number)?);
        }
        frr.wait_ways(&[0, 1])?;
        frr.wait_pods()?;
        // The filters: what is neither a pod CIDR nor a LoadBalancer address stays out.
        always(Duration::from_secs(2), "a stray prefix stays out", || {
            for prefix in ["198.51.100.0/24", "2001:db8:dead::/48"] {
                let found = kernel::routes_to(&frr.namespace, prefix)?;
                ensure!(found.is_empty(), "{found:?}");
            }
            Ok(())
        })?;
        // The other way: the default routes, by the router's address of the session, and nothing else.
        for node in &nodes {
            for (gateway, prefix) in ROUTER {
                eventually(SOON, &format!("{prefix} by {gateway}"), || {
                    let found = kernel::routes_to(&node.namespace, prefix)?;
                    let ours = found.iter().find(|route| route.protocol == "179");
                    let route = ours.context("no route")?;
                    let gateways = route.paths.iter().filter_map(|path| path.gateway);
                    let gateways: Vec<String> = gateways.map(|g| g.to_string()).collect();
                    // IPv6 routes may come with a link-local next hop.
                    let is_router = |g: &String| *g == gateway || g.starts_with("fe80::");
                    ensure!(gateways.len() == 1 && is_router(&gateways[0]), "{route:?}");
                    Ok(())
                })?;
            }
        }
        nodes[0].ask_text(&["drain"])?;
        frr.wait_ways(&[1])?;
        frr.wait_pods()?;
        nodes[0].ask_text(&["drain", "--undo"])?;
        frr.wait_ways(&[0, 1])
    });
}

/// Node `number`, whose agent has `peers.yaml`, and announces more than it should.
fn node(namespace: &Namespace, number: u8) -> Result<Node> {
    let addresses = SHARED.map(|(_, nodes)| nodes[usize::from(number) - 1]);
    for (address, length) in addresses.iter().zip([26, 64]) {
        namespace.address("eth0", &format!("{address}/{length}"))?;
    }
    let pods = pods(number);
    let object = node_object(
        namespace.label(),
        &addresses,
        &pods.each_ref().map(String::as_str),
    );
    let addresses = SHARED.map(|(prefix, _)| prefix.split('/').next().unwrap_or_default());
    let service = Service::new("web", &addresses);
    let service = service.endpoint("elsewhere", &["10.244.9.1", "fd00:10:244:9::1"]);
    let stray = support::node::object(
        "Advertisement",
        "stray",
        &json!({"prefixes": ["198.51.100.0/24", "2001:db8:dead::/48"]}),
    );
    let files = [
        ("node", object),
        ("service", json!(service.objects())),
        ("stray", stray),
    ];
    let node = Node::start(namespace, &files, &["--http", "off"])?;
    node.write_text("peers", &std::fs::read_to_string(example("peers.yaml"))?)?;
    Ok(node)
}

fn pods(number: u8) -> [String; 2] {
    [
        format!("10.244.{number}.0/24"),
        format!("fd00:10:244:{number}::/64"),
    ]
}

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/routers")
        .join(name)
}

struct Frr {
    namespace: Namespace,
    _processes: [Process; 2],
}

impl Frr {
    fn start(namespace: &Namespace) -> Result<Self> {
        // The daemons give up root and must be able to write here.
        let dir = namespace.dir().join("frr");
        std::fs::create_dir_all(&dir)?;
        std::fs::copy(example("frr.conf"), dir.join("frr.conf"))?;
        std::fs::write(dir.join("zebra.conf"), "log stdout\n")?;
        let dir = dir.to_string_lossy().into_owned();
        namespace.run(&["chown", "-R", "frr:frr", &dir])?;
        let socket = format!("{dir}/zserv.api");
        let start = |daemon: &str, config: &str| {
            let (program, pid) = (
                format!("/usr/lib/frr/{daemon}"),
                format!("{dir}/{daemon}.pid"),
            );
            let config = format!("{dir}/{config}");
            namespace.spawn(
                daemon,
                &[
                    &*program,
                    "-u",
                    "frr",
                    "-g",
                    "frr",
                    "-A",
                    "127.0.0.1",
                    "--vty_socket",
                    &dir,
                    "-z",
                    &socket,
                    "-i",
                    &pid,
                    "-f",
                    &config,
                ],
            )
        };
        let zebra = start("zebra", "zebra.conf")?;
        eventually(SOON, "zebra listens", || {
            zebra.check_alive()?;
            ensure!(Path::new(&socket).exists(), "no {socket}");
            Ok(())
        })?;
        let bgpd = start("bgpd", "frr.conf")?;
        let frr = Self {
            namespace: namespace.clone(),
            _processes: [zebra, bgpd],
        };
        eventually(SOON, "bgpd has the snippet", || {
            let text = frr.ask("show running-config")?;
            ensure!(text.contains("bgp listen range 192.0.2.0/26"), "{text}");
            Ok(())
        })?;
        Ok(frr)
    }

    fn ask(&self, question: &str) -> Result<String> {
        let dir = self.namespace.dir().join("frr");
        let dir = dir.to_string_lossy();
        self.namespace
            .run(&["vtysh", "--vty_socket", &dir, "-d", "bgpd", "-c", question])
    }

    /// Waits until traffic to each shared address goes to these nodes; each of them is a neighbour of either family.
    fn wait_ways(&self, nodes: &[usize]) -> Result<()> {
        for (prefix, addresses) in SHARED {
            let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
            let expected: Vec<&str> = nodes.iter().map(|node| addresses[*node]).collect();
            eventually(SOON, &format!("{prefix} by {expected:?}"), || {
                let text = self.ask(&format!("show bgp {family} unicast {prefix} json"))?;
                let found: Value = serde_json::from_str(&text)?;
                let paths = found["paths"].as_array().cloned().unwrap_or_default();
                ensure!(paths.len() == 2, "of both nodes, used or not: {text}");
                let used = paths.iter().filter(|path| path["multipath"] == json!(true));
                let used = used.chain(paths.iter().filter(|path| {
                    path["multipath"].is_null() && path["bestpath"]["overall"] == json!(true)
                }));
                let mut ways: Vec<&str> = used
                    .filter_map(|path| path["peer"]["peerId"].as_str())
                    .collect();
                ways.sort_unstable();
                ensure!(ways == expected, "{ways:?}: {text}");
                let routes = kernel::routes_to(&self.namespace, prefix)?;
                let count: usize = routes.iter().map(|route| route.paths.len()).sum();
                ensure!(count == nodes.len(), "{routes:?}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until the kernel has the pods of both nodes.
    fn wait_pods(&self) -> Result<()> {
        for prefix in [1, 2].into_iter().flat_map(pods) {
            eventually(SOON, &prefix, || {
                ensure!(!kernel::routes_to(&self.namespace, &prefix)?.is_empty());
                Ok(())
            })?;
        }
        Ok(())
    }
}
