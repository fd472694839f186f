//! Peers out of listen ranges: each address that connects becomes one, as far as its range has places.
//!
//! A place is held by who is connected, and for a while by who was: longer by one that had a session, and as long as graceful restart
//! keeps its routes (RFC 4724, RFC 9494), which would go with it, unless all places are taken and another peer comes. A peer is known by its address and, if that is link-local, its interface.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::fsm::{Cease, State};
use bgp::session::{Candidate, PeerStatus, Refusal};
use bgp::types::Family;
use rib::{PeerId, Rib};
use routelet_core::intent::{Intent, PeerIntent, PeerTarget, RequestedBy};
use routelet_fib::KernelView;
use tracing::info;

use super::{PeerView, Peers, RunState, Stopped};

/// How long a dynamic peer that had a session keeps its place without one: longer than graceful restart usually takes.
const KEPT: Duration = Duration::from_secs(180);

/// How long one that never had a session keeps its place: a handshake takes milliseconds.
pub(super) const TRIED: Duration = Duration::from_secs(10);

impl Peers {
    /// A connection out of a listen range: makes a peer for it, or gives it to the one that there is.
    pub(crate) async fn candidate(
        &mut self,
        candidate: Candidate,
        intent: &Intent,
        view: &KernelView,
    ) -> Result<(), Stopped> {
        let range = intent.peers.iter().find(
            |peer| matches!(peer.target, PeerTarget::Range { net } if net == candidate.range),
        );
        // Where it has no name the range has gone meanwhile, or the interface is not known yet: the peer comes again.
        let (Some(range), Some(target)) = (range, target(candidate.remote, view)) else {
            return Ok(());
        };
        if let Some(configured) = intent.peers.iter().find(|peer| peer.target == target) {
            // Not the range's: it is blocked, or was only now made.
            match self.table.get(&configured.name).map(|peer| peer.run) {
                Some(RunState::Running(handle)) => handle.accept(candidate),
                _ => candidate.refuse(Refusal::Blocked),
            }
            return Ok(());
        }
        let name = format!("{}/{target}", range.name);
        if self.table.get(&name).is_none() {
            // More than one where `maxPeers` was lowered.
            while self.places(&range.name) >= range.max_peers as usize {
                if !self.make_room(&range.name).await? {
                    candidate.refuse(Refusal::RangeFull);
                    return Ok(());
                }
            }
            self.run(of_range(range, &name, target), view, None).await?;
        }
        match self.table.get(&name) {
            Some(PeerView {
                run: RunState::Running(handle),
                ..
            }) => {
                self.offered.insert(name, Instant::now());
                handle.accept(candidate);
            }
            // It cannot be started: whoever connects must not fill the table with such.
            Some(blocked) => {
                candidate.refuse(Refusal::Blocked);
                self.remove(&name, &blocked, Cease::Deconfigured).await?;
            }
            None => {}
        }
        Ok(())
    }

    /// Forgets, with its routes, the peer of a range that has been gone for longest of those that have their places for their routes
    /// alone: it is the peer that says for how long these are kept, up to more than an hour. Whether there was one.
    async fn make_room(&mut self, range: &str) -> Result<bool, Stopped> {
        let peers = self.table.dynamic(range);
        let gone = peers.iter().filter_map(|peer| match &peer.run {
            RunState::Running(handle) => {
                let status = handle.status();
                // What its status says is from before its task has looked at a connection.
                let is_back = self.offered.get(&peer.intent.name);
                let is_back = is_back.is_some_and(|at| at.elapsed() <= TRIED);
                (!is_back && has_routes_alone(&status, peer.keeps_routes))
                    .then_some((status.since, peer))
            }
            RunState::Blocked(_) | RunState::Range => None,
        });
        let Some((_, longest)) = gone.min_by_key(|(since, _)| *since) else {
            return Ok(false);
        };
        let name = &longest.intent.name;
        info!(peer = %name, "range is full: a peer that is gone gives its place to another, and its routes go");
        self.remove(name, longest, Cease::Deconfigured).await?;
        Ok(true)
    }

    /// How many places of a range are taken.
    fn places(&self, range: &str) -> usize {
        self.table
            .dynamic(range)
            .iter()
            .filter(|peer| takes_place(peer))
            .count()
    }

    /// Of dynamic peers that have no place otherwise: whether graceful restart keeps routes of each. The RIB may be busy, and there can
    /// be thousands of them, so it is asked once for all.
    pub(super) async fn kept_routes(&self) -> Result<KeptRoutes, Stopped> {
        let without_place = |peer: &PeerView| match &peer.run {
            RunState::Running(handle) => peer.is_dynamic() && !has_place(&handle.status(), false),
            RunState::Blocked(_) | RunState::Range => false,
        };
        let all = self.table.all().into_values();
        let asked: Vec<PeerId> = all.filter(without_place).map(|peer| peer.id).collect();
        if asked.is_empty() {
            return Ok(KeptRoutes::new());
        }
        let look = move |rib: &Rib| {
            let has_stale = |id, family: &Family| rib.counts(id, *family).stale > 0;
            let is_kept = |id| Family::ALL.iter().any(|family| has_stale(id, family));
            asked.into_iter().map(|id| (id, is_kept(id))).collect()
        };
        self.rib.look(look).await
    }

    /// Whether a dynamic peer has no place any more. Notes whether it has one for its routes alone.
    pub(super) fn is_forgotten(
        &self,
        peer: &PeerView,
        status: &PeerStatus,
        kept: &KeptRoutes,
    ) -> bool {
        let (keeps_routes, is_forgotten) = verdict(status, kept.get(&peer.id).copied());
        if keeps_routes != peer.keeps_routes {
            self.table.put(PeerView {
                keeps_routes,
                ..peer.clone()
            });
        }
        is_forgotten
    }
}

/// Whether routes are kept of peers that have no place otherwise.
pub(super) type KeptRoutes = BTreeMap<PeerId, bool>;

/// Whether a dynamic peer has its place only because its routes are kept, and whether it is to be forgotten. `kept`: whether they
/// are; `None`: nobody asked, because it had another place a moment ago. The next time somebody does.
fn verdict(status: &PeerStatus, kept: Option<bool>) -> (bool, bool) {
    match kept {
        _ if has_place(status, false) => (false, false),
        None => (false, false),
        Some(keeps_routes) => (keeps_routes, !keeps_routes),
    }
}

/// Whether a dynamic peer counts for its range.
pub(crate) fn takes_place(peer: &PeerView) -> bool {
    match &peer.run {
        RunState::Running(handle) => has_place(&handle.status(), peer.keeps_routes),
        RunState::Blocked(_) | RunState::Range => false,
    }
}

/// Whether a dynamic peer is connected, was not long ago, has routes that are kept for it, or is held Idle: neither must be forgotten
/// with it.
fn has_place(status: &PeerStatus, keeps_routes: bool) -> bool {
    let kept = if status.sessions > 0 { KEPT } else { TRIED };
    status.state == State::Established
        || status.idle_hold.is_some()
        || keeps_routes
        || status.since.elapsed() <= kept
}

/// Whether a dynamic peer has its place only because routes are kept for it.
fn has_routes_alone(status: &PeerStatus, keeps_routes: bool) -> bool {
    keeps_routes && !has_place(status, false)
}

/// The intent of a peer out of a range: that of the range, under its own name and address, never dialled.
pub(super) fn of_range(range: &PeerIntent, name: &str, target: PeerTarget) -> PeerIntent {
    let mut own = range.clone();
    own.name = name.to_owned();
    own.requested_by = RequestedBy::Range(range.name.as_str().into());
    own.target = target;
    own.protocol.passive = true;
    own
}

/// Where somebody who connects is. `None` if the interface of a link-local address is not known.
fn target(remote: SocketAddr, view: &KernelView) -> Option<PeerTarget> {
    let address = remote.ip().to_canonical();
    let interface = match (remote, address) {
        (SocketAddr::V6(remote), IpAddr::V6(address)) if address.is_unicast_link_local() => {
            Some(view.link(remote.scope_id())?.name.clone())
        }
        _ => None,
    };
    Some(PeerTarget::Address { address, interface })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use bgp::fsm::{Down, IdleHold};

    use super::*;

    fn status(state: State, sessions: u64, seconds: u64) -> PeerStatus {
        let since = Instant::now().checked_sub(Duration::from_secs(seconds));
        PeerStatus {
            state,
            since: since.unwrap(),
            next_attempt: None,
            idle_hold: None,
            session: None,
            sessions,
            downs: BTreeMap::new(),
            last_down: None,
            last_connect_error: None,
            last_sent: None,
            last_received: None,
        }
    }

    #[test]
    fn a_place_is_held_for_a_while_after_a_session_and_as_long_as_its_routes_are_kept() {
        for (state, sessions, seconds, keeps_routes, expected) in [
            (State::Established, 1, 10_000, false, true),
            (State::Active, 0, 5, false, true),
            (State::Active, 0, 11, false, false),
            (State::Active, 1, 170, false, true),
            (State::Active, 1, 190, false, false),
            // Graceful restart, long-lived or not.
            (State::Active, 1, 190, true, true),
            (State::Active, 1, 80_000, true, true),
        ] {
            let found = has_place(&status(state, sessions, seconds), keeps_routes);
            assert_eq!(
                found, expected,
                "{state:?} {sessions} {seconds} s {keeps_routes}"
            );
        }
    }

    #[test]
    fn a_place_for_routes_alone_is_given_to_another_and_no_other_one_is() {
        for (state, seconds, keeps_routes, expected) in [
            (State::Established, 10_000, true, false),
            (State::Active, 170, true, false),
            (State::Active, 190, true, true),
            (State::Active, 190, false, false),
        ] {
            let found = has_routes_alone(&status(state, 1, seconds), keeps_routes);
            assert_eq!(found, expected, "{state:?} {seconds} s {keeps_routes}");
        }
        let mut held = status(State::Idle, 1, 190);
        held.idle_hold = Some(IdleHold {
            until: None,
            reason: Down::TransportFailed,
        });
        assert!(!has_routes_alone(&held, true));
    }

    /// Between the question and the verdict a peer may come back, or its time may end.
    #[test]
    fn only_a_peer_of_which_nothing_is_known_to_be_kept_is_forgotten() {
        let (up, recent) = (
            status(State::Established, 2, 1),
            status(State::Active, 1, 170),
        );
        let gone = status(State::Active, 1, 190);
        for kept in [None, Some(false), Some(true)] {
            assert_eq!(verdict(&up, kept), (false, false), "{kept:?}");
            assert_eq!(verdict(&recent, kept), (false, false), "{kept:?}");
        }
        assert_eq!(verdict(&gone, None), (false, false), "nobody asked");
        assert_eq!(verdict(&gone, Some(true)), (true, false));
        assert_eq!(verdict(&gone, Some(false)), (false, true));
    }
}
