//! Who gets in: passwords that never fail open, places of listen ranges, interfaces and addresses.

mod support;

use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, Ending, NOTIFICATION, OPEN, RawPeer, Received};
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Signal, Speaker, Subject, always, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};

const PASSWORD: &str = "open-sesame";

/// What the other end of an unsigned connection did.
enum Unsigned {
    /// It sent no SYN+ACK.
    Unanswered,
    /// It took the connection, and said this first; `None` is nothing before it closed.
    Said(Option<u8>),
}

/// Connects without a signature, and waits for the first message.
fn unsigned(to: SocketAddr) -> Unsigned {
    let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_millis(300)) else {
        return Unsigned::Unanswered;
    };
    let mut octets = [0; 64];
    // A stream that stays silent is as good as one that is closed.
    let limited = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let read = limited.and_then(|()| stream.read(&mut octets)).unwrap_or(0);
    Unsigned::Said(octets[..read].get(18).copied())
}

fn bird(lab_neighbour: Neighbour) -> Speaker {
    Speaker::new(64502, "192.0.2.2").neighbour(lab_neighbour)
}

fn with_password() -> Neighbour {
    let mut neighbour = Neighbour::new("10.0.0.1", 64512);
    neighbour.password = Some(PASSWORD.to_owned());
    neighbour
}

fn peer(name: &str, address: &str, file: &str) -> Value {
    let spec = json!({
        "address": address, "asn": 64502, "timers": {"connectRetry": "1s"}, "password": {"file": file},
    });
    object("Peer", name, &spec)
}

fn password_file(lab: &Lab) -> Result<String> {
    let file = lab.dir().join("password");
    std::fs::write(&file, PASSWORD)?;
    Ok(file.to_string_lossy().into_owned())
}

fn wait_established(node: &Node, name: &str) -> Result<()> {
    eventually(SOON, &format!("peer {name}"), || {
        let peer = node.ask(&["peers", name])?;
        ensure!(peer["state"] == json!("Established"), "{peer}");
        Ok(())
    })
}

fn refused(node: &Node, reason: &str) -> Result<u64> {
    let status = node.ask(&["status"])?;
    let all = status["connections"]["refused"].as_array().cloned();
    let found = all
        .unwrap_or_default()
        .into_iter()
        .find(|one| one["reason"] == json!(reason));
    found
        .and_then(|one| one["count"].as_u64())
        .with_context(|| format!("{status}"))
}

#[test]
fn rfc2385_unsigned_connections_at_the_very_start_are_not_heard() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let file = password_file(lab)?;
        let (at, router) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            peer("router", "10.0.0.2", &file),
        ]);
        let mut node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let (ends, answered, heard) =
            (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| -> Result<()> {
            // From the router's own address, over and over, in the moment when the port opens above all.
            let floods: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        router.enter(|| {
                            while !ends.load(Ordering::Relaxed) {
                                if let Unsigned::Said(said) = unsigned(([10, 0, 0, 1], 179).into())
                                {
                                    answered.fetch_add(1, Ordering::Relaxed);
                                    heard.fetch_add(
                                        u32::from(said == Some(OPEN)),
                                        Ordering::Relaxed,
                                    );
                                }
                            }
                        })
                    })
                })
                .collect();
            let restarts = (0..5).try_for_each(|_| {
                node.end(Signal::SIGKILL)?;
                node.launch()
            });
            ends.store(true, Ordering::Relaxed);
            for flood in floods {
                flood.join().ok().context("a thread that floods")??;
            }
            restarts
        })?;
        let heard = heard.into_inner();
        ensure!(
            heard == 0,
            "{heard} unsigned connections of {} got an OPEN",
            answered.into_inner()
        );
        let bird = Subject::start(lab, Kind::Bird2, &router, bird(with_password()))?;
        wait_established(&node, "router")?;
        drop(bird);
        Ok(())
    });
}

#[test]
fn a_peer_whose_key_finds_no_room_is_blocked_until_there_is_some() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let file = password_file(lab)?;
        let (at, router) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        at.sysctl("net.core.optmem_max", "400")?;
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            peer("a", "10.0.0.11", &file),
            peer("b", "10.0.0.12", &file),
            peer("c", "10.0.0.13", &file),
            peer("router", "10.0.0.2", &file),
            // Lets in everybody else.
            object(
                "Peer",
                "range",
                &json!({"range": "10.0.0.0/24", "asn": "external"})
            ),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let _bird = Subject::start(lab, Kind::Bird2, &router, bird(with_password()))?;
        eventually(SOON, "the reason", || {
            let peer = node.ask(&["peers", "router"])?;
            let why = peer["blocked"].as_str().unwrap_or_default();
            ensure!(
                why.contains("net.core.optmem_max") && why.contains("10.0.0.2/32"),
                "{peer}"
            );
            Ok(())
        })?;
        always(
            Duration::from_secs(3),
            "nobody is heard, nor dialled",
            || {
                if let Unsigned::Said(said) =
                    router.enter(|| unsigned(([10, 0, 0, 1], 179).into()))?
                {
                    ensure!(said != Some(OPEN), "an unsigned connection got an OPEN");
                }
                let peers = node.ask(&["peers"])?;
                let dynamic = peers
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|peer| peer["kind"] == json!("dynamic"));
                ensure!(!dynamic, "the range took it: {peers}");
                Ok(())
            },
        )?;
        at.sysctl("net.core.optmem_max", "131072")?;
        wait_established(&node, "router")
    });
}

/// A node with two links, and a router at fe80::2 behind each.
fn two_links(lab: &Lab) -> Result<(Namespace, [Namespace; 2])> {
    let node = lab.namespace("node-1")?;
    node.without_link_local()?;
    let router = |interface: &str| -> Result<Namespace> {
        let at = lab.namespace(&format!("router-{interface}"))?;
        at.without_link_local()?;
        lab.link((&node, interface), (&at, "eth0"))?;
        node.address(interface, "fe80::1/64")?;
        at.address("eth0", "fe80::2/64")?;
        Ok(at)
    };
    let routers = [router("eth0")?, router("eth1")?];
    Ok((node, routers))
}

fn link_local_bird(password: Option<&str>) -> Speaker {
    let password = password.map_or(String::new(), |password| {
        format!("password \"{password}\";")
    });
    Speaker::new(64502, "192.0.2.2").extra(&format!(
        "protocol bgp node {{ local fe80::2 as 64502; neighbor fe80::1%eth0 as 64512; direct; {password}
         connect retry time 1; connect delay time 1; error wait time 1, 2;
         ipv6 {{ import all; export none; }}; }}"
    ))
}

#[test]
fn a_key_of_one_link_stays_when_the_same_address_on_another_goes() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let file = password_file(lab)?;
        let (at, routers) = two_links(lab)?;
        let on = |interface: &str| {
            let spec = json!({
                "address": "fe80::2", "sourceInterface": interface, "asn": 64502, "password": {"file": file},
            });
            object("Peer", &format!("router-{interface}"), &spec)
        };
        let base = json!([
            node_object("node-1", &[], &["fd00:244:1::/64"]),
            object("Router", "default", &json!({"routerID": "192.0.2.1"})),
            on("eth0"),
        ]);
        let files = [("base", base), ("other", on("eth1"))];
        let node = Node::start(&at, &files, &["--http", "off"])?;
        let birds: Vec<Subject> = routers
            .iter()
            .map(|router| Subject::start(lab, Kind::Bird2, router, link_local_bird(Some(PASSWORD))))
            .collect::<Result<_>>()?;
        wait_established(&node, "router-eth0")?;
        wait_established(&node, "router-eth1")?;
        node.write("other", &json!([]))?;
        eventually(SOON, "one peer is left", || {
            let peers = node.ask(&["peers"])?;
            ensure!(
                peers.as_array().is_some_and(|all| all.len() == 1),
                "{peers}"
            );
            Ok(())
        })?;
        let links = routers[0].run(&["ip", "-o", "link", "show", "eth0"])?;
        let index = links.split(':').next().context("an index")?.parse()?;
        let to = SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 179, 0, index);
        let answer = routers[0].enter(|| unsigned(to.into()))?;
        ensure!(
            matches!(answer, Unsigned::Unanswered),
            "the key of eth0 has gone"
        );
        let peer = node.ask(&["peers", "router-eth0"])?;
        ensure!(peer["establishedCount"] == json!(1), "{peer}");
        drop(birds);
        Ok(())
    });
}

#[test]
fn dynamic_peers_with_one_link_local_address_on_two_links_are_two() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let (at, routers) = two_links(lab)?;
        let config = json!([
            node_object("node-1", &[], &["fd00:244:1::/64"]),
            object("Router", "default", &json!({"routerID": "192.0.2.1"})),
            object(
                "Peer",
                "range",
                &json!({"range": "fe80::/64", "asn": "external"})
            ),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let birds: Vec<Subject> = routers
            .iter()
            .map(|router| Subject::start(lab, Kind::Bird2, router, link_local_bird(None)))
            .collect::<Result<_>>()?;
        wait_established(&node, "range/fe80::2%eth0")?;
        wait_established(&node, "range/fe80::2%eth1")?;
        drop(birds);
        Ok(())
    });
}

#[test]
fn a_range_has_so_many_places_and_gives_back_those_of_who_is_gone() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let routers = ["10.0.0.2/24", "10.0.0.3/24", "10.0.0.4/24"];
        let (at, routers) = lab.pair(("node-1", &["10.0.0.1/24"]), ("routers", &routers))?;
        let range = json!({"range": "10.0.0.0/24", "asn": "external", "maxPeers": 2});
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            object("Peer", "range", &range),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let connect = |from: &str| RawPeer::connect_from(&routers, from, "10.0.0.1");
        // One with a session, one that says nothing.
        let mut first = connect("10.0.0.2")?;
        first.handshake(64502, "192.0.2.2".parse()?, 90, &BOTH_FAMILIES)?;
        wait_established(&node, "range/10.0.0.2")?;
        let mut second = connect("10.0.0.3")?;
        second.expect(OPEN)?;
        let third = connect("10.0.0.4")?.ending(SOON)?;
        ensure!(third == Ending::Notification(6, 5, Vec::new()), "{third:?}");
        ensure!(refused(&node, "range_full")? == 1);
        let status = node.ask(&["status"])?;
        ensure!(
            status["ranges"] == json!([{"name": "range", "peers": 2, "maxPeers": 2}]),
            "{status}"
        );
        drop(second);
        let mut third = eventually(Duration::from_secs(40), "the place is free", || {
            let mut third = connect("10.0.0.4")?;
            third.handshake(64504, "192.0.2.4".parse()?, 90, &BOTH_FAMILIES)?;
            Ok(third)
        })?;
        wait_established(&node, "range/10.0.0.4")?;
        // Who has a session is not put out.
        wait_established(&node, "range/10.0.0.2")?;
        ensure!(!matches!(
            third.receive(Duration::from_millis(200))?,
            Received::Message(message) if message.kind == NOTIFICATION
        ));
        Ok(())
    });
}

#[test]
fn a_peer_out_of_a_range_ends_when_its_address_becomes_that_of_a_peer_with_a_password() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let (at, router) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        let range = json!({"range": "10.0.0.0/24", "asn": "external"});
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            object("Peer", "range", &range),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let connect = || RawPeer::connect_from(&router, "10.0.0.2", "10.0.0.1");
        let mut unsigned = connect()?;
        unsigned.handshake(64502, "192.0.2.2".parse()?, 90, &BOTH_FAMILIES)?;
        wait_established(&node, "range/10.0.0.2")?;
        // The password is missing: the peer is blocked, and nobody speaks for it.
        let missing = lab.dir().join("missing");
        let configured = peer("router", "10.0.0.2", &missing.to_string_lossy());
        node.write("router", &json!([configured]))?;
        let ending = unsigned.ending(SOON)?;
        ensure!(
            matches!(ending, Ending::Notification(6, _, _)),
            "the unsigned session goes on: {ending:?}"
        );
        let peers = node.ask(&["peers"])?;
        ensure!(!peers.to_string().contains("range/10.0.0.2"), "{peers}");
        let before = refused(&node, "blocked")?;
        // The reset may come before the other end has looked at its connection.
        if let Ok(mut again) = connect() {
            let again = again.ending(SOON)?;
            ensure!(again == Ending::Closed, "{again:?}");
        }
        eventually(SOON, "the refusal is counted", || {
            ensure!(refused(&node, "blocked")? > before);
            Ok(())
        })?;
        Ok(())
    });
}

/// The kernel answers with SYN cookies while the port is flooded, and keeps no SYN whose TTL could be looked at.
#[test]
fn rfc5082_ttl_security_holds_and_lets_in_while_the_kernel_answers_with_syn_cookies() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let (at, router) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        at.sysctl("net.ipv4.tcp_syncookies", "2")?;
        let spec = json!({
            "address": "10.0.0.2", "asn": 64502, "passive": true, "ttlSecurity": {"hops": 1},
        });
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            object("Peer", "router", &spec),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let state = || -> Result<Value> { Ok(node.ask(&["peers", "router"])?["state"].clone()) };
        // From one hop farther away than allowed: it may connect, and nothing that it says is read.
        router.sysctl("net.ipv4.ip_default_ttl", "254")?;
        let mut far = RawPeer::connect_from(&router, "10.0.0.2", "10.0.0.1")?;
        let shaken = far.handshake(64502, "192.0.2.2".parse()?, 90, &BOTH_FAMILIES);
        ensure!(
            shaken.is_err() && state()? != json!("Established"),
            "a far peer is heard"
        );
        drop(far);
        router.sysctl("net.ipv4.ip_default_ttl", "255")?;
        let _near = eventually(SOON * 3, "the peer next door", || {
            let mut near = RawPeer::connect_from(&router, "10.0.0.2", "10.0.0.1")?;
            near.handshake(64502, "192.0.2.2".parse()?, 90, &BOTH_FAMILIES)?;
            Ok(near)
        })?;
        wait_established(&node, "router")
    });
}

#[test]
fn a_connection_by_another_interface_or_to_another_address_is_refused() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let (at, router) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        at.address("eth0", "10.0.0.9/24")?;
        // A host on another link, with the router's address.
        let liar = lab.namespace("liar")?;
        lab.link((&at, "eth1"), (&liar, "eth0"))?;
        at.address("eth1", "10.1.0.1/24")?;
        liar.address("eth0", "10.1.0.2/24")?;
        liar.address("lo", "10.0.0.2/32")?;
        liar.ip("route add 10.0.0.0/24 via 10.1.0.1")?;
        let spec = json!({
            "address": "10.0.0.2", "asn": 64502, "passive": true, "sourceInterface": "eth0",
            "localAddress": "10.0.0.1",
        });
        let config = json!([
            node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
            object("Peer", "router", &spec),
        ]);
        let node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
        let rejected = Ending::Notification(6, 5, Vec::new());
        let other = RawPeer::connect(&router, "10.0.0.9")?.ending(SOON)?;
        ensure!(other == rejected, "to another address: {other:?}");
        ensure!(refused(&node, "local_address")? == 1);
        // The node's answers go where the liar is, as if it had taken the route over.
        at.ip("route add 10.0.0.2/32 via 10.1.0.2 dev eth1")?;
        let lie = RawPeer::connect_from(&liar, "10.0.0.2", "10.0.0.1")?.ending(SOON)?;
        ensure!(lie == rejected, "by another interface: {lie:?}");
        ensure!(refused(&node, "interface")? == 1);
        at.ip("route del 10.0.0.2/32")?;
        let mut own = RawPeer::connect(&router, "10.0.0.1")?;
        own.handshake(64502, "192.0.2.2".parse()?, 90, &BOTH_FAMILIES)?;
        wait_established(&node, "router")
    });
}
