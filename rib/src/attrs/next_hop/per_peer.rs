//! The next hops of each peer, and its limit on them.

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::gateways::{Gateway, leave};
use super::{NextHops, place_on};
use crate::peer::PeerId;

/// Next hops, with the interface of those that are link-local.
pub(super) type NextHopSet = HashSet<(u32, Option<u32>), RandomState>;

/// The next hops of a peer.
#[derive(Default)]
pub(super) struct PeerNextHops {
    pub(super) next_hops: NextHopSet,
    /// The limit when one more was rejected; `None`: none was, or the peer is below the limit again.
    pub(super) refused_at: Option<u32>,
}

/// The peer has reached its limit of next hops, and does not have this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl NextHops {
    /// Whether a peer has a next hop. One whose paths are removed and that is not processed yet does not count.
    pub(super) fn brings(&self, peer: PeerId, which: (u32, Option<u32>)) -> bool {
        let by_peer = self.by_peer.get(&peer);
        by_peer.is_some_and(|by_peer| by_peer.next_hops.contains(&which))
    }

    /// A next hop of a peer is in no set any more.
    pub(super) fn no_longer_brings(&mut self, peer: PeerId, which: (u32, Option<u32>)) {
        let Some(by_peer) = self.by_peer.get_mut(&peer) else {
            return;
        };
        by_peer.next_hops.remove(&which);
        let count = by_peer.next_hops.len();
        // With some distance to the limit: otherwise a peer that oscillates there would have all its paths evaluated
        // each time.
        let is_roomy =
            |limit: &mut u32| count <= (*limit - *limit / 8) as usize && count < *limit as usize;
        if by_peer.refused_at.take_if(is_roomy).is_some() {
            self.refusing.remove(&peer);
            self.roomy.push(peer);
        }
        if count == 0 {
            self.by_peer.remove(&peer);
            self.refusing.remove(&peer);
        }
    }

    /// Whether some peer is over its limit of next hops.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refusing.is_empty()
    }

    /// Counts the next hops of the peers over their limit again: returns these peers; all their paths have to be
    /// visited before [`NextHops::has_counted`]. That also shows which are still over the limit.
    pub(crate) fn count_again(&mut self) -> Vec<PeerId> {
        let peers: Vec<PeerId> = self.refusing.drain().collect();
        for peer in &peers {
            if let Some(by_peer) = self.by_peer.get_mut(peer) {
                by_peer.refused_at = None;
            }
        }
        self.counting = peers
            .iter()
            .map(|peer| (*peer, HashSet::default()))
            .collect();
        peers
    }

    /// All paths of the peers whose next hops are counted again have been visited: next hops without paths no longer
    /// count. Any distance to the limit is enough here, because this happens no more often than next hops are counted.
    pub(crate) fn has_counted(&mut self) {
        for (peer, found) in std::mem::take(&mut self.counting) {
            let Some(by_peer) = self.by_peer.get(&peer) else {
                continue;
            };
            let others = by_peer.next_hops.iter().filter(|one| !found.contains(*one));
            let others: Vec<(u32, Option<u32>)> = others.copied().collect();
            for (index, interface) in others {
                self.forget(peer, index, interface);
                self.no_longer_brings(peer, (index, interface));
            }
            if let Some(by_peer) = self.by_peer.get_mut(&peer) {
                let count = by_peer.next_hops.len();
                let has_room = |limit: &mut u32| count < *limit as usize;
                if by_peer.refused_at.take_if(has_room).is_some() {
                    self.refusing.remove(&peer);
                    self.roomy.push(peer);
                }
            }
        }
    }

    /// A peer no longer has a next hop. Returns the gateway that is lost with it.
    pub(super) fn forget(
        &mut self,
        peer: PeerId,
        index: u32,
        interface: Option<u32>,
    ) -> Option<Gateway> {
        let slot = self.slots.get_mut(index)?;
        let place = match interface {
            None => &mut slot.everywhere,
            Some(interface) => place_on(&mut slot.scoped, interface),
        };
        let gateway = place.gateway();
        if let Ok(at) = place.peers.binary_search(&peer) {
            place.peers.remove(at);
        }
        let gateway = gateway.filter(|_| place.peers.is_empty())?;
        leave(&mut self.gateways, gateway).then_some(gateway)
    }

    /// Takes the peers that were over their limit and are below it now.
    pub(crate) fn take_roomy(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.roomy)
    }

    /// Whether there are such peers.
    pub(crate) fn has_roomy(&self) -> bool {
        !self.roomy.is_empty()
    }

    /// The number of distinct next hops of a peer.
    pub(crate) fn count_of(&self, peer: PeerId) -> u32 {
        let by_peer = self.by_peer.get(&peer);
        by_peer.map_or(0, |by_peer| by_peer.next_hops.len() as u32)
    }
}
