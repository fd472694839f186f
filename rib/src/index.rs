//! From a hash to the slots of a slab.
//!
//! Eight bytes a slot, hash beside slot, so that neither growing nor passing by a bucket looks at what the slot holds:
//! a lookup costs one place here and, where all 32 bits of the hash agree, one in the slab. Buckets are probed one
//! after the other and lie in the order of their hashes, whatever came first (ordered linear probing): a hash that is
//! not there is known by the first higher one, and growing is one pass over all buckets. Capacities need not be powers
//! of two, so that a shard grows by a sixth and is three quarters to nine tenths full.
//!
//! The index is cut into shards by the first bits of the hash, each of which grows on its own: no insertion moves a
//! million numbers. The buckets of a shard lie in chunks of one size, and a shard that grows frees each old chunk as
//! soon as it is read. One array per shard would be memory of another size each time, and the arrays that shards have
//! outgrown would stay with the process as holes: nothing else has their size. Memory goes back as slots go.
//!
//! Callers hash with a random seed, because peers choose the keys, and with a hash whose high bits are spread evenly
//! for every seed, because a bucket's home is made of them: with foldhash's fast variant, prefixes that follow one
//! another lie in crowds for some seeds, and filling a table takes up to a fifth more instructions than for others.

const SHARDS: usize = 64;

#[derive(Clone, Copy)]
struct Bucket {
    hash: u32,
    slot: u32,
}

/// No slab has so many places.
const NONE: u32 = u32::MAX;

/// Its hash is higher than that of any slot: those have lost the bits of their shard.
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
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }
}

/// What the index goes by of a hash: its high half.
pub(crate) const fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Which shard a hash belongs to, and where in it: the bits that are left.
const fn split(hash: u32) -> (usize, u32) {
    const BITS: u32 = SHARDS.ilog2();
    ((hash >> (u32::BITS - BITS)) as usize, hash << BITS)
}

impl SlotIndex {
    /// The slot with this hash that `is_it` says.
    pub(crate) fn find(&self, hash: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let (shard, hash) = split(hash);
        self.shards[shard].find(hash, is_it)
    }

    /// The first slot with this hash, if there is one: most likely the one that is looked for.
    pub(crate) fn candidate(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Looks at the place where a hash would be, so that it is in the cache soon. What comes back is to be kept from
    /// being optimized away, and says nothing.
    pub(crate) fn touch(&self, hash: u32) -> u32 {
        let (shard, hash) = split(hash);
        let shard = &self.shards[shard];
        let home = shard.bucket(shard.home(hash));
        home.map_or(0, |bucket| bucket.hash)
    }

    /// Adds a slot that is not there yet.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        let (shard, hash) = split(hash);
        self.shards[shard].insert(hash, slot);
    }

    /// Takes a slot out. Nothing happens if it is not there with this hash.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let (shard, hash) = split(hash);
        self.shards[shard].remove(hash, slot);
    }
}

/// Buckets per chunk: 2 KiB. Tests have few, and what is pushed on has to cross from one chunk to the next.
const CHUNK: usize = if cfg!(test) { 16 } else { 256 };

/// What always holds: from the first to the last bucket that is not empty, hashes ascend; none lies before its home,
/// and there is no empty bucket between its home and it; the last bucket is empty.
#[derive(Default)]
struct Shard {
    /// Each has [`CHUNK`] buckets, but for the only one of a small shard, which has fewer.
    chunks: Vec<Vec<Bucket>>,
    /// Homes are below this. Buckets behind are for what is pushed over the end.
    homes: usize,
    len: usize,
}

impl Shard {
    /// Room beyond the homes. More is made where it does not do.
    const OVER: usize = 8;
    /// Shards below this are not made smaller.
    const SMALL: usize = 128;

    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.homes as u64) >> 32) as usize
    }

    fn bucket(&self, at: usize) -> Option<Bucket> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK).copied()
    }

    fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let home = self.home(hash);
        let mut place = home % CHUNK;
        for chunk in self.chunks.get(home / CHUNK..)? {
            for bucket in chunk.get(place..)? {
                if bucket.hash > hash {
                    return None;
                }
                if bucket.hash == hash && is_it(bucket.slot) {
                    return Some(bucket.slot);
                }
            }
            place = 0;
        }
        None
    }

    fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 10 > self.homes * 9 {
            self.grow();
        }
        let home = self.home(hash);
        let (mut number, mut place) = (home / CHUNK, home % CHUNK);
        let mut carried = Bucket { hash, slot };
        // All from the first higher hash up to the next empty bucket move one on. There is one: the last.
        while !carried.is_empty() {
            let rest = &mut self.chunks[number][place..];
            if let Some(at) = rest.iter().position(|bucket| bucket.hash > carried.hash) {
                let rest = &mut rest[at..];
                let empty = rest.iter().position(|bucket| bucket.is_empty());
                let end = empty.unwrap_or(rest.len() - 1);
                let last = rest[end];
                rest.copy_within(..end, 1);
                rest[0] = carried;
                carried = last;
            }
            (number, place) = (number + 1, 0);
        }
        self.len += 1;
        let last = self.chunks.last().and_then(|chunk| chunk.last());
        if last.is_some_and(|last| !last.is_empty()) {
            self.grow();
        }
    }

    fn remove(&mut self, hash: u32, slot: u32) {
        let home = self.home(hash);
        let mut place = home % CHUNK;
        for number in home / CHUNK..self.chunks.len() {
            while let Some(bucket) = self.chunks[number].get(place) {
                if bucket.hash > hash {
                    return;
                }
                if bucket.hash == hash && bucket.slot == slot {
                    return self.take_out(number * CHUNK + place);
                }
                place += 1;
            }
            place = 0;
        }
    }

    fn take_out(&mut self, mut at: usize) {
        loop {
            let next = self.bucket(at + 1).unwrap_or(EMPTY);
            // What lies at its home stays, and all that follows.
            let stays = next.is_empty() || self.home(next.hash) == at + 1;
            self.chunks[at / CHUNK][at % CHUNK] = if stays { EMPTY } else { next };
            if stays {
                break;
            }
            at += 1;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.homes > Self::SMALL && self.len * 4 < self.homes {
            self.resize(self.len * 2);
        }
    }

    fn grow(&mut self) {
        let capacity = self.homes + Self::OVER;
        self.resize(match capacity / CHUNK {
            0 => (2 * capacity).min(CHUNK),
            chunks => (chunks + (chunks / 6).max(1)) * CHUNK,
        });
    }

    /// Lays all buckets out again over so many, and some more if those do not do.
    fn resize(&mut self, capacity: usize) {
        let capacity = match capacity <= CHUNK {
            true => capacity,
            false => capacity.next_multiple_of(CHUNK),
        };
        let old = std::mem::take(&mut self.chunks);
        self.homes = capacity - Self::OVER;
        let mut layout = Layout::new(capacity);
        let mut at = 0;
        // Each old chunk is given back when it is read, and is one of the next new ones.
        for chunk in old {
            for bucket in chunk.iter().filter(|bucket| !bucket.is_empty()) {
                at = at.max(self.home(bucket.hash));
                layout.put(at, *bucket);
                at += 1;
            }
        }
        layout.put(at.max(capacity - 1), EMPTY);
        self.chunks = layout.full;
        self.chunks.push(layout.last);
    }
}

/// Chunks that are filled from the first bucket to the last.
struct Layout {
    full: Vec<Vec<Bucket>>,
    last: Vec<Bucket>,
    /// Buckets in the full chunks.
    before: usize,
}

impl Layout {
    fn new(capacity: usize) -> Self {
        Self {
            full: Vec::with_capacity(capacity.div_ceil(CHUNK)),
            last: vec![EMPTY; capacity.min(CHUNK)],
            before: 0,
        }
    }

    /// Puts a bucket at a place behind the others.
    fn put(&mut self, at: usize, bucket: Bucket) {
        while at - self.before >= self.last.len() {
            if self.last.len() < CHUNK {
                self.last.resize(CHUNK, EMPTY);
            } else {
                let full = std::mem::replace(&mut self.last, vec![EMPTY; CHUNK]);
                self.full.push(full);
                self.before += CHUNK;
            }
        }
        self.last[at - self.before] = bucket;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::BuildHasher;

    use proptest::prelude::*;

    use super::*;

    impl Shard {
        fn capacity(&self) -> usize {
            self.chunks.iter().map(Vec::capacity).sum()
        }

        fn check(&self) {
            let (full, last) = self.chunks.split_at(self.chunks.len().saturating_sub(1));
            assert!(full.iter().all(|chunk| chunk.len() == CHUNK));
            assert!(last.iter().all(|chunk| chunk.len() <= CHUNK));
            let buckets: Vec<Bucket> = self.chunks.iter().flatten().copied().collect();
            let mut last = None;
            for (at, bucket) in buckets.iter().enumerate() {
                if bucket.is_empty() {
                    continue;
                }
                assert!(last <= Some(bucket.hash), "hashes ascend");
                last = Some(bucket.hash);
                let home = self.home(bucket.hash);
                assert!(home <= at, "nothing lies before its home");
                let between = &buckets[home..at];
                assert!(between.iter().all(|b| !b.is_empty()), "and no gap between");
            }
            assert!(buckets.last().is_none_or(|b| b.is_empty()));
            assert!(buckets.len() <= 2 * self.homes + 2 * Self::OVER + 2 + CHUNK);
        }
    }

    proptest! {
        /// Few different hashes, at both ends of the range too, so that clusters and equal hashes are common.
        #[test]
        fn a_shard_is_a_set_of_pairs(ops in prop::collection::vec((any::<bool>(), 0u32..24, 0u32..4), 0..300)) {
            let mut shard = Shard::default();
            let mut model = BTreeSet::new();
            for (insert, hash, slot) in ops {
                let hash = if hash < 12 { hash * 40_000_000 } else { u32::MAX - 1 - (hash - 12) };
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

    /// Of shards alike, chance decides when each grows. A number that is laid out again takes a nanosecond or two.
    #[test]
    fn a_thousand_insertions_never_lay_out_much_of_a_large_index() {
        let mut index = SlotIndex::default();
        let hasher = foldhash::quality::FixedState::with_seed(7);
        let hash = |n: u32| high(hasher.hash_one(n));
        let mut most = 0;
        for thousand in 0..400 {
            let before: Vec<usize> = index.shards.iter().map(|shard| shard.homes).collect();
            for n in thousand * 1000..(thousand + 1) * 1000 {
                index.insert(hash(n), n);
            }
            let grown = index.shards.iter().zip(before);
            let grown = grown.filter(|(shard, before)| shard.homes != *before);
            most = most.max(grown.map(|(shard, _)| shard.len).sum());
        }
        assert!(most <= 64 * 1024, "{most} are laid out within a thousand");
    }

    /// Memory of one size serves every shard: none is left over that only a shard of another size could use.
    #[test]
    fn the_memory_of_a_shard_of_any_size_is_of_one_size() {
        let mut index = SlotIndex::default();
        let hasher = foldhash::quality::FixedState::with_seed(7);
        let hash = |n: u32| high(hasher.hash_one(n));
        for n in 0..200_000 {
            index.insert(hash(n), n);
            if n >= 50_000 && n.is_multiple_of(1000) {
                let mut chunks = index.shards.iter().flat_map(|shard| &shard.chunks);
                assert!(chunks.all(|chunk| chunk.capacity() == CHUNK), "at {n}");
            }
        }
    }

    #[test]
    fn a_large_index_is_compact_and_an_empty_one_owns_nothing() {
        let mut index = SlotIndex::default();
        let hash = |n: u32| n.wrapping_mul(0x9e37_79b1);
        for n in 0..200_000 {
            index.insert(hash(n), n);
        }
        for n in (0..200_000).step_by(997) {
            assert_eq!(index.find(hash(n), |slot| slot == n), Some(n));
        }
        let buckets: usize = index.shards.iter().map(Shard::capacity).sum();
        assert!(buckets < 200_000 * 4 / 3, "{buckets} buckets");
        for n in 0..200_000 {
            index.remove(hash(n), n);
        }
        assert!(index.shards.iter().all(|s| s.capacity() == 0));
    }
}
