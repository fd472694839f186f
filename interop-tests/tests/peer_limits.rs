//! A peer that sends more than it should: next hops, paths of one prefix, prefixes that are rejected. The agent, its
//! other peers and the kernel do not suffer, and what was kept out is counted and said.

mod support;

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use interop_tests::raw::{self, BOTH_FAMILIES, RawPeer};
use interop_tests::{Kind, Lab, Need, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::octets::{TRANSITIVE, attribute, basics};
use support::segment::{Segment, v4};

const PEER_AS: u32 = 64502;

/// A node with one passive peer at 10.0.0.2, and its link, on which next hops of 11.0.0.0/8 are, too.
struct Rig<'lab> {
    node: Node,
    kernel: interop_tests::Namespace,
    segment: Segment<'lab>,
}

impl<'lab> Rig<'lab> {
    fn start(lab: &'lab Lab, fields: Value) -> Result<Self> {
        let segment = Segment::new(lab)?;
        let kernel = segment.host("node-1", 1)?;
        kernel.address("eth0", "11.0.0.1/8")?;
        let mut spec = json!({"address": v4(2), "asn": PEER_AS, "passive": true});
        if let (Some(spec), Value::Object(fields)) = (spec.as_object_mut(), fields) {
            spec.extend(fields);
        }
        let nothing = json!({"rules": [{"name": "nothing", "action": "Reject"}]});
        let objects = json!([
            object("Router", "default", &json!({"mesh": {"enabled": false}})),
            object("RoutePolicy", "nothing", &nothing),
            object("Peer", "many", &spec),
        ]);
        let own = node_object("node-1", &[&v4(1)], &["10.244.1.0/24"]);
        let files = [("node", own), ("peers", objects)];
        let node = Node::start(&kernel, &files, &["--http", "off"])?;
        Ok(Self {
            node,
            kernel,
            segment,
        })
    }

    fn connect(&self, capabilities: &[u8]) -> Result<RawPeer> {
        let mut raw = RawPeer::connect(&self.segment.host("many", 2)?, &v4(1))?;
        let capabilities = [&BOTH_FAMILIES[..], capabilities].concat();
        raw.handshake(PEER_AS, Ipv4Addr::new(10, 0, 0, 2), 90, &capabilities)?;
        Ok(raw)
    }

    fn peer(&self) -> Result<Value> {
        self.node.ask(&["peers", "many"])
    }

    /// How many routes of the agent the kernel has.
    fn kernel_routes(&self) -> Result<usize> {
        let routes = self
            .kernel
            .run(&["ip", "-4", "route", "show", "proto", "179"])?;
        Ok(routes.lines().count())
    }
}

/// An UPDATE with this NLRI over this next hop.
fn announce(next_hop: Ipv4Addr, nlri: &[u8]) -> Vec<u8> {
    let mut all = basics(&[PEER_AS]);
    all.extend(attribute(TRANSITIVE, 3, &next_hop.octets()));
    raw::encode::update(&[], &[all], nlri)
}

/// 100.64.0.0/10 in host routes.
fn host(number: u32) -> [u8; 5] {
    let [a, b, c, d] = (0x6440_0000 + number).to_be_bytes();
    [32, a, b, c, d]
}

#[test]
fn thousands_of_next_hops_are_in_the_kernel_and_those_beyond_the_limit_are_rejected() {
    const SENT: u32 = 20_000;
    const LIMIT: u32 = 15_000;
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let rig = Rig::start(lab, json!({"maxNextHops": LIMIT}))?;
        let mut raw = rig.connect(&[])?;
        let next_hop = |number: u32| Ipv4Addr::from_bits(0x0b00_0100 + number);
        let all: Vec<u8> = (0..SENT)
            .flat_map(|i| announce(next_hop(i), &host(i)))
            .collect();
        raw.send(&all)?;
        eventually(SOON * 2, "every next hop that it may have", || {
            let peer = rig.peer()?;
            let family = &peer["families"][0];
            ensure!(
                peer["nextHops"] == LIMIT
                    && family["received"] == SENT
                    && family["accepted"] == LIMIT
                    && family["nextHopsRefused"] == SENT - LIMIT,
                "{peer}"
            );
            let routes = rig.kernel_routes()?;
            ensure!(routes == LIMIT as usize, "{routes} routes");
            Ok(())
        })?;
        // The same prefixes over one next hop: there is room for all of them.
        let first = next_hop(0);
        let all: Vec<u8> = (0..SENT).flat_map(|i| announce(first, &host(i))).collect();
        raw.send(&all)?;
        eventually(SOON * 2, "all routes over one next hop", || {
            let peer = rig.peer()?;
            ensure!(
                peer["nextHops"] == 1 && peer["families"][0]["accepted"] == SENT,
                "{peer}"
            );
            let routes = rig.kernel_routes()?;
            ensure!(routes == SENT as usize, "{routes} routes");
            Ok(())
        })?;
        let peer = rig.peer()?;
        ensure!(peer["establishedCount"] == 1, "{peer}");
        let text = rig.node.ask_text(&["peers"])?;
        ensure!(
            text.contains("more than 15,000 distinct next hops"),
            "{text}"
        );
        Ok(())
    });
}

#[test]
fn rfc7911_thousands_of_paths_of_one_prefix_delay_no_other_peer() {
    const SENT: u32 = 40_000;
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let fields = json!({"addPath": {"receive": true}, "maxPathsPerPrefix": 8});
        let rig = Rig::start(lab, fields)?;
        // Sends several paths of IPv4 prefixes.
        let mut raw = rig.connect(&[69, 4, 0, 1, 1, 2])?;
        let path = |id: u32, prefix: &[u8]| [&id.to_be_bytes()[..], prefix].concat();
        let next_hop = Ipv4Addr::new(10, 0, 0, 2);
        let ids: Vec<u32> = (1..=SENT).collect();
        let of_one =
            |ids: &[u32]| -> Vec<u8> { ids.iter().flat_map(|id| path(*id, &host(1))).collect() };
        for ids in ids.chunks(400) {
            raw.send(&announce(next_hop, &of_one(ids)))?;
        }
        raw.send(&announce(next_hop, &path(1, &host(2))))?;
        eventually(SOON, "the paths that a prefix may have", || {
            let peer = rig.peer()?;
            let family = &peer["families"][0];
            ensure!(
                family["received"] == 9 && family["pathsRefused"] == SENT - 8,
                "{peer}"
            );
            Ok(())
        })?;
        let text = rig.node.ask_text(&["peers"])?;
        ensure!(text.contains("more than 8 of one prefix"), "{text}");
        Ok(())
    });
}

#[test]
fn prefixes_that_a_policy_rejects_count_as_received() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let fields = json!({"import": ["nothing"], "maxPrefixes": 5, "maxReceivedPrefixes": 10, "maxPrefixesRestart": "never"});
        let rig = Rig::start(lab, fields)?;
        let mut raw = rig.connect(&[])?;
        let next_hop = Ipv4Addr::new(10, 0, 0, 2);
        let some = |numbers: std::ops::Range<u32>| -> Vec<u8> { numbers.flat_map(host).collect() };
        raw.send(&announce(next_hop, &some(0..10)))?;
        eventually(SOON, "ten rejected prefixes", || {
            let peer = rig.peer()?;
            let family = &peer["families"][0];
            ensure!(
                family["received"] == 10 && family["accepted"] == 0,
                "{peer}"
            );
            Ok(())
        })?;
        raw.send(&announce(next_hop, &some(10..11)))?;
        let (code, subcode, data) = raw.notification(SOON)?;
        ensure!((code, subcode) == (6, 1), "{code}/{subcode}");
        ensure!(data == [0, 1, 1, 0, 0, 0, 10], "{data:?}");
        eventually(SOON, "held Idle", || {
            let peer = rig.peer()?;
            ensure!(
                peer["state"] == "Idle" && peer["idleHold"].is_object(),
                "{peer}"
            );
            Ok(())
        })
    });
}
