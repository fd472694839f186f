//! `routelet drain`: takes the node's traffic away before it goes down for work, and brings it back.

use super::screen::Screen;
use crate::control::Client;
use crate::control::protocol::Command;

/// Move traffic away from this node, without ending a session
///
/// Every route is told again with the community graceful-shutdown (RFC 8326) and, to internal peers, local preference 0.
/// Routers that honour it move traffic to other nodes before the node goes. A restart of the agent ends the drain.
#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// Bring the traffic back
    #[arg(long)]
    undo: bool,
}

impl Drain {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        client.perform(Command::Drain { drain: !self.undo })?;
        screen.note(if self.undo {
            "The drain is over: routes are told as before."
        } else {
            "Draining: peers are told to take their traffic elsewhere. `routelet drain --undo` brings it back."
        })?;
        Ok(())
    }
}
