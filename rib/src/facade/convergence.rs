//! Convergence after the start: when a speaker that restarts has received the routes of its peers (RFC 4724 section 4.1).
//!
//! Two things wait. [`RibEvent::Converged`] lets the FIB remove what a predecessor left. End-of-RIB to peers to which learned
//! routes may be sent waits until those have been received; a peer that is sent this node's own routes alone gets it at once.
//! Both wait for the same peers, each until a time of its own:
//!
//! | peer | waited for until |
//! |---|---|
//! | Established, with graceful restart | End-of-RIB of each family, at most `end_of_rib_wait` (120 s) after Established |
//! | the same, and it restarts itself (R bit) | as above; End-of-RIB to others waits `restarting_wait` (5 s) at most, so that two which restart at once do not wait for each other |
//! | Established, without graceful restart | `quiet_wait` (5 s) without an UPDATE after Established, or End-of-RIB |
//! | configured and not Established, whatever the reason: down, blocked | `convergence_wait` (120 s) after the gate opened |
//! | of a listen range, and without a session since the start | not waited for: anybody may connect |
//! | not configured, and the FIB holds routes that a predecessor learned from such peers ([`Expected::Returning`]) | the same, or until none of those routes is left unconfirmed |
//! | not configured, and nothing shows whether there was one ([`Expected::Perhaps`]) | not waited for; End-of-RIB to others waits `unknown_wait` (30 s) after the gate opened |
//! | none configured, none expected | not waited for |
//!
//! End-of-RIB never waits for longer than `convergence_wait` after the gate opened (the Selection_Deferral_Timer of RFC 4724),
//! nor for the peer that it is sent to; convergence never for longer than `end_of_rib_wait` beyond that. This holds for walks as
//! well, which both wait for: a peer can see to it that there always is one. Both happen once: peers that are added later are not
//! waited for.
//!
//! RFC 4724 and BIRD do not wait for peers without the capability, but the kernel may hold their routes. FRR's update delay
//! takes a KEEPALIVE for the end of their routes, but one may come in the middle of a long dump. So a quiet moment counts.

use std::time::Instant;

use bgp::fsm::Negotiated;
use bgp::types::Family;

use super::{Peer, Rib, RibConfig, RibEvent};
use crate::export::Pending;
use crate::peer::{PeerId, PeerKind};

/// Peers that may connect without being configured individually: those of listen ranges, and any as long as there is
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// None.
    #[default]
    Nobody,
    /// Some may connect, and it is unknown whether they existed before.
    Perhaps,
    /// A predecessor had routes of some.
    Returning,
}

/// Where the start stands.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// When the gate opened.
    pub(super) opened: Option<Instant>,
    expected: Expected,
    /// Whether some that are expected are clients of ours.
    expects_clients: bool,
    convergence: Convergence,
    /// Whether End-of-RIB waits for learned routes no more.
    learned: bool,
    /// When the RIB was polled last.
    polled: Option<Instant>,
}

/// Where the FIB's part of the start stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Convergence {
    /// Some peer has not sent everything.
    #[default]
    Awaited,
    /// All have; the FIB has not taken all of it.
    Heard,
    /// Reported.
    Reported,
}

/// What has not been received in an Established session.
#[derive(Debug)]
pub(super) struct Awaited {
    since: Instant,
    /// Families whose End-of-RIB has not been received.
    pub(super) families: Vec<Family>,
    sign: Sign,
}

/// How the end of a peer's first routes is known.
#[derive(Debug)]
enum Sign {
    /// By End-of-RIB.
    EndOfRib {
        /// The peer restarts itself.
        restarting: bool,
    },
    /// By a quiet moment.
    Quiet {
        /// The last UPDATE, or Established.
        last: Instant,
        /// Whether an UPDATE came since the last poll.
        spoke: bool,
        /// Whether there was one.
        over: bool,
    },
}

impl Awaited {
    pub(super) fn new(negotiated: &Negotiated, now: Instant) -> Self {
        let routed = Family::ALL.into_iter();
        let restart = negotiated.graceful_restart.as_ref();
        Self {
            since: now,
            families: routed
                .filter(|family| negotiated.families.contains(family))
                .collect(),
            sign: match restart {
                Some(restart) => Sign::EndOfRib {
                    restarting: restart.restarting,
                },
                None => Sign::Quiet {
                    last: now,
                    spoke: false,
                    over: false,
                },
            },
        }
    }

    /// UPDATEs came.
    pub(super) const fn note_updates(&mut self) {
        if let Sign::Quiet { spoke, .. } = &mut self.sign {
            *spoke = true;
        }
    }

    /// Whether the peer announces the end of its first routes, and has not done so for this family.
    pub(super) fn awaits_end_of_rib(&self, family: Family) -> bool {
        matches!(self.sign, Sign::EndOfRib { .. }) && self.families.contains(&family)
    }

    /// Until when the peer is waited for, if it is: by convergence and by others' End-of-RIB.
    fn until(&self, config: &RibConfig) -> Option<(Instant, Instant)> {
        if self.families.is_empty() {
            return None;
        }
        let end = self.since + config.end_of_rib_wait;
        // DEVIATION(RFC 4724 4.1): neither peers that restart nor those without the capability need be waited for.
        match self.sign {
            Sign::EndOfRib { restarting: false } => Some((end, end)),
            Sign::EndOfRib { restarting: true } => {
                Some((end, end.min(self.since + config.restarting_wait)))
            }
            Sign::Quiet { over: true, .. } => None,
            Sign::Quiet { last, .. } => {
                let quiet = end.min(last + config.quiet_wait);
                Some((quiet, quiet))
            }
        }
    }

    fn pass(&mut self, now: Instant, config: &RibConfig) {
        let until = self.until(config);
        if let Sign::Quiet { last, spoke, over } = &mut self.sign {
            if std::mem::take(spoke) {
                *last = now;
            } else {
                *over |= until.is_some_and(|(at, _)| at <= now);
            }
        }
    }
}

/// Until when convergence and others' End-of-RIB wait for a peer.
fn peer_until(peer: &Peer, opened: Instant, config: &RibConfig) -> Option<(Instant, Instant)> {
    let gate = opened + config.convergence_wait;
    let (convergence, end_of_rib) = match &peer.session {
        Some(up) => up.awaited.until(config)?,
        None if !peer.is_awaited => return None,
        None => (gate, gate),
    };
    let last = gate + config.end_of_rib_wait;
    Some((convergence.min(last), end_of_rib.min(gate)))
}

impl Rib {
    /// Which peers may connect without being configured individually; `clients`: whether some of them would be clients
    /// of ours. Initially none.
    pub const fn expect(&mut self, expected: Expected, clients: bool) {
        self.start.expected = expected;
        self.start.expects_clients = clients;
    }

    /// Until when convergence and End-of-RIB wait for peers that are not known.
    fn unknown_until(&self, opened: Instant) -> (Option<Instant>, Option<Instant>) {
        let gate = opened + self.config.convergence_wait;
        match self.start.expected {
            Expected::Nobody => (None, None),
            Expected::Perhaps => (None, Some(gate.min(opened + self.config.unknown_wait))),
            Expected::Returning => (Some(gate), Some(gate)),
        }
    }

    /// The earliest time at which the start may get on without an event.
    pub(super) fn start_deadline(&self) -> Option<Instant> {
        let opened = self.start.opened?;
        let waits_for_fib = self.start.convergence == Convergence::Awaited;
        let waits_for_learned = !self.start.learned;
        if !waits_for_fib && !waits_for_learned {
            return None;
        }
        let (unknown, unknown_end) = self.unknown_until(opened);
        let known = self.peers.values();
        let known = known.filter_map(|peer| peer_until(peer, opened, &self.config));
        let known = known.map(|(convergence, end)| (Some(convergence), Some(end)));
        let all = known.chain([(unknown, unknown_end)]);
        let all = all.flat_map(|(convergence, end)| {
            let convergence = convergence.filter(|_| waits_for_fib);
            [convergence, end.filter(|_| waits_for_learned)]
        });
        // Times that are over stand here until all are: they are no reason to be polled again.
        let is_over = |at: &Instant| self.start.polled.is_some_and(|polled| *at <= polled);
        all.flatten().filter(|at| !is_over(at)).min()
    }

    /// In a poll, after the walks and before what is sent: what has been quiet, and whose End-of-RIB is kept back.
    pub(super) fn begin_start(&mut self, now: Instant) {
        self.start.polled = Some(now);
        if self.start.convergence == Convergence::Reported && self.start.learned {
            return;
        }
        for peer in self.peers.values_mut() {
            if let Some(up) = &mut peer.session {
                up.awaited.pass(now, &self.config);
            }
        }
        if !self.start.learned {
            let pending = self.pending(now);
            self.start.learned = pending == Pending::Nobody && self.start.opened.is_some();
            let clients = self.peers.values();
            let mut clients = clients.map(|peer| peer.config.kind);
            let reflects =
                self.start.expects_clients || clients.any(|kind| kind == PeerKind::ReflectorClient);
            self.groups.hold_for_learned(pending, reflects);
        }
    }

    /// Peers whose initial routes are not complete.
    fn pending(&self, now: Instant) -> Pending {
        let Some(opened) = self.start.opened else {
            return Pending::Nobody;
        };
        if self.unknown_until(opened).1.is_some_and(|at| now < at) {
            return Pending::Several;
        }
        let mut found = Pending::Nobody;
        for (id, peer) in &self.peers {
            let until = peer_until(peer, opened, &self.config);
            if until.is_some_and(|(_, at)| now < at) {
                match found {
                    Pending::Nobody => found = Pending::Only(*id),
                    Pending::Only(_) | Pending::Several => return Pending::Several,
                }
            }
        }
        // What a walk still has to look at may be sent. Some peer may see to it that there always is something.
        let is_deferred = now < opened + self.config.convergence_wait;
        match (found, is_deferred && self.is_walking()) {
            (Pending::Nobody, true) => Pending::Several,
            _ => found,
        }
    }

    /// Paths that a walk or the removal of stale ones still has to look at, and next hops that may lead elsewhere.
    fn is_walking(&self) -> bool {
        let tables = self.tables.v4.has_work() || self.tables.v6.has_work();
        tables || self.attrs.next_hops.has_walk()
    }

    /// At the end of a poll.
    pub(super) fn check_convergence(&mut self, now: Instant) {
        let is_awaited = self.start.convergence == Convergence::Awaited;
        let Some(opened) = self.start.opened.filter(|_| is_awaited) else {
            return self.tell_convergence();
        };
        let unknown = self.unknown_until(opened).0;
        let peers = self.peers.values();
        let known = peers.filter_map(|peer| peer_until(peer, opened, &self.config));
        let mut waits = known.map(|(convergence, _)| convergence).chain(unknown);
        // What a walk still has to look at may be in the FIB.
        let last = opened + self.config.convergence_wait + self.config.end_of_rib_wait;
        let is_waiting = waits.any(|at| now < at) || now < last && self.is_walking();
        if !is_waiting {
            self.start.convergence = Convergence::Heard;
            self.tell_convergence();
        }
    }

    /// Convergence is reported after the last route that belongs to it: stale routes of a predecessor must not be
    /// removed between a peer's routes.
    pub(super) fn tell_convergence(&mut self) {
        let taken = self.tables.v4.fib_has_all() && self.tables.v6.fib_has_all();
        if self.start.convergence == Convergence::Heard && taken {
            self.start.convergence = Convergence::Reported;
            self.events.push(RibEvent::Converged);
        }
    }

    /// Whether everything that convergence waits for has arrived or timed out, and the FIB has accepted it. Once true
    /// it stays true.
    pub fn converged(&self) -> bool {
        self.start.convergence == Convergence::Reported
    }

    /// Whose first routes convergence still waits for. A peer without a session stands here with every family.
    pub fn waiting_for(&self) -> Vec<(PeerId, Family)> {
        let mut waiting = Vec::new();
        for (id, peer) in &self.peers {
            match &peer.session {
                Some(up) if up.awaited.until(&self.config).is_some() => {
                    waiting.extend(up.awaited.families.iter().map(|family| (*id, *family)));
                }
                None if peer.is_awaited => waiting.extend(Family::ALL.map(|family| (*id, family))),
                Some(_) | None => {}
            }
        }
        waiting.sort();
        waiting
    }
}
