//! What happens while the API server cannot be reached, and how soon that is noticed.

use std::time::Duration;

use anyhow::ensure;
use interop_tests::apiserver::Verb;
use interop_tests::probe::tcp;
use interop_tests::{Signal, always, eventually, run};
use serde_json::json;

use crate::NEEDS;
use crate::support::SOON;
use crate::support::cluster::{Cluster, pod_cidrs, service, slice};
use crate::support::segment::v4;

#[test]
fn nothing_is_withdrawn_while_the_api_server_is_unreachable() {
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

/// As after a crash of the server's host, or where a firewall has forgotten the connections: neither side hears that
/// they are gone, and a watch says nothing by itself.
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
fn a_load_balancer_that_stops_forwarding_is_noticed_within_half_a_minute() {
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
