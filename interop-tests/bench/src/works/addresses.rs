//! Work P: the controller on an API server with many Services: one that appears, and all of them renumbered.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::{Inputs, with_logs};
use crate::{Measured, PEAK, Quantity, Usage, quantile};
use interop_apiserver::{FakeApiServer, Settings};
use interop_lab::Lab;
use interop_lab::Namespace;
use interop_lab::Process;

const ALL: Quantity = Quantity::less("all assigned", "s");
const ALL_CPU: Quantity = Quantity::less("CPU", "s");
const HALF: Quantity = Quantity::less("one appears p50", "ms");
const MOST: Quantity = Quantity::less("p99", "ms");
const EACH: Quantity = Quantity::less("CPU per Service", "ms");
const RENUMBERED: Quantity = Quantity::less("renumbered", "s");
const RENUMBERED_CPU: Quantity = Quantity::less("CPU renumbering", "s");

/// Services that appear, one after the other.
const PROBES: usize = 40;
/// Between two of them: longer than the controller takes to say what it has to say of a pool.
const PACE: Duration = Duration::from_millis(100);
/// Between two queries of the server, which are calls within this process.
const QUERY: Duration = Duration::from_micros(100);
/// Namespaces that Services are spread over.
const TEAMS: usize = 100;

/// The ranges of the pool, before and after.
const BEFORE: &str = "198.18.0.0/16";
const AFTER: &str = "198.19.0.0/16";

/// The controller, on so many Services.
pub(super) fn assigned(
    inputs: &Inputs,
    heading: &'static str,
    services: usize,
) -> Result<Option<Vec<Measured>>> {
    let services = inputs.scaled(services);
    let lab = Lab::new()?;
    let run = || {
        let host = lab.namespace("controller")?;
        let api = serve(&host, services)?;
        let started = Instant::now();
        let controller = start(&host, &api)?;
        if !all_within(&api, BEFORE, services, inputs.limit)? {
            return Ok(None);
        }
        let assigned = started.elapsed();
        let cpu = still(&host)?;

        let before = cpu;
        let mut latencies = Vec::new();
        for number in 0..PROBES {
            let name = format!("probe-{number}");
            let began = Instant::now();
            api.create(&service("team-0", &name))?;
            while address(&api.get("Service", "team-0", &name).unwrap_or_default()).is_none() {
                if began.elapsed() > inputs.limit {
                    return Ok(None);
                }
                std::thread::sleep(QUERY);
            }
            latencies.push(began.elapsed().as_secs_f64() * 1000.0);
            std::thread::sleep(PACE);
        }
        let each = Usage::of(&host)?.cpu.saturating_sub(before).as_secs_f64() * 1000.0;

        let before = still(&host)?;
        let began = Instant::now();
        api.put(&pool(AFTER))?;
        if !all_within(&api, AFTER, services + PROBES, inputs.limit)? {
            return Ok(None);
        }
        let renumbered = began.elapsed();
        let after = still(&host)?;
        controller.check_alive()?;
        let share = |share: f64| quantile(&latencies, share).unwrap_or_default();
        Ok(Some(vec![Measured {
            heading,
            metrics: vec![
                HALF.is(share(0.5)),
                MOST.is(share(0.99)),
                EACH.is(each / PROBES as f64),
                ALL.seconds(assigned),
                ALL_CPU.seconds(cpu),
                RENUMBERED.seconds(renumbered),
                RENUMBERED_CPU.seconds(after.saturating_sub(before)),
                PEAK.is(Usage::of(&host)?.peak_kb as f64 / 1024.0),
            ],
        }]))
    };
    with_logs(&lab, run())
}

/// The API server, with a pool and Services that have no address yet.
fn serve(host: &Namespace, services: usize) -> Result<FakeApiServer> {
    let settings = Settings {
        // What TLS costs is not what is measured.
        tls: false,
        ..Settings::default()
    };
    let api = FakeApiServer::start_in(host, ([127, 0, 0, 1], 6443).into(), settings)?;
    api.install_definitions()?;
    for name in (0..TEAMS)
        .map(|team| format!("team-{team}"))
        .chain(["routelet-system".to_owned()])
    {
        api.put(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
    }
    api.put(&pool(BEFORE))?;
    for number in 0..services {
        let namespace = format!("team-{}", number % TEAMS);
        api.create(&service(&namespace, &format!("service-{number}")))?;
    }
    Ok(api)
}

fn start(host: &Namespace, api: &FakeApiServer) -> Result<Process> {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": api.url()}}],
        "users": [{"name": "controller", "user": {}}],
        "contexts": [{"name": "lab", "context": {
            "cluster": "lab", "user": "controller", "namespace": "routelet-system",
        }}],
    });
    let kubeconfig = host.dir().join("kubeconfig");
    std::fs::write(&kubeconfig, config.to_string())?;
    let binary = interop_lab::routelet_binary()?;
    let (binary, kubeconfig) = (binary.to_string_lossy(), kubeconfig.to_string_lossy());
    let mut argv = vec![&*binary, "controller", "--kubeconfig", &kubeconfig];
    argv.extend(["--identity", "controller-0"]);
    host.spawn("controller", &argv)
}

/// Waits until this many Services have an address of a network; `false` if they have not in time.
fn all_within(api: &FakeApiServer, net: &str, count: usize, limit: Duration) -> Result<bool> {
    let net: ipnet::Ipv4Net = net.parse()?;
    let end = Instant::now() + limit;
    while Instant::now() < end {
        // Seldom: a list takes as long as many writes.
        std::thread::sleep(Duration::from_millis(100));
        let revision = api.revision();
        std::thread::sleep(Duration::from_millis(100));
        if revision != api.revision() {
            continue;
        }
        let all = api.list("Service");
        let within = all.iter().filter_map(address).filter(|ip| net.contains(ip));
        if within.count() == count {
            return Ok(true);
        }
    }
    Ok(false)
}

fn address(service: &Value) -> Option<Ipv4Addr> {
    let ingress = &service["status"]["loadBalancer"]["ingress"];
    ingress[0]["ip"].as_str()?.parse().ok()
}

/// The processor time of the controller, once it uses next to none any more.
fn still(host: &Namespace) -> Result<Duration> {
    let end = Instant::now() + Duration::from_secs(30);
    let mut before = Usage::of(host)?.cpu;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
        let now = Usage::of(host)?.cpu;
        if now.saturating_sub(before) <= Duration::from_millis(20) {
            return Ok(now);
        }
        before = now;
    }
    Err(anyhow!("the controller does not come to rest"))
}

fn pool(net: &str) -> Value {
    json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "AddressPool", "metadata": {"name": "public"},
        "spec": {"addresses": [net]},
    })
}

fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": name},
        },
    })
}
