//! How much memory a peer takes.

use super::{Rib, RibEvent};
use crate::peer::PeerId;

/// What a path takes beside its attributes, in octets: itself, its share of the prefix's entry, of the index, and of what export
/// and the FIB know of the prefix.
const PATH_OCTETS: u64 = 64;

impl Rib {
    /// The memory that a peer may take, in octets; `None`: any. Beyond it, [`RibEvent::PeerMemory`] is reported.
    pub const fn set_peer_memory(&mut self, limit: Option<u64>) {
        self.peer_memory = limit;
    }

    /// The approximate memory of a peer's routes, in octets: its paths, rejected ones included, and the attribute sets
    /// that it sent first.
    pub fn memory(&self, peer: PeerId) -> u64 {
        // What an earlier session left, or a refresh has not repeated, is there as well.
        let (v4, v6) = (
            self.tables.v4.sources_of(peer),
            self.tables.v6.sources_of(peer),
        );
        let paths: u64 = v4
            .chain(v6)
            .map(|(_, source)| u64::from(source.received))
            .sum();
        self.attrs.octets_of(peer) + paths * PATH_OCTETS
    }

    pub(super) fn check_memory(&mut self, peer: PeerId) {
        let Some(limit) = self.peer_memory else {
            return;
        };
        let octets = self.memory(peer);
        let session = self
            .peers
            .get_mut(&peer)
            .and_then(|known| known.session.as_mut());
        if octets > limit
            && let Some(up) = session.filter(|up| !up.over_memory)
        {
            up.over_memory = true;
            self.events.push(RibEvent::PeerMemory {
                peer,
                octets,
                limit,
            });
        }
    }
}
