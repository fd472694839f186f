//! Attributes that are discarded from a peer's routes: what the RFCs keep within an administration does not pass
//! between external peers, and an operator stops any other attribute while the sessions run.

mod support;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use interop_tests::raw::{self, BOTH_FAMILIES, RawPeer, Received};
use interop_tests::{Kind, Lab, Namespace, Need, Neighbour, Speaker, Subject, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::octets::{OPTIONAL, TRANSITIVE, attribute, await_ipv4, basics, ipv4};
use support::segment::{Segment, v4};

const NODE_AS: u32 = 64512;
const PREFIX: [u8; 3] = [198, 51, 100];
const ROUTE: &str = "198.51.100.0/24";
/// Whole attributes that speakers without a use for them would pass on, with a correct value.
const SCOPED: [(u8, &[u8]); 5] = [
    (22, &[0, 6, 0, 0, 0, 10, 0, 0, 9]),
    (23, &[0, 8, 0, 2, 4, 0]),
    (26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1]),
    (29, &[4, 2, 0, 1, 65]),
    (40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]),
];

/// A node that gives transit and reflects; its peers at 10.0.0.2 and on are as the test says.
struct Rig<'lab> {
    segment: Segment<'lab>,
    node: Node,
}

impl<'lab> Rig<'lab> {
    fn start(lab: &'lab Lab, peers: &Value) -> Result<Self> {
        let segment = Segment::new(lab)?;
        let namespace = segment.host("node-1", 1)?;
        let node = Node::start(
            &namespace,
            &[
                ("node", node_object("node-1", &[&v4(1)], &["10.244.1.0/24"])),
                ("peers", peers.clone()),
            ],
            &["--http", "off"],
        )?;
        Ok(Self { segment, node })
    }

    fn host(&self, n: u8) -> Result<Namespace> {
        self.segment.host(&format!("peer-{n}"), n)
    }

    fn peer(&self, name: &str) -> Result<Value> {
        self.node.ask(&["peers", name])
    }

    /// That no session fell.
    fn check_sessions(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let peer = self.peer(name)?;
            ensure!(
                peer["state"] == json!("Established") && peer["establishedCount"] == json!(1),
                "{peer}"
            );
        }
        Ok(())
    }
}

fn router() -> Value {
    object(
        "Router",
        "default",
        &json!({"mesh": {"enabled": false}, "transit": true}),
    )
}

/// A passive peer at number `n`.
fn peer(name: &str, n: u8, asn: u32, more: &Value) -> Value {
    let mut spec = json!({"address": v4(n), "asn": asn, "passive": true});
    if asn == NODE_AS {
        spec["routeReflectorClient"] = json!(true);
    }
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    object("Peer", name, &spec)
}

/// A session of number `n`; with route refresh (RFC 2918) or without.
fn connect(from: &Namespace, n: u8, asn: u32, refresh: bool) -> Result<RawPeer> {
    let mut raw = RawPeer::connect(from, &v4(1))?;
    let mut capabilities = BOTH_FAMILIES.to_vec();
    if refresh {
        capabilities.extend([2, 0]);
    }
    raw.handshake(asn, Ipv4Addr::new(10, 0, 0, n), 90, &capabilities)?;
    Ok(raw)
}

/// The route with these attributes, from number `n`.
fn announcement(n: u8, path: &[u32], attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut all = basics(path);
    if path.is_empty() {
        all.extend(attribute(TRANSITIVE, 5, &[0, 0, 0, 100]));
    }
    for (code, value) in attributes {
        all.extend(attribute(OPTIONAL | TRANSITIVE, *code, value));
    }
    ipv4(PREFIX, Ipv4Addr::new(10, 0, 0, n), &all)
}

/// Which of the attributes over 16 the next announcement of the route has.
fn passed_on(to: &mut RawPeer) -> Result<Vec<u8>> {
    let found = await_ipv4(to, PREFIX, SOON)?;
    Ok(found.into_keys().filter(|code| *code > 16).collect())
}

/// Waits for a message of this kind; others are passed over.
fn await_kind(peer: &mut RawPeer, kind: u8, matches: impl Fn(&[u8]) -> bool) -> Result<()> {
    let until = Instant::now() + SOON;
    loop {
        match peer.receive(until.saturating_duration_since(Instant::now()))? {
            Received::Message(message) if message.kind == kind && matches(&message.body) => {
                return Ok(());
            }
            Received::Message(_) => {}
            other => bail!("no message of type {kind}: {other:?}"),
        }
    }
}

/// An UPDATE that withdraws the route.
fn await_withdrawal(peer: &mut RawPeer) -> Result<()> {
    await_kind(peer, raw::UPDATE, |body| {
        body.starts_with(&[0, 4, 24, PREFIX[0], PREFIX[1], PREFIX[2]])
    })
}

#[test]
fn rfc8669_and_rfc9012_attributes_of_one_administration_do_not_pass_between_external_peers() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let accept = json!({"attributeFilter": {"accept": ["PrefixSID", 23]}});
        let none = json!({});
        let rig = Rig::start(
            lab,
            &json!([
                router(),
                peer("external", 2, 64502, &none),
                peer("other", 3, 64503, &none),
                peer("client", 4, NODE_AS, &none),
                peer("second", 5, NODE_AS, &none),
                peer("same-domain", 6, 64506, &accept),
            ]),
        )?;
        let session = |n, asn| connect(&rig.host(n)?, n, asn, true);
        let mut external = session(2, 64502)?;
        let mut other = session(3, 64503)?;
        let mut client = session(4, NODE_AS)?;
        let mut second = session(5, NODE_AS)?;
        let mut same = session(6, 64506)?;
        let mut scoped = SCOPED.to_vec();
        scoped.push((250, &[1, 2, 3]));

        // From outside: nothing of it comes in. What is unknown passes as ever.
        external.send(&announcement(2, &[64502], &scoped))?;
        for to in [&mut other, &mut client, &mut second, &mut same] {
            ensure!(passed_on(to)? == [250], "of an external peer");
        }
        let filtered = rig.peer("external")?["attributesFiltered"].clone();
        ensure!(filtered == json!(SCOPED.len()), "{filtered}");

        // From inside, preferred by its shorter path: it stays inside, and with who is of the same administration.
        client.send(&announcement(4, &[], &scoped))?;
        for (to, passed) in [
            (&mut external, &[250][..]),
            (&mut other, &[250]),
            (&mut second, &[23, 40, 250]),
            (&mut same, &[23, 40, 250]),
        ] {
            let found = passed_on(to)?;
            ensure!(
                found == passed,
                "of a client: {found:?}, {passed:?} expected"
            );
        }
        let withdrawal = raw::encode::update(&[24, PREFIX[0], PREFIX[1], PREFIX[2]], &[], &[]);
        client.send(&withdrawal)?;
        external.send(&withdrawal)?;
        // Everybody else's route is gone before the next one comes.
        for to in [&mut other, &mut second] {
            await_withdrawal(to)?;
        }

        // From who is of the same administration: to inside, and no farther.
        same.send(&announcement(6, &[64506], &scoped))?;
        ensure!(passed_on(&mut second)? == [23, 40, 250], "to a client");
        ensure!(passed_on(&mut other)? == [250], "to an external peer");
        rig.check_sessions(&["external", "other", "client", "second", "same-domain"])
    });
}

#[test]
fn an_attribute_is_filtered_within_seconds_without_a_session_reset() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::GoBgp)],
        |lab| stopped(lab, true),
    );
}

#[test]
fn an_attribute_is_filtered_without_route_refresh_of_the_sender() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::GoBgp)],
        |lab| stopped(lab, false),
    );
}

/// A reflector between a client with an attribute that nobody knows, and two clients behind.
fn stopped(lab: &Lab, refresh: bool) -> Result<()> {
    let peers = |filter: Value| {
        json!([
            router(),
            peer("from", 2, NODE_AS, &json!({"attributeFilter": filter})),
            peer("to", 3, NODE_AS, &json!({})),
            peer("gobgp", 4, NODE_AS, &json!({})),
        ])
    };
    let rig = Rig::start(lab, &peers(json!({})))?;
    let mut from = connect(&rig.host(2)?, 2, NODE_AS, refresh)?;
    let mut to = connect(&rig.host(3)?, 3, NODE_AS, true)?;
    let speaker = Speaker::new(NODE_AS, &v4(4)).neighbour(Neighbour::new(&v4(1), NODE_AS));
    let behind = Subject::start(lab, Kind::GoBgp, &rig.host(4)?, speaker)?;
    behind.wait_established(&v4(1))?;

    let route = announcement(2, &[], &[(28, &[]), (250, &[7; 300])]);
    from.send(&route)?;
    ensure!(passed_on(&mut to)? == [28, 250], "before");
    behind.wait_route(ROUTE, SOON)?;

    // The operator discards one of them: what is held is corrected, whatever the sender can do.
    rig.node.write(
        "peers",
        &peers(json!({"discard": ["EntropyLabelCapability"]})),
    )?;
    ensure!(passed_on(&mut to)? == [250], "28 is discarded");
    let asked = |from: &mut RawPeer| -> Result<()> {
        if !refresh {
            return Ok(());
        }
        for afi in [1, 2] {
            await_kind(from, raw::ROUTE_REFRESH, |body| body == [0, afi, 0, 1])?;
        }
        Ok(())
    };
    asked(&mut from)?;
    // What comes from now on is no different.
    let another = announcement(2, &[], &[(28, &[]), (251, &[])]);
    from.send(&another)?;
    ensure!(passed_on(&mut to)? == [251], "28 is discarded as it comes");
    // The table has the filter before the session's reader, which counts: it comes again, and changes nothing.
    eventually(SOON, "what the reader took out is counted", || {
        from.send(&another)?;
        let filtered = rig.peer("from")?["attributesFiltered"].clone();
        ensure!(filtered.as_u64() >= Some(1), "{filtered}");
        Ok(())
    })?;

    // Another one makes its routes count as withdrawn, by its code.
    rig.node
        .write("peers", &peers(json!({"treatAsWithdraw": [251]})))?;
    await_withdrawal(&mut to)?;
    asked(&mut from)?;
    behind.wait_no_route(ROUTE, SOON)?;
    let received = rig
        .node
        .ask_text(&["routes", "received", "--peer", "from"])?;
    let explained = rig.node.ask_text(&["explain", ROUTE])?;
    let reason = "attribute 251 is in the peer's attributeFilter";
    ensure!(explained.contains(reason), "{explained}");
    ensure!(received.contains(ROUTE), "{received}");

    // Without a filter again. A sender that knows no refresh says it when it says it; what was rejected is there at
    // once.
    rig.node.write("peers", &peers(json!({})))?;
    ensure!(passed_on(&mut to)? == [251], "28 was taken out as it came");
    asked(&mut from)?;
    from.send(&route)?;
    ensure!(passed_on(&mut to)? == [28, 250], "as in the beginning");
    behind.wait_route(ROUTE, SOON)?;
    rig.check_sessions(&["from", "to", "gobgp"])
}

#[test]
fn an_invalid_attribute_filter_is_rejected_and_the_last_valid_one_stays() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let peers = |filter: Value| {
            json!([
                router(),
                peer("from", 2, 64502, &json!({"attributeFilter": filter})),
            ])
        };
        let rig = Rig::start(lab, &peers(json!({"discard": [250]})))?;
        let mut from = connect(&rig.host(2)?, 2, 64502, true)?;
        for (filter, words) in [
            (json!({"discard": ["ASPath"]}), "ASPath cannot be discarded"),
            (
                json!({"treatAsWithdraw": [14]}),
                "MPReachNLRI is in every route",
            ),
            (
                json!({"discard": ["PrefixSit"]}),
                "\"PrefixSit\" is no path attribute",
            ),
            (
                json!({"discard": [40], "treatAsWithdraw": ["PrefixSID"]}),
                "PrefixSID is also in discard",
            ),
        ] {
            rig.node.write("peers", &peers(filter))?;
            eventually(SOON, words, || {
                let problems = rig.node.ask_text(&["status"])?;
                ensure!(problems.contains(words), "{problems}");
                Ok(())
            })?;
        }
        from.send(&announcement(2, &[64502], &[(250, &[1])]))?;
        eventually(Duration::from_secs(15), "the filter of before", || {
            let peer = rig.peer("from")?;
            let filtered = peer["attributesFiltered"].as_u64().context("a count")?;
            ensure!(filtered == 1, "{peer}");
            Ok(())
        })?;
        rig.check_sessions(&["from"])
    });
}
