//! The update groups of all peers.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use bgp::types::Family;

use super::marks::Dirty;
use super::view::family_index;
use super::{LocRib, Progress, Slot, Transport};
use crate::peer::{PeerConfig, PeerId, SessionInfo};

/// Adj-RIB-Out of all peers.
#[derive(Debug, Default)]
pub struct UpdateGroups {
    peers: HashMap<PeerId, Peer, RandomState>,
    /// Slots whose best route changed since they were last staged, one set per family.
    dirty: [Dirty; 2],
    /// Slots found empty when staged, and told to nobody any more.
    retired: Vec<(Family, Slot)>,
    gate_open: bool,
}

#[derive(Debug)]
struct Peer {
    config: PeerConfig,
    session: SessionInfo,
}

impl UpdateGroups {
    /// Nobody to tell anything, and the start gate closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// A session came up. The peer gets an initial dump and End-of-RIB for each family.
    pub fn peer_up(&mut self, peer: PeerId, config: &PeerConfig, session: &SessionInfo) {
        let (config, session) = (config.clone(), session.clone());
        self.peers.insert(peer, Peer { config, session });
    }

    /// The intent changed for a peer. Only differences go out. Ignored if its session is not up.
    pub fn configure(&mut self, peer: PeerId, config: &PeerConfig) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.config = config.clone();
        }
    }

    /// A session went down: whatever is on its way to the peer is forgotten.
    pub fn peer_down(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// The start gate opens, for good: dumps begin.
    pub fn open_gate(&mut self) {
        self.gate_open = true;
    }

    /// What there is to tell of a slot changed: its best route, that route's attributes, or that there is one at all.
    pub fn changed(&mut self, family: Family, slot: Slot) {
        if let Some(index) = family_index(family) {
            self.dirty[index].insert(slot);
        }
    }

    /// Does up to about `budget` steps (prefixes staged or walked) of what is due, and hands the bytes over.
    pub fn flush<L: LocRib, T: Transport>(
        &mut self,
        loc_rib: &L,
        _transport: &mut T,
        budget: usize,
    ) -> Progress {
        let mut slots = Vec::new();
        for family in Family::ALL {
            let Some(index) = family_index(family) else {
                continue;
            };
            self.dirty[index].take(budget, &mut slots);
            let empty = slots
                .iter()
                .filter(|slot| loc_rib.best(family, **slot).is_none());
            self.retired.extend(empty.map(|slot| (family, *slot)));
        }
        if self.dirty.iter().all(Dirty::is_empty) {
            Progress::Done
        } else {
            Progress::More
        }
    }

    /// Slots that were found empty and that nobody has to be told of any more: their entries may be freed, unless
    /// they have a path again.
    pub fn take_retired(&mut self) -> Vec<(Family, Slot)> {
        std::mem::take(&mut self.retired)
    }
}
