//! Lists of Kubernetes' own kinds, read entry by entry.
//!
//! What is stored was valid when it was written, not by what is demanded today: addresses with leading zeros, or none at all
//! where one belongs (KEP-4858). One such entry must not take the good ones along, so that an entry which cannot be read is
//! left out and named.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::validate::Finding;

/// A list of which every entry is read for itself.
#[derive(Clone, Debug)]
pub struct Each<T>(Vec<Result<T, String>>);

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Each<T> {
    /// Whether there is no entry, good or bad.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The good entries.
    pub fn good(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|entry| entry.as_ref().ok())
    }

    /// Whether all entries are good and hold this.
    pub(crate) fn is_all(&self, holds: impl Fn(&T) -> bool) -> bool {
        self.0.iter().all(|entry| entry.as_ref().is_ok_and(&holds))
    }

    /// The good entries, each with its place in the list; `path` is that of the list. Adds what is left out to the findings.
    pub fn take(self, path: &str, left_out: &mut Vec<Finding>) -> impl Iterator<Item = (usize, T)> {
        let all = self.0.into_iter().enumerate();
        all.filter_map(move |(index, entry)| match entry {
            Ok(value) => Some((index, value)),
            Err(reason) => {
                left_out.push(Finding {
                    path: format!("{path}[{index}]"),
                    reason,
                });
                None
            }
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List(PhantomData))
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Each<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Each<T>, A::Error> {
        let mut entries = Vec::with_capacity(access.size_hint().unwrap_or_default().min(1024));
        while let Some(entry) = access.next_element_seed(Entry(PhantomData))? {
            entries.push(entry);
        }
        Ok(Each(entries))
    }
}

/// An entry. Both sources read objects out of memory, where an entry that fails leaves the place of the next one known.
struct Entry<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Entry<T> {
    type Value = Result<T, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok(T::deserialize(deserializer).map_err(|error| error.to_string()))
    }
}
