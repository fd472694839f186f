//! A rack on one machine, in network namespaces, and the demonstration that runs in it.
//!
//! ```text
//!            client 198.51.100.10
//!           /                    \
//!     tor-a (BIRD, AS 64500)    tor-b (FRR, AS 64501)
//!      | switch a                | switch b
//!   node-1   node-2   node-3   each with eth0 at switch a, eth1 at switch b, running routelet (AS 64512)
//!   pod-1    pod-2    pod-3    each behind its node, out of the node's pod CIDRs
//! ```
//!
//! The routers' configuration stands in `routers/`, what the nodes run in `manifests/`: both are what one would use on
//! real machines.

mod demo;
mod nodes;
mod rack;
mod routers;
mod screen;
mod stream;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A rack of BGP routers and Kubernetes nodes in network namespaces on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the main job from sessions to packets, and a router that dies; cleans up.
    Demo,
    /// Builds the same rack and leaves it running until Enter is pressed, to look around in.
    Up,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo => demo::run(),
        Command::Up => demo::up(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::failed(&error);
            ExitCode::FAILURE
        }
    }
}
