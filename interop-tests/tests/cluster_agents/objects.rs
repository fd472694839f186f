//! What agents make of an object that is invalid and of Secrets, and the object that they write.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{Kind, Neighbour, Speaker, Subject, always, eventually, run};
use serde_json::{Value, json};

use crate::NEEDS;
use crate::support::SOON;
use crate::support::cluster::{Cluster, NAMESPACE, PASSWORDS, TOR, pod_cidrs, secret};
use crate::support::node::{Node, object};
use crate::support::segment::v4;

#[test]
fn an_invalid_object_is_reported_and_affects_nothing_else() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        // The definitions refuse what they can see.
        let refused = cluster
            .api
            .put(&object("Peer", "odd", &json!({"asn": 64500})))
            .map_err(|failure| format!("{failure:#}"));
        let text = refused.err().context("a peer without an address")?;
        ensure!(text.contains("set exactly one of address"), "{text}");
        // What they cannot see, the agent does.
        cluster.peer_with_tor(&json!({"attributeFilter": {"discard": ["Origin"]}}))?;
        let problem = "Peer tor";
        eventually(SOON, "the state of the node names it", || {
            let state = state_of(&cluster, 1)?;
            let problems = &state["status"]["problems"];
            ensure!(problems[0]["object"] == problem, "{problems}");
            ensure!(
                problems[0]["message"]
                    .to_string()
                    .contains("last good version stays"),
                "{problems}"
            );
            Ok(())
        })?;
        tor.route(&pod_cidrs(1)[0])?;
        ensure!(node.ask(&["peers"])?[0]["asn"] == 64500);
        cluster.peer_with_tor(&json!({}))?;
        eventually(SOON, "all is well", || {
            let state = state_of(&cluster, 1)?;
            ensure!(state["status"]["problems"] == json!([]), "{state}");
            Ok(())
        })
    });
}

#[test]
fn a_password_comes_from_a_secret_and_follows_it() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let node = cluster.node(1)?;
        let tor_host = cluster.segment.host("tor", TOR)?;
        let mut tor = Subject::start(lab, Kind::Bird2, &tor_host, speaker("one"))?;
        let trouble = |what: &[&str]| {
            eventually(SOON, "the peer says what it waits for", || {
                let state = state_of(&cluster, 1)?;
                let trouble = state["status"]["sessions"][0]["trouble"].to_string();
                ensure!(what.iter().all(|words| trouble.contains(words)), "{state}");
                Ok(())
            })
        };
        let peer =
            |name: &str| cluster.peer_with_tor(&json!({"password": {"secretRef": {"name": name}}}));
        // The Role names one Secret: another is refused, which stops this peer and nothing else.
        cluster.api.put(&secret("tor", "one"))?;
        peer("tor")?;
        trouble(&[
            "routelet-system/tor",
            "resourceNames of Role routelet-agent",
        ])?;
        ensure!(failing(&node)? == json!([{"kind": "Secret", "failing": true}]));
        peer(PASSWORDS)?;
        trouble(&["Secret routelet-system/bgp-passwords", "does not exist"])?;
        cluster.api.put(&secret(PASSWORDS, "one"))?;
        tor.wait_established(&v4(1))?;
        ensure!(failing(&node)? == json!([]));
        // Both sides change it.
        tor.reconfigure(speaker("two"))?;
        cluster.api.put(&secret(PASSWORDS, "two"))?;
        let is_up = || {
            let sessions = node.ask(&["peers"])?;
            ensure!(sessions[0]["state"] == "Established", "{sessions}");
            Ok(sessions[0]["establishedCount"].clone())
        };
        eventually(
            Duration::from_secs(60),
            "a session with the new password",
            || {
                ensure!(is_up()? == json!(2));
                Ok(())
            },
        )?;
        // A Peer that names another Secret with the same password costs no session.
        cluster
            .api
            .change("Role", NAMESPACE, "routelet-agent", |role| {
                role["rules"][0]["resourceNames"] = json!([PASSWORDS, "other"]);
            })?;
        cluster.api.put(&secret("other", "two"))?;
        for name in ["other", PASSWORDS] {
            peer(name)?;
            always(Duration::from_secs(2), "the session goes on", || {
                ensure!(is_up()? == json!(2));
                Ok(())
            })?;
        }
        // Without it the session is ended: it must not go on with one that nobody configures any more.
        cluster.api.delete("Secret", NAMESPACE, PASSWORDS)?;
        eventually(SOON, "no session without the Secret", || {
            let peers = node.ask(&["peers"])?;
            ensure!(
                peers[0]["blocked"]
                    .to_string()
                    .contains("Secret routelet-system/bgp-passwords"),
                "{peers}"
            );
            Ok(())
        })?;
        ensure!(!node.log().contains("two\""), "the password is in no log");
        Ok(())
    });
}

#[test]
fn a_router_state_reads_like_a_status_page() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let _node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        let state = eventually(SOON, "the node is ready", || {
            let state = state_of(&cluster, 1)?;
            let all = state["status"]["conditions"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            ensure!(
                all.len() == 6 && all.iter().all(|c| c["status"] == "True"),
                "{state}"
            );
            // Without any peer it was ready, too.
            ensure!(state["status"]["summary"]["sessions"] == "1/1", "{state}");
            Ok(state)
        })?;
        let status = &state["status"];
        ensure!(
            status["asn"] == 64512 && status["routerID"] == json!(v4(1)),
            "{status}"
        );
        ensure!(status["lastHeartbeatTime"].is_string(), "{status}");
        let session = &status["sessions"][0];
        ensure!(
            session["peer"] == "tor" && session["state"] == "Established",
            "{session}"
        );
        ensure!(
            state["metadata"]["ownerReferences"][0]["name"] == "node-1",
            "{state}"
        );
        // It is written when something happens, and not all the time.
        let before = cluster.versions(&["RouterState"]);
        std::thread::sleep(Duration::from_secs(3));
        let after = cluster.versions(&["RouterState"]);
        ensure!(
            !before.is_empty() && before == after,
            "{before:?} became {after:?}"
        );
        if cluster.fake().is_err() {
            println!("skip: that it goes with its node needs a cluster's garbage collector");
            return Ok(());
        }
        // It goes with its node.
        cluster.api.delete("Node", "", "node-1")?;
        eventually(SOON, "the state is gone", || {
            ensure!(cluster.api.get("RouterState", "", "node-1").is_none());
            Ok(())
        })
    });
}

/// The router, with this password.
fn speaker(password: &str) -> Speaker {
    let neighbour = Neighbour::new(&v4(1), 64512).passive();
    Speaker::new(64500, &v4(TOR)).neighbour(neighbour.password(password))
}

/// The watches of a node that fail.
fn failing(node: &Node) -> Result<Value> {
    let status = node.ask(&["status"])?;
    let watches = status["watches"].as_array().cloned();
    let watches = watches.unwrap_or_default().into_iter();
    Ok(watches.filter(|watch| watch["failing"] == true).collect())
}

fn state_of(cluster: &Cluster<'_>, n: u8) -> Result<Value> {
    let state = cluster.api.get("RouterState", "", &format!("node-{n}"));
    state.with_context(|| format!("no RouterState node-{n}"))
}
