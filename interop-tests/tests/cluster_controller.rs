//! The controller on an API server: addresses for Services, what it says of objects, and who of several replicas works.
//!
//! It has the account and the roles of `deploy`, and nothing else.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{Kind, Need, Signal, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{
    Cluster, NAMESPACE, TOR, TOR_ASN, pod_cidrs, request, service, slice, told_by,
};
use support::node::object;
use support::segment::v4;

const NEEDS: [Need; 1] = [Need::Speaker(Kind::Routelet)];
const WITH_ROUTER: [Need; 2] = [Need::Speaker(Kind::Routelet), Need::Speaker(Kind::Bird2)];

fn pool(name: &str, addresses: &[&str]) -> Value {
    object("AddressPool", name, &json!({"addresses": addresses}))
}

/// Waits until a Service has these addresses.
fn wait_addresses(cluster: &Cluster<'_>, service: &str, expected: &[&str]) -> Result<()> {
    eventually(SOON, &format!("the addresses of {service}"), || {
        let found = cluster.addresses_of(service);
        ensure!(found == expected, "{found:?}, not {expected:?}");
        Ok(())
    })
}

/// Waits until so many of the four addresses of each family of a pool are assigned.
fn wait_usage(cluster: &Cluster<'_>, pool: &str, assigned: u32) -> Result<()> {
    let expected = json!({"total": 4, "assigned": assigned, "available": 4 - assigned});
    eventually(SOON, &format!("{assigned} assigned of {pool}"), || {
        let pool = cluster.api.get("AddressPool", "", pool);
        let status = pool.context("no pool")?["status"].clone();
        ensure!(status["ipv4"] == expected, "{status}");
        ensure!(status["ipv6"] == expected, "{status}");
        Ok(())
    })
}

/// Waits until a condition of an object has a status and a reason; returns its message.
fn wait_condition(
    cluster: &Cluster<'_>,
    (kind, name): (&str, &str),
    condition: &str,
    (status, reason): (&str, &str),
) -> Result<String> {
    eventually(SOON, &format!("{condition} of {kind} {name}"), || {
        let object = cluster.api.get(kind, "", name).context("no such object")?;
        let all = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = all.into_iter().find(|found| found["type"] == condition);
        let found = found.with_context(|| object.to_string())?;
        ensure!(
            found["status"] == status && found["reason"] == reason,
            "{found}"
        );
        ensure!(
            found["observedGeneration"] == object["metadata"]["generation"],
            "{object}"
        );
        Ok(found["message"].as_str().unwrap_or_default().to_owned())
    })
}

#[test]
fn an_address_assigned_to_a_service_reaches_the_router() {
    run(&WITH_ROUTER, |lab| {
        let cluster = Cluster::start(lab)?;
        let _controller = cluster.controller(1)?;
        let _node = cluster.node(1)?;
        let tor = cluster.tor(1)?;
        cluster.peer_with_tor(&json!({}))?;
        cluster
            .api
            .put(&pool("public", &["203.0.113.0/30", "2001:db8:f::/126"]))?;
        let dual = json!({"ipFamilyPolicy": "PreferDualStack"});
        cluster.api.put(&request("web", &json!({}), &dual))?;
        wait_addresses(&cluster, "web", &["203.0.113.0", "2001:db8:f::"])?;
        // An address is told when there is somebody behind it, per family.
        tor.wait_route(&pod_cidrs(1)[0], SOON)?;
        // When what came later is told, that was seen.
        cluster.api.put(&request("later", &json!({}), &json!({})))?;
        cluster.api.put(&slice("later", &[(1, true)]))?;
        tor.wait_route("203.0.113.1/32", SOON)?;
        always(Duration::from_millis(500), "no endpoint, no route", || {
            ensure!(told_by(&tor, "203.0.113.0/32")?.is_empty());
            Ok(())
        })?;
        cluster.api.delete("Service", "shop", "later")?;
        tor.wait_no_route("203.0.113.1/32", SOON)?;
        cluster.api.put(&slice("web", &[(1, true)]))?;
        tor.wait_route("203.0.113.0/32", SOON)?;
        let other = told_by(&tor, "2001:db8:f::/128")?;
        ensure!(other.is_empty(), "no IPv6 endpoint: {other:?}");
        wait_usage(&cluster, "public", 1)?;
        eventually(SOON, "the Event", || {
            let notes = cluster.notes("AddressAssigned", "Service", "web");
            let expected = "203.0.113.0 of AddressPool public, 2001:db8:f:: of AddressPool public";
            ensure!(notes == [expected], "{notes:?}");
            Ok(())
        })?;
        // It turns into another type: the address goes, and the route with it.
        cluster.api.change("Service", "shop", "web", |service| {
            service["spec"]["type"] = json!("ClusterIP");
        })?;
        wait_addresses(&cluster, "web", &[])?;
        tor.wait_no_route("203.0.113.0/32", SOON)?;
        wait_usage(&cluster, "public", 0)?;
        wait_condition(
            &cluster,
            ("Peer", "tor"),
            "Established",
            ("True", "Established"),
        )?;
        // Nothing is written while nothing happens.
        let kinds = ["Service", "AddressPool", "Peer"];
        let before = cluster.versions(&kinds);
        ensure!(before.len() > 2, "{before:?}");
        std::thread::sleep(Duration::from_secs(3));
        let after = cluster.versions(&kinds);
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    });
}

#[test]
fn addresses_are_adopted_requested_shared_and_left_to_others() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        // There before the controller: one with an address, one of another class with an address of the pool.
        cluster.api.put(&service("old", "203.0.113.2", "Cluster"))?;
        let foreign = json!({"loadBalancerClass": "example.com/other"});
        cluster.api.put(&request("foreign", &json!({}), &foreign))?;
        cluster
            .api
            .put(&pool("public", &["203.0.113.1-203.0.113.3"]))?;
        cluster.api.put(&request("new", &json!({}), &json!({})))?;
        let controller = cluster.controller(1)?;
        wait_addresses(&cluster, "new", &["203.0.113.1"])?;
        wait_addresses(&cluster, "old", &["203.0.113.2"])?;
        // As MetalLB's users ask; two Services of different ports share what both ask for.
        let asks = json!({
            "metallb.universe.tf/loadBalancerIPs": "203.0.113.3",
            "metallb.universe.tf/allow-shared-ip": "dns",
        });
        let port = |protocol| json!({"ports": [{"port": 53, "protocol": protocol}]});
        cluster.api.put(&request("dns-udp", &asks, &port("UDP")))?;
        cluster.api.put(&request("dns-tcp", &asks, &port("TCP")))?;
        wait_addresses(&cluster, "dns-udp", &["203.0.113.3"])?;
        wait_addresses(&cluster, "dns-tcp", &["203.0.113.3"])?;
        // The next one finds none, and is told so; when one is free it gets it without being asked again.
        cluster.api.put(&request("late", &json!({}), &json!({})))?;
        eventually(SOON, "the Event", || {
            let notes = cluster.notes("AddressNotAssigned", "Service", "late");
            ensure!(
                notes.len() == 1 && notes[0].contains("AddressPool public"),
                "{notes:?}"
            );
            Ok(())
        })?;
        let text = wait_condition(
            &cluster,
            ("AddressPool", "public"),
            "Exhausted",
            ("True", "NoAddressFree"),
        )?;
        ensure!(text.contains("shop/late"), "{text}");
        cluster.api.delete("Service", "shop", "old")?;
        wait_addresses(&cluster, "late", &["203.0.113.2"])?;
        wait_condition(
            &cluster,
            ("AddressPool", "public"),
            "Exhausted",
            ("False", "AddressesFree"),
        )?;
        ensure!(cluster.addresses_of("foreign").is_empty());
        // Started again, it changes nothing.
        let everybody =
            ["new", "dns-udp", "dns-tcp", "late"].map(|name| cluster.addresses_of(name));
        controller.signal(Signal::SIGKILL)?;
        controller.wait(SOON)?;
        let before = cluster.versions(&["Service"]);
        let _again = cluster.controller(2)?;
        cluster.api.put(&pool("more", &["198.51.100.1/32"]))?;
        cluster.api.put(&request("last", &json!({}), &json!({})))?;
        eventually(Duration::from_secs(40), "the new replica works", || {
            ensure!(cluster.addresses_of("last") == ["198.51.100.1"]);
            Ok(())
        })?;
        let still = ["new", "dns-udp", "dns-tcp", "late"].map(|name| cluster.addresses_of(name));
        ensure!(everybody == still, "{everybody:?} became {still:?}");
        let mut after = cluster.versions(&["Service"]);
        after.retain(|(name, _)| name != "last");
        ensure!(before == after, "{before:?} became {after:?}");
        Ok(())
    });
}

#[test]
fn one_replica_is_active_and_another_takes_over() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::on_fake(lab)?;
        let first = cluster.controller(1)?;
        let holder = |expected: &str| {
            let lease = cluster.api.get("Lease", NAMESPACE, "routelet-controller");
            let lease = lease.context("no Lease")?;
            ensure!(lease["spec"]["holderIdentity"] == expected, "{lease}");
            Ok(())
        };
        eventually(SOON, "the first holds the Lease", || holder("controller-1"))?;
        let second = cluster.controller(2)?;
        cluster.api.put(&pool("public", &["203.0.113.0/24"]))?;
        cluster.api.put(&request("one", &json!({}), &json!({})))?;
        wait_addresses(&cluster, "one", &["203.0.113.0"])?;
        always(Duration::from_secs(3), "the second stands by", || {
            holder("controller-1")
        })?;
        // Told to end, it gives the Lease up: nobody waits for its end.
        first.signal(Signal::SIGTERM)?;
        first.wait(SOON)?;
        eventually(Duration::from_secs(8), "the second takes over", || {
            holder("controller-2")
        })?;
        cluster.api.put(&request("two", &json!({}), &json!({})))?;
        wait_addresses(&cluster, "two", &["203.0.113.1"])?;
        // Without an API server it stops working and goes on when there is one.
        cluster.fake()?.stop();
        eventually(Duration::from_secs(30), "the second gives up", || {
            ensure!(second.log_text().contains("no longer active"));
            second.check_alive()
        })?;
        cluster.fake()?.resume()?;
        cluster.api.put(&request("three", &json!({}), &json!({})))?;
        eventually(Duration::from_secs(40), "the second works again", || {
            ensure!(cluster.addresses_of("three") == ["203.0.113.2"]);
            Ok(())
        })
    });
}

#[test]
fn conditions_and_events_report_the_status_of_objects() {
    run(&WITH_ROUTER, |lab| {
        let cluster = Cluster::start(lab)?;
        let _controller = cluster.controller(1)?;
        let _node = cluster.node(1)?;
        let mut tor = cluster.tor(1)?;
        let peer = ("Peer", "tor");
        cluster.peer_with_tor(&json!({"import": ["no-such"]}))?;
        let text = wait_condition(&cluster, peer, "Accepted", ("False", "ReferenceNotFound"))?;
        ensure!(text.contains("no-such"), "{text}");
        cluster.peer_with_tor(&json!({}))?;
        wait_condition(&cluster, peer, "Accepted", ("True", "Valid"))?;
        wait_condition(&cluster, peer, "Established", ("True", "Established"))?;
        tor.kill()?;
        let text = wait_condition(&cluster, peer, "Established", ("False", "SessionsDown"))?;
        ensure!(text.starts_with("1 of 1: node-1: 10.0.0.200 is "), "{text}");
        eventually(SOON, "the Event", || {
            let notes = cluster.notes("SessionLost", "Peer", "tor");
            ensure!(
                notes.len() == 1 && notes[0].starts_with("node-1: "),
                "{notes:?}"
            );
            Ok(())
        })?;
        let found = cluster.api.get("Peer", "", "tor").context("no Peer")?;
        ensure!(
            found["status"]["sessions"] == 1 && found["status"]["established"] == 0,
            "{found}"
        );
        tor.launch()?;
        wait_condition(&cluster, peer, "Established", ("True", "Established"))?;
        // What the API server cannot see and the controller can; of two pools the older keeps what both claim.
        cluster.peer_with_tor(&json!({"attributeFilter": {"discard": ["Origin"]}}))?;
        let text = wait_condition(&cluster, peer, "Accepted", ("False", "Invalid"))?;
        ensure!(
            text.contains("spec.attributeFilter") && text.contains("last good version"),
            "{text}"
        );
        cluster.api.put(&pool("older", &["203.0.113.0/24"]))?;
        wait_condition(
            &cluster,
            ("AddressPool", "older"),
            "Accepted",
            ("True", "Valid"),
        )?;
        std::thread::sleep(Duration::from_secs(1));
        cluster
            .api
            .put(&pool("younger", &["203.0.113.128/25", "198.51.100.0/30"]))?;
        let younger = ("AddressPool", "younger");
        let text = wait_condition(&cluster, younger, "Accepted", ("True", "Overlaps"))?;
        ensure!(text.contains("AddressPool older"), "{text}");
        let found = cluster
            .api
            .get("AddressPool", "", "younger")
            .context("no pool")?;
        ensure!(found["status"]["ipv4"]["total"] == 4, "{found}");
        Ok(())
    });
}

#[test]
fn a_peer_that_duplicates_another_says_so_until_it_does_not() {
    run(&WITH_ROUTER, |lab| {
        let cluster = Cluster::start(lab)?;
        let _controller = cluster.controller(1)?;
        let nodes = [cluster.node(1)?, cluster.node(2)?];
        let tor = cluster.tor(2)?;
        cluster.peer_with_tor(&json!({}))?;
        let twin = |address: &str, node: u8| {
            let name = json!({"kubernetes.io/hostname": format!("node-{node}")});
            let spec = json!({
                "address": address, "asn": TOR_ASN, "nodeSelector": {"matchLabels": name},
            });
            object("Peer", "twin", &spec)
        };
        // An address is the same however it is written.
        let written = format!("::ffff:{}", v4(TOR));
        cluster.api.change("Node", "", "node-2", |node| {
            node["metadata"]["labels"] = json!({"kubernetes.io/hostname": "node-2"});
        })?;
        cluster.api.put(&twin(&written, 2))?;
        let duplicate = ("False", "Duplicate");
        let text = wait_condition(&cluster, ("Peer", "twin"), "Accepted", duplicate)?;
        let expected = format!(
            "not used on node node-2: duplicates Peer tor, which is used for address {}",
            v4(TOR)
        );
        ensure!(text.starts_with(&expected), "{text}");
        let instead = ("True", "HasDuplicates");
        let text = wait_condition(&cluster, ("Peer", "tor"), "Accepted", instead)?;
        ensure!(text == "used instead of Peer twin on node node-2", "{text}");
        // The session is that of the other.
        tor.wait_route(&pod_cidrs(2)[0], SOON)?;
        let peers = nodes[1].ask(&["peers"])?.to_string();
        ensure!(
            peers.contains("Peer tor") && !peers.contains("Peer twin"),
            "{peers}"
        );

        // Another address ends it at both.
        cluster.api.put(&twin(&v4(TOR + 1), 2))?;
        for name in ["twin", "tor"] {
            wait_condition(&cluster, ("Peer", name), "Accepted", ("True", "Valid"))?;
        }
        // So does the end of the one that was used: the other takes over.
        cluster.api.put(&twin(&written, 2))?;
        wait_condition(&cluster, ("Peer", "twin"), "Accepted", duplicate)?;
        cluster.api.delete("Peer", "", "tor")?;
        wait_condition(&cluster, ("Peer", "twin"), "Accepted", ("True", "Valid"))?;
        wait_condition(
            &cluster,
            ("Peer", "twin"),
            "Established",
            ("True", "Established"),
        )?;
        tor.wait_no_route(&pod_cidrs(1)[0], SOON)
    });
}
