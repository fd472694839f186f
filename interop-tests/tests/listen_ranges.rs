//! Peers that are not configured one by one: whoever dials from a range becomes a peer of its own.

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, State, Subject, Switch, always,
    eventually, run,
};
use serde_json::{Value, json};
use std::time::Duration;
use support::SOON;
use support::node::{Node, node_object, object};

/// Where agents serve metrics, each in a namespace of its own.
const HTTP: &str = "127.0.0.1:7179";

#[test]
fn a_host_in_a_listen_range_is_a_peer_until_the_range_is_removed() {
    run(&needs(), |lab| {
        let rack = Rack::start(lab, &json!([range("10.0.0.0/29", None)]))?;
        let [mut inside, outside] = [2, 9].map(|number| rack.router(lab, number, None));
        let (inside, outside) = (
            inside.as_mut().map_err(|e| anyhow::anyhow!("{e:#}"))?,
            outside?,
        );
        rack.wait_peer("range/10.0.0.2")?;
        inside.wait_route("10.244.1.0/24", SOON)?;
        rack.wait_kernel("198.51.2.0/24", true)?;
        always(Duration::from_secs(2), "no stranger gets in", || {
            let session = outside.session("10.0.0.1")?;
            ensure!(session.state != State::Established, "{session:?}");
            Ok(())
        })?;

        // A wider range lets the other in, and the session that there is stays.
        rack.node
            .write("ranges", &json!([range("10.0.0.0/28", None)]))?;
        rack.wait_peer("range/10.0.0.9")?;
        rack.wait_peer("range/10.0.0.2")?;

        // One leaves: its routes go with it.
        inside.stop()?;
        rack.wait_kernel("198.51.2.0/24", false)?;
        rack.wait_kernel("198.51.9.0/24", true)?;

        // The range goes, and all that it let in.
        rack.node.write("ranges", &json!([]))?;
        rack.wait_kernel("198.51.9.0/24", false)?;
        eventually(SOON, "no peer is left", || {
            let peers = rack.node.ask(&["peers"])?;
            ensure!(peers == json!([]), "{peers}");
            Ok(())
        })
    });
}

#[test]
fn a_listen_range_with_a_password_accepts_only_signed_connections() {
    run(&needs(), |lab| {
        let file = rack_file(lab, "open-sesame")?;
        let rack = Rack::start(lab, &json!([range("10.0.0.0/28", Some(&file))]))?;
        let right = rack.router(lab, 2, Some("open-sesame"))?;
        let wrong = rack.router(lab, 3, Some("linseed"))?;
        let without = rack.router(lab, 4, None)?;
        rack.wait_peer("range/10.0.0.2")?;
        right.wait_established("10.0.0.1")?;
        always(Duration::from_secs(3), "only one gets in", || {
            for other in [&wrong, &without] {
                let session = other.session("10.0.0.1")?;
                ensure!(session.state != State::Established, "{other}: {session:?}");
            }
            Ok(())
        })?;
        // The password changes without a manifest: who has the new one gets in, and the other's session ends.
        std::fs::write(&file, "linseed")?;
        wrong.wait_established("10.0.0.1")?;
        eventually(SOON, "the old password is of no use", || {
            let session = right.session("10.0.0.1")?;
            ensure!(session.state != State::Established, "{session:?}");
            Ok(())
        })
    });
}

/// Those that a range let in are forgotten with it: their routes, what is kept of them, their metrics; and the next one
/// starts anew.
#[test]
fn dynamic_peers_are_removed_with_their_listen_range() {
    run(&needs(), |lab| {
        let rack = Rack::start(lab, &json!([range("10.0.0.0/29", None)]))?;
        let numbers = [2, 3, 4];
        let before = rack.held()?;
        let routers: Vec<Subject> = numbers
            .iter()
            .map(|number| rack.router(lab, *number, None))
            .collect::<Result<_>>()?;
        for round in 1..=2 {
            for number in numbers {
                // Its first session, also where it was there before.
                rack.wait_peer(&format!("range/10.0.0.{number}"))?;
                rack.wait_kernel(&format!("198.51.{number}.0/24"), true)?;
            }
            let there = rack.held()?;
            ensure!(
                there.paths == before.paths + 3 && there.peers == 3,
                "{there:?}"
            );
            ensure!(there.places == Some(3) && there.series > 0, "{there:?}");
            ensure!(there.attribute_sets > before.attribute_sets, "{there:?}");
            rack.node.write("ranges", &json!([]))?;
            for number in numbers {
                rack.wait_kernel(&format!("198.51.{number}.0/24"), false)?;
            }
            eventually(SOON, &format!("nothing is left, round {round}"), || {
                let left = rack.held()?;
                ensure!(left.is_nothing_but(&before), "{left:?}, before {before:?}");
                Ok(())
            })?;
            for router in &routers {
                let session = router.session("10.0.0.1")?;
                ensure!(session.state != State::Established, "{session:?}");
            }
            rack.node
                .write("ranges", &json!([range("10.0.0.0/29", None)]))?;
        }
        rack.wait_peer("range/10.0.0.2")
    });
}

/// What an agent holds of the peers of its range.
#[derive(Debug)]
struct Held {
    peers: usize,
    /// Places of the range that are taken; `None`: there is no range.
    places: Option<u64>,
    paths: u64,
    attribute_sets: u64,
    /// Lines of a scrape that name the range or what came out of it.
    series: usize,
}

impl Held {
    /// Whether there is neither a range nor anything out of it, beside what there was before.
    fn is_nothing_but(&self, before: &Self) -> bool {
        self.peers == 0
            && self.places.is_none()
            && self.series == 0
            && self.paths == before.paths
            && self.attribute_sets <= before.attribute_sets
    }
}

fn needs() -> [Need; 3] {
    [
        Need::Speaker(Kind::Routelet),
        Need::Speaker(Kind::Bird2),
        Need::Program("curl"),
    ]
}

fn rack_file(lab: &Lab, password: &str) -> Result<String> {
    let file = lab.dir().join("password");
    std::fs::write(&file, password)?;
    Ok(file.to_string_lossy().into_owned())
}

fn range(net: &str, password: Option<&str>) -> Value {
    let mut spec = json!({"range": net, "asn": "external"});
    if let Some(file) = password {
        spec["password"] = json!({"file": file});
    }
    object("Peer", "range", &spec)
}

/// A node that listens, and a switch for routers that dial it.
struct Rack {
    switch: Switch,
    namespace: Namespace,
    node: Node,
}

impl Rack {
    fn start(lab: &Lab, ranges: &Value) -> Result<Self> {
        let switch = lab.switch("switch")?;
        let namespace = lab.namespace("node-1")?;
        switch.plug(lab, &namespace, "eth0")?;
        namespace.address("eth0", "10.0.0.1/24")?;
        let node = node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]);
        let files = [("node", node), ("ranges", ranges.clone())];
        let node = Node::start(&namespace, &files, &["--http", HTTP])?;
        Ok(Self {
            switch,
            namespace,
            node,
        })
    }

    /// A router at 10.0.0.`number` in an AS of its own, which dials the node and tells it 198.51.`number`.0/24.
    fn router(&self, lab: &Lab, number: u32, password: Option<&str>) -> Result<Subject> {
        let at = lab.namespace(&format!("router-{number}"))?;
        self.switch.plug(lab, &at, "eth0")?;
        at.address("eth0", &format!("10.0.0.{number}/24"))?;
        let mut neighbour = Neighbour::new("10.0.0.1", 64512);
        neighbour.password = password.map(str::to_owned);
        let speaker = Speaker::new(64500 + number, &format!("10.0.0.{number}"))
            .neighbour(neighbour)
            .originate(Origination::new(&format!("198.51.{number}.0/24")));
        Subject::start(lab, Kind::Bird2, &at, speaker)
    }

    /// Waits for a peer's first session. It must be Established and never have fallen.
    fn wait_peer(&self, name: &str) -> Result<()> {
        eventually(SOON, &format!("peer {name}"), || {
            let peer = self.node.ask(&["peers", name])?;
            ensure!(
                peer["state"] == json!("Established")
                    && peer["establishedCount"] == json!(1)
                    && peer["kind"] == json!("dynamic"),
                "{peer}"
            );
            Ok(())
        })
    }

    /// What the agent holds of peers now.
    fn held(&self) -> Result<Held> {
        let status = self.node.ask(&["status"])?;
        let families = status["families"].as_array().cloned().unwrap_or_default();
        let paths = families
            .iter()
            .filter_map(|family| family["paths"].as_u64());
        let url = format!("http://{HTTP}/metrics");
        let metrics = self.namespace.run(&["curl", "-sS", &url])?;
        let names = ["\"range\"", "\"range/", "\"Peer range\""];
        let series = metrics
            .lines()
            .filter(|line| names.iter().any(|name| line.contains(name)));
        Ok(Held {
            peers: self.node.ask(&["peers"])?.as_array().map_or(0, |peers| {
                let dynamic = peers.iter().filter(|peer| peer["kind"] == json!("dynamic"));
                dynamic.count()
            }),
            places: status["ranges"][0]["peers"].as_u64(),
            paths: paths.sum(),
            attribute_sets: status["attributeSets"].as_u64().unwrap_or(0),
            series: series.count(),
        })
    }

    fn wait_kernel(&self, prefix: &str, present: bool) -> Result<()> {
        eventually(SOON, &format!("{prefix} in the kernel: {present}"), || {
            let found = kernel::routes_to(&self.namespace, prefix)?;
            ensure!(found.is_empty() != present, "{found:?}");
            Ok(())
        })
    }
}
