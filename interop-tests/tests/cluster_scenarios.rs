//! A cluster as it lives: three agents, the controller, two routers of different make. What the API server is told
//! shows at the routers and in the nodes' kernels.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::{Ping, kernel};
use interop_tests::{Community, Kind, Need, Process, Signal, Subject, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{Cluster, TOR, TOR_ASN, pod_cidrs, request, slice, told_by};
use support::node::{Node, object};
use support::segment::v4;

const NEEDS: [Need; 3] = [
    Need::Speaker(Kind::Routelet),
    Need::Speaker(Kind::Bird2),
    Need::Speaker(Kind::Frr8),
];

/// The number and the AS of the second router.
const SECOND: (u8, u32) = (201, 64501);

/// How long nothing may change where nothing should.
const STILL: Duration = Duration::from_millis(1500);

struct Rack<'lab> {
    cluster: Cluster<'lab>,
    nodes: Vec<Node>,
    routers: [Subject; 2],
    _controller: Process,
}

impl<'lab> Rack<'lab> {
    /// Three nodes that peer with both routers, and a pool of addresses.
    fn start(cluster: Cluster<'lab>) -> Result<Self> {
        let controller = cluster.controller(1)?;
        let nodes = (1..=3).map(|n| cluster.node(n)).collect::<Result<_>>()?;
        let (number, asn) = SECOND;
        let routers = [
            cluster.tor(3)?,
            cluster.router("tor-b", number, (Kind::Frr8, asn), 3)?,
        ];
        for (name, number, asn) in [("tor-a", TOR, TOR_ASN), ("tor-b", number, asn)] {
            let spec = json!({"address": v4(number), "asn": asn, "timers": {"connectRetry": "1s"}});
            cluster.api.put(&object("Peer", name, &spec))?;
        }
        let pool = json!({"addresses": ["203.0.113.0/24"]});
        cluster.api.put(&object("AddressPool", "public", &pool))?;
        let rack = Self {
            cluster,
            nodes,
            routers,
            _controller: controller,
        };
        for router in &rack.routers {
            for n in 1..=3 {
                router.wait_route(&pod_cidrs(n)[0], SOON)?;
            }
        }
        Ok(rack)
    }

    /// Waits until both routers have a prefix from exactly these nodes.
    fn wait_told_by(&self, prefix: &str, nodes: &[u8]) -> Result<()> {
        let expected: Vec<String> = nodes.iter().map(|n| v4(*n)).collect();
        for router in &self.routers {
            eventually(SOON, &format!("{prefix} from {nodes:?}"), || {
                let found = told_by(router, prefix)?;
                ensure!(
                    found == expected,
                    "{:?} has it from {found:?}",
                    router.kind()
                );
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The established sessions of all nodes, and how often each came up.
    fn sessions(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let peers = node.ask(&["peers"])?;
            for peer in peers.as_array().into_iter().flatten() {
                all.push(json!([
                    peer["name"],
                    peer["state"],
                    peer["establishedCount"]
                ]));
            }
        }
        Ok(all)
    }
}

fn local() -> Value {
    json!({"externalTrafficPolicy": "Local"})
}

#[test]
fn traffic_follows_endpoints_and_nodes() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(Cluster::start(lab)?)?;
        let api = &rack.cluster.api;
        let web = "203.0.113.0/32";
        api.put(&request("web", &json!({}), &local()))?;
        api.put(&slice("web", &[(1, true), (2, true)]))?;
        rack.wait_told_by(web, &[1, 2])?;
        // Among nodes nobody tells of Services: a node reaches them by itself.
        for node in &rack.nodes {
            let found = kernel::routes_to(&node.namespace, web)?;
            ensure!(found.is_empty(), "{found:?}");
        }
        let before = eventually(SOON, "two routers and two nodes for each", || {
            let all = rack.sessions()?;
            let up = all.iter().filter(|one| one[1] == "Established");
            ensure!(all.len() == 12 && up.count() == 12, "{all:?}");
            Ok(all)
        })?;
        // Scaled up and down.
        api.put(&slice("web", &[(1, true), (2, true), (3, true)]))?;
        rack.wait_told_by(web, &[1, 2, 3])?;
        api.put(&slice("web", &[(3, true)]))?;
        rack.wait_told_by(web, &[3])?;
        api.put(&slice("web", &[]))?;
        rack.wait_told_by(web, &[])?;
        api.put(&slice("web", &[(1, true), (2, true)]))?;
        rack.wait_told_by(web, &[1, 2])?;
        // The other policy: from everywhere, as long as one is ready anywhere.
        let policy = |policy: &str| {
            api.change("Service", "shop", "web", |service| {
                service["spec"]["externalTrafficPolicy"] = json!(policy);
            })
        };
        policy("Cluster")?;
        rack.wait_told_by(web, &[1, 2, 3])?;
        policy("Local")?;
        rack.wait_told_by(web, &[1, 2])?;
        // A node that load balancers are to leave out keeps its pods.
        let label = "node.kubernetes.io/exclude-from-external-load-balancers";
        api.change("Node", "", "node-1", |node| {
            node["metadata"]["labels"][label] = json!("");
        })?;
        rack.wait_told_by(web, &[2])?;
        rack.wait_told_by(&pod_cidrs(1)[0], &[1])?;
        api.change("Node", "", "node-1", |node| {
            node["metadata"]["labels"] = json!({});
        })?;
        rack.wait_told_by(web, &[1, 2])?;
        // A cordon changes nothing, nor does a node that is not ready: its endpoints do, when Kubernetes says so.
        api.change("Node", "", "node-2", |node| {
            node["spec"]["unschedulable"] = json!(true);
            node["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
        })?;
        always(STILL, "a cordon changes nothing", || {
            for router in &rack.routers {
                let found = told_by(router, web)?;
                ensure!(found == [v4(1), v4(2)], "{found:?}");
            }
            Ok(())
        })?;
        // Without a network it takes no traffic for Services.
        api.change("Node", "", "node-2", |node| {
            node["status"]["conditions"] =
                json!([{"type": "NetworkUnavailable", "status": "True"}]);
        })?;
        rack.wait_told_by(web, &[1])?;
        // All of that was done under running sessions.
        let after = rack.sessions()?;
        ensure!(before == after, "{before:?} became {after:?}");
        // A Node object that is deleted ends the sessions of the others with that node. Its own agent goes on.
        api.delete("Node", "", "node-3")?;
        eventually(SOON, "the mesh without the node", || {
            let peers = rack.nodes[0].ask(&["peers"])?.to_string();
            ensure!(!peers.contains("node-3"), "{peers}");
            Ok(())
        })?;
        rack.wait_told_by(&pod_cidrs(3)[0], &[3])
    });
}

#[test]
fn services_share_an_address_and_change_hands() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(Cluster::start(lab)?)?;
        let api = &rack.cluster.api;
        let dns = "203.0.113.53/32";
        let asks = json!({
            "routelet.dev/addresses": "203.0.113.53",
            "routelet.dev/sharing-key": "dns",
        });
        for (name, protocol) in [("dns-udp", "UDP"), ("dns-tcp", "TCP")] {
            let ports = json!({"ports": [{"port": 53, "protocol": protocol}]});
            api.put(&request(name, &asks, &ports))?;
            api.put(&slice(name, &[(1, true)]))?;
        }
        rack.wait_told_by(dns, &[1, 2, 3])?;
        // It goes with the last reason for it.
        api.put(&slice("dns-udp", &[(1, false)]))?;
        // When what came later is told, that was seen.
        let asks = json!({"routelet.dev/addresses": "203.0.113.98"});
        api.put(&request("later", &asks, &json!({})))?;
        api.put(&slice("later", &[(1, true)]))?;
        rack.wait_told_by("203.0.113.98/32", &[1, 2, 3])?;
        always(STILL, "the other Service still needs it", || {
            for router in &rack.routers {
                let found = told_by(router, dns)?;
                ensure!(found.len() == 3, "{found:?}");
            }
            Ok(())
        })?;
        api.delete("Service", "shop", "dns-tcp")?;
        rack.wait_told_by(dns, &[])?;
        api.put(&slice("dns-udp", &[(2, true)]))?;
        rack.wait_told_by(dns, &[1, 2, 3])?;
        // Of another type it has no address for the outside.
        api.change("Service", "shop", "dns-udp", |service| {
            service["spec"]["type"] = json!("ClusterIP");
        })?;
        rack.wait_told_by(dns, &[])?;
        // As another load balancer's it is not ours, even if its address were.
        let class = json!({"loadBalancerClass": "example.com/other"});
        let mut foreign = request("foreign", &json!({}), &class);
        foreign["status"] = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.99"}]}});
        api.put(&foreign)?;
        api.put(&slice("foreign", &[(1, true)]))?;
        api.change("Service", "shop", "dns-udp", |service| {
            service["spec"]["type"] = json!("LoadBalancer");
        })?;
        rack.wait_told_by(dns, &[1, 2, 3])?;
        rack.wait_told_by("203.0.113.99/32", &[])
    });
}

#[test]
fn two_advertisements_of_one_address_are_united() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(Cluster::start(lab)?)?;
        let api = &rack.cluster.api;
        // Of the AS of the nodes: local preferences are told to it.
        let inside = rack
            .cluster
            .router("inside", 202, (Kind::Bird2, 64512), 3)?;
        let spec = json!({"address": v4(202), "asn": "internal", "timers": {"connectRetry": "1s"}});
        api.put(&object("Peer", "inside", &spec))?;
        let mut service = request("web", &json!({}), &json!({}));
        service["metadata"]["labels"] = json!({"expose": "public", "tier": "gold"});
        api.put(&service)?;
        api.put(&slice("web", &[(1, true)]))?;
        let advertisement = |name: &str, label: Value, attributes: Value| {
            let spec = json!({
                "podCIDRs": {},
                "services": {"selector": {"matchLabels": label}, "addresses": ["LoadBalancer"]},
                "attributes": attributes,
            });
            api.put(&object("Advertisement", name, &spec))
        };
        let attributes = json!({"communities": ["64512:100"], "localPreference": 200});
        advertisement("public", json!({"expose": "public"}), attributes)?;
        let attributes = json!({"communities": ["64512:200"], "localPreference": 300});
        advertisement("gold", json!({"tier": "gold"}), attributes)?;
        let has = |router: &Subject, communities: &[(u16, u16)], preference: Option<u32>| {
            eventually(SOON, "the attributes of both", || {
                let route = router.route("203.0.113.0/32")?;
                let expected = communities.iter().map(|(a, b)| Community(*a, *b)).collect();
                ensure!(route.communities == expected, "{route:?}");
                ensure!(
                    preference.is_none() || route.local_pref == preference,
                    "{route:?}"
                );
                Ok(())
            })
        };
        for router in &rack.routers {
            has(router, &[(64512, 100), (64512, 200)], None)?;
        }
        has(&inside, &[(64512, 100), (64512, 200)], Some(300))?;
        // With one of them gone, the other one's alone are left.
        api.delete("Advertisement", "", "gold")?;
        has(&rack.routers[0], &[(64512, 100)], None)?;
        has(&inside, &[(64512, 100)], Some(200))
    });
}

#[test]
fn a_mesh_becomes_route_reflectors_without_a_lost_packet() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(Cluster::start(lab)?)?;
        let api = &rack.cluster.api;
        let pod = |n: u8| format!("10.244.{n}.1");
        for (node, n) in rack.nodes.iter().zip(1..) {
            node.namespace.address("lo", &format!("{}/32", pod(n)))?;
        }
        let reached = |from: u8, to: u8| {
            eventually(SOON, "the other node's pods", || {
                let node = &rack.nodes[usize::from(from) - 1];
                let found = kernel::routes_to(&node.namespace, &pod_cidrs(to)[0])?;
                let gateway = found.first().and_then(|route| route.paths[0].gateway);
                ensure!(gateway == Some(v4(to).parse()?), "{found:?}");
                Ok(())
            })
        };
        let pairs = [(2, 3), (3, 2), (1, 2), (3, 1)];
        for (from, to) in pairs {
            reached(from, to)?;
            reached(to, from)?;
        }
        let mut pings = Vec::new();
        for (from, to) in pairs {
            let node = &rack.nodes[usize::from(from) - 1];
            pings.push(Ping::start(&node.namespace, &pod(to), Some(&pod(from)))?);
        }
        api.change("Node", "", "node-1", |node| {
            node["metadata"]["labels"] = json!({"role": "reflector"});
        })?;
        let spec = json!({
            "asn": "internal", "timers": {"connectRetry": "1s"},
            "nodes": {"selector": {"matchLabels": {"role": "reflector"}}, "reflectors": true},
        });
        api.put(&object("Peer", "reflectors", &spec))?;
        for (n, expected) in [(2, "reflectors/node-1"), (3, "reflectors/node-1")] {
            eventually(
                Duration::from_secs(40),
                "sessions with the reflector alone",
                || {
                    let peers = rack.nodes[n - 1].ask(&["peers"])?;
                    let peers = peers.as_array().context("a list of peers")?.iter();
                    let names: Vec<&str> = peers.filter_map(|peer| peer["name"].as_str()).collect();
                    ensure!(names == [expected, "tor-a", "tor-b"], "{names:?}");
                    Ok(())
                },
            )?;
        }
        for (from, to) in pairs {
            reached(from, to)?;
        }
        for ping in pings {
            let loss = ping.stop()?;
            ensure!(loss.sent == loss.answered, "{loss:?}");
        }
        Ok(())
    });
}

#[test]
fn an_agent_started_while_the_api_server_is_unreachable_advertises_and_removes_nothing() {
    run(&NEEDS, |lab| {
        let mut rack = Rack::start(Cluster::on_fake(lab)?)?;
        rack.cluster
            .api
            .put(&request("web", &json!({}), &json!({})))?;
        rack.cluster.api.put(&slice("web", &[(1, true)]))?;
        let web = "203.0.113.0/32";
        rack.wait_told_by(web, &[1, 2, 3])?;
        let kernel_has = |rack: &Rack<'_>| {
            let found = kernel::routes_to(&rack.nodes[0].namespace, &pod_cidrs(2)[0])?;
            ensure!(!found.is_empty(), "no route");
            Ok(())
        };
        eventually(SOON, "routes of the mesh", || kernel_has(&rack))?;
        rack.cluster.fake()?.stop();
        rack.nodes[0].end(Signal::SIGTERM)?;
        rack.nodes[0].launch()?;
        // The routers keep what they had of it (RFC 4724), its kernel does too, and nobody else is touched.
        always(Duration::from_secs(5), "everything stays", || {
            kernel_has(&rack)?;
            for router in &rack.routers {
                let found = told_by(router, web)?;
                ensure!(found == [v4(1), v4(2), v4(3)], "{found:?}");
            }
            Ok(())
        })?;
        let status = rack.nodes[0].ask(&["status"])?;
        let gate = status["gates"].to_string();
        ensure!(
            gate.contains("\"open\":false") && status["readiness"]["ready"] == false,
            "{status}"
        );
        rack.cluster.fake()?.resume()?;
        eventually(Duration::from_secs(60), "the agent's sessions", || {
            let peers = rack.nodes[0].ask(&["peers"])?;
            let up = |peer: &Value| peer["state"] == "Established";
            let peers = peers.as_array().context("a list of peers")?;
            ensure!(peers.len() == 4 && peers.iter().all(up), "{peers:?}");
            Ok(())
        })?;
        rack.wait_told_by(web, &[1, 2, 3])?;
        kernel_has(&rack)
    });
}
