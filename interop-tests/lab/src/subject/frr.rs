//! FRR 8 and 10: `zebra`, `bgpd` and, if the description has BFD sessions, `bfdd`, asked by `vtysh` in JSON.
//!
//! zebra always runs, since bgpd learns from it which next hops can be reached; routes only go to the kernel if the
//! description says so. In a container all run from one script, whose process becomes bgpd.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path as FilePath;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::host::Host;
use super::{Daemon, bfd};
use crate::answers::{Route, Session, State, as_path};
use crate::eventually::eventually;
use crate::exec::PATIENCE;
use crate::process::Process;
use crate::speaker::{
    AddPath, BfdSession, Export, Family, Listen, Mode, Neighbour, Origination, Speaker,
};

/// Prefixes asked in one call of vtysh: far below the longest command line.
const ASK_AT_ONCE: usize = 200;

#[derive(Debug)]
pub(super) struct Frr;

impl Daemon for Frr {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        host.write("frr.conf", &config(speaker)?)?;
        host.write(
            "run.sh",
            &format!(
                "{} >{} 2>&1 &\n\
                 until [ -S {} ]; do kill -0 $! || exit 1; sleep 0.05; done\n\
                 {}exec {}\n",
                zebra(host),
                host.path("zebra.log"),
                host.path("zserv.api"),
                if speaker.bfd.is_empty() {
                    String::new()
                } else {
                    format!("{} >{} 2>&1 &\n", bfdd(host), host.path("bfdd.log"))
                },
                bgpd(host, speaker),
            ),
        )?;
        host.write("bfdd.conf", &bfd::frr(&speaker.bfd)?)?;
        host.write("zebra.conf", "log stdout\n")?;
        host.write("vtysh.conf", "no service integrated-vtysh-config\n")
    }

    fn launch(&self, host: &Host, speaker: &Speaker) -> Result<Vec<Process>> {
        // Left by a predecessor that was killed, it would look as if zebra were ready.
        let socket = host.path("zserv.api");
        let _ = std::fs::remove_file(&socket);
        if host.is_container() {
            return Ok(vec![host.spawn("bgpd", &["sh", &host.path("run.sh")])?]);
        }
        let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
        let start = |name: &str, line: &str| {
            let words = words(line);
            host.spawn(name, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let zebra = start("zebra", &zebra(host))?;
        eventually(PATIENCE, "zebra listens", || {
            zebra.check_alive()?;
            ensure!(FilePath::new(&socket).exists(), "no {socket}");
            Ok(())
        })?;
        let mut processes = vec![zebra];
        if !speaker.bfd.is_empty() {
            processes.push(start("bfdd", &bfdd(host))?);
        }
        processes.push(start("bgpd", &bgpd(host, speaker))?);
        Ok(processes)
    }

    fn ready(&self, host: &Host) -> Result<()> {
        let version = vtysh(host, &["show bgp summary json"])?;
        ensure!(version.contains('{'), "not yet: {version}");
        Ok(())
    }

    /// Adds what is new and removes what is gone. Changed properties of a neighbour that stays are not undone.
    fn reload(&self, host: &Host, old: &Speaker, new: &Speaker) -> Result<()> {
        let mut gone = format!("router bgp {}\n", old.asn);
        for origination in &old.originate {
            if !new.originate.contains(origination) {
                let family = Family::of(origination.prefix);
                writeln!(
                    gone,
                    " address-family {family} unicast\n  no network {}\n exit-address-family",
                    origination.prefix
                )?;
            }
        }
        for neighbour in &old.neighbours {
            if !new
                .neighbours
                .iter()
                .any(|kept| kept.address == neighbour.address)
            {
                writeln!(gone, " no neighbor {}", neighbour.address)?;
            }
        }
        host.write("gone.conf", &gone)?;
        // FRR refuses to be told again that a neighbour restarts gracefully while its session is up.
        let kept: Vec<String> = config(new)?
            .lines()
            .filter(|line| !(line.starts_with(" neighbor") && line.ends_with("graceful-restart")))
            .map(str::to_owned)
            .collect();
        host.write("now.conf", &(kept.join("\n") + "\n"))?;
        let dir = host.path("");
        let mut files = vec!["gone.conf", "now.conf"];
        if !new.bfd.is_empty() {
            files.push("bfdd.conf");
        }
        for file in files {
            host.ask(&["vtysh", "--vty_socket", &dir, "-f", &host.path(file)])?;
        }
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        parse_sessions(&vtysh(host, &["show bgp neighbors json"])?)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        // The table has no communities and FRR 8 has no detailed table in JSON: each prefix is asked.
        let table: Value =
            serde_json::from_str(&vtysh(host, &[&format!("show bgp {family} unicast json")])?)?;
        let prefixes: Vec<&String> = table["routes"]
            .as_object()
            .map(|routes| routes.keys().collect())
            .unwrap_or_default();
        let mut routes = Vec::new();
        for chunk in prefixes.chunks(ASK_AT_ONCE) {
            let questions: Vec<String> = chunk
                .iter()
                .map(|prefix| format!("show bgp {family} unicast {prefix} json"))
                .collect();
            let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
            parse_routes(&vtysh(host, &questions)?, &mut routes)?;
        }
        Ok(routes)
    }

    fn bfd_sessions(&self, host: &Host) -> Result<Vec<BfdSession>> {
        bfd::parse_frr(&vtysh_of(host, "bfdd", &["show bfd peers json"])?)
    }
}

fn common(host: &Host) -> String {
    let (dir, socket) = (host.path(""), host.path("zserv.api"));
    format!("-u frr -g frr -z {socket} --vty_socket {dir} -A 127.0.0.1")
}

fn zebra(host: &Host) -> String {
    let (pid, config) = (host.path("zebra.pid"), host.path("zebra.conf"));
    format!("/usr/lib/frr/zebra {} -i {pid} -f {config}", common(host))
}

fn bgpd(host: &Host, speaker: &Speaker) -> String {
    let (pid, config) = (host.path("bgpd.pid"), host.path("frr.conf"));
    let port = match speaker.listen {
        Listen::Port(port) => port,
        Listen::Never => 0,
    };
    let no_kernel = if speaker.install { "" } else { " --no_kernel" };
    format!(
        "/usr/lib/frr/bgpd {} -i {pid} -f {config} -p {port}{no_kernel}",
        common(host)
    )
}

fn bfdd(host: &Host) -> String {
    let (pid, config) = (host.path("bfdd.pid"), host.path("bfdd.conf"));
    let control = if host.is_container() {
        // FRR 10 has no such socket.
        String::new()
    } else {
        format!(" --bfdctl {}", host.path("bfdd.sock"))
    };
    format!(
        "/usr/lib/frr/bfdd {} -i {pid} -f {config}{control}",
        common(host)
    )
}

fn vtysh(host: &Host, questions: &[&str]) -> Result<String> {
    vtysh_of(host, "bgpd", questions)
}

fn vtysh_of(host: &Host, daemon: &str, questions: &[&str]) -> Result<String> {
    let dir = host.path("");
    let mut argv = vec!["vtysh", "--vty_socket", &dir, "-d", daemon];
    for question in questions {
        argv.extend(["-c", question]);
    }
    host.ask(&argv)
}

fn config(speaker: &Speaker) -> Result<String> {
    let mut text = String::from("log stdout\n");
    for (index, origination) in speaker.originate.iter().enumerate() {
        text.push_str(&route_map(index, origination)?);
    }
    writeln!(text, "route-map NOTHING deny 10\nexit")?;
    writeln!(text, "router bgp {}", speaker.asn)?;
    writeln!(text, " bgp router-id {}", speaker.router_id)?;
    // RFC 8212 and the check that a prefix is in the kernel first are not what a lab is about.
    writeln!(text, " no bgp ebgp-requires-policy")?;
    writeln!(text, " no bgp network import-check")?;
    writeln!(text, " no bgp default ipv4-unicast")?;
    if speaker.install {
        writeln!(text, " bgp bestpath as-path multipath-relax")?;
    }
    if let Some(time) = speaker
        .neighbours
        .iter()
        .filter_map(|n| n.graceful_restart)
        .max()
    {
        writeln!(
            text,
            " bgp graceful-restart restart-time {}",
            time.as_secs()
        )?;
        writeln!(text, " bgp graceful-restart preserve-fw-state")?;
    }
    for neighbour in &speaker.neighbours {
        text.push_str(&neighbour_config(speaker, neighbour)?);
    }
    for family in Family::ALL {
        writeln!(text, " address-family {family} unicast")?;
        if speaker.install {
            writeln!(text, "  maximum-paths 64\n  maximum-paths ibgp 64")?;
        }
        for (index, origination) in speaker.originate.iter().enumerate() {
            if Family::of(origination.prefix) == family {
                writeln!(
                    text,
                    "  network {} route-map ORIGINATE-{index}",
                    origination.prefix
                )?;
            }
        }
        for neighbour in &speaker.neighbours {
            if neighbour.families.contains(&family) {
                text.push_str(&family_config(neighbour)?);
            }
        }
        writeln!(text, " exit-address-family")?;
    }
    writeln!(text, "exit")?;
    text.push_str(&speaker.extra);
    Ok(text)
}

fn route_map(index: usize, origination: &Origination) -> Result<String> {
    let mut text = format!("route-map ORIGINATE-{index} permit 10\n");
    if !origination.communities.is_empty() {
        let list: Vec<String> = origination
            .communities
            .iter()
            .map(ToString::to_string)
            .collect();
        writeln!(text, " set community {}", list.join(" "))?;
    }
    if !origination.large_communities.is_empty() {
        let list: Vec<String> = origination
            .large_communities
            .iter()
            .map(ToString::to_string)
            .collect();
        writeln!(text, " set large-community {}", list.join(" "))?;
    }
    for (asn, number) in &origination.route_targets {
        writeln!(text, " set extcommunity rt {asn}:{number}")?;
    }
    if let Some(med) = origination.med {
        writeln!(text, " set metric {med}")?;
    }
    if let Some(local_pref) = origination.local_pref {
        writeln!(text, " set local-preference {local_pref}")?;
    }
    writeln!(text, "exit")?;
    Ok(text)
}

fn neighbour_config(speaker: &Speaker, neighbour: &Neighbour) -> Result<String> {
    let mut text = String::new();
    let address = neighbour.address;
    writeln!(text, " neighbor {address} remote-as {}", neighbour.asn)?;
    writeln!(text, " neighbor {address} timers connect 1")?;
    writeln!(text, " neighbor {address} advertisement-interval 0")?;
    if let Some(hold) = speaker.hold_time {
        let hold = hold.as_secs();
        writeln!(text, " neighbor {address} timers {} {hold}", hold / 3)?;
    }
    if let Some(port) = neighbour.port {
        writeln!(text, " neighbor {address} port {port}")?;
    }
    if let Some(hops) = neighbour.multihop {
        writeln!(text, " neighbor {address} ebgp-multihop {hops}")?;
    }
    if let Some(password) = &neighbour.password {
        writeln!(text, " neighbor {address} password {password}")?;
    }
    if let Some(local) = neighbour.local_address {
        writeln!(text, " neighbor {address} update-source {local}")?;
    }
    if neighbour.mode == Mode::Passive {
        writeln!(text, " neighbor {address} passive")?;
    }
    if neighbour.graceful_restart.is_some() {
        writeln!(text, " neighbor {address} graceful-restart")?;
    }
    if let Some(hops) = neighbour.ttl_security {
        writeln!(text, " neighbor {address} ttl-security hops {hops}")?;
    }
    text.push_str(&neighbour.extra.replace("{address}", &address.to_string()));
    Ok(text)
}

fn family_config(neighbour: &Neighbour) -> Result<String> {
    let mut text = String::new();
    let address = neighbour.address;
    writeln!(text, "  neighbor {address} activate")?;
    if neighbour.next_hop_self {
        writeln!(text, "  neighbor {address} next-hop-self")?;
    }
    if neighbour.route_reflector_client {
        writeln!(text, "  neighbor {address} route-reflector-client")?;
    }
    if neighbour.export == Export::Nothing {
        writeln!(text, "  neighbor {address} route-map NOTHING out")?;
    }
    match neighbour.add_path {
        AddPath::Off => writeln!(text, "  neighbor {address} disable-addpath-rx")?,
        AddPath::Receive => {}
        AddPath::Both => writeln!(text, "  neighbor {address} addpath-tx-all-paths")?,
    }
    Ok(text)
}

fn parse_sessions(text: &str) -> Result<Vec<Session>> {
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
fn parse_routes(text: &str, routes: &mut Vec<Route>) -> Result<()> {
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
