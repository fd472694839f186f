//! How lists and maps are merged: whole, by key, or as sets. Custom resources say so in their schema, built-in types
//! in the table here.

use std::sync::Arc;

use serde_json::Value;

use super::resources::{Nature, Resource};
use super::schema;

/// How the value at a place is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merge<'a> {
    /// Field by field; a list as a whole.
    Fields,
    /// As a whole, map or list.
    Atomic,
    /// A list of distinct values.
    Set,
    /// A list of objects that these fields tell apart.
    Keyed(&'a [&'a str]),
    /// The same, with the keys as the schema gives them.
    KeyedBy(&'a Value),
}

/// The places of built-in types that are not merged by the common rule: the path's end, and how.
const BUILTIN: &[(&str, Merge<'static>)] = &[
    ("metadata.ownerReferences", Merge::Keyed(&["uid"])),
    ("metadata.finalizers", Merge::Set),
    ("status.conditions", Merge::Keyed(&["type"])),
    ("status.addresses", Merge::Keyed(&["type"])),
    ("spec.ports", Merge::Keyed(&["port", "protocol"])),
    ("spec.selector", Merge::Atomic),
    ("spec.podCIDRs", Merge::Set),
    ("spec.template.spec.containers", Merge::Keyed(&["name"])),
    ("spec.containers", Merge::Keyed(&["name"])),
];

/// How a place of a built-in type is merged; `*` stands for an item of a list.
pub(crate) fn builtin(path: &[String]) -> Merge<'static> {
    let path = path.join(".");
    let found = BUILTIN.iter().find(|(place, _)| *place == path);
    found.map_or(Merge::Fields, |(_, merge)| *merge)
}

/// How a place of a resource's objects is merged.
pub(crate) fn of<'a>(resource: &'a Resource, path: &[String]) -> Merge<'a> {
    let schema: &Arc<Value> = match &resource.nature {
        Nature::Custom { schema, .. } if path.first().is_none_or(|first| first != "metadata") => {
            schema
        }
        _ => return builtin(path),
    };
    let Some(found) = schema::at(schema, path) else {
        return Merge::Fields;
    };
    match found["x-kubernetes-list-type"].as_str() {
        Some("map") => return Merge::KeyedBy(&found["x-kubernetes-list-map-keys"]),
        Some("set") => return Merge::Set,
        _ => {}
    }
    if found["x-kubernetes-map-type"] == "atomic" {
        return Merge::Atomic;
    }
    Merge::Fields
}

impl Merge<'_> {
    /// The names of the key fields, of a list that has some.
    pub(crate) fn keys(&self) -> Option<Vec<String>> {
        match self {
            Self::Keyed(keys) => Some(keys.iter().map(|&key| key.to_owned()).collect()),
            Self::KeyedBy(keys) => {
                let keys = keys.as_array().into_iter().flatten();
                Some(keys.filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Self::Fields | Self::Atomic | Self::Set => None,
        }
    }
}
