//! RFC 9234: roles against BIRD and FRR, and with peers that send none: the local role alone marks routes, keeps leaks
//! out, and keeps marked routes from going up.

mod support;

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use interop_tests::raw::{self, BOTH_FAMILIES, Ending, RawPeer, encode};
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::octets::{OPTIONAL, TRANSITIVE, attribute, await_ipv4, basics, ipv4};
use support::segment::{Segment, v4};

const NODE_AS: u32 = 64512;
const OTC: u8 = 35;

struct Rig<'lab> {
    segment: Segment<'lab>,
    node: Node,
}

impl<'lab> Rig<'lab> {
    fn start(lab: &'lab Lab, peers: Vec<Value>) -> Result<Self> {
        let segment = Segment::new(lab)?;
        let namespace = segment.host("node-1", 1)?;
        let node = Node::start(
            &namespace,
            &[
                ("node", node_object("node-1", &[&v4(1)], &["10.244.1.0/24"])),
                ("peers", all(peers)),
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

    /// A session of number `n` that sends no role.
    fn silent(&self, n: u8, asn: u32) -> Result<RawPeer> {
        let mut raw = RawPeer::connect(&self.host(n)?, &v4(1))?;
        raw.handshake(asn, Ipv4Addr::new(10, 0, 0, n), 90, &BOTH_FAMILIES)?;
        Ok(raw)
    }

    /// That a route of a peer is kept out as a leak.
    fn wait_leak(&self, prefix: &str) -> Result<()> {
        eventually(SOON, &format!("{prefix} is a leak"), || {
            let text = self.node.ask_text(&["explain", prefix])?;
            ensure!(text.contains("route leak"), "{text}");
            Ok(())
        })
    }
}

fn all(mut peers: Vec<Value>) -> Value {
    let router = json!({"mesh": {"enabled": false}, "transit": true});
    peers.push(object("Router", "default", &router));
    Value::Array(peers)
}

fn peer(name: &str, n: u8, asn: u32, role: Option<&str>) -> Value {
    // Not held after a refusal, so that one row does not delay the next.
    let timers = json!({"idleHold": "0s"});
    let mut spec = json!({"address": v4(n), "asn": asn, "passive": true, "timers": timers});
    if let Some(role) = role {
        spec["role"] = json!(role);
    }
    object("Peer", name, &spec)
}

fn route(octet: u8, n: u8, path: &[u32], mark: Option<u32>) -> Vec<u8> {
    let mut attributes = basics(path);
    if let Some(asn) = mark {
        attributes.extend(attribute(OPTIONAL | TRANSITIVE, OTC, &asn.to_be_bytes()));
    }
    ipv4([198, 51, octet], Ipv4Addr::new(10, 0, 0, n), &attributes)
}

/// The mark of a route as a peer is told it.
fn mark_at(to: &mut RawPeer, octet: u8) -> Result<Option<u32>> {
    let found = await_ipv4(to, [198, 51, octet], SOON)?;
    let Some((_, value)) = found.get(&OTC) else {
        return Ok(None);
    };
    let value: [u8; 4] = value.as_slice().try_into().context("four octets")?;
    Ok(Some(u32::from_be_bytes(value)))
}

#[test]
fn rfc9234_4_2_the_local_role_counts_with_peers_that_send_none() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let rig = Rig::start(
            lab,
            vec![
                peer("provider", 2, 64502, Some("Customer")),
                peer("lateral", 3, 64503, Some("Peer")),
                peer("customer", 4, 64504, Some("Provider")),
                peer("no-role", 5, 64505, None),
            ],
        )?;
        let mut provider = rig.silent(2, 64502)?;
        let mut lateral = rig.silent(3, 64503)?;
        let mut customer = rig.silent(4, 64504)?;
        let mut plain = rig.silent(5, 64505)?;

        // Of the provider: marked with its AS (ingress 3), and not for lateral peers (egress 2).
        provider.send(&route(1, 2, &[64502], None))?;
        ensure!(mark_at(&mut customer, 1)? == Some(64502), "at the customer");
        ensure!(mark_at(&mut plain, 1)? == Some(64502), "without a role");
        // Of the customer: for everybody, and marked with ours for lateral peers (egress 1). Told last, so that the
        // lateral peer would have heard of the other before it.
        customer.send(&route(2, 4, &[64504], None))?;
        let first = await_ipv4(&mut lateral, [198, 51, 2], SOON)?;
        ensure!(first.contains_key(&OTC), "{first:?}");
        ensure!(mark_at(&mut provider, 2)?.is_none(), "at the provider");
        let text = rig.node.ask_text(&["explain", "198.51.1.0/24"])?;
        ensure!(text.contains("Only to Customer"), "{text}");

        // Leaks: a mark of a customer (ingress 1), and a foreign mark of a lateral peer (ingress 2).
        customer.send(&route(3, 4, &[64504, 64510], Some(64510)))?;
        rig.wait_leak("198.51.3.0/24")?;
        lateral.send(&route(4, 3, &[64503, 64510], Some(64510)))?;
        rig.wait_leak("198.51.4.0/24")?;
        // Its own mark is none.
        lateral.send(&route(5, 3, &[64503], Some(64503)))?;
        ensure!(
            mark_at(&mut customer, 5)? == Some(64503),
            "of a lateral peer"
        );
        Ok(())
    });
}

#[test]
fn rfc7947_2_2_2_1_a_route_server_that_sends_no_role_need_not_put_its_as_in_front() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let rig = Rig::start(
            lab,
            vec![
                peer("server", 2, 64502, Some("RouteServerClient")),
                peer("customer", 4, 64504, Some("Provider")),
                peer("liar", 5, 64505, None),
            ],
        )?;
        let mut server = rig.silent(2, 64502)?;
        let mut customer = rig.silent(4, 64504)?;
        server.send(&route(1, 2, &[64520, 64521], None))?;
        ensure!(mark_at(&mut customer, 1)? == Some(64502), "ingress 3");
        // A peer that calls itself a route server is none unless it is configured.
        let mut liar = RawPeer::connect(&rig.host(5)?, &v4(1))?;
        let capabilities = [&BOTH_FAMILIES[..], &[9, 1, 1]].concat();
        liar.handshake(64505, Ipv4Addr::new(10, 0, 0, 5), 90, &capabilities)?;
        liar.send(&route(2, 5, &[64520], None))?;
        eventually(SOON, "the route is treated as withdrawn", || {
            let peer = rig.peer("liar")?;
            ensure!(peer["updatesMalformed"] == json!(1), "{peer}");
            Ok(())
        })
    });
}

#[test]
fn rfc9234_4_1_internal_peers_are_sent_no_role_and_external_ones_are() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let rig = Rig::start(
            lab,
            vec![
                peer("internal", 2, NODE_AS, Some("Provider")),
                peer("external", 3, 64503, Some("Provider")),
            ],
        )?;
        for (n, asn, sent) in [(2, NODE_AS, false), (3, 64503, true)] {
            let mut raw = RawPeer::connect(&rig.host(n)?, &v4(1))?;
            let open = raw.handshake(asn, Ipv4Addr::new(10, 0, 0, n), 90, &BOTH_FAMILIES)?;
            let found = open.body.windows(3).any(|octets| octets == [9, 1, 0]);
            ensure!(found == sent, "{n}: {:02x?}", open.body);
        }
        Ok(())
    });
}

#[test]
fn rfc9234_4_2_roles_that_do_not_fit_are_refused() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let mut strict = peer("strict", 4, 64504, Some("Provider"));
        strict["spec"]["roleStrict"] = json!(true);
        let rig = Rig::start(
            lab,
            vec![
                peer("provider", 2, 64502, Some("Customer")),
                peer("no-role", 3, 64503, None),
                strict,
            ],
        )?;
        let hosts = [rig.host(2)?, rig.host(3)?, rig.host(4)?];
        for (n, asn, roles) in [
            // Two customers; a role that is not assigned.
            (2, 64502, &[9, 1, 3][..]),
            (2, 64502, &[9, 1, 77]),
            // Two that differ, also where none is configured.
            (2, 64502, &[9, 1, 0, 9, 1, 4]),
            (3, 64503, &[9, 1, 0, 9, 1, 4]),
            (4, 64504, &[]),
        ] {
            let mut raw = RawPeer::connect(&hosts[usize::from(n) - 2], &v4(1))?;
            let capabilities = [&BOTH_FAMILIES[..], roles].concat();
            let open = encode::open(asn, Ipv4Addr::new(10, 0, 0, n), 90, &capabilities)?;
            raw.send(&raw::message(raw::OPEN, &open))?;
            let ending = raw.ending(SOON)?;
            let mismatch = Ending::Notification(2, 11, Vec::new());
            ensure!(ending == mismatch, "{n} {roles:?}: {ending:?}");
        }
        Ok(())
    });
}

#[test]
fn rfc9234_roles_against_bird() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)],
        |lab| against(lab, Kind::Bird2),
    );
}

#[test]
fn rfc9234_roles_against_frr() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Frr8)],
        |lab| against(lab, Kind::Frr8),
    );
}

/// A neighbour with this role, or without.
fn daemon(kind: Kind, n: u8, asn: u32, role: Option<&str>) -> Speaker {
    let line = match (kind, role) {
        (_, None) => String::new(),
        (Kind::Frr8, Some(role)) => format!("  neighbor {{address}} local-role {role}\n"),
        (_, Some(role)) => format!("  local role {role};\n"),
    };
    let neighbour = Neighbour::new(&v4(1), NODE_AS).extra(&line);
    Speaker::new(asn, &v4(n)).neighbour(neighbour)
}

/// What the daemon says of Only to Customer on a route.
fn otc_at(daemon: &Subject, prefix: &str) -> Result<String> {
    let dir = daemon.namespace().dir();
    let text = match daemon.kind() {
        Kind::Frr8 => {
            let dir = dir.join("frr80").to_string_lossy().into_owned();
            let show = format!("show bgp ipv4 unicast {prefix} json");
            daemon.ask(&["vtysh", "--vty_socket", &dir, "-d", "bgpd", "-c", &show])?
        }
        _ => {
            let show = format!("show route {prefix} all");
            let socket = dir.join("bird20/bird.ctl").to_string_lossy().into_owned();
            daemon.ask(&["birdc", "-s", &socket, &show])?
        }
    };
    Ok(text)
}

fn against(lab: &Lab, kind: Kind) -> Result<()> {
    let rig = Rig::start(
        lab,
        vec![
            peer("provider", 2, 64502, Some("Customer")),
            peer("customer", 3, 64503, Some("Provider")),
            peer("wrong", 4, 64504, Some("Peer")),
            peer("no-role", 5, 64505, Some("Provider")),
        ],
    )?;
    let start = |n: u8, asn: u32, role: Option<&str>, prefix: &str| {
        let speaker = daemon(kind, n, asn, role).originate(Origination::new(prefix));
        Subject::start(lab, kind, &rig.host(n)?, speaker)
    };
    let provider = start(2, 64502, Some("provider"), "198.51.1.0/24")?;
    let customer = start(3, 64503, Some("customer"), "198.51.2.0/24")?;
    let _wrong = start(4, 64504, Some("customer"), "198.51.3.0/24")?;
    let silent = start(5, 64505, None, "198.51.4.0/24")?;
    for one in [&provider, &customer, &silent] {
        one.wait_established(&v4(1))?;
    }
    // The provider's route goes to customers with its mark, whoever put it there; one that sends no role is one too.
    for at in [&customer, &silent] {
        at.wait_route("198.51.1.0/24", SOON)?;
    }
    let marked = otc_at(&customer, "198.51.1.0/24")?;
    ensure!(marked.contains("64502"), "{marked}");
    let lower = marked.to_lowercase();
    ensure!(lower.contains("otc"), "{marked}");
    // The customers' routes go up.
    for prefix in ["198.51.2.0/24", "198.51.4.0/24"] {
        provider.wait_route(prefix, SOON)?;
    }
    // Two sides of which one calls the other a peer, and is called a provider.
    eventually(SOON, "a role mismatch", || {
        let wrong = rig.peer("wrong")?;
        let errors = [&wrong["lastErrorSent"], &wrong["lastErrorReceived"]];
        let mismatch = |error: &&Value| error["code"] == json!(2) && error["subcode"] == json!(11);
        ensure!(errors.iter().any(mismatch), "{wrong}");
        ensure!(wrong["state"] != json!("Established"), "{wrong}");
        Ok(())
    })
}
