//! Custom resources and their structural schema: what is pruned, what is defaulted, what is refused.
//!
//! The order is the server's: unknown fields go (or are refused), nulls that may not be go, defaults come, and what is
//! then there is validated, first by the schema and, if that holds, by its CEL rules.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use super::failure::Cause;

/// The schema of one property of an object, or what stands for all of them.
fn property<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    match schema["properties"].get(name) {
        Some(found) => Some(found),
        None => match &schema["additionalProperties"] {
            Value::Null | Value::Bool(false) => None,
            other => Some(other),
        },
    }
}

/// Removes what the schema does not know, and returns the paths of what it removed.
pub(crate) fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    if let Value::Object(fields) = object {
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            // The server knows the types of these itself.
            if matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            prune_field(schema, fields, &name, "", &mut removed);
        }
    }
    removed
}

fn prune_field(
    schema: &Value,
    fields: &mut Map<String, Value>,
    name: &str,
    path: &str,
    removed: &mut Vec<String>,
) {
    let path = join(path, name);
    match property(schema, name) {
        Some(inner) => {
            if let Some(value) = fields.get_mut(name) {
                prune_at(inner, value, &path, removed);
            }
        }
        None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
        None => {
            fields.remove(name);
            removed.push(path);
        }
    }
}

fn prune_at(schema: &Value, value: &mut Value, path: &str, removed: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                prune_field(schema, fields, &name, path, removed);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune_at(&schema["items"], item, &format!("{path}[{index}]"), removed);
            }
        }
        _ => {}
    }
}

/// Removes nulls that the schema does not allow, then fills in its defaults.
pub(crate) fn default(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                !value.is_null() || property(schema, name).is_none_or(|s| s["nullable"] == true)
            });
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                if let (None, Some(given)) = (fields.get(name), inner.get("default")) {
                    fields.insert(name.clone(), given.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(inner) = property(schema, name) {
                    default(inner, value);
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| default(&schema["items"], item)),
        _ => {}
    }
}

/// Everything in the object that the schema forbids. What was already so in `old` is let through, as a server since
/// 1.33 does ("ratcheting").
pub(crate) fn validate(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let fields = object.as_object().into_iter().flatten();
    let known =
        fields.filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
    for (name, value) in known {
        let before = old.and_then(|old| old.get(name));
        if let Some(inner) = property(schema, name) {
            check(inner, value, before, name, &mut causes);
        }
    }
    require(schema, object, "", &mut causes);
    if causes.is_empty() {
        causes = rules(schema, object, old);
    }
    causes
}

fn require(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if value.get(name).is_none() {
            causes.push(Cause::required(&join(path, name), ""));
        }
    }
}

fn check(schema: &Value, value: &Value, old: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    if old == Some(value) || value.is_null() && schema["nullable"] == true {
        return;
    }
    if !check_type(schema, value, path, causes) {
        return;
    }
    check_enum(schema, value, path, causes);
    let mut refuse = |shown: &Value, why: String| {
        causes.push(Cause::invalid(
            path,
            shown,
            &format!("{path} in body {why}"),
        ));
    };
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(limit) = schema["minimum"].as_f64().filter(|limit| number < *limit) {
                refuse(value, format!("should be greater than or equal to {limit}"));
            }
            if let Some(limit) = schema["maximum"].as_f64().filter(|limit| number > *limit) {
                refuse(value, format!("should be less than or equal to {limit}"));
            }
        }
        Value::String(text) => {
            let pattern = schema["pattern"].as_str();
            if pattern.is_some_and(|pattern| !Regex::new(pattern).is_ok_and(|r| r.is_match(text))) {
                refuse(
                    value,
                    format!("should match '{}'", pattern.unwrap_or_default()),
                );
            }
            let length = text.chars().count() as u64;
            if let Some(limit) = schema["minLength"].as_u64().filter(|limit| length < *limit) {
                refuse(value, format!("should be at least {limit} chars long"));
            }
            if let Some(limit) = schema["maxLength"].as_u64().filter(|limit| length > *limit) {
                let message = format!("Too long: may not be more than {limit} bytes");
                causes.push(Cause::new("FieldValueTooLong", path, message));
            }
        }
        Value::Array(items) => check_items(schema, items, old, path, causes),
        Value::Object(fields) => {
            require(schema, value, path, causes);
            for (name, value) in fields {
                if let Some(inner) = property(schema, name) {
                    let before = old.and_then(|old| old.get(name));
                    check(inner, value, before, &join(path, name), causes);
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Whether the value has the type; nothing else of it is worth a word if not.
fn check_type(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.as_f64().is_some_and(|n| n.fract() == 0.0) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = schema["type"].as_str();
    let fits = if schema["x-kubernetes-int-or-string"] == true {
        matches!(found, "integer" | "string")
    } else {
        match wanted {
            None => true,
            Some("number") => matches!(found, "integer" | "number"),
            Some(wanted) => wanted == found,
        }
    };
    if !fits {
        let wanted = wanted.unwrap_or("integer,string");
        let message = format!(
            "Invalid value: \"{found}\": {path} in body must be of type {wanted}: \"{found}\""
        );
        causes.push(Cause::new("FieldValueTypeInvalid", path, message));
    }
    fits
}

fn check_enum(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(allowed) = schema["enum"].as_array() else {
        return;
    };
    if !allowed.contains(value) {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            allowed.join(", ")
        );
        causes.push(Cause::new("FieldValueNotSupported", path, message));
    }
}

fn check_items(
    schema: &Value,
    items: &[Value],
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let count = items.len() as u64;
    if let Some(limit) = schema["minItems"].as_u64().filter(|limit| count < *limit) {
        let why = format!("{path} in body should have at least {limit} items");
        causes.push(Cause::invalid(path, &count.into(), &why));
    }
    if let Some(limit) = schema["maxItems"].as_u64().filter(|limit| count > *limit) {
        let message = format!("Too many: {count}: must have at most {limit} items");
        causes.push(Cause::new("FieldValueTooMany", path, message));
    }
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            keys.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        }
        _ => Vec::new(),
    };
    let is_set = schema["x-kubernetes-list-type"] == "set";
    for (index, item) in items.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let same = |other: &Value| {
            if is_set {
                other == item
            } else {
                keys.iter().all(|key| other.get(key) == item.get(key))
            }
        };
        if (is_set || !keys.is_empty()) && items[..index].iter().any(same) {
            causes.push(Cause::new(
                "FieldValueDuplicate",
                at.clone(),
                format!("Duplicate value: {item}"),
            ));
        }
        let before = old.and_then(|old| old.get(index));
        check(&schema["items"], item, before, &at, causes);
    }
}

/// The CEL rules of the schema, transition rules among them.
fn rules(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let validator = kube_cel::Validator::new();
    let Err(errors) = validator.validate(schema, object, old) else {
        return Vec::new();
    };
    // What was already so is let through, but for rules that compare with it: they are evaluated only if something changed.
    let changed = errors.into_vec().into_iter().filter(|error| {
        let before = old.and_then(|old| at_path(old, &error.field_path));
        before.is_none() || before != at_path(object, &error.field_path)
    });
    let causes = changed.map(|error| {
        let value = at_path(object, &error.field_path);
        let kind = match value {
            Some(Value::Object(_)) => "object",
            Some(Value::Array(_)) => "array",
            Some(Value::String(_)) => "string",
            Some(Value::Number(_)) => "integer",
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Null) | None => "null",
        };
        let field = match error.field_path.as_str() {
            "" => "<nil>",
            path => path,
        };
        Cause::new(
            "FieldValueInvalid",
            field,
            format!("Invalid value: \"{kind}\": {}", error.message),
        )
    });
    causes.collect()
}

/// The value at a path such as `spec.rules[0].match`.
fn at_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut names = path.split(['.', '[', ']']).filter(|name| !name.is_empty());
    names.try_fold(object, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if name.contains('.') || name.contains('/') {
        format!("{path}[{name}]")
    } else {
        format!("{path}.{name}")
    }
}

/// What is wrong with a schema as part of a definition: a few of the rules of structural schemas.
pub(crate) fn structural(schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !schema.is_object() {
        causes.push(Cause::required(path, "schemas are required"));
        return causes;
    }
    let untyped = schema.get("type").is_none()
        && schema["x-kubernetes-int-or-string"] != true
        && schema["x-kubernetes-preserve-unknown-fields"] != true;
    if untyped {
        causes.push(Cause::required(
            &format!("{path}.type"),
            "must not be empty for specified object fields",
        ));
    }
    if schema["properties"].is_object() && schema["additionalProperties"].is_object() {
        causes.push(Cause::forbidden(
            &format!("{path}.additionalProperties"),
            "additionalProperties and properties are mutual exclusive",
        ));
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        causes.extend(structural(inner, &format!("{path}.properties[{name}]")));
    }
    if schema["items"].is_object() {
        causes.extend(structural(&schema["items"], &format!("{path}.items")));
    }
    if schema["additionalProperties"].is_object() {
        causes.extend(structural(
            &schema["additionalProperties"],
            &format!("{path}.additionalProperties"),
        ));
    }
    causes
}

/// The schema of the place that a path of field names leads to; `*` stands for an item of a list.
pub(crate) fn at<'a>(schema: &'a Arc<Value>, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(&**schema, |schema, name| match name.as_str() {
            "*" => schema.get("items"),
            name => property(schema, name),
        })
}
