//! RFC 4724 section 4.1, a node that restarts: what it passes on waits until it has heard everybody, and what its
//! predecessor left in the kernel stays until those have spoken who announced it, whether or not they are configured
//! one by one.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop_tests::probe::kernel::{self, Monitor};
use interop_tests::probe::ping::Ping;
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Origination, Signal, Speaker, State, Subject,
    eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::segment::{Segment, v4};

const AS: u32 = 64512;

fn needs() -> [Need; 2] {
    [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)]
}

/// The network of number `n`, and a host in it.
fn network(n: u8) -> (String, String) {
    (format!("198.51.{n}.0/24"), format!("198.51.{n}.1"))
}

/// A router at number `n` that dials the node `after` its session was lost.
fn router(segment: &Segment<'_>, lab: &Lab, n: u8, asn: u32, how: Dial) -> Result<Subject> {
    let at = segment.host(&format!("router-{n}"), n)?;
    at.address("lo", &format!("{}/32", network(n).1))?;
    let mut neighbour = Neighbour::new(&v4(1), AS);
    if how.graceful {
        neighbour = neighbour.graceful_restart(Duration::from_secs(60));
    }
    let after = how.after.as_secs();
    let neighbour = neighbour.extra(&format!("connect delay time {after};"));
    let speaker = Speaker::new(asn, &v4(n))
        .neighbour(neighbour)
        .originate(Origination::new(&network(n).0))
        .install();
    Subject::start(lab, Kind::Bird2, &at, speaker)
}

#[derive(Clone, Copy)]
struct Dial {
    graceful: bool,
    after: Duration,
}

const GRACEFUL: Dial = Dial {
    graceful: true,
    after: Duration::from_secs(1),
};

/// The node at number 1 with these objects beside its Router.
fn start_node(segment: &Segment<'_>, objects: &[Value]) -> Result<Node> {
    let namespace = segment.host("node-1", 1)?;
    let node = node_object("node-1", &[&v4(1)], &["10.244.1.0/24"]);
    let files = [("node", node), ("config", config(objects))];
    Node::start(&namespace, &files, &["--http", "off"])
}

fn config(objects: &[Value]) -> Value {
    let router = object("Router", "default", &json!({"asn": AS}));
    let all = [router].into_iter().chain(objects.iter().cloned());
    Value::Array(all.collect())
}

fn wait_kernel(at: &Namespace, prefix: &str) -> Result<()> {
    eventually(
        SOON,
        &format!("{prefix} in the kernel of {}", at.label()),
        || {
            let found = kernel::routes_to(at, prefix)?;
            ensure!(found.len() == 1, "{found:?}");
            Ok(())
        },
    )
}

/// Waits until the first exchange of routes is over, and says how long that took.
fn wait_converged(node: &Node) -> Result<Duration> {
    let since = Instant::now();
    eventually(Duration::from_secs(30), "convergence", || {
        let status = node.ask(&["status"])?;
        ensure!(status["convergence"]["converged"] == true, "{status}");
        Ok(())
    })?;
    Ok(since.elapsed())
}

fn untouched(monitor: &Monitor, prefix: &str) -> Result<()> {
    let lines = monitor.lines()?.into_iter();
    let touched: Vec<String> = lines.filter(|line| line.contains(prefix)).collect();
    ensure!(touched.is_empty(), "{prefix} was touched: {touched:#?}");
    Ok(())
}

#[test]
fn no_client_loses_a_route_while_its_reflector_restarts_and_another_client_is_slow() {
    run(&needs(), |lab| {
        let segment = Segment::new(lab)?;
        let client = |n: u8| {
            let spec = json!({
                "address": v4(n), "asn": "internal", "passive": true, "routeReflectorClient": true,
            });
            object("Peer", &format!("client-{n}"), &spec)
        };
        let mut node = start_node(&segment, &[client(2), client(3)])?;
        let quick = router(&segment, lab, 2, AS, GRACEFUL)?;
        let slow = Dial {
            after: Duration::from_secs(8),
            ..GRACEFUL
        };
        let slow = router(&segment, lab, 3, AS, slow)?;
        let (prefix, host) = network(3);
        wait_kernel(quick.namespace(), &prefix)?;
        wait_converged(&node)?;
        let monitor = Monitor::start(quick.namespace())?;
        let ping = Ping::start(quick.namespace(), &host, None)?;

        node.end(Signal::SIGKILL)?;
        for client in [&quick, &slow] {
            eventually(SOON, "the clients see the session fall", || {
                let session = client.session(&v4(1))?;
                ensure!(session.state != State::Established, "{session:?}");
                Ok(())
            })?;
        }
        node.launch()?;
        quick.wait_established(&v4(1))?;
        slow.wait_established(&v4(1))?;
        wait_converged(&node)?;
        eventually(SOON, "the quick client has End-of-RIB", || {
            let route = quick.route(&prefix)?;
            ensure!(!route.stale, "{route:?}");
            let peer = node.ask(&["peers", "client-2"])?;
            let families = peer["families"].as_array().cloned().unwrap_or_default();
            let ended = |family: &Value| {
                family["negotiated"] != json!(true) || family["endOfRibSent"] == json!(true)
            };
            ensure!(families.iter().all(ended), "{peer}");
            Ok(())
        })?;
        untouched(&monitor, &prefix)?;
        let loss = ping.stop()?;
        ensure!(loss.answered == loss.sent, "packets were lost: {loss:?}");
        Ok(())
    });
}

/// Kills the agent, changes its objects, starts it, and lets `later` happen. The route of router 2 is not touched.
fn restart_touches_nothing(dial: Dial, before: &[Value], between: &[Value], later: &[Value]) {
    run(&needs(), |lab| {
        let segment = Segment::new(lab)?;
        let mut node = start_node(&segment, before)?;
        let router = router(&segment, lab, 2, 64502, dial)?;
        let (prefix, host) = network(2);
        wait_kernel(&node.namespace, &prefix)?;
        wait_converged(&node)?;
        let monitor = Monitor::start(&node.namespace)?;
        let ping = Ping::start(&node.namespace, &host, None)?;

        node.end(Signal::SIGKILL)?;
        eventually(SOON, "the router sees the session fall", || {
            let session = router.session(&v4(1))?;
            ensure!(session.state != State::Established, "{session:?}");
            Ok(())
        })?;
        node.write("config", &config(between))?;
        node.launch()?;
        if between.is_empty() {
            let waiting = node.ask(&["status"])?["convergence"].clone();
            ensure!(waiting["converged"] == false, "{waiting}");
            ensure!(
                waiting["waitingFor"]
                    .to_string()
                    .contains("1 kernel routes of a predecessor"),
                "{waiting}"
            );
        }
        node.write("config", &config(later))?;
        router.wait_established(&v4(1))?;
        wait_converged(&node)?;
        wait_kernel(&node.namespace, &prefix)?;
        untouched(&monitor, &prefix)?;
        let loss = ping.stop()?;
        ensure!(loss.answered == loss.sent, "packets were lost: {loss:?}");
        Ok(())
    });
}

fn range() -> Value {
    object(
        "Peer",
        "range",
        &json!({"range": "10.0.0.0/24", "asn": "external"}),
    )
}

fn one_peer() -> Value {
    let spec = json!({"address": v4(2), "asn": 64502, "timers": {"connectRetry": "1s"}});
    object("Peer", "router", &spec)
}

#[test]
fn a_node_whose_peers_come_from_a_range_restarts_without_touching_a_route() {
    let dial = Dial {
        after: Duration::from_secs(3),
        ..GRACEFUL
    };
    let range = [range()];
    restart_touches_nothing(dial, &range, &range, &range);
}

#[test]
fn a_node_whose_peer_comes_after_its_restart_touches_no_route() {
    let one = [one_peer()];
    restart_touches_nothing(GRACEFUL, &one, &[], &one);
}

#[test]
fn a_node_whose_router_has_no_graceful_restart_converges_soon_and_touches_no_route() {
    let dial = Dial {
        graceful: false,
        ..GRACEFUL
    };
    let one = [one_peer()];
    restart_touches_nothing(dial, &one, &one, &one);
}
