//! What `birdc` prints, of both versions.

use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::IpNet;

use crate::answers::{Route, Session, State, as_path};
use crate::speaker::Family;

/// The time of day in a clock text that ends with `hh:mm:ss.mmm`.
pub(super) fn seconds_of_day(clock: &str) -> Result<f64> {
    let time = clock.split_whitespace().last().unwrap_or_default();
    let mut parts = time.split(':').map(str::parse::<f64>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(hours)), Some(Ok(minutes)), Some(Ok(seconds))) => {
            Ok((hours * 60.0 + minutes) * 60.0 + seconds)
        }
        _ => anyhow::bail!("\"{clock}\" does not end with a time of day"),
    }
}

pub(super) fn parse_sessions(text: &str, now: f64) -> Result<Vec<Session>> {
    const DAY: f64 = 86_400.0;
    let mut sessions: Vec<Session> = Vec::new();
    let mut since = 0.0;
    let mut open = false;
    let mut channel = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(char::is_whitespace) {
            open = words.get(1) == Some(&"BGP");
            channel = None;
            if open {
                since = seconds_of_day(words.get(4).context("no time in a protocol's line")?)?;
            }
            continue;
        }
        let Some((key, value)) = line.trim().split_once(':').or_else(|| {
            line.trim()
                .strip_prefix("Channel ")
                .map(|name| ("Channel", name))
        }) else {
            continue;
        };
        let value = value.trim();
        if !open {
            continue;
        }
        // The state comes before the address, which opens the session's entry here.
        match (key, sessions.last_mut()) {
            ("BGP state", _) => {
                let state: State = value.parse()?;
                sessions.push(Session {
                    neighbour: std::net::IpAddr::from([0, 0, 0, 0]),
                    asn: None,
                    state,
                    uptime: (state == State::Established)
                        .then(|| Duration::from_secs_f64((now - since).rem_euclid(DAY))),
                    families: Vec::new(),
                    received: (state == State::Established).then_some(0),
                    last_error: None,
                });
            }
            ("Neighbor address", Some(session)) => {
                session.neighbour = value.split('%').next().unwrap_or(value).parse()?;
            }
            ("Neighbor AS", Some(session)) => session.asn = Some(value.parse()?),
            ("Last error", Some(session)) => session.last_error = Some(value.to_owned()),
            ("Channel", _) => {
                channel = match value {
                    "ipv4" => Some(Family::Ipv4),
                    "ipv6" => Some(Family::Ipv6),
                    _ => None,
                }
            }
            ("State", Some(session)) => {
                if let (Some(family), "UP", State::Established) = (channel, value, session.state) {
                    session.families.push(family);
                }
            }
            ("Routes", Some(session)) => {
                let imported = value
                    .split_whitespace()
                    .next()
                    .unwrap_or("0")
                    .parse::<u64>()?;
                session.received = session.received.map(|total| total + imported);
            }
            _ => {}
        }
    }
    Ok(sessions)
}

pub(super) fn parse_routes(text: &str) -> Result<Vec<Route>> {
    let mut routes: Vec<Route> = Vec::new();
    let mut prefix: Option<IpNet> = None;
    for line in text.lines() {
        if line.starts_with("BIRD ") || line.starts_with("Table ") || line.trim().is_empty() {
            continue;
        }
        // A path opens with "<prefix, or blanks for one more> <type> [<protocol> <since> from <neighbour>] *
        // (<preference>)".
        if !line.starts_with('\t') && line.contains(" [") {
            let first = line.split_whitespace().next().unwrap_or_default();
            if !line.starts_with(' ') {
                prefix = Some(first.parse().with_context(|| format!("in \"{line}\""))?);
            }
            let mut route = Route::new(prefix.context("a path before any prefix")?);
            let after = line.split_once(']').map_or("", |(_, rest)| rest);
            route.best = after.trim_start().starts_with('*');
            route.stale = after.contains(" s)") || after.contains("(100s)");
            let inside = line
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'))
                .map_or("", |(inside, _)| inside);
            if let Some((_, from)) = inside.split_once(" from ") {
                route.from = from.trim().split('%').next().unwrap_or(from).parse().ok();
            }
            routes.push(route);
            continue;
        }
        let Some(route) = routes.last_mut() else {
            continue;
        };
        if let Some((key, value)) = line.trim().split_once(": ") {
            attribute(route, key, value.trim()).with_context(|| format!("in \"{line}\""))?;
        }
    }
    Ok(routes)
}

fn attribute(route: &mut Route, key: &str, value: &str) -> Result<()> {
    let key = key
        .strip_prefix("BGP.")
        .or_else(|| key.strip_prefix("bgp_"))
        .unwrap_or("");
    match key {
        "origin" => route.origin = Some(value.parse()?),
        "as_path" | "path" => route.as_path = as_path(value),
        "next_hop" => {
            route.next_hops = value
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()?;
            // Where a path has no sender in its head, it came straight from its next hop.
            route.from = route.from.or(route.next_hops.first().copied());
        }
        "med" => route.med = Some(value.parse()?),
        "local_pref" => route.local_pref = Some(value.parse()?),
        "community" => {
            for member in members(value) {
                route.communities.insert(member.parse()?);
            }
        }
        "large_community" => {
            for member in members(value) {
                route.large_communities.insert(member.parse()?);
            }
        }
        "ext_community" => {
            route.extended_communities = members(value)
                .map(|member| member.replace(", ", ":"))
                .collect();
        }
        "originator_id" => route.originator_id = Some(value.parse()?),
        "cluster_list" => {
            route.cluster_list = value
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()?;
        }
        "path_id" => route.path_id = Some(value.parse()?),
        _ => {}
    }
    Ok(())
}

/// The members of `(64512,100) (65535,65281)`.
fn members(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(')')
        .filter_map(|part| part.split_once('(').map(|(_, member)| member))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::answers::{Community, LargeCommunity, Origin};

    const ROUTES: &str = "BIRD 2.0.12 ready.
Table master4:
198.51.101.0/24      unicast [n2 04:05:48.206] * (100) [AS64504i]
\tvia 10.0.0.4 on e0
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 64504
\tBGP.next_hop: 10.0.0.4
\tBGP.med: 7
\tBGP.local_pref: 100
\tBGP.community: (64504,1) (65535,65281)
\tBGP.large_community: (64504, 1, 2)
                     unicast [n3 04:05:48.206 from 10.0.0.9] (100) [AS64505?]
\tvia 10.0.0.5 on e0
\tBGP.origin: Incomplete
\tBGP.as_path: 64504 { 64505 64506 }
\tBGP.next_hop: 10.0.0.5
";

    #[test]
    fn every_attribute_that_bird_prints_is_read() {
        let routes = parse_routes(ROUTES).unwrap();
        assert_eq!(routes.len(), 2);
        let first = &routes[0];
        assert_eq!(first.prefix.to_string(), "198.51.101.0/24");
        assert!(first.best && !routes[1].best);
        assert_eq!(first.origin, Some(Origin::Igp));
        assert_eq!(first.as_path, "64504");
        assert_eq!((first.med, first.local_pref), (Some(7), Some(100)));
        assert_eq!(
            first.communities,
            [Community(64504, 1), Community::NO_EXPORT].into()
        );
        assert_eq!(
            first.large_communities,
            [LargeCommunity(64504, 1, 2)].into()
        );
        assert_eq!(routes[1].prefix, first.prefix);
        assert_eq!(routes[1].as_path, "64504 {64505,64506}");
        assert_eq!(routes[1].from, Some([10, 0, 0, 9].into()));
    }

    #[test]
    fn attributes_of_bird_3_are_read_by_their_new_names() {
        let text = ROUTES
            .replace("BGP.as_path", "bgp_path")
            .replace("BGP.", "bgp_");
        assert_eq!(parse_routes(&text).unwrap(), parse_routes(ROUTES).unwrap());
    }

    #[test]
    fn a_session_has_its_state_families_and_uptime() {
        let text = "BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
s4         Static     master4    up     04:04:30.862
  Channel ipv4
    State:          UP
    Routes:         1 imported, 0 exported, 1 preferred

n0         BGP        ---        up     04:04:31.500  Established
  BGP state:          Established
    Neighbor address: 10.0.0.1
    Neighbor AS:      64502
  Channel ipv4
    State:          UP
    Routes:         3 imported, 1 exported, 0 preferred
  Channel ipv6
    State:          UP
    Routes:         4 imported, 1 exported, 0 preferred

n3         BGP        ---        start  04:04:30.862  Connect       Socket: No route to host
  BGP state:          Connect
    Neighbor address: 10.0.0.99
    Last error:       Socket: No route to host
  Channel ipv4
    State:          DOWN
";
        let sessions = parse_sessions(text, seconds_of_day("04:04:41.500").unwrap()).unwrap();
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions[0].uptime, Some(Duration::from_secs(10)));
        assert_eq!(sessions[0].families, Family::ALL);
        assert_eq!(sessions[0].received, Some(7));
        assert_eq!(sessions[1].state, State::Connect);
        assert_eq!(
            sessions[1].last_error.as_deref(),
            Some("Socket: No route to host")
        );
    }
}
