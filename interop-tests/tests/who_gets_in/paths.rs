//! How far away a peer may be, by which interface and to which address it may come.

use anyhow::{Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, Ending, RawPeer};
use interop_tests::{Kind, Need, eventually, run};
use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::node::{Node, node_object, object};
use crate::{refused, wait_established};

/// The kernel answers with SYN cookies while the port is flooded, and keeps no SYN whose TTL could be looked at.
#[test]
fn rfc5082_ttl_security_works_with_syn_cookies() {
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
