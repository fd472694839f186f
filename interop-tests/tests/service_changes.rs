//! A hundred Services come, change and go by manifest: no session falls for it, and the routers' tables are right after
//! each step.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{
    Community, Family, Kind, Lab, Need, Neighbour, Speaker, Subject, eventually, run,
};
use serde_json::{Value, json};
use support::SOON;
use support::node::{Node, node_object, object};
use support::service::Service;

/// How many Services there are in the end, and how many of them each step touches.
const SERVICES: usize = 100;
const STEP: usize = 10;

#[test]
fn a_hundred_services_added_changed_and_removed_close_no_session() {
    run(
        &[
            Need::Speaker(Kind::Routelet),
            Need::Speaker(Kind::Bird2),
            Need::Speaker(Kind::Frr8),
        ],
        scenario,
    );
}

fn scenario(lab: &Lab) -> Result<()> {
    let rig = Rig::start(lab)?;
    let mut uptimes = rig.uptimes()?;
    let steps = |from: &'static str| {
        (STEP..=SERVICES)
            .step_by(STEP)
            .map(move |count| (from, count))
    };
    for (phase, count) in steps("come").chain(steps("change")).chain(steps("go")) {
        let objects: Vec<Value> = (0..SERVICES)
            .filter_map(|number| match phase {
                "come" => (number < count).then(|| service(number, "old")),
                "change" => Some(service(number, if number < count { "new" } else { "old" })),
                _ => (number >= count).then(|| service(number, "new")),
            })
            .flatten()
            .collect();
        let expected = match phase {
            "come" => addresses(0..count, "old"),
            "change" => &addresses(0..count, "new") | &addresses(count..SERVICES, "old"),
            _ => addresses(count..SERVICES, "new"),
        };
        rig.node.write("services", &json!(objects))?;
        for router in &rig.routers {
            eventually(
                SOON,
                &format!("{count} Services {phase} at {router}"),
                || {
                    let seen = table(router)?;
                    ensure!(
                        seen == expected,
                        "missing {:?}, too many {:?}",
                        expected.difference(&seen).take(3).collect::<Vec<_>>(),
                        seen.difference(&expected).take(3).collect::<Vec<_>>()
                    );
                    Ok(())
                },
            )?;
        }
        let now = rig.uptimes()?;
        ensure!(
            uptimes
                .iter()
                .zip(&now)
                .all(|(before, after)| after >= before),
            "a session was reset when {count} Services {phase}: up {uptimes:?} before, {now:?} after"
        );
        uptimes = now;
    }
    let peers = rig.node.ask(&["peers"])?;
    for peer in peers.as_array().context("a list of peers")? {
        ensure!(
            peer["establishedCount"] == json!(1),
            "a session was made anew: {peer}"
        );
    }
    Ok(())
}

struct Rig {
    node: Node,
    routers: Vec<Subject>,
}

impl Rig {
    fn start(lab: &Lab) -> Result<Self> {
        let switch = lab.switch("switch")?;
        let namespace = lab.namespace("node-1")?;
        switch.plug(lab, &namespace, "eth0")?;
        namespace.address("eth0", "10.0.0.1/24")?;
        namespace.address("eth0", "fd00::1/64")?;
        let mut routers = Vec::new();
        let mut config = vec![
            object("Router", "default", &json!({"mesh": {"enabled": false}})),
            node_object("node-1", &["10.0.0.1", "fd00::1"], &[]),
            advertisement("old", "64512:1"),
            advertisement("new", "64512:2"),
        ];
        for (number, kind) in [(2, Kind::Bird2), (3, Kind::Frr8)] {
            let at = lab.namespace(&format!("router-{number}"))?;
            switch.plug(lab, &at, "eth0")?;
            at.address("eth0", &format!("10.0.0.{number}/24"))?;
            at.address("eth0", &format!("fd00::{number}/64"))?;
            let asn = 64500 + number;
            let speaker = Speaker::new(asn, &format!("10.0.0.{number}"))
                .neighbour(Neighbour::new("10.0.0.1", 64512).passive());
            routers.push(Subject::start(lab, kind, &at, speaker)?);
            let peer = json!({"address": format!("10.0.0.{number}"), "asn": asn, "timers": {"connectRetry": "1s"}});
            config.push(object("Peer", &format!("router-{number}"), &peer));
        }
        let node = Node::start(&namespace, &[("config", json!(config))], &["--http", "off"])?;
        for router in &routers {
            router.wait_established("10.0.0.1")?;
        }
        Ok(Self { node, routers })
    }

    fn uptimes(&self) -> Result<Vec<Duration>> {
        self.routers
            .iter()
            .map(|router| {
                let session = router.session("10.0.0.1")?;
                session
                    .uptime
                    .with_context(|| format!("{router} is not Established: {session:?}"))
            })
            .collect()
    }
}

fn table(router: &Subject) -> Result<BTreeSet<(String, Community)>> {
    let mut all = BTreeSet::new();
    for family in Family::ALL {
        for route in router.routes(family)? {
            let community = route.communities.first().copied();
            all.insert((
                route.prefix.to_string(),
                community.with_context(|| format!("no community: {route:?}"))?,
            ));
        }
    }
    Ok(all)
}

/// Selects Services by their label `version`, with a community of its own.
fn advertisement(version: &str, community: &str) -> Value {
    object(
        "Advertisement",
        version,
        &json!({
            "services": {"selector": {"matchLabels": {"version": version}}, "addresses": ["LoadBalancer"]},
            "attributes": {"communities": [community]},
        }),
    )
}

fn ip(number: usize) -> [String; 2] {
    [
        format!("203.0.113.{number}"),
        format!("2001:db8:f::{number}"),
    ]
}

fn addresses(numbers: std::ops::Range<usize>, version: &str) -> BTreeSet<(String, Community)> {
    let community = Community(64512, if version == "old" { 1 } else { 2 });
    numbers
        .flat_map(|number| {
            let [v4, v6] = ip(number);
            // The same notation as that of what is read back.
            let v6: ipnet::IpNet = format!("{v6}/128").parse().unwrap_or_default();
            [(format!("{v4}/32"), community), (v6.to_string(), community)]
        })
        .collect()
}

/// A Service and its slices, one per family.
fn service(number: usize, version: &str) -> Vec<Value> {
    let addresses = ip(number);
    let name = format!("service-{number}");
    Service::new(&name, &addresses.each_ref().map(String::as_str))
        .labels(json!({"version": version}))
        .endpoint("elsewhere", &["10.244.9.1", "fd00:244:9::1"])
        .objects()
}
