//! A changed address or password costs the session of the changed peer, and no other.

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::{Kind, Lab, Need, Neighbour, Speaker, Subject, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};

#[test]
fn changed_addresses_and_passwords_reset_only_the_changed_peer() {
    run(
        &[Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)],
        scenario,
    );
}

fn scenario(lab: &Lab) -> Result<()> {
    let switch = lab.switch("switch")?;
    let namespace = lab.namespace("node-1")?;
    switch.plug(lab, &namespace, "eth0")?;
    namespace.address("eth0", "10.0.0.1/24")?;
    let secret = namespace
        .dir()
        .join("secret")
        .to_string_lossy()
        .into_owned();
    std::fs::write(&secret, "first\n")?;
    let mut routers = Vec::new();
    for number in [2, 3] {
        let at = lab.namespace(&format!("router-{number}"))?;
        switch.plug(lab, &at, "eth0")?;
        at.address("eth0", &format!("10.0.0.{number}/24"))?;
        // The second address of router-2, which its peer moves to.
        at.address("eth0", &format!("10.0.0.{}/24", number + 10))?;
        routers.push(Subject::start(
            lab,
            Kind::Bird2,
            &at,
            router(number, number, None),
        )?);
    }
    let node = Node::start(
        &namespace,
        &[("config", config("10.0.0.2", None))],
        &["--http", "off"],
    )?;
    eventually(SOON, "both first sessions", || check_kept(&node))?;
    // A router's own reset may come before the node's: at least one session more than before is what counts.
    let mut sessions = 0;
    let mut wait_again = |address: &str| {
        sessions = eventually(SOON, &format!("a new session at {address}"), || {
            let changed = peer(&node, "changed")?;
            let count = changed["establishedCount"].as_u64().unwrap_or(0);
            ensure!(
                changed["state"] == json!("Established")
                    && changed["address"] == json!(address)
                    && count > sessions,
                "{sessions} before: {changed}"
            );
            Ok(count)
        })?;
        check_kept(&node)
    };
    wait_again("10.0.0.2")?;

    // Another address of the same router.
    routers[0].reconfigure(router(2, 12, None))?;
    node.write("config", &config("10.0.0.12", None))?;
    wait_again("10.0.0.12")?;

    // A password at both ends.
    routers[0].reconfigure(router(2, 12, Some("first")))?;
    node.write("config", &config("10.0.0.12", Some(&secret)))?;
    wait_again("10.0.0.12")?;

    // Another password: the file's content changes, no manifest does.
    routers[0].reconfigure(router(2, 12, Some("second")))?;
    std::fs::write(&secret, "second\n")?;
    wait_again("10.0.0.12")?;

    // Without the password there is no session, and the reason is told.
    std::fs::remove_file(&secret)?;
    eventually(SOON, "the peer is blocked", || {
        let changed = peer(&node, "changed")?;
        let blocked = changed["blocked"].as_str().context("not blocked")?;
        ensure!(blocked.contains(&secret), "{blocked}");
        Ok(())
    })?;
    check_kept(&node)
}

/// The node's objects; `secret` is the file of the password of the peer that changes.
fn config(address: &str, secret: Option<&str>) -> Value {
    let mut changed = json!({"address": address, "asn": 64502, "timers": {"connectRetry": "1s"}});
    if let Some(secret) = secret {
        changed["password"] = json!({"file": secret});
    }
    let kept = json!({"address": "10.0.0.3", "asn": 64503, "timers": {"connectRetry": "1s"}});
    json!([
        object("Router", "default", &json!({"mesh": {"enabled": false}})),
        node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
        object("Peer", "changed", &changed),
        object("Peer", "kept", &kept),
    ])
}

/// That the other peer has had one session from the beginning.
fn check_kept(node: &Node) -> Result<()> {
    let kept = peer(node, "kept")?;
    ensure!(
        kept["state"] == json!("Established") && kept["establishedCount"] == json!(1),
        "{kept}"
    );
    Ok(())
}

fn peer(node: &Node, name: &str) -> Result<Value> {
    node.ask(&["peers", name])
}

/// A router that accepts the node at 10.0.0.`host`. One neighbour at a time: BIRD has no two with the same address.
fn router(number: u32, host: u32, password: Option<&str>) -> Speaker {
    let mut neighbour = Neighbour::new("10.0.0.1", 64512).passive();
    neighbour.local_address = format!("10.0.0.{host}").parse().ok();
    neighbour.password = password.map(str::to_owned);
    Speaker::new(64500 + number, &format!("10.0.0.{number}")).neighbour(neighbour)
}
