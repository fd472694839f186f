//! The files of `examples/routers` as they are: a router with that configuration, and nodes with that of `peers.yaml`.
//!
//! ```text
//!  node-1 192.0.2.11 --+
//!                      +-- 192.0.2.1 tor-a (BIRD with bird.conf)
//!  node-2 192.0.2.12 --+
//! ```

mod support;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{Kind, Namespace, Need, Process, eventually, run};
use serde_json::json;
use support::SOON;
use support::node::{Node, node_object};
use support::service::Service;

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

/// What both nodes announce, by family, and the address of each node that it is announced with.
const SHARED: [(&str, [&str; 2]); 2] = [
    ("203.0.113.10/32", ["192.0.2.11", "192.0.2.12"]),
    ("2001:db8:f::10/128", ["2001:db8:a::11", "2001:db8:a::12"]),
];

#[test]
fn the_bird_snippet_moves_the_traffic_of_a_drained_node() {
    run(&NEEDS, |lab| {
        let switch = lab.switch("switch")?;
        let tor = lab.namespace("tor-a")?;
        switch.plug(lab, &tor, "eth0")?;
        tor.address("eth0", "192.0.2.1/26")?;
        tor.address("eth0", "2001:db8:a::1/64")?;
        let bird = Bird::start(&tor)?;
        let mut nodes = Vec::new();
        for number in [1, 2] {
            let namespace = lab.namespace(&format!("node-{number}"))?;
            switch.plug(lab, &namespace, "eth0")?;
            nodes.push(node(&namespace, number)?);
        }
        // Its own pods a node announces alone, and they go on where they are.
        bird.wait_paths([&[0, 1], &[100, 100]])?;
        nodes[0].ask_text(&["drain"])?;
        bird.wait_paths([&[1], &[0, 100]])?;
        bird.wait_pods()?;
        nodes[0].ask_text(&["drain", "--undo"])?;
        bird.wait_paths([&[0, 1], &[100, 100]])
    });
}

/// Node `number`, whose agent has `peers.yaml`.
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
    let files = [("node", object), ("service", json!(service.objects()))];
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

struct Bird {
    namespace: Namespace,
    socket: String,
    _process: Process,
}

impl Bird {
    fn start(namespace: &Namespace) -> Result<Self> {
        let socket = namespace.dir().join("bird.ctl");
        let socket = socket.to_string_lossy().into_owned();
        let config = example("bird.conf");
        let config = config.to_str().context("a path that is no text")?;
        let process = namespace.spawn("bird", &["bird", "-f", "-c", config, "-s", &socket])?;
        let bird = Self {
            namespace: namespace.clone(),
            socket,
            _process: process,
        };
        eventually(SOON, "BIRD answers", || bird.ask("show status").map(drop))?;
        Ok(bird)
    }

    fn ask(&self, question: &str) -> Result<String> {
        let mut argv = vec!["birdc", "-s", &self.socket];
        argv.extend(question.split_whitespace());
        self.namespace.run(&argv)
    }

    /// Waits until traffic to each shared address goes to these nodes, and its paths have these local preferences.
    fn wait_paths(&self, [nodes, preferences]: [&[usize]; 2]) -> Result<()> {
        for (prefix, addresses) in SHARED {
            let expected: Vec<&str> = nodes.iter().map(|node| addresses[*node]).collect();
            eventually(SOON, &format!("{prefix} by {expected:?}"), || {
                let text = self.ask(&format!("show route all {prefix}"))?;
                let known = text
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix("BGP.local_pref: "));
                let mut known: Vec<usize> = known.map(str::parse).collect::<Result<_, _>>()?;
                known.sort_unstable();
                ensure!(known == preferences, "{text}");
                let routes = kernel::routes_to(&self.namespace, prefix)?;
                let paths = routes.iter().flat_map(|route| &route.paths);
                let mut ways: Vec<String> = paths
                    .filter_map(|path| path.gateway.map(|gateway| gateway.to_string()))
                    .collect();
                ways.sort();
                ensure!(ways == expected, "{ways:?}: {text}");
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
