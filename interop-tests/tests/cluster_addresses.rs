//! What becomes of addresses when pools go, when another controller writes them too, and what Services say about it.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{Kind, Need, always, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::cluster::{Cluster, request};
use support::node::object;

const NEEDS: [Need; 1] = [Need::Speaker(Kind::Routelet)];

fn pool(name: &str, spec: &Value) -> Value {
    object("AddressPool", name, spec)
}

fn wait_addresses(cluster: &Cluster<'_>, service: &str, expected: &[&str]) -> Result<()> {
    eventually(SOON, &format!("the addresses of {service}"), || {
        let found = cluster.addresses_of(service);
        ensure!(found == expected, "{found:?}, not {expected:?}");
        Ok(())
    })
}

/// Waits until a Service says this of its addresses; returns the message.
fn wait_said(cluster: &Cluster<'_>, name: &str, expected: (&str, &str)) -> Result<String> {
    eventually(SOON, &format!("what Service {name} says"), || {
        let service = cluster.api.get("Service", "shop", name);
        let service = service.context("no such Service")?;
        let conditions = service["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let found = conditions.find(|found| found["type"] == "routelet.dev/AddressAssigned");
        let found = found.with_context(|| service["status"].to_string())?;
        let [status, reason] =
            ["status", "reason"].map(|field| found[field].as_str().unwrap_or_default());
        ensure!((status, reason) == expected, "{found}");
        Ok(found["message"].as_str().unwrap_or_default().to_owned())
    })
}

#[test]
fn a_service_keeps_the_address_of_a_deleted_pool_and_says_so() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let _controller = cluster.controller(1)?;
        let node = cluster.node(1)?;
        let public = pool("public", &json!({"addresses": ["203.0.113.0/30"]}));
        cluster.api.put(&public)?;
        cluster.api.put(&request("web", &json!({}), &json!({})))?;
        wait_addresses(&cluster, "web", &["203.0.113.0"])?;
        let text = wait_said(&cluster, "web", ("True", "Assigned"))?;
        ensure!(text == "203.0.113.0 of AddressPool public", "{text}");
        cluster.api.delete("AddressPool", "", "public")?;
        let text = wait_said(&cluster, "web", ("True", "AddressPoolDeleted"))?;
        ensure!(text.contains("AddressPool public does not exist"), "{text}");
        eventually(SOON, "the Event", || {
            let notes = cluster.notes("AddressPoolDeleted", "Service", "web");
            ensure!(notes.len() == 1 && notes[0].contains("public"), "{notes:?}");
            Ok(())
        })?;
        // Another pool is used for others.
        let spare = pool("spare", &json!({"addresses": ["198.51.100.0/30"]}));
        cluster.api.put(&spare)?;
        cluster.api.put(&request("new", &json!({}), &json!({})))?;
        wait_addresses(&cluster, "new", &["198.51.100.0"])?;
        always(Duration::from_secs(1), "it keeps its address", || {
            ensure!(cluster.addresses_of("web") == ["203.0.113.0"]);
            Ok(())
        })?;
        eventually(SOON, "what the agent says", || {
            let text = node.ask_text(&["explain", "service", "shop/web"])?;
            let expected =
                "addresses assigned: AddressPool public; AddressPool public does not exist";
            ensure!(text.contains(expected), "{text}");
            Ok(())
        })?;
        // Who asks for another pool moves.
        cluster.api.change("Service", "shop", "web", |service| {
            service["metadata"]["annotations"] = json!({"routelet.dev/address-pool": "spare"});
        })?;
        wait_addresses(&cluster, "web", &["198.51.100.1"])?;
        let text = wait_said(&cluster, "web", ("True", "Assigned"))?;
        let expected =
            "198.51.100.1 of AddressPool spare; pool requested by routelet.dev/address-pool";
        ensure!(text == expected, "{text}");
        Ok(())
    });
}

#[test]
fn a_service_that_waits_says_why_and_tenants_stay_within_their_limits() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let _controller = cluster.controller(1)?;
        let node = cluster.node(1)?;
        let spec = json!({
            "addresses": ["203.0.113.0/30"], "maxPerNamespace": 2, "allowRequests": false,
        });
        cluster.api.put(&pool("public", &spec))?;
        let dual = json!({"ipFamilyPolicy": "PreferDualStack"});
        cluster.api.put(&request("one", &json!({}), &dual))?;
        wait_addresses(&cluster, "one", &["203.0.113.0"])?;
        // A cluster with one family leaves nothing to wait for; one with two has one of them.
        eventually(SOON, "one is not waiting", || {
            let service = cluster.api.get("Service", "shop", "one").context("gone")?;
            let conditions = &service["status"]["conditions"];
            ensure!(conditions[0]["status"] == "True", "{conditions}");
            Ok(())
        })?;
        ensure!(
            cluster
                .notes("AddressNotAssigned", "Service", "one")
                .is_empty()
        );
        cluster.api.put(&request("two", &json!({}), &json!({})))?;
        wait_addresses(&cluster, "two", &["203.0.113.1"])?;
        cluster.api.put(&request("three", &json!({}), &json!({})))?;
        let text = wait_said(&cluster, "three", ("False", "NoPool"))?;
        ensure!(text.contains("maxPerNamespace"), "{text}");
        let asks = json!({"routelet.dev/addresses": "203.0.113.3"});
        cluster.api.put(&request("asks", &asks, &json!({})))?;
        let text = wait_said(&cluster, "asks", ("False", "NotForIt"))?;
        ensure!(
            text.contains("203.0.113.3") && text.contains("allowRequests"),
            "{text}"
        );
        eventually(SOON, "what the agent says", || {
            let found = node.ask(&["explain", "service", "shop/asks"])?;
            let found = &found["assignment"];
            let is_same = found["text"]
                .as_str()
                .is_some_and(|all| all.starts_with(&text));
            ensure!(found["assigned"] == false && is_same, "{found}");
            Ok(())
        })?;
        eventually(SOON, "what the pool says", || {
            let pool = cluster
                .api
                .get("AddressPool", "", "public")
                .context("no pool")?;
            let conditions = pool["status"]["conditions"].as_array();
            let mut conditions = conditions.into_iter().flatten();
            let found = conditions.find(|found| found["type"] == "RequestsRefused");
            let found = found.context("no condition")?;
            let message = found["message"].as_str().unwrap_or_default();
            ensure!(
                found["status"] == "True" && message.starts_with("shop/asks: "),
                "{found}"
            );
            Ok(())
        })
    });
}

#[test]
fn a_status_that_another_controller_writes_is_left_alone_after_two_writes() {
    run(&NEEDS, |lab| {
        let cluster = Cluster::start(lab)?;
        let _controller = cluster.controller(1)?;
        let spec = json!({"addresses": ["203.0.113.0/30"]});
        cluster.api.put(&pool("public", &spec))?;
        let theirs = "198.51.100.7";
        let (writes, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        // It writes its own address whenever another stands there, and leaves conditions alone.
        let fight = || {
            while !is_over.load(Ordering::Relaxed) {
                if cluster.addresses_of("web") != [theirs] {
                    let written = cluster.api.change("Service", "shop", "web", |service| {
                        service["status"]["loadBalancer"]["ingress"] =
                            json!([{"ip": theirs, "ipMode": "VIP"}]);
                    });
                    writes.fetch_add(usize::from(written.is_ok()), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let watch = || {
            let text = wait_said(&cluster, "web", ("False", "WrittenByAnother"))?;
            ensure!(
                text.contains(theirs) && text.contains("loadBalancerClass"),
                "{text}"
            );
            let seen = writes.load(Ordering::Relaxed);
            ensure!(
                (2..=4).contains(&seen),
                "{seen} writes of the other controller"
            );
            always(Duration::from_secs(3), "it is left alone", || {
                let now = writes.load(Ordering::Relaxed);
                ensure!(
                    now == seen,
                    "{now} writes of the other controller, after {seen}"
                );
                Ok(())
            })?;
            eventually(SOON, "the Event", || {
                let notes = cluster.notes("AddressWrittenByAnother", "Service", "web");
                ensure!(notes.len() == 1, "{notes:?}");
                Ok(())
            })
        };
        cluster.api.put(&request("web", &json!({}), &json!({})))?;
        std::thread::scope(|scope| {
            scope.spawn(fight);
            let found = watch();
            is_over.store(true, Ordering::Relaxed);
            found
        })?;
        // The other one is gone, and the Service changes.
        cluster.api.change("Service", "shop", "web", |service| {
            service["metadata"]["labels"] = json!({"other": "gone"});
        })?;
        wait_addresses(&cluster, "web", &["203.0.113.0"])?;
        wait_said(&cluster, "web", ("True", "Assigned"))?;
        Ok(())
    });
}
