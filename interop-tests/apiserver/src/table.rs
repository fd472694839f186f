//! Tables, which `kubectl get` prints: the columns of a definition, with cells by JSONPath.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::resources::{Nature, Resource};

/// An object or a list of objects as a table.
pub(crate) fn table(resource: &Resource, answer: &Value) -> Value {
    let columns = columns(resource);
    let one = [answer.clone()];
    let items: &[Value] = match answer["items"].as_array() {
        Some(items) => items,
        None => &one,
    };
    let rows: Vec<Value> = items.iter().map(|item| row(&columns, item)).collect();
    let shown: Vec<Value> = columns.iter().map(definition).collect();
    let mut metadata = json!({"resourceVersion": answer["metadata"]["resourceVersion"]});
    for name in ["continue", "remainingItemCount"] {
        if let Some(value) = answer["metadata"].get(name) {
            metadata[name] = value.clone();
        }
    }
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": shown,
        "rows": rows,
    })
}

fn columns(resource: &Resource) -> Vec<Value> {
    let mut columns = vec![
        json!({"name": "Name", "type": "string", "format": "name", "jsonPath": ".metadata.name"}),
    ];
    match &resource.nature {
        Nature::Custom { columns: given, .. } if !given.is_empty() => {
            columns.extend(given.iter().cloned());
        }
        _ => columns.push(
            json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
        ),
    }
    columns
}

fn definition(column: &Value) -> Value {
    let description = column["description"]
        .as_str()
        .unwrap_or_else(|| column["jsonPath"].as_str().unwrap_or_default());
    json!({
        "name": column["name"],
        "type": if column["type"] == "date" { json!("string") } else { column["type"].clone() },
        "format": column["format"].as_str().unwrap_or_default(),
        "description": description,
        "priority": column["priority"].as_i64().unwrap_or_default(),
    })
}

fn row(columns: &[Value], object: &Value) -> Value {
    let cells: Vec<Value> = columns
        .iter()
        .map(|column| {
            let found = find(object, column["jsonPath"].as_str().unwrap_or_default());
            match (column["type"].as_str().unwrap_or_default(), found) {
                (_, None) => Value::Null,
                ("date", Some(value)) => value
                    .as_str()
                    .map_or_else(|| "<unknown>".to_owned(), age)
                    .into(),
                ("string", Some(Value::String(text))) => text.clone().into(),
                ("string", Some(Value::Null)) => Value::Null,
                ("string", Some(other)) => other.to_string().into(),
                (_, Some(other)) => other.clone(),
            }
        })
        .collect();
    json!({
        "cells": cells,
        "object": {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        },
    })
}

/// The first value at a JSONPath of names, `[n]`, `[*]` and `[?(@.name=="value")]`.
fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = vec![object];
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, after) = inner.split_once(']')?;
            // A condition ends in ")]"; a text in it may hold a bracket.
            let (step, after) = match inner.split_once(")]").filter(|_| inner.starts_with("?(")) {
                Some((condition, after)) => (condition, after),
                None => (step, after),
            };
            at = at
                .into_iter()
                .flat_map(|value| items(value, step))
                .collect();
            rest = after;
        } else {
            let name = rest.trim_start_matches('.');
            let end = escaped_end(name);
            let field = name[..end].replace("\\.", ".");
            at = at
                .into_iter()
                .filter_map(|value| value.get(&field))
                .collect();
            rest = &name[end..];
        }
    }
    at.first().copied()
}

/// Where a name of a path ends; `\.` belongs to it.
fn escaped_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    (0..bytes.len())
        .find(|&i| bytes[i] == b'[' || bytes[i] == b'.' && (i == 0 || bytes[i - 1] != b'\\'))
        .unwrap_or(bytes.len())
}

fn items<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    if let Some(condition) = step.strip_prefix("?(@.") {
        let Some((name, wanted)) = condition.split_once("==") else {
            return Vec::new();
        };
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        let all = value.as_array().into_iter().flatten();
        return all.filter(|item| item[name.trim()] == wanted).collect();
    }
    let name = step.trim_matches(['"', '\'']);
    match (value, step.parse::<usize>()) {
        (Value::Array(items), _) if step == "*" => items.iter().collect(),
        (Value::Array(items), Ok(index)) => items.get(index).into_iter().collect(),
        (Value::Object(fields), _) => fields.get(name).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// How long ago a time was, as Kubernetes tells it: `12s`, `5m3s`, `4h`, `3d`.
fn age(time: &str) -> String {
    let Ok(then) = time.parse::<Timestamp>() else {
        return "<invalid>".to_owned();
    };
    let seconds = Timestamp::now().as_second() - then.as_second();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let both = |whole: String, rest: i64, unit: &str| {
        if rest == 0 {
            whole
        } else {
            format!("{whole}{rest}{unit}")
        }
    };
    match seconds {
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => both(format!("{minutes}m"), seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => both(format!("{hours}h"), minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => both(format!("{days}d"), hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cells_are_found_by_the_paths_of_our_columns() {
        let object = json!({
            "metadata": {"name": "a", "labels": {"a.b/c": "x"}},
            "spec": {"list": [1, 2]},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "B", "status": "True"}]},
        });
        for (path, found) in [
            (".metadata.name", Some(json!("a"))),
            (".metadata.labels.a\\.b/c", Some(json!("x"))),
            (".spec.list", Some(json!([1, 2]))),
            (".spec.list[1]", Some(json!(2))),
            (
                ".status.conditions[?(@.type==\"B\")].status",
                Some(json!("True")),
            ),
            (".status.conditions[?(@.type=='C')].status", None),
            (".spec.none", None),
        ] {
            assert_eq!(find(&object, path).cloned(), found, "{path}");
        }
    }
}
