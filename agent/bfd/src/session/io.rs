//! What goes into a [`Session`](super::Session) and what comes out of it.

use std::time::Duration;

use super::Parameters;
use crate::packet::{Datagram, Decoded, Diagnostic, Discard, State};

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A packet of this session that passed the checks which need no session.
    Received(&'a Decoded<'a>),
    /// An Echo packet of this session came back.
    EchoReturned(EchoPacket),
    /// The time of [`Session::deadline`](super::Session::deadline) has come.
    DeadlineReached,
    /// The time of [`Session::may_send_from`](super::Session::may_send_from) has come. Nothing expires by it.
    Transmit,
    /// Send the latest packet once more.
    Repeat,
    /// Go over to other parameters, without a change of the state.
    Configure(Parameters),
    /// Hold the session down (RFC 5880 6.8.16).
    Disable,
    /// Do not hold it down any more (RFC 5880 6.8.16).
    Enable,
    /// This end knows of a failure itself.
    LocalFailure(LocalFailure),
}

/// What this end may know to have failed, without BFD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalFailure {
    /// The interface is down, or has no carrier (RFC 5880 6.8.17).
    Path,
    /// The forwarding plane lost its state (RFC 5880 6.8.15).
    ForwardingPlaneReset,
    /// A path that this one is part of has failed (RFC 5880 6.8.17).
    ConcatenatedPath,
    /// Likewise, in the other direction.
    ReverseConcatenatedPath,
}

/// Something to do, or to know. To be carried out in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the port of control packets.
    Send(Datagram),
    /// Send this so that the remote system returns it (RFC 5880 6.8.9).
    SendEcho(EchoPacket),
    /// The session is Up.
    Up,
    /// The session was Up, and is not any more.
    Down(DownReason),
    /// The [`Status`] has changed without one of the two: other intervals, or another state of the remote
    /// system.
    Changed,
    /// The packet was discarded.
    Discarded(Discard),
}

/// Outputs in the order in which they must be carried out.
pub type Outputs = Vec<Output>;

/// Why a session that was Up is not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// No packet came for the detection time (RFC 5880 6.8.4).
    DetectionTimeExpired,
    /// Echo packets did not come back (RFC 5880 6.8.5).
    EchoFailed,
    /// The remote system said Down, for this reason of its own: it does not hear us, or was restarted.
    NeighborSignaledDown(Diagnostic),
    /// The remote system's operator took the session down. That is no failure of the path (RFC 5882 3.2).
    NeighborAdminDown,
    /// We took the session down. That is no failure of the path (RFC 5882 3.2).
    AdminDown,
    /// This end knew of a failure itself.
    Local(LocalFailure),
}

impl DownReason {
    /// What our packets say of it (RFC 5880 4.1).
    pub fn diagnostic(self) -> Diagnostic {
        match self {
            Self::DetectionTimeExpired => Diagnostic::DETECTION_TIME_EXPIRED,
            Self::EchoFailed => Diagnostic::ECHO_FAILED,
            Self::NeighborSignaledDown(_) | Self::NeighborAdminDown => {
                Diagnostic::NEIGHBOR_SIGNALED_DOWN
            }
            Self::AdminDown => Diagnostic::ADMIN_DOWN,
            Self::Local(LocalFailure::Path) => Diagnostic::PATH_DOWN,
            Self::Local(LocalFailure::ForwardingPlaneReset) => Diagnostic::FORWARDING_PLANE_RESET,
            Self::Local(LocalFailure::ConcatenatedPath) => Diagnostic::CONCATENATED_PATH_DOWN,
            Self::Local(LocalFailure::ReverseConcatenatedPath) => {
                Diagnostic::REVERSE_CONCATENATED_PATH_DOWN
            }
        }
    }

    /// Whether an operator wanted it, so that the path may well be fine (RFC 5882 3.2).
    pub fn is_administrative(self) -> bool {
        matches!(self, Self::NeighborAdminDown | Self::AdminDown)
    }
}

/// What a session shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Our state.
    pub state: State,
    /// Why it last changed.
    pub diagnostic: Diagnostic,
    /// The remote system's state, as of its last packet. AdminDown also means: no failure of the path (RFC 5882 3.2).
    pub remote_state: State,
    /// Why the remote system's state last changed.
    pub remote_diagnostic: Diagnostic,
    /// C of the remote system: its BFD survives a restart of its control plane (RFC 5882 4.3).
    pub is_remote_control_plane_independent: bool,
    /// Between two of our packets, before jitter; `None` while none are sent periodically.
    pub transmit_interval: Option<Duration>,
    /// How long the remote system may be silent; `None` while it is not heard.
    pub detection_time: Option<Duration>,
    /// How long the remote system tolerates silence of ours, as far as can be seen from here.
    pub remote_detection_time: Duration,
    /// Between two Echo packets, before jitter; `None` while none are sent.
    pub echo_interval: Option<Duration>,
}

/// An Echo packet of ours: its form is a local matter (RFC 5880 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoPacket {
    /// Our discriminator: which session.
    pub discriminator: u32,
    /// Counts up.
    pub number: u32,
    /// A number that only this end knows, so that nobody else can make the packet without having seen one.
    pub token: u64,
}

impl EchoPacket {
    /// Octets of an Echo packet.
    pub const LENGTH: usize = 16;

    /// The payload of the UDP datagram.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut octets = [0; Self::LENGTH];
        octets[..4].copy_from_slice(&self.discriminator.to_be_bytes());
        octets[4..8].copy_from_slice(&self.number.to_be_bytes());
        octets[8..].copy_from_slice(&self.token.to_be_bytes());
        octets
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Discard::Echo`]: it has another length.
    pub fn decode(payload: &[u8]) -> Result<Self, Discard> {
        let octets: [u8; Self::LENGTH] = payload.try_into().map_err(|_| Discard::Echo)?;
        let number = u128::from_be_bytes(octets);
        let word = |shift: u32| u32::try_from(number >> shift & 0xffff_ffff).unwrap_or(0);
        Ok(Self {
            discriminator: word(96),
            number: word(64),
            token: u64::from(word(32)) << 32 | u64::from(word(0)),
        })
    }
}
