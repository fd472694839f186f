//! Reception of control packets (RFC 5880 6.8.6), behind the choice of the session.

use std::time::Instant;

use super::remote::Remote;
use super::{DownReason, Outputs, Session};
use crate::packet::{Decoded, Discard, Sequence, State};

impl Session {
    /// Takes a packet in, in the order of the RFC. Returns whether a Final has to be sent.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        received: &Decoded<'_>,
        out: &mut Outputs,
    ) -> Result<bool, Discard> {
        let number = match (&self.parameters.authentication, received.is_authenticated) {
            (None, false) => None,
            (None, true) => return Err(Discard::Authenticated),
            (Some(_), false) => return Err(Discard::NotAuthenticated),
            (Some(authentication), true) => {
                Some(authentication.verify(received, self.received_number)?)
            }
        };
        let packet = &received.packet;
        self.remote = Remote::of(packet);
        self.timing.received(packet.sequence);
        self.heard = Some(now);
        if number.is_some() {
            self.received_number = number;
            // RFC 5880 6.8.1: for at least twice the detection time.
            self.number_expires = Some(now + self.timing.detection_time(&self.remote) * 2);
        }
        match (self.state, packet.state) {
            (State::AdminDown, _) => return Err(Discard::AdminDown),
            (State::Init | State::Up, State::AdminDown) => {
                self.enter(State::Down, Some(DownReason::NeighborAdminDown), out);
            }
            (State::Down, State::Down) => self.enter(State::Init, None, out),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.enter(State::Up, None, out);
            }
            (State::Up, State::Down) => {
                let reason = DownReason::NeighborSignaledDown(packet.diagnostic);
                self.enter(State::Down, Some(reason), out);
            }
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => {}
        }
        if self.state == State::Up {
            self.was_control_plane_independent = packet.is_control_plane_independent;
        }
        Ok(packet.sequence == Sequence::Poll)
    }
}
