//! Which address of the node is the next hop of what it advertises, while its addresses and links change under a
//! session; and peers in 169.254.0.0/16, as clouds and VPNs have them.

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::{kernel, tcp};
use interop_tests::{
    Kind, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};

const PODS: &str = "10.244.1.0/24";
const PODS6: &str = "fd00:244:1::/64";

/// A node with IPv4 alone on its link, and a router with both families.
struct Pair {
    node: Node,
    router: Subject,
    /// The connection that must be the same in the end.
    connection: std::collections::BTreeSet<String>,
}

impl Pair {
    fn start(lab: &interop_tests::Lab, kind: Kind, more: &[Value]) -> Result<Self> {
        let [at, router] = [lab.namespace("node-1")?, lab.namespace("router")?];
        // With a link-local address there would be a next hop on the link.
        at.without_link_local()?;
        lab.link((&at, "eth0"), (&router, "eth0"))?;
        at.address("eth0", "10.0.0.1/24")?;
        for address in ["10.0.0.2/24", "fd00::2/64", "fd00:7::2/64"] {
            router.address("eth0", address)?;
        }
        let speaker =
            Speaker::new(64500, "10.0.0.2").neighbour(Neighbour::new("10.0.0.1", 64512).passive());
        let router = Subject::start(lab, kind, &router, speaker)?;
        let spec = json!({"address": "10.0.0.2", "asn": 64500, "timers": {"connectRetry": "1s"}});
        let mut config = vec![object("Peer", "router", &spec)];
        config.extend_from_slice(more);
        let files = [
            ("config", Value::Array(config)),
            ("node", node_object("node-1", &["10.0.0.1"], &[PODS, PODS6])),
        ];
        let node = Node::start(&at, &files, &["--http", "off", "--kube-proxy", "off"])?;
        router.wait_route(PODS, SOON)?;
        let connection = tcp::connections(router.namespace(), &[179])?;
        Ok(Self {
            node,
            router,
            connection,
        })
    }

    fn ip(&self, arguments: &str) -> Result<()> {
        self.node.namespace.ip(arguments).map(drop)
    }

    /// Waits until the router has the IPv6 pods over this next hop.
    fn over(&self, next_hop: &str) -> Result<()> {
        let expected: std::net::IpAddr = next_hop.parse()?;
        eventually(SOON, &format!("{PODS6} over {next_hop}"), || {
            let route = self.router.route(PODS6)?;
            ensure!(route.next_hops.contains(&expected), "{route:?}");
            Ok(())
        })
    }

    /// Waits until the router does not have them, and the node says why.
    fn missing(&self, why: &str) -> Result<()> {
        self.router.wait_no_route(PODS6, SOON)?;
        eventually(SOON, &format!("the node says \"{why}\""), || {
            let peer = self.node.ask(&["peers", "router"])?;
            let said = peer["families"][1]["noNextHop"].to_string();
            ensure!(said.contains(why), "{peer}");
            let told = self.node.ask(&["explain", "prefix", PODS6])?["peers"][0].clone();
            let reason = told["reason"].to_string();
            ensure!(
                reason.contains("noNextHop") && reason.contains(why),
                "{told}"
            );
            Ok(())
        })
    }

    /// The session is the first one.
    fn is_untouched(&self) -> Result<()> {
        let now = tcp::connections(self.router.namespace(), &[179])?;
        ensure!(
            now == self.connection,
            "{:?} became {now:?}",
            self.connection
        );
        let peer = self.node.ask(&["peers", "router"])?;
        ensure!(peer["establishedCount"] == 1, "{peer}");
        self.router.route(PODS).map(drop)
    }
}

fn follows_addresses(kind: Kind) {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(kind)],
        |lab| {
            let pair = Pair::start(lab, kind, &[])?;
            pair.missing("interface eth0 has no IPv6 address that can be the next hop")?;
            pair.ip("addr add fd00::5/64 dev eth0 nodad")?;
            pair.over("fd00::5")?;
            // As good a one is no reason for another next hop; that it is the Node's is.
            pair.ip("addr add fd00::1/64 dev eth0 nodad")?;
            let both = ["10.0.0.1", "fd00::1"];
            let object = node_object("node-1", &both, &[PODS, PODS6]);
            pair.node.write("node", &object)?;
            pair.over("fd00::1")?;
            pair.ip("addr del fd00::1/64 dev eth0")?;
            pair.over("fd00::5")?;
            pair.is_untouched()?;

            // The kernel makes a temporary address beside this one; the one before is deprecated.
            pair.node
                .namespace
                .sysctl("net.ipv6.conf.eth0.use_tempaddr", "2")?;
            pair.ip("addr change fd00::5/64 dev eth0 valid_lft 9000 preferred_lft 0")?;
            pair.missing("fd00::5 is deprecated")?;
            pair.ip(
                "addr add fd00:7::7/64 dev eth0 mngtmpaddr nodad valid_lft 9000 preferred_lft 8000",
            )?;
            pair.over("fd00:7::7")?;
            eventually(SOON, "a temporary address", || {
                let shown = pair.node.namespace.ip("-6 addr show dev eth0 temporary")?;
                ensure!(shown.contains("fd00:7:"), "{shown}");
                Ok(())
            })?;
            pair.ip("addr change fd00:7::7/64 dev eth0 mngtmpaddr valid_lft 9000 preferred_lft 0")?;
            pair.missing("fd00:7::7 is deprecated")?;
            // A duplicate of the router's is none of ours.
            for (key, value) in [("accept_dad", "1"), ("dad_transmits", "1")] {
                let key = format!("net.ipv6.conf.eth0.{key}");
                pair.node.namespace.sysctl(&key, value)?;
            }
            pair.ip("addr add fd00::2/64 dev eth0")?;
            pair.missing("fd00::2 has not passed duplicate address detection")?;
            pair.ip("addr add fd00::9/64 dev eth0 nodad")?;
            pair.over("fd00::9")?;
            pair.is_untouched()
        },
    );
}

#[test]
fn bird_sees_the_new_next_hop_of_an_address_that_changes_in_the_same_session() {
    follows_addresses(Kind::Bird2);
}

#[test]
fn frr_sees_the_new_next_hop_of_an_address_that_changes_in_the_same_session() {
    follows_addresses(Kind::Frr8);
}

#[test]
fn addresses_of_an_interface_follow_its_link_state() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)],
        |lab| {
            let advertised = json!({"interfaces": ["eth1"]});
            let more = [object("Advertisement", "links", &advertised)];
            let pair = Pair::start(lab, Kind::Bird2, &more)?;
            let other = lab.namespace("other")?;
            lab.link((&pair.node.namespace, "eth1"), (&other, "eth0"))?;
            pair.ip("addr add 192.0.2.77/24 dev eth1")?;
            let address = "192.0.2.77/32";
            pair.router.wait_route(address, SOON)?;
            let is_down = || {
                pair.router.wait_no_route(address, SOON)?;
                eventually(SOON, "the node says why", || {
                    let explained = pair.node.ask(&["explain", "prefix", address])?;
                    let fact = &explained["originated"][0];
                    ensure!(
                        fact["active"] == false && fact["reason"]["code"] == "interfaceDown",
                        "{explained}"
                    );
                    Ok(())
                })
            };
            // The carrier, then the interface itself.
            other.ip("link set eth0 down")?;
            is_down()?;
            other.ip("link set eth0 up")?;
            pair.router.wait_route(address, SOON)?;
            pair.ip("link set eth1 down")?;
            is_down()?;
            pair.ip("link set eth1 up")?;
            pair.router.wait_route(address, SOON)?;
            pair.is_untouched()
        },
    );
}

/// A router at the other end of a tunnel: 169.254.`net`.1 there, 169.254.`net`.2 here.
fn tunnel(
    lab: &interop_tests::Lab,
    node: &Namespace,
    (interface, net, kind): (&str, u8, Kind),
) -> Result<Subject> {
    let at = lab.namespace(&format!("router-{net}"))?;
    lab.link((node, interface), (&at, "eth0"))?;
    node.address(interface, &format!("169.254.{net}.2/30"))?;
    at.address("eth0", &format!("169.254.{net}.1/30"))?;
    let peer = Neighbour::new(&format!("169.254.{net}.2"), 64512).passive();
    let speaker = Speaker::new(64500, &format!("192.0.2.{net}"))
        .neighbour(peer)
        .originate(Origination::new("198.51.100.0/24"));
    Subject::start(lab, kind, &at, speaker)
}

#[test]
fn peers_in_169_254_0_0_16_are_like_any_other() {
    let needs = [Kind::Routelet, Kind::Bird2, Kind::Frr8].map(Need::Speaker);
    run(&needs, |lab| {
        let at = lab.namespace("node-1")?;
        let routers = [
            tunnel(lab, &at, ("tun0", 10, Kind::Bird2))?,
            tunnel(lab, &at, ("tun1", 20, Kind::Frr8))?,
        ];
        let peer = |net: u8| {
            let spec = json!({
                "address": format!("169.254.{net}.1"), "asn": 64500,
                "timers": {"connectRetry": "1s"},
            });
            object("Peer", &format!("tunnel-{net}"), &spec)
        };
        let config = json!([
            node_object("node-1", &["10.9.9.9"], &[PODS]),
            peer(10),
            peer(20),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        for (router, own) in routers.iter().zip(["169.254.10.2", "169.254.20.2"]) {
            let route = router.wait_route(PODS, SOON)?;
            ensure!(
                route.next_hops == [own.parse::<std::net::IpAddr>()?],
                "{route:?}"
            );
        }
        eventually(SOON, "what they tell, over both", || {
            let found = kernel::routes_to(&at, "198.51.100.0/24")?;
            let route = found.first().context("no route")?;
            let mut ways: Vec<String> = route
                .paths
                .iter()
                .filter_map(|path| {
                    Some(format!("{} {}", path.gateway?, path.interface.as_deref()?))
                })
                .collect();
            ways.sort();
            ensure!(
                ways == ["169.254.10.1 tun0", "169.254.20.1 tun1"],
                "{route:?}"
            );
            Ok(())
        })?;
        ensure!(node.ask(&["status"])?["problems"] == json!([]));
        Ok(())
    });
}
