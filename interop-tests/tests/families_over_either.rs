//! Routes of either family over sessions of either, with FRR: what it sends as next hops is used, and what we send it
//! uses.
//!
//! ```text
//!  10.244.1.1, fd00:244:1::1  node-1 eth0 --- eth0 router (FRR, AS 64502)  198.51.100.1, 2001:db8:100::1
//! ```
//!
//! | session over | IPv4 routes | IPv6 routes |
//! |---|---|---|
//! | IPv4 | next hop IPv4 | next hop IPv6, of a link that has both |
//! | IPv6 | next hop IPv6 (RFC 8950), of a link that has no IPv4 addresses | next hop IPv6 |

mod support;

use anyhow::{Context, Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Kind, Lab, Namespace, Need, Neighbour, Origination, Speaker, Subject, eventually, run,
};
use serde_json::json;
use support::SOON;
use support::node::{Node, node_object, object};

/// What each side announces, and a host of its own in it, by family.
const NODE: [(&str, &str); 2] = [
    ("10.244.1.0/24", "10.244.1.1"),
    ("fd00:244:1::/64", "fd00:244:1::1"),
];
const ROUTER: [(&str, &str); 2] = [
    ("198.51.100.0/24", "198.51.100.1"),
    ("2001:db8:100::/48", "2001:db8:100::1"),
];

#[test]
fn both_families_are_exchanged_over_an_ipv4_session_with_frr() {
    scenario(&[["10.0.0.1/24", "10.0.0.2/24"], ["fd00::1/64", "fd00::2/64"]]);
}

#[test]
fn rfc8950_both_families_are_exchanged_over_an_ipv6_session_with_frr() {
    scenario(&[["fd00::1/64", "fd00::2/64"]]);
}

/// With these addresses on the link, ours and the router's; the session is between the first ones.
fn scenario(addresses: &[[&'static str; 2]]) {
    let needs = [
        Need::Speaker(Kind::Routelet),
        Need::Speaker(Kind::Frr8),
        Need::Program("ping"),
    ];
    run(&needs, |lab| exchange(lab, addresses));
}

fn exchange(lab: &Lab, addresses: &[[&str; 2]]) -> Result<()> {
    let [at, other] = [lab.namespace("node-1")?, lab.namespace("router")?];
    lab.link((&at, "eth0"), (&other, "eth0"))?;
    for [ours, theirs] in addresses {
        at.address("eth0", ours)?;
        other.address("eth0", theirs)?;
    }
    for (side, hosts) in [(&at, NODE), (&other, ROUTER)] {
        for ((_, host), length) in hosts.iter().zip([32, 128]) {
            side.address("lo", &format!("{host}/{length}"))?;
        }
    }
    let host = |address: &str| address.split('/').next().unwrap_or_default().to_owned();
    let [ours, theirs] = addresses[0].map(host);
    let over_ipv6 = ours.contains(':');
    let mut neighbour = Neighbour::new(&ours, 64512).passive();
    if over_ipv6 {
        neighbour.extra = " neighbor {address} capability extended-nexthop\n".to_owned();
    }
    let speaker = Speaker::new(64502, "192.0.2.2").neighbour(neighbour);
    let mut speaker = ROUTER.iter().fold(speaker, |speaker, (network, _)| {
        speaker.originate(Origination::new(network))
    });
    speaker.install = true;
    let router = Subject::start(lab, Kind::Frr8, &other, speaker)?;
    let internal: Vec<String> = addresses.iter().map(|[ours, _]| host(ours)).collect();
    let internal: Vec<&str> = internal.iter().map(String::as_str).collect();
    let peer = json!({"address": theirs, "asn": 64502, "timers": {"connectRetry": "1s"}});
    let config = json!([
        node_object("node-1", &internal, &NODE.map(|(network, _)| network)),
        object("Router", "default", &json!({"routerID": "192.0.2.1"})),
        object("Peer", "router", &peer),
    ]);
    let _node = Node::start(&at, &[("config", config)], &["--http", "off"])?;
    router.wait_established(&ours)?;
    for ((to, sent), hosts) in [(&at, ROUTER), (&other, NODE)]
        .into_iter()
        .zip([NODE, ROUTER])
    {
        for ((network, target), (_, source)) in sent.iter().zip(hosts) {
            // IPv4 has a gateway of IPv4 where the session is over it, and of IPv6 otherwise.
            let by_ipv6 = over_ipv6 || network.contains(':');
            wait_by(to, network, by_ipv6)?;
            eventually(SOON, &format!("{source} reaches {target}"), || {
                let argv = ["ping", "-c", "1", "-W", "1", "-I", source, target];
                to.run(&argv).map(drop)
            })?;
        }
    }
    Ok(())
}

/// Waits until a namespace has one route to a network, by one gateway of this family.
fn wait_by(at: &Namespace, network: &str, by_ipv6: bool) -> Result<()> {
    eventually(SOON, &format!("a route to {network}"), || {
        let found = kernel::routes_to(at, network)?;
        let [route] = &found[..] else {
            anyhow::bail!("{found:?}");
        };
        let [path] = &route.paths[..] else {
            anyhow::bail!("{route:?}");
        };
        let gateway = path.gateway.context("no gateway")?;
        ensure!(gateway.is_ipv6() == by_ipv6, "{route:?}");
        Ok(())
    })
}
