//! The prefixes of one family with what is wanted and what is installed, in 16 (IPv4) or 28 (IPv6) bytes each.
//!
//! Neither side is stored as such: what is wanted is the number of an interned nexthop set, what is installed the id of
//! a nexthop group. Whatever is rare (failures) lives elsewhere, keyed by prefix.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::key::Key;
use super::queue::Queue;
use crate::kernel::op::Slot;

/// What is wanted for a prefix, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Want(u32);

impl Want {
    pub(super) const NONE: Self = Self(0);
    /// No member of what was asked for can carry the route's family.
    pub(super) const INVALID: Self = Self(1);
    const FIRST_SET: u32 = 2;

    pub(super) fn set(index: usize) -> Self {
        Self(index as u32 + Self::FIRST_SET)
    }

    /// The index of the nexthop set, if it is one.
    pub(super) fn as_set(self) -> Option<usize> {
        self.0.checked_sub(Self::FIRST_SET).map(|i| i as usize)
    }
}

/// A set of [`Entry`] flags.
pub(super) mod flag {
    /// It is in the work queue.
    pub(in super::super) const QUEUED: u8 = 1;
    /// A guard rail keeps it out.
    pub(in super::super) const REFUSED: u8 = 2;
    /// Only the limit on the number of routes keeps it out.
    pub(in super::super) const LIMITED: u8 = 4;
    /// Left by a predecessor, and what is wanted so far is nothing or something else; stays as it is until the sweep.
    pub(in super::super) const STALE: u8 = 8;
    /// There is a record of a failure; nobody else has one.
    pub(in super::super) const FAILED: u8 = 16;
    /// It counts towards the limit.
    pub(in super::super) const COUNTED: u8 = 32;
    /// Seen by the listing that is under way.
    pub(in super::super) const SEEN: u8 = 64;
    /// It failed, and its next attempt is not due.
    pub(in super::super) const WAITING: u8 = 128;
}

/// One prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    pub(super) flags: u8,
    pub(super) desired: Want,
    pub(super) installed: Slot,
}

impl<K> Entry<K> {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn put(&mut self, flag: u8, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    /// What is wanted now, once guard rails have had their say: nothing yet of what a predecessor left.
    pub(super) fn wanted(&self) -> Want {
        let withheld = flag::REFUSED | flag::LIMITED | flag::STALE;
        if self.has(withheld) || self.desired == Want::INVALID {
            Want::NONE
        } else {
            self.desired
        }
    }
}

/// Parts of a table, each of which grows and is walked over on its own: growing one of a million prefixes moves 4,000, and whoever
/// waits for the plan waits for no more.
pub(super) const SHARDS: usize = 256;

/// Whether a part is to grow now that so many of its places are filled. Prefixes that are alike fill all parts alike: each grows at
/// another fill, from three quarters on, so that not all of them do at once.
pub(super) const fn is_to_grow(shard: usize, len: usize, capacity: usize) -> bool {
    capacity >= 64 && (capacity - len) * SHARDS < capacity / 4 * (SHARDS - shard % SHARDS)
}

/// The prefixes of one family.
#[derive(Debug)]
pub(super) struct Table<K> {
    shards: Box<[HashTable<Entry<K>>]>,
    hasher: RandomState,
    /// Prefixes to look at.
    pub(super) queue: Queue<K>,
    pub(super) installed: u64,
}

impl<K: Key> Default for Table<K> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            hasher: RandomState::default(),
            queue: Queue::default(),
            installed: 0,
        }
    }
}

fn hash<K: Key>(hasher: &RandomState, key: K) -> u64 {
    let mut h = hasher.build_hasher();
    key.hash_into(&mut h);
    h.finish()
}

/// Other bits than those by which a hash table finds its places.
const fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl<K: Key> Table<K> {
    pub(super) fn get(&self, key: K) -> Option<&Entry<K>> {
        let hash = hash(&self.hasher, key);
        self.shards[shard_of(hash)].find(hash, |e| e.key == key)
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut Entry<K>> {
        let hash = hash(&self.hasher, key);
        self.shards[shard_of(hash)].find_mut(hash, |e| e.key == key)
    }

    /// Looks at an entry, so that it is in the cache soon: of many looks that do not depend on each other the processor waits
    /// for several at once. What comes back is to be kept from being optimized away, and says nothing.
    pub(super) fn touch(&self, key: K) -> u8 {
        self.get(key).map_or(0, |e| e.flags)
    }

    /// The entry, made if it is missing.
    pub(super) fn entry(&mut self, key: K) -> &mut Entry<K> {
        let hasher = &self.hasher;
        let rehash = |e: &Entry<K>| hash(hasher, e.key);
        let hash = hash(hasher, key);
        let number = shard_of(hash);
        let shard = &mut self.shards[number];
        if is_to_grow(number, shard.len(), shard.capacity()) {
            shard.reserve(shard.capacity() - shard.len() + 1, rehash);
        }
        shard
            .entry(hash, |e| e.key == key, rehash)
            .or_insert_with(|| Entry {
                key,
                flags: 0,
                desired: Want::NONE,
                installed: Slot::NONE,
            })
            .into_mut()
    }

    pub(super) fn remove(&mut self, key: K) {
        let hasher = &self.hasher;
        let place = hash(hasher, key);
        let number = shard_of(place);
        let shard = &mut self.shards[number];
        if let Ok(entry) = shard.find_entry(place, |e| e.key == key) {
            entry.remove();
        }
        // A table that a full feed has left gives its memory back; the factor keeps it from oscillating. Not all parts at once.
        let few = shard.capacity() / 16 * (SHARDS + number) / SHARDS;
        if shard.capacity() > 64 && shard.len() < few {
            shard.shrink_to(shard.len() * 2, |e| hash(hasher, e.key));
        }
    }

    /// The entries of one of the [`SHARDS`].
    pub(super) fn shard(&self, number: usize) -> impl Iterator<Item = &Entry<K>> {
        self.shards
            .get(number)
            .into_iter()
            .flat_map(HashTable::iter)
    }

    /// The entries of one of the [`SHARDS`].
    pub(super) fn shard_mut(&mut self, number: usize) -> impl Iterator<Item = &mut Entry<K>> {
        let shard = self.shards.get_mut(number);
        shard.into_iter().flat_map(HashTable::iter_mut)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<K>> {
        self.shards.iter().flat_map(HashTable::iter)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::{V4, V6};
    use super::*;

    #[test]
    fn an_entry_takes_16_bytes_for_ipv4_and_28_for_ipv6() {
        assert_eq!(size_of::<Entry<V4>>(), 16);
        assert_eq!(size_of::<Entry<V6>>(), 28);
    }
}
