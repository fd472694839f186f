//! The six states of RFC 4271 section 8.2.2, as people and metrics see them.

use std::fmt;

/// The state of a peer: that of its most advanced connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not started, or waiting after an error.
    #[default]
    Idle,
    /// Waiting for TCP to connect.
    Connect,
    /// Waiting for the peer to dial, or for the next attempt.
    Active,
    /// OPEN sent, waiting for the peer's.
    OpenSent,
    /// OPENs agreed, waiting for a KEEPALIVE.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// The RFC's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
