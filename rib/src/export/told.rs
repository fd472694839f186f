//! What the stream of a group has told, per slot: twelve bytes, in pages that exist only where something is told.
//!
//! A group that hears a few originated routes beside a full table of learned ones thus needs a few pages, and memory goes
//! back when a page empties.

use super::Slot;
use super::exclusion::ExclusionId;
use super::rules::Digest;

/// Slots per page: 6 KiB.
const PAGE: usize = 512;

/// What was told of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) digest: Digest,
    /// Who was not told.
    pub(super) exclusion: ExclusionId,
}

/// [`Option<Told>`] in twelve bytes with an alignment of four.
#[derive(Clone, Copy, Debug, Default)]
struct Packed {
    /// The digest's halves; both 0: nothing told.
    digest: [u32; 2],
    exclusion: ExclusionId,
}

impl Packed {
    fn unpack(self) -> Option<Told> {
        let [high, low] = self.digest;
        let digest = Digest::new(u64::from(high) << 32 | u64::from(low))?;
        Some(Told {
            digest,
            exclusion: self.exclusion,
        })
    }

    fn pack(told: Option<Told>) -> Self {
        told.map_or_else(Self::default, |told| Self {
            digest: [(told.digest.get() >> 32) as u32, told.digest.get() as u32],
            exclusion: told.exclusion,
        })
    }
}

/// A page beside the number of its slots of which something is told: the page itself is just what an allocator has a size
/// for, with nothing left over.
#[derive(Clone, Debug, Default)]
struct Page {
    slots: Option<Box<[Packed; PAGE]>>,
    used: u16,
}

/// What was told of each slot of a family.
#[derive(Clone, Debug, Default)]
pub(super) struct ToldSlots {
    pages: Vec<Page>,
    len: usize,
}

impl ToldSlots {
    /// Of how many slots something is told.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, slot: Slot) -> Option<Told> {
        let (page, place) = split(slot);
        self.pages.get(page)?.slots.as_ref()?[place].unpack()
    }

    pub(super) fn set(&mut self, slot: Slot, told: Option<Told>) {
        let (number, place) = split(slot);
        if self.pages.len() <= number {
            if told.is_none() {
                return;
            }
            self.pages.resize_with(number + 1, Page::default);
        }
        let page = &mut self.pages[number];
        if page.slots.is_none() && told.is_none() {
            return;
        }
        let fresh = || Box::new([Packed::default(); PAGE]);
        let packed = &mut page.slots.get_or_insert_with(fresh)[place];
        let had = packed.unpack().is_some();
        let has = told.is_some();
        *packed = Packed::pack(told);
        page.used = page.used + u16::from(has) - u16::from(had);
        self.len = self.len + usize::from(has) - usize::from(had);
        if page.used == 0 {
            *page = Page::default();
        }
        if self.len == 0 {
            self.pages = Vec::new();
        }
    }

    /// One past the highest slot that something may be told of.
    pub(super) fn end(&self) -> u32 {
        (self.pages.len() * PAGE) as u32
    }

    /// All told slots, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, Told)> {
        let pages = self.pages.iter().enumerate();
        pages
            .filter_map(|(number, page)| Some((number, page.slots.as_ref()?)))
            .flat_map(|(number, slots)| {
                slots.iter().enumerate().filter_map(move |(place, packed)| {
                    Some((Slot((number * PAGE + place) as u32), packed.unpack()?))
                })
            })
    }
}

const fn split(slot: Slot) -> (usize, usize) {
    (slot.0 as usize / PAGE, slot.0 as usize % PAGE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_told_slot_takes_twelve_bytes_and_an_empty_table_nothing() {
        assert_eq!(size_of::<Packed>(), 12);
        let mut told = ToldSlots::default();
        let one = Told {
            digest: Digest::MIN,
            exclusion: 3,
        };
        told.set(Slot(100_000), Some(one));
        assert_eq!(
            told.pages
                .iter()
                .filter(|page| page.slots.is_some())
                .count(),
            1
        );
        told.set(Slot(100_000), None);
        assert_eq!((told.len(), told.pages.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn told_slots_are_a_map(ops in prop::collection::vec((0u32..3000, 0u64..4, 0u32..3), 0..200)) {
            let mut told = ToldSlots::default();
            let mut model = BTreeMap::new();
            for (slot, digest, exclusion) in ops {
                let value = Digest::new(digest << 31).map(|digest| Told { digest, exclusion });
                told.set(Slot(slot), value);
                match value {
                    Some(value) => model.insert(Slot(slot), value),
                    None => model.remove(&Slot(slot)),
                };
                prop_assert_eq!(told.get(Slot(slot)), value);
                prop_assert_eq!(told.len(), model.len());
            }
            prop_assert_eq!(told.iter().collect::<BTreeMap<_, _>>(), model);
        }
    }
}
