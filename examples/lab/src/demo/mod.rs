//! The demonstration: each step shows something and checks it, so that it cannot end well when something is wrong.

mod steps;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use interop_lab::Lab;
use interop_lab::probe::web::WebServer;

use crate::nodes::{Agent, forward_service};
use crate::rack::Rack;
use crate::routers::{Bird, Frr, file};
use crate::screen::{line, step};

/// The addresses of the Service `web`.
const SERVICE: [&str; 2] = ["203.0.113.10", "2001:db8:f::10"];

/// The rack with everything that runs in it.
struct Running<'a> {
    rack: &'a Rack,
    bird: Bird,
    frr: Frr,
    agents: Vec<Agent<'a>>,
    manifests: PathBuf,
    _servers: Vec<WebServer>,
}

/// The whole demonstration.
pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    let lab = Lab::new()?;
    let outcome = story(&lab);
    if outcome.is_err() {
        eprintln!("{}", lab.logs());
    }
    let summary = outcome?;
    drop(lab);
    println!("\nSummary");
    for text in summary {
        println!("   {text}");
    }
    println!(
        "   Everything that was created is removed. It took {} s.",
        started.elapsed().as_secs()
    );
    Ok(())
}

/// The rack without the story, until Enter is pressed.
pub(crate) fn up() -> Result<()> {
    let lab = Lab::new()?;
    let rack = Rack::build(&lab)?;
    let running = start(&lab, &rack)?;
    println!("\nThe rack is running. From another terminal, for example:");
    let node = &running.agents[0].node.namespace;
    let dir = node.dir().display();
    line(&format!(
        "export ROUTELET_CONTROL={dir}/routelet.sock    # then: routelet peers"
    ));
    line(&format!("ip netns exec {} ip route", node.name()));
    line(&format!(
        "ip netns exec {} curl http://{}/",
        rack.client.name(),
        SERVICE[0]
    ));
    line(&format!("edit {}", running.manifests.display()));
    println!("\nPress Enter to stop it.");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn story(lab: &Lab) -> Result<Vec<String>> {
    let mut summary = Vec::new();
    step(
        1,
        "A rack in network namespaces: two routers, three nodes with a pod each, a client outside",
    );
    let rack = Rack::build(lab)?;
    let running = start(lab, &rack)?;
    summary.push(running.sessions()?);
    summary.push(running.routes()?);
    summary.push(running.requests()?);
    summary.push(running.explained()?);
    summary.push(running.endpoint_lost()?);
    summary.push(running.router_killed()?);
    Ok(summary)
}

/// Starts routers, pods and agents.
fn start<'a>(lab: &Lab, rack: &'a Rack) -> Result<Running<'a>> {
    let bird = Bird::start(&rack.tor_a)?;
    line(
        "tor-a runs BIRD 2 (AS 64500), tor-b FRR (AS 64501); nodes are dynamic neighbours of both",
    );
    let frr = Frr::start(&rack.tor_b)?;
    let manifests = lab.dir().join("manifests");
    copy_manifests(&manifests)?;
    let servers = rack
        .nodes
        .iter()
        .map(|node| WebServer::start(&node.pod, 8080))
        .collect::<Result<_>>()?;
    // The Service has endpoints on the first two nodes.
    for node in &rack.nodes[..2] {
        forward_service(node)?;
    }
    let agents = rack
        .nodes
        .iter()
        .map(|node| Agent::start(node, &manifests))
        .collect::<Result<_>>()?;
    line("node-1, node-2 and node-3 run routelet (AS 64512) from one directory of manifests");
    Ok(Running {
        rack,
        bird,
        frr,
        agents,
        manifests,
        _servers: servers,
    })
}

fn copy_manifests(to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(file("manifests"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
