//! A node with two routers, its objects, and what is seen of it.

use anyhow::{Context, Result, bail, ensure};
use interop_tests::{Kind, Lab, Neighbour, Origination, Route, Speaker, Subject};
use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::node::{Node, object};
use crate::support::segment::{Segment, v4, v6};
use crate::{DEFAULT, MARKED, PLAIN, POD_CIDR, STATIC};
use Seen::{Kernel, NoKernel, Reset, Router, Says};

/// What has to be seen once a change has taken effect, and is not before.
pub(crate) enum Seen {
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

pub(crate) struct World {
    pub(crate) node: Node,
    /// At .2 and .3, in one AS: peers `p` and `q`.
    routers: [Subject; 2],
}

impl World {
    pub(crate) fn start(lab: &Lab) -> Result<Self> {
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

    pub(crate) fn peer(&self) -> Result<Value> {
        self.node.ask(&["peers", "p"])
    }

    /// The session of `p`, by our end of its connection: only this side dials.
    pub(crate) fn session(&self) -> Result<Value> {
        let peer = self.peer()?;
        ensure!(peer["state"] == json!("Established"), "{peer}");
        Ok(peer["localAddress"].clone())
    }

    /// A route of the node as the router of `p` has it.
    pub(crate) fn told(&self, prefix: &str) -> Result<Route> {
        self.routers[0].route(prefix)
    }

    /// Both sessions run, and all routes are exchanged.
    pub(crate) fn is_at_rest(&self) -> Result<()> {
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
    pub(crate) fn has_ways(&self, expected: usize) -> Result<()> {
        let fib = self.node.ask(&["fib"])?;
        let all = fib.as_array().context("a list")?;
        let entry = all.iter().find(|entry| entry["prefix"] == json!(MARKED));
        let entry = entry.with_context(|| format!("{MARKED} is not in {fib}"))?;
        let ways = entry["nexthops"].as_array().map_or(0, Vec::len);
        ensure!(ways == expected, "{entry}");
        Ok(())
    }

    pub(crate) fn sees(&self, seen: &Seen) -> Result<()> {
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
pub(crate) fn config(change: Option<(&str, &Value)>) -> Result<Value> {
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
