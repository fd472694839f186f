//! Claims about plans that are brought up to date: they are those that are made from nothing, and what is said to be new in
//! them is all that is.

mod generators;
mod owners;
mod property;
mod reach;

use super::*;
use crate::cluster::Map;

/// Makes a map another one as an index does: what differs is put in or taken out, the rest is shared.
fn follow<K: Ord + Clone, V: Clone + PartialEq>(map: &mut Map<K, V>, wanted: &Map<K, V>) {
    for (key, value) in wanted {
        if map.get(key) != Some(value) {
            map.insert(key.clone(), value.clone());
        }
    }
    let gone: Vec<K> = map
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .cloned()
        .collect();
    for key in gone {
        map.remove(&key);
    }
}

fn follow_all(state: &mut ClusterState, wanted: &ClusterState) {
    follow(&mut state.routers, &wanted.routers);
    follow(&mut state.peers, &wanted.peers);
    follow(&mut state.advertisements, &wanted.advertisements);
    follow(&mut state.policies, &wanted.policies);
    follow(&mut state.nodes, &wanted.nodes);
    follow(&mut state.namespaces, &wanted.namespaces);
    follow(&mut state.services, &wanted.services);
    follow(&mut state.endpoint_slices, &wanted.endpoint_slices);
}
