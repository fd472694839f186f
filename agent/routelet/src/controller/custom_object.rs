//! An object of a custom kind as the controller caches it: the last valid version, why the current one is invalid, its
//! status.

use std::sync::Arc;

use kube::core::ObjectMeta;
use routelet_core::cluster::validate::{Finding, Validate};
use routelet_core::cluster::{Kind, Metadata, Object};
use routelet_core::pools::Created;

use super::store::Reduced;
use crate::sources::Unreadable;

/// An object of a custom kind.
#[derive(Debug)]
pub(super) struct CustomObject<K: Kind> {
    /// `metadata.uid`.
    pub(super) uid: Option<String>,
    /// `metadata.generation`.
    pub(super) generation: Option<i64>,
    /// `metadata.creationTimestamp`.
    pub(super) created: Created,
    /// Its last valid version, if known.
    pub(super) good: Option<Arc<Object<K::Spec>>>,
    /// Why its current version is invalid.
    pub(super) invalid: Option<String>,
    /// Its status, as it is or as it was written last.
    pub(super) status: K::Status,
}

impl<K: Kind> Reduced for CustomObject<K> {
    type Object = K;

    fn keep(object: K, before: Option<Self>) -> Option<Self> {
        let (metadata, spec, status) = object.into_parts();
        let findings = spec.validate();
        let spec = match findings.is_empty() {
            true => Ok(spec),
            false => Err(together(&findings)),
        };
        let status = status.unwrap_or_default();
        Some(Self::new(metadata, spec, status, before))
    }

    /// Its status cannot be read either: it is as it was written last.
    fn unreadable(object: Unreadable<K>, before: Option<Self>) -> Option<Self> {
        let metadata = object.metadata.clone();
        let reason = together(&object.findings(|rest| rest.into_parts().1.validate()));
        let status = before.as_ref().map(|before| before.status.clone());
        let status = status.unwrap_or_default();
        Some(Self::new(metadata, Err(reason), status, before))
    }
}

/// All that is wrong with an object, in one text.
fn together(findings: &[Finding]) -> String {
    let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
    texts.join("; ")
}

impl<K: Kind> CustomObject<K> {
    /// An object whose spec is valid, or why it is not.
    fn new(
        metadata: ObjectMeta,
        spec: Result<K::Spec, String>,
        status: K::Status,
        before: Option<Self>,
    ) -> Self {
        Self {
            created: Created(metadata.created()),
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            invalid: spec.as_ref().err().cloned(),
            good: match spec {
                Ok(spec) => Some(Arc::new(Object::new(metadata, spec))),
                Err(_) => before.and_then(|before| before.good),
            },
            status,
        }
    }
}
