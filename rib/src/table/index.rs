//! From a prefix to the slot of its entry. The entries themselves lie in a slab, so that a slot names a prefix as long as
//! its entry lives.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use bgp::types::{Nlri, RoutePrefix};
use foldhash::quality::RandomState;

use super::path::Entry;
use crate::index::{SlotIndex, high};
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
        self.find_hashed(high(self.hash(prefix)), prefix, slots)
    }

    fn find_hashed<P: RoutePrefix>(
        &self,
        hash: u32,
        prefix: P,
        slots: &Slab<Entry<P>>,
    ) -> Option<u32> {
        let is_it = |slot| slots.get(slot).is_some_and(|e| e.prefix == prefix);
        self.slots.find(hash, is_it)
    }

    /// Looks for many prefixes at once. Each lookup waits for memory, here for a bucket and there for an entry; one after
    /// the other over all prefixes, the processor waits for many at a time.
    pub(crate) fn look_up<'a, P: RoutePrefix>(
        &self,
        prefixes: &'a [Nlri<P>],
        slots: &Slab<Entry<P>>,
    ) -> LookedUp<'a, P> {
        let hashes = prefixes.iter().map(|n| high(self.hash(n.prefix)));
        let hashes: Vec<u32> = hashes.collect();
        let touched = hashes.iter().map(|hash| self.slots.touch(*hash));
        std::hint::black_box(touched.fold(0, u32::wrapping_add));
        let places = prefixes.iter().zip(hashes).map(|(nlri, hash)| Place {
            hash,
            seen: self.find_hashed(hash, nlri.prefix, slots),
        });
        LookedUp {
            prefixes,
            places: places.collect(),
        }
    }

    /// The slot of a prefix that was looked up.
    pub(crate) fn slot<P: RoutePrefix>(
        &self,
        prefix: P,
        place: Place,
        slots: &Slab<Entry<P>>,
    ) -> Option<u32> {
        let still = |slot: &u32| slots.get(*slot).is_some_and(|e| e.prefix == prefix);
        let seen = place.seen.filter(still);
        seen.or_else(|| self.find_hashed(place.hash, prefix, slots))
    }

    /// The slot of a prefix that was looked up; a new empty entry if there is none.
    pub(crate) fn slot_or_insert<P: RoutePrefix>(
        &mut self,
        prefix: P,
        place: Place,
        slots: &mut Slab<Entry<P>>,
    ) -> u32 {
        if let Some(slot) = self.slot(prefix, place, slots) {
            return slot;
        }
        let slot = slots.insert(Entry::new(prefix));
        self.slots.insert(place.hash, slot);
        slot
    }

    /// Forgets a prefix and its slot.
    pub(crate) fn remove<P: RoutePrefix>(&mut self, prefix: P, slot: u32) {
        self.slots.remove(high(self.hash(prefix)), slot);
    }
}

/// Where a prefix was when it was looked up. It may have come or gone since.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    hash: u32,
    seen: Option<u32>,
}

/// Prefixes that were looked up together: see [`Index::look_up`].
pub(crate) struct LookedUp<'a, P> {
    prefixes: &'a [Nlri<P>],
    places: Vec<Place>,
}

impl<P: RoutePrefix> LookedUp<'_, P> {
    /// The slots that were found.
    pub(crate) fn seen(&self) -> impl Iterator<Item = u32> {
        self.places.iter().filter_map(|place| place.seen)
    }

    /// Some of them.
    pub(crate) fn part(&self, range: Range<usize>) -> impl Iterator<Item = (Nlri<P>, Place)> {
        let prefixes = self.prefixes[range.clone()].iter().copied();
        prefixes.zip(self.places[range].iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};

    use super::*;

    fn check<P: RoutePrefix>() {
        let (mut index, mut slots) = (Index::default(), Slab::default());
        let prefixes = (0..500u128).filter_map(|n| P::from_key(n << 112, 16));
        let prefixes: Vec<Nlri<P>> = prefixes.map(Nlri::new).collect();
        let looked_up = index.look_up(&prefixes, &slots);
        let places: Vec<_> = looked_up.part(0..prefixes.len()).collect();
        for (nlri, place) in places {
            let slot = index.slot_or_insert(nlri.prefix, place, &mut slots);
            assert_eq!(index.find(nlri.prefix, &slots), Some(slot));
        }
        for nlri in &prefixes {
            let Some(slot) = index.find(nlri.prefix, &slots) else {
                panic!("{nlri:?} is not found");
            };
            index.remove(nlri.prefix, slot);
            slots.remove(slot);
        }
        for nlri in &prefixes {
            let left = index.slots.candidate(high(index.hash(nlri.prefix)));
            assert_eq!(left, None, "{nlri:?}");
        }
    }

    /// A stale slot is never found, because no entry has its prefix. It would only take up memory.
    #[test]
    fn a_removed_prefix_leaves_no_slot_in_the_index() {
        check::<Ipv4Net>();
        check::<Ipv6Net>();
    }

    /// Lookups take constant time only if prefixes that differ in anything have different hashes.
    fn hash_apart<P: RoutePrefix>(prefixes: impl IntoIterator<Item = (u128, u8)>) {
        let index = Index::default();
        let mut seen = std::collections::HashMap::new();
        for prefix in prefixes
            .into_iter()
            .filter_map(|(bits, length)| P::from_key(bits, length))
        {
            let before = seen.insert(index.hash(prefix), prefix);
            assert!(
                before.is_none_or(|before| before == prefix),
                "{before:?} and {prefix}"
            );
        }
        assert!(seen.len() > usize::from(P::ADDRESS_BITS));
    }

    #[test]
    fn prefixes_that_differ_in_any_bit_or_in_their_length_hash_apart() {
        // The same address at every length, and one bit after the other.
        hash_apart::<Ipv4Net>((0..=32).map(|length| (0, length)));
        hash_apart::<Ipv4Net>((0..=32).map(|bit| (1u128.checked_shl(96 + bit).unwrap_or(0), 32)));
        hash_apart::<Ipv4Net>((0..1000).map(|n| (n << 104, 24)));
        hash_apart::<Ipv6Net>((0..=128).map(|length| (0, length)));
        hash_apart::<Ipv6Net>((0..=128).map(|bit| (1u128.checked_shl(bit).unwrap_or(0), 128)));
        hash_apart::<Ipv6Net>((0..1000).map(|n| (0x2001_0db8 << 96 | n << 80, 48)));
    }
}
