//! The few fields of Kubernetes' own kinds that are used, as they are written, and how they become the index's types.
//!
//! Everything else in such an object is skipped without being kept. An entry of a list that cannot be used (an address that is
//! none) is left out and named, the rest of the object counts: what is stored was not always valid by the rules of today (see
//! [`super::each`]). IPv4 addresses in IPv6 notation are the IPv4 addresses, as kube-proxy has it; those with leading zeros are
//! no addresses, since readers disagree about which.

mod endpoint_slice;
mod node;
mod service;

use std::fmt::Display;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use routelet_api::selector::Labels;
use serde::Deserialize;

use super::atom::Atoms;
use super::state::ObjectKey;
use super::validate::Finding;

pub use endpoint_slice::RawEndpointSlice;
pub use node::RawNode;
pub use service::RawService;
pub(crate) use service::{RawServiceStatus, RawServiceType, RawTrafficPolicy};

/// Metadata of any object, wherever it was read.
pub trait Metadata {
    /// `name`.
    fn name(&self) -> &str;
    /// `namespace`.
    fn namespace(&self) -> Option<&str>;
    /// `labels`.
    fn labels(&self) -> Option<&Labels>;
    /// `annotations`.
    fn annotations(&self) -> Option<&Labels>;

    /// `creationTimestamp`, in seconds since 1970. Only an API server gives one.
    fn created(&self) -> Option<i64> {
        None
    }

    /// `uid`. Only an API server gives one.
    fn uid(&self) -> Option<&str> {
        None
    }

    /// Whether there is a `deletionTimestamp`. Only an API server gives one.
    fn deleting(&self) -> bool {
        false
    }

    /// Namespace and name; an object that names no namespace is in `default`.
    fn key(&self, atoms: &mut Atoms) -> ObjectKey {
        let namespace = self.namespace().filter(|n| !n.is_empty());
        ObjectKey {
            namespace: atoms.atom(namespace.unwrap_or("default")),
            name: atoms.atom(self.name()),
        }
    }
}

impl Metadata for ObjectMeta {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    fn annotations(&self) -> Option<&Labels> {
        self.annotations.as_ref()
    }

    fn created(&self) -> Option<i64> {
        let created = self.creation_timestamp.as_ref()?;
        Some(created.0.as_second())
    }

    fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    fn deleting(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// What manifests need of it: everything else is skipped unread.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The namespace, of what is in one.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: Labels,
    /// Annotations.
    #[serde(default)]
    pub annotations: Labels,
    /// When it was created.
    #[serde(default)]
    pub creation_timestamp: Option<Time>,
}

impl Metadata for Meta {
    fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn labels(&self) -> Option<&Labels> {
        Some(&self.labels)
    }

    fn annotations(&self) -> Option<&Labels> {
        Some(&self.annotations)
    }

    fn created(&self) -> Option<i64> {
        let created = self.creation_timestamp.as_ref()?;
        Some(created.0.as_second())
    }
}

/// An object of which only the metadata is used.
#[derive(Clone, Debug, Deserialize)]
pub struct MetaOnly<M = Meta> {
    /// Its metadata.
    pub metadata: M,
}

impl<M: Metadata> MetaOnly<M> {
    /// The labels of a Namespace, which every one has one of.
    pub fn into_namespace(self) -> Labels {
        let mut labels = self.metadata.labels().cloned().unwrap_or_default();
        labels
            .entry("kubernetes.io/metadata.name".to_owned())
            .or_insert_with(|| self.metadata.name().to_owned());
        labels
    }
}

/// The value of a text that is there and not empty; Go writes an absent text as an empty one.
fn text_of<T: FromStr<Err: Display>>(
    text: Option<&str>,
    path: impl Display,
    left_out: &mut Vec<Finding>,
) -> Option<T> {
    let text = text.filter(|text| !text.is_empty())?;
    text.parse()
        .map_err(|error| {
            left_out.push(Finding {
                path: path.to_string(),
                reason: format!("{error}"),
            });
        })
        .ok()
}
