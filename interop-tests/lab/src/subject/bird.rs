//! BIRD 2 and 3, asked by `birdc`.
//!
//! Each neighbour is a protocol `n<index>`. Both versions print one text format that differs in the attributes' names
//! (`BGP.as_path` and `bgp_path`); one parser reads both.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;

use super::host::Host;
use super::{Daemon, bfd};
use crate::answers::{Route, Session, State, as_path};
use crate::process::Process;
use crate::speaker::{
    AddPath, BfdSession, Export, Family, Listen, Mode, Neighbour, Origination, Speaker,
};

#[derive(Debug)]
pub(super) struct Bird;

impl Daemon for Bird {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        host.write("bird.conf", &config(speaker)?)
    }

    fn launch(&self, host: &Host, speaker: &Speaker) -> Result<Vec<Process>> {
        let (config, socket) = (host.path("bird.conf"), host.path("bird.ctl"));
        let mut argv = vec!["bird", "-f", "-c", &config, "-s", &socket];
        if speaker
            .neighbours
            .iter()
            .any(|neighbour| neighbour.graceful_restart.is_some())
        {
            // Tells the neighbours that it restarted (the R bit), and waits for them before it selects routes.
            argv.push("-R");
        }
        Ok(vec![host.spawn("bird", &argv)?])
    }

    fn ready(&self, host: &Host) -> Result<()> {
        birdc(host, "show status").map(drop)
    }

    fn reload(&self, host: &Host, _old: &Speaker, _new: &Speaker) -> Result<()> {
        let answer = birdc(host, "configure")?;
        ensure!(
            answer.contains("Reconfigured") || answer.contains("Reconfiguration in progress"),
            "birdc configure: {answer}"
        );
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        // How long a session has been up is only in its line as a clock time; BIRD's own clock comes with the status.
        let status = birdc(host, "show status")?;
        let now = status
            .lines()
            .find_map(|line| line.strip_prefix("Current server time is "))
            .context("no server time in `show status`")?;
        parse_sessions(&birdc(host, "show protocols all")?, seconds_of_day(now)?)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        let table = match family {
            Family::Ipv4 => "master4",
            Family::Ipv6 => "master6",
        };
        parse_routes(&birdc(host, &format!("show route all table {table}"))?)
    }

    fn bfd_sessions(&self, host: &Host) -> Result<Vec<BfdSession>> {
        Ok(bfd::parse_bird(&birdc(host, "show bfd sessions")?))
    }
}

fn birdc(host: &Host, question: &str) -> Result<String> {
    let socket = host.path("bird.ctl");
    let mut argv = vec!["birdc", "-s", &socket];
    argv.extend(question.split_whitespace());
    host.ask(&argv)
}

fn config(speaker: &Speaker) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "log stderr all;\nrouter id {};", speaker.router_id)?;
    writeln!(text, "protocol device {{ scan time 5; }}")?;
    for family in Family::ALL {
        if speaker.install {
            writeln!(
                text,
                "protocol kernel k_{family} {{ {family} {{ import none; export where source = RTS_BGP; }}; merge paths on; }}"
            )?;
        }
        writeln!(text, "protocol static s_{family} {{\n  {family};")?;
        for origination in &speaker.originate {
            if Family::of(origination.prefix) == family {
                let prefix = origination.prefix;
                let attributes = attributes(origination)?;
                writeln!(text, "  route {prefix} blackhole {{ {attributes} }};")?;
            }
        }
        writeln!(text, "}}")?;
    }
    // BIRD strips a MED that was not set by the export filter itself.
    writeln!(text, "filter everything {{")?;
    writeln!(text, "  if source !~ [RTS_STATIC, RTS_BGP] then reject;")?;
    for origination in &speaker.originate {
        if let Some(med) = origination.med {
            let prefix = origination.prefix;
            writeln!(
                text,
                "  if net = {prefix} && source = RTS_STATIC then bgp_med = {med};"
            )?;
        }
    }
    writeln!(text, "  accept;\n}}")?;
    for (index, neighbour) in speaker.neighbours.iter().enumerate() {
        text.push_str(&neighbour_config(speaker, index, neighbour)?);
    }
    if !speaker.bfd.is_empty() {
        text.push_str(&bfd::bird(&speaker.bfd)?);
    }
    text.push_str(&speaker.extra);
    Ok(text)
}

fn attributes(origination: &Origination) -> Result<String> {
    let mut text = String::new();
    for community in &origination.communities {
        write!(
            text,
            "bgp_community.add(({},{})); ",
            community.0, community.1
        )?;
    }
    for large in &origination.large_communities {
        let (global, one, two) = (large.0, large.1, large.2);
        write!(text, "bgp_large_community.add(({global},{one},{two})); ")?;
    }
    for (asn, number) in &origination.route_targets {
        write!(text, "bgp_ext_community.add((rt,{asn},{number})); ")?;
    }
    if let Some(med) = origination.med {
        write!(text, "bgp_med = {med}; ")?;
    }
    if let Some(local_pref) = origination.local_pref {
        write!(text, "bgp_local_pref = {local_pref}; ")?;
    }
    Ok(text)
}

fn neighbour_config(speaker: &Speaker, index: usize, neighbour: &Neighbour) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "protocol bgp n{index} {{")?;
    let local = neighbour
        .local_address
        .map(|address| format!("{address} "))
        .unwrap_or_default();
    let listen = match speaker.listen {
        Listen::Port(179) | Listen::Never => String::new(),
        Listen::Port(port) => format!("port {port} "),
    };
    writeln!(text, "  local {local}{listen}as {};", speaker.asn)?;
    let port = neighbour
        .port
        .map(|port| format!("port {port} "))
        .unwrap_or_default();
    let (address, asn) = (neighbour.address, neighbour.asn);
    writeln!(text, "  neighbor {address} {port}as {asn};")?;
    // Fast tries, because tests wait for them.
    writeln!(
        text,
        "  connect delay time 1; connect retry time 2; error wait time 1, 2;"
    )?;
    let hops = neighbour.ttl_security.filter(|hops| *hops > 1);
    match neighbour.multihop.or(hops) {
        Some(hops) => writeln!(text, "  multihop {hops};")?,
        None => writeln!(text, "  direct;")?,
    }
    if neighbour.mode == Mode::Passive {
        writeln!(text, "  passive on;")?;
    }
    if let Some(password) = &neighbour.password {
        writeln!(text, "  password \"{password}\";")?;
    }
    if let Some(hold) = speaker.hold_time {
        writeln!(text, "  hold time {};", hold.as_secs())?;
    }
    match neighbour.graceful_restart {
        Some(time) => writeln!(
            text,
            "  graceful restart on; graceful restart time {};",
            time.as_secs()
        )?,
        None => writeln!(text, "  graceful restart off;")?,
    }
    if neighbour.route_reflector_client {
        writeln!(text, "  rr client;")?;
    }
    if neighbour.ttl_security.is_some() {
        writeln!(text, "  ttl security on;")?;
    }
    text.push_str(&neighbour.extra);
    for family in &neighbour.families {
        let export = match neighbour.export {
            Export::Everything => "filter everything",
            Export::Nothing => "none",
        };
        let add_path = match neighbour.add_path {
            AddPath::Off => "off",
            AddPath::Receive => "rx",
            AddPath::Both => "on",
        };
        let next_hop = if neighbour.next_hop_self {
            " next hop self;"
        } else {
            ""
        };
        writeln!(
            text,
            "  {family} {{ import all; export {export}; add paths {add_path};{next_hop} }};"
        )?;
    }
    writeln!(text, "}}")?;
    Ok(text)
}

/// The time of day in a clock text that ends with `hh:mm:ss.mmm`.
fn seconds_of_day(clock: &str) -> Result<f64> {
    let time = clock.split_whitespace().last().unwrap_or_default();
    let mut parts = time.split(':').map(str::parse::<f64>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(hours)), Some(Ok(minutes)), Some(Ok(seconds))) => {
            Ok((hours * 60.0 + minutes) * 60.0 + seconds)
        }
        _ => anyhow::bail!("\"{clock}\" does not end with a time of day"),
    }
}

fn parse_sessions(text: &str, now: f64) -> Result<Vec<Session>> {
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

fn parse_routes(text: &str) -> Result<Vec<Route>> {
    let mut routes: Vec<Route> = Vec::new();
    let mut prefix: Option<IpNet> = None;
    for line in text.lines() {
        if line.starts_with("BIRD ") || line.starts_with("Table ") || line.trim().is_empty() {
            continue;
        }
        // A path opens with "<prefix, or blanks for one more> <type> [<protocol> <since> from <neighbour>] * (<preference>)".
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
