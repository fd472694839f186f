//! From a prefix to the slot of its entry. The entries themselves lie in a slab, so that a slot names a prefix as long as
//! its entry lives.

use std::hash::{BuildHasher, Hasher};

use bgp::types::RoutePrefix;
use foldhash::fast::RandomState;

use super::path::Entry;
use crate::index::SlotIndex;
use crate::slab::Slab;

/// See the module.
#[derive(Default)]
pub(crate) struct Index {
    slots: SlotIndex,
    hasher: RandomState,
}

impl Index {
    fn hash<P: RoutePrefix>(&self, prefix: P) -> u64 {
        let (bits, length) = prefix.key();
        let mut hasher = self.hasher.build_hasher();
        if P::ADDRESS_BITS > 64 {
            hasher.write_u64((bits >> 64) as u64);
            hasher.write_u64(bits as u64);
            hasher.write_u8(length);
        } else {
            // The low bits of the upper half are not the address's: address and length in one word.
            hasher.write_u64((bits >> 64) as u64 | u64::from(length));
        }
        hasher.finish()
    }

    pub(crate) fn find<P: RoutePrefix>(&self, prefix: P, slots: &Slab<Entry<P>>) -> Option<u32> {
        let is_it = |slot| slots.get(slot).is_some_and(|e| e.prefix == prefix);
        self.slots.find(self.hash(prefix), is_it)
    }

    /// The slot of the prefix; a new empty entry if there is none.
    pub(crate) fn find_or_insert<P: RoutePrefix>(
        &mut self,
        prefix: P,
        slots: &mut Slab<Entry<P>>,
    ) -> u32 {
        let hash = self.hash(prefix);
        let is_it = |slot| slots.get(slot).is_some_and(|e| e.prefix == prefix);
        if let Some(slot) = self.slots.find(hash, is_it) {
            return slot;
        }
        let slot = slots.insert(Entry::new(prefix));
        self.slots.insert(hash, slot);
        slot
    }

    /// Forgets a prefix and its slot.
    pub(crate) fn remove<P: RoutePrefix>(&mut self, prefix: P, slot: u32) {
        self.slots.remove(self.hash(prefix), slot);
    }
}
