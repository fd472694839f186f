//! What the node announces and nothing on it answers is refused once, and does not go back to the router; and the node itself
//! reaches its Services as before. With kube-proxy's rules of both flavours, and with what a router's summary looks like.
//!
//! ```text
//!  router eth0 --- eth0 node-1 pod0 --- eth0 pod 10.244.1.5, fd00:244:1::5
//!  10.0.0.9              10.0.0.1
//! ```

mod support;

use std::io::ErrorKind;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::probe::{WebServer, get};
use interop_tests::{Kind, Lab, Namespace, Need, Signal, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::service::Service;

/// Where the pod serves.
const TARGET: u16 = 8080;
/// Where its Service does.
const PORT: u16 = 80;
/// A port that the Service does not have.
const UNSERVED: u16 = 81;
const LOAD_BALANCER: [&str; 2] = ["203.0.113.10", "2001:db8:f::10"];
const CLUSTER: [&str; 2] = ["10.96.0.10", "fd00:96::10"];
/// Inside the aggregates of these, and nobody's.
const UNUSED: [&str; 4] = [
    "203.0.113.77",
    "2001:db8:f::77",
    "10.96.0.77",
    "fd00:96::77",
];
const POD: [&str; 2] = ["10.244.1.5", "fd00:244:1::5"];
/// Inside the node's pod CIDRs, and no pod's.
const NO_POD: [&str; 2] = ["10.244.1.200", "fd00:244:1::200"];
/// The table that refuses.
const TABLE: &str = "17900";

#[test]
fn with_rules_of_iptables_the_host_reaches_its_services_and_what_is_not_served_is_refused_once() {
    let needs = ["iptables-restore", "ip6tables-restore"].map(Need::Program);
    let router = json!({});
    services(&needs, &router, |node| {
        for (v6, program) in [(false, "iptables-restore"), (true, "ip6tables-restore")] {
            node.run_with_input(&[program], &iptables(usize::from(v6)))?;
        }
        Ok(())
    });
}

#[test]
fn with_rules_of_nftables_it_is_the_same_where_learned_routes_are_not_installed() {
    let router = json!({"fib": {"enabled": false}});
    services(&[], &router, |node| {
        let rules = [0, 1].map(nftables).concat();
        node.run_with_input(&["nft", "-f", "-"], &rules).map(drop)
    });
}

fn services(needs: &[Need], router: &Value, kube_proxy: impl Fn(&Namespace) -> Result<()>) {
    let needs = [
        &[Need::Speaker(Kind::Routelet), Need::Program("nft")],
        needs,
    ]
    .concat();
    run(&needs, |lab| {
        let mut rack = Rack::start(lab, router, &[])?;
        kube_proxy(&rack.node.namespace)?;
        let _server = WebServer::start(&rack.pod, TARGET)?;
        rack.node.write("services", &service())?;
        for address in LOAD_BALANCER.iter().chain(&CLUSTER) {
            rack.wait_refused(address)?;
        }
        let reached = |rack: &Rack, when: &str| -> Result<()> {
            for address in LOAD_BALANCER.iter().chain(&CLUSTER) {
                for client in [&rack.router, &rack.node.namespace, &rack.pod] {
                    eventually(
                        SOON,
                        &format!("{} reaches {address}, {when}", client.label()),
                        || get(client, address, PORT),
                    )?;
                }
            }
            Ok(())
        };
        reached(&rack, "with the agent")?;
        rack.is_refused_once(&rack.router)?;
        rack.is_refused_once(&rack.pod)?;

        let fib = rack.node.ask_text(&["fib"])?;
        ensure!(fib.contains("unreachable (table 17900)"), "{fib}");
        ensure!(
            fib.contains("ports of the Service address that no endpoint serves"),
            "{fib}"
        );
        let explained = rack.node.ask_text(&["explain", "203.0.113.0/24"])?;
        ensure!(
            explained.contains("addresses of the aggregate that no Service has"),
            "{explained}"
        );

        // Peers keep the routes of an agent that is updated, so what it refuses stays.
        rack.node.end(Signal::SIGTERM)?;
        reached(&rack, "without the agent")?;
        rack.is_refused_once(&rack.router)?;
        let rules = rack.rules()?;
        rack.node.launch()?;
        reached(&rack, "with the next agent")?;
        rack.is_refused_once(&rack.router)?;
        ensure!(rack.rules()? == rules, "{:?}, not {rules:?}", rack.rules()?);

        rack.node.remove("services")?;
        eventually(SOON, "nothing is refused any more", || {
            let left = [rack.rules()?, rack.refused()?].concat();
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
    });
}

#[test]
fn addresses_that_no_pod_has_are_refused_where_the_agent_connects_pods() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Program("nft")],
        |lab| {
            let directory = lab.namespace("elsewhere")?.dir().join("net.d");
            let option = directory.to_string_lossy().into_owned();
            let rack = Rack::start(lab, &json!({}), &["--cni-config-dir", &option])?;
            for address in NO_POD {
                eventually(SOON, &format!("{address} is refused"), || {
                    rack.is_refused(&rack.router, address)
                })?;
            }
            ensure!(rack.settled()?, "packets still come back");
            for address in POD {
                for client in [&rack.router, &rack.node.namespace] {
                    client.run(&["ping", "-n", "-c1", "-W2", address])?;
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_blackhole_of_an_earlier_version_does_not_cut_the_host_off_any_more() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Program("nft")],
        |lab| {
            let mut rack = Rack::start(lab, &json!({}), &[])?;
            let node = rack.node.namespace.clone();
            node.run_with_input(&["nft", "-f", "-"], &[0, 1].map(nftables).concat())?;
            let _server = WebServer::start(&rack.pod, TARGET)?;
            rack.node.end(Signal::SIGTERM)?;
            node.ip("route add blackhole 10.96.0.0/24 metric 1024 proto 179")?;
            node.ip("-6 route add blackhole fd00:96::/64 metric 1024 proto 179")?;
            for address in CLUSTER {
                ensure!(
                    get(&node, address, PORT).is_err(),
                    "{address} is to be cut off"
                );
            }
            // Learned routes wait for this peer until a deadline; the way to the API server must not.
            let silent = json!({"address": "10.0.0.77", "asn": 64577});
            rack.node
                .write("silent", &object("Peer", "silent", &silent))?;
            rack.node.launch()?;
            for address in CLUSTER {
                eventually(SOON, &format!("the host reaches {address}"), || {
                    get(&node, address, PORT)
                })?;
            }
            Ok(())
        },
    );
}

/// A node with a pod, and a router that has routes to all that the node announces.
struct Rack {
    node: Node,
    router: Namespace,
    pod: Namespace,
}

impl Rack {
    fn start(lab: &Lab, router_spec: &Value, extra: &[&str]) -> Result<Self> {
        let [router, namespace, pod] =
            ["router", "node-1", "pod"].map(|label| lab.namespace(label));
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
        for (at, routes) in [
            (
                &router,
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
                &namespace,
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
                &pod,
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
        for at in [&router, &namespace] {
            at.sysctl("net.ipv4.icmp_ratelimit", "0")?;
            at.sysctl("net.ipv6.icmp.ratelimit", "0")?;
            at.sysctl("net.ipv4.conf.all.send_redirects", "0")?;
            at.sysctl("net.ipv4.conf.eth0.send_redirects", "0")?;
        }
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
        router.run_with_input(&["nft", "-f", "-"], &counting)?;
        let config = json!([
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
        ]);
        let words = [&["--http", "off", "--kube-proxy", "off"][..], extra].concat();
        let node = Node::start(&namespace, &[("config", config)], &words)?;
        Ok(Self { node, router, pod })
    }

    /// The destinations in the table that refuses.
    fn refused(&self) -> Result<Vec<String>> {
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
    fn rules(&self) -> Result<Vec<String>> {
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

    fn wait_refused(&self, address: &str) -> Result<()> {
        eventually(SOON, &format!("{address} in table {TABLE}"), || {
            let refused = self.refused()?;
            ensure!(refused.iter().any(|one| one == address), "{refused:?}");
            Ok(())
        })
    }

    /// How many packets have come back to the router.
    fn came_back(&self) -> Result<u64> {
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
    fn settled(&self) -> Result<bool> {
        let before = self.came_back()?;
        for address in NO_POD {
            self.is_refused(&self.router, address)?;
        }
        Ok(self.came_back()? == before)
    }

    /// That a client gets an ICMP error for an address.
    fn is_refused(&self, client: &Namespace, address: &str) -> Result<()> {
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
    fn is_refused_once(&self, client: &Namespace) -> Result<()> {
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

/// What kube-proxy writes in its mode `iptables`, in short.
fn iptables(family: usize) -> String {
    let (balancer, cluster, pod) = (LOAD_BALANCER[family], CLUSTER[family], POD[family]);
    let target = ["10.244.1.5:8080", "[fd00:244:1::5]:8080"][family];
    format!(
        "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-SVC-WEB - [0:0]\n\
         :KUBE-SEP-WEB - [0:0]\n\
         -A PREROUTING -j KUBE-SERVICES\n-A OUTPUT -j KUBE-SERVICES\n-A POSTROUTING -j KUBE-POSTROUTING\n\
         -A KUBE-SERVICES -d {cluster} -p tcp -m tcp --dport {PORT} -j KUBE-SVC-WEB\n\
         -A KUBE-SERVICES -d {balancer} -p tcp -m tcp --dport {PORT} -j KUBE-SVC-WEB\n\
         -A KUBE-SVC-WEB ! -s {pod} -j KUBE-MARK-MASQ\n-A KUBE-SVC-WEB -j KUBE-SEP-WEB\n\
         -A KUBE-SEP-WEB -s {pod} -j KUBE-MARK-MASQ\n\
         -A KUBE-SEP-WEB -p tcp -m tcp -j DNAT --to-destination {target}\n\
         -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n\
         -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
         -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n-A KUBE-POSTROUTING -j MASQUERADE\nCOMMIT\n"
    )
}

/// What kube-proxy writes in its mode `nftables`, in short.
fn nftables(family: usize) -> String {
    let (balancer, cluster) = (LOAD_BALANCER[family], CLUSTER[family]);
    let (keyword, kind) = [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")][family];
    let target = ["10.244.1.5:8080", "[fd00:244:1::5]:8080"][family];
    format!(
        "table {keyword} kube-proxy {{\n\
         chain mark-for-masquerade {{ meta mark set meta mark or 0x4000; }}\n\
         chain service-web {{ jump mark-for-masquerade; meta l4proto tcp dnat to {target}; }}\n\
         map service-ips {{ type {kind} . inet_proto . inet_service : verdict; elements = {{\n\
         {cluster} . tcp . {PORT} : goto service-web, {balancer} . tcp . {PORT} : goto service-web }} }}\n\
         chain services {{ {keyword} daddr . meta l4proto . th dport vmap @service-ips; }}\n\
         chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n\
         chain nat-output {{ type nat hook output priority -100; jump services; }}\n\
         chain nat-postrouting {{ type nat hook postrouting priority srcnat; meta mark & 0x4000 != 0 masquerade; }}\n\
         }}\n"
    )
}

/// A dual-stack Service with one endpoint, and its slices.
fn service() -> Value {
    let spec = json!({
        "clusterIP": CLUSTER[0], "clusterIPs": CLUSTER,
        "ports": [{"port": PORT, "targetPort": TARGET}],
    });
    let service = Service::new("web", &LOAD_BALANCER).spec(&spec);
    json!(service.endpoint("node-1", &POD).objects())
}
