//! What BFD and the sessions of BGP learn from each other.

use std::net::SocketAddr;

use bgp::fsm::BfdState;
use bgp::session::PeerStatus;
use rib::PeerId;
use routelet_core::bfd::{Action, BgpSession, Ends, Input, Level, Wanted};

use super::Peers;
use super::bfd::BfdSessions;
use crate::run::rib_thread::{Command, Stopped};

impl Peers {
    /// Goes over to what is wanted of BFD with a peer, and shows the peer.
    pub(super) fn show(&mut self, id: PeerId) {
        let input = match self.machine.peer(id) {
            None => Input::Removed(id),
            Some(peer) => {
                let session = peer.run.running();
                if session.is_none() {
                    self.bfd.handle(Input::Session(id, BgpSession::Down));
                }
                let wanted = session.and_then(|s| Wanted::new(&peer.intent, s.settings()));
                Input::Peer(id, wanted)
            }
        };
        self.bfd.handle(input);
        self.put(id);
    }

    /// Does what is to be done for BFD.
    pub(super) async fn carry_out_bfd(&mut self) -> Result<(), Stopped> {
        for action in std::mem::take(&mut self.bfd.actions) {
            match action {
                Action::Route(user, router) => self.bfd.route(user, router),
                Action::Set(user, wanted) => self.bfd.set(user, wanted),
                Action::Bgp(id, level) => {
                    if let Some(session) = self.sessions.get(&id) {
                        session.bfd(bfd_state(level));
                    }
                }
                Action::EndRetention(id) => {
                    self.rib.send(Command::EndRetention(id)).await?;
                }
            }
        }
        Ok(())
    }
}

impl BfdSessions {
    /// The BGP session of a peer is in another state.
    pub(super) fn session_changed(&mut self, id: PeerId, status: &PeerStatus) {
        self.handle(Input::Session(id, bgp_session(status)));
    }
}

/// How a BGP session is, as far as it counts for BFD.
fn bgp_session(status: &PeerStatus) -> BgpSession {
    let ends = |local: SocketAddr| Ends {
        local: local.ip().to_canonical(),
        interface: match local {
            SocketAddr::V6(local) => Some(local.scope_id()).filter(|index| *index != 0),
            SocketAddr::V4(_) => None,
        },
    };
    match (&status.session, status.awaits_bfd) {
        (Some(session), _) => BgpSession::Established(ends(session.local)),
        (None, Some(local)) => BgpSession::AwaitsBfd(ends(local)),
        (None, None) => BgpSession::Down,
    }
}

/// The level in the words of the state machine of BGP.
pub(super) const fn bfd_state(level: Level) -> BfdState {
    match level {
        Level::Unknown => BfdState::Unknown,
        Level::Up => BfdState::Up,
        Level::Down { retain } => BfdState::Down { retain },
        Level::AdminDown => BfdState::AdminDown,
    }
}
