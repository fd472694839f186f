//! Secrets of an API server that says "later" or has just started, and more of them than one connection carries.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::apiserver::Fault;
use interop_tests::{Kind, Need, Neighbour, Speaker, Subject, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{Cluster, NAMESPACE, PASSWORDS, TOR, secret};
use support::node::{Node, object};
use support::segment::v4;

/// So many Secrets: the fake API server carries 200 requests at once on a connection, a real one 100.
const MANY: usize = 230;

/// A Secret that no Role of `deploy` names.
const OTHER: &str = "other";

/// Lets agents read these Secrets.
fn grant(cluster: &Cluster<'_>, names: &[String]) -> Result<()> {
    let role = |role: &mut Value| role["rules"][0]["resourceNames"] = json!(names);
    cluster
        .api
        .change("Role", NAMESPACE, "routelet-agent", role)?;
    Ok(())
}

/// How often a session with the router was established; one has to be now.
fn sessions(node: &Node) -> Result<u64> {
    let peers = node.ask(&["peers"])?;
    ensure!(peers[0]["state"] == "Established", "{peers}");
    peers[0]["establishedCount"].as_u64().context("a count")
}

fn failing(node: &Node) -> Result<Vec<String>> {
    let status = node.ask(&["status"])?;
    let watches = status["watches"].as_array().cloned().unwrap_or_default();
    let failing = watches.iter().filter(|watch| watch["failing"] == true);
    Ok(failing.map(|watch| watch["kind"].to_string()).collect())
}

/// "Later" is no answer: the previous password stays in force, until there is one.
#[test]
fn an_overloaded_api_server_costs_no_session_whose_secret_has_another_name() {
    let needs = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];
    run(&needs, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        grant(&cluster, &[PASSWORDS.to_owned(), OTHER.to_owned()])?;
        for name in [PASSWORDS, OTHER] {
            cluster.api.put(&secret(name, "one"))?;
        }
        let node = cluster.node(1)?;
        let host = cluster.segment.host("tor", TOR)?;
        let speaker = |password: &str| {
            let neighbour = Neighbour::new(&v4(1), 64512).passive();
            Speaker::new(64500, &v4(TOR)).neighbour(neighbour.password(password))
        };
        let mut tor = Subject::start(lab, Kind::Bird2, &host, speaker("one"))?;
        let peer =
            |name: &str| cluster.peer_with_tor(&json!({"password": {"secretRef": {"name": name}}}));
        peer(PASSWORDS)?;
        tor.wait_established(&v4(1))?;
        let mut name = OTHER;
        for fault in [
            Fault::TooManyRequests(1),
            Fault::Unavailable,
            Fault::InternalError,
            Fault::NoRolesYet,
        ] {
            cluster.fake()?.answer_next("secrets", 1000, fault);
            peer(name)?;
            eventually(SOON, "the watch fails", || {
                let failing = failing(&node)?;
                ensure!(failing == ["\"Secret\""], "{failing:?}");
                Ok(())
            })?;
            // Longer than a state waits for the answer.
            always(Duration::from_secs(4), "the session goes on", || {
                ensure!(sessions(&node)? == 1, "{fault:?}");
                Ok(())
            })?;
            // The last one; a watch that fails is tried again after 15 s at most.
            cluster.fake()?.answer_next("secrets", 1, fault);
            eventually(Duration::from_secs(40), "the watch gets on", || {
                let failing = failing(&node)?;
                ensure!(failing.is_empty(), "{failing:?}");
                Ok(())
            })?;
            ensure!(sessions(&node)? == 1, "{fault:?}");
            name = if name == OTHER { PASSWORDS } else { OTHER };
        }
        // It follows the one that it has come to.
        let last = if name == OTHER { PASSWORDS } else { OTHER };
        tor.reconfigure(speaker("two"))?;
        cluster.api.put(&secret(last, "two"))?;
        eventually(Duration::from_secs(60), "the new password", || {
            let sessions = sessions(&node)?;
            ensure!(sessions == 2, "{sessions}");
            Ok(())
        })
    });
}

/// Each Secret has a watch of its own, and each watch takes a stream of an HTTP/2 connection for as long as it lasts.
#[test]
fn more_secrets_than_a_connection_has_streams_are_all_watched() {
    run(&[Need::Speaker(Kind::Routelet)], |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let names: Vec<String> = (0..MANY).map(|n| format!("password-{n}")).collect();
        grant(&cluster, &names)?;
        for (n, name) in names.iter().enumerate() {
            cluster.api.put(&secret(name, "one"))?;
            let spec = json!({
                "address": format!("198.18.0.{n}"), "asn": 64500, "passive": true,
                "password": {"secretRef": {"name": name}},
            });
            cluster
                .api
                .put(&object("Peer", &format!("peer-{n}"), &spec))?;
        }
        let node = cluster.node(1)?;
        eventually(Duration::from_secs(60), "every Secret was read", || {
            let status = node.ask(&["status"])?;
            let configured = status["peers"]["configured"].as_u64();
            ensure!(configured == Some(MANY as u64), "{}", status["gates"]);
            let peers = node.ask(&["peers"])?.to_string();
            ensure!(!peers.contains("cannot be read"), "{peers}");
            let failing = failing(&node)?;
            ensure!(failing.is_empty(), "{failing:?}");
            Ok(())
        })?;
        // Nor do they keep all other requests waiting.
        eventually(SOON, "the RouterState is written", || {
            let state = cluster.api.get("RouterState", "", "node-1");
            let state = state.context("no RouterState")?;
            let counts = state["status"]["sessionCounts"].to_string();
            ensure!(counts.contains("peer-0"), "{counts}");
            Ok(())
        })
    });
}
