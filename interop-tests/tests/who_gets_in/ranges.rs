//! Listen ranges: places, and peers with one address on two links.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::raw::{BOTH_FAMILIES, Ending, NOTIFICATION, OPEN, RawPeer, Received};
use interop_tests::{Kind, Need, Subject, eventually, run};
use serde_json::json;

use crate::support::SOON;
use crate::support::node::{Node, node_object, object};
use crate::{link_local_bird, refused, two_links, wait_established};

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
fn a_listen_range_is_limited_to_max_peers_and_frees_places_of_lost_peers() {
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
