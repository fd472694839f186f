//! Server-side apply: a manager says which fields it wants; what it wanted before and does not name any more goes,
//! unless another manager has it; what another has with another value is a conflict, unless taken by force.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::fields::{self, Owner, Path};
use super::resources::Resource;
use super::shape::{self, Merge};

/// Merges an applied configuration into the object that is there, and returns it with the owners of its fields.
///
/// # Errors
/// 409 with one cause for each field that another manager owns.
pub(crate) fn apply(
    resource: &Resource,
    live: &Value,
    config: &Value,
    applier: Owner,
    force: bool,
) -> Result<(Value, Vec<Owner>), Failure> {
    let wanted = fields::collect(resource, config);
    let mut owners = fields::owners(live);
    let before: BTreeSet<Path> = owners
        .iter()
        .find(|owner| owner.is(&applier))
        .map(|owner| owner.fields.clone())
        .unwrap_or_default();
    let mut merged = live.clone();
    merge(resource, &mut merged, config, &mut Vec::new());
    conflicts(&mut owners, &applier, &wanted, live, &merged, force)?;
    // The longest first: the fields of an item before the item.
    for path in before
        .difference(&wanted)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        let others = owners.iter().filter(|owner| !owner.is(&applier));
        if others
            .clone()
            .any(|owner| owner.fields.iter().any(|field| field.starts_with(path)))
        {
            continue;
        }
        // Of what was a leaf a part may be wanted still.
        if !wanted.iter().any(|field| field.starts_with(path)) {
            fields::remove(&mut merged, path);
        }
    }
    let unchanged = before == wanted;
    match owners.iter_mut().find(|owner| owner.is(&applier)) {
        Some(owner) => {
            owner.fields = wanted;
            if !unchanged {
                owner.time = applier.time;
            }
        }
        None => owners.push(Owner {
            fields: wanted,
            ..applier
        }),
    }
    Ok((merged, owners))
}

fn conflicts(
    owners: &mut [Owner],
    applier: &Owner,
    wanted: &BTreeSet<Path>,
    live: &Value,
    merged: &Value,
    force: bool,
) -> Result<(), Failure> {
    let changed: BTreeSet<&Path> = wanted
        .iter()
        .filter(|path| fields::find(live, path) != fields::find(merged, path))
        .collect();
    let mut causes: Vec<(String, String)> = Vec::new();
    for owner in owners.iter_mut().filter(|owner| !owner.is(applier)) {
        let contested: Vec<Path> = owner
            .fields
            .iter()
            .filter(|path| changed.contains(path))
            .cloned()
            .collect();
        for path in contested {
            if force {
                owner.fields.remove(&path);
                continue;
            }
            let how = match (owner.operation, owner.subresource.as_str()) {
                ("Apply", _) => String::new(),
                (_, "") => format!(" using {}", owner.api_version),
                (_, sub) => format!(" with subresource \"{sub}\" using {}", owner.api_version),
            };
            causes.push((
                format!("conflict with \"{}\"{how}", owner.manager),
                fields::shown(&path),
            ));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let told = match &causes[..] {
        [(who, field)] => format!("Apply failed with 1 conflict: {who}: {field}"),
        many => {
            let mut told = format!("Apply failed with {} conflicts:", many.len());
            for (who, field) in many {
                told.push_str(&format!(" {who}:\n- {field}"));
            }
            told
        }
    };
    let mut failure = Failure::new(409, "Conflict", told);
    let causes: Vec<Value> = causes
        .into_iter()
        .map(|(who, field)| json!({"reason": "FieldManagerConflict", "message": who, "field": field}))
        .collect();
    failure.details = Some(json!({ "causes": causes }));
    Err(failure)
}

fn merge(resource: &Resource, target: &mut Value, config: &Value, place: &mut Vec<String>) {
    let how = shape::of(resource, place);
    match config {
        Value::Object(changes) if how != Merge::Atomic => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            for (name, change) in changes {
                place.push(name.clone());
                merge(resource, &mut target[name.as_str()], change, place);
                place.pop();
            }
        }
        Value::Array(changes) if how == Merge::Set => {
            let mut items = target.as_array().cloned().unwrap_or_default();
            for change in changes {
                if !items.contains(change) {
                    items.push(change.clone());
                }
            }
            *target = items.into();
        }
        Value::Array(changes) => match how.keys() {
            Some(keys) => {
                let mut items = target.as_array().cloned().unwrap_or_default();
                place.push("*".to_owned());
                for change in changes {
                    let id = fields::key(change, &keys);
                    let found = items.iter_mut().find(|item| fields::key(item, &keys) == id);
                    match found {
                        Some(item) => merge(resource, item, change, place),
                        None => items.push(change.clone()),
                    }
                }
                place.pop();
                *target = items.into();
            }
            None => target.clone_from(config),
        },
        _ => target.clone_from(config),
    }
}
