//! Peers by link-local address on a named interface; IPv4 routes over IPv6 next hops (RFC 8950), down to the kernel.

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{Kind, Lab, Namespace, Need, Origination, Speaker, Subject, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};

/// The link-local addresses of the node and of the router, the same on both links of the node: only the interface tells
/// the routers apart.
const NODE: &str = "fe80::1";
const ROUTER: &str = "fe80::2";

#[test]
fn ipv6_routes_are_exchanged_with_a_link_local_bird() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)],
        |lab| {
            let bird = "protocol bgp node { local fe80::2 as 64502; neighbor fe80::1%eth0 as 64512; direct; passive on;
                 ipv6 { import all; export filter everything; };
                 ipv4 { import all; export filter everything; extended next hop on; }; }";
            let speaker = || prefixes(Speaker::new(64502, "192.0.2.2")).extra(bird);
            scenario(lab, Kind::Bird2, speaker)
        },
    );
}

#[test]
fn rfc8950_ipv4_routes_are_exchanged_with_a_link_local_frr() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Frr8)],
        |lab| {
            let frr = "router bgp 64502\n neighbor fe80::1 remote-as 64512\n neighbor fe80::1 interface eth0\n \
                 neighbor fe80::1 timers connect 1\n neighbor fe80::1 advertisement-interval 0\n \
                 neighbor fe80::1 capability extended-nexthop\n address-family ipv4 unicast\n  \
                 neighbor fe80::1 activate\n exit-address-family\n address-family ipv6 unicast\n  \
                 neighbor fe80::1 activate\n exit-address-family\nexit\n";
            let speaker = || prefixes(Speaker::new(64502, "192.0.2.2")).extra(frr);
            scenario(lab, Kind::Frr8, speaker)
        },
    );
}

fn prefixes(speaker: Speaker) -> Speaker {
    speaker
        .originate(Origination::new("198.51.100.0/24"))
        .originate(Origination::new("2001:db8:100::/48"))
}

/// The node's objects: one peer on each interface.
fn config() -> Value {
    let peer = |interface: &str| {
        let spec = json!({
            "address": ROUTER, "sourceInterface": interface, "asn": 64502,
            "timers": {"connectRetry": "1s"},
        });
        object("Peer", &format!("router-{interface}"), &spec)
    };
    json!([
        node_object("node-1", &[], &["10.244.1.0/24", "fd00:244:1::/64"]),
        object("Router", "default", &json!({"routerID": "192.0.2.1"})),
        peer("eth0"),
        peer("eth1"),
    ])
}

/// One node with two interfaces, and behind each a router with the same link-local address.
fn scenario(lab: &Lab, kind: Kind, speaker: impl Fn() -> Speaker) -> Result<()> {
    let namespace = lab.namespace("node-1")?;
    // The link-local addresses are ours, and the only ones.
    namespace.without_link_local()?;
    let mut routers = Vec::new();
    for interface in ["eth0", "eth1"] {
        let at = lab.namespace(&format!("router-{interface}"))?;
        at.without_link_local()?;
        lab.link((&namespace, interface), (&at, "eth0"))?;
        for (place, interface, address) in [(&namespace, interface, NODE), (&at, "eth0", ROUTER)] {
            place.address(interface, &format!("{address}/64"))?;
        }
        // The routers' answers to pings of the node's IPv4 address go back over IPv6 next hops as well.
        at.address("lo", "198.51.100.1/32")?;
        routers.push(Subject::start(lab, kind, &at, speaker())?);
    }
    namespace.address("lo", "10.244.1.1/32")?;
    // On a third link, as on a bridge, the routers' address is the node's own.
    let spare = lab.namespace("spare")?;
    lab.link((&namespace, "eth2"), (&spare, "eth0"))?;
    namespace.address("eth2", &format!("{ROUTER}/64"))?;
    let node = Node::start(&namespace, &[("config", config())], &["--http", "off"])?;
    for interface in ["eth0", "eth1"] {
        eventually(SOON, &format!("the session on {interface}"), || {
            let peer = node.ask(&["peers", &format!("router-{interface}")])?;
            ensure!(peer["state"] == json!("Established"), "{peer}");
            Ok(())
        })?;
    }
    // What the routers tell, in the kernel: over both links, by the routers' link-local address.
    for prefix in ["2001:db8:100::/48", "198.51.100.0/24"] {
        eventually(SOON, &format!("{prefix} over both links"), || {
            let found = kernel::routes_to(&namespace, prefix)?;
            let route = found.first().context("no route")?;
            let mut ways: Vec<_> = route
                .paths
                .iter()
                .map(|path| (path.interface.as_deref(), path.gateway))
                .collect();
            ways.sort();
            let router = ROUTER.parse().ok();
            ensure!(
                ways == [(Some("eth0"), router), (Some("eth1"), router)],
                "{route:?}"
            );
            Ok(())
        })?;
    }
    // That the address is given up there and taken again changes nothing.
    let changes = kernel::Monitor::start(&namespace)?;
    for verb in ["del", "add"] {
        namespace.ip(&format!("addr {verb} {ROUTER}/64 dev eth2"))?;
    }
    let lines = changes.lines()?;
    let of_ours = lines.iter().find(|line| line.contains("proto 179"));
    ensure!(of_ours.is_none(), "{lines:#?}");
    // What the node tells, at the routers.
    for router in &routers {
        for prefix in ["10.244.1.0/24", "fd00:244:1::/64"] {
            let route = router.wait_route(prefix, SOON)?;
            ensure!(
                route.next_hops.contains(&NODE.parse()?),
                "{router}: {route:?}"
            );
        }
    }
    Ok(())
}

/// Such as a VLAN or a tunnel that a network manager makes anew: another index under the same name.
#[test]
fn a_peer_follows_its_interface_when_that_is_made_again() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let namespace = lab.namespace("node-1")?;
        namespace.without_link_local()?;
        // Of both kinds: a link-local address, and one that is bound to its interface for another reason.
        let links = [
            ("eth0", NODE, 64, ROUTER),
            ("eth1", "10.0.1.1", 24, "10.0.1.2"),
        ];
        let mut routers = Vec::new();
        let mut config = vec![
            node_object("node-1", &[], &["10.244.1.0/24", "fd00:244:1::/64"]),
            object("Router", "default", &json!({"routerID": "192.0.2.1"})),
        ];
        let mut places = Vec::new();
        for (interface, node, length, router) in links {
            let at = lab.namespace(&format!("router-{interface}"))?;
            at.without_link_local()?;
            places.push(at.clone());
            connect(lab, &namespace, &at, interface, [node, router], length)?;
            let bird = format!(
                "protocol bgp node {{ local {router} as 64502; neighbor {node}{} as 64512; direct; passive on;
                 ipv6 {{ import all; export none; }}; ipv4 {{ import all; export none; extended next hop on; }}; }}",
                if length == 64 { "%eth0" } else { "" }
            );
            let speaker = Speaker::new(64502, "192.0.2.2").extra(&bird);
            routers.push(Subject::start(lab, Kind::Bird2, &at, speaker)?);
            let spec = json!({
                "address": router, "sourceInterface": interface, "asn": 64502,
                "timers": {"connectRetry": "1s"},
            });
            config.push(object("Peer", interface, &spec));
        }
        let config = Value::from(config);
        let node = Node::start(&namespace, &[("config", config)], &["--http", "off"])?;
        // Each session by the address and port of its connection.
        let established = |before: &[Value]| {
            let sessions = links.iter().zip(0..).map(|((interface, ..), n)| {
                let mut address = json!(null);
                eventually(SOON, &format!("a new session on {interface}"), || {
                    let peer = node.ask(&["peers", interface])?;
                    ensure!(peer["state"] == json!("Established"), "{peer}");
                    ensure!(before.get(n) != Some(&peer["localAddress"]), "{peer}");
                    address = peer["localAddress"].clone();
                    Ok(())
                })?;
                Ok(address)
            });
            sessions.collect::<Result<Vec<_>>>()
        };
        let before = established(&[])?;
        for ((interface, node, length, router), at) in links.into_iter().zip(&places) {
            namespace.ip(&format!("link delete {interface}"))?;
            connect(lab, &namespace, at, interface, [node, router], length)?;
        }
        established(&before)?;
        Ok(())
    });
}

fn connect(
    lab: &Lab,
    namespace: &Namespace,
    at: &Namespace,
    interface: &str,
    [node, router]: [&str; 2],
    length: u8,
) -> Result<()> {
    lab.link((namespace, interface), (at, "eth0"))?;
    namespace.address(interface, &format!("{node}/{length}"))?;
    at.address("eth0", &format!("{router}/{length}"))?;
    Ok(())
}
