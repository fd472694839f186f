//! What a peer's BFD session says of the path, and what a peer makes of it.

use std::time::Duration;

/// How a peer uses its BFD session. A change ends no session; `strict` takes effect with the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdConfig {
    /// No session before BFD is up, if the peer wants that too (draft-ietf-idr-bgp-bfd-strict-mode). With a peer that does
    /// not, as without.
    pub strict: bool,
    /// How long an agreed session waits for BFD in strict mode. `None`: for as long as the hold timer lets it.
    pub hold_time: Option<Duration>,
}

impl Default for BfdConfig {
    /// Not strict; 30 s, as the draft recommends.
    fn default() -> Self {
        Self {
            strict: false,
            hold_time: Some(Duration::from_secs(30)),
        }
    }
}

/// The state of a peer's BFD session, as a level: saying the same again changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BfdState {
    /// There is none, or nothing is known of it.
    #[default]
    Unknown,
    /// It is down. A failure only where it was up before: a peer without BFD is never up.
    Down {
        /// Whether the failure may be no more than a restart of the peer: see
        /// [`Cease::BfdDown`](super::Cease::BfdDown).
        retain: bool,
    },
    /// It is up.
    Up,
    /// The peer has switched it off, which says nothing of the path (RFC 5882 section 3.2).
    AdminDown,
}

impl BfdState {
    /// Whether strict mode lets a session be Established (RFC 5882 section 4.1: not prevented by AdminDown).
    pub(super) const fn permits_session(self) -> bool {
        match self {
            Self::Up | Self::AdminDown => true,
            Self::Unknown | Self::Down { .. } => false,
        }
    }
}
