//! Texts that many objects share: names, namespaces, labels.
//!
//! A cluster says the same few words over and over: each of 30,000 endpoints names one of 1,000 nodes, and a Service's name
//! stands in its labels, in its slices and in each decision on it. An [`Atom`] is such a text, cheap to clone; [`Atoms`]
//! makes equal texts one, as long as somebody uses them.
//!
//! Two atoms are equal if their texts are, whoever made them.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use routelet_api::selector::LabelSet;

/// A shared text. The empty one takes no memory beside the value itself.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom(Option<Arc<str>>);

impl Atom {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl From<&str> for Atom {
    fn from(text: &str) -> Self {
        Self((!text.is_empty()).then(|| Arc::from(text)))
    }
}

impl From<String> for Atom {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Deref for Atom {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Atom {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// Labels or annotations of an object: ascending by key, each key once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AtomMap(Box<[(Atom, Atom)]>);

impl AtomMap {
    /// Whether it has no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Its keys and their values, ascending.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Its keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &Atom> {
        self.0.iter().map(|(key, _)| key)
    }

    /// What has no key of another one's.
    pub fn without(&self, other: &Self) -> Self {
        let pairs = self.0.iter();
        let pairs = pairs.filter(|(key, _)| other.get(key).is_none());
        Self(pairs.cloned().collect())
    }

    /// What has one of these keys.
    pub fn only(&self, keys: &BTreeSet<&str>) -> Self {
        let pairs = self.0.iter();
        let pairs = pairs.filter(|(key, _)| keys.contains(key.as_str()));
        Self(pairs.cloned().collect())
    }

    /// Both, of which no key is in both.
    pub fn with(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).cloned().collect()
    }
}

impl FromIterator<(Atom, Atom)> for AtomMap {
    /// Of two values of one key, either may stay.
    fn from_iter<I: IntoIterator<Item = (Atom, Atom)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_unstable();
        pairs.dedup_by(|a, b| a.0 == b.0);
        Self(pairs.into())
    }
}

impl LabelSet for AtomMap {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl fmt::Debug for AtomMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(k, v)| (k, v)))
            .finish()
    }
}

/// The atoms of one source of state.
#[derive(Debug, Default)]
pub struct Atoms(HashSet<Shared>);

/// Looked up by its text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shared(Arc<str>);

impl Borrow<str> for Shared {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Atoms {
    /// The atom of a text.
    pub fn atom(&mut self, text: &str) -> Atom {
        if text.is_empty() {
            return Atom::default();
        }
        if let Some(known) = self.0.get(text) {
            return Atom(Some(Arc::clone(&known.0)));
        }
        let made: Arc<str> = text.into();
        self.0.insert(Shared(Arc::clone(&made)));
        Atom(Some(made))
    }

    /// Labels or annotations.
    pub fn map<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> AtomMap {
        pairs
            .into_iter()
            .map(|(key, value)| (self.atom(key), self.atom(value)))
            .collect()
    }

    /// Forgets the atoms that nobody else has any more.
    pub fn sweep(&mut self) {
        self.0.retain(|shared| Arc::strong_count(&shared.0) > 1);
        self.0.shrink_to_fit();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shared(a: &Atom, b: &Atom) -> bool {
        Arc::ptr_eq(a.0.as_ref().unwrap(), b.0.as_ref().unwrap())
    }

    #[test]
    fn equal_texts_are_one_and_go_when_nobody_uses_them() {
        let mut atoms = Atoms::default();
        let (a, b) = (atoms.atom("node-1"), atoms.atom("node-1"));
        assert!(shared(&a, &b));
        assert_eq!(a, Atom::from("node-1"), "whoever made it");
        assert_eq!(&*atoms.atom(""), "");
        drop(atoms.atom("node-2"));
        assert_eq!(atoms.len(), 2);
        atoms.sweep();
        assert_eq!(atoms.len(), 1);
        drop((a, b));
        atoms.sweep();
        assert_eq!(atoms.len(), 0);
    }

    #[test]
    fn maps_find_each_of_their_keys_and_no_other() {
        let pairs = [("b", "2"), ("a", "1"), ("c", "")];
        let map: AtomMap = pairs
            .map(|(k, v)| (k.into(), v.into()))
            .into_iter()
            .collect();
        assert_eq!(
            ["a", "b", "c", "d"].map(|k| map.get(k)),
            [Some("1"), Some("2"), Some(""), None]
        );
    }
}
