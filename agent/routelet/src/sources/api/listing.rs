//! The events of a watch as changes of what is kept of it: pure, the same for the agent's index and the controller's
//! stores.
//!
//! An object goes only when it was seen to be gone: by a deletion, or by a complete list without it. A list that breaks
//! off removes nothing.

use std::collections::HashSet;
use std::hash::Hash;

use kube::runtime::watcher::Event;

/// How far a watch has listed its objects, which are identified by keys.
#[derive(Debug)]
pub(crate) struct Listing<K> {
    /// The objects of the list that comes in now.
    listed: Option<HashSet<K>>,
    synced: bool,
}

/// What an event changes.
#[derive(Debug)]
pub(crate) enum WatchChange<O, K> {
    /// The object is as it is here.
    Put(O),
    /// The object is gone.
    Remove(O),
    /// A list is complete: objects that are not in it are gone.
    Keep(HashSet<K>),
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self {
            listed: None,
            synced: false,
        }
    }
}

impl<K: Eq + Hash> Listing<K> {
    /// Takes an event in; `None`: it changes nothing that is kept.
    pub(crate) fn event<O>(
        &mut self,
        event: Event<O>,
        key: impl FnOnce(&O) -> K,
    ) -> Option<WatchChange<O, K>> {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                None
            }
            Event::InitApply(object) => {
                self.listed.get_or_insert_default().insert(key(&object));
                Some(WatchChange::Put(object))
            }
            Event::InitDone => {
                self.synced = true;
                Some(WatchChange::Keep(self.listed.take().unwrap_or_default()))
            }
            Event::Apply(object) => Some(WatchChange::Put(object)),
            Event::Delete(object) => Some(WatchChange::Remove(object)),
        }
    }

    /// Whether a complete list was seen at some time.
    pub(crate) const fn is_synced(&self) -> bool {
        self.synced
    }
}
