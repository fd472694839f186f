//! The fuzz target of objects from an API server.

use std::fmt::Debug;
use std::sync::Arc;

use kube::runtime::watcher::Event;
use routelet_api::KINDS;
use routelet_core::cluster::atom::Atoms;
use routelet_core::cluster::state::{ClusterState, ObjectKey};
use routelet_core::cluster::unreadable::Instead;
use routelet_core::cluster::watched::{
    WatchedNamespace, WatchedNode, WatchedService, WatchedSlice,
};
use routelet_core::cluster::{Indexed, Metadata, Snapshot};
use routelet_core::fuzz::Checks;

use super::cache::Cache;
use super::received::Received;
use super::secrets::WatchedSecret;

/// Watch events, one a line: an octet for the kind, one for the event, then the object as JSON. Nothing panics; an
/// object that can be used is in force as it came last, one that cannot leaves in force what the rule of its kind says.
pub fn objects(data: &[u8]) {
    let mut watched = Watch {
        cache: Cache::new([]),
        latest: Snapshot::default(),
    };
    let mut checks = Checks::default();
    for line in data.split(|octet| *octet == b'\n') {
        let [kind, event, json @ ..] = line else {
            continue;
        };
        watched.line(*kind, *event, json);
        checks.check(&watched.latest);
    }
}

struct Watch {
    cache: Cache,
    latest: Snapshot,
}

impl Watch {
    /// Takes an event in, of the kind with this number: first those that people write.
    fn line(&mut self, kind: u8, event: u8, json: &[u8]) {
        let kind = usize::from(kind) % (KINDS.len() + 5);
        macro_rules! written_by_people {
            ($($kind:ident $row:tt)*) => {
                match KINDS.get(kind) {
                    $(Some(&stringify!($kind)) => self.event::<routelet_api::$kind>(event, json),)*
                    _ => self.of_kubernetes(kind - KINDS.len(), event, json),
                }
            };
        }
        routelet_api::kinds!(written_by_people);
    }

    fn of_kubernetes(&mut self, kind: usize, event: u8, json: &[u8]) {
        match kind {
            0 => self.event::<WatchedNode>(event, json),
            1 => self.event::<WatchedNamespace>(event, json),
            2 => self.event::<WatchedService>(event, json),
            3 => self.event::<WatchedSlice>(event, json),
            _ => self.event::<WatchedSecret>(event, json),
        }
    }

    fn event<K: Indexed>(&mut self, event: u8, json: &[u8])
    where
        K::Value: Clone + Debug,
    {
        match event % 8 {
            0 => return self.feed::<K>(Event::Init),
            1 => return self.feed::<K>(Event::InitDone),
            _ => {}
        }
        // Without metadata the watch itself fails, and nothing gets as far as the cache.
        let Ok(object) = serde_json::from_slice::<Received<K>>(json) else {
            return;
        };
        let place = K::key(&key::<K>(&object));
        let before = self.in_force::<K>(&place);
        let expected = match object
            .0
            .as_ref()
            .ok()
            .cloned()
            .map(|o| o.value(&mut Atoms::default(), &mut Vec::new()))
        {
            _ if event % 8 == 2 => None,
            Some(Ok(mut value)) => {
                if let (Some(before), Some(value)) = (&before, &mut value) {
                    K::bridge(before, value);
                }
                value
            }
            Some(Err(_)) | None => match Instead::of(K::KIND) {
                Instead::LastGood => before,
                Instead::Nothing(_) => K::unknown(),
            },
        };
        self.feed(match event % 8 {
            2 => Event::Delete(object),
            3 => Event::InitApply(object),
            _ => Event::Apply(object),
        });
        assert_eq!(self.in_force::<K>(&place), expected);
    }

    fn feed<K: Indexed>(&mut self, event: Event<Received<K>>) {
        self.cache.event(event);
        if let Some(snapshot) = self.cache.take() {
            self.latest = snapshot;
        }
        assert!(self.cache.take().is_none(), "the same snapshot twice");
    }

    fn in_force<K: Indexed>(&self, place: &K::Key) -> Option<K::Value>
    where
        K::Value: Clone,
    {
        let state: &ClusterState = &self.latest.state;
        K::look(state)
            .get(place)
            .map(|value| K::Value::clone(Arc::as_ref(value)))
    }
}

fn key<K: Indexed>(object: &Received<K>) -> ObjectKey {
    let meta = object.metadata();
    if K::NAMESPACED {
        return meta.key(&mut Atoms::default());
    }
    ObjectKey::new("", meta.name())
}
