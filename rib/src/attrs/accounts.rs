//! How much memory the attribute sets of each peer take.
//!
//! A set is charged to the peer that sent it first, until no path uses it: a shared set is counted once, so the sum
//! over all peers is the memory in use.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::peer::PeerId;

/// What a set takes beside its attributes, in octets: its place in the interner and in the index.
const SET_OCTETS: u64 = 96;

/// See the module.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Whose new sets are interned now; `None`: our own.
    current: Option<PeerId>,
    /// Not yet added to `octets` for that peer: messages arrive in batches of one peer.
    pending: i64,
    octets: HashMap<PeerId, u64, RandomState>,
}

impl Accounts {
    /// From now on, new sets are this peer's, or our own.
    pub(crate) fn set_current(&mut self, peer: Option<PeerId>) {
        if let Some(before) = self.current
            && self.pending != 0
        {
            let octets = self.octets.entry(before).or_default();
            *octets = octets.saturating_add_signed(self.pending);
            if *octets == 0 {
                self.octets.remove(&before);
            }
        }
        (self.current, self.pending) = (peer, 0);
    }

    /// Whose new sets are interned now.
    pub(super) const fn current(&self) -> Option<PeerId> {
        self.current
    }

    /// A set of so many octets is new.
    pub(super) const fn charge(&mut self, attributes: usize) {
        if self.current.is_some() {
            self.pending += (SET_OCTETS + attributes as u64) as i64;
        }
    }

    /// A set that was charged to a peer is gone.
    pub(super) fn discharge(&mut self, owner: Option<PeerId>, attributes: usize) {
        let Some(peer) = owner else { return };
        let octets = SET_OCTETS + attributes as u64;
        if self.current == Some(peer) {
            self.pending -= octets as i64;
            return;
        }
        if let Some(all) = self.octets.get_mut(&peer) {
            *all = all.saturating_sub(octets);
            if *all == 0 {
                self.octets.remove(&peer);
            }
        }
    }

    /// Octets of the sets that a peer sent first.
    pub(super) fn of(&self, peer: PeerId) -> u64 {
        let octets = self.octets.get(&peer).copied().unwrap_or_default();
        match self.current == Some(peer) {
            true => octets.saturating_add_signed(self.pending),
            false => octets,
        }
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty() && self.pending == 0
    }
}
