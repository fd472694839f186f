//! Secrets: what they hold is never written anywhere.

use std::collections::BTreeMap;
use std::fmt;

/// The data of a Secret, by key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(BTreeMap<String, Box<[u8]>>);

impl Secret {
    /// What stands under a key.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(AsRef::as_ref)
    }
}

impl FromIterator<(String, Vec<u8>)> for Secret {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k, v.into())).collect())
    }
}

impl fmt::Debug for Secret {
    /// The keys alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A text that must not be read by chance: it has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for where it is used.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
