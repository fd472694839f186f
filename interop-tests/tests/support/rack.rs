//! A node with two routers, each on a link of its own, that announce the same network.
//!
//! ```text
//!              10.0.2.1 eth2 --- eth0 10.0.2.2  router-2 (BIRD, AS 64502)
//!  node-1 <                                                                > 198.51.100.0/24, 2001:db8:100::/48
//!              10.0.3.1 eth3 --- eth0 10.0.3.2  router-3 (FRR, AS 64503)
//! ```
//!
//! Either router has the first host of the network on its loopback, so that a ping from the node shows whether it is
//! reached, whichever way the kernel takes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel::{self, KernelRoute};
use interop_tests::{
    Family, Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually,
};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::SOON;
use super::node::{Node, node_object, object};

/// What both routers announce.
pub const NETWORKS: [&str; 2] = ["198.51.100.0/24", "2001:db8:100::/48"];
/// A host in each of [`NETWORKS`] that both routers are.
pub const HOSTS: [&str; 2] = ["198.51.100.1", "2001:db8:100::1"];
/// The pod CIDRs of the node, which it announces.
pub const POD_CIDRS: [&str; 2] = ["10.244.1.0/24", "fd00:244:1::/64"];
/// The protocol number of the agent's routes, as `ip` shows it.
pub const PROTOCOL: &str = "179";
/// The metric of the agent's routes unless a Router says otherwise.
pub const METRIC: u32 = 1790;

/// What [`Rack::start`] needs.
pub const NEEDS: [Need; 3] = [
    Need::Speaker(Kind::Routelet),
    Need::Speaker(Kind::Bird2),
    Need::Speaker(Kind::Frr8),
];

/// The node and its routers.
pub struct Rack {
    pub node: Node,
    pub routers: Vec<Subject>,
}

impl Rack {
    /// Starts everything with an empty `spec` of the Router.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::start_with(lab, &json!({}), &[])
    }

    /// The same, with routers that do not ask for their routes to be kept when they go.
    pub fn start_abrupt(lab: &Lab) -> Result<Self> {
        Self::start_all(lab, &json!({}), &[], abrupt)
    }

    /// Starts everything and waits until the sessions are Established. `router` is the spec of the Router object,
    /// `extra` are arguments of the agent.
    pub fn start_with(lab: &Lab, router: &Value, extra: &[&str]) -> Result<Self> {
        Self::start_all(lab, router, extra, speaker)
    }

    /// The same with an empty `spec`, and routers that are made by `speaker`.
    pub fn start_beside(lab: &Lab, speaker: fn(u32) -> Speaker) -> Result<Self> {
        Self::start_all(lab, &json!({}), &[], speaker)
    }

    fn start_all(
        lab: &Lab,
        router: &Value,
        extra: &[&str],
        speaker: fn(u32) -> Speaker,
    ) -> Result<Self> {
        let namespace = lab.namespace("node-1")?;
        let mut routers = Vec::new();
        for (number, kind) in [(2, Kind::Bird2), (3, Kind::Frr8)] {
            let at = lab.namespace(&format!("router-{number}"))?;
            let interface = format!("eth{number}");
            lab.link((&namespace, &interface), (&at, "eth0"))?;
            namespace.address(&interface, &format!("10.0.{number}.1/24"))?;
            namespace.address(&interface, &format!("fd00:{number}::1/64"))?;
            at.address("eth0", &format!("10.0.{number}.2/24"))?;
            at.address("eth0", &format!("fd00:{number}::2/64"))?;
            for (host, length) in HOSTS.iter().zip([32, 128]) {
                at.address("lo", &format!("{host}/{length}"))?;
            }
            at.forward()?;
            // What a ping comes from depends on the way it takes; either router answers by its own link.
            at.ip(&format!("route add 10.0.0.0/16 via 10.0.{number}.1"))?;
            at.ip(&format!("-6 route add fd00::/16 via fd00:{number}::1"))?;
            routers.push(Subject::start(lab, kind, &at, speaker(number))?);
        }
        let mut words = vec!["--http", "off"];
        words.extend(extra);
        let node = Node::start(&namespace, &[("config", config(Some(router)))], &words)?;
        let rack = Self { node, routers };
        for (router, number) in rack.routers.iter().zip([2, 3]) {
            router.wait_established(&format!("10.0.{number}.1"))?;
        }
        Ok(rack)
    }

    /// The node's namespace.
    pub fn kernel(&self) -> &Namespace {
        &self.node.namespace
    }

    /// The agent's route with a prefix.
    pub fn own_route(&self, prefix: &str) -> Result<KernelRoute> {
        let found = kernel::routes_to(self.kernel(), prefix)?;
        let own = found.iter().find(|route| route.protocol == PROTOCOL);
        own.cloned()
            .with_context(|| format!("no route of the agent's to {prefix}; there are {found:?}"))
    }

    /// All prefixes of the agent's routes.
    pub fn own_prefixes(&self) -> Result<Vec<IpNet>> {
        let mut all = Vec::new();
        for family in Family::ALL {
            let routes = kernel::routes(self.kernel(), family)?;
            all.extend(
                routes
                    .iter()
                    .filter(|route| route.protocol == PROTOCOL)
                    .map(|route| route.prefix),
            );
        }
        all.sort();
        Ok(all)
    }

    /// Waits until the agent's routes to [`NETWORKS`] go over exactly these interfaces.
    pub fn wait_ways(&self, interfaces: &[&str]) -> Result<()> {
        for prefix in NETWORKS {
            self.wait_ways_to(prefix, interfaces)?;
        }
        Ok(())
    }

    /// Waits until the agent's routes to [`NETWORKS`] are usable over exactly these interfaces: others may be named in
    /// the route while their link is down.
    pub fn wait_usable_ways(&self, interfaces: &[&str]) -> Result<()> {
        for (prefix, option) in NETWORKS.iter().zip(["-4", "-6"]) {
            let what = format!("{prefix} usable over {interfaces:?}");
            eventually(Duration::from_secs(30), &what, || {
                let text = self
                    .kernel()
                    .ip(&format!("-j {option} route show {prefix} proto {PROTOCOL}"))?;
                let shown: Value = serde_json::from_str(&text)?;
                let route = &shown[0];
                let hops = match route["nexthops"].as_array() {
                    Some(hops) => hops.clone(),
                    None => vec![route.clone()],
                };
                let mut usable: Vec<&str> = hops
                    .iter()
                    .filter(|hop| {
                        let flags = hop["flags"].as_array();
                        !flags.is_some_and(|flags| {
                            flags.contains(&json!("linkdown")) || flags.contains(&json!("dead"))
                        })
                    })
                    .filter_map(|hop| hop["dev"].as_str())
                    .collect();
                usable.sort_unstable();
                ensure!(usable == interfaces, "{shown}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until the agent's route to `prefix` goes over exactly these interfaces.
    pub fn wait_ways_to(&self, prefix: &str, interfaces: &[&str]) -> Result<()> {
        eventually(SOON, &format!("{prefix} over {interfaces:?}"), || {
            let route = self.own_route(prefix)?;
            let mut over: Vec<&str> = route
                .paths
                .iter()
                .filter_map(|path| path.interface.as_deref())
                .collect();
            over.sort_unstable();
            ensure!(over == interfaces, "{route:?}");
            Ok(())
        })
    }

    /// Waits until the agent has no route to `prefix`.
    pub fn wait_no_way_to(&self, prefix: &str) -> Result<()> {
        let wanted: IpNet = prefix.parse()?;
        eventually(SOON, &format!("no route to {prefix}"), || {
            let have = self.own_prefixes()?;
            ensure!(!have.contains(&wanted), "there are {have:?}");
            Ok(())
        })
    }

    /// Waits until the agent says that its routes have converged.
    pub fn wait_converged(&self) -> Result<()> {
        eventually(Duration::from_secs(30), "convergence", || {
            let status = self.node.ask(&["status"])?;
            ensure!(status["convergence"]["converged"] == true, "{status}");
            Ok(())
        })
    }
}

/// The objects of the node: the Router with this `spec`, or none.
pub fn config(router: Option<&Value>) -> Value {
    let mut objects = vec![node_object(
        "node-1",
        &["10.0.2.1", "fd00:2::1"],
        &POD_CIDRS,
    )];
    objects.extend(router.map(|spec| object("Router", "default", spec)));
    for number in [2, 3] {
        let spec = json!({
            "address": format!("10.0.{number}.2"), "asn": 64500 + number,
            "timers": {"connectRetry": "1s"},
        });
        objects.push(object("Peer", &format!("router-{number}"), &spec));
    }
    json!(objects)
}

/// What router `number` is told: the networks, with graceful restart.
pub fn speaker(number: u32) -> Speaker {
    let neighbour = Neighbour::new(&format!("10.0.{number}.1"), 64512)
        .passive()
        .graceful_restart(Duration::from_secs(60));
    NETWORKS.iter().fold(
        Speaker::new(64500 + number, &format!("10.0.{number}.2")).neighbour(neighbour),
        |speaker, network| speaker.originate(Origination::new(network)),
    )
}

/// The same without graceful restart: the session's end is the end of the routes.
pub fn abrupt(number: u32) -> Speaker {
    let mut speaker = speaker(number);
    speaker.neighbours[0].graceful_restart = None;
    speaker
}
