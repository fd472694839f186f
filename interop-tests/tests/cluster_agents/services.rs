//! Services: who is told of an address, and how soon.

use std::time::{Duration, Instant};

use anyhow::ensure;
use interop_tests::{State, always, eventually, run};
use serde_json::{Value, json};

use crate::NEEDS;
use crate::support::SOON;
use crate::support::cluster::{Cluster, pod_cidrs, service, slice, told_by};
use crate::support::segment::v4;

#[test]
fn an_address_is_advertised_while_its_endpoints_are_ready() {
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

/// How long it takes from the server's event to the router's table, as a distribution: not a test of speed, for
/// machines differ, but it says what was found, and a second would be a fault.
#[test]
fn an_address_is_advertised_as_soon_as_an_endpoint_is_ready() {
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
