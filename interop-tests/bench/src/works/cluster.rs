//! Work L: the agent on the API server of a large cluster: what it needs, and how long an endpoint that turns ready
//! takes until it is on the wire.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ipnet::{IpNet, Ipv4Net};
use large_cluster::{Cluster, TEAMS};
use serde_json::{Value, json};

use super::{Inputs, with_logs};
use crate::{CPU, Measured, PEAK, Quantity, Usage, quantile};
use interop_apiserver::{FakeApiServer, Settings};
use interop_lab::Lab;
use interop_lab::Namespace;
use interop_lab::Process;
use interop_lab::feed::{Caller, Ear, PlayerId, Players};
use interop_lab::speaker::Family;
use interop_lab::subject::Kind;

const RESIDENT: Quantity = Quantity::less("resident", "MB");
const ADVERTISED: Quantity = Quantity::less("until all is advertised", "s");
const HALF: Quantity = Quantity::less("p50", "ms");
const MOST: Quantity = Quantity::less("p99", "ms");
const EACH: Quantity = Quantity::less("CPU per event", "ms");

/// Services and Nodes of the cluster; there are two EndpointSlices a Service.
const SERVICES: usize = 5_000;
const NODES: usize = 1_000;
/// Endpoints that turn ready, one after the other.
const PROBES: usize = 100;
/// Between two of them.
const PACE: Duration = Duration::from_millis(50);
/// Where probes' addresses begin: for benchmarks (RFC 2544).
const PROBE_SPACE: u32 = u32::from_be_bytes([198, 18, 0, 0]);

const NODE: &str = "10.1.0.1";
const ROUTER: &str = "10.1.0.2";
const ROUTER_ASN: u32 = 64500;

/// The agent on an API server.
pub(super) fn watched(inputs: &Inputs, _kind: Kind) -> Result<Option<Vec<Measured>>> {
    let lab = Lab::new()?;
    let run = || {
        let (node, outside) = (lab.namespace("node")?, lab.namespace("outside")?);
        // What TLS costs is not what is compared.
        let api = api_server((&lab, &node, &outside), false)?;
        let [services, nodes] = [SERVICES, NODES].map(|count| inputs.scaled(count));
        fill(inputs, &api, Cluster { services, nodes })?;
        for number in 0..=PROBES {
            api.put(&service(number)?)?;
            api.put(&slice(number, number == PROBES))?;
        }
        let started = Instant::now();
        let agent = agent(&node, &api)?;

        let mut players = Players::new()?;
        players.sleepless();
        let router = Caller {
            source: ROUTER.parse()?,
            subject: NODE.parse()?,
            asn: ROUTER_ASN,
            id: Ipv4Addr::new(10, 1, 0, 2),
            hold_time: Duration::from_secs(180),
            families: vec![Family::Ipv4],
        };
        let router = players.join(&outside, vec![router], Ear::Keeps, false)?[0];
        // The last address of the cluster is advertised when all are: they come in one flush.
        let last = probe(PROBES)?;
        if !until_heard(&mut players, router, last, inputs.limit)? {
            return Ok(None);
        }
        let advertised = started.elapsed();
        std::thread::sleep(Duration::from_secs(2));
        let before = Usage::of(&node)?;

        let mut latencies = Vec::new();
        for number in 0..PROBES {
            let began = Instant::now();
            api.put(&slice(number, true))?;
            if !until_heard(&mut players, router, probe(number)?, inputs.limit)? {
                return Ok(None);
            }
            let heard = players.heard(router)?.first_arrivals(&[probe(number)?])?;
            let heard = heard[0].context("heard, but never arrived")?;
            latencies.push((heard - began).as_secs_f64() * 1000.0);
            std::thread::sleep(PACE);
        }
        agent.check_alive()?;
        let usage = Usage::of(&node)?;
        let share = |share: f64| quantile(&latencies, share).unwrap_or_default();
        let each = usage.cpu.saturating_sub(before.cpu).as_secs_f64() * 1000.0 / PROBES as f64;
        Ok(Some(vec![Measured {
            heading: "L",
            metrics: vec![
                RESIDENT.is(before.resident_kb as f64 / 1024.0),
                PEAK.is(usage.peak_kb as f64 / 1024.0),
                ADVERTISED.seconds(advertised),
                CPU.seconds(before.cpu),
                HALF.is(share(0.5)),
                MOST.is(share(0.99)),
                EACH.is(each),
            ],
        }]))
    };
    with_logs(&lab, run())
}

/// The API server outside of a node, with a router beside it, and no cluster yet. It speaks plain HTTP or, as a real
/// one, TLS and HTTP/2.
pub(super) fn api_server(
    (lab, node, outside): (&Lab, &Namespace, &Namespace),
    tls: bool,
) -> Result<FakeApiServer> {
    lab.link((node, "eth0"), (outside, "eth0"))?;
    for (namespace, address) in [(node, NODE), (outside, ROUTER)] {
        let address = format!("{address}/24");
        namespace.run(&["ip", "address", "add", &address, "dev", "eth0"])?;
    }
    let address = format!("{ROUTER}:6443").parse()?;
    let settings = Settings {
        tls,
        service_cidrs: vec!["10.0.0.0/8".parse()?, "fd00::/16".parse()?],
        ..Settings::default()
    };
    let api = FakeApiServer::start_in(outside, address, settings)?;
    api.install_definitions()?;
    let teams = (0..TEAMS).map(|team| format!("team-{team}"));
    for name in teams.chain(["probe".to_owned()]) {
        api.put(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    }
    api.put(&json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "Peer", "metadata": {"name": "router"},
        "spec": {"address": ROUTER, "asn": ROUTER_ASN, "passive": true},
    }))?;
    Ok(api)
}

/// The agent of `node-0`.
pub(super) fn agent(node: &Namespace, api: &FakeApiServer) -> Result<Process> {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": api.url(), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "agent", "user": {}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "agent", "namespace": "routelet-system"}}],
    });
    let kubeconfig = node.dir().join("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string())?;
    let binary = interop_lab::routelet_binary()?;
    let (binary, kubeconfig) = (binary.to_string_lossy(), kubeconfig.to_string_lossy());
    let socket = node.dir().join("control.sock");
    let socket = socket.to_string_lossy();
    let mut argv = vec![&*binary, "run", "--kubeconfig", &kubeconfig];
    argv.extend(["--node", "node-0", "--control", &socket]);
    argv.extend(["--kube-proxy", "off", "--http", "off"]);
    node.spawn("routelet", &argv)
}

/// Puts a whole cluster into the API server.
pub(super) fn fill(inputs: &Inputs, api: &FakeApiServer, cluster: Cluster) -> Result<()> {
    for (name, texts) in cluster.objects() {
        (inputs.tell)(&format!("    the API server takes in {name}"));
        let texts: String = texts.collect();
        for object in texts
            .split("---\n")
            .filter(|object| !object.trim().is_empty())
        {
            let read: Result<Value, _> = serde_saphyr::from_str(object);
            let mut object = read.map_err(|error| anyhow!("{name}: {error}"))?;
            // The server has its own.
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.retain(|field, _| !matches!(&**field, "resourceVersion" | "uid"));
            }
            api.put(&object).with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}

/// Serves the players until an address is heard of; `false` if it is not in time.
fn until_heard(
    players: &mut Players,
    router: PlayerId,
    address: IpNet,
    limit: Duration,
) -> Result<bool> {
    let end = Instant::now() + limit;
    // What came while the session was made may be all that comes.
    let mut seen = None;
    loop {
        players.turn(Duration::from_millis(1))?;
        if seen != Some(players.last_heard()) {
            seen = Some(players.last_heard());
            if players.heard(router)?.first_arrivals(&[address])?[0].is_some() {
                return Ok(true);
            }
        }
        if Instant::now() >= end {
            return Ok(false);
        }
    }
}

fn probe(number: usize) -> Result<IpNet> {
    Ok(Ipv4Net::new((PROBE_SPACE + number as u32).into(), 32)?.into())
}

fn service(number: usize) -> Result<Value> {
    let name = format!("probe-{number}");
    Ok(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "probe"},
        "spec": {
            "type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": name},
        },
        "status": {"loadBalancer": {"ingress": [{"ip": probe(number)?.addr(), "ipMode": "VIP"}]}},
    }))
}

fn slice(number: usize, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("probe-{number}-1"), "namespace": "probe",
            "labels": {"kubernetes.io/service-name": format!("probe-{number}")},
        },
        "addressType": "IPv4", "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": ["10.64.0.9"], "nodeName": "node-0",
            "conditions": {"ready": ready, "serving": ready, "terminating": false},
        }],
    })
}
