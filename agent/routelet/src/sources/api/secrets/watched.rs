//! A Secret as a watch brings it: of all kinds the one that no other source has.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use routelet_core::cluster::Indexed;
use routelet_core::cluster::atom::Atoms;
use routelet_core::cluster::secret::Secret;
use routelet_core::cluster::state::{ClusterState, Map};
use routelet_core::cluster::validate::Finding;
use serde::Deserialize;

/// A Secret of the agent's own namespace.
#[derive(Clone, Deserialize)]
pub(crate) struct WatchedSecret {
    metadata: ObjectMeta,
    #[serde(default)]
    data: std::collections::BTreeMap<String, ByteString>,
}

impl Debug for WatchedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedSecret")
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

routelet_core::resource!(
    WatchedSecret,
    "Secret",
    "",
    "secrets",
    NamespaceResourceScope
);

impl Indexed for WatchedSecret {
    const KIND: &'static str = "Secret";
    const HIDDEN: bool = true;
    type Value = Secret;
    // All are of one namespace.
    routelet_core::keyed!(cluster);

    fn look(state: &ClusterState) -> &Map<String, Arc<Secret>> {
        &state.secrets
    }

    fn map(state: &mut ClusterState) -> &mut Map<String, Arc<Secret>> {
        &mut state.secrets
    }

    fn value(self, _: &mut Atoms, _: &mut Vec<Finding>) -> Result<Option<Secret>, Vec<Finding>> {
        let data = self.data.into_iter();
        Ok(Some(data.map(|(key, value)| (key, value.0)).collect()))
    }
}
