//! What the start waits for, said naively: times and sets for every peer, looked at one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bgp::types::Family;

use super::Oracle;
use crate::facade::Expected;
use crate::peer::{PeerId, PeerKind, SessionInfo};

const DEFERRAL: Duration = Duration::from_secs(120);
const END_OF_RIB: Duration = Duration::from_secs(120);
const BOTH_RESTART: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(5);
const UNKNOWN: Duration = Duration::from_secs(30);

/// An Established session.
#[derive(Debug)]
struct Session {
    since: Instant,
    missing: BTreeSet<Family>,
    graceful: bool,
    restarting: bool,
    spoke: bool,
    last: Instant,
    quiet: bool,
    /// Whether End-of-RIB may have been sent in it.
    may_have_ended: bool,
}

/// The start.
#[derive(Debug)]
pub(crate) struct OracleStart {
    opened: Instant,
    pub(crate) expected: Expected,
    pub(crate) clients: bool,
    sessions: BTreeMap<PeerId, Session>,
    /// Whether there was a poll at which nobody was waited for: by convergence, and by End-of-RIB.
    pub(crate) may_have_converged: bool,
    may_be_learned: bool,
}

impl OracleStart {
    /// The gate opens.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            expected: Expected::Nobody,
            clients: false,
            sessions: BTreeMap::new(),
            may_have_converged: false,
            may_be_learned: false,
        }
    }

    pub(crate) fn up(&mut self, peer: PeerId, session: &SessionInfo, now: Instant) {
        let restart = session.negotiated.graceful_restart.as_ref();
        let session = Session {
            since: now,
            missing: session.negotiated.families.iter().copied().collect(),
            graceful: restart.is_some(),
            restarting: restart.is_some_and(|restart| restart.restarting),
            spoke: false,
            last: now,
            quiet: false,
            may_have_ended: false,
        };
        self.sessions.insert(peer, session);
    }

    pub(crate) fn down(&mut self, peer: PeerId) {
        self.sessions.remove(&peer);
    }

    pub(crate) fn update(&mut self, peer: PeerId) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.spoke = true;
        }
    }

    pub(crate) fn end(&mut self, peer: PeerId, family: Family) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.missing.remove(&family);
        }
    }

    /// Whether a peer with graceful restart has not said that it has sent all of a family.
    pub(crate) fn awaits_end(&self, peer: PeerId, family: Family) -> bool {
        let session = self.sessions.get(&peer);
        session.is_some_and(|session| session.graceful && session.missing.contains(&family))
    }

    /// Whether convergence, and the End-of-RIB of others, wait for a peer.
    fn waits(&self, peer: PeerId, now: Instant) -> (bool, bool) {
        let deferred = now < self.opened + DEFERRAL;
        let Some(session) = self.sessions.get(&peer) else {
            return (deferred, deferred);
        };
        let has_all = session.missing.is_empty()
            || now >= session.since + END_OF_RIB
            || now >= self.opened + DEFERRAL + END_OF_RIB
            || !session.graceful && (session.quiet || now >= session.last + QUIET);
        let too_long = session.restarting && now >= session.since + BOTH_RESTART;
        (!has_all, !has_all && !too_long && deferred)
    }
}

impl Oracle {
    /// Whether convergence waits for anybody.
    pub(crate) fn awaits_routes(&self, now: Instant) -> bool {
        let start = &self.start;
        let returning = start.expected == Expected::Returning && now < start.opened + DEFERRAL;
        returning || self.peers.keys().any(|peer| start.waits(*peer, now).0)
    }

    /// For whose sake a peer's End-of-RIB is kept back, if it is sent what others say.
    fn kept_back_for(&self, peer: Option<PeerId>, now: Instant) -> bool {
        let start = &self.start;
        let unknown = match start.expected {
            Expected::Nobody => false,
            Expected::Perhaps => now < start.opened + UNKNOWN,
            Expected::Returning => now < start.opened + DEFERRAL,
        };
        let mut others = self.peers.keys().filter(|other| Some(**other) != peer);
        unknown || others.any(|other| start.waits(*other, now).1)
    }

    fn is_kept_back(&self, peer: PeerId, now: Instant) -> bool {
        let config = &self.peers[&peer];
        let clients = self.peers.values();
        let mut clients = clients.map(|config| config.kind);
        let clients = self.start.clients || clients.any(|kind| kind == PeerKind::ReflectorClient);
        let is_sent_learned = config.transit
            || config.kind == PeerKind::ReflectorClient
            || config.kind == PeerKind::Internal && clients;
        is_sent_learned && self.kept_back_for(Some(peer), now)
    }

    /// The RIB is polled, before (`begins`) and after: what may happen at that.
    pub(crate) fn polled(&mut self, now: Instant, begins: bool) {
        for session in self.start.sessions.values_mut().filter(|_| begins) {
            if std::mem::take(&mut session.spoke) {
                session.last = now;
            } else {
                session.quiet |= !session.missing.is_empty() && now >= session.last + QUIET;
            }
        }
        self.start.may_have_converged |= !self.awaits_routes(now);
        self.start.may_be_learned |= !self.kept_back_for(None, now);
        let up: Vec<PeerId> = self.start.sessions.keys().copied().collect();
        for peer in up {
            let free = self.start.may_be_learned || !self.is_kept_back(peer, now);
            if let Some(session) = self.start.sessions.get_mut(&peer) {
                session.may_have_ended |= free;
            }
        }
    }

    /// Whether End-of-RIB must and may have been sent to a peer, when nothing is left to be done.
    pub(crate) fn end_of_rib_sent(&self, peer: PeerId, now: Instant) -> (bool, bool) {
        let Some(session) = self.start.sessions.get(&peer) else {
            return (false, false);
        };
        (!self.is_kept_back(peer, now), session.may_have_ended)
    }
}
