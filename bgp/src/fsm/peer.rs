//! A peer: at most one attempt to dial and at most two connections, one of which may be Established.

mod bfd;
mod connect;
mod messages;

use std::sync::Arc;
use std::time::Instant;

use super::connect_retry::{ConnectRetry, ConnectState};
use super::connection::{Connection, LARGE_HOLD_TIME, Phase};
use super::damping::{cause, owner_cause};
use super::{
    BfdState, Cease, Config, ConnectionId, Deadline, Down, IdleHold, Input, Negotiated, Output,
    Outputs, State, Stop, Timer,
};
use crate::wire::{Notification, NotificationCode};

/// The state machine of one peer.
///
/// Pure: it has no clock and no sockets. Call [`Peer::handle`] with every input, execute the outputs in order, and call
/// it with [`Input::DeadlineReached`] when [`Peer::deadline`] is reached.
#[derive(Clone, Debug)]
pub struct Peer {
    config: Arc<Config>,
    running: bool,
    connect_retry: ConnectRetry,
    /// At most two: one that we dialled or that is Established, and one that the peer dialled.
    connections: Vec<Connection>,
    next_id: u32,
    /// What BFD said last.
    bfd: BfdState,
    /// When the peer would be dialled next if BFD did not hold it.
    retry_without_bfd: Option<Instant>,
    /// Until when our OPENs say that we have restarted; over with the first session.
    restarting: Option<Instant>,
}

impl Peer {
    /// A peer that is not started. Until `restarting`, or its first session, its OPENs have the R bit: the process has
    /// just started and the peer need not wait for our End-of-RIB before it sends its own (RFC 4724 section 3).
    pub fn new(config: Config, restarting: Option<Instant>) -> Self {
        Self {
            connect_retry: ConnectRetry::new(config.jitter_seed),
            config: Arc::new(config),
            running: false,
            connections: Vec::with_capacity(2),
            next_id: 0,
            bfd: BfdState::default(),
            retry_without_bfd: None,
            restarting,
        }
    }

    /// The state of its most advanced connection.
    pub fn state(&self) -> State {
        if let Some(state) = self.connections.iter().map(Connection::state).max() {
            return state;
        }
        match self.connect_retry.now {
            ConnectState::Connecting { .. } => State::Connect,
            ConnectState::Off | ConnectState::Waiting { .. } if !self.running => State::Idle,
            ConnectState::Off | ConnectState::Waiting { .. } => match self.connect_retry.hold() {
                Some(_) => State::Idle,
                None => State::Active,
            },
        }
    }

    /// The connection that is agreed and waits for BFD, in strict mode.
    pub fn awaits_bfd(&self) -> Option<ConnectionId> {
        let waiting = self.connections.iter().find(|c| c.awaits_bfd())?;
        Some(waiting.id)
    }

    /// What its OPENs are made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the Established session agreed on.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        let established = |c: &&Connection| c.state() == State::Established;
        self.connections.iter().find(established)?.negotiated()
    }

    /// The earliest of all timers; `None` if nothing will happen by itself.
    pub fn deadline(&self) -> Option<Deadline> {
        let connections = self.connections.iter().filter_map(Connection::deadline);
        connections
            .chain(self.connect_retry.deadline())
            .min_by_key(|deadline| deadline.at)
    }

    /// When the peer is dialled next; `None` while it is connected, being dialled, or passive.
    pub fn next_attempt(&self) -> Option<Instant> {
        self.connect_retry.next_attempt()
    }

    /// Why, and until when, the peer is held Idle: it is not dialled, and what it dials is refused. `None` if it is not.
    pub fn idle_hold(&self) -> Option<&IdleHold> {
        self.connect_retry.hold()
    }

    /// One step. `now` never goes back. Inputs for a closed connection are ignored.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Start => self.start(now, out),
            Input::Stop(stop) => {
                self.running = false;
                self.connect_retry.forgive();
                self.end_all(now, &stop, out);
            }
            Input::Reset(cease) => self.reset(now, cease, out),
            Input::Reconfigure(config) => self.reconfigure(now, *config, out),
            Input::Connected(id) => self.connected(now, id, out),
            Input::ConnectFailed(id) => self.connect_failed(now, id, out),
            Input::Accepted => self.accepted(now, out),
            Input::Received(id, message) => self.received(now, id, message, out),
            Input::Heard(id, at) => self.with(id, |connection| connection.heard(at)),
            Input::Progressed(id, at) => self.with(id, |connection| connection.progressed(at)),
            Input::Closed(id) => self.tear_down(now, id, Down::TransportFailed, out),
            Input::Bfd(state) => self.bfd(now, state, out),
            Input::DeadlineReached => self.deadline_reached(now, out),
        }
    }

    fn start(&mut self, now: Instant, out: &mut Outputs) {
        if !self.running {
            self.running = true;
            self.connect(now, out);
        }
    }

    fn reset(&mut self, now: Instant, cease: Cease, out: &mut Outputs) {
        match cease {
            // An operator requested it: earlier failures are no reason to wait.
            Cease::Shutdown(_)
            | Cease::Reset(_)
            | Cease::Deconfigured
            | Cease::ConfigurationChange => self.connect_retry.forgive(),
            Cease::MaximumPrefixes { .. } | Cease::OutOfResources | Cease::BfdDown { .. } => {}
        }
        self.end_all(now, &Stop::Cease(cease), out);
    }

    fn reconfigure(&mut self, now: Instant, config: Config, out: &mut Outputs) {
        let reset = self.config.needs_reset(&config);
        let changed = *self.config != config;
        let passive = config.passive;
        self.config = Arc::new(config);
        if changed {
            // What was wrong may be right now: a higher prefix limit, another AS.
            self.connect_retry.forgive();
        }
        self.confirm_if_permitted(now, out);
        if reset {
            self.end_all(now, &Stop::Cease(Cease::ConfigurationChange), out);
        } else if passive {
            self.stop_dialling(out);
        } else {
            match self.connect_retry.now {
                ConnectState::Waiting { .. } if changed => self.connect(now, out),
                ConnectState::Off => self.connect(now, out),
                ConnectState::Waiting { .. } | ConnectState::Connecting { .. } => {}
            }
        }
    }

    /// Ends every connection and attempt because the owner wants it. A running peer is retried, soon or after its hold.
    fn end_all(&mut self, now: Instant, stop: &Stop, out: &mut Outputs) {
        self.stop_dialling(out);
        let reason = Down::AdministrativeStop(stop.clone());
        // A connection that ends is counted where it ends.
        let none = self.connections.is_empty();
        while let Some(connection) = self.connections.last() {
            self.tear_down(now, connection.id, reason.clone(), out);
        }
        if self.running && none && self.connect_retry.now == ConnectState::Off {
            self.ended(now, owner_cause(stop, true), &reason);
        } else if !self.running {
            self.connect_retry.now = ConnectState::Off;
        }
    }

    fn deadline_reached(&mut self, now: Instant, out: &mut Outputs) {
        // Ends: every timer that fires is gone or lies in the future afterwards.
        while let Some(deadline) = self.deadline().filter(|deadline| deadline.at <= now) {
            match (deadline.timer, deadline.connection) {
                (Timer::ConnectRetry, _) => self.connect(now, out),
                (Timer::IdleHold, _) => self.connect_retry.release(),
                (Timer::ConnectTimeout, _) => self.connect_timeout(now, out),
                (Timer::Hold, Some(id)) => self.hold_expired(now, id, out),
                (Timer::BfdHold, Some(id)) => self.bfd_hold_expired(now, id, out),
                (Timer::Keepalive, Some(id)) => self.keepalive(now, id, out),
                (Timer::SendHold, Some(id)) => {
                    let time = self.connection(id).and_then(Connection::send_hold_time);
                    let reason = Down::SendHoldTimerExpired(time.unwrap_or_default());
                    self.tear_down(now, id, reason, out);
                }
                (Timer::Hold | Timer::BfdHold | Timer::Keepalive | Timer::SendHold, None) => {
                    debug_assert!(false, "these timers belong to connections");
                    return;
                }
            }
        }
    }

    fn connect_timeout(&mut self, now: Instant, out: &mut Outputs) {
        if let ConnectState::Connecting { id, .. } = self.connect_retry.now {
            out.push(Output::AbortConnect(id));
            self.connect_failed(now, id, out);
        }
    }

    fn hold_expired(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        let time = self
            .connection(id)
            .and_then(Connection::negotiated)
            .and_then(|negotiated| negotiated.hold_time)
            .unwrap_or(LARGE_HOLD_TIME);
        self.tear_down(now, id, Down::HoldTimerExpired(time), out);
    }

    fn keepalive(&mut self, now: Instant, id: ConnectionId, out: &mut Outputs) {
        let interval = self.connection(id).and_then(|c| c.negotiated()?.keepalive);
        let next = interval.map(|time| now + self.connect_retry.jittered(time));
        out.push(Output::SendKeepalive(id));
        self.with(id, |connection| match &mut connection.phase {
            Phase::OpenSent { .. } => {}
            Phase::OpenConfirm { keepalive, .. } | Phase::Established { keepalive, .. } => {
                *keepalive = next;
            }
        });
    }

    /// Ends a connection, whatever its state: says why to the peer, to the owner, and to the dialler.
    fn tear_down(&mut self, now: Instant, id: ConnectionId, reason: Down, out: &mut Outputs) {
        let Some(at) = self
            .connections
            .iter()
            .position(|connection| connection.id == id)
        else {
            return;
        };
        let connection = self.connections.remove(at);
        let retains = connection
            .negotiated()
            .is_some_and(|n| n.notification_retains);
        out.push(Output::Close(id, reason.farewell(retains)));
        let established = match connection.phase {
            Phase::OpenSent { .. } | Phase::OpenConfirm { .. } => None,
            Phase::Established { since, .. } => Some(since),
        };
        let lasted = established.is_some_and(|since| now >= since + self.config.lasting());
        if lasted {
            self.connect_retry.forgive();
        }
        let goes_on = self
            .connections
            .iter()
            .any(|other| other.state() >= State::OpenConfirm);
        if !goes_on {
            self.connect_retry.is_alone();
        }
        if self.running {
            let cause = cause(&reason, &connection, lasted, goes_on);
            self.ended(now, cause, &reason);
        }
        out.push(match established {
            Some(_) => Output::Down(id, reason),
            None => Output::Failed(id, reason),
        });
    }

    fn with(&mut self, id: ConnectionId, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            change(connection);
        }
    }

    fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|connection| connection.id == id)
    }

    fn new_id(&mut self) -> ConnectionId {
        // Four billion connections of one peer are some centuries of retries.
        self.next_id = self.next_id.wrapping_add(1);
        ConnectionId(self.next_id)
    }
}

impl Down {
    /// What is sent to the peer at the end.
    fn farewell(&self, notification_retains: bool) -> Option<Notification> {
        match self {
            Self::NotificationSent(message) => Some(message.clone()),
            Self::HoldTimerExpired(_) => Some(notification(NotificationCode::HOLD_TIMER_EXPIRED)),
            Self::AdministrativeStop(Stop::Cease(cease)) => {
                Some(cease.notification(notification_retains))
            }
            // RFC 9687 section 3.2 allows a NOTIFICATION only if it delays nothing; a full socket takes none.
            Self::SendHoldTimerExpired(_)
            | Self::NotificationReceived(_)
            | Self::TransportFailed
            | Self::PeerRestarted
            | Self::AdministrativeStop(Stop::Silent) => None,
        }
    }
}

fn notification(code: NotificationCode) -> Notification {
    Notification::new(code)
}

fn collision() -> Down {
    Down::NotificationSent(notification(NotificationCode::CONNECTION_COLLISION))
}
