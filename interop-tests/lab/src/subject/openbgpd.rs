//! OpenBGPD's portable version, asked by `bgpctl -j`.
//!
//! On Linux it has neither TCP-MD5 nor a kernel table: a description that asks for them is refused.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::Daemon;
use super::host::Host;
use crate::answers::{Route, Session, as_path};
use crate::probe::kernel;
use crate::process::Process;
use crate::speaker::{AddPath, Export, Family, Listen, Mode, Neighbour, Origination, Speaker};

/// FRR has a program of the same name, elsewhere.
pub(super) const BGPD: &str = "/usr/sbin/bgpd";
/// Where its children lock themselves in. The package leaves it to systemd to make it.
const CHROOT: &str = "/run/openbgpd";

#[derive(Debug)]
pub(super) struct OpenBgpd;

impl Daemon for OpenBgpd {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        ensure!(
            !speaker.install,
            "OpenBGPD cannot install routes into a Linux kernel"
        );
        host.write("bgpd.conf", &config(host, speaker)?)?;
        // It refuses a configuration that others may read.
        std::fs::set_permissions(host.path("bgpd.conf"), PermissionsExt::from_mode(0o600))?;
        Ok(())
    }

    fn launch(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Process>> {
        std::fs::create_dir_all(CHROOT).context(CHROOT)?;
        let config = host.path("bgpd.conf");
        Ok(vec![host.spawn("openbgpd", &[BGPD, "-d", "-f", &config])?])
    }

    fn ready(&self, host: &Host) -> Result<()> {
        bgpctl(host, &["show", "summary"]).map(drop)
    }

    fn reload(&self, host: &Host, _old: &Speaker, _new: &Speaker) -> Result<()> {
        bgpctl(host, &["reload"]).map(drop)
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        parse_sessions(&bgpctl(host, &["-j", "show", "neighbor"])?)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        let mut routes = parse_routes(&bgpctl(host, &["-j", "show", "rib", "detail"])?)?;
        routes.retain(|route| Family::of(route.prefix) == family);
        Ok(routes)
    }
}

fn bgpctl(host: &Host, question: &[&str]) -> Result<String> {
    let socket = host.path("bgpd.ctl");
    host.ask(&[&["bgpctl", "-s", &socket], question].concat())
}

fn config(host: &Host, speaker: &Speaker) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "AS {}", speaker.asn)?;
    writeln!(text, "router-id {}", speaker.router_id)?;
    writeln!(text, "socket \"{}\"", host.path("bgpd.ctl"))?;
    writeln!(text, "fib-update no")?;
    // Seconds between tries; the default of 120 is for routers, not for tests.
    writeln!(text, "connect-retry 1")?;
    if let Some(hold) = speaker.hold_time {
        writeln!(text, "holdtime {}", hold.as_secs())?;
    }
    match speaker.listen {
        Listen::Port(179) => {}
        Listen::Port(port) => writeln!(
            text,
            "listen on 0.0.0.0 port {port}\nlisten on :: port {port}"
        )?,
        // It always listens; at this address nobody connects.
        Listen::Never => writeln!(text, "listen on 127.0.0.1")?,
    }
    for origination in &speaker.originate {
        writeln!(text, "{}", network(host, speaker, origination)?)?;
    }
    for neighbour in &speaker.neighbours {
        text.push_str(&neighbour_config(speaker, neighbour)?);
    }
    writeln!(text, "allow from any\nallow to any")?;
    for neighbour in &speaker.neighbours {
        let address = neighbour.address;
        let other = other_family(address);
        if kernel::own_address(host.namespace(), address, other)?.is_some() {
            let inet = if other == Family::Ipv4 {
                "inet"
            } else {
                "inet6"
            };
            writeln!(text, "match to {address} {inet} set nexthop no-modify")?;
        }
        if neighbour.next_hop_self {
            writeln!(text, "match to {address} set nexthop self")?;
        }
        if neighbour.export == Export::Nothing {
            writeln!(text, "deny to {address}")?;
        }
    }
    text.push_str(&speaker.extra);
    Ok(text)
}

fn other_family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv6,
        IpAddr::V6(_) => Family::Ipv4,
    }
}

fn network(host: &Host, speaker: &Speaker, origination: &Origination) -> Result<String> {
    let mut text = format!("network {}", origination.prefix);
    let mut set = String::new();
    // This version takes the next hop of the other family than the session's from the loopback interface.
    let family = Family::of(origination.prefix);
    let mut neighbours = speaker.neighbours.iter();
    if let Some(neighbour) = neighbours.find(|neighbour| other_family(neighbour.address) == family)
        && let Some(own) = kernel::own_address(host.namespace(), neighbour.address, family)?
    {
        write!(set, "nexthop {own} ")?;
    }
    for community in &origination.communities {
        write!(set, "community {community} ")?;
    }
    for large in &origination.large_communities {
        write!(set, "large-community {large} ")?;
    }
    for (asn, number) in &origination.route_targets {
        write!(set, "ext-community rt {asn}:{number} ")?;
    }
    if let Some(med) = origination.med {
        write!(set, "med {med} ")?;
    }
    if let Some(local_pref) = origination.local_pref {
        write!(set, "localpref {local_pref} ")?;
    }
    if !set.is_empty() {
        write!(text, " set {{ {set}}}")?;
    }
    Ok(text)
}

fn neighbour_config(speaker: &Speaker, neighbour: &Neighbour) -> Result<String> {
    ensure!(
        neighbour.password.is_none(),
        "OpenBGPD on Linux has no TCP-MD5"
    );
    ensure!(
        neighbour.ttl_security.is_none(),
        "TTL security is not written for OpenBGPD: it excludes the multihop that next hops here need"
    );
    let mut text = String::new();
    writeln!(text, "neighbor {} {{", neighbour.address)?;
    writeln!(text, "  remote-as {}", neighbour.asn)?;
    if let Some(local) = neighbour.local_address {
        writeln!(text, "  local-address {local}")?;
    }
    if let Some(port) = neighbour.port {
        writeln!(text, "  port {port}")?;
    }
    // Only to neighbours that are farther away it sends a next hop of our choice: so to it each one is.
    if neighbour.asn != speaker.asn {
        writeln!(text, "  multihop {}", neighbour.multihop.unwrap_or(2))?;
    }
    if neighbour.mode == Mode::Passive {
        writeln!(text, "  passive")?;
    }
    if neighbour.route_reflector_client {
        writeln!(text, "  route-reflector")?;
    }
    for family in Family::ALL {
        let name = match family {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        };
        let what = if neighbour.families.contains(&family) {
            "unicast"
        } else {
            "none"
        };
        writeln!(text, "  announce {name} {what}")?;
    }
    if neighbour.graceful_restart.is_some() {
        writeln!(text, "  announce restart yes")?;
    }
    match neighbour.add_path {
        AddPath::Off => {}
        AddPath::Receive => writeln!(text, "  announce add-path recv yes")?,
        AddPath::Both => writeln!(
            text,
            "  announce add-path recv yes\n  announce add-path send all"
        )?,
    }
    text.push_str(&neighbour.extra);
    writeln!(text, "}}")?;
    Ok(text)
}

fn parse_sessions(text: &str) -> Result<Vec<Session>> {
    let all: Value = serde_json::from_str(text).with_context(|| format!("JSON: {text}"))?;
    let mut sessions = Vec::new();
    for peer in all["neighbors"].as_array().into_iter().flatten() {
        let state = peer["state"].as_str().context("state")?.parse()?;
        let established = state == crate::State::Established;
        let negotiated = &peer["session"]["capabilities"]["multiprotocol"];
        let families = negotiated
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|family| match family.as_str()? {
                "IPv4 unicast" => Some(Family::Ipv4),
                "IPv6 unicast" => Some(Family::Ipv6),
                _ => None,
            })
            .collect();
        let asn = peer["remote_as"]
            .as_str()
            .and_then(|text| text.parse().ok());
        sessions.push(Session {
            neighbour: peer["remote_addr"]
                .as_str()
                .context("remote_addr")?
                .parse()?,
            asn,
            state,
            uptime: peer["last_updown_sec"]
                .as_u64()
                .filter(|_| established)
                .map(Duration::from_secs),
            families,
            received: peer["stats"]["prefixes"]["received"]
                .as_u64()
                .filter(|_| established),
            last_error: ["last_error_received", "last_error_sent", "last_error"]
                .iter()
                .find_map(|key| {
                    peer["session"][key]
                        .as_str()
                        .or(peer[key].as_str())
                        .map(str::to_owned)
                }),
        });
    }
    Ok(sessions)
}

#[derive(Deserialize)]
struct Rib {
    #[serde(default)]
    rib: Vec<Path>,
}

#[derive(Deserialize)]
struct Path {
    prefix: ipnet::IpNet,
    #[serde(default)]
    aspath: String,
    exit_nexthop: Option<IpAddr>,
    neighbor: Option<Sender>,
    #[serde(default)]
    best: bool,
    #[serde(default)]
    stale: bool,
    origin: Option<String>,
    metric: Option<u32>,
    localpref: Option<u32>,
    path_id: Option<u32>,
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default)]
    communities: Vec<String>,
    #[serde(default)]
    large_communities: Vec<String>,
    #[serde(default)]
    extended_communities: Vec<String>,
}

/// An attribute that has no member of its own in a path.
#[derive(Deserialize)]
struct Attribute {
    originator: Option<IpAddr>,
    #[serde(default)]
    cluster_list: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Sender {
    remote_addr: String,
}

fn parse_routes(text: &str) -> Result<Vec<Route>> {
    let shown: Rib = serde_json::from_str(text).with_context(|| format!("JSON: {text}"))?;
    let mut routes = Vec::new();
    for path in shown.rib {
        let mut route = Route::new(path.prefix);
        route.best = path.best;
        route.stale = path.stale;
        route.from = path
            .neighbor
            .and_then(|sender| sender.remote_addr.parse().ok());
        route.next_hops = path.exit_nexthop.into_iter().collect();
        route.as_path = as_path(&path.aspath);
        route.origin = path.origin.map(|origin| origin.parse()).transpose()?;
        route.med = path.metric;
        route.local_pref = path.localpref;
        route.path_id = path.path_id;
        for attribute in path.attributes {
            route.originator_id = route.originator_id.or(attribute.originator);
            route.cluster_list.extend(attribute.cluster_list);
        }
        for community in path.communities {
            route.communities.insert(community.parse()?);
        }
        for community in path.large_communities {
            route.large_communities.insert(community.parse()?);
        }
        route.extended_communities = path
            .extended_communities
            .iter()
            .map(|text| text.replace(' ', ":"))
            .collect();
        routes.push(route);
    }
    Ok(routes)
}
