//! The three patches that say what to change: JSON merge patch (RFC 7386), JSON patch (RFC 6902), and Kubernetes'
//! strategic merge patch, which knows the lists whose items have names. (The fourth, apply, says who wants what: see
//! `apply`.)

use serde_json::{Map, Value};

use super::failure::Failure;
use super::shape::{self, Merge};

/// Applies a JSON merge patch: nulls remove, objects merge, all else replaces.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Applies a JSON patch.
pub(crate) fn json(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    json_patch::patch(target, &patch).map_err(|error| {
        let message =
            format!("the server rejected our request due to an error in our request: {error}");
        Failure::new(422, "Invalid", message)
    })
}

/// Applies a strategic merge patch to an object of a built-in resource.
pub(crate) fn strategic(
    target: &mut Value,
    patch: &Value,
    path: &mut Vec<String>,
) -> Result<(), Failure> {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return Ok(());
    };
    if changes.get("$patch").is_some_and(|how| how == "replace") {
        let mut whole = changes.clone();
        whole.remove("$patch");
        *target = Value::Object(whole);
        return Ok(());
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return Ok(());
    };
    for (name, change) in changes {
        if name.starts_with("$setElementOrder/") || name.starts_with("$retainKeys") {
            continue;
        }
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = change.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(items)) = fields.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if change.is_null() {
            fields.remove(name);
            continue;
        }
        path.push(name.clone());
        let value = fields.entry(name.clone()).or_insert(Value::Null);
        match (shape::builtin(path), change) {
            (Merge::Keyed(keys), Value::Array(items)) => merge_items(value, items, keys, path)?,
            (Merge::Set, Value::Array(items)) => {
                let mut all = value.as_array().cloned().unwrap_or_default();
                all.extend(
                    items
                        .iter()
                        .filter(|item| !all.contains(item))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
                *value = all.into();
            }
            _ => strategic(value, change, path)?,
        }
        path.pop();
    }
    Ok(())
}

fn merge_items(
    value: &mut Value,
    changes: &[Value],
    keys: &[&str],
    path: &mut Vec<String>,
) -> Result<(), Failure> {
    // A strategic patch goes by one key, the first; server-side apply by all.
    let key = keys.first().copied().unwrap_or("name");
    let mut items = value.as_array().cloned().unwrap_or_default();
    if changes.iter().any(|change| change["$patch"] == "replace") {
        items = changes
            .iter()
            .filter(|change| change["$patch"] != "replace")
            .cloned()
            .collect();
        *value = items.into();
        return Ok(());
    }
    for change in changes {
        let Some(id) = change.get(key) else {
            return Err(Failure::bad_request(format!(
                "map: {change} does not contain declared merge key: {key}"
            )));
        };
        let place = items.iter().position(|item| item.get(key) == Some(id));
        if change["$patch"] == "delete" {
            items.retain(|item| item.get(key) != Some(id));
        } else if let Some(place) = place {
            path.push("*".to_owned());
            strategic(&mut items[place], change, path)?;
            path.pop();
        } else {
            items.push(change.clone());
        }
    }
    *value = items.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_follows_the_examples_of_rfc_7386() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!([1]),
                json!({"a": {"b": {"c": null}}}),
                json!({"a": {"b": {}}}),
            ),
        ] {
            let mut value = target;
            merge(&mut value, &patch);
            assert_eq!(value, result);
        }
    }

    #[test]
    fn a_strategic_patch_merges_conditions_by_type_and_replaces_ingress() {
        let mut node = json!({"status": {
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}],
            "loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]},
        }});
        let patch = json!({"status": {
            "conditions": [{"type": "Ready", "status": "False"}, {"type": "DiskPressure", "$patch": "delete"}],
            "loadBalancer": {"ingress": [{"ip": "2.2.2.2"}]},
        }});
        strategic(&mut node, &patch, &mut Vec::new()).unwrap();
        assert_eq!(
            node["status"]["conditions"],
            json!([{"type": "Ready", "status": "False"}])
        );
        assert_eq!(
            node["status"]["loadBalancer"]["ingress"],
            json!([{"ip": "2.2.2.2"}])
        );
    }
}
