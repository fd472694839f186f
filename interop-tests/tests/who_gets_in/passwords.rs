//! Passwords (RFC 2385): nobody without one is heard, at no moment.

use std::io::Read;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, Ending, OPEN, RawPeer};
use interop_tests::{
    Kind, Lab, Need, Neighbour, Signal, Speaker, Subject, always, eventually, run,
};
use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::node::{Node, node_object, object};
use crate::{link_local_bird, refused, two_links, wait_established};

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

pub(crate) fn peer(name: &str, address: &str, file: &str) -> Value {
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

#[test]
fn rfc2385_unsigned_connections_at_the_start_are_refused() {
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
fn a_peer_whose_key_does_not_fit_is_blocked_until_it_fits() {
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
