//! Which addresses of a Service a node advertises: every row of the truth table, in both families, as a router's table
//! shows it. One node and one router live through all rows: each is a change of manifests under the running session.

mod support;

use std::collections::BTreeSet;
use std::slice;

use anyhow::{Context, Result, ensure};
use interop_tests::{Family, Kind, Lab, Need, Neighbour, Speaker, Subject, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};

/// The node under test and one that does not run.
const HERE: &str = "node-1";
const ELSEWHERE: &str = "node-2";

/// The pod CIDRs, which no row takes away.
const PODS: [&str; 2] = ["10.244.1.0/24", "fd00:244:1::/64"];

/// Addresses of the Services.
const LB: [&str; 2] = ["203.0.113.10", "2001:db8:f::10"];
const EXTERNAL: [&str; 2] = ["198.51.100.5", "2001:db8:e::5"];
const CLUSTER: [&str; 2] = ["10.96.0.10", "fd00:96::a"];

#[test]
fn a_router_has_exactly_the_service_addresses_that_the_truth_table_says() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)],
        |lab| {
            let rig = Rig::start(lab)?;
            for row in rows() {
                rig.check(&row)?;
            }
            rig.session_never_fell()
        },
    );
}

/// A row: the state of the cluster, and what of [`LB`], [`EXTERNAL`] and [`CLUSTER`] the router has then.
struct Row {
    claim: &'static str,
    objects: Vec<Value>,
    node: Value,
    expected: Vec<&'static str>,
}

fn row(claim: &'static str, objects: Vec<Value>, expected: Vec<&'static str>) -> Row {
    Row {
        claim,
        objects,
        node: this_node(),
        expected,
    }
}

fn on(node: Value, row: Row) -> Row {
    Row { node, ..row }
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let both = LB.to_vec();
    let service = || lb_service("web", "Cluster");
    let local = || lb_service("web", "Local");
    let here = |c: Value| endpoints("web", &[(HERE, c)]);
    let there = |c: Value| endpoints("web", &[(ELSEWHERE, c)]);
    let ready = || json!({"ready": true});
    let not_ready = || json!({"ready": false});
    let terminating = || json!({"ready": false, "serving": true, "terminating": true});
    let gone = || json!({"ready": false, "serving": false, "terminating": true});
    vec![
        row("Cluster: no endpoints at all", vec![service()], vec![]),
        row("Cluster: ready on another node", with(service(), there(ready())), both.clone()),
        row("Cluster: nil ready is ready", with(service(), there(json!({}))), both.clone()),
        row("Cluster: none ready", with(service(), there(not_ready())), vec![]),
        row("Cluster: only serving and terminating", with(service(), there(terminating())), both.clone()),
        row("Cluster: only terminating, and serving no more", with(service(), there(gone())), vec![]),
        row("Cluster: ready in the second of two slices",
            [vec![service()], endpoints("web", &[(ELSEWHERE, not_ready())]), slices("web", "b", &[(ELSEWHERE, ready())])].concat(), both.clone()),
        row("Cluster: ready in one family only",
            vec![service(), slice("web", "only4", 0, &[(ELSEWHERE, ready())]), slice("web", "only6", 1, &[(ELSEWHERE, not_ready())])], vec![LB[0]]),
        row("Local: ready here", with(local(), here(ready())), both.clone()),
        row("Local: ready elsewhere only", with(local(), there(ready())), vec![]),
        row("Local: ready here and elsewhere", with(local(), endpoints("web", &[(HERE, ready()), (ELSEWHERE, ready())])), both.clone()),
        row("Local: terminating here, ready elsewhere",
            with(local(), endpoints("web", &[(HERE, terminating()), (ELSEWHERE, ready())])), vec![]),
        row("Local: terminating here, none ready anywhere", with(local(), here(terminating())), both.clone()),
        row("Local: not ready here", with(local(), here(not_ready())), vec![]),
        row("Local: ready here in the second of two slices",
            [vec![local()], endpoints("web", &[(ELSEWHERE, ready())]), slices("web", "b", &[(HERE, ready())])].concat(), both.clone()),
        row("Local: one family has its endpoint here, the other elsewhere",
            vec![local(), slice("web", "only4", 0, &[(HERE, ready())]), slice("web", "only6", 1, &[(ELSEWHERE, ready())])], vec![LB[0]]),
        row("ipMode Proxy is not ours",
            with(changed(service(), "/status/loadBalancer/ingress/0/ipMode", json!("Proxy")), there(ready())), vec![LB[1]]),
        row("ipMode VIP is", with(changed(service(), "/status/loadBalancer/ingress/0/ipMode", json!("VIP")), there(ready())), both.clone()),
        row("another's loadBalancerClass", with(changed(service(), "/spec/loadBalancerClass", json!("example.com/other")), there(ready())), vec![]),
        row("our loadBalancerClass", with(changed(service(), "/spec/loadBalancerClass", json!("routelet.dev/bgp")), there(ready())), both.clone()),
        row("a Service that was of type LoadBalancer once", with(changed(service(), "/spec/type", json!("ClusterIP")), there(ready())), vec![]),
        row("ExternalName has nothing to advertise",
            vec![json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                        "spec": {"type": "ExternalName", "externalName": "example.com"}})], vec![]),
        row("external IPs inside the allow-list only",
            with(external(&[EXTERNAL[0], EXTERNAL[1], "192.0.2.66"], "Cluster"), there(ready())), EXTERNAL.to_vec()),
        row("external IPs follow externalTrafficPolicy", with(external(&EXTERNAL, "Local"), there(ready())), vec![]),
        row("cluster IPs, if asked for", with(cluster("Cluster"), there(ready())), CLUSTER.to_vec()),
        row("cluster IPs follow internalTrafficPolicy", with(cluster("Local"), there(ready())), vec![]),
        row("cluster IPs, Local, ready here", with(cluster("Local"), here(ready())), CLUSTER.to_vec()),
        row("headless has no cluster IP",
            with(changed(changed(cluster("Cluster"), "/spec/clusterIP", json!("None")), "/spec/clusterIPs", json!(["None"])), here(ready())), vec![]),
        row("two Services share the address, one has endpoints",
            [vec![service(), lb_service("mail", "Local")], there(ready()), endpoints("mail", &[(ELSEWHERE, ready())])].concat(), both.clone()),
        row("the last reason of a shared address goes",
            [vec![service(), lb_service("mail", "Local")], there(not_ready()), endpoints("mail", &[(ELSEWHERE, ready())])].concat(), vec![]),
        on(labelled("node.kubernetes.io/exclude-from-external-load-balancers", ""),
            row("a node excluded by label keeps pod CIDRs only", with(service(), there(ready())), vec![])),
        on(condition("NetworkUnavailable", "True"),
            row("NetworkUnavailable keeps pod CIDRs only", with(service(), there(ready())), vec![])),
        on(condition("NetworkUnavailable", "False"),
            row("an available network changes nothing", with(service(), there(ready())), both.clone())),
        on(changed(this_node(), "/spec/unschedulable", json!(true)),
            row("a cordon changes nothing", with(local(), here(ready())), both.clone())),
        row("the end: no Service", vec![], vec![]),
    ]
}

struct Rig {
    node: Node,
    router: Subject,
}

impl Rig {
    fn start(lab: &Lab) -> Result<Self> {
        let (here, tor) = lab.pair(
            (HERE, &["10.0.0.1/24", "fd00::1/64"]),
            ("router", &["10.0.0.2/24", "fd00::2/64"]),
        )?;
        let router = Subject::start(
            lab,
            Kind::Bird2,
            &tor,
            Speaker::new(64500, "10.0.0.2").neighbour(Neighbour::new("10.0.0.1", 64512).passive()),
        )?;
        let advertisement = json!({
            "podCIDRs": {},
            "services": {
                "addresses": ["LoadBalancer", "External", "Cluster"],
                "externalIPs": ["198.51.100.0/24", "2001:db8:e::/48"],
            },
        });
        let config = json!([
            object("Router", "default", &json!({"mesh": {"enabled": false}})),
            object(
                "Peer",
                "router",
                &json!({"address": "10.0.0.2", "asn": 64500, "timers": {"connectRetry": "1s"}})
            ),
            object("Advertisement", "all", &advertisement),
        ]);
        let node = Node::start(
            &here,
            &[
                ("config", config),
                ("row", json!([this_node()])),
                ("other", other_node()),
            ],
            &["--http", "off"],
        )?;
        router.wait_established("10.0.0.1")?;
        Ok(Self { node, router })
    }

    fn check(&self, row: &Row) -> Result<()> {
        let runs = self.runs()?;
        let objects = [slice::from_ref(&row.node), &row.objects].concat();
        self.node.write("row", &json!(objects))?;
        let hosts = row.expected.iter().map(|address| {
            let length = if address.contains(':') { 128 } else { 32 };
            format!("{address}/{length}")
        });
        let expected: BTreeSet<String> = PODS.into_iter().map(str::to_owned).chain(hosts).collect();
        // The node first: what it decided on these very manifests, so that a router that is late cannot look right.
        eventually(SOON, row.claim, || {
            // Rows that expect what the row before did would else be right before they are read.
            let now = self.runs()?;
            ensure!(now > runs, "the node has not worked it out yet");
            let decided = self.decided()?;
            ensure!(
                decided == expected,
                "the node originates {decided:?}, expected {expected:?}"
            );
            let told = self.told()?;
            ensure!(
                told == expected,
                "the router has {told:?}, expected {expected:?}"
            );
            Ok(())
        })
    }

    /// How often the node has worked out what to do.
    fn runs(&self) -> Result<u64> {
        let status = self.node.ask(&["status"])?;
        status["intentRuns"].as_u64().context("intentRuns")
    }

    fn decided(&self) -> Result<BTreeSet<String>> {
        let best = self.node.ask(&["routes", "best"])?;
        let own = best
            .as_array()
            .into_iter()
            .flatten()
            .filter(|route| route.get("peer").is_none());
        Ok(own
            .filter_map(|route| route["prefix"].as_str().map(str::to_owned))
            .collect())
    }

    fn told(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for family in Family::ALL {
            all.extend(
                self.router
                    .routes(family)?
                    .iter()
                    .map(|route| route.prefix.to_string()),
            );
        }
        Ok(all)
    }

    fn session_never_fell(&self) -> Result<()> {
        let peers = self.node.ask(&["peers"])?;
        let count = &peers[0]["establishedCount"];
        ensure!(
            *count == json!(1),
            "the session was made {count} times: {peers}"
        );
        Ok(())
    }
}

fn this_node() -> Value {
    node_object(HERE, &["10.0.0.1", "fd00::1"], &PODS)
}

fn other_node() -> Value {
    node_object(
        ELSEWHERE,
        &["10.0.0.9", "fd00::9"],
        &["10.244.2.0/24", "fd00:244:2::/64"],
    )
}

fn labelled(key: &str, value: &str) -> Value {
    let mut node = this_node();
    node["metadata"]["labels"] = json!({key: value});
    node
}

fn condition(kind: &str, status: &str) -> Value {
    let mut node = this_node();
    node["status"]["conditions"] = json!([{"type": kind, "status": status}]);
    node
}

/// A dual-stack Service of type LoadBalancer.
fn lb_service(name: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "type": "LoadBalancer", "externalTrafficPolicy": policy,
            "ports": [{"port": 80}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": LB[0]}, {"ip": LB[1]}]}},
    })
}

fn external(addresses: &[&str], policy: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "NodePort", "externalTrafficPolicy": policy, "externalIPs": addresses,
            "ports": [{"port": 80}],
        },
    })
}

fn cluster(policy: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "type": "ClusterIP", "internalTrafficPolicy": policy,
            "clusterIP": CLUSTER[0], "clusterIPs": CLUSTER,
            "ports": [{"port": 80}],
        },
    })
}

/// A slice of each family with the same endpoints.
fn endpoints(service: &str, all: &[(&str, Value)]) -> Vec<Value> {
    slices(service, "a", all)
}

fn slices(service: &str, suffix: &str, all: &[(&str, Value)]) -> Vec<Value> {
    (0..2)
        .map(|family| slice(service, suffix, family, all))
        .collect()
}

fn slice(service: &str, suffix: &str, family: usize, all: &[(&str, Value)]) -> Value {
    let endpoints: Vec<Value> = all
        .iter()
        .enumerate()
        .map(|(index, (node, conditions))| {
            let address = [
                format!("10.244.9.{}", index + 1),
                format!("fd00:244:9::{}", index + 1),
            ];
            json!({"addresses": [address[family]], "nodeName": node, "conditions": conditions})
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-{suffix}-{family}"), "namespace": "shop",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": if family == 0 { "IPv4" } else { "IPv6" },
        "ports": [{"port": 8080}],
        "endpoints": endpoints,
    })
}

fn with(service: Value, slices: Vec<Value>) -> Vec<Value> {
    [vec![service], slices].concat()
}

/// The object with the value at a JSON pointer replaced or added.
fn changed(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = object.pointer_mut(parent) {
        parent[key] = value;
    }
    object
}
