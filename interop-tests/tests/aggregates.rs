//! Static prefixes and aggregates: what the routers are told, with which attributes, and that the
//! kernel refuses the part of an aggregate that nothing uses.

mod support;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{Community, eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::object;
use support::rack::{NEEDS, PROTOCOL, Rack};
use support::service::Service;

/// The aggregates of the addresses that [`service`] has.
const AGGREGATES: [&str; 2] = ["203.0.113.0/24", "2001:db8:f::/64"];

/// Its addresses, as exact routes.
const EXACT: [&str; 2] = ["203.0.113.10/32", "2001:db8:f::10/128"];

#[test]
fn an_aggregate_is_advertised_while_it_has_a_member_and_unused_addresses_are_refused() {
    run(&NEEDS, |lab| {
        // The default advertises exact routes, whatever an Advertisement makes of them.
        let router = json!({"defaultAdvertisement": {"enabled": false}});
        let rack = Rack::start_with(lab, &router, &[])?;
        rack.node
            .write("advertisement", &aggregating("Aggregated"))?;
        rack.node.write("service", &service(true))?;
        told(&rack, &AGGREGATES, &EXACT)?;
        refused(&rack, &AGGREGATES)?;
        rack.node.write("advertisement", &aggregating("Both"))?;
        told(&rack, &[AGGREGATES, EXACT].concat(), &[])?;
        rack.node.write("advertisement", &aggregating("Exact"))?;
        told(&rack, &EXACT, &AGGREGATES)?;
        refused(&rack, &[])?;
        rack.node
            .write("advertisement", &aggregating("Aggregated"))?;
        told(&rack, &AGGREGATES, &EXACT)?;
        rack.node.write("service", &service(false))?;
        told(&rack, &[], &[AGGREGATES, EXACT].concat())?;
        refused(&rack, &[])
    });
}

#[test]
fn static_prefixes_are_advertised_with_the_attributes_of_their_advertisements() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        let prefixes = ["192.0.2.0/24", "2001:db8:5::/48"];
        let advertisement = |name: &str, attributes: Value| {
            object(
                "Advertisement",
                name,
                &json!({"prefixes": prefixes, "attributes": attributes}),
            )
        };
        // Where two say something of one prefix, communities are united and the lowest MED and longest prepend win.
        rack.node.write(
            "prefixes",
            &json!([
                advertisement(
                    "one",
                    json!({"communities": ["64512:1"], "med": 20, "prepend": 2})
                ),
                advertisement("two", json!({"communities": ["64512:2"], "med": 10})),
            ]),
        )?;
        let communities = BTreeSet::from([Community(64512, 1), Community(64512, 2)]);
        for router in &rack.routers {
            for prefix in prefixes {
                eventually(SOON, &format!("{prefix} at {router}"), || {
                    let route = router.route(prefix)?;
                    ensure!(route.communities == communities, "communities: {route:?}");
                    ensure!(route.med == Some(10), "MED: {route:?}");
                    ensure!(route.as_path == "64512 64512 64512", "AS_PATH: {route:?}");
                    Ok(())
                })?;
            }
        }
        rack.node.remove("prefixes")?;
        told(&rack, &[], &prefixes)
    });
}

/// That both routers have `present` and none of `absent`.
fn told(rack: &Rack, present: &[&str], absent: &[&str]) -> Result<()> {
    for router in &rack.routers {
        for prefix in present {
            router.wait_route(prefix, SOON)?;
        }
        for prefix in absent {
            router.wait_no_route(prefix, SOON)?;
        }
    }
    Ok(())
}

/// That of [`AGGREGATES`] the table that refuses holds exactly these, and the main table none.
fn refused(rack: &Rack, expected: &[&str]) -> Result<()> {
    for prefix in AGGREGATES {
        eventually(SOON, &format!("the kernel's {prefix}"), || {
            let main = kernel::routes_to(&rack.node.namespace, prefix)?;
            ensure!(main.is_empty(), "in the main table: {main:?}");
            let family = if prefix.contains(':') { "-6" } else { "-4" };
            // A table that never had a route is unknown to `ip`.
            let show = ["ip", family, "route", "show", "table", "17900"];
            let text = rack.node.namespace.output(&show, SOON)?.stdout;
            let (kind, protocol) = (
                format!("unreachable {prefix} "),
                format!("proto {PROTOCOL}"),
            );
            let is_there = text
                .lines()
                .any(|line| line.starts_with(&kind) && line.contains(&protocol));
            ensure!(is_there == expected.contains(&prefix), "{text}");
            Ok(())
        })?;
    }
    Ok(())
}

fn aggregating(mode: &str) -> Value {
    object(
        "Advertisement",
        "services",
        &json!({
            "services": {"addresses": ["LoadBalancer"]},
            "aggregate": {"ipv4": 24, "ipv6": 64},
            "mode": mode,
        }),
    )
}

/// A dual-stack Service that every node serves, with an endpoint elsewhere that is ready or not.
fn service(ready: bool) -> Value {
    let service = Service::new("web", &["203.0.113.10", "2001:db8:f::10"]).ready(ready);
    let service = service.endpoint("elsewhere", &["10.244.9.1", "fd00:244:9::1"]);
    json!(service.objects())
}
