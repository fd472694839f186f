//! Which next hops are used: those that are off the link, behind a gateway that no connected network has, or behind the
//! default route alone.
//!
//! ```text
//! node-1 eth0 10.0.0.1, fd00::1 --- eth0 10.0.0.2, fd00::2 and 10.0.0.3, fd00::3  router (BIRD, AS 64500)
//! ```

mod support;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};

/// What the router announces, with itself as the next hop, and with one that is not on the link.
const NEAR: [&str; 2] = ["198.51.100.0/24", "2001:db8:100::/48"];
const AWAY: [&str; 2] = ["198.51.101.0/24", "2001:db8:101::/48"];
/// Announced after all others.
const LATE: &str = "203.0.113.0/24";
/// Routes to the next hops of [`AWAY`], which are 192.0.2.9 and 2001:db8:99::9.
const TO_AWAY: [(&str, &str); 2] = [
    ("-4", "192.0.2.0/24 via 10.0.0.3"),
    ("-6", "2001:db8:99::/64 via fd00::3"),
];
const GATEWAYS: [&str; 2] = ["10.0.0.3", "fd00::3"];
const ROUTERS: [&str; 2] = ["10.0.0.2", "fd00::2"];

/// The two namespaces; the node's addresses are those given.
fn link(lab: &Lab, addresses: &[&str]) -> Result<(Namespace, Namespace)> {
    let [node, router] = [lab.namespace("node-1")?, lab.namespace("router")?];
    lab.link((&node, "eth0"), (&router, "eth0"))?;
    for address in addresses {
        node.address("eth0", address)?;
    }
    for host in [2, 3] {
        router.address("eth0", &format!("10.0.0.{host}/24"))?;
        router.address("eth0", &format!("fd00::{host}/64"))?;
    }
    Ok((node, router))
}

/// Announces [`NEAR`] and [`AWAY`] to the node, which has this address.
fn announcer(node: &str) -> Speaker {
    let prefixes = NEAR.into_iter().chain(AWAY);
    let speaker = prefixes.fold(Speaker::new(64500, "10.0.0.2"), |speaker, prefix| {
        speaker.originate(Origination::new(prefix))
    });
    speaker.extra(&format!(
        "filter away {{
           if source != RTS_STATIC then reject;
           if net = 198.51.101.0/24 then bgp_next_hop = 192.0.2.9;
           if net = 2001:db8:101::/48 then bgp_next_hop = 2001:db8:99::9;
           if net = 2001:db8:100::/48 then bgp_next_hop = fd00::2;
           accept;
         }}
         protocol bgp node {{
           local 10.0.0.2 as 64500; neighbor {node} as 64512; multihop 2; passive on;
           ipv4 {{ import none; export filter away; }}; ipv6 {{ import none; export filter away; }};
         }}"
    ))
}

/// Waits until a namespace's route of a daemon to each prefix is by its gateway.
fn wait_by(at: &Namespace, prefixes: [&str; 2], gateways: [&str; 2]) -> Result<()> {
    for (prefix, gateway) in prefixes.iter().zip(gateways) {
        let gateway = gateway.parse()?;
        eventually(SOON, &format!("{prefix} by {gateway}"), || {
            let found = kernel::routes_to(at, prefix)?;
            let by = |route: &kernel::KernelRoute| {
                route.paths.len() == 1 && route.paths[0].gateway == Some(gateway)
            };
            ensure!(found.len() == 1 && found.iter().all(by), "{found:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Waits until there is none.
fn wait_none(at: &Namespace, prefixes: [&str; 2]) -> Result<()> {
    for prefix in prefixes {
        eventually(SOON, &format!("no route to {prefix}"), || {
            let found = kernel::routes_to(at, prefix)?;
            ensure!(found.is_empty(), "{found:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn rfc4271_5_1_3_bird_uses_next_hops_off_the_link_of_a_multihop_peer_alone() {
    off_the_link(Kind::Bird2);
}

#[test]
fn rfc4271_5_1_3_frr_uses_next_hops_off_the_link_of_a_multihop_peer_alone() {
    off_the_link(Kind::Frr8);
}

#[test]
fn rfc4271_5_1_3_routelet_uses_next_hops_off_the_link_of_a_multihop_peer_alone() {
    off_the_link(Kind::Routelet);
}

/// The peer is on the link either way: what is configured decides.
fn off_the_link(kind: Kind) {
    run(&[Need::Speaker(kind), Need::Speaker(Kind::Bird2)], |lab| {
        let (node, router) = link(lab, &["10.0.0.1/24", "fd00::1/64"])?;
        for (family, route) in TO_AWAY {
            node.ip(&format!("{family} route add {route}"))?;
        }
        let mut router = Subject::start(lab, Kind::Bird2, &router, announcer("10.0.0.1"))?;
        let receiver = |multihop| {
            let mut neighbour = Neighbour::new("10.0.0.2", 64500);
            neighbour.multihop = multihop;
            let mut speaker = Speaker::new(64512, "10.0.0.1").neighbour(neighbour);
            speaker.install = true;
            if kind == Kind::Bird2 {
                // It resolves next hops by its own tables.
                speaker = speaker.extra(
                    "protocol direct { ipv4; ipv6; }
                     protocol static away4 { ipv4; route 192.0.2.0/24 via 10.0.0.3; }
                     protocol static away6 { ipv6; route 2001:db8:99::/64 via fd00::3; }",
                );
            }
            speaker
        };
        let mut subject = Subject::start(lab, kind, &node, receiver(None))?;
        wait_by(&node, NEAR, ROUTERS)?;
        // What was sent after all the others is there, and of these only those that are to be.
        let late = announcer("10.0.0.1").originate(Origination::new(LATE));
        router.reconfigure(late)?;
        eventually(SOON, LATE, || {
            let found = kernel::routes_to(&node, LATE)?;
            ensure!(found.len() == 1, "{found:?}");
            Ok(())
        })?;
        wait_none(&node, AWAY)?;
        subject.stop()?;
        let mut subject = Subject::start(lab, kind, &node, receiver(Some(2)))?;
        wait_by(&node, AWAY, GATEWAYS)?;
        wait_by(&node, NEAR, ROUTERS)?;
        if kind == Kind::Routelet {
            subject.reconfigure(receiver(None))?;
            wait_none(&node, AWAY)?;
            wait_by(&node, NEAR, ROUTERS)?;
        }
        Ok(())
    });
}

/// The node's manifests: a Router whose `fib` is this, and the router as a peer.
fn manifests(fib: &Value, peer: &Value) -> Value {
    let mut spec = json!({"address": "10.0.0.2", "asn": 64500, "timers": {"connectRetry": "1s"}});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), peer.as_object()) {
        spec.extend(more.clone());
    }
    json!([
        object("Router", "default", &json!({"fib": fib})),
        node_object("node-1", &["10.0.0.1"], &[]),
        object("Peer", "router", &spec),
    ])
}

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

fn start(at: &Namespace, fib: &Value, peer: &Value) -> Result<Node> {
    Node::start(at, &[("config", manifests(fib, peer))], &["--http", "off"])
}

#[test]
fn a_node_with_an_address_alone_and_an_onlink_gateway_uses_routes_by_that_gateway() {
    run(&NEEDS, |lab| {
        let (at, router) = link(lab, &["10.9.9.1/32", "fd00:9::1/128"])?;
        for route in [
            "-4 route add default via 10.0.0.2 dev eth0 onlink",
            "-6 route add default via fd00::2 dev eth0 onlink",
            "-4 route add 192.0.2.0/24 via 10.0.0.3 dev eth0 onlink",
            "-6 route add 2001:db8:99::/64 via fd00::3 dev eth0 onlink",
        ] {
            at.ip(route)?;
        }
        router.ip("route add 10.9.9.1/32 dev eth0")?;
        router.ip("-6 route add fd00:9::1/128 dev eth0")?;
        let _router = Subject::start(lab, Kind::Bird2, &router, announcer("10.9.9.1"))?;
        let node = start(&at, &json!({}), &json!({"ebgpMultihop": 2}))?;
        wait_by(&at, NEAR, ROUTERS)?;
        wait_by(&at, AWAY, GATEWAYS)?;
        let fib = node.ask(&["fib", "--problems"])?;
        ensure!(fib.as_array().is_some_and(Vec::is_empty), "{fib}");
        // The gateway is on the link: a peer there is directly connected.
        node.write("config", &manifests(&json!({}), &json!({})))?;
        wait_none(&at, AWAY)?;
        wait_by(&at, NEAR, ROUTERS)
    });
}

#[test]
fn whether_the_default_route_resolves_next_hops_is_configured_and_takes_effect_at_once() {
    run(&NEEDS, |lab| {
        let (at, router) = link(lab, &["10.0.0.1/24", "fd00::1/64"])?;
        at.ip("-4 route add default via 10.0.0.3")?;
        at.ip("-6 route add default via fd00::3")?;
        let _router = Subject::start(lab, Kind::Bird2, &router, announcer("10.0.0.1"))?;
        let peer = json!({"ebgpMultihop": 2});
        let node = start(&at, &json!({}), &peer)?;
        wait_by(&at, AWAY, GATEWAYS)?;
        let switch = |on: bool| {
            let fib = json!({"resolveViaDefaultRoute": on});
            node.write("config", &manifests(&fib, &peer))
        };
        // Why, in the words of the setting.
        let says = |wanted: bool| {
            eventually(SOON, &format!("the reason is given: {wanted}"), || {
                let status = node.ask_text(&["status"])?;
                let named = status
                    .contains("fib.resolveViaDefaultRoute is false: 192.0.2.9, 2001:db8:99::9");
                ensure!(named == wanted, "{status}");
                for prefix in AWAY {
                    let text = node.ask_text(&["explain", prefix])?;
                    let why = "unreachable: from router";
                    let given = text.contains(why)
                        && text.contains(
                            "only the default route matches the next hop, and \
                            fib.resolveViaDefaultRoute is false",
                        );
                    ensure!(given == wanted, "{text}");
                }
                Ok(())
            })
        };
        says(false)?;
        switch(false)?;
        wait_none(&at, AWAY)?;
        wait_by(&at, NEAR, ROUTERS)?;
        says(true)?;
        // Any other route does.
        for (family, route) in TO_AWAY {
            at.ip(&format!("{family} route add {route}"))?;
        }
        wait_by(&at, AWAY, GATEWAYS)?;
        says(false)?;
        for (family, route) in TO_AWAY {
            at.ip(&format!("{family} route del {route}"))?;
        }
        wait_none(&at, AWAY)?;
        says(true)?;
        switch(true)?;
        wait_by(&at, AWAY, GATEWAYS)?;
        let peer = node.ask(&["peers", "router"])?;
        ensure!(
            peer["establishedCount"] == json!(1),
            "the session fell: {peer}"
        );
        Ok(())
    });
}
