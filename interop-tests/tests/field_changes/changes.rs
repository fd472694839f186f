//! The fields that are changed, and what has to be seen of each.

use anyhow::{Context, Result, ensure};
use interop_tests::Community;
use serde_json::{Value, json};

use crate::support::segment::{v4, v6};
use crate::world::{Seen, World};
use crate::{MARKED, PLAIN, POD_CIDR, STATIC};
use Seen::{Kernel, NoKernel, Reset, Router, Says};

/// A change: kind, field, patch of the spec, and what is seen of it.
pub(crate) type Change = (&'static str, &'static str, Value, Seen);

const PEER: &[&str] = &["peers", "p"];
const STATUS: &[&str] = &["status"];

pub(crate) fn changes() -> Vec<Change> {
    [
        router(),
        kernel(),
        sessions(),
        connection(),
        protocol(),
        routes(),
        advertisement(),
        policy(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Of a Router: who the node is, and what it announces and uses.
fn router() -> Vec<Change> {
    vec![
        (
            "Router",
            "asn",
            json!({"asn": 64999}),
            Says(STATUS, "/asn", json!(64999)),
        ),
        (
            "Router",
            "asnFrom",
            json!({"asnFrom": {"nodeLabel": "asn"}}),
            Says(STATUS, "/asn", json!(64777)),
        ),
        (
            "Router",
            "routerID",
            json!({"routerID": "10.0.0.9"}),
            Says(STATUS, "/routerId", json!("10.0.0.9")),
        ),
        (
            "Router",
            "routerIDFrom",
            json!({"routerIDFrom": {"nodeAnnotation": "id"}}),
            Says(STATUS, "/routerId", json!("10.0.0.7")),
        ),
        (
            "Router",
            "drain",
            json!({"drain": true}),
            Router(is_drained),
        ),
        (
            "Router",
            "leave.taints",
            json!({"leave": {"taints": ["example.com/off"]}}),
            Router(is_drained),
        ),
        (
            "Router",
            "defaultAdvertisement.enabled",
            json!({"defaultAdvertisement": {"enabled": false}}),
            Router(|world| has_no(world, POD_CIDR)),
        ),
        (
            "Router",
            "multipath.maxPaths",
            json!({"multipath": {"maxPaths": 1}}),
            Router(only_one_way),
        ),
    ]
}

/// Of a Router: what is written to the kernel.
fn kernel() -> Vec<Change> {
    vec![
        (
            "Router",
            "fib.acceptDefaultRoute",
            json!({"fib": {"acceptDefaultRoute": true}}),
            Kernel(&["route", "show", "default"], "default"),
        ),
        (
            "Router",
            "fib.maxRoutes",
            json!({"fib": {"maxRoutes": 1}}),
            Router(only_one_route),
        ),
        (
            "Router",
            "fib.refuse.enabled",
            json!({"fib": {"refuse": {"enabled": false}}}),
            NoKernel(&["route", "show", "table", "all"], "table 17900"),
        ),
        (
            "Router",
            "fib.refuse.table",
            json!({"fib": {"refuse": {"table": 18000}}}),
            Kernel(&["route", "show", "table", "all"], "table 18000"),
        ),
    ]
}

/// Of a Router: what concerns all sessions.
fn sessions() -> Vec<Change> {
    vec![
        (
            "Router",
            "gracefulRestart.enabled",
            json!({"gracefulRestart": {"enabled": false}}),
            Says(PEER, "/gracefulRestart", Value::Null),
        ),
        (
            "Router",
            "gracefulRestart.restartTime",
            json!({"gracefulRestart": {"restartTime": "60s"}}),
            Reset,
        ),
        (
            "Router",
            "listen.port",
            json!({"listen": {"port": 1790}}),
            Says(STATUS, "/listening/0", json!("0.0.0.0:1790")),
        ),
        (
            "Router",
            "listen.addresses",
            json!({"listen": {"addresses": [v4(1)]}}),
            Says(STATUS, "/listening", json!([format!("{}:179", v4(1))])),
        ),
        (
            "Router",
            "listen.enabled",
            json!({"listen": {"enabled": false}}),
            Says(STATUS, "/listening", json!([])),
        ),
    ]
}

/// Of a Peer: how it is reached.
fn connection() -> Vec<Change> {
    vec![
        (
            "Peer",
            "address",
            json!({"address": v6(2)}),
            Says(PEER, "/address", json!(v6(2))),
        ),
        (
            "Peer",
            "asn",
            json!({"asn": 64501}),
            Says(PEER, "/asn", json!(64501)),
        ),
        ("Peer", "ebgpMultihop", json!({"ebgpMultihop": 2}), Reset),
        (
            "Peer",
            "localAddress",
            json!({"localAddress": v4(1)}),
            Reset,
        ),
        (
            "Peer",
            "passive",
            json!({"passive": true}),
            Says(PEER, "/passive", json!(true)),
        ),
        ("Peer", "port", json!({"port": 1790}), Reset),
        (
            "Peer",
            "sourceInterface",
            json!({"sourceInterface": "eth0"}),
            Reset,
        ),
        (
            "Peer",
            "ttlSecurity.hops",
            json!({"ttlSecurity": {"hops": 1}}),
            Reset,
        ),
    ]
}

/// Of a Peer: what the OPEN says.
fn protocol() -> Vec<Change> {
    vec![
        (
            "Peer",
            "addPath.receive",
            json!({"addPath": {"receive": true}}),
            Reset,
        ),
        (
            "Peer",
            "extendedNextHop",
            json!({"extendedNextHop": true}),
            Reset,
        ),
        (
            "Peer",
            "families",
            json!({"families": ["IPv6"]}),
            Says(PEER, "/families/0/family", json!("ipv6-unicast")),
        ),
        (
            "Peer",
            "gracefulRestart",
            json!({"gracefulRestart": false}),
            Says(PEER, "/gracefulRestart", Value::Null),
        ),
        ("Peer", "role", json!({"role": "Customer"}), Reset),
        (
            "Peer",
            "timers.hold",
            json!({"timers": {"hold": "30s"}}),
            Says(PEER, "/holdTimeSeconds", json!(30)),
        ),
        (
            "Peer",
            "timers.keepalive",
            json!({"timers": {"keepalive": "9s", "hold": "60s"}}),
            Says(PEER, "/keepaliveSeconds", json!(9)),
        ),
    ]
}

/// Of a Peer: which routes are taken and sent.
fn routes() -> Vec<Change> {
    vec![
        (
            "Peer",
            "attributeFilter.discard",
            json!({"attributeFilter": {"discard": [4]}}),
            Router(has_lost_its_med),
        ),
        (
            "Peer",
            "attributeFilter.treatAsWithdraw",
            json!({"attributeFilter": {"treatAsWithdraw": [8]}}),
            Says(PEER, "/families/0/accepted", json!(2)),
        ),
        (
            "Peer",
            "export",
            json!({"export": ["none"]}),
            Router(|world| has_no(world, STATIC)),
        ),
        (
            "Peer",
            "import",
            json!({"import": ["none"]}),
            Says(PEER, "/families/0/accepted", json!(0)),
        ),
        (
            "Peer",
            "maxPrefixes",
            json!({"maxPrefixes": 10}),
            Says(PEER, "/families/0/maxPrefixes", json!(10)),
        ),
    ]
}

/// Of an Advertisement.
fn advertisement() -> Vec<Change> {
    vec![
        (
            "Advertisement",
            "attributes.communities",
            json!({"attributes": {"communities": ["64512:1"]}}),
            Router(|world| {
                let route = world.told(STATIC)?;
                ensure!(
                    route.communities.contains(&Community(64512, 1)),
                    "{route:?}"
                );
                Ok(())
            }),
        ),
        (
            "Advertisement",
            "attributes.med",
            json!({"attributes": {"med": 7}}),
            Router(|world| {
                let route = world.told(STATIC)?;
                ensure!(route.med == Some(7), "{route:?}");
                Ok(())
            }),
        ),
        (
            "Advertisement",
            "attributes.prepend",
            json!({"attributes": {"prepend": 2}}),
            Router(|world| {
                let route = world.told(STATIC)?;
                ensure!(route.as_path == "64512 64512 64512", "{route:?}");
                Ok(())
            }),
        ),
        (
            "Advertisement",
            "peerSelector",
            json!({"peerSelector": {"matchLabels": {"a": "q"}}}),
            Router(|world| has_no(world, STATIC)),
        ),
        (
            "Advertisement",
            "prefixes",
            json!({"prefixes": ["203.0.113.128/25"]}),
            Router(|world| has_no(world, STATIC)),
        ),
    ]
}

/// Of a RoutePolicy.
fn policy() -> Vec<Change> {
    vec![
        (
            "RoutePolicy",
            "rules[].set.localPreference",
            json!({"rules": [{"set": {"localPreference": 150}, "action": "Accept"}]}),
            Says(
                &["routes", "best", "--prefix", PLAIN],
                "/0/localPreference",
                json!(150),
            ),
        ),
        (
            "RoutePolicy",
            "rules[].match.communities",
            json!({"rules": [{"match": {"communities": ["64500:1"]}, "action": "Reject"}]}),
            Says(PEER, "/families/0/accepted", json!(2)),
        ),
    ]
}

fn has_no(world: &World, prefix: &str) -> Result<()> {
    ensure!(world.told(prefix).is_err(), "{prefix} is there");
    // It is that one that went, and not the session with all.
    world.session()?;
    Ok(())
}

fn is_drained(world: &World) -> Result<()> {
    let route = world.told(STATIC)?;
    let asks = route.communities.contains(&Community(65535, 0));
    ensure!(asks, "{route:?}");
    Ok(())
}

/// Of three, and the default route is not one.
fn only_one_route(world: &World) -> Result<()> {
    let shown = world.node.namespace.run(&["ip", "route", "show"])?;
    let held = [MARKED, PLAIN].map(|prefix| shown.contains(prefix));
    ensure!(held.iter().filter(|held| **held).count() == 1, "{shown}");
    Ok(())
}

fn only_one_way(world: &World) -> Result<()> {
    world.has_ways(1)
}

fn has_lost_its_med(world: &World) -> Result<()> {
    let best = world.node.ask(&["routes", "best", "--prefix", MARKED])?;
    let paths = best.as_array().context("a list")?;
    let of_p = paths.iter().find(|path| path["peer"] == json!("p"));
    let of_p = of_p.with_context(|| format!("not of p: {best}"))?;
    ensure!(of_p["med"].is_null(), "{of_p}");
    Ok(())
}
