//! What is advertised without an Advertisement does not vanish because there is one: not for one that selects other
//! nodes, not for a mistyped one.

mod support;

use anyhow::{Result, ensure};
use interop_tests::{eventually, run};
use serde_json::{Value, json};
use support::SOON;
use support::node::object;
use support::rack::{NEEDS, POD_CIDRS, Rack};
use support::service::Service;

/// The address of [`service`].
const ADDRESS: &str = "203.0.113.10/32";

#[test]
fn advertisements_add_to_the_default_until_the_router_disables_it() {
    run(&NEEDS, |lab| {
        let rack = Rack::start(lab)?;
        let all = [POD_CIDRS[0], POD_CIDRS[1], ADDRESS];
        rack.node.write("service", &service())?;
        have(&rack, &all, &[])?;

        let mistyped = json!({"matchLabels": {"rolle": "tor"}});
        for (spec, said) in [
            (
                json!({"nodeSelector": mistyped, "podCIDRs": {}}),
                "selects no Node",
            ),
            (
                json!({"peerSelector": mistyped, "podCIDRs": {}}),
                "selects no Peer",
            ),
            (
                json!({"services": {"selector": mistyped}}),
                "selects no Service",
            ),
        ] {
            rack.node
                .write("advertisement", &object("Advertisement", "first", &spec))?;
            problem(&rack, said)?;
            have(&rack, &all, &[])?;
        }

        // Only the Router takes it away, and it says what that means for a peer.
        rack.node.remove("advertisement")?;
        let router = |enabled: bool| {
            let spec = json!({"defaultAdvertisement": {"enabled": enabled}});
            // Used instead of the rack's, because it comes before it by name.
            object("Router", "chosen", &spec)
        };
        rack.node.write("router", &router(false))?;
        have(&rack, &[], &all)?;
        problem(&rack, "nothing is advertised to it")?;
        let pods = json!({"podCIDRs": {}});
        rack.node
            .write("advertisement", &object("Advertisement", "first", &pods))?;
        have(&rack, &POD_CIDRS, &[ADDRESS])?;
        rack.node.write("router", &router(true))?;
        have(&rack, &all, &[])
    });
}

/// That both routers have `present` and none of `absent`.
fn have(rack: &Rack, present: &[&str], absent: &[&str]) -> Result<()> {
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

/// That the agent has seen what was written, and says so.
fn problem(rack: &Rack, text: &str) -> Result<()> {
    eventually(SOON, text, || {
        let status = rack.node.ask(&["status"])?;
        let problems = status["problems"].to_string();
        ensure!(problems.contains(text), "{problems}");
        Ok(())
    })
}

fn service() -> Value {
    let service = Service::new("web", &["203.0.113.10"]);
    let service = service.endpoint("node-1", &["10.244.1.7"]);
    json!(service.objects())
}
