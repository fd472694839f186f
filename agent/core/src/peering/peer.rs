//! A peer at one moment.

use std::sync::Arc;
use std::time::Instant;

use bgp::fsm::State;
use bgp::settings::PeerSettings;
use rib::{PeerId, PeerKind};
use tracing::warn;

use super::wanted::LEAVING;
use crate::intent::{PasswordSource, PeerIntent, PeerTarget};

/// A peer.
#[derive(Debug)]
pub struct Peer {
    /// Its number.
    pub id: PeerId,
    /// As the RIB and its session have it; of a dynamic peer that of its range, under its own name and address.
    pub intent: Arc<PeerIntent>,
    /// Whether it runs.
    pub run: Run<Box<Session>>,
    /// Whether it is not forgotten, and has its place, only because graceful restart keeps its routes. Of dynamic ones.
    pub keeps_routes: bool,
    /// Why it was blocked last, if it has not run since: said once.
    pub(super) reason: Option<String>,
}

/// Whether a peer runs. `T` describes its session: here the facts of it, in the agent its task.
#[derive(Clone, Debug)]
pub enum Run<T> {
    /// It has a session, up or not.
    Running(T),
    /// It cannot be started for this reason.
    Blocked(String),
    /// A listen range: its peers come by themselves.
    Range,
    /// It has no session: it is only made, or all were ended.
    Stopped,
}

impl<T> Run<T> {
    /// The session, if there is one.
    pub const fn running(&self) -> Option<&T> {
        match self {
            Self::Running(session) => Some(session),
            Self::Blocked(_) | Self::Range | Self::Stopped => None,
        }
    }

    /// Why there is none, if the peer is blocked.
    pub fn blocked(&self) -> Option<&str> {
        match self {
            Self::Blocked(reason) => Some(reason),
            Self::Running(_) | Self::Range | Self::Stopped => None,
        }
    }

    /// The same with another description of the session.
    pub fn map<U>(&self, describe: impl FnOnce(&T) -> U) -> Run<U> {
        match self {
            Self::Running(session) => Run::Running(describe(session)),
            Self::Blocked(reason) => Run::Blocked(reason.clone()),
            Self::Range => Run::Range,
            Self::Stopped => Run::Stopped,
        }
    }
}

/// What is known of a session.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: PeerSettings,
    pub(super) facts: SessionFacts,
    /// Its task has ended by itself.
    pub(super) has_failed: bool,
}

/// How a session is, as its task says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// How many times it was Established so far.
    pub sessions: u64,
    /// Whether it is held Idle.
    pub is_held: bool,
    /// Whether the OPENs are agreed and it waits for BFD (strict mode), which has a time limit of its own.
    pub awaits_bfd: bool,
}

impl Session {
    /// What it was made with.
    pub const fn settings(&self) -> &PeerSettings {
        &self.settings
    }
}

impl SessionFacts {
    /// Of one that has just been started.
    const fn new(now: Instant) -> Self {
        Self {
            state: State::Idle,
            since: now,
            sessions: 0,
            is_held: false,
            awaits_bfd: false,
        }
    }
}

impl Peer {
    pub(super) const fn new(id: PeerId, intent: Arc<PeerIntent>, run: Run<Box<Session>>) -> Self {
        Self {
            id,
            intent,
            run,
            keeps_routes: false,
            reason: None,
        }
    }

    /// Its name in the intent, or of its range and address.
    pub fn name(&self) -> &str {
        &self.intent.name
    }

    /// Whether it came out of a listen range.
    pub fn is_dynamic(&self) -> bool {
        self.intent.requested_by.range().is_some()
    }

    /// How its session is; `None`: it has none.
    pub(super) fn facts(&self) -> Option<&SessionFacts> {
        match &self.run {
            Run::Running(session) => Some(&session.facts),
            Run::Blocked(_) | Run::Range | Run::Stopped => None,
        }
    }

    /// Whether its session is Established.
    pub(super) fn is_established(&self) -> bool {
        let facts = self.facts();
        facts.is_some_and(|facts| facts.state == State::Established)
    }

    /// Whether its settings may change without a change of the intent: a password file, or an interface by its name.
    pub(super) fn may_differ(&self) -> bool {
        let intent = &self.intent;
        matches!(intent.password, Some(PasswordSource::File(_)))
            || intent.session.transport.device.is_some()
            || matches!(&intent.target, PeerTarget::Address { interface, .. } if interface.is_some())
    }

    /// Until when a node that is to be a client no more is treated as one, if it is; `known`: as it was said before. It
    /// may have been a client by its address, or be known by that from now on.
    pub(super) fn client_until(
        &self,
        now: Instant,
        wanted: &PeerIntent,
        known: Option<Instant>,
    ) -> Option<Instant> {
        let is_node = self.intent.requested_by.is_node() || wanted.requested_by.is_node();
        let is_demoted = is_node
            && self.is_established()
            && self.intent.config.kind == PeerKind::ReflectorClient
            && wanted.config.kind == PeerKind::Internal;
        let until = known.unwrap_or(now + LEAVING);
        (is_demoted && now < until).then_some(until)
    }

    /// Returns whether it is another one.
    pub(super) fn set_intent(&mut self, intent: PeerIntent) -> bool {
        let is_new = *self.intent != intent;
        if is_new {
            self.intent = Arc::new(intent);
        }
        is_new
    }

    pub(super) fn start(&mut self, now: Instant, settings: PeerSettings) {
        self.run = Run::Running(Box::new(Session {
            settings,
            facts: SessionFacts::new(now),
            has_failed: false,
        }));
    }

    /// Keeps it from running, and says why, if it was not so before. Returns whether it is another state or reason.
    pub(super) fn block(&mut self, reason: String, what: &str) -> bool {
        if self.reason.as_ref() != Some(&reason) {
            warn!(peer = %self.name(), %reason, "{what}");
            self.reason = Some(reason.clone());
        }
        let is_new = !matches!(&self.run, Run::Blocked(before) if *before == reason);
        self.run = Run::Blocked(reason);
        is_new
    }
}
