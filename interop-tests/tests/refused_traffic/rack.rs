//! A router, a node and a pod, and what is asked of them.

use std::io::ErrorKind;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::probe::get;
use interop_tests::{Lab, Namespace, eventually};
use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::node::{Node, node_object, object};
use crate::{CLUSTER, LOAD_BALANCER, NO_POD, TABLE, UNSERVED, UNUSED};

/// A node with a pod, and a router that has routes to all that the node announces.
pub(crate) struct Rack {
    pub(crate) node: Node,
    pub(crate) router: Namespace,
    pub(crate) pod: Namespace,
}

impl Rack {
    pub(crate) fn start(lab: &Lab, router_spec: &Value, extra: &[&str]) -> Result<Self> {
        let [router, namespace, pod] = link(lab)?;
        forward(&router, &namespace, &pod)?;
        count_what_comes_back(&router)?;
        let files = [("config", config(router_spec))];
        let words = [&["--http", "off", "--kube-proxy", "off"][..], extra].concat();
        let node = Node::start(&namespace, &files, &words)?;
        Ok(Self { node, router, pod })
    }

    /// The destinations in the table that refuses.
    pub(crate) fn refused(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for family in ["-4", "-6"] {
            // A table that never had a route is unknown to `ip`.
            let show = ["ip", family, "route", "show", "table", TABLE];
            let text = self.node.namespace.output(&show, SOON)?.stdout;
            all.extend(text.lines().filter_map(|line| {
                line.strip_prefix("unreachable ")?
                    .split(' ')
                    .next()
                    .map(str::to_owned)
            }));
        }
        Ok(all)
    }

    /// The agent's rules.
    pub(crate) fn rules(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for family in ["-4", "-6"] {
            let text = self.node.namespace.ip(&format!("{family} rule show"))?;
            all.extend(
                text.lines()
                    .filter(|line| line.contains("proto 179"))
                    .map(str::to_owned),
            );
        }
        Ok(all)
    }

    pub(crate) fn wait_refused(&self, address: &str) -> Result<()> {
        eventually(SOON, &format!("{address} in table {TABLE}"), || {
            let refused = self.refused()?;
            ensure!(refused.iter().any(|one| one == address), "{refused:?}");
            Ok(())
        })
    }

    /// How many packets have come back to the router.
    pub(crate) fn came_back(&self) -> Result<u64> {
        let text = self
            .router
            .run(&["nft", "list", "counter", "inet", "lab", "back"])?;
        let mut words = text
            .split_whitespace()
            .skip_while(|word| *word != "packets")
            .skip(1);
        let number = words.next().with_context(|| text.clone())?;
        number.parse().with_context(|| text.clone())
    }

    /// Whether nothing comes back any more.
    pub(crate) fn settled(&self) -> Result<bool> {
        let before = self.came_back()?;
        for address in NO_POD {
            self.is_refused(&self.router, address)?;
        }
        Ok(self.came_back()? == before)
    }

    /// That a client gets an ICMP error for an address.
    pub(crate) fn is_refused(&self, client: &Namespace, address: &str) -> Result<()> {
        // More than one: a busy kernel may drop an ICMP error.
        let ping = ["ping", "-n", "-c4", "-i0.3", "-W2", address];
        let answer = client.output(&ping, SOON)?.stdout;
        ensure!(
            answer.contains("nreachable"),
            "{} pings {address}: {answer}",
            client.label()
        );
        Ok(())
    }

    /// That what nothing answers gets an error, and that no packet comes back to the router for it.
    pub(crate) fn is_refused_once(&self, client: &Namespace) -> Result<()> {
        let before = self.came_back()?;
        for address in UNUSED {
            self.is_refused(client, address)?;
        }
        for address in LOAD_BALANCER.iter().chain(&CLUSTER) {
            let Err(error) = get(client, address, UNSERVED) else {
                bail!("{address} answers on port {UNSERVED}");
            };
            let kind = error
                .downcast_ref::<std::io::Error>()
                .map(std::io::Error::kind);
            let refused = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
            ensure!(
                kind.is_some_and(|kind| refused.contains(&kind)),
                "{} asks {address}, port {UNSERVED}: {error:#}",
                client.label()
            );
        }
        let came_back = self.came_back()? - before;
        ensure!(
            came_back == 0,
            "{came_back} packets of {} came back",
            client.label()
        );
        Ok(())
    }
}

/// The router, the node and the pod, with their links and addresses.
fn link(lab: &Lab) -> Result<[Namespace; 3]> {
    let [router, namespace, pod] = ["router", "node-1", "pod"].map(|label| lab.namespace(label));
    let (router, namespace, pod) = (router?, namespace?, pod?);
    lab.link((&router, "eth0"), (&namespace, "eth0"))?;
    lab.link((&namespace, "pod0"), (&pod, "eth0"))?;
    for (at, interface, addresses) in [
        (&router, "eth0", ["10.0.0.9/24", "fd00::9/64"]),
        (&namespace, "eth0", ["10.0.0.1/24", "fd00::1/64"]),
        (&namespace, "pod0", ["169.254.1.1/32", "fe80::1/64"]),
        (&pod, "eth0", ["10.244.1.5/32", "fd00:244:1::5/128"]),
    ] {
        for address in addresses {
            at.address(interface, address)?;
        }
    }
    Ok([router, namespace, pod])
}

/// Routes of the router to the node, and of the node back; both forward.
fn forward(router: &Namespace, namespace: &Namespace, pod: &Namespace) -> Result<()> {
    for (at, routes) in [
        (
            router,
            &[
                "203.0.113.0/24 via 10.0.0.1",
                "10.96.0.0/24 via 10.0.0.1",
                "10.244.1.0/24 via 10.0.0.1",
                "2001:db8:f::/64 via fd00::1",
                "fd00:96::/64 via fd00::1",
                "fd00:244:1::/64 via fd00::1",
            ][..],
        ),
        // A default route, and the summaries that routers announce: all lead back.
        (
            namespace,
            &[
                "default via 10.0.0.9",
                "203.0.112.0/20 via 10.0.0.9",
                "10.0.0.0/8 via 10.0.0.9",
                "default via fd00::9",
                "2001:db8::/32 via fd00::9",
                "fd00::/16 via fd00::9",
                "10.244.1.5 dev pod0",
                "fd00:244:1::5 dev pod0",
            ][..],
        ),
        (
            pod,
            &[
                "169.254.1.1 dev eth0",
                "default via 169.254.1.1",
                "default via fe80::1 dev eth0",
            ][..],
        ),
    ] {
        for route in routes {
            let family = if route.contains("::") { "-6" } else { "-4" };
            at.ip(&format!("{family} route add {route}"))?;
        }
    }
    namespace.forward()?;
    router.forward()?;
    // Of ICMP errors, as many as are asked for.
    for at in [router, namespace] {
        at.sysctl("net.ipv4.icmp_ratelimit", "0")?;
        at.sysctl("net.ipv6.icmp.ratelimit", "0")?;
        at.sysctl("net.ipv4.conf.all.send_redirects", "0")?;
        at.sysctl("net.ipv4.conf.eth0.send_redirects", "0")?;
    }
    Ok(())
}

/// Counts what the router forwards to what the node announces.
fn count_what_comes_back(router: &Namespace) -> Result<()> {
    // What the router forwards to these was here before: from its own clients nothing is forwarded.
    let counted = |v6: usize| {
        let keyword = ["ip", "ip6"][v6];
        let nets = [
            ["203.0.113.0/24", "10.96.0.0/24", "10.244.1.0/24"],
            ["2001:db8:f::/64", "fd00:96::/64", "fd00:244:1::/64"],
        ][v6];
        format!(
            "{keyword} daddr {{ {} }} counter name back;",
            nets.join(", ")
        )
    };
    let counting = format!(
        "table inet lab {{\ncounter back {{ }}\nchain forward {{\ntype filter hook forward priority 0;\n{}\n{}\n}}\n}}\n",
        counted(0),
        counted(1)
    );
    router
        .run_with_input(&["nft", "-f", "-"], &counting)
        .map(drop)
}

/// The node's objects.
fn config(router_spec: &Value) -> Value {
    json!([
        object("Router", "default", router_spec),
        node_object(
            "node-1",
            &["10.0.0.1", "fd00::1"],
            &["10.244.1.0/24", "fd00:244:1::/64"]
        ),
        object(
            "Advertisement",
            "services",
            &json!({
                "podCIDRs": {},
                "services": {"addresses": ["LoadBalancer", "Cluster"]},
                "aggregate": {"ipv4": 24, "ipv6": 64},
                "mode": "Both",
            })
        ),
    ])
}
