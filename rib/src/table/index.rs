//! From a prefix to the slot of its entry.
//!
//! A hash table of slot numbers: the entries themselves lie in a slab, so that a slot names a prefix as long as its
//! entry lives, and growing moves four bytes per prefix. The table is cut into shards by some bits of the hash: each grows
//! on its own, so that no single insertion has to move a million numbers.

use std::hash::{BuildHasher, Hasher};

use bgp::types::RoutePrefix;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::path::Entry;
use crate::slab::Slab;

const SHARDS: usize = 64;

/// See the module.
pub(crate) struct Index {
    shards: Vec<HashTable<u32>>,
    hasher: RandomState,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            hasher: RandomState::default(),
        }
    }
}

fn hash<P: RoutePrefix>(hasher: &RandomState, prefix: P) -> u64 {
    let (bits, length) = prefix.key();
    let mut hasher = hasher.build_hasher();
    hasher.write_u64((bits >> 64) as u64);
    if P::ADDRESS_BITS > 64 {
        hasher.write_u64(bits as u64);
    }
    hasher.write_u8(length);
    hasher.finish()
}

/// Bits that the table itself takes neither for the bucket of a shard nor for its tag.
const fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl Index {
    pub(crate) fn find<P: RoutePrefix>(&self, prefix: P, slots: &Slab<Entry<P>>) -> Option<u32> {
        let hash = hash(&self.hasher, prefix);
        let is_it = |slot: &u32| slots.get(*slot).is_some_and(|e| e.prefix == prefix);
        self.shards[shard(hash)].find(hash, is_it).copied()
    }

    /// The slot of the prefix; a new empty entry if there is none.
    pub(crate) fn find_or_insert<P: RoutePrefix>(
        &mut self,
        prefix: P,
        slots: &mut Slab<Entry<P>>,
    ) -> u32 {
        let hash_of_prefix = hash(&self.hasher, prefix);
        let shard = &mut self.shards[shard(hash_of_prefix)];
        let is_it = |slot: &u32| slots.get(*slot).is_some_and(|e| e.prefix == prefix);
        if let Some(slot) = shard.find(hash_of_prefix, is_it) {
            return *slot;
        }
        let slot = slots.insert(Entry::new(prefix));
        let hasher = &self.hasher;
        shard.insert_unique(hash_of_prefix, slot, |slot| {
            slots.get(*slot).map_or(0, |e| hash(hasher, e.prefix))
        });
        slot
    }

    /// Forgets a prefix whose entry is still there. Gives memory back when a shard is mostly empty.
    pub(crate) fn remove<P: RoutePrefix>(&mut self, prefix: P, slots: &Slab<Entry<P>>) {
        const SMALL: usize = 64;
        let hash_of_prefix = hash(&self.hasher, prefix);
        let shard = &mut self.shards[shard(hash_of_prefix)];
        let is_it = |slot: &u32| slots.get(*slot).is_some_and(|e| e.prefix == prefix);
        if let Ok(found) = shard.find_entry(hash_of_prefix, is_it) {
            found.remove();
        }
        if shard.is_empty() {
            *shard = HashTable::new();
        } else if shard.capacity() > SMALL && shard.len() < shard.capacity() / 8 {
            let hasher = &self.hasher;
            shard.shrink_to(shard.len() * 2, |slot| {
                slots.get(*slot).map_or(0, |e| hash(hasher, e.prefix))
            });
        }
    }
}
