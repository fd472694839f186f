//! Who gets in: passwords that never fail open, places of listen ranges, interfaces and addresses.

#[path = "../support/mod.rs"]
mod support;

mod passwords;
mod paths;
mod ranges;

use anyhow::{Context, Result, ensure};
use interop_tests::{Lab, Namespace, Speaker, eventually};
use serde_json::json;
use support::SOON;
use support::node::Node;

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
