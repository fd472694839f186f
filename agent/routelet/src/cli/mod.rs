//! The command line: one file per command.
//!
//! A command is a `clap::Args` struct with `fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()>`,
//! and one row in [`Command`]. It asks the agent for the model ([`routelet_control::model`]) and shows it: as a table
//! for people, or as it is (`-o json`, `-o yaml`) for programs. No command computes anything that the model does not
//! hold.

mod check;
mod cluster_args;
mod cni_args;
mod completions;
mod controller;
mod crds;
mod drain;
mod explain;
mod fib;
#[cfg(test)]
mod hostile_tests;
mod http_arg;
mod log_args;
mod peer;
mod peers;
mod prefix;
mod routes;
mod run;
mod screen;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use routelet_base::printable;
use routelet_control::{Client, DEFAULT_SOCKET};

use crate::reasons;
use screen::{Format, Screen};

/// Routelet advertises this node's pods and Services to routers and other nodes by BGP, and installs the routes that it
/// learns.
#[derive(Debug, Parser)]
#[command(
    name = "routelet",
    version,
    max_term_width = 100,
    propagate_version = true
)]
struct Cli {
    /// The agent's control socket
    #[arg(long, global = true, value_name = "PATH", env = "ROUTELET_CONTROL", default_value = DEFAULT_SOCKET)]
    control: PathBuf,

    /// The output format
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    output: Format,

    #[command(subcommand)]
    command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Controller(controller::Controller),
    Status(status::Status),
    Peers(peers::Peers),
    Routes(routes::Routes),
    Fib(fib::Fib),
    Explain(explain::Explain),
    Drain(drain::Drain),
    Peer(peer::Peer),
    Check(check::Check),
    Crds(crds::Crds),
    Completions(completions::Completions),
}

/// Does what the command line asks and says how that went: the whole binary.
///
/// 0: done. 1: not done, and standard error says why. 2: the command line is wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut screen = Screen::standard(cli.output);
    match cli.run(&mut screen).and_then(|()| Ok(screen.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on (`| head`): that is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("routelet: {}", printable::line(&reasons::chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn run(&self, screen: &mut Screen) -> anyhow::Result<()> {
        let client = Client::new(&self.control);
        match &self.command {
            Command::Run(command) => command.run(&self.control),
            Command::Controller(command) => command.run(),
            Command::Status(command) => command.run(&client, screen),
            Command::Peers(command) => command.run(&client, screen),
            Command::Routes(command) => command.run(&client, screen),
            Command::Fib(command) => command.run(&client, screen),
            Command::Explain(command) => command.run(&client, screen),
            Command::Drain(command) => command.run(&client, screen),
            Command::Peer(command) => command.run(&client, screen),
            Command::Check(command) => command.run(screen),
            Command::Crds(command) => command.run(screen),
            Command::Completions(command) => command.run(screen),
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
