//! `routelet peer`: acts on one peer.

use routelet_control::Client;
use routelet_control::model::ResetKind;
use routelet_control::protocol::Command;

use super::screen::Screen;

/// Act on one peer
#[derive(Debug, clap::Args)]
pub(super) struct Peer {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Close the session, which is re-established, or (--soft) only exchange all routes again
    Reset {
        /// The peer's name, as `routelet peers` shows it
        name: String,
        /// Keep the session: run policies again, request the peer's routes, advertise ours again
        #[arg(long)]
        soft: bool,
    },
}

impl Peer {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let Action::Reset { name, soft } = &self.action;
        let kind = if *soft {
            ResetKind::Soft
        } else {
            ResetKind::Hard
        };
        client.perform(Command::ResetPeer {
            peer: name.clone(),
            kind,
        })?;
        screen.note(match kind {
            ResetKind::Soft => format!("{name}: routes are exchanged again."),
            ResetKind::Hard => format!(
                "{name}: the session is closed (Cease/Administrative Reset) and re-established automatically."
            ),
        })?;
        Ok(())
    }
}
