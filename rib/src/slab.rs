//! A slab with stable `u32` indices that grows in chunks.
//!
//! Growing never moves what is stored, so there is no moment with twice the memory and no long pause. A chunk that holds
//! nothing gives its memory back wherever it lies. Used for attribute sets and for prefix entries: an index is what
//! paths, queues and walks hold. An index says nothing about age: it is used again after its value is removed.

/// Values per chunk: some tens of kilobytes, so that a small table stays small.
const CHUNK: usize = 1024;

struct Chunk<T> {
    /// Grows up to [`CHUNK`], which is reserved at once.
    places: Vec<Option<T>>,
    /// Places below `places.len()` that are empty.
    free: Vec<u16>,
}

impl<T> Chunk<T> {
    fn is_full(&self) -> bool {
        self.places.len() == CHUNK && self.free.is_empty()
    }

    fn used(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// See the module.
pub(crate) struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Every chunk that is not full, each once.
    open: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            open: Vec::new(),
            len: 0,
        }
    }
}

const fn split(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One past the highest index that may hold a value: where a walk ends.
    pub(crate) fn end(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// Stores a value and returns its index.
    ///
    /// # Panics
    /// With 2^32 values, for which no machine has the memory.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let number = match self.open.last() {
            Some(number) => *number,
            None => {
                let number = self.chunks.len() as u32;
                self.chunks.push(Chunk {
                    places: Vec::new(),
                    free: Vec::new(),
                });
                self.open.push(number);
                number
            }
        };
        let chunk = &mut self.chunks[number as usize];
        let place = match chunk.free.pop() {
            Some(place) => {
                chunk.places[usize::from(place)] = Some(value);
                usize::from(place)
            }
            None => {
                if chunk.places.capacity() == 0 {
                    chunk.places.reserve_exact(CHUNK);
                }
                chunk.places.push(Some(value));
                chunk.places.len() - 1
            }
        };
        if chunk.is_full() {
            self.open.pop();
        }
        self.len += 1;
        (number as usize * CHUNK + place) as u32
    }

    /// Takes the value out. `None` if there is none.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let (number, place) = split(index);
        let chunk = self.chunks.get_mut(number)?;
        let was_full = chunk.is_full();
        let value = chunk.places.get_mut(place)?.take()?;
        chunk.free.push(place as u16);
        if chunk.used() == 0 {
            chunk.places = Vec::new();
            chunk.free = Vec::new();
        }
        if was_full {
            self.open.push(number as u32);
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
        Some(value)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, place) = split(index);
        self.chunks.get(chunk)?.places.get(place)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (chunk, place) = split(index);
        self.chunks.get_mut(chunk)?.places.get_mut(place)?.as_mut()
    }

    /// The first value at or after an index, ascending. Chunks without values cost one step each.
    pub(crate) fn next_from(&self, index: u32) -> Option<(u32, &T)> {
        let (mut number, mut place) = split(index);
        while let Some(chunk) = self.chunks.get(number) {
            let rest = chunk.places.get(place..).unwrap_or_default();
            if let Some(offset) = rest.iter().position(Option::is_some) {
                let place = place + offset;
                let value = chunk.places[place].as_ref()?;
                return Some(((number * CHUNK + place) as u32, value));
            }
            number += 1;
            place = 0;
        }
        None
    }

    /// All values with their indices, ascending.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            chunk
                .places
                .iter()
                .enumerate()
                .filter_map(move |(place, value)| {
                    Some(((number * CHUNK + place) as u32, value.as_ref()?))
                })
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.chunks
            .iter_mut()
            .enumerate()
            .flat_map(|(number, chunk)| {
                chunk
                    .places
                    .iter_mut()
                    .enumerate()
                    .filter_map(move |(place, value)| {
                        Some(((number * CHUNK + place) as u32, value.as_mut()?))
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn indices_stay_valid_while_others_come_and_go_and_an_empty_slab_owns_nothing() {
        let mut slab = Slab::default();
        let indices: Vec<u32> = (0..5000u32).map(|i| slab.insert(i)).collect();
        for i in (0..5000).step_by(2) {
            assert_eq!(slab.remove(indices[i]), Some(i as u32));
            assert_eq!(slab.remove(indices[i]), None);
        }
        let reused = slab.insert(7);
        assert!(reused < 5000, "removed places are used again, got {reused}");
        slab.remove(reused);
        for i in (1..5000).step_by(2) {
            assert_eq!(slab.get(indices[i]), Some(&(i as u32)));
        }
        let walked: Vec<u32> = slab.iter().map(|(_, v)| *v).collect();
        assert_eq!(walked, (1..5000).step_by(2).collect::<Vec<u32>>());
        let mut cursor = 0;
        let mut count = 0;
        while let Some((at, _)) = slab.next_from(cursor) {
            cursor = at + 1;
            count += 1;
        }
        assert_eq!(count, 2500);
        for i in (1..5000).step_by(2) {
            slab.remove(indices[i]);
        }
        assert_eq!((slab.len(), slab.chunks.capacity()), (0, 0));
    }

    #[test]
    fn a_chunk_that_empties_in_the_middle_gives_its_memory_back_and_is_filled_again() {
        let mut slab = Slab::default();
        for i in 0..3 * CHUNK {
            slab.insert(i);
        }
        for i in CHUNK..2 * CHUNK {
            slab.remove(i as u32);
        }
        assert_eq!(slab.chunks[1].places.capacity(), 0);
        assert_eq!(slab.next_from(CHUNK as u32).unwrap().0 as usize, 2 * CHUNK);
        let mut again: Vec<u32> = (0..CHUNK).map(|i| slab.insert(i)).collect();
        again.sort_unstable();
        assert_eq!(again.first(), Some(&(CHUNK as u32)));
        assert_eq!(slab.chunks.len(), 3);
    }
}
