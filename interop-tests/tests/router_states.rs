//! RouterStates in numbers: a controller with those of 300 nodes of which one dies, and what agents and controller read
//! and write.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::apiserver::Verb;
use interop_tests::{Kind, Need, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{Cluster, pod_cidrs};

const NEEDS: [Need; 1] = [Need::Speaker(Kind::Routelet)];
const WITH_ROUTER: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

/// Nodes of the large mesh.
const NODES: i64 = 300;

/// What an agent says of node `n`: of its session with the router, and how many of those of its mesh are Established.
fn state(n: i64, router: bool, mesh: i64) -> Value {
    let down = if router {
        json!([])
    } else {
        json!(["10.0.0.200 is Active: hold timer expired"])
    };
    let dead = if mesh < NODES - 1 {
        json!(["mesh/node-17 is Active"])
    } else {
        json!([])
    };
    json!({
        "apiVersion": "routelet.dev/v1alpha1", "kind": "RouterState", "metadata": {"name": format!("node-{n}")},
        "spec": {"node": format!("node-{n}")},
        "status": {
            "version": "0.1.0", "asn": 64512,
            "sessions": [{
                "peer": "tor", "object": "Peer tor", "address": "10.0.0.200", "asn": 64500,
                "state": if router { "Established" } else { "Active" }, "establishedCount": 1,
                "families": [{"family": "ipv4-unicast", "received": 1, "accepted": 1, "advertised": 1}],
            }],
            "sessionCounts": [{
                "object": "Peer tor", "sessions": 1, "established": i64::from(router), "down": down,
            }],
            "mesh": {"object": "Router default (mesh)", "sessions": NODES - 1, "established": mesh, "down": dead},
        },
    })
}

/// Waits until the Peer counts its sessions so, with a status of its condition; returns the message.
fn wait_counts(cluster: &Cluster<'_>, counts: (i64, i64), status: &str) -> Result<String> {
    eventually(SOON, &format!("{counts:?} sessions"), || {
        let peer = cluster.api.get("Peer", "", "tor").context("no Peer")?;
        let found = &peer["status"];
        ensure!(
            found["sessions"] == counts.0 && found["established"] == counts.1,
            "{found}"
        );
        let conditions = found["conditions"].as_array();
        let established = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "Established")
            .context("no condition")?;
        ensure!(established["status"] == status, "{established}");
        Ok(established["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    })
}

#[test]
fn a_dead_node_among_three_hundred_costs_the_controller_a_few_writes() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let fake = cluster.fake()?;
        cluster.peer_with_tor(&json!({}))?;
        for n in 0..NODES {
            cluster.api.put(&state(n, true, NODES - 1))?;
        }
        let _controller = cluster.controller(1)?;
        wait_counts(&cluster, (NODES, NODES), "True")?;
        let read = fake.requests(Verb::List, "routerstates");
        ensure!(read <= 1, "{read} lists of RouterStates");
        fake.forget_requests();
        // Node 17 dies; the others write that one after the other, and what the last of them wrote counts.
        for n in (0..NODES).filter(|n| *n != 17) {
            cluster.api.put(&state(n, true, NODES - 2))?;
        }
        cluster.api.put(&state(17, false, 0))?;
        let text = wait_counts(&cluster, (NODES, NODES - 1), "False")?;
        ensure!(
            text == "1 of 300: node-17: 10.0.0.200 is Active: hold timer expired",
            "{text}"
        );
        eventually(SOON, "the Event", || {
            let notes = cluster.notes("SessionLost", "Peer", "tor");
            ensure!(notes.len() == 1, "{notes:?}");
            Ok(())
        })?;
        // None of the writes of the others' made it write, and the page is read once.
        let writes = fake.requests(Verb::Patch, "peers") + fake.requests(Verb::Patch, "routers");
        ensure!((1..=3).contains(&writes), "{writes} writes");
        let events = cluster.api.list("Event").len();
        ensure!(events <= 3, "{events} Events");
        let read = fake.requests(Verb::List, "routerstates");
        ensure!(read == 0, "{read} lists of RouterStates");
        let largest = cluster
            .api
            .list("RouterState")
            .iter()
            .map(|o| o.to_string().len())
            .max();
        ensure!(largest < Some(4096), "{largest:?} octets");
        Ok(())
    });
}

#[test]
fn agents_list_from_the_watch_cache_and_rewrite_a_deleted_router_state() {
    run(&WITH_ROUTER, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let fake = cluster.fake()?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        let _node = cluster.node(1)?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        let lists: u64 = [
            "nodes",
            "services",
            "endpointslices",
            "namespaces",
            "peers",
            "routers",
        ]
        .map(|plural| fake.requests(Verb::List, plural))
        .iter()
        .sum();
        ensure!(lists == 0, "{lists} lists");
        eventually(SOON, "the RouterState says that all is well", || {
            let state = cluster.api.get("RouterState", "", "node-1");
            let state = state.context("there is none")?;
            let conditions = state["status"]["conditions"].as_array();
            let good = |c: &Value| c["status"] == "True";
            let all_good = conditions.is_some_and(|all| all.iter().all(good));
            ensure!(all_good, "{state}");
            ensure!(state["status"]["summary"]["sessions"] == "1/1", "{state}");
            Ok(())
        })?;
        cluster.api.delete("RouterState", "", "node-1")?;
        // It is looked once a minute whether it is there.
        eventually(Duration::from_secs(120), "the RouterState is back", || {
            let state = cluster
                .api
                .get("RouterState", "", "node-1")
                .context("there is none")?;
            ensure!(state["status"]["summary"]["sessions"] == "1/1", "{state}");
            ensure!(
                state["metadata"]["ownerReferences"][0]["name"] == "node-1",
                "{state}"
            );
            Ok(())
        })
    });
}
