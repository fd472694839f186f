//! Fields of Router, Peer and the other objects are changed under an agent that runs, one after the other: each takes effect, and
//! ends the session or not as docs/reference/configuration.md says (`agent/api/tests/changes/fields.yaml`). That every change reaches who acts on
//! it is `agent/core/src/intent/tests/changes.rs`; here it is seen from outside: at a router, in the kernel, or by `routelet`.

mod support;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use interop_tests::{
    Community, Kind, Lab, Need, Neighbour, Origination, Route, Speaker, Subject, eventually, run,
};
use serde::Deserialize;
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, object};
use support::segment::{Segment, v4, v6};

/// What the routers announce: with a community and a MED; plain; and the default route.
const MARKED: &str = "198.51.100.0/24";
const PLAIN: &str = "198.51.101.0/24";
const DEFAULT: &str = "0.0.0.0/0";
/// What the node announces: by an Advertisement, and since it is there by default.
const STATIC: &str = "203.0.113.0/24";
const POD_CIDR: &str = "10.244.1.0/24";

#[test]
fn a_changed_field_takes_effect_in_a_running_agent_as_the_page_says() {
    let needs = [Kind::Routelet, Kind::Bird2].map(Need::Speaker);
    run(&needs, scenario);
}

/// What has to be seen once a change has taken effect, and is not before.
enum Seen {
    /// An answer of `routelet -o json`, and what stands at a place in it.
    Says(&'static [&'static str], &'static str, Value),
    /// What the router has.
    Router(fn(&World) -> Result<()>),
    /// What `ip` shows holds this.
    Kernel(&'static [&'static str], &'static str),
    /// And no longer this.
    NoKernel(&'static [&'static str], &'static str),
    /// Nothing but a session that ended.
    Reset,
}
use Seen::{Kernel, NoKernel, Reset, Router, Says};

struct World {
    node: Node,
    /// At .2 and .3, in one AS: peers `p` and `q`.
    routers: [Subject; 2],
}

/// A row of the table of the page.
#[derive(Deserialize)]
struct Row {
    kind: String,
    field: String,
    change: String,
}

fn claims() -> Result<BTreeMap<(String, String), String>> {
    let text = include_str!("../../agent/api/tests/changes/fields.yaml");
    let rows: Vec<Row> = serde_saphyr::from_str(text)?;
    let rows = rows
        .into_iter()
        .map(|row| ((row.kind, row.field), row.change));
    Ok(rows.collect())
}

impl World {
    fn start(lab: &Lab) -> Result<Self> {
        let segment = Segment::new(lab)?;
        let router = |n: u8| -> Result<Subject> {
            let neighbour = Neighbour::new(&v4(1), 64512)
                .passive()
                .graceful_restart(SOON);
            let speaker = Speaker::new(64500, &v4(n))
                .neighbour(neighbour)
                .originate(Origination::new(MARKED).community(64500, 1).med(5))
                .originate(Origination::new(PLAIN))
                .originate(Origination::new(DEFAULT));
            let at = segment.host(&format!("router-{n}"), n)?;
            Subject::start(lab, Kind::Bird2, &at, speaker)
        };
        let routers = [router(2)?, router(3)?];
        let namespace = segment.host("node-1", 1)?;
        let files = [("config", config(None)?)];
        let node = Node::start(&namespace, &files, &["--http", "off"])?;
        Ok(Self { node, routers })
    }

    fn peer(&self) -> Result<Value> {
        self.node.ask(&["peers", "p"])
    }

    /// The session of `p`, by our end of its connection: only this side dials.
    fn session(&self) -> Result<Value> {
        let peer = self.peer()?;
        ensure!(peer["state"] == json!("Established"), "{peer}");
        Ok(peer["localAddress"].clone())
    }

    /// A route of the node as the router of `p` has it.
    fn told(&self, prefix: &str) -> Result<Route> {
        self.routers[0].route(prefix)
    }

    /// Both sessions run, and all routes are exchanged.
    fn is_at_rest(&self) -> Result<()> {
        self.session()?;
        for router in &self.routers {
            for prefix in [STATIC, POD_CIDR] {
                let route = router.route(prefix)?;
                ensure!(
                    route.communities.is_empty() && route.med.is_none(),
                    "{route:?}"
                );
            }
        }
        self.has_ways(2)
    }

    /// By how many nexthops one prefix is reached.
    fn has_ways(&self, expected: usize) -> Result<()> {
        let fib = self.node.ask(&["fib"])?;
        let all = fib.as_array().context("a list")?;
        let entry = all.iter().find(|entry| entry["prefix"] == json!(MARKED));
        let entry = entry.with_context(|| format!("{MARKED} is not in {fib}"))?;
        let ways = entry["nexthops"].as_array().map_or(0, Vec::len);
        ensure!(ways == expected, "{entry}");
        Ok(())
    }

    fn sees(&self, seen: &Seen) -> Result<()> {
        let ip = |words: &[&str]| self.node.namespace.run(&[&["ip"], words].concat());
        match seen {
            Says(words, at, expected) => {
                let answer = self.node.ask(words)?;
                let found = answer.pointer(at).unwrap_or(&Value::Null);
                ensure!(found == expected, "{at} is {found}, expected {expected}");
                Ok(())
            }
            Router(check) => check(self),
            Kernel(words, text) => {
                let shown = ip(words)?;
                ensure!(shown.contains(text), "no {text} in {shown}");
                Ok(())
            }
            NoKernel(words, text) => {
                let shown = ip(words)?;
                ensure!(!shown.contains(text), "{text} in {shown}");
                Ok(())
            }
            Reset => bail!("the session"),
        }
    }
}

/// The objects; one of them changed.
fn config(change: Option<(&str, &Value)>) -> Result<Value> {
    let timers = json!({"connectRetry": "1s", "idleHold": "0s"});
    let peer = |address: &str| json!({"address": address, "asn": 64500, "timers": timers});
    let mut objects = json!([
        object("Router", "default", &json!({"mesh": {"enabled": false}})),
        object("Peer", "p", &peer(&v4(2))),
        object("Peer", "q", &peer(&v4(3))),
        object("Advertisement", "a", &json!({"prefixes": [STATIC]})),
        object("RoutePolicy", "imported", &json!({"rules": [{"action": "Accept"}]})),
        object("RoutePolicy", "none", &json!({"rules": [{"action": "Reject"}]})),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "d"},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.200"}]}},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "endpoints": [{"nodeName": "node-1", "addresses": ["10.244.1.9"], "conditions": {"ready": true}}],
        },
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node-1", "labels": {"asn": "64777"}, "annotations": {"id": "10.0.0.7"}},
            "spec": {
                "podCIDRs": [POD_CIDR],
                "taints": [{"key": "example.com/off", "effect": "NoSchedule"}],
            },
            "status": {"addresses": [
                {"type": "InternalIP", "address": v4(1)}, {"type": "InternalIP", "address": v6(1)},
            ]},
        },
    ]);
    objects[1]["spec"]["import"] = json!(["imported"]);
    objects[2]["metadata"]["labels"] = json!({"a": "q"});
    if let Some((kind, patch)) = change {
        let all = objects.as_array_mut().context("a list")?;
        let object = all.iter_mut().find(|object| object["kind"] == json!(kind));
        merge(&mut object.context("no such object")?["spec"], patch);
    }
    Ok(objects)
}

/// A JSON merge patch (RFC 7396), without removal.
fn merge(target: &mut Value, patch: &Value) {
    match (target.as_object_mut(), patch.as_object()) {
        (Some(target), Some(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *target = patch.clone(),
    }
}

/// The changes: kind, field, patch, and what is seen of it.
fn changes() -> Vec<(&'static str, &'static str, Value, Seen)> {
    let peer: &[&str] = &["peers", "p"];
    let status: &[&str] = &["status"];
    vec![
        (
            "Router",
            "asn",
            json!({"asn": 64999}),
            Says(status, "/asn", json!(64999)),
        ),
        (
            "Router",
            "asnFrom",
            json!({"asnFrom": {"nodeLabel": "asn"}}),
            Says(status, "/asn", json!(64777)),
        ),
        (
            "Router",
            "routerID",
            json!({"routerID": "10.0.0.9"}),
            Says(status, "/routerId", json!("10.0.0.9")),
        ),
        (
            "Router",
            "routerIDFrom",
            json!({"routerIDFrom": {"nodeAnnotation": "id"}}),
            Says(status, "/routerId", json!("10.0.0.7")),
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
        (
            "Router",
            "gracefulRestart.enabled",
            json!({"gracefulRestart": {"enabled": false}}),
            Says(peer, "/gracefulRestart", Value::Null),
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
            Says(status, "/listening/0", json!("0.0.0.0:1790")),
        ),
        (
            "Router",
            "listen.addresses",
            json!({"listen": {"addresses": [v4(1)]}}),
            Says(status, "/listening", json!([format!("{}:179", v4(1))])),
        ),
        (
            "Router",
            "listen.enabled",
            json!({"listen": {"enabled": false}}),
            Says(status, "/listening", json!([])),
        ),
        (
            "Router",
            "multipath.maxPaths",
            json!({"multipath": {"maxPaths": 1}}),
            Router(only_one_way),
        ),
        (
            "Peer",
            "address",
            json!({"address": v6(2)}),
            Says(peer, "/address", json!(v6(2))),
        ),
        (
            "Peer",
            "asn",
            json!({"asn": 64501}),
            Says(peer, "/asn", json!(64501)),
        ),
        (
            "Peer",
            "addPath.receive",
            json!({"addPath": {"receive": true}}),
            Reset,
        ),
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
            Says(peer, "/families/0/accepted", json!(2)),
        ),
        ("Peer", "ebgpMultihop", json!({"ebgpMultihop": 2}), Reset),
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
            Says(peer, "/families/0/accepted", json!(0)),
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
            Says(peer, "/families/0/family", json!("ipv6-unicast")),
        ),
        (
            "Peer",
            "gracefulRestart",
            json!({"gracefulRestart": false}),
            Says(peer, "/gracefulRestart", Value::Null),
        ),
        (
            "Peer",
            "localAddress",
            json!({"localAddress": v4(1)}),
            Reset,
        ),
        (
            "Peer",
            "maxPrefixes",
            json!({"maxPrefixes": 10}),
            Says(peer, "/families/0/maxPrefixes", json!(10)),
        ),
        (
            "Peer",
            "passive",
            json!({"passive": true}),
            Says(peer, "/passive", json!(true)),
        ),
        ("Peer", "port", json!({"port": 1790}), Reset),
        ("Peer", "role", json!({"role": "Customer"}), Reset),
        (
            "Peer",
            "sourceInterface",
            json!({"sourceInterface": "eth0"}),
            Reset,
        ),
        (
            "Peer",
            "timers.hold",
            json!({"timers": {"hold": "30s"}}),
            Says(peer, "/holdTimeSeconds", json!(30)),
        ),
        (
            "Peer",
            "timers.keepalive",
            json!({"timers": {"keepalive": "9s", "hold": "60s"}}),
            Says(peer, "/keepaliveSeconds", json!(9)),
        ),
        (
            "Peer",
            "ttlSecurity.hops",
            json!({"ttlSecurity": {"hops": 1}}),
            Reset,
        ),
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
            Says(peer, "/families/0/accepted", json!(2)),
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

fn scenario(lab: &Lab) -> Result<()> {
    let world = World::start(lab)?;
    let claims = claims()?;
    for (kind, field, patch, seen) in changes() {
        let name = format!("{kind} {field}");
        let claim = claims
            .get(&(kind.to_owned(), field.to_owned()))
            .with_context(|| format!("{name} is not in the table"))?;
        eventually(SOON, &format!("all as it was before {name}"), || {
            world.is_at_rest()
        })?;
        let before = world.session()?;
        ensure!(world.sees(&seen).is_err(), "{name}: seen before");
        world.node.write("config", &config(Some((kind, &patch)))?)?;
        if claim == "next" {
            eventually(SOON, &format!("{name} is known"), || known(&world, &patch))?;
            ensure!(world.sees(&seen).is_err(), "{name}: in the old session");
            ensure!(world.session()? == before, "{name}: a session ended");
            world.node.ask_text(&["peer", "reset", "p"])?;
        }
        let resets = claim != "now";
        eventually(SOON, &format!("{name} takes effect ({claim})"), || {
            if resets {
                let now = world.session().ok();
                ensure!(now.as_ref() != Some(&before), "the session runs: {before}");
            }
            match &seen {
                Reset => Ok(()),
                seen => world.sees(seen),
            }
        })?;
        if !resets {
            ensure!(world.session()? == before, "{name}: a session ended");
        }
        let problems = world.node.ask(&["status"])?["problems"].clone();
        ensure!(
            problems.as_array().is_none_or(Vec::is_empty),
            "{name}: {problems}"
        );
        let during = world.session().ok();
        world.node.write("config", &config(None)?)?;
        if claim == "session" || claim == "sessions" {
            // The way back resets it as well. The next field must not be taken for the reason.
            eventually(SOON, &format!("{name} is as before"), || {
                let now = Some(world.session()?);
                ensure!(now != during, "the session runs: {now:?}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// The agent would propose the hold time of the patch.
fn known(world: &World, patch: &Value) -> Result<()> {
    let proposed = world.peer()?["configuredHoldTimeSeconds"].to_string();
    let wanted = patch["timers"]["hold"].as_str().context("no hold time")?;
    ensure!(format!("{proposed}s") == wanted, "{proposed}");
    Ok(())
}
