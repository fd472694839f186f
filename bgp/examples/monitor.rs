//! Peers with one router and prints what it says: `monitor LOCAL-AS LOCAL-ID REMOTE-ADDRESS [PORT]`.
//!
//! With `listen` as the remote's prefix (`listen:192.0.2.1`) it waits to be dialled on port 179 instead.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bgp::fsm::{Cease, Config, GracefulRestartConfig, RemoteAsn, Stop};
use bgp::session::{Event, Listener, ListenerConfig, PeerKey, PeerSettings, spawn};
use bgp::types::{BgpIdentifier, Family};
use bgp::wire::{BatchPart, Routes, UpdateBatch};
use ipnet::IpNet;
use tokio::sync::mpsc;

/// What `main` returns.
type Fallible = Result<(), Box<dyn std::error::Error>>;

fn main() -> Fallible {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run(std::env::args().skip(1).collect()))
}

async fn run(arguments: Vec<String>) -> Fallible {
    let [asn, id, remote, rest @ ..] = &arguments[..] else {
        return Err("expected: LOCAL-AS LOCAL-ID [listen:]REMOTE-ADDRESS [PORT]".into());
    };
    let id: std::net::Ipv4Addr = id.parse()?;
    let mut config = Config::new(asn.parse()?, BgpIdentifier::from(id), RemoteAsn::Any, 1);
    config.graceful_restart = Some(GracefulRestartConfig {
        restart_time: Duration::from_secs(120),
        notification: true,
        families: Family::ALL.map(|family| (family, true)).to_vec(),
    });
    let listens = remote.strip_prefix("listen:");
    config.passive = listens.is_some();
    let remote: IpAddr = listens.unwrap_or(remote).parse()?;
    let mut settings = PeerSettings::new(remote, config);
    if let Some(port) = rest.first() {
        settings.session.port = port.parse()?;
    }
    // Nobody is a candidate without ranges.
    let (candidates, _) = mpsc::channel(1);
    let any: SocketAddr = if remote.is_ipv4() {
        "0.0.0.0:179".parse()?
    } else {
        "[::]:179".parse()?
    };
    let config = ListenerConfig {
        ranges: Vec::new(),
        passwords: Vec::new(),
        candidates,
        admissions: Arc::default(),
    };
    let listening = Listener::bind(&[any]).and_then(|bound| bound.listen(config));
    let listener = match listening {
        Ok(listener) => listener,
        Err(error) if !settings.session.protocol.passive => {
            eprintln!("{error}; dialling only");
            Listener::none()
        }
        Err(error) => return Err(error.into()),
    };
    // Two dozen batches: more would only hide that printing is slow.
    let (sender, mut events) = mpsc::channel(24);
    let peer = spawn(PeerKey(0), settings, &listener, sender, None)?;
    listener.start_accepting();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => print(&event),
                None => return Ok(()),
            },
            _ = tokio::signal::ctrl_c() => {
                peer.stop(Stop::Cease(Cease::Shutdown("monitor ends".to_owned())));
                peer.stopped().await;
                println!("{:?}", peer.counters());
                return Ok(());
            }
        }
    }
}

fn print(event: &Event) {
    match event {
        Event::Established {
            negotiated,
            local,
            remote,
            ..
        } => println!("established {local} {remote} {negotiated:?}"),
        Event::Updates { updates, .. } => {
            for part in updates.parts() {
                println!("update {part:?} {:?}", prefixes(updates, &part));
            }
        }
        Event::RouteRefresh { refresh, .. } => println!("refresh {refresh:?}"),
        Event::Writable { .. } => println!("writable"),
        Event::Down { reason, .. } => println!("down: {reason}"),
    }
}

fn prefixes(updates: &UpdateBatch, part: &BatchPart<'_>) -> Vec<IpNet> {
    match part {
        BatchPart::Unreach(routes) | BatchPart::Reach { routes, .. } => match routes.clone() {
            Routes::Ipv4(range) => updates.ipv4()[range]
                .iter()
                .map(|nlri| nlri.prefix.into())
                .collect(),
            Routes::Ipv6(range) => updates.ipv6()[range]
                .iter()
                .map(|nlri| nlri.prefix.into())
                .collect(),
        },
        BatchPart::EndOfRib(_) => Vec::new(),
    }
}
