//! The interner: see the module above.

use bgp::types::NextHop;
use bgp::wire::AttributeSetRef;

use super::accounts::Accounts;
use super::{AttrId, Identity, NextHops, RouteAttributesRef, Summary};
use crate::index::{SlotIndex, high};
use crate::peer::PeerId;
use crate::slab::Slab;
use crate::universal::OctetKey;

/// A set in 56 bytes and those of its attributes. Its next hop is the summary's.
struct Interned {
    octets: Box<[u8]>,
    /// Under which the index knows it.
    hash: u32,
    summary: Summary,
    /// At least 1.
    users: u32,
    /// The peer that it is charged to, by number; [`NOBODY`]: our own.
    owner: u32,
}

/// Not the number of a peer: those are given out in their order.
const NOBODY: u32 = u32::MAX;

impl Interned {
    fn set(&self) -> AttributeSetRef<'_> {
        AttributeSetRef::from_canonical(&self.octets)
    }
}

/// The position of a set when it was looked up. It may have been added or removed since.
#[derive(Clone, Copy)]
pub(crate) struct SetPlace {
    hash: u32,
    /// Most likely the set, if it is there.
    seen: Option<u32>,
}

/// Attribute sets, each once. See the module.
pub struct AttrInterner {
    slots: Slab<Interned>,
    index: SlotIndex,
    key: OctetKey,
    identity: Identity,
    pub(crate) next_hops: NextHops,
    pub(crate) accounts: Accounts,
}

impl AttrInterner {
    /// An empty interner of a speaker with this identity.
    pub fn new(identity: Identity) -> Self {
        Self {
            slots: Slab::default(),
            index: SlotIndex::default(),
            key: OctetKey::default(),
            identity,
            next_hops: NextHops::default(),
            accounts: Accounts::default(),
        }
    }

    /// Who loops are recognised by.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Changes who we are: every summary is read again.
    pub fn set_identity(&mut self, identity: Identity) {
        if identity == self.identity {
            return;
        }
        self.identity = identity;
        for (_, slot) in self.slots.iter_mut() {
            slot.summary = Summary::of(slot.set(), slot.summary.next_hop, &self.identity);
        }
    }

    fn hash(&self, set: AttributeSetRef<'_>, next_hop: &NextHop) -> u32 {
        high(self.key.hash(set.as_bytes(), next_hop))
    }

    /// Looks for many sets at once, so that the processor waits for memory once and not for each: their places, in order.
    pub(crate) fn look_up<'a>(
        &self,
        sets: impl Iterator<Item = (AttributeSetRef<'a>, &'a NextHop)>,
    ) -> Vec<SetPlace> {
        let unseen = sets.map(|(set, next_hop)| SetPlace {
            hash: self.hash(set, next_hop),
            seen: None,
        });
        let mut places: Vec<SetPlace> = unseen.collect();
        let touched = places.iter().map(|place| self.index.touch(place.hash));
        std::hint::black_box(touched.fold(0, |sum, touched| sum ^ touched));
        for place in &mut places {
            place.seen = self.index.candidate(place.hash);
        }
        let seen = places.iter().filter_map(|place| place.seen);
        std::hint::black_box(seen.fold(0, |sum, index| sum ^ self.touch(AttrId(index))));
        places
    }

    /// Reads a set and its place in the index, to load them into the cache. The result has no meaning.
    pub(crate) fn touch(&self, id: AttrId) -> u32 {
        let Some(slot) = self.slots.get(id.0) else {
            return 0;
        };
        let octet = slot.octets.first().copied().unwrap_or_default();
        self.index.touch(slot.hash) ^ u32::from(octet)
    }

    /// The index of a set, which has one user more now. Its bytes are copied if it is new.
    pub fn intern(&mut self, set: AttributeSetRef<'_>, next_hop: &NextHop) -> AttrId {
        let hash = self.hash(set, next_hop);
        self.intern_looked_up(set, next_hop, SetPlace { hash, seen: None })
    }

    /// As [`AttrInterner::intern`], for a set that was looked up.
    pub(crate) fn intern_looked_up(
        &mut self,
        set: AttributeSetRef<'_>,
        next_hop: &NextHop,
        place: SetPlace,
    ) -> AttrId {
        let (hash, slots, next_hops) = (place.hash, &self.slots, &self.next_hops);
        let is_it = |index: u32| {
            slots.get(index).is_some_and(|slot| {
                slot.set() == set && next_hops.get(slot.summary.next_hop) == Some(next_hop)
            })
        };
        let seen = place.seen.filter(|index| is_it(*index));
        if let Some(index) = seen.or_else(|| self.index.find(hash, is_it)) {
            let id = AttrId(index);
            self.retain(id, 1);
            return id;
        }
        let next_hop_index = self.next_hops.retain(next_hop);
        let index = self.slots.insert(Interned {
            summary: Summary::of(set, next_hop_index, &self.identity),
            octets: set.as_bytes().into(),
            hash,
            users: 1,
            owner: self.accounts.current().map_or(NOBODY, |peer| peer.0),
        });
        self.accounts.charge(set.as_bytes().len());
        self.index.insert(hash, index);
        AttrId(index)
    }

    /// Counts so many users more.
    pub fn retain(&mut self, id: AttrId, users: u32) {
        let slot = self.slots.get_mut(id.0);
        debug_assert!(slot.is_some(), "{id:?} is not interned");
        if let Some(slot) = slot {
            slot.users += users;
        }
    }

    /// Counts one user less. With the last one the set is gone.
    pub fn release(&mut self, id: AttrId) {
        let slot = self.slots.get_mut(id.0);
        debug_assert!(
            slot.is_some(),
            "{id:?} is released more often than retained"
        );
        let Some(slot) = slot else { return };
        slot.users -= 1;
        if slot.users == 0 {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: AttrId) {
        let Some(slot) = self.slots.get(id.0) else {
            return;
        };
        let next_hop = slot.summary.next_hop;
        let owner = Some(slot.owner).filter(|owner| *owner != NOBODY);
        self.accounts
            .discharge(owner.map(PeerId), slot.octets.len());
        self.index.remove(slot.hash, id.0);
        self.slots.remove(id.0);
        self.next_hops.release(next_hop);
    }

    fn slot(&self, id: AttrId) -> &Interned {
        self.slots
            .get(id.0)
            .expect("an AttrId is only held by counted users, so its slot is full")
    }

    /// The attributes and next hop of a set.
    ///
    /// # Panics
    /// If the caller holds no counted use of `id`.
    pub fn get(&self, id: AttrId) -> RouteAttributesRef<'_> {
        let slot = self.slot(id);
        let next_hop = self.next_hops.get(slot.summary.next_hop);
        RouteAttributesRef {
            set: slot.set(),
            next_hop: *next_hop.expect("an interned set is a counted user of its next hop"),
        }
    }

    /// What the decision process compares.
    ///
    /// # Panics
    /// If the caller holds no counted use of `id`.
    pub fn summary(&self, id: AttrId) -> &Summary {
        &self.slot(id).summary
    }

    /// How many users a set has; 0 if it is not interned.
    pub fn users(&self, id: AttrId) -> u32 {
        self.slots.get(id.0).map_or(0, |slot| slot.users)
    }

    /// New sets are this peer's from now on; `None`: our own.
    pub(crate) fn charge_to(&mut self, peer: Option<PeerId>) {
        self.accounts.set_current(peer);
    }

    /// Octets of the sets that a peer sent first.
    pub(crate) fn octets_of(&self, peer: PeerId) -> u64 {
        self.accounts.of(peer)
    }

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interned_set_takes_56_bytes_beside_its_attributes() {
        assert_eq!(size_of::<Option<Interned>>(), 56);
    }
}
