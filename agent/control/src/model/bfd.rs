//! The BFD session of a peer (RFC 5880).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::SessionError;

/// The BFD session of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BfdSession {
    /// The state of this side (RFC 5880 section 6.2); absent while there is no session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BfdSessionState>,
    /// Why there is no session, or why it has not the settings that are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Our address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_address: Option<IpAddr>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<IpAddr>,
    /// Over several hops (RFC 5883), or over one (RFC 5881).
    #[serde(default)]
    pub multihop: bool,
    /// The state of the peer's side, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_state: Option<BfdSessionState>,
    /// Milliseconds between two of our packets; absent while none are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transmit_interval_milliseconds: Option<u64>,
    /// Milliseconds without a packet after which the path is down; absent while the peer is not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_time_milliseconds: Option<u64>,
    /// How often it went down after it was up.
    #[serde(default)]
    pub downs: u32,
    /// Why it went down last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_down: Option<SessionError>,
}

impl BfdSession {
    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.state == Some(BfdSessionState::Up)
    }
}

/// The state of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BfdSessionState {
    /// Switched off by an operator.
    AdminDown,
    /// The other side is not heard, or says that it is down.
    Down,
    /// The other side is heard, and does not hear this one yet.
    Init,
    /// Each side hears the other.
    Up,
}

impl fmt::Display for BfdSessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}
