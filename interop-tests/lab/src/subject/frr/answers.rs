//! What `vtysh` answers, in JSON.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::answers::{Route, Session, State, as_path};
use crate::speaker::Family;

pub(super) fn parse_sessions(text: &str) -> Result<Vec<Session>> {
    let all: Value = serde_json::from_str(text).with_context(|| format!("JSON: {text}"))?;
    let mut sessions = Vec::new();
    for (name, peer) in all.as_object().context("an object of neighbours")? {
        // Beside the neighbours there may be members of other kinds, such as the name of a VRF.
        let Ok(neighbour) = name.parse::<IpAddr>() else {
            continue;
        };
        let state: State = peer["bgpState"].as_str().context("bgpState")?.parse()?;
        let established = state == State::Established;
        let negotiated = &peer["neighborCapabilities"]["multiprotocolExtensions"];
        let mut families = Vec::new();
        let mut received = 0;
        for (family, key) in [(Family::Ipv4, "ipv4Unicast"), (Family::Ipv6, "ipv6Unicast")] {
            if established && negotiated[key]["advertisedAndReceived"] == Value::Bool(true) {
                families.push(family);
            }
            received += peer["addressFamilyInfo"][key]["acceptedPrefixCounter"]
                .as_u64()
                .unwrap_or(0);
        }
        sessions.push(Session {
            neighbour,
            asn: peer["remoteAs"]
                .as_u64()
                .and_then(|asn| u32::try_from(asn).ok()),
            state,
            uptime: peer["bgpTimerUpMsec"]
                .as_u64()
                .filter(|_| established)
                .map(Duration::from_millis),
            families,
            received: established.then_some(received),
            last_error: ["lastNotificationReason", "lastResetDueTo"]
                .iter()
                .find_map(|key| peer[key].as_str().map(str::to_owned)),
        });
    }
    Ok(sessions)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    prefix: Option<ipnet::IpNet>,
    #[serde(default)]
    paths: Vec<Path>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Path {
    #[serde(default)]
    aspath: Text,
    origin: Option<String>,
    metric: Option<u32>,
    loc_prf: Option<u32>,
    bestpath: Option<Best>,
    #[serde(default)]
    stale: bool,
    community: Option<List>,
    large_community: Option<List>,
    extended_community: Option<Text>,
    originator_id: Option<IpAddr>,
    cluster_list: Option<Addresses>,
    addpath_rx_id: Option<u32>,
    #[serde(default)]
    nexthops: Vec<NextHop>,
    peer: Option<Peer>,
}

#[derive(Default, Deserialize)]
struct Text {
    #[serde(default)]
    string: String,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    list: Vec<String>,
}

#[derive(Deserialize)]
struct Addresses {
    #[serde(default)]
    list: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Best {
    #[serde(default)]
    overall: bool,
}

#[derive(Deserialize)]
struct NextHop {
    ip: Option<IpAddr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    peer_id: Option<String>,
}

/// Reads the answers of several questions, one JSON document after the other.
pub(super) fn parse_routes(text: &str, routes: &mut Vec<Route>) -> Result<()> {
    for shown in serde_json::Deserializer::from_str(text).into_iter::<Shown>() {
        let shown = shown.with_context(|| format!("JSON: {text}"))?;
        // A prefix that went away between the questions is answered with an empty object.
        let Some(prefix) = shown.prefix else { continue };
        for path in shown.paths {
            let mut route = Route::new(prefix);
            route.best = path.bestpath.is_some_and(|best| best.overall);
            route.from = path.peer.and_then(|peer| peer.peer_id?.parse().ok());
            route.next_hops = path.nexthops.iter().filter_map(|hop| hop.ip).collect();
            route.as_path = match path.aspath.string.as_str() {
                "Local" => String::new(),
                other => as_path(other),
            };
            route.origin = path.origin.map(|origin| origin.parse()).transpose()?;
            route.med = path.metric;
            route.local_pref = path.loc_prf;
            for community in path.community.into_iter().flat_map(|c| c.list) {
                route.communities.insert(community.parse()?);
            }
            for community in path.large_community.into_iter().flat_map(|c| c.list) {
                route.large_communities.insert(community.parse()?);
            }
            if let Some(extended) = path.extended_community {
                route.extended_communities = extended
                    .string
                    .split_whitespace()
                    .map(str::to_ascii_lowercase)
                    .collect();
            }
            route.originator_id = path.originator_id;
            route.cluster_list = path.cluster_list.map(|list| list.list).unwrap_or_default();
            route.path_id = path.addpath_rx_id.filter(|id| *id != 0);
            route.stale = path.stale;
            routes.push(route);
        }
    }
    Ok(())
}
