//! The ports at which control packets arrive: bound when needed, and tried again when another daemon has them.

use std::io;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::status::PortStatus;
use super::{filter, sockets};
use crate::sessions::{Hops, SessionKey};

/// Until a port or an address that could not be bound is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// One port of one family.
#[derive(Debug)]
pub(super) struct Port {
    is_v4: bool,
    pub(super) hops: Hops,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No session needs it.
    Unneeded,
    Open(Socket),
    Failed {
        error: io::ErrorKind,
        again: Instant,
    },
}

impl Port {
    /// All ports, none of them bound.
    pub(super) fn all() -> [Self; 4] {
        let families = [
            (true, Hops::Single),
            (false, Hops::Single),
            (true, Hops::Multi),
            (false, Hops::Multi),
        ];
        families.map(|(is_v4, hops)| Self {
            is_v4,
            hops,
            state: State::Unneeded,
        })
    }

    /// A session begins. What is bound once stays so.
    pub(super) fn need(&mut self, now: Instant, key: &SessionKey) {
        let is_meant = self.is_v4 == key.local.is_ipv4() && self.hops == key.hops;
        if is_meant && matches!(self.state, State::Unneeded) {
            self.bind(now);
        }
    }

    /// When [`Port::retry`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Failed { again, .. } => Some(again),
            State::Unneeded | State::Open(_) => None,
        }
    }

    pub(super) fn retry(&mut self, now: Instant) {
        if self.deadline().is_some_and(|again| again <= now) {
            self.bind(now);
        }
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        match &self.state {
            State::Open(socket) => Some(socket),
            State::Unneeded | State::Failed { .. } => None,
        }
    }

    pub(super) fn status(&self) -> Option<PortStatus> {
        let (error, dropped) = match &self.state {
            State::Unneeded => return None,
            State::Open(socket) => (None, filter::dropped(socket)),
            State::Failed { error, .. } => (Some(*error), 0),
        };
        Some(PortStatus {
            is_v4: self.is_v4,
            port: sockets::port(self.hops),
            error,
            dropped,
        })
    }

    fn bind(&mut self, now: Instant) {
        self.state = match sockets::receiver(self.is_v4, self.hops) {
            Ok(socket) => State::Open(socket),
            Err(error) => State::Failed {
                error: error.kind(),
                again: now + RETRY,
            },
        };
    }
}
