//! The objects that people write: a store for each kind, and the statuses that are to be written, by the rows of
//! [`routelet_api::kinds`].

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::object::HasStatus;
use routelet_core::cluster::{ClusterState, Indexed, Kind, Map, Object};

use super::custom_object::CustomObject;
use super::store::Store;

/// A kind with a store.
pub(super) trait Stored: Kind {
    /// The store of the kind.
    fn store(objects: &mut Objects) -> &mut Store<CustomObject<Self>>;
}

macro_rules! objects {
    ($($kind:ident { collection: $collection:ident, $($rest:tt)* })*) => {
        /// A store for each kind.
        #[derive(Debug, Default)]
        pub(super) struct Objects {
            $(pub(super) $collection: Store<CustomObject<routelet_api::$kind>>,)*
        }

        /// The statuses that are not as they should be, by name.
        #[derive(Debug, Default)]
        pub(super) struct Statuses {
            $(pub(super) $collection:
                Vec<(String, <routelet_api::$kind as HasStatus>::Status)>,)*
        }

        $(impl Stored for routelet_api::$kind {
            fn store(objects: &mut Objects) -> &mut Store<CustomObject<Self>> {
                &mut objects.$collection
            }
        })*

        impl Objects {
            /// The kinds, and whether each was listed to its end.
            pub(super) fn kinds(&self) -> Vec<(&'static str, bool)> {
                vec![$((routelet_api::$kind::KIND, self.$collection.synced())),*]
            }

            /// `metadata.uid` of an object.
            pub(super) fn uid(&self, kind: &str, name: &str) -> Option<&str> {
                match kind {
                    $(stringify!($kind) => self.$collection.named(name)?.uid.as_deref(),)*
                    _ => None,
                }
            }

            /// Why objects cannot be used, by kind and name.
            pub(super) fn invalid(&self) -> BTreeMap<(&'static str, String), String> {
                let mut all = BTreeMap::new();
                $(all.extend(invalid(&self.$collection));)*
                all
            }

            /// The objects as nodes use them, for a look at the references between them.
            pub(super) fn valid(&self) -> ClusterState {
                ClusterState {
                    $($collection: valid(&self.$collection),)*
                    ..ClusterState::default()
                }
            }
        }
    };
}

routelet_api::kinds!(objects);

fn invalid<K: Kind>(
    store: &Store<CustomObject<K>>,
) -> impl Iterator<Item = ((&'static str, String), String)> {
    store.iter().filter_map(|((_, name), ours)| {
        let reason = ours.invalid.clone()?;
        Some(((K::KIND, name.clone()), reason))
    })
}

fn valid<K: Kind>(store: &Store<CustomObject<K>>) -> Map<String, Arc<Object<K::Spec>>> {
    store
        .iter()
        .filter_map(|((_, name), ours)| Some((name.clone(), Arc::clone(ours.good.as_ref()?))))
        .collect()
}
