//! Objects of one kind from a watch: reduced, and removed only when their deletion was seen ([`Listing`]).

use std::collections::BTreeMap;

use kube::Resource;
use kube::core::ObjectMeta;
use kube::runtime::watcher::Event;

use crate::sources::{Listing, Received, Unreadable, WatchChange};

/// Namespace (empty for kinds without) and name.
pub(super) type Key = (String, String);

/// The key of an object.
pub(super) fn key(meta: &ObjectMeta) -> Key {
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// What a store keeps of an object.
pub(super) trait Reduced: Sized {
    /// The object as it comes.
    type Object: Resource<DynamicType = ()>;

    /// What is kept of an object, once it replaces what was kept of it `before`. `None`: nothing.
    fn keep(object: Self::Object, before: Option<Self>) -> Option<Self>;

    /// It is what a write of ours has answered.
    fn was_written(&mut self) {}

    /// What is kept of an object that cannot be read: what was kept before. Nothing that somebody has, an address or a
    /// session, is taken to be gone because a field cannot be read.
    fn unreadable(_: Unreadable<Self::Object>, before: Option<Self>) -> Option<Self> {
        before
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store<V> {
    objects: BTreeMap<Key, V>,
    listing: Listing<Key>,
}

impl<V> Default for Store<V> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            listing: Listing::default(),
        }
    }
}

impl<V: Reduced> Store<V> {
    /// Takes an event in.
    pub(super) fn event(&mut self, event: Event<Received<V::Object>>) {
        match self.listing.event(event, |object| key(object.metadata())) {
            Some(WatchChange::Put(object)) => {
                self.put(object);
            }
            Some(WatchChange::Remove(object)) => {
                self.objects.remove(&key(object.metadata()));
            }
            Some(WatchChange::Keep(listed)) => self.objects.retain(|key, _| listed.contains(key)),
            None => {}
        }
    }

    /// Takes an event in. Returns whether it changes this of an object, or which objects there are.
    pub(super) fn event_changing<T: PartialEq>(
        &mut self,
        event: Event<Received<V::Object>>,
        what: impl Fn(&V) -> T,
    ) -> bool {
        let key = match &event {
            Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => {
                Some(key(object.metadata()))
            }
            Event::Init | Event::InitDone => None,
        };
        let seen = |store: &Self| {
            let object = key.as_ref().and_then(|key| store.get(key));
            (object.map(&what), store.objects.len())
        };
        let before = seen(self);
        self.event(event);
        before != seen(self)
    }

    /// Puts an object in the place of its last version.
    fn put(&mut self, object: Received<V::Object>) -> Key {
        let key = key(object.metadata());
        let before = self.objects.remove(&key);
        let kept = match object.0 {
            Ok(object) => V::keep(object, before),
            Err(unreadable) => V::unreadable(*unreadable, before),
        };
        if let Some(kept) = kept {
            self.objects.insert(key.clone(), kept);
        }
        key
    }

    /// Takes in what a write has answered.
    pub(super) fn written(&mut self, object: Received<V::Object>) {
        let key = self.put(object);
        if let Some(kept) = self.objects.get_mut(&key) {
            kept.was_written();
        }
    }
}

impl<V> Store<V> {
    /// Whether a complete list was seen.
    pub(super) const fn synced(&self) -> bool {
        self.listing.is_synced()
    }

    /// All objects, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        self.objects.iter()
    }

    /// Which objects there are.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    /// What is kept of the objects.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.objects.values()
    }

    /// An object.
    pub(super) fn get(&self, key: &Key) -> Option<&V> {
        self.objects.get(key)
    }

    /// An object without a namespace.
    pub(super) fn named(&self, name: &str) -> Option<&V> {
        self.objects.get(&(String::new(), name.to_owned()))
    }

    /// The same, to change it.
    pub(super) fn named_mut(&mut self, name: &str) -> Option<&mut V> {
        self.objects.get_mut(&(String::new(), name.to_owned()))
    }
}
