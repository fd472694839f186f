//! Tests of many sessions.

#![allow(clippy::unwrap_used)]

mod reception;
mod users;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::auth::{Authentication, Key, Kind};
use crate::packet::{ControlPacket, Diagnostic, Discard, Interval, Sequence, State, decode};
use crate::session::{DownReason, EchoPacket, LocalFailure, Parameters, Role};

const SECOND: Duration = Duration::from_secs(1);

fn parameters(millis: u32, mult: u8) -> Parameters {
    Parameters::new(Interval::from_millis(millis), NonZeroU8::new(mult).unwrap())
}

fn request(millis: u32) -> Request {
    Request::new(parameters(millis, 3))
}

fn id(number: u64) -> UserId {
    UserId {
        number,
        generation: 0,
    }
}

fn key(remote: &str) -> SessionKey {
    let remote: std::net::IpAddr = remote.parse().unwrap();
    SessionKey {
        local: if remote.is_ipv4() {
            "10.0.0.1"
        } else {
            "fe80::1"
        }
        .parse()
        .unwrap(),
        remote,
        interface: NonZeroU32::new(2),
        hops: Hops::Single,
    }
}

fn arrival(key: &SessionKey) -> Arrival {
    Arrival {
        local: key.local,
        remote: key.remote,
        interface: key.interface,
        ttl: 255,
        hops: key.hops,
    }
}

struct Rig {
    sessions: Sessions,
    now: Instant,
    out: Actions,
    /// By user: what was reported last.
    levels: std::collections::BTreeMap<UserId, UserLevel>,
}

impl Rig {
    fn new() -> Self {
        Self {
            sessions: Sessions::new(Random::from_number(1)),
            now: Instant::now(),
            out: Actions::new(),
            levels: std::collections::BTreeMap::new(),
        }
    }

    /// Sets what a user wants, in its first generation.
    fn set(&mut self, user: u64, key: SessionKey, request: Request) {
        let wanted = Some((key, request));
        self.sessions.set(self.now, id(user), wanted, &mut self.out);
    }

    fn states(&mut self) -> Vec<UserState> {
        let mut states = Vec::new();
        self.sessions.report(&mut states);
        states
    }

    fn remove(&mut self, user: u64) {
        self.sessions.set(self.now, id(user), None, &mut self.out);
    }

    fn receive(&mut self, arrival: &Arrival, packet: &ControlPacket) {
        let now = self.now;
        self.sessions
            .receive(now, arrival, &packet.encode(), &mut self.out);
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.sessions.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.sessions.expire(self.now, &mut self.out);
            self.sessions.transmit(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn state(&self, key: &SessionKey) -> Option<State> {
        let found = self.sessions.iter().find(|view| view.key == *key);
        found.map(|view| view.session.state())
    }

    fn discriminator(&self, key: &SessionKey) -> Option<Discriminator> {
        let found = self.sessions.iter().find(|view| view.key == *key);
        found.map(|view| view.session.discriminator())
    }

    fn discarded(&self) -> Vec<(Discard, u64)> {
        let discards = self.sessions.discards().iter();
        discards.filter(|(_, count)| *count > 0).collect()
    }

    /// The levels that have changed since the last look, but for [`UserLevel::NotYetUp`]. Forgets what was put out.
    fn reported(&mut self) -> Vec<(u64, UserLevel)> {
        self.out.clear();
        let mut reported = Vec::new();
        for state in self.states() {
            let before = self.levels.insert(state.user, state.state);
            if before != Some(state.state) && state.state != UserLevel::NotYetUp {
                reported.push((state.user.number, state.state));
            }
        }
        reported
    }

    fn bring_up(&mut self, key: &SessionKey) {
        for state in [State::Down, State::Init] {
            self.receive(&arrival(key), &packet(state, self.discriminator(key)));
        }
        assert_eq!(self.state(key), Some(State::Up));
    }
}

fn packet(state: State, yours: Option<Discriminator>) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        sequence: Sequence::None,
        is_control_plane_independent: false,
        is_demand: false,
        detect_mult: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(4711).unwrap(),
        your_discriminator: yours,
        desired_min_tx: Interval::SLOW,
        required_min_rx: Some(Interval::from_millis(20)),
        required_min_echo_rx: None,
    }
}
