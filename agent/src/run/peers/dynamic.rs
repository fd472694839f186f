//! Peers out of listen ranges: each address that connects becomes one, as far as its range has places.
//!
//! A place is held by who is connected, and for a while by who was: longer by one that had a session, and as long as graceful restart
//! keeps its routes (RFC 4724, RFC 9494), which would go with it. A peer is known by its address and, if that is link-local, its interface.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgp::fsm::{Cease, State};
use bgp::session::{Candidate, PeerStatus, Refusal};
use bgp::types::Family;
use rib::Rib;

use super::{PeerView, Peers, RunState, Stopped};
use crate::fib::KernelView;
use crate::intent::{Intent, PeerIntent, PeerTarget};

/// How long a dynamic peer that had a session keeps its place without one: longer than graceful restart usually takes.
const KEPT: Duration = Duration::from_secs(180);

/// How long one that never had a session keeps its place: a handshake takes milliseconds.
const TRIED: Duration = Duration::from_secs(10);

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
            if self.places(&range.name) >= range.max_peers as usize {
                candidate.refuse(Refusal::RangeFull);
                return Ok(());
            }
            self.run(of_range(range, &name, target), view, None).await?;
        }
        match self.table.get(&name) {
            Some(PeerView {
                run: RunState::Running(handle),
                ..
            }) => handle.accept(candidate),
            // It cannot be started: whoever connects must not fill the table with such.
            Some(blocked) => {
                candidate.refuse(Refusal::Blocked);
                self.remove(&name, &blocked, Cease::Deconfigured).await?;
            }
            None => {}
        }
        Ok(())
    }

    /// How many places of a range are taken.
    fn places(&self, range: &str) -> usize {
        self.table
            .dynamic(range)
            .iter()
            .filter(|peer| takes_place(peer))
            .count()
    }

    /// Whether a dynamic peer has no place any more. Notes whether it has one for its routes alone.
    pub(super) async fn is_forgotten(
        &self,
        peer: &PeerView,
        status: &PeerStatus,
    ) -> Result<bool, Stopped> {
        let id = peer.id;
        let is_kept = move |rib: &Rib| {
            Family::ALL
                .iter()
                .any(|family| rib.counts(id, *family).stale > 0)
        };
        let keeps_routes = !has_place(status, false) && self.rib.look(is_kept).await?;
        if keeps_routes != peer.keeps_routes {
            self.table.put(PeerView {
                keeps_routes,
                ..peer.clone()
            });
        }
        Ok(!has_place(status, keeps_routes))
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

/// The intent of a peer out of a range: that of the range, under its own name and address, never dialled.
pub(super) fn of_range(range: &PeerIntent, name: &str, target: PeerTarget) -> PeerIntent {
    let mut own = range.clone();
    own.name = name.to_owned();
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
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::*;

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
            let since = Instant::now().checked_sub(Duration::from_secs(seconds));
            let status = PeerStatus {
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
            };
            let found = has_place(&status, keeps_routes);
            assert_eq!(
                found, expected,
                "{state:?} {sessions} {seconds} s {keeps_routes}"
            );
        }
    }
}
