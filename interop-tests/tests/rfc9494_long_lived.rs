//! RFC 9494: a router asks that its routes be kept for hours after its restart time, and the node keeps them as long as
//! its operator allows.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::{Kind, Lab, Need, Neighbour, Origination, Speaker, Subject, eventually, run};
use serde_json::json;
use support::SOON;
use support::node::{Node, node_object, object};
use support::segment::{Segment, v4};

const PREFIX: &str = "198.51.100.0/24";
const LLGR_STALE: &str = "llgr-stale";

#[test]
fn long_lived_stale_routes_are_kept_as_long_as_the_operator_allows() {
    let needs = [Kind::Routelet, Kind::Bird2].map(Need::Speaker);
    run(&needs, scenario);
}

fn scenario(lab: &Lab) -> Result<()> {
    let segment = Segment::new(lab)?;
    let asks = "  long lived graceful restart on; long lived stale time 3600;\n";
    let neighbour = Neighbour::new(&v4(1), 64512)
        .passive()
        .graceful_restart(Duration::from_secs(2))
        .extra(asks);
    let router = Speaker::new(64500, &v4(2))
        .neighbour(neighbour)
        .originate(Origination::new(PREFIX));
    let mut router = Subject::start(lab, Kind::Bird2, &segment.host("router", 2)?, router)?;
    let config = |most: &str| {
        let restart = json!({"longLivedStaleTime": "1h", "maxLongLivedStaleTime": most});
        let peer = json!({"address": v4(2), "asn": 64500, "timers": {"connectRetry": "1s"}});
        json!([
            object(
                "Router",
                "default",
                &json!({"mesh": {"enabled": false}, "gracefulRestart": restart})
            ),
            node_object("node-1", &[&v4(1)], &["10.244.1.0/24"]),
            object("Peer", "router", &peer),
        ])
    };
    let namespace = segment.host("node-1", 1)?;
    let node = Node::start(&namespace, &[("config", config("30m"))], &["--http", "off"])?;
    let path = || {
        let all = node.ask(&["routes", "best", "--prefix", PREFIX])?;
        Ok::<_, anyhow::Error>(all.as_array().context("a list")?.first().cloned())
    };
    let kept = |seconds: u64| {
        let peer = node.ask(&["peers", "router"])?;
        let shown = &peer["gracefulRestart"];
        let [asked, kept] = ["longLivedSeconds", "longLivedKeptSeconds"].map(|f| &shown[f]);
        ensure!(*asked == json!(3600) && *kept == json!(seconds), "{peer}");
        Ok(())
    };
    eventually(SOON, "the route", || path()?.context("no route"))?;
    eventually(SOON, "30 of 60 minutes", || kept(1800))?;

    router.kill()?;
    eventually(SOON, "the route is long-lived stale", || {
        let path = path()?.context("the route went")?;
        let marks = path["communities"].as_array().context("no communities")?;
        ensure!(marks.contains(&json!(LLGR_STALE)), "{path}");
        Ok(())
    })?;
    // Another limit counts for what is stale already.
    node.write("config", &config("1s"))?;
    eventually(SOON, "the route goes", || {
        let path = path()?;
        ensure!(path.is_none(), "{path:?}");
        Ok(())
    })
}
