//! The interner: see the module above.

use std::hash::{BuildHasher, Hash, Hasher};

use bgp::types::NextHop;
use bgp::wire::AttributeSet;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{AttrId, Identity, NextHops, RouteAttributes, Summary};
use crate::slab::Slab;

struct Interned {
    attributes: RouteAttributes,
    summary: Summary,
    /// At least 1.
    users: u32,
    /// Low half of the hash, so that growing the table reads no attributes.
    hash: u32,
}

/// Attribute sets, each once. See the module.
pub struct AttrInterner {
    slots: Slab<Interned>,
    index: HashTable<u32>,
    hasher: RandomState,
    identity: Identity,
    pub(crate) next_hops: NextHops,
}

/// Spreads the half that is kept over the whole word: hashbrown takes its tag from the top bits.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl AttrInterner {
    /// An empty interner of a speaker with this identity.
    pub fn new(identity: Identity) -> Self {
        Self {
            slots: Slab::default(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            identity,
            next_hops: NextHops::default(),
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
            slot.summary = Summary::of(&slot.attributes.set, slot.summary.next_hop, &self.identity);
        }
    }

    fn hash(&self, set: &AttributeSet, next_hop: &NextHop) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(set.as_bytes());
        next_hop.hash(&mut hasher);
        hasher.finish() as u32
    }

    /// The index of a set, which has one user more now. The bytes are shared, not copied.
    pub fn intern(&mut self, set: &AttributeSet, next_hop: &NextHop) -> AttrId {
        let hash = self.hash(set, next_hop);
        let slots = &self.slots;
        let found = self.index.find(spread(hash), |index| {
            slots.get(*index).is_some_and(|slot| {
                slot.hash == hash
                    && slot.attributes.next_hop == *next_hop
                    && slot.attributes.set == *set
            })
        });
        if let Some(index) = found.copied() {
            let id = AttrId(index);
            self.retain(id);
            return id;
        }
        let next_hop_index = self.next_hops.retain(next_hop);
        let index = self.slots.insert(Interned {
            summary: Summary::of(set, next_hop_index, &self.identity),
            attributes: RouteAttributes {
                set: set.clone(),
                next_hop: *next_hop,
            },
            users: 1,
            hash,
        });
        let slots = &self.slots;
        self.index.insert_unique(spread(hash), index, |index| {
            slots.get(*index).map_or(0, |slot| spread(slot.hash))
        });
        AttrId(index)
    }

    /// Counts one user more.
    pub fn retain(&mut self, id: AttrId) {
        let slot = self.slots.get_mut(id.0);
        debug_assert!(slot.is_some(), "{id:?} is not interned");
        if let Some(slot) = slot {
            slot.users += 1;
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
        if slot.users > 0 {
            return;
        }
        let (hash, next_hop) = (slot.hash, slot.summary.next_hop);
        if let Ok(entry) = self.index.find_entry(spread(hash), |index| *index == id.0) {
            entry.remove();
        }
        self.slots.remove(id.0);
        self.next_hops.release(next_hop);
        self.give_memory_back();
    }

    /// The table is made smaller once seven eighths of it are empty, so that a peer's leaving is seen in the process.
    fn give_memory_back(&mut self) {
        const SMALL: usize = 1024;
        let capacity = self.index.capacity();
        if capacity > SMALL && self.index.len() < capacity / 8 {
            let slots = &self.slots;
            self.index.shrink_to(self.index.len() * 2, |index| {
                slots.get(*index).map_or(0, |slot| spread(slot.hash))
            });
        }
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
    pub fn get(&self, id: AttrId) -> &RouteAttributes {
        &self.slot(id).attributes
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

    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
