//! GoBGP: `gobgpd`, asked by `gobgp -j`.
//!
//! Its configuration file cannot originate routes, so they are added by command once it answers. It installs nothing.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::Daemon;
use super::host::Host;
use crate::answers::{Community, LargeCommunity, Origin, Route, Session, State, as_path};
use crate::probe::kernel;
use crate::process::Process;
use crate::speaker::{AddPath, Export, Family, Listen, Mode, Neighbour, Origination, Speaker};

#[derive(Debug)]
pub(super) struct GoBgp;

impl Daemon for GoBgp {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        ensure!(
            !speaker.install,
            "GoBGP cannot install routes into the kernel"
        );
        ensure!(
            speaker.extra.is_empty(),
            "extra text does not fit into GoBGP's JSON"
        );
        host.write(
            "gobgpd.json",
            &serde_json::to_string_pretty(&config(speaker)?)?,
        )
    }

    fn launch(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Process>> {
        let config = host.path("gobgpd.json");
        let argv = [
            "gobgpd",
            "-t",
            "json",
            "-f",
            &config,
            "--api-hosts",
            "127.0.0.1:50051",
        ];
        Ok(vec![host.spawn("gobgpd", &argv)?])
    }

    fn ready(&self, host: &Host) -> Result<()> {
        gobgp(host, &["global"]).map(drop)
    }

    fn complete(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        speaker
            .originate
            .iter()
            .try_for_each(|origination| change(host, speaker, "add", origination))
    }

    fn reload(&self, host: &Host, old: &Speaker, new: &Speaker) -> Result<()> {
        ensure!(
            old.neighbours == new.neighbours && old.asn == new.asn,
            "while it runs, GoBGP is only given other prefixes to originate"
        );
        for origination in &old.originate {
            if !new.originate.contains(origination) {
                change(host, old, "del", origination)?;
            }
        }
        for origination in &new.originate {
            if !old.originate.contains(origination) {
                change(host, new, "add", origination)?;
            }
        }
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        parse_sessions(&gobgp(host, &["neighbor"])?, now)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        parse_routes(&gobgp(host, &["global", "rib", "-a", name(family)])?)
    }
}

fn gobgp(host: &Host, question: &[&str]) -> Result<String> {
    host.ask(&[&["gobgp", "-j"], question].concat())
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

fn change(host: &Host, speaker: &Speaker, verb: &str, origination: &Origination) -> Result<()> {
    let prefix = origination.prefix.to_string();
    let mut words = vec!["gobgp", "global", "rib", verb, &prefix];
    let join = |members: Vec<String>| members.join(",");
    let communities = join(
        origination
            .communities
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
    let large = join(
        origination
            .large_communities
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
    let targets: Vec<String> = origination
        .route_targets
        .iter()
        .map(|(asn, number)| format!("{asn}:{number}"))
        .collect();
    let med = origination.med.map(|med| med.to_string());
    let local_pref = origination.local_pref.map(|value| value.to_string());
    // For routes of the other family than a session's it would send the session's address, which is none of the family.
    let family = Family::of(origination.prefix);
    let mut next_hop = None;
    for neighbour in &speaker.neighbours {
        if neighbour.address.is_ipv4() != (family == Family::Ipv4) {
            let own = kernel::own_address(host.namespace(), neighbour.address, family)?;
            next_hop = next_hop.or(own.map(|address| address.to_string()));
        }
    }
    if verb == "add" {
        if let Some(address) = &next_hop {
            words.extend(["nexthop", address]);
        }
        words.extend(["origin", "igp"]);
        if !communities.is_empty() {
            words.extend(["community", &communities]);
        }
        if !large.is_empty() {
            words.extend(["large-community", &large]);
        }
        for target in &targets {
            words.extend(["rt", target]);
        }
        if let Some(med) = &med {
            words.extend(["med", med]);
        }
        if let Some(local_pref) = &local_pref {
            words.extend(["local-pref", local_pref]);
        }
    }
    words.extend(["-a", name(family)]);
    host.ask(&words).map(drop)
}

fn config(speaker: &Speaker) -> Result<Value> {
    let port = match speaker.listen {
        Listen::Port(port) => i32::from(port),
        Listen::Never => -1,
    };
    let neighbours = speaker
        .neighbours
        .iter()
        .map(|neighbour| neighbour_config(speaker, neighbour))
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({
        "global": {"config": {"as": speaker.asn, "router-id": speaker.router_id, "port": port}},
        "neighbors": neighbours,
    }))
}

fn neighbour_config(speaker: &Speaker, neighbour: &Neighbour) -> Result<Value> {
    if neighbour.export == Export::Nothing {
        bail!("telling a neighbour nothing is not written for GoBGP");
    }
    ensure!(
        neighbour.extra.is_empty(),
        "extra text does not fit into GoBGP's JSON"
    );
    if neighbour.next_hop_self {
        bail!("next-hop-self is not written for GoBGP");
    }
    let families: Vec<Value> = neighbour
        .families
        .iter()
        .map(|family| {
            json!({
                "config": {"afi-safi-name": format!("{family}-unicast")},
                "add-paths": {"config": {
                    "receive": neighbour.add_path != AddPath::Off,
                    "send-max": if neighbour.add_path == AddPath::Both { 16 } else { 0 },
                }},
                "mp-graceful-restart": {"config": {"enabled": neighbour.graceful_restart.is_some()}},
            })
        })
        .collect();
    let mut timers = json!({"connect-retry": 1});
    if let Some(hold) = speaker.hold_time {
        timers["hold-time"] = json!(hold.as_secs());
        timers["keepalive-interval"] = json!(hold.as_secs() / 3);
    }
    // Its own port also names the port of the neighbour's side unless that is given.
    let mut transport = json!({"passive-mode": neighbour.mode == Mode::Passive});
    transport["remote-port"] = json!(neighbour.port.unwrap_or(179));
    if let Some(local) = neighbour.local_address {
        transport["local-address"] = json!(local);
    }
    let mut config = json!({"neighbor-address": neighbour.address, "peer-as": neighbour.asn});
    if let Some(password) = &neighbour.password {
        config["auth-password"] = json!(password);
    }
    let mut text = json!({
        "config": config,
        "timers": {"config": timers},
        "transport": {"config": transport},
        "afi-safis": families,
    });
    if let Some(hops) = neighbour.multihop {
        text["ebgp-multihop"] = json!({"config": {"enabled": true, "multihop-ttl": hops}});
    }
    if let Some(hops) = neighbour.ttl_security {
        text["ttl-security"] =
            json!({"config": {"enabled": true, "ttl-min": 256 - u16::from(hops)}});
    }
    if let Some(time) = neighbour.graceful_restart {
        text["graceful-restart"] =
            json!({"config": {"enabled": true, "restart-time": time.as_secs()}});
    }
    if neighbour.route_reflector_client {
        text["route-reflector"] = json!({"config": {
            "route-reflector-client": true, "route-reflector-cluster-id": speaker.router_id,
        }});
    }
    Ok(text)
}

fn parse_sessions(text: &str, now: Duration) -> Result<Vec<Session>> {
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

fn parse_routes(text: &str) -> Result<Vec<Route>> {
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
