//! Who owns which fields: `metadata.managedFields`.
//!
//! A field's path is written in the elements of FieldsV1: `f:spec`, `k:{"type":"Ready"}` for an item of a keyed list,
//! `v:"x"` for a value of a set. Owned are leaves, and the items of keyed lists.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::resources::Resource;
use super::shape::{self, Merge};

/// The path of a field.
pub(crate) type Path = Vec<String>;

/// One entry of `managedFields`.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) manager: String,
    /// `Apply` or `Update`.
    pub(crate) operation: &'static str,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) time: String,
    pub(crate) fields: BTreeSet<Path>,
}

impl Owner {
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.api_version == other.api_version
            && self.subresource == other.subresource
    }

    fn entry(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_v1(&self.fields),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }
}

/// The owners of an object's fields.
pub(crate) fn owners(object: &Value) -> Vec<Owner> {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = entries.into_iter().flatten().map(|entry| {
        let mut fields = BTreeSet::new();
        from_v1(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
        Owner {
            manager: text(&entry["manager"]),
            operation: if entry["operation"] == "Apply" {
                "Apply"
            } else {
                "Update"
            },
            api_version: text(&entry["apiVersion"]),
            subresource: text(&entry["subresource"]),
            time: text(&entry["time"]),
            fields,
        }
    });
    read.collect()
}

/// Writes the owners into an object; those who own nothing are left out.
pub(crate) fn set_owners(object: &mut Value, owners: &[Owner]) {
    let owning = owners.iter().filter(|owner| !owner.fields.is_empty());
    let entries: Vec<Value> = owning.map(Owner::entry).collect();
    object["metadata"]["managedFields"] = entries.into();
}

/// Who owns what after an object was written by anything but apply: what changed goes to the writer.
pub(crate) fn track(resource: &Resource, old: Option<&Value>, new: &mut Value, writer: Owner) {
    let mut owners = old.map(owners).unwrap_or_default();
    let now = collect(resource, new);
    let changed: BTreeSet<Path> = now
        .iter()
        .filter(|path| old.is_none_or(|old| find(old, path) != find(new, path)))
        .cloned()
        .collect();
    for owner in &mut owners {
        owner
            .fields
            .retain(|path| !changed.contains(path) && find(new, path).is_some());
    }
    if !changed.is_empty() {
        match owners.iter_mut().find(|owner| owner.is(&writer)) {
            Some(owner) => {
                owner.fields.extend(changed);
                owner.time = writer.time;
            }
            None => owners.push(Owner {
                fields: changed,
                ..writer
            }),
        }
    }
    set_owners(new, &owners);
}

/// What the server itself writes, and nobody owns.
const SYSTEM: &[&str] = &[
    "name",
    "namespace",
    "generateName",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
    "managedFields",
];

/// The paths of all that an object says.
pub(crate) fn collect(resource: &Resource, object: &Value) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let mut metadata = value.clone();
                if let Some(fields) = metadata.as_object_mut() {
                    fields.retain(|name, _| !SYSTEM.contains(&name.as_str()));
                    if !fields.is_empty() {
                        walk(
                            resource,
                            &metadata,
                            &mut vec!["f:metadata".to_owned()],
                            &mut vec!["metadata".to_owned()],
                            &mut found,
                        );
                    }
                }
            }
            other => walk(
                resource,
                value,
                &mut vec![format!("f:{other}")],
                &mut vec![other.to_owned()],
                &mut found,
            ),
        }
    }
    found
}

fn walk(
    resource: &Resource,
    value: &Value,
    path: &mut Path,
    place: &mut Vec<String>,
    found: &mut BTreeSet<Path>,
) {
    let merge = shape::of(resource, place);
    match value {
        Value::Object(fields) if merge != Merge::Atomic && !fields.is_empty() => {
            for (name, value) in fields {
                path.push(format!("f:{name}"));
                place.push(name.clone());
                walk(resource, value, path, place, found);
                place.pop();
                path.pop();
            }
        }
        Value::Array(items) if merge == Merge::Set => {
            for item in items {
                path.push(format!("v:{item}"));
                found.insert(path.clone());
                path.pop();
            }
        }
        Value::Array(items) => match merge.keys() {
            Some(keys) => {
                for item in items {
                    path.push(key(item, &keys));
                    place.push("*".to_owned());
                    found.insert(path.clone());
                    walk(resource, item, path, place, found);
                    place.pop();
                    path.pop();
                }
            }
            None => {
                found.insert(path.clone());
            }
        },
        _ => {
            found.insert(path.clone());
        }
    }
}

/// The element of an item of a keyed list.
pub(crate) fn key(item: &Value, keys: &[String]) -> String {
    let fields: Map<String, Value> = keys
        .iter()
        .map(|key| (key.clone(), key_field(item, key)))
        .collect();
    format!("k:{}", Value::Object(fields))
}

/// A key field, with the one default that key fields of built-in types have.
fn key_field(item: &Value, key: &str) -> Value {
    match item.get(key) {
        Some(value) => value.clone(),
        None if key == "protocol" => "TCP".into(),
        None => Value::Null,
    }
}

/// The item of a list that an element names.
fn place_of(items: &[Value], element: &str) -> Option<usize> {
    if let Some(wanted) = element.strip_prefix("v:") {
        return items.iter().position(|item| format!("{item}") == wanted);
    }
    let keys: Map<String, Value> = serde_json::from_str(element.strip_prefix("k:")?).ok()?;
    items.iter().position(|item| {
        keys.iter()
            .all(|(name, value)| key_field(item, name) == *value)
    })
}

/// The value at a path; an item of a keyed list is there or not, its fields are compared by themselves.
pub(crate) fn find(object: &Value, path: &[String]) -> Option<Value> {
    let found = path
        .iter()
        .try_fold(object, |at, element| match element.strip_prefix("f:") {
            Some(name) => at.get(name),
            None => {
                let items = at.as_array()?;
                items.get(place_of(items, element)?)
            }
        })?;
    match path.last() {
        Some(last) if last.starts_with("k:") => Some(Value::Bool(true)),
        _ => Some(found.clone()),
    }
}

/// Removes what is at a path, and the maps that are empty then.
pub(crate) fn remove(object: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if let Some(name) = first.strip_prefix("f:") {
        let Some(fields) = object.as_object_mut() else {
            return;
        };
        if rest.is_empty() {
            fields.remove(name);
        } else if let Some(inner) = fields.get_mut(name) {
            remove(inner, rest);
            let empty = match inner {
                Value::Object(fields) => fields.is_empty(),
                Value::Array(items) => items.is_empty(),
                _ => false,
            };
            if empty {
                fields.remove(name);
            }
        }
    } else if let Some(items) = object.as_array_mut()
        && let Some(place) = place_of(items, first)
    {
        if rest.is_empty() {
            items.remove(place);
        } else {
            remove(&mut items[place], rest);
        }
    }
}

/// `.spec.ports[port=80,protocol="TCP"].name`, as conflicts are told.
pub(crate) fn shown(path: &[String]) -> String {
    let told = path.iter().map(|element| {
        if let Some(name) = element.strip_prefix("f:") {
            return format!(".{name}");
        }
        if let Some(value) = element.strip_prefix("v:") {
            return format!("[={value}]");
        }
        let keys: Map<String, Value> =
            serde_json::from_str(element.trim_start_matches("k:")).unwrap_or_default();
        let keys: Vec<String> = keys
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("[{}]", keys.join(","))
    });
    told.collect()
}

fn to_v1(fields: &BTreeSet<Path>) -> Value {
    let mut tree = json!({});
    for path in fields {
        let mut at = &mut tree;
        for element in path {
            at = &mut at[element.as_str()];
            if at.is_null() {
                *at = json!({});
            }
        }
        if path.last().is_some_and(|last| last.starts_with("k:")) {
            at["."] = json!({});
        }
    }
    tree
}

fn from_v1(tree: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    let Some(fields) = tree.as_object() else {
        return;
    };
    if fields.is_empty() && !path.is_empty() {
        found.insert(path.clone());
    }
    for (element, inner) in fields {
        if element == "." {
            found.insert(path.clone());
            continue;
        }
        path.push(element.clone());
        from_v1(inner, path, found);
        path.pop();
    }
}
