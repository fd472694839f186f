//! What the node announces and nothing on it answers is refused once, and does not go back to the router; and the node
//! itself reaches its Services as before. With kube-proxy's rules of both flavours, and with what a router's summary
//! looks like.
//!
//! ```text
//!  router eth0 --- eth0 node-1 pod0 --- eth0 pod 10.244.1.5, fd00:244:1::5
//!  10.0.0.9              10.0.0.1
//! ```

#[path = "../support/mod.rs"]
mod support;

mod kube_proxy;
mod rack;

use anyhow::{Result, ensure};
use interop_tests::probe::{WebServer, get};
use interop_tests::{Kind, Namespace, Need, Signal, eventually, run};
use kube_proxy::{iptables, nftables};
use rack::Rack;
use serde_json::{Value, json};
use support::SOON;
use support::node::object;
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

/// A dual-stack Service with one endpoint, and its slices.
fn service() -> Value {
    let spec = json!({
        "clusterIP": CLUSTER[0], "clusterIPs": CLUSTER,
        "ports": [{"port": PORT, "targetPort": TARGET}],
    });
    let service = Service::new("web", &LOAD_BALANCER).spec(&spec);
    json!(service.endpoint("node-1", &POD).objects())
}
