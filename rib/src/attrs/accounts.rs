//! How much memory the attribute sets of each peer take.
//!
//! A set counts for the peer that brought it first, until nobody uses it: peers that share a set do not pay twice, and the sum
//! over all peers is what there is.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::peer::PeerId;

/// What a set takes beside its attributes, in octets: its place in the interner and in the index.
const SET_OCTETS: u64 = 96;

/// See the module.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Whose new sets are interned now; `None`: our own.
    pub(super) current: Option<PeerId>,
    octets: HashMap<PeerId, u64, RandomState>,
}

impl Accounts {
    /// A set of so many octets is new.
    pub(super) fn charge(&mut self, attributes: usize) {
        if let Some(peer) = self.current {
            *self.octets.entry(peer).or_default() += SET_OCTETS + attributes as u64;
        }
    }

    /// A set that was charged to a peer is gone.
    pub(super) fn discharge(&mut self, owner: Option<PeerId>, attributes: usize) {
        let Some(peer) = owner else { return };
        if let Some(octets) = self.octets.get_mut(&peer) {
            *octets = octets.saturating_sub(SET_OCTETS + attributes as u64);
            if *octets == 0 {
                self.octets.remove(&peer);
            }
        }
    }

    /// Octets of the sets that a peer brought first.
    pub(super) fn of(&self, peer: PeerId) -> u64 {
        self.octets.get(&peer).copied().unwrap_or_default()
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}
