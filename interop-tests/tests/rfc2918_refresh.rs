//! RFC 2918: policies take effect on what was exchanged before, in both directions, and no session falls for it.

mod support;

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::probe::kernel;
use interop_tests::{
    Community, Kind, Lab, Need, Neighbour, Origination, Speaker, State, Subject, eventually, run,
};
use serde_json::{Value, json};
use support::node::{Node, node_object, object};
use support::{PEER, SOON, SUBJECT};

#[test]
fn rfc2918_policies_take_effect_without_reset_against_bird() {
    run(&needs(Kind::Bird2), |lab| policies(lab, Kind::Bird2));
}

#[test]
fn rfc2918_policies_take_effect_without_reset_against_frr() {
    run(&needs(Kind::Frr8), |lab| policies(lab, Kind::Frr8));
}

#[test]
fn rfc2918_a_soft_reset_exchanges_all_routes_again() {
    run(&needs(Kind::Frr8), |lab| {
        let rig = Rig::start(lab, Kind::Frr8)?;
        rig.router.wait_route("10.244.1.0/24", SOON)?;
        let received = || -> Result<Value> {
            Ok(rig.node.ask(&["peers", "router"])?["messagesReceived"]["update"].clone())
        };
        let before = received()?;
        rig.node.ask_text(&["peer", "reset", "router", "--soft"])?;
        // A request, a begin and an end (RFC 7313) for each of two families; and FRR answers the requests.
        eventually(SOON, "both sides tell all again", || {
            let neighbour = rig.frr_neighbour()?;
            let messages = &neighbour["messageStats"]["routeRefreshRecv"];
            ensure!(messages == &json!(6), "{messages}");
            let now = received()?;
            ensure!(
                now.as_u64() > before.as_u64(),
                "{now} UPDATEs, {before} before"
            );
            Ok(())
        })?;
        rig.check_same_session()
    });
}

#[test]
fn rfc2918_a_route_refresh_is_answered_with_all_routes() {
    run(&needs(Kind::Frr8), |lab| {
        let rig = Rig::start(lab, Kind::Frr8)?;
        rig.router.wait_route("10.244.1.0/24", SOON)?;
        let before = rig.sent_updates()?;
        rig.vtysh(&format!("clear bgp ipv4 unicast {} soft in", SUBJECT[0]))?;
        eventually(SOON, "UPDATEs after the router's request", || {
            let peer = &rig.node.ask(&["peers", "router"])?;
            ensure!(
                peer["messagesReceived"]["routeRefresh"] != json!(0),
                "{peer}"
            );
            let now = rig.sent_updates()?;
            ensure!(now > before, "{now} UPDATEs sent, {before} before");
            Ok(())
        })?;
        rig.router.route("10.244.1.0/24")?;
        rig.check_same_session()
    });
}

/// Each request has a whole table sent: four in a row are followed at once, and all that come after them by one, half a
/// minute later.
#[test]
fn rfc2918_endless_route_refreshes_are_limited() {
    const REQUESTS: u64 = 30;
    run(&needs(Kind::Frr8), |lab| {
        let rig = Rig::start(lab, Kind::Frr8)?;
        rig.router.wait_route("10.244.1.0/24", SOON)?;
        let before = rig.sent_updates()?;
        for _ in 0..REQUESTS {
            rig.vtysh(&format!("clear bgp ipv4 unicast {} soft in", SUBJECT[0]))?;
        }
        let limited = || -> Result<u64> {
            let status = rig.node.ask(&["status"])?;
            Ok(status["refreshesLimited"]["delayed"].as_u64().unwrap_or(0))
        };
        let sent = eventually(SOON, "all requests have come", || {
            let limited = limited()?;
            ensure!(limited >= REQUESTS - 6, "{limited} were delayed");
            Ok(rig.sent_updates()? - before)
        })?;
        // The pod CIDR is in one UPDATE. The loop above may have lasted until one more was due.
        ensure!(
            (1..=6).contains(&sent),
            "{sent} UPDATEs for {REQUESTS} requests"
        );
        eventually(
            Duration::from_secs(50),
            "the one that waits is followed",
            || {
                let now = rig.sent_updates()? - before;
                ensure!(now > sent, "{now} UPDATEs, {sent} before");
                Ok(())
            },
        )?;
        rig.router.route("10.244.1.0/24")?;
        rig.check_same_session()
    });
}

fn needs(kind: Kind) -> [Need; 2] {
    [Need::Speaker(Kind::Routelet), Need::Speaker(kind)]
}

fn policies(lab: &Lab, kind: Kind) -> Result<()> {
    let rig = Rig::start(lab, kind)?;
    for prefix in ["198.51.100.0/24", "198.51.101.0/24"] {
        rig.wait_kernel(prefix, true)?;
    }
    rig.router.wait_route("10.244.1.0/24", SOON)?;

    // Import: one prefix is rejected, and comes back.
    rig.write(&reject("198.51.100.0/24"), &json!([]))?;
    rig.wait_kernel("198.51.100.0/24", false)?;
    rig.wait_kernel("198.51.101.0/24", true)?;
    rig.write(&json!([]), &json!([]))?;
    rig.wait_kernel("198.51.100.0/24", true)?;

    // Export: the pod CIDR is tagged, withheld, and told again.
    let tag = json!([{"action": "Accept", "set": {"addCommunities": ["64512:7"]}}]);
    rig.write(&json!([]), &tag)?;
    eventually(SOON, "the community at the router", || {
        let route = rig.router.route("10.244.1.0/24")?;
        ensure!(
            route.communities == [Community(64512, 7)].into(),
            "{route:?}"
        );
        Ok(())
    })?;
    rig.write(&json!([]), &reject("10.244.1.0/24"))?;
    rig.router.wait_no_route("10.244.1.0/24", SOON)?;
    rig.write(&json!([]), &json!([]))?;
    rig.router.wait_route("10.244.1.0/24", SOON)?;
    rig.check_same_session()
}

fn reject(prefix: &str) -> Value {
    json!([{"match": {"prefixes": [{"cidr": prefix}]}, "action": "Reject"}])
}

/// A node and a router on one link.
struct Rig {
    node: Node,
    router: Subject,
}

impl Rig {
    fn start(lab: &Lab, kind: Kind) -> Result<Self> {
        let (left, right) = lab.pair(("node-1", &["10.0.0.1/24"]), ("router", &["10.0.0.2/24"]))?;
        let mut speaker =
            Speaker::new(64502, "10.0.0.2").neighbour(Neighbour::new(SUBJECT[0], 64512).passive());
        for prefix in ["198.51.100.0/24", "198.51.101.0/24"] {
            speaker = speaker.originate(Origination::new(prefix));
        }
        let router = Subject::start(lab, kind, &right, speaker)?;
        let node = Node::start(
            &left,
            &[
                (
                    "node",
                    node_object("node-1", &["10.0.0.1"], &["10.244.1.0/24"]),
                ),
                ("config", config(&json!([]), &json!([]))),
            ],
            &["--http", "off"],
        )?;
        router.wait_established(SUBJECT[0])?;
        Ok(Self { node, router })
    }

    /// Writes the rules of the two policies.
    fn write(&self, import: &Value, export: &Value) -> Result<()> {
        self.node.write("config", &config(import, export))
    }

    fn wait_kernel(&self, prefix: &str, present: bool) -> Result<()> {
        eventually(SOON, &format!("{prefix} in the kernel: {present}"), || {
            let found = kernel::routes_to(&self.node.namespace, prefix)?;
            ensure!(found.is_empty() != present, "{found:?}");
            Ok(())
        })
    }

    fn sent_updates(&self) -> Result<u64> {
        let peer = self.node.ask(&["peers", "router"])?;
        Ok(peer["messagesSent"]["update"].as_u64().unwrap_or(0))
    }

    fn vtysh(&self, command: &str) -> Result<String> {
        let dir = self.router.namespace().dir().join("frr80");
        let dir = dir.to_string_lossy();
        self.router
            .ask(&["vtysh", "--vty_socket", &dir, "-d", "bgpd", "-c", command])
    }

    fn frr_neighbour(&self) -> Result<Value> {
        let all: Value = serde_json::from_str(&self.vtysh("show bgp neighbors json")?)?;
        Ok(all[SUBJECT[0]].clone())
    }

    /// That both sides still have the first session.
    fn check_same_session(&self) -> Result<()> {
        let peer = self.node.ask(&["peers", "router"])?;
        ensure!(peer["establishedCount"] == json!(1), "{peer}");
        ensure!(peer["state"] == json!("Established"), "{peer}");
        let session = self.router.session(SUBJECT[0])?;
        ensure!(session.state == State::Established, "{session:?}");
        Ok(())
    }
}

fn config(import: &Value, export: &Value) -> Value {
    let peer = json!({
        "address": PEER[0], "asn": 64502, "timers": {"connectRetry": "1s"},
        "import": ["import"], "export": ["export"],
    });
    json!([
        object("Peer", "router", &peer),
        object("RoutePolicy", "import", &json!({"rules": import})),
        object("RoutePolicy", "export", &json!({"rules": export})),
    ])
}
