//! Writes the manifests of a large cluster: `cargo run -p large-cluster -- DIRECTORY`, and then
//! `routelet run --manifests DIRECTORY --node node-0`.

use std::path::PathBuf;

use clap::Parser;
use large_cluster::{Cluster, Layout};

/// Writes the manifests of a large cluster into a directory.
#[derive(Parser)]
struct Arguments {
    /// Where to; it is made if need be
    directory: PathBuf,
    /// How many Services; each has two EndpointSlices
    #[arg(long, default_value_t = 5_000)]
    services: usize,
    /// How many Nodes
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// What stands in one file
    #[arg(long, value_enum, default_value_t = Layout::Kind)]
    layout: Layout,
}

fn main() -> anyhow::Result<()> {
    let Arguments {
        directory,
        services,
        nodes,
        layout,
    } = Arguments::parse();
    Cluster { services, nodes }.write(&directory, layout)?;
    println!(
        "{}: {services} Services, {nodes} Nodes",
        directory.display()
    );
    Ok(())
}
