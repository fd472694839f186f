//! What is known of the remote system.

use std::num::NonZeroU8;

use crate::packet::{ControlPacket, Diagnostic, Discriminator, Interval, State};

/// The variables of RFC 5880 6.8.1 that a received packet sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// bfd.RemoteDiscr.
    pub(super) discriminator: Option<Discriminator>,
    /// bfd.RemoteSessionState.
    pub(super) state: State,
    pub(super) diagnostic: Diagnostic,
    /// bfd.RemoteMinRxInterval; `None` is 0.
    pub(super) required_min_rx: Option<Interval>,
    /// bfd.RemoteDemandMode.
    pub(super) is_demand: bool,
    pub(super) desired_min_tx: Interval,
    pub(super) detect_mult: NonZeroU8,
    pub(super) required_min_echo_rx: Option<Interval>,
    pub(super) is_control_plane_independent: bool,
}

impl Remote {
    /// Nothing was heard yet (RFC 5880 6.8.1), or not for a detection time (6.8.1 and 6.8.18).
    pub(super) const UNKNOWN: Self = Self {
        discriminator: None,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        required_min_rx: Some(Interval::LEAST),
        is_demand: false,
        desired_min_tx: Interval::SLOW,
        detect_mult: NonZeroU8::MIN,
        required_min_echo_rx: None,
        is_control_plane_independent: false,
    };

    /// As a packet says.
    pub(super) fn of(packet: &ControlPacket) -> Self {
        Self {
            discriminator: Some(packet.my_discriminator),
            state: packet.state,
            diagnostic: packet.diagnostic,
            required_min_rx: packet.required_min_rx,
            is_demand: packet.is_demand,
            desired_min_tx: packet.desired_min_tx,
            detect_mult: packet.detect_mult,
            required_min_echo_rx: packet.required_min_echo_rx,
            is_control_plane_independent: packet.is_control_plane_independent,
        }
    }
}
