//! What concerns many next hops at once, some of them at a time: a peer whose paths all go, and another resolver.
//!
//! A peer may return while its next hops are still being processed: those that it sends again by then are skipped. Next
//! hops that the tables release before they are processed are lost with their peer, too ([`NextHops::release`]). A new
//! resolver during a round starts the round again from there; changes are returned at least once a round.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use super::super::NextHopIndex;
use super::gateways::leave;
use super::per_peer::NextHopSet;
use super::{NextHopResolver, NextHops, State};
use crate::peer::PeerId;

/// Next hops whose resolution changed, as a bit per index.
#[derive(Default)]
pub(crate) struct ChangedNextHops(Vec<u64>);

impl ChangedNextHops {
    fn insert(&mut self, index: u32) {
        let word = index as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (index % 64);
    }

    pub(crate) fn contains(&self, index: NextHopIndex) -> bool {
        self.0
            .get(index.0 as usize / 64)
            .is_some_and(|word| word & (1 << (index.0 % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }
}

/// What is left to do.
#[derive(Default)]
pub(super) struct Walks {
    /// Peers whose paths are removed, with those of their next hops that are not processed yet.
    losing: VecDeque<(PeerId, <NextHopSet as IntoIterator>::IntoIter)>,
    asking: Option<Round>,
    changed: ChangedNextHops,
    /// A round has ended or was at the end of the slots: otherwise each part of it would have the tables walked.
    is_due: bool,
}

/// A round over all next hops, as those of tables are.
struct Round {
    at: u32,
    start: u32,
    wrapped: bool,
}

impl NextHops {
    /// All paths of a peer are removed, and so are the gateways that no next hop of another peer uses: see
    /// [`NextHops::take_lost`]. Only schedules the walk.
    pub(crate) fn lose(&mut self, peer: PeerId) {
        self.refusing.remove(&peer);
        self.counting.remove(&peer);
        if let Some(by_peer) = self.by_peer.remove(&peer) {
            let next_hops = by_peer.next_hops.into_iter();
            self.walks.losing.push_back((peer, next_hops));
        }
    }

    /// Another resolver is to be asked about every next hop in use: see [`NextHops::take_changed`]. Asks nothing yet.
    pub(crate) fn set_resolver(&mut self, resolver: Arc<dyn NextHopResolver>) {
        self.resolver = resolver;
        if self.slots.len() == 0 {
            return;
        }
        let at = self.walks.asking.as_ref().map_or(0, |round| round.at);
        self.walks.asking = Some(Round {
            at,
            start: at,
            wrapped: false,
        });
    }

    /// Processes up to `looks` next hops. Returns the number processed: less than `looks` means that nothing is left.
    pub(crate) fn walk(&mut self, looks: usize) -> usize {
        for used in 0..looks {
            if !self.lose_next() && !self.ask_next() {
                return used;
            }
        }
        looks
    }

    /// Whether [`NextHops::walk`] has anything to do.
    pub(crate) fn has_walk(&self) -> bool {
        self.is_losing() || self.walks.asking.is_some()
    }

    /// Whether a walk may still find lost gateways.
    pub(crate) fn is_losing(&self) -> bool {
        !self.walks.losing.is_empty()
    }

    /// Gateways that were lost: routers on the link with their interfaces. Asking clears them.
    pub(crate) fn take_lost(&mut self) -> Vec<(IpAddr, u32)> {
        self.unreported.lost.drain().collect()
    }

    /// Next hops that lead elsewhere than before. Asking clears them.
    pub(crate) fn take_changed(&mut self) -> Option<ChangedNextHops> {
        let is_due = std::mem::take(&mut self.walks.is_due);
        let changed = &mut self.walks.changed;
        (is_due && !changed.is_empty()).then(|| std::mem::take(changed))
    }

    /// Processes one next hop of a peer whose paths are removed. Returns whether there was one.
    fn lose_next(&mut self) -> bool {
        let Some((peer, next_hops)) = self.walks.losing.front_mut() else {
            return false;
        };
        let peer = *peer;
        match next_hops.next() {
            Some((index, interface)) => self.lose_one(peer, index, interface),
            None => {
                self.walks.losing.pop_front();
            }
        }
        true
    }

    fn lose_one(&mut self, peer: PeerId, index: u32, interface: Option<u32>) {
        if self.brings(peer, (index, interface)) {
            return;
        }
        let gateway = self.forget(peer, index, interface);
        // One that is already reported as lost is not reported again.
        if let Some(gateway) = gateway.filter(|gateway| self.lost.insert(*gateway)) {
            self.unreported.is_lost(gateway);
        }
    }

    /// Asks about one next hop. Whether there was one.
    fn ask_next(&mut self) -> bool {
        let Some(round) = &mut self.walks.asking else {
            return false;
        };
        let next = self.slots.next_from(round.at).map(|(index, _)| index);
        let is_over = match next {
            // The second time, none is left before the start.
            None => round.wrapped || round.start == 0,
            Some(index) => round.wrapped && index + 1 >= round.start,
        };
        match next {
            Some(index) => {
                round.at = index + 1;
                self.ask_about(index);
            }
            None => {
                (round.at, round.wrapped) = (0, true);
                self.walks.is_due = true;
            }
        }
        if is_over {
            self.walks.asking = None;
            self.walks.is_due = true;
        }
        true
    }

    fn ask_about(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let scoped = slot.scoped.iter_mut();
        let scoped = scoped.map(|(interface, place)| (Some(*interface), place));
        for (interface, place) in std::iter::once((None, &mut slot.everywhere)).chain(scoped) {
            let State::Asked(before) = place.state else {
                continue;
            };
            let after = self.resolver.resolve(&slot.next_hop, interface);
            if before == after {
                continue;
            }
            self.walks.changed.insert(index);
            if let Some(gateway) = place.gateway() {
                leave(&mut self.gateways, gateway);
            }
            place.state = State::Asked(after);
            if let Some(gateway) = place.gateway() {
                *self.gateways.entry(gateway).or_default() += 1;
                // A next hop of some peer uses a lost gateway now.
                if self.lost.remove(&gateway) {
                    self.unreported.is_regained(gateway);
                }
            }
        }
    }
}
