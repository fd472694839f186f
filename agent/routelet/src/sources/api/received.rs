//! An object of an API server, read as its type or not: what every watch and every answer is read as, so that one
//! object that cannot be read takes no other along.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use routelet_core::cluster::reading::{self, Cuts, Reading};
use routelet_core::cluster::validate::Finding;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};

use super::json::Json;

/// An object, or what is known of one that is not as its kind says.
#[derive(Clone, Debug)]
pub(crate) struct Received<K>(pub(crate) Result<K, Box<Unreadable<K>>>);

/// An object that is not as its kind says.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable<K> {
    /// Its metadata, as far as it can be read: name, namespace and version at least.
    pub(crate) metadata: ObjectMeta,
    /// Where it is not, and why: all of it.
    pub(crate) findings: Vec<Finding>,
    /// What remains of it without that, and where that was.
    pub(crate) rest: Option<(K, Cuts)>,
}

impl<K> Unreadable<K> {
    /// All that is wrong with it: also what the validation finds in that which could be read.
    pub(crate) fn findings(self, validate: impl FnOnce(K) -> Vec<Finding>) -> Vec<Finding> {
        let mut all = self.findings;
        if let Some((rest, cuts)) = self.rest {
            all.extend(cuts.findings(validate(rest)));
        }
        all
    }
}

/// Fails only if an object has no name, which identifies it: its watch cannot continue.
impl<'de, K> Deserialize<'de> for Received<K>
where
    K: DeserializeOwned + Resource<DynamicType: Default>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = Json::deserialize(deserializer)?;
        let Reading {
            value,
            faults,
            cuts,
        } = reading::all(&mut json, &K::kind(&K::DynamicType::default()), |json| {
            json.read::<K>()
        });
        match value {
            Some(object) if object.meta().name.is_none() => {
                Err(de::Error::missing_field("metadata.name"))
            }
            Some(object) if faults.is_empty() => Ok(Self(Ok(object))),
            rest => {
                let metadata = metadata(&json);
                if metadata.name.is_none() {
                    return Err(de::Error::missing_field("metadata.name"));
                }
                let findings = faults.into_iter().map(|fault| Finding {
                    reason: match fault.path.is_empty() {
                        true => format!("cannot be read: {}", fault.reason),
                        false => fault.reason,
                    },
                    path: fault.path,
                });
                Ok(Self(Err(Box::new(Unreadable {
                    metadata,
                    findings: findings.collect(),
                    rest: rest.map(|rest| (rest, cuts)),
                }))))
            }
        }
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
