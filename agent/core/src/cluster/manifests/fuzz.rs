//! The fuzz target of manifests.

use std::path::Path;

use super::store::Store;
use crate::cluster::{ClusterState, Map};
use crate::fuzz::Checks;

/// Versions of one file, each after the other, divided by octets of 0: nothing panics; what is in force stands, with this
/// value, in a version of the file that could be read; and reading a version again changes nothing.
pub fn manifests(data: &[u8]) {
    let path = Path::new("fuzz.yaml");
    let mut store = Store::default();
    let mut checks = Checks::default();
    let mut versions: Vec<ClusterState> = Vec::new();
    for text in data.split(|octet| *octet == 0) {
        let mut fresh = Store::default();
        if let Err(error) = store.read(path, text) {
            assert!(std::str::from_utf8(text).is_err());
            store.unreadable(path, &error);
            assert!(!store.unreadable(path, &error));
            let state = store.snapshot().state;
            assert!(state.services.is_empty() && state.endpoint_slices.is_empty());
            continue;
        }
        assert_eq!(store.read(path, text).ok(), Some(false));
        assert_eq!(fresh.read(path, text).ok(), Some(true));
        versions.push(ClusterState::clone(&fresh.snapshot().state));
        let snapshot = store.snapshot();
        checks.check(&snapshot);
        let state = &snapshot.state;
        macro_rules! written_by_people {
            ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
                $(justified(&state.$collection, &versions, |state| &state.$collection);)*
            };
        }
        routelet_api::kinds!(written_by_people);
        justified(&state.nodes, &versions, |state| &state.nodes);
        let known = state
            .namespaces
            .iter()
            .filter(|(_, labels)| labels.is_some());
        let known = known.map(|(name, labels)| (name.clone(), labels.clone()));
        justified(&known.collect(), &versions, |state| &state.namespaces);
        justified(&state.services, &versions, |state| &state.services);
        justified(&state.endpoint_slices, &versions, |state| {
            &state.endpoint_slices
        });
    }
}

fn justified<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    now: &Map<K, V>,
    versions: &[ClusterState],
    look: fn(&ClusterState) -> &Map<K, V>,
) {
    for (key, value) in now {
        assert!(
            versions
                .iter()
                .any(|version| look(version).get(key) == Some(value)),
            "{key:?} is in force as {value:?}, which no version says"
        );
    }
}
