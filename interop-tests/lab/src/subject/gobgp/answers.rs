//! What `gobgp -j` answers.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::answers::{Community, LargeCommunity, Origin, Route, Session, State, as_path};
use crate::speaker::Family;

pub(super) fn parse_sessions(text: &str, now: Duration) -> Result<Vec<Session>> {
    let all: Value = serde_json::from_str(text).with_context(|| format!("JSON: {text}"))?;
    let mut sessions = Vec::new();
    for peer in all.as_array().context("an array of neighbours")? {
        let state = match peer["state"]["session_state"].as_u64().unwrap_or(0) {
            0 | 1 => State::Idle,
            2 => State::Connect,
            3 => State::Active,
            4 => State::OpenSent,
            5 => State::OpenConfirm,
            6 => State::Established,
            other => bail!("session_state {other} is none of GoBGP's"),
        };
        let established = state == State::Established;
        let address = peer["conf"]["neighbor_address"]
            .as_str()
            .context("neighbor_address")?;
        let mut families = Vec::new();
        let mut received = 0;
        for one in peer["afi_safis"].as_array().into_iter().flatten() {
            received += one["state"]["accepted"].as_u64().unwrap_or(0);
            let family = match one["state"]["family"]["afi"].as_u64() {
                Some(1) => Family::Ipv4,
                Some(2) => Family::Ipv6,
                _ => continue,
            };
            // What it shows as enabled is configured; negotiated is what the neighbour announced too.
            if established && announced(&peer["state"]["remote_cap"], family) {
                families.push(family);
            }
        }
        let since = peer["timers"]["state"]["uptime"]["seconds"].as_u64();
        sessions.push(Session {
            neighbour: address.parse()?,
            asn: peer["conf"]["peer_asn"]
                .as_u64()
                .and_then(|asn| u32::try_from(asn).ok()),
            state,
            uptime: since
                .filter(|_| established)
                .map(|since| now.saturating_sub(Duration::from_secs(since))),
            families,
            received: established.then_some(received),
            last_error: None,
        });
    }
    Ok(sessions)
}

/// Whether the capabilities hold multiprotocol for the family: its message is the same few bytes each time, shown in
/// base64. A neighbour without any such capability speaks IPv4 unicast (RFC 4760 section 8).
fn announced(capabilities: &Value, family: Family) -> bool {
    let values: Vec<&str> = capabilities
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| {
            one["type_url"]
                .as_str()
                .is_some_and(|url| url.ends_with(".MultiProtocolCapability"))
        })
        .filter_map(|one| one["value"].as_str())
        .collect();
    let wanted = match family {
        Family::Ipv4 => "CgQIARAB",
        Family::Ipv6 => "CgQIAhAB",
    };
    values.contains(&wanted) || (values.is_empty() && family == Family::Ipv4)
}

pub(super) fn parse_routes(text: &str) -> Result<Vec<Route>> {
    // An empty table is no JSON at all, or `null`, or `{}`, by version.
    if !text.trim_start().starts_with('{') {
        return Ok(Vec::new());
    }
    let all: Map<String, Value> =
        serde_json::from_str(text).with_context(|| format!("JSON: {text}"))?;
    let mut routes = Vec::new();
    for (prefix, paths) in &all {
        for path in paths.as_array().into_iter().flatten() {
            let mut route = Route::new(prefix.parse()?);
            route.best = path["best"] == Value::Bool(true);
            route.stale = path["stale"] == Value::Bool(true);
            route.from = path["neighbor-ip"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .filter(|address: &IpAddr| !address.is_unspecified());
            route.path_id = path["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            for attribute in path["attrs"].as_array().into_iter().flatten() {
                read_attribute(&mut route, attribute).with_context(|| attribute.to_string())?;
            }
            routes.push(route);
        }
    }
    Ok(routes)
}

fn read_attribute(route: &mut Route, attribute: &Value) -> Result<()> {
    let value = &attribute["value"];
    let number =
        |value: &Value| -> Result<u32> { Ok(u32::try_from(value.as_u64().context("a number")?)?) };
    let address =
        |value: &Value| -> Result<IpAddr> { Ok(value.as_str().context("an address")?.parse()?) };
    match attribute["type"].as_u64().context("an attribute's type")? {
        1 => {
            route.origin = Some(match value.as_u64() {
                Some(0) => Origin::Igp,
                Some(1) => Origin::Egp,
                _ => Origin::Incomplete,
            });
        }
        2 => route.as_path = as_path(&segments(&attribute["as_paths"])),
        3 | 14 => route.next_hops = vec![address(&attribute["nexthop"])?],
        4 => route.med = Some(number(&attribute["metric"]).or_else(|_| number(value))?),
        5 => route.local_pref = Some(number(value)?),
        8 => {
            for one in attribute["communities"].as_array().into_iter().flatten() {
                let one = number(one)?;
                route
                    .communities
                    .insert(Community((one >> 16) as u16, (one & 0xffff) as u16));
            }
        }
        9 => route.originator_id = Some(address(value)?),
        10 => {
            route.cluster_list = value
                .as_array()
                .into_iter()
                .flatten()
                .map(address)
                .collect::<Result<_>>()?;
        }
        16 => {
            for one in value.as_array().into_iter().flatten() {
                let shown = one["value"]
                    .as_str()
                    .map_or_else(|| one.to_string(), str::to_owned);
                let kind = match (one["type"].as_u64(), one["subtype"].as_u64()) {
                    (Some(0..=2), Some(2)) => "rt:",
                    (Some(0..=2), Some(3)) => "soo:",
                    _ => "",
                };
                route.extended_communities.insert(format!("{kind}{shown}"));
            }
        }
        32 => {
            for one in value.as_array().into_iter().flatten() {
                route.large_communities.insert(LargeCommunity(
                    number(&one["ASN"])?,
                    number(&one["LocalData1"])?,
                    number(&one["LocalData2"])?,
                ));
            }
        }
        _ => {}
    }
    Ok(())
}

fn segments(segments: &Value) -> String {
    let mut text = String::new();
    for segment in segments.as_array().into_iter().flatten() {
        let asns: Vec<String> = segment["asns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let asns = asns.join(" ");
        match segment["segment_type"].as_u64() {
            Some(1) => text.push_str(&format!("{{{asns}}} ")),
            _ => text.push_str(&format!("{asns} ")),
        }
    }
    text
}
