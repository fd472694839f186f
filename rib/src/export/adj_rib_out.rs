//! Adj-RIB-Out of a group: what its stream has advertised for each slot, in twelve bytes. Pages exist only for
//! advertised slots.
//!
//! A group that is sent a few originated routes beside a full table of learned ones needs only a few pages; an empty
//! page is freed. Copies share pages until one of them changes.

use std::sync::Arc;

use super::Slot;
use super::exclusion::ExclusionId;
use super::rules::Digest;

/// Slots per page: 6 KiB with the counts of who shares it.
const PAGE: usize = 510;

/// What was advertised for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdvertisedRoute {
    pub(super) digest: Digest,
    /// The members that were excluded.
    pub(super) exclusion: ExclusionId,
}

/// [`Option<AdvertisedRoute>`] in twelve bytes with an alignment of four.
#[derive(Clone, Copy, Debug, Default)]
struct Packed {
    /// The digest's halves; both 0: not advertised.
    digest: [u32; 2],
    exclusion: ExclusionId,
}

impl Packed {
    fn unpack(self) -> Option<AdvertisedRoute> {
        let [high, low] = self.digest;
        let digest = Digest::new(u64::from(high) << 32 | u64::from(low))?;
        Some(AdvertisedRoute {
            digest,
            exclusion: self.exclusion,
        })
    }

    fn pack(advertised: Option<AdvertisedRoute>) -> Self {
        advertised.map_or_else(Self::default, |advertised| Self {
            digest: [
                (advertised.digest.get() >> 32) as u32,
                advertised.digest.get() as u32,
            ],
            exclusion: advertised.exclusion,
        })
    }
}

/// A page and the number of its advertised slots. The page itself has exactly the size of an allocator's size class.
#[derive(Clone, Debug, Default)]
struct Page {
    slots: Option<Arc<[Packed; PAGE]>>,
    used: u16,
}

/// What was advertised for each slot of a family.
#[derive(Clone, Debug, Default)]
pub(super) struct AdjRibOut {
    pages: Vec<Page>,
    len: usize,
}

impl AdjRibOut {
    /// The number of advertised slots.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, slot: Slot) -> Option<AdvertisedRoute> {
        let (page, place) = split(slot);
        self.pages.get(page)?.slots.as_ref()?[place].unpack()
    }

    pub(super) fn set(&mut self, slot: Slot, advertised: Option<AdvertisedRoute>) {
        let (number, place) = split(slot);
        if self.pages.len() <= number {
            if advertised.is_none() {
                return;
            }
            self.pages.resize_with(number + 1, Page::default);
        }
        let page = &mut self.pages[number];
        if page.slots.is_none() && advertised.is_none() {
            return;
        }
        let fresh = || Arc::new([Packed::default(); PAGE]);
        let packed = &mut Arc::make_mut(page.slots.get_or_insert_with(fresh))[place];
        let had = packed.unpack().is_some();
        let has = advertised.is_some();
        *packed = Packed::pack(advertised);
        page.used = page.used + u16::from(has) - u16::from(had);
        self.len = self.len + usize::from(has) - usize::from(had);
        if page.used == 0 {
            *page = Page::default();
        }
        if self.len == 0 {
            self.pages = Vec::new();
        }
    }

    /// Whether the page of a slot is shared with another Adj-RIB-Out, so that all its slots are equal.
    pub(super) fn shares_page(&self, other: &Self, slot: Slot) -> bool {
        let (number, _) = split(slot);
        let page = |of: &'_ Self| {
            of.pages
                .get(number)
                .and_then(|page| page.slots.as_ref().map(Arc::as_ptr))
        };
        match (page(self), page(other)) {
            (Some(one), Some(another)) => std::ptr::eq(one, another),
            (None, None) => true,
            _ => false,
        }
    }

    /// The first slot of the next page, if this is the first one of a page.
    pub(super) const fn page_after(slot: Slot) -> Option<Slot> {
        if slot.0.is_multiple_of(PAGE as u32) {
            Some(Slot(slot.0 + PAGE as u32))
        } else {
            None
        }
    }

    /// One past the highest slot that may be advertised.
    pub(super) fn end(&self) -> u32 {
        (self.pages.len() * PAGE) as u32
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
        let mut advertised = AdjRibOut::default();
        let one = AdvertisedRoute {
            digest: Digest::MIN,
            exclusion: 3,
        };
        advertised.set(Slot(100_000), Some(one));
        assert_eq!(
            advertised
                .pages
                .iter()
                .filter(|page| page.slots.is_some())
                .count(),
            1
        );
        advertised.set(Slot(100_000), None);
        assert_eq!((advertised.len(), advertised.pages.capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn told_slots_are_a_map(ops in prop::collection::vec((0u32..3000, 0u64..4, 0u32..3), 0..200)) {
            let mut advertised = AdjRibOut::default();
            let mut model = BTreeMap::new();
            for (slot, digest, exclusion) in ops {
                let value = Digest::new(digest << 31).map(|digest| AdvertisedRoute { digest, exclusion });
                advertised.set(Slot(slot), value);
                match value {
                    Some(value) => model.insert(Slot(slot), value),
                    None => model.remove(&Slot(slot)),
                };
                prop_assert_eq!(advertised.get(Slot(slot)), value);
                prop_assert_eq!(advertised.len(), model.len());
            }
            let all = (0..advertised.end()).map(Slot);
            let all = all.filter_map(|slot| Some((slot, advertised.get(slot)?)));
            prop_assert_eq!(all.collect::<BTreeMap<_, _>>(), model);
        }
    }

    #[test]
    fn copies_share_pages_until_one_changes_and_only_the_page_that_does() {
        assert!(size_of::<[Packed; PAGE]>() + 2 * size_of::<usize>() <= 6 * 1024);
        let mut advertised = AdjRibOut::default();
        let one = AdvertisedRoute {
            digest: Digest::MIN,
            exclusion: 0,
        };
        let (first, second) = (Slot(3), Slot(PAGE as u32));
        advertised.set(first, Some(one));
        advertised.set(second, Some(one));
        let copy = advertised.clone();
        assert!(
            [first, second]
                .iter()
                .all(|slot| copy.shares_page(&advertised, *slot))
        );
        advertised.set(Slot(4), Some(one));
        assert!(!copy.shares_page(&advertised, first) && copy.shares_page(&advertised, second));
        assert_eq!((copy.get(Slot(4)), copy.len()), (None, 2));
        assert_eq!((advertised.get(Slot(4)), advertised.len()), (Some(one), 3));
    }
}
