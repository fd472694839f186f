//! What comes out of the machine.

use bgp::admission::ListenRange;
use bgp::fsm::Stop;
use bgp::refusal::Refusal;
use bgp::settings::PeerSettings;
use rib::{PeerConfig, PeerId};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The RIB is to know the peer and how it treats it. Comes before its session.
    SetRibPeer(PeerId, Box<PeerConfig>),
    /// Nothing waits for the first session of the peer.
    SetUnexpected(PeerId),
    /// The RIB is to forget the peer with its routes.
    RemoveRibPeer(PeerId),
    /// A session with these settings. Answered by [`Input::NotStarted`](super::Input::NotStarted) where it cannot be
    /// had.
    Start(PeerId, Box<PeerSettings>),
    /// Other settings for a session, which ends only if they need that.
    Reconfigure(PeerId, Box<PeerSettings>),
    /// The end of a session.
    Stop(PeerId, Stop),
    /// The connection of the candidate is this peer's. One without a task refuses it as [`Refusal::Blocked`].
    Accept(PeerId),
    /// The connection of the candidate is refused.
    Refuse(Refusal),
    /// The listener is to have these ranges. Answered by [`Input::RangesSet`](super::Input::RangesSet).
    SetRanges(Vec<ListenRange>),
    /// Does graceful restart keep routes of these? Answered by [`Input::KeptRoutes`](super::Input::KeptRoutes).
    AskKeptRoutes(Vec<PeerId>),
    /// What is shown of the peer is another: see [`Peering::peer`](super::Peering::peer).
    Show(PeerId),
}
