//! Agents on an API server: what they read there, what they write there, and what happens while it is away.
//!
//! The agents have the account and the roles of `deploy`, and nothing else.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::apiserver::Verb;
use interop_tests::probe::{kernel, tcp};
use interop_tests::{
    Kind, Need, Neighbour, Signal, Speaker, State, Subject, always, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{
    Cluster, NAMESPACE, PASSWORDS, TOR, cluster_node, pod_cidrs, secret, service, slice, told_by,
};
use support::node::{node_object, object};
use support::segment::{v4, v6};

const NEEDS: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

#[test]
fn one_peer_object_makes_the_pods_of_all_nodes_reachable() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let mut nodes = [cluster.node(1)?, cluster.node(2)?];
        let tor = cluster.tor(2)?;
        cluster.peer_with_tor(&json!({}))?;
        for n in [1, 2] {
            for prefix in pod_cidrs(n) {
                tor.wait_route(&prefix, SOON)?;
            }
        }
        // And among each other, by the mesh.
        for (node, other) in [(&nodes[0], 2), (&nodes[1], 1)] {
            for prefix in pod_cidrs(other) {
                eventually(SOON, "the other node's pods", || {
                    let found = kernel::routes_to(&node.namespace, &prefix)?;
                    ensure!(!found.is_empty(), "no route to {prefix}");
                    Ok(())
                })?;
            }
        }
        // Its address is no Service's, also when its object is deleted: the machine may live on.
        cluster.api.put(&service("thief", &v4(2), "Cluster"))?;
        cluster.api.put(&slice("thief", &[(1, true)]))?;
        let refused = || {
            let address =
                nodes[0].ask(&["explain", "service", "shop/thief"])?["addresses"][0].clone();
            ensure!(address["reason"]["code"] == "nodeAddress", "{address}");
            Ok(())
        };
        eventually(SOON, "the node's address is refused", refused)?;
        // A Node that is deleted leaves the mesh. Its own agent, while it runs, goes on with its router.
        cluster.api.delete("Node", "", "node-2")?;
        for prefix in pod_cidrs(2) {
            eventually(SOON, "no pods of the other node", || {
                let found = kernel::routes_to(&nodes[0].namespace, &prefix)?;
                ensure!(found.is_empty(), "{found:?}");
                Ok(())
            })?;
            tor.route(&prefix)?;
        }
        refused()?;
        ensure!(told_by(&tor, &format!("{}/32", v4(2)))?.is_empty());
        // Stopped, it takes its routes along: the node is none of the cluster's any more.
        nodes[1].end(Signal::SIGTERM)?;
        for prefix in pod_cidrs(2) {
            tor.wait_no_route(&prefix, SOON)?;
        }
        Ok(())
    });
}

#[test]
fn an_address_is_told_while_its_endpoints_are_ready() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let _nodes = [cluster.node(1)?, cluster.node(2)?];
        let tor = cluster.tor(2)?;
        cluster.peer_with_tor(&json!({}))?;
        tor.wait_route(&pod_cidrs(2)[0], SOON)?;
        let prefix = "203.0.113.7/32";
        let next_hops = |expected: &[u8]| {
            let expected: Vec<String> = expected.iter().map(|n| v4(*n)).collect();
            eventually(SOON, &format!("{prefix} over {expected:?}"), || {
                let found = told_by(&tor, prefix)?;
                ensure!(found == expected, "over {found:?}");
                Ok(())
            })
        };
        cluster.api.put(&service("web", "203.0.113.7", "Local"))?;
        cluster.api.put(&slice("web", &[(1, false)]))?;
        // When what came later is told, that was seen.
        cluster
            .api
            .put(&service("later", "203.0.113.8", "Cluster"))?;
        cluster.api.put(&slice("later", &[(1, true)]))?;
        tor.wait_route("203.0.113.8/32", SOON)?;
        always(Duration::from_millis(500), "not ready, not told", || {
            ensure!(told_by(&tor, prefix)?.is_empty());
            Ok(())
        })?;
        cluster.api.put(&slice("web", &[(1, true)]))?;
        next_hops(&[1])?;
        cluster.api.put(&slice("web", &[(1, true), (2, true)]))?;
        next_hops(&[1, 2])?;
        cluster.api.put(&slice("web", &[(2, true)]))?;
        next_hops(&[2])?;
        // The policy changes; then the type.
        cluster.api.change("Service", "shop", "web", |service| {
            service["spec"]["externalTrafficPolicy"] = json!("Cluster");
        })?;
        next_hops(&[1, 2])?;
        cluster.api.change("Node", "", "node-1", |node| {
            node["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"] =
                json!("");
        })?;
        next_hops(&[2])?;
        cluster.api.change("Service", "shop", "web", |service| {
            service["spec"]["type"] = json!("ClusterIP");
            service["spec"]["externalTrafficPolicy"] = Value::Null;
        })?;
        next_hops(&[])?;
        // All that time no session was made anew.
        for n in [1, 2] {
            let session = tor.session(&v4(n))?;
            ensure!(session.state == State::Established, "{session:?}");
        }
        Ok(())
    });
}

#[test]
fn nothing_is_withdrawn_while_the_api_server_is_away() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let mut node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        cluster.api.put(&service("web", "203.0.113.7", "Cluster"))?;
        cluster.api.put(&slice("web", &[(1, true)]))?;
        tor.wait_route("203.0.113.7/32", SOON)?;
        let connections = tcp::connections(tor.namespace(), &[179])?;
        let still_there = || {
            tor.route("203.0.113.7/32")?;
            tor.route(&pod_cidrs(1)[0])?;
            Ok(())
        };

        cluster.fake()?.stop();
        eventually(SOON, "the agent notices", || {
            let status = node.ask(&["status"])?;
            let problems = status["problems"].to_string();
            ensure!(problems.contains("cannot be watched"), "{problems}");
            Ok(())
        })?;
        always(Duration::from_secs(2), "the routes stay", still_there)?;
        // Restarted meanwhile, it waits, and the router waits for it (graceful restart).
        node.end(Signal::SIGTERM)?;
        node.launch()?;
        let status = node.ask(&["status"])?;
        ensure!(
            !status["gates"][0]["open"].as_bool().unwrap_or(true),
            "{status}"
        );
        always(Duration::from_secs(2), "the routes stay", still_there)?;
        // What was deleted meanwhile is gone when the server is back; what was not is not touched.
        cluster.api.delete("Service", "shop", "web")?;
        cluster.fake()?.compact();
        cluster.fake()?.resume()?;
        tor.wait_established(&v4(1))?;
        tor.wait_no_route("203.0.113.7/32", Duration::from_secs(60))?;
        tor.route(&pod_cidrs(1)[0])?;

        // Disconnected, fallen behind, told twice: no route changes, no session either.
        let connections_now = tcp::connections(tor.namespace(), &[179])?;
        ensure!(connections != connections_now, "the probe sees a restart");
        cluster.api.put(&service("two", "203.0.113.8", "Cluster"))?;
        cluster.api.put(&slice("two", &[(1, true)]))?;
        tor.wait_route("203.0.113.8/32", SOON)?;
        cluster.fake()?.forget_requests();
        always(Duration::from_secs(2), "watches that end at once", || {
            cluster.fake()?.disconnect_watches();
            Ok(())
        })?;
        let asked = cluster.fake()?.requests(Verb::Watch, "services");
        ensure!((1..5).contains(&asked), "{asked} watches in two seconds");
        cluster.fake()?.compact();
        ensure!(
            cluster
                .fake()?
                .repeat_last_event("endpointslices.discovery.k8s.io")
        );
        always(Duration::from_secs(3), "the routes stay", || {
            tor.route("203.0.113.8/32")?;
            tor.route(&pod_cidrs(1)[0])?;
            Ok(())
        })?;
        ensure!(tcp::connections(tor.namespace(), &[179])? == connections_now);
        // And it still listens.
        cluster.api.put(&slice("two", &[(1, false)]))?;
        tor.wait_no_route("203.0.113.8/32", Duration::from_secs(60))
    });
}

/// A node that is on its way back says what it is made of bit by bit; its sessions are none of that.
#[test]
fn a_gap_in_a_node_object_costs_no_session() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let nodes = [cluster.node(1)?, cluster.node(2)?];
        let tor = cluster.tor(2)?;
        for n in [1, 2] {
            cluster.api.put(&in_rack(cluster_node(n)))?;
        }
        cluster.peer_with_tor(&json!({"nodeSelector": {"matchLabels": {"rack": "a"}}}))?;
        let whole = || -> Result<()> {
            for n in [1, 2] {
                for prefix in pod_cidrs(n) {
                    tor.route(&prefix)?;
                }
            }
            let peers = nodes[1].ask(&["peers", "mesh/node-1"])?;
            ensure!(peers["state"] == "Established", "{peers}");
            Ok(())
        };
        eventually(SOON, "the routes of both nodes, and the mesh", whole)?;
        // The same connections in the end, and identifiers: nothing was made anew, however quickly.
        let seen = || -> Result<_> {
            let mut all = tcp::connections(tor.namespace(), &[179])?;
            all.extend(tcp::connections(&nodes[1].namespace, &[179])?);
            let id = nodes[0].ask(&["status"])?["routerId"].to_string();
            Ok((all, id))
        };
        let before = seen()?;
        let still = |what: &str| {
            always(Duration::from_secs(2), what, || {
                whole()?;
                let now = seen()?;
                ensure!(now == before, "{before:?} became {now:?}");
                Ok(())
            })
        };
        cluster.api.change("Node", "", "node-1", |node| {
            node["status"]["addresses"] = json!([]);
        })?;
        still("without addresses")?;
        cluster.api.put(&in_rack(cluster_node(1)))?;
        still("with its addresses again")?;
        cluster.api.delete("Node", "", "node-1")?;
        let problem = |text: &str, there: bool| {
            eventually(SOON, "what its status says of the Node", || {
                let problems = nodes[0].ask(&["status"])?["problems"].to_string();
                ensure!(problems.contains(text) == there, "{problems}");
                Ok(())
            })
        };
        problem("object was removed", true)?;
        still("without its object")?;
        // Made again as the kubelet does, before anybody has given it anything.
        let bare = node_object("node-1", &[&v4(1), &v6(1)], &[]);
        cluster.api.put(&registered(bare))?;
        problem("object was removed", false)?;
        problem("made again without rack;", true)?;
        still("made again without pod CIDRs and its rack")?;
        cluster.api.put(&in_rack(cluster_node(1)))?;
        problem("made again", false)?;
        still("made again")?;
        // Another address is another mesh session; the router's is not touched, and the identifier stays.
        nodes[0].namespace.address("eth0", "10.0.0.11/24")?;
        let other = node_object("node-1", &["10.0.0.11", &v6(1)], &[]);
        let router = tcp::connections(tor.namespace(), &[179])?;
        cluster.api.put(&in_rack(other))?;
        eventually(SOON, "the mesh with the new address", || {
            let peer = nodes[1].ask(&["peers", "mesh/node-1"])?;
            let there = peer["address"] == "10.0.0.11" && peer["state"] == "Established";
            ensure!(there, "{peer}");
            Ok(())
        })?;
        ensure!(tcp::connections(tor.namespace(), &[179])? == router);
        ensure!(seen()?.1 == before.1, "{:?} was {:?}", seen()?.1, before.1);
        Ok(())
    });
}

/// A Node with the labels that a kubelet gives it when it registers.
fn registered(mut node: Value) -> Value {
    node["metadata"]["labels"] = json!({
        "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": node["metadata"]["name"], "kubernetes.io/os": "linux",
    });
    node
}

/// The same, and the label that somebody gives it.
fn in_rack(node: Value) -> Value {
    let mut node = registered(node);
    node["metadata"]["labels"]["rack"] = json!("a");
    node
}

#[test]
fn a_dead_node_of_the_mesh_does_not_keep_an_agent_unready() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        // Nobody runs there.
        cluster.api.put(&cluster_node(9))?;
        let node = cluster.node(1)?;
        let _tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        // 20 s, in which it might have come up.
        eventually(Duration::from_secs(60), "the node is ready", || {
            let status = node.ask(&["status"])?;
            ensure!(status["peers"]["mesh"] == 1, "{}", status["peers"]);
            ensure!(
                status["peers"]["meshEstablished"] == 0,
                "{}",
                status["peers"]
            );
            ensure!(
                status["readiness"]["ready"] == true,
                "{}",
                status["readiness"]
            );
            Ok(())
        })
    });
}

/// As after a crash of the server's host, or where a firewall has forgotten the connections: neither side hears that they are
/// gone, and a watch says nothing by itself.
#[test]
fn connections_that_die_silently_are_noticed_within_half_a_minute() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        cluster.api.put(&slice("web", &[(1, true)]))?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        let sockets = ["ss", "-Htn", "state", "established", "dport", "=", ":6443"];
        let sockets = node.namespace.run(&sockets)?;
        let ports: Vec<&str> = sockets
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2)?.rsplit(':').next())
            .collect();
        ensure!(
            ports.len() == 1,
            "one connection for all watches: {sockets}"
        );
        let ports = ports.join(", ");
        let rules = format!(
            "table ip silence {{\n\
             chain in {{ type filter hook input priority 0; tcp sport 6443 tcp dport {{ {ports} }} drop; }}\n\
             chain out {{ type filter hook output priority 0; tcp dport 6443 tcp sport {{ {ports} }} drop; }}\n}}\n"
        );
        node.namespace.run_with_input(&["nft", "-f", "-"], &rules)?;
        cluster.api.put(&service("web", "203.0.113.7", "Cluster"))?;
        // 25 s for the kernel, and a second try; the timeout of a watch comes after five minutes.
        tor.wait_route("203.0.113.7/32", Duration::from_secs(60))?;
        Ok(())
    });
}

/// The kernel of a load balancer acknowledges whatever comes, and answers its keepalives.
#[test]
fn a_load_balancer_that_forwards_nothing_any_more_is_noticed_within_half_a_minute() {
    run(&NEEDS, |lab| {
        let mut cluster = Cluster::on_fake(lab)?;
        let relay = cluster.relay()?;
        let _node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        cluster.api.put(&slice("web", &[(1, true)]))?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        relay.freeze();
        let before = relay.connections();
        cluster.api.put(&service("web", "203.0.113.7", "Cluster"))?;
        // A PING after 10 s, which is to be answered within 15 s.
        tor.wait_route("203.0.113.7/32", Duration::from_secs(60))?;
        ensure!(relay.connections() > before, "another connection");
        Ok(())
    });
}

#[test]
fn an_invalid_object_harms_nobody_and_is_named() {
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
        let speaker = |password: &str| {
            Speaker::new(64500, &v4(TOR))
                .neighbour(Neighbour::new(&v4(1), 64512).passive().password(password))
        };
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
        let failing = || -> Result<Value> {
            let status = node.ask(&["status"])?;
            let watches = status["watches"].as_array().cloned();
            let watches = watches.unwrap_or_default().into_iter();
            Ok(watches.filter(|watch| watch["failing"] == true).collect())
        };
        ensure!(failing()? == json!([{"kind": "Secret", "failing": true}]));
        peer(PASSWORDS)?;
        trouble(&["Secret routelet-system/bgp-passwords", "does not exist"])?;
        cluster.api.put(&secret(PASSWORDS, "one"))?;
        tor.wait_established(&v4(1))?;
        ensure!(failing()? == json!([]));
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

/// How long it takes from the server's event to the router's table, as a distribution: not a test of speed, for machines
/// differ, but it says what was found, and a second would be a fault.
#[test]
fn an_endpoint_that_turns_ready_is_told_at_once() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let _node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        cluster.api.put(&service("web", "203.0.113.7", "Cluster"))?;
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        let mut times = Vec::new();
        for _ in 0..15 {
            cluster.api.put(&slice("web", &[(1, false)]))?;
            tor.wait_no_route("203.0.113.7/32", SOON)?;
            let begin = Instant::now();
            cluster.api.put(&slice("web", &[(1, true)]))?;
            while told_by(&tor, "203.0.113.7/32")?.is_empty() {
                ensure!(begin.elapsed() < SOON, "not told");
                // The question takes a processor from those who work on it.
                std::thread::sleep(Duration::from_millis(10));
            }
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        eprintln!(
            "from the API server to the router's table, as birdc sees it: median {median:?}, {times:?}"
        );
        ensure!(median < Duration::from_secs(1), "{times:?}");
        Ok(())
    });
}

fn state_of(cluster: &Cluster<'_>, n: u8) -> Result<Value> {
    let state = cluster.api.get("RouterState", "", &format!("node-{n}"));
    state.with_context(|| format!("no RouterState node-{n}"))
}
