//! Split horizon: which members of a group are excluded from a route.
//!
//! A route is not advertised to the peer that it was received from, nor to the peer that is its next hop (RFC 4271
//! 5.1.3): at most two peers. A group has few such pairs, so an advertised slot holds the pair's number, and each pair
//! counts its slots: so a peer's count is known without a walk, and a number without slots is free.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::peer::PeerId;

/// The peers that a route is not advertised to. Ascending, so that equal sets are equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Excluded([Option<PeerId>; 2]);

impl Excluded {
    /// The source of a route, if it is learned, and the peer that is its next hop, if there is one.
    pub(super) fn new(source: Option<PeerId>, next_hop: Option<PeerId>) -> Self {
        let next_hop = next_hop.filter(|peer| Some(*peer) != source);
        let mut peers = [source, next_hop];
        peers.sort_unstable();
        Self(peers)
    }

    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.0.contains(&Some(peer))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = PeerId> {
        self.0.into_iter().flatten()
    }

    /// Those of the peers that `keep` says.
    pub(super) fn filter(&self, keep: impl Fn(PeerId) -> bool) -> Self {
        let [a, b] = self.0.map(|peer| peer.filter(|peer| keep(*peer)));
        let mut peers = [a, b];
        peers.sort_unstable();
        Self(peers)
    }
}

/// The number of a pair in its group; 0 is nobody.
pub(super) type ExclusionId = u32;

/// Which pair each number is. Copies share their memory until a number becomes another pair's.
#[derive(Clone, Debug)]
pub(super) struct Pairs(Arc<Vec<Excluded>>);

impl Default for Pairs {
    fn default() -> Self {
        Self(Arc::new(vec![Excluded::default()]))
    }
}

impl Pairs {
    /// The peers of a number that is in use.
    pub(super) fn resolve(&self, id: ExclusionId) -> Excluded {
        if id == 0 {
            return Excluded::default();
        }
        self.0[id as usize]
    }
}

/// The pairs of one group.
#[derive(Clone, Debug)]
pub(super) struct Exclusions {
    pairs: Pairs,
    /// AdvertisedRoute slots with each pair, per family.
    slots: Vec<[u32; 2]>,
    numbers: HashMap<Excluded, ExclusionId, RandomState>,
    free: Vec<ExclusionId>,
    /// The number used last: routes of one peer arrive in runs.
    latest: ExclusionId,
}

impl Default for Exclusions {
    fn default() -> Self {
        Self {
            pairs: Pairs::default(),
            slots: vec![[0; 2]],
            numbers: HashMap::default(),
            free: Vec::new(),
            latest: 0,
        }
    }
}

impl Exclusions {
    /// The number of a pair; counts one more advertised slot of a family for it.
    pub(super) fn acquire(&mut self, excluded: Excluded, family: usize) -> ExclusionId {
        if excluded == Excluded::default() {
            return 0;
        }
        if self.pairs.0[self.latest as usize] == excluded {
            self.slots[self.latest as usize][family] += 1;
            return self.latest;
        }
        let (pairs, slots, free) = (&mut self.pairs, &mut self.slots, &mut self.free);
        let id = *self.numbers.entry(excluded).or_insert_with(|| {
            let pairs = Arc::make_mut(&mut pairs.0);
            match free.pop() {
                Some(id) => {
                    pairs[id as usize] = excluded;
                    id
                }
                None => {
                    pairs.push(excluded);
                    slots.push([0; 2]);
                    pairs.len() as u32 - 1
                }
            }
        });
        self.slots[id as usize][family] += 1;
        self.latest = id;
        id
    }

    /// Counts one advertised slot less.
    pub(super) fn release(&mut self, id: ExclusionId, family: usize) {
        if id == 0 {
            return;
        }
        let slots = &mut self.slots[id as usize];
        slots[family] -= 1;
        if *slots == [0; 2] {
            self.numbers.remove(&self.pairs.0[id as usize]);
            self.free.push(id);
            if self.latest == id {
                self.latest = 0;
            }
        }
    }

    /// The peers of a number that is in use.
    pub(super) fn resolve(&self, id: ExclusionId) -> Excluded {
        self.pairs.resolve(id)
    }

    /// Which pair each number is.
    pub(super) const fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// The number of advertised slots of a family that a peer is excluded from.
    pub(super) fn slots_without(&self, peer: PeerId, family: usize) -> usize {
        self.numbers
            .iter()
            .filter(|(excluded, _)| excluded.contains(peer))
            .map(|(_, id)| self.slots[*id as usize][family] as usize)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pair_is_a_set_and_its_number_is_free_when_its_last_slot_goes() {
        let (a, b) = (Some(PeerId(1)), Some(PeerId(2)));
        assert_eq!(Excluded::new(a, b), Excluded::new(b, a));
        assert_eq!(Excluded::new(a, a), Excluded::new(a, None));
        let mut exclusions = Exclusions::default();
        assert_eq!(exclusions.acquire(Excluded::default(), 0), 0);
        let ab = exclusions.acquire(Excluded::new(a, b), 0);
        assert_eq!(exclusions.acquire(Excluded::new(b, a), 1), ab);
        let only_b = exclusions.acquire(Excluded::new(b, None), 0);
        assert_ne!(ab, only_b);
        assert_eq!(exclusions.slots_without(PeerId(2), 0), 2);
        assert_eq!(exclusions.slots_without(PeerId(1), 0), 1);
        exclusions.release(ab, 0);
        assert_eq!(exclusions.resolve(ab), Excluded::new(a, b));
        exclusions.release(ab, 1);
        assert_eq!(exclusions.slots_without(PeerId(1), 0), 0);
        assert_eq!(exclusions.acquire(Excluded::new(a, None), 0), ab);
    }

    #[test]
    fn copies_of_pairs_share_memory_and_keep_their_meaning() {
        let mut exclusions = Exclusions::default();
        let [a, b] = [1, 2].map(|peer| Excluded::new(Some(PeerId(peer)), None));
        let id = exclusions.acquire(a, 0);
        let copies = [exclusions.pairs().clone(), exclusions.pairs().clone()];
        // Advertisements and withdrawals with known pairs copy nothing.
        exclusions.acquire(a, 1);
        exclusions.release(id, 1);
        let is_one = |copy: &Pairs| Arc::ptr_eq(&copy.0, &exclusions.pairs().0);
        assert!(copies.iter().all(is_one));
        exclusions.release(id, 0);
        assert_eq!(exclusions.acquire(b, 0), id);
        assert_eq!(exclusions.resolve(id), b);
        assert!(copies.iter().all(|copy| copy.resolve(id) == a));
    }
}
