//! What an operator can get wrong while the agent runs: each mistake is told with what was found, where, and what to
//! do, and what ran before goes on.

mod support;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{
    Kind, Lab, Need, Neighbour, Origination, Speaker, State, Subject, always, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, binary, node_object, object};

const PEER: &str = "10.0.0.2";
const ROUTES: [&str; 2] = ["203.0.113.0/24", "2001:db8:113::/48"];

/// A node with a BIRD beside it, whose session must outlive all mistakes.
struct Rig {
    node: Node,
    bird: Subject,
}

impl Rig {
    fn start(lab: &Lab) -> Result<Self> {
        let (left, right) = lab.pair(
            ("node", &["10.0.0.1/24", "fd00::1/64"]),
            ("bird", &["10.0.0.2/24", "fd00::2/64"]),
        )?;
        let speaker = ROUTES.into_iter().fold(
            Speaker::new(64502, PEER).neighbour(Neighbour::new("10.0.0.1", 64501).passive()),
            |speaker, prefix| speaker.originate(Origination::new(prefix)),
        );
        let bird = Subject::start(lab, Kind::Bird2, &right, speaker)?;
        let files = [
            (
                "node",
                node_object("node", &["10.0.0.1", "fd00::1"], &["10.1.0.0/24"]),
            ),
            (
                "router",
                object("Router", "default", &json!({"asn": 64501})),
            ),
            ("peer", tor(&json!(64502))),
        ];
        // Root without the right to read every file, so that an unreadable one is unreadable.
        let wrapper = [
            "setpriv",
            "--bounding-set",
            "-dac_override,-dac_read_search",
        ];
        let node = Node::start_under(&left, &wrapper, &files, &[])?;
        let rig = Self { node, bird };
        rig.bird.wait_established("10.0.0.1")?;
        rig.bird.wait_route("10.1.0.0/24", SOON)?;
        eventually(SOON, "BIRD's routes", || rig.undisturbed())?;
        Ok(rig)
    }

    fn peer(&self, name: &str) -> Result<Value> {
        let peers = self.node.ask(&["peers"])?;
        let mut all = peers.as_array().into_iter().flatten();
        let found = all.find(|peer| peer["name"] == name);
        found.cloned().with_context(|| format!("no peer {name}"))
    }

    /// The session of the start is up, and every route is there on both sides.
    fn undisturbed(&self) -> Result<()> {
        let peer = self.peer("tor")?;
        ensure!(
            peer["state"] == "Established" && peer["establishedCount"] == 1,
            "{peer}"
        );
        let received = self.node.ask(&["routes", "received"])?;
        let prefixes: BTreeSet<&str> = received
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|route| route["prefix"].as_str())
            .collect();
        ensure!(prefixes == BTreeSet::from(ROUTES), "{prefixes:?}");
        let session = self.bird.session("10.0.0.1")?;
        ensure!(session.state == State::Established, "{session:?}");
        self.bird.route("10.1.0.0/24").map(drop)
    }

    /// Waits for a problem of `routelet status` with all of these words, and for the same in the log.
    fn told(&self, file: &str, line: Option<u64>, words: &[&str]) -> Result<()> {
        eventually(
            SOON,
            &format!("a problem with {words:?} at {line:?}"),
            || {
                let status = self.node.ask(&["status"])?;
                let problems = status["problems"].as_array().cloned().unwrap_or_default();
                let found = problems.iter().find(|problem| {
                    let text = problem.to_string();
                    words.iter().all(|word| text.contains(word))
                        && (file.is_empty()
                            || problem["file"] == file && problem["line"].as_u64() == line)
                });
                ensure!(found.is_some(), "{problems:?}");
                Ok(())
            },
        )?;
        let last = words.last().copied().unwrap_or_default();
        ensure!(
            self.node.log().contains(last),
            "\"{last}\" is not in the log"
        );
        self.undisturbed()
    }

    fn all_good(&self) -> Result<()> {
        eventually(SOON, "no problems", || {
            let status = self.node.ask(&["status"])?;
            let problems = status["problems"].as_array().cloned().unwrap_or_default();
            ensure!(problems.is_empty(), "{problems:?}");
            Ok(())
        })?;
        self.undisturbed()
    }
}

fn tor(asn: &Value) -> Value {
    object("Peer", "tor", &json!({"address": PEER, "asn": asn}))
}

#[test]
fn invalid_manifests_are_reported_with_file_and_line_and_the_last_valid_state_stays() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let rig = Rig::start(lab)?;
        let kept = "last good";
        let head = "apiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata: {name: tor}\n";
        for (text, line, words) in [
            (
                format!("{head}spec: {{address: {PEER}, asn: -1}}\n"),
                4,
                &["spec.asn", "-1"][..],
            ),
            (
                format!("{head}spec:\n  address: 10.0.0.300\n  asn: 64502\n"),
                5,
                &["spec.address", "10.0.0.300"],
            ),
            (
                format!("{head}spec:\n  address: {PEER}\n  asn: 64502\n  holdTime: 3s\n"),
                7,
                &["holdTime"],
            ),
            (
                format!("{head}spec:\n  address: {PEER}\n  asn: 64502\n  timers: {{hold: 2s}}\n"),
                7,
                &["spec.timers.hold"],
            ),
            (
                format!("{head}spec: {{address: {PEER}, asn: 64502\n"),
                4,
                &["unclosed"],
            ),
            ("\tapiVersion: x\n".to_owned(), 1, &[]),
            ("just words\n".to_owned(), 1, &[]),
        ] {
            rig.node.write_text("peer", &text)?;
            let words = [words, &[kept]].concat();
            rig.told("peer.yaml", Some(line), &words)
                .with_context(|| text.clone())?;
        }
        let path = rig.node.manifests().join("peer.yaml");
        rig.node.write_octets("peer", &[0xff, 0xfe, 0x00])?;
        rig.told("peer.yaml", None, &["UTF-8", kept])?;
        rig.node.write("peer", &tor(&json!(64502)))?;
        rig.all_good()?;

        fs::set_permissions(&path, Permissions::from_mode(0o000))?;
        rig.told("peer.yaml", None, &["Permission denied", kept])?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        rig.all_good()?;

        let away = rig.node.manifests().with_extension("away");
        fs::rename(rig.node.manifests(), &away)?;
        rig.told("", None, &["No such file", "manifests"])?;
        fs::rename(&away, rig.node.manifests())?;
        rig.all_good()
    });
}

#[test]
fn a_peer_that_cannot_be_started_says_why_and_starts_once_it_can() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let rig = Rig::start(lab)?;
        interface_missing(&rig)?;
        password_missing(&rig)?;
        one_address_twice(&rig)?;
        rig.undisturbed()
    });
}

/// Waits until a peer is blocked with all of these words, in JSON and in the table for people.
fn blocked(rig: &Rig, name: &str, words: &[&str]) -> Result<()> {
    eventually(SOON, &format!("{name} is blocked"), || {
        let peer = rig.peer(name)?;
        let reason = peer["blocked"].as_str().unwrap_or_default();
        ensure!(
            !reason.is_empty() && words.iter().all(|word| reason.contains(word)),
            "{words:?} expected: {peer}"
        );
        Ok(())
    })?;
    let (binary, namespace) = (binary()?, &rig.node.namespace);
    let text = namespace.run(&[&binary, "peers", "--control", rig.node.socket()])?;
    for word in words {
        ensure!(text.contains(word), "\"{word}\" is not in:\n{text}");
    }
    rig.undisturbed()
}

fn not_blocked(rig: &Rig, name: &str) -> Result<()> {
    eventually(SOON, &format!("{name} runs"), || {
        let peer = rig.peer(name)?;
        ensure!(peer["blocked"].is_null(), "{peer}");
        Ok(())
    })?;
    rig.undisturbed()
}

fn interface_missing(rig: &Rig) -> Result<()> {
    for (name, address) in [("global", "10.0.9.2"), ("link-local", "fe80::9")] {
        let spec = json!({"address": address, "asn": 64509, "sourceInterface": "eth9"});
        rig.node.write("other", &object("Peer", name, &spec))?;
        blocked(rig, name, &["eth9", "does not exist"])?;
    }
    rig.node
        .namespace
        .ip("link add eth9 type veth peer name eth9peer")?;
    not_blocked(rig, "link-local")?;
    let spec = json!({"address": "10.0.9.2", "asn": 64509, "sourceInterface": "eth9"});
    rig.node.write("other", &object("Peer", "global", &spec))?;
    not_blocked(rig, "global")?;
    rig.node.namespace.ip("link del eth9")?;
    Ok(())
}

/// It never runs without its password (RFC 2385 is the only thing that keeps strangers out).
fn password_missing(rig: &Rig) -> Result<()> {
    let file = rig.node.namespace.dir().join("password");
    let path = file.to_string_lossy();
    let spec = json!({"address": "10.0.0.9", "asn": 64509, "password": {"file": path}});
    rig.node.write("other", &object("Peer", "secret", &spec))?;
    blocked(rig, "secret", &[&path, "No such file"])?;
    fs::write(&file, "hush")?;
    fs::set_permissions(&file, Permissions::from_mode(0o000))?;
    blocked(rig, "secret", &[&path, "Permission denied"])?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    not_blocked(rig, "secret")?;
    let text = rig.peer("secret")?.to_string() + &rig.node.log();
    ensure!(!text.contains("hush"), "the password is shown");

    fs::write(&file, "\n")?;
    let spec = json!({"address": "10.0.0.8", "asn": 64509, "password": {"file": path}});
    rig.node.write("other", &object("Peer", "empty", &spec))?;
    blocked(rig, "empty", &["password"])
}

fn one_address_twice(rig: &Rig) -> Result<()> {
    let spec = json!({"address": PEER, "asn": 64999});
    rig.node.write("other", &object("Peer", "twice", &spec))?;
    rig.told("", None, &["Peer twice", "Peer tor"])
}

/// A port that is taken changes nothing; once it is free it is listened on.
#[test]
fn a_port_in_use_leaves_the_listening_and_the_sessions_as_they_were() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let rig = Rig::start(lab)?;
        let listen = |listen: Value| {
            let spec = json!({"asn": 64501, "listen": listen});
            rig.node
                .write("router", &object("Router", "default", &spec))
        };
        {
            let namespace = &rig.node.namespace;
            let _taken = namespace.enter(|| TcpListener::bind("0.0.0.0:1790"))??;
            listen(json!({"port": 1790}))?;
            rig.told("", None, &["0.0.0.0:1790", "in use", "ss -ltnp"])?;
            listens(&rig, &["0.0.0.0:179", "[::]:179"])?;
        }
        listens(&rig, &["0.0.0.0:1790", "[::]:1790"])?;
        // The same port, where our own sockets are in the way of the new ones.
        for (addresses, expected) in [
            (
                &["10.0.0.1", "fd00::1"][..],
                &["10.0.0.1:1790", "[fd00::1]:1790"],
            ),
            (&[], &["0.0.0.0:1790", "[::]:1790"]),
        ] {
            listen(json!({"port": 1790, "addresses": addresses}))?;
            listens(&rig, expected)?;
        }
        rig.bird.wait_established("10.0.0.1")?;
        let up = || -> Result<Value> {
            let peer = rig.peer("tor")?;
            ensure!(peer["state"] == "Established", "{peer}");
            Ok(peer["localAddress"].clone())
        };
        let before = eventually(SOON, "up again", up)?;
        // An address that the node has not, and one where our own sockets are in the way: nothing is given up for it.
        listen(json!({"port": 1790, "addresses": ["10.0.0.1", "10.0.0.77"]}))?;
        let words = [
            "10.0.0.77:1790",
            "no interface of this host has the address",
        ];
        eventually(SOON, "a problem", || {
            let status = rig.node.ask(&["status"])?;
            let text = status["problems"].to_string();
            ensure!(words.iter().all(|word| text.contains(word)), "{text}");
            Ok(())
        })?;
        listens(&rig, &["0.0.0.0:1790", "[::]:1790"])?;
        ensure!(up()? == before, "the session was reset");
        rig.node.namespace.address("eth0", "10.0.0.77/24")?;
        listens(&rig, &["10.0.0.1:1790", "10.0.0.77:1790"])?;
        rig.bird.wait_established("10.0.0.1")?;
        rig.bird.wait_route("10.1.0.0/24", SOON)?;
        // What can only be found out by giving our own sockets up is tried once, not again and again.
        let namespace = &rig.node.namespace;
        let _taken = namespace.enter(|| TcpListener::bind("127.0.0.1:1790"))??;
        listen(json!({"port": 1790}))?;
        eventually(SOON, "a problem", || {
            let status = rig.node.ask(&["status"])?;
            let text = status["problems"].to_string();
            ensure!(text.contains("0.0.0.0:1790"), "{text}");
            Ok(())
        })?;
        listens(&rig, &["10.0.0.1:1790", "10.0.0.77:1790"])?;
        let before = eventually(SOON, "up again", up)?;
        always(Duration::from_secs(6), "no further reset", || {
            let now = up()?;
            ensure!(now == before, "{before} before, {now} now");
            Ok(())
        })
    });
}

/// It was first not even tried, since another address was taken as well; and what is tried later is in vain, too.
#[test]
fn sessions_closed_for_listening_sockets_that_fail_to_open_are_established_again() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let rig = Rig::start(lab)?;
        let listen = |listen: Value| {
            let spec = json!({"asn": 64501, "listen": listen});
            rig.node
                .write("router", &object("Router", "default", &spec))
        };
        let problem = |words: &str| {
            eventually(SOON, "a problem", || {
                let status = rig.node.ask(&["status"])?;
                let text = status["problems"].to_string();
                ensure!(text.contains(words), "{text}");
                Ok(())
            })
        };
        listen(json!({"port": 1790, "addresses": ["10.0.0.1"]}))?;
        listens(&rig, &["10.0.0.1:1790"])?;
        rig.bird.wait_established("10.0.0.1")?;
        let take = |address: &str| {
            let namespace = &rig.node.namespace;
            namespace.enter(|| TcpListener::bind(address))
        };
        // That the first is taken shows only when our own socket has been given up, which is not done for the second.
        let _ipv4 = take("127.0.0.1:1790")??;
        let ipv6 = take("[fd00::1]:1790")??;
        listen(json!({"port": 1790}))?;
        problem("[::]:1790")?;
        drop(ipv6);
        problem("0.0.0.0:1790")?;
        listens(&rig, &["10.0.0.1:1790"])?;
        eventually(SOON, "up again", || {
            let peer = rig.peer("tor")?;
            ensure!(peer["state"] == "Established", "{peer}");
            Ok(())
        })
    });
}

fn listens(rig: &Rig, expected: &[&str]) -> Result<()> {
    eventually(SOON, &format!("listening on {expected:?}"), || {
        let status = rig.node.ask(&["status"])?;
        ensure!(status["listening"] == json!(expected), "{status}");
        Ok(())
    })
}
