//! From a hash to the slots of a slab.
//!
//! Eight bytes a slot, hash beside slot, so that neither growing nor passing by a bucket looks at what the slot holds: a
//! lookup costs one place here and, where the 32 bits kept of the hash agree, one in the slab. Buckets are probed one after
//! the other and lie in the order of their hashes, whatever came first (ordered linear probing): a hash that is not there is
//! known by the first higher one, and growing is one pass over both arrays. Capacities need not be powers of two, so that
//! a shard grows by a third and is three fifths to four fifths full.
//!
//! The index is cut into shards by some bits of the hash, each of which grows on its own: no insertion moves a million
//! numbers. They begin with different sizes, and so do not grow all at the same time: as many slots are in each. Memory goes
//! back as slots go.
//!
//! Callers hash with a random seed, because peers choose the keys, and with a hash whose high bits are spread evenly for
//! every seed, because a bucket's home is made of them: with foldhash's fast variant, prefixes that follow one another lie in
//! crowds for some seeds, and filling a table takes up to a fifth more instructions than for others.

const SHARDS: usize = 64;

#[derive(Clone, Copy)]
struct Bucket {
    hash: u32,
    slot: u32,
}

/// No slab has so many places.
const NONE: u32 = u32::MAX;

const EMPTY: Bucket = Bucket {
    hash: u32::MAX,
    slot: NONE,
};

impl Bucket {
    const fn is_empty(self) -> bool {
        self.slot == NONE
    }
}

/// See the module.
pub(crate) struct SlotIndex {
    shards: Vec<Shard>,
}

impl Default for SlotIndex {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(Shard::new).collect(),
        }
    }
}

/// The halves of a hash: which shard, and what is kept of it.
const fn split(hash: u64) -> (usize, u32) {
    (hash as usize % SHARDS, (hash >> 32) as u32)
}

impl SlotIndex {
    /// The slot with this hash that `is_it` says.
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let (shard, hash) = split(hash);
        self.shards[shard].find(hash, is_it)
    }

    /// The first slot with this hash, if there is one: most likely the one that is looked for.
    pub(crate) fn candidate(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Looks at the place where a hash would be, so that it is in the cache soon. What comes back is to be kept from being
    /// optimized away, and says nothing.
    pub(crate) fn touch(&self, hash: u64) -> u32 {
        let (shard, hash) = split(hash);
        let shard = &self.shards[shard];
        let home = shard.buckets.get(shard.home(hash));
        home.map_or(0, |bucket| bucket.hash)
    }

    /// Adds a slot that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        let (shard, hash) = split(hash);
        self.shards[shard].insert(hash, slot);
    }

    /// Takes a slot out. Nothing happens if it is not there with this hash.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let (shard, hash) = split(hash);
        self.shards[shard].remove(hash, slot);
    }
}

/// What always holds: from the first to the last bucket that is not empty, hashes ascend; none lies before its home, and
/// there is no empty bucket between its home and it; the last bucket is empty.
#[derive(Default)]
struct Shard {
    buckets: Vec<Bucket>,
    /// Homes are below this. Buckets behind are for what is pushed over the end.
    homes: usize,
    len: usize,
    /// Homes beyond the fewest that it begins with.
    more: u8,
}

impl Shard {
    /// Room beyond the homes. More is made where it does not do.
    const OVER: usize = 8;
    /// Shards below this are not made smaller.
    const SMALL: usize = 32;
    /// A shard that begins with 8 homes has 18 next. It may begin with any number from one to the other.
    const SIZES: usize = 10;

    /// One of [`SHARDS`].
    fn new(number: usize) -> Self {
        Self {
            more: (number * Self::SIZES / SHARDS) as u8,
            ..Self::default()
        }
    }

    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.homes as u64) >> 32) as usize
    }

    /// The first bucket from the hash's home on that is empty or has at least this hash.
    fn position(&self, hash: u32) -> usize {
        let mut at = self.home(hash);
        while let Some(bucket) = self.buckets.get(at)
            && !bucket.is_empty()
            && bucket.hash < hash
        {
            at += 1;
        }
        at
    }

    fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let from = self.buckets.get(self.position(hash)..)?;
        from.iter()
            .take_while(|bucket| bucket.hash == hash && !bucket.is_empty())
            .find(|bucket| is_it(bucket.slot))
            .map(|bucket| bucket.slot)
    }

    fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 5 > self.homes * 4 {
            let more = match self.homes {
                0 => usize::from(self.more),
                homes => homes / 3,
            };
            self.resize(self.homes + more + 8);
        }
        let at = self.position(hash);
        let room = self.buckets[at..].iter().position(|b| b.is_empty());
        let end = room.map_or(self.buckets.len(), |room| at + room);
        if end + 1 >= self.buckets.len() {
            self.buckets.reserve_exact(Self::OVER);
            self.buckets.push(EMPTY);
        }
        self.buckets.copy_within(at..end, at + 1);
        self.buckets[at] = Bucket { hash, slot };
        self.len += 1;
    }

    fn remove(&mut self, hash: u32, slot: u32) {
        let mut at = self.position(hash);
        while let Some(bucket) = self.buckets.get(at)
            && bucket.hash == hash
            && !bucket.is_empty()
        {
            if bucket.slot == slot {
                self.take_out(at);
                return;
            }
            at += 1;
        }
    }

    fn take_out(&mut self, at: usize) {
        let behind = self.buckets[at + 1..].iter().enumerate();
        // What lies at its home stays, and all that follows.
        let stays = |(offset, bucket): (usize, &Bucket)| {
            bucket.is_empty() || self.home(bucket.hash) == at + 1 + offset
        };
        let end = at + behind.take_while(|one| !stays(*one)).count();
        self.buckets.copy_within(at + 1..=end, at);
        self.buckets[end] = EMPTY;
        self.len -= 1;
        if self.len == 0 {
            *self = Self {
                more: self.more,
                ..Self::default()
            };
        } else if self.homes > Self::SMALL && self.len * 4 < self.homes {
            self.resize(self.len * 2);
        }
    }

    /// Lays all buckets out again over so many homes.
    fn resize(&mut self, homes: usize) {
        let old = std::mem::take(&mut self.buckets);
        self.homes = homes;
        let mut buckets = Vec::with_capacity(homes + Self::OVER);
        for bucket in old.into_iter().filter(|bucket| !bucket.is_empty()) {
            let home = self.home(bucket.hash);
            while buckets.len() < home {
                buckets.push(EMPTY);
            }
            buckets.push(bucket);
        }
        buckets.resize((homes + 1).max(buckets.len() + 1), EMPTY);
        self.buckets = buckets;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    impl Shard {
        fn check(&self) {
            let mut last = None;
            for (at, bucket) in self.buckets.iter().enumerate() {
                if bucket.is_empty() {
                    continue;
                }
                assert!(last <= Some(bucket.hash), "hashes ascend");
                last = Some(bucket.hash);
                let home = self.home(bucket.hash);
                assert!(home <= at, "nothing lies before its home");
                let between = &self.buckets[home..at];
                assert!(between.iter().all(|b| !b.is_empty()), "and no gap between");
            }
            assert!(self.buckets.last().is_none_or(|b| b.is_empty()));
            assert!(self.buckets.len() <= 2 * self.homes + 2 * Self::OVER + 2);
        }
    }

    proptest! {
        /// Few different hashes, at both ends of the range too, so that clusters and equal hashes are common.
        #[test]
        fn a_shard_is_a_set_of_pairs(ops in prop::collection::vec((any::<bool>(), 0u32..24, 0u32..4), 0..300)) {
            let mut shard = Shard::default();
            let mut model = BTreeSet::new();
            for (insert, hash, slot) in ops {
                let hash = if hash < 12 { hash * 40_000_000 } else { u32::MAX - (hash - 12) };
                if insert {
                    if model.insert((hash, slot)) {
                        shard.insert(hash, slot);
                    }
                } else {
                    model.remove(&(hash, slot));
                    shard.remove(hash, slot);
                }
                shard.check();
                prop_assert_eq!(shard.len, model.len());
                for slot in 0..4 {
                    let found = shard.find(hash, |one| one == slot);
                    prop_assert_eq!(found.is_some(), model.contains(&(hash, slot)));
                }
            }
        }
    }

    /// Each time that one grows takes some tens of microseconds.
    #[test]
    fn shards_do_not_grow_all_at_the_same_time() {
        let mut index = SlotIndex::default();
        let homes = |index: &SlotIndex| index.shards.iter().map(|s| s.homes).collect::<Vec<_>>();
        let mut most = 0;
        for thousand in 0..400 {
            let before = homes(&index);
            for n in thousand * 1000..(thousand + 1) * 1000 {
                index.insert(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15), n);
            }
            let after = homes(&index);
            let grown = before.iter().zip(&after).filter(|(b, a)| b != a).count();
            if thousand >= 100 {
                most = most.max(grown);
            }
        }
        assert!(most <= 8, "{most} of {SHARDS} grow within a thousand");
    }

    #[test]
    fn a_large_index_is_compact_and_an_empty_one_owns_nothing() {
        let mut index = SlotIndex::default();
        let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..200_000 {
            index.insert(hash(n), n);
        }
        for n in (0..200_000).step_by(997) {
            assert_eq!(index.find(hash(n), |slot| slot == n), Some(n));
        }
        let buckets: usize = index.shards.iter().map(|s| s.buckets.capacity()).sum();
        assert!(buckets < 200_000 * 10 / 5, "{buckets} buckets");
        for n in 0..200_000 {
            index.remove(hash(n), n);
        }
        assert!(index.shards.iter().all(|s| s.buckets.capacity() == 0));
    }
}
