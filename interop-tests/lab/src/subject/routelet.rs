//! Routelet itself: `routelet run` on a directory of manifests, asked by `routelet -o json`.
//!
//! The description becomes manifests as a user would write them: one `Router` for the node, a `Peer` for each
//! neighbour, an `Advertisement` for each prefix with its attributes. A neighbour to which nothing is advertised has an
//! export policy that rejects all.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Daemon;
use super::host::Host;
use crate::answers::{Origin, Route, Session, State, as_path};
use crate::probe::kernel;
use crate::process::Process;
use crate::speaker::{AddPath, Export, Family, Listen, Mode, Neighbour, Origination, Speaker};

/// The name of the one node of a subject's manifests.
const NODE: &str = "subject";

#[derive(Debug)]
pub(super) struct Routelet;

/// The binary under test: `ROUTELET_BIN`, else beside the folder of the test that runs.
///
/// # Errors
/// It is not there.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROUTELET_BIN") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "ROUTELET_BIN names {}, which is no file",
            path.display()
        );
        return Ok(path);
    }
    // Tests run from target/<profile>/deps, examples and binaries from a folder beside or above it.
    let own = std::env::current_exe().context("the path of the running test")?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("routelet"))
        .find(|path| path.is_file())
        .context("needs the binary routelet: run `cargo build -p routelet`, or set ROUTELET_BIN")
}

impl Daemon for Routelet {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        let folder = PathBuf::from(host.path("manifests"));
        std::fs::create_dir_all(&folder)?;
        // One file, replaced as a whole by a rename: the agent never reads half of it.
        let text = manifests(host, speaker)?;
        host.write("subject.yaml.new", &text)?;
        std::fs::rename(host.path("subject.yaml.new"), folder.join("subject.yaml"))?;
        Ok(())
    }

    fn launch(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Process>> {
        let binary = binary()?;
        let (manifests, socket) = (host.path("manifests"), host.path("control.sock"));
        let program = binary.to_string_lossy();
        let mut argv = vec![&*program, "run", "--manifests", &manifests];
        argv.extend(["--node", NODE, "--control", &socket]);
        Ok(vec![host.spawn("routelet", &argv)?])
    }

    fn ready(&self, host: &Host) -> Result<()> {
        // It answers before it listens and has peers.
        let status: Value = ask(host, &["status"])?;
        ensure!(!status["intentChangedSeconds"].is_null(), "{status}");
        Ok(())
    }

    /// The agent watches its manifests: there is nothing to tell it.
    fn reload(&self, _host: &Host, _old: &Speaker, _new: &Speaker) -> Result<()> {
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        let peers: Vec<Peer> = ask(host, &["peers"])?;
        peers
            .into_iter()
            .filter_map(|peer| Some((peer.address?, peer)))
            .map(|(address, peer)| session(address, peer))
            .collect()
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        let peers: Vec<Peer> = ask(host, &["peers"])?;
        let received: Vec<Shown> = ask(host, &["routes", "received"])?;
        let best: Vec<Shown> = ask(host, &["routes", "best"])?;
        // What it originates is in the Loc-RIB only; everything else was received.
        let own = best.into_iter().filter(|route| route.peer.is_none());
        received
            .into_iter()
            .chain(own)
            .filter(|route| Family::of(route.prefix) == family)
            .map(|shown| route(shown, &peers))
            .collect()
    }
}

/// What a command prints.
pub(super) fn say(host: &Host, words: &[&str]) -> Result<String> {
    let (binary, socket) = (binary()?, host.path("control.sock"));
    let program = binary.to_string_lossy();
    let mut argv = vec![&*program];
    argv.extend(words);
    argv.extend(["--control", &socket]);
    host.ask(&argv)
}

pub(super) fn ask<T: DeserializeOwned>(host: &Host, question: &[&str]) -> Result<T> {
    let text = say(host, &[&["-o", "json"], question].concat())?;
    serde_json::from_str(&text).with_context(|| format!("JSON of `routelet {question:?}`: {text}"))
}

fn manifests(host: &Host, speaker: &Speaker) -> Result<String> {
    let mut objects = vec![node(host)?, router(speaker)];
    for (index, neighbour) in speaker.neighbours.iter().enumerate() {
        objects.push(peer(host, speaker, index, neighbour)?);
    }
    for (index, origination) in speaker.originate.iter().enumerate() {
        objects.push(advertisement(index, origination));
    }
    objects.push(object(
        "RoutePolicy",
        "nothing",
        json!({"rules": [{"name": "all", "action": "Reject"}]}),
    ));
    // JSON is YAML; each object is a document.
    let documents = objects
        .iter()
        .map(serde_json::to_string_pretty)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("\n---\n") + "\n" + &speaker.extra)
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "routelet.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// The node, with the addresses that its namespace has.
fn node(host: &Host) -> Result<Value> {
    let addresses: Vec<Value> = kernel::addresses(host.namespace())?
        .into_iter()
        .map(|one| json!({"type": "InternalIP", "address": one.address.addr()}))
        .collect();
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE},
        "spec": {},
        "status": {"addresses": addresses},
    }))
}

fn router(speaker: &Speaker) -> Value {
    let listen = match speaker.listen {
        Listen::Port(port) => json!({"port": port}),
        Listen::Never => json!({"enabled": false}),
    };
    let restart = speaker
        .neighbours
        .iter()
        .filter_map(|n| n.graceful_restart)
        .max();
    let restart = match restart {
        Some(time) => json!({"restartTime": format!("{}s", time.as_secs())}),
        None => json!({"enabled": false}),
    };
    object(
        "Router",
        "default",
        json!({
            "asn": speaker.asn,
            "routerID": speaker.router_id,
            "listen": listen,
            "mesh": {"enabled": false},
            "gracefulRestart": restart,
            "fib": {"enabled": speaker.install, "maxRoutes": speaker.max_routes},
            "transit": true,
        }),
    )
}

fn peer(host: &Host, speaker: &Speaker, index: usize, neighbour: &Neighbour) -> Result<Value> {
    let mut spec = json!({
        "address": neighbour.address,
        "asn": neighbour.asn,
        "passive": neighbour.mode == Mode::Passive,
        "families": neighbour.families.iter().map(ToString::to_string).collect::<Vec<_>>(),
        // What one row of a lab did must not delay the next. Labs about just that say otherwise.
        "timers": {"connectRetry": "1s", "idleHold": "0s"},
    });
    if let Some(hold) = speaker.hold_time {
        spec["timers"]["hold"] = json!(format!("{}s", hold.as_secs()));
    }
    if let Some(port) = neighbour.port {
        spec["port"] = json!(port);
    }
    if let Some(hops) = neighbour.multihop {
        spec["ebgpMultihop"] = json!(hops);
    }
    if let Some(hops) = neighbour.ttl_security {
        spec["ttlSecurity"] = json!({"hops": hops});
    }
    if !neighbour.extra.is_empty() {
        let extra: Value = serde_json::from_str(&neighbour.extra)
            .with_context(|| format!("JSON of fields of a Peer: {}", neighbour.extra))?;
        for (field, value) in extra.as_object().context("an object of fields of a Peer")? {
            spec[field] = value.clone();
        }
    }
    if let Some(password) = &neighbour.password {
        let file = format!("password-{index}");
        host.write(&file, password)?;
        spec["password"] = json!({"file": host.path(&file)});
    }
    if let Some(local) = neighbour.local_address {
        spec["localAddress"] = json!(local);
    }
    match neighbour.add_path {
        AddPath::Off => {}
        AddPath::Receive => spec["addPath"] = json!({"receive": true}),
        AddPath::Both => bail!("Routelet understands several paths but sends one"),
    }
    if neighbour.next_hop_self {
        spec["nextHopSelf"] = json!(true);
    }
    if neighbour.route_reflector_client {
        spec["routeReflectorClient"] = json!(true);
    }
    spec["gracefulRestart"] = json!(neighbour.graceful_restart.is_some());
    if neighbour.export == Export::Nothing {
        spec["export"] = json!(["nothing"]);
    }
    Ok(object("Peer", &format!("n{index}"), spec))
}

fn advertisement(index: usize, origination: &Origination) -> Value {
    let communities: Vec<String> = origination
        .communities
        .iter()
        .map(ToString::to_string)
        .chain(
            origination
                .large_communities
                .iter()
                .map(ToString::to_string),
        )
        .chain(
            origination
                .route_targets
                .iter()
                .map(|(asn, number)| format!("rt:{asn}:{number}")),
        )
        .collect();
    let mut attributes = json!({"communities": communities});
    if let Some(med) = origination.med {
        attributes["med"] = json!(med);
    }
    if let Some(local_pref) = origination.local_pref {
        attributes["localPreference"] = json!(local_pref);
    }
    object(
        "Advertisement",
        &format!("a{index}"),
        json!({"prefixes": [origination.prefix], "attributes": attributes}),
    )
}

/// What `routelet -o json peers` shows of a peer, as far as tests ask.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    name: String,
    address: Option<IpAddr>,
    asn: Option<u32>,
    state: String,
    state_seconds: u64,
    #[serde(default)]
    families: Vec<PeerFamily>,
    last_down: Option<SessionError>,
    last_connect_error: Option<SessionError>,
}

#[derive(Deserialize)]
struct PeerFamily {
    family: String,
    negotiated: bool,
    received: u64,
}

#[derive(Deserialize)]
struct SessionError {
    text: String,
}

fn session(neighbour: IpAddr, peer: Peer) -> Result<Session> {
    let state: State = peer.state.parse()?;
    let established = state == State::Established;
    let families = peer
        .families
        .iter()
        .filter(|one| established && one.negotiated)
        .filter_map(|one| match one.family.as_str() {
            "ipv4-unicast" => Some(Family::Ipv4),
            "ipv6-unicast" => Some(Family::Ipv6),
            _ => None,
        })
        .collect();
    Ok(Session {
        neighbour,
        asn: peer.asn,
        state,
        uptime: established.then(|| Duration::from_secs(peer.state_seconds)),
        families,
        received: established.then(|| peer.families.iter().map(|one| one.received).sum()),
        last_error: peer
            .last_down
            .or(peer.last_connect_error)
            .map(|error| error.text),
    })
}

/// What `routelet -o json routes` shows of a path, as far as tests ask.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    prefix: ipnet::IpNet,
    peer: Option<String>,
    state: String,
    #[serde(default)]
    stale: bool,
    next_hop: Option<IpAddr>,
    next_hop_link_local: Option<IpAddr>,
    path_id: Option<u32>,
    #[serde(default)]
    as_path: String,
    origin: String,
    med: Option<u32>,
    local_preference: Option<u32>,
    #[serde(default)]
    communities: Vec<String>,
    #[serde(default)]
    large_communities: Vec<String>,
    #[serde(default)]
    extended_communities: Vec<String>,
    originator_id: Option<IpAddr>,
    #[serde(default)]
    cluster_list: Vec<IpAddr>,
}

fn route(shown: Shown, peers: &[Peer]) -> Result<Route> {
    let mut route = Route::new(shown.prefix);
    route.best = shown.state == "best";
    route.stale = shown.stale;
    route.from = shown
        .peer
        .and_then(|name| peers.iter().find(|peer| peer.name == name)?.address);
    route.next_hops = shown
        .next_hop
        .into_iter()
        .chain(shown.next_hop_link_local)
        .collect();
    route.as_path = as_path(&shown.as_path);
    route.origin = Some(shown.origin.parse::<Origin>()?);
    route.med = shown.med;
    route.local_pref = shown.local_preference;
    route.path_id = shown.path_id;
    route.originator_id = shown.originator_id;
    route.cluster_list = shown.cluster_list;
    for community in shown.communities {
        route.communities.insert(community.parse()?);
    }
    for community in shown.large_communities {
        route.large_communities.insert(community.parse()?);
    }
    route.extended_communities = shown.extended_communities.into_iter().collect();
    Ok(route)
}
