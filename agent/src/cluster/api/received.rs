//! An object of an API server, read as its type or not: what every watch and every answer is read as, so that one object that
//! cannot be read takes no other along.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};

use super::json::Json;
use crate::cluster::validate::Finding;

/// An object, or what is known of one that is not as its kind says.
#[derive(Clone, Debug)]
pub(crate) struct Received<K>(pub(crate) Result<K, Unreadable>);

/// An object that is not as its kind says.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    /// Its metadata, as far as it can be read: name, namespace and version at least.
    pub(crate) metadata: ObjectMeta,
    /// Where it is not, and why.
    pub(crate) finding: Finding,
}

/// Fails only if an object cannot even be told from others: without a name, its watch cannot go on.
impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Received<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let unfit = match json.read::<K>() {
            Ok(object) if object.meta().name.is_some() => return Ok(Self(Ok(object))),
            Ok(_) => return Err(de::Error::missing_field("metadata.name")),
            Err(unfit) => unfit,
        };
        let metadata = metadata(&json);
        if metadata.name.is_none() {
            return Err(de::Error::missing_field("metadata.name"));
        }
        let finding = Finding {
            reason: match unfit.path.is_empty() {
                true => format!("cannot be read: {}", unfit.reason),
                false => unfit.reason,
            },
            path: unfit.path,
        };
        Ok(Self(Err(Unreadable { metadata, finding })))
    }
}

/// The metadata of an object, or what of it says which object it is.
fn metadata(object: &Json<'_>) -> ObjectMeta {
    let Some(json) = object.field("metadata") else {
        return ObjectMeta::default();
    };
    let text = |name| json.field(name).and_then(|text| text.read().ok());
    json.read().unwrap_or_else(|_| ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        generation: json.field("generation").and_then(|n| n.read().ok()),
        ..ObjectMeta::default()
    })
}

impl<K: Resource> Received<K> {
    /// The metadata, whether or not the rest can be read.
    pub(crate) fn metadata(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(unreadable) => &unreadable.metadata,
        }
    }
}

impl<K: Resource> Resource for Received<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(unreadable) => &mut unreadable.metadata,
        }
    }
}
