//! The page of the configuration is true: its tables of fields are those of the schemas, and every example in it and beside
//! the router snippets fits them.
//!
//! `UPDATE_DOCS=1 cargo test -p routelet-api --test configuration_page` writes the tables anew. What a change of a field does is in
//! `changes/fields.yaml`, which must have a row for each; `agent/core/src/intent/tests/changes.rs` makes every change.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kube::CustomResourceExt;
use serde_json::{Map, Value};

const PAGE: &str = "docs/reference/configuration.md";

fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// The schema of a kind's `spec`.
fn schema(kind: &str) -> Value {
    macro_rules! definition {
        ($($kind:ident $row:tt)*) => {
            match kind {
                $(stringify!($kind) => routelet_api::$kind::crd(),)*
                other => panic!("{other} is no kind of ours"),
            }
        };
    }
    let crd = routelet_api::kinds!(definition);
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Objects that stand in many places and are described once in the page.
fn shared(properties: &Map<String, Value>) -> Option<&'static str> {
    let has = |names: [&str; 2]| names.iter().all(|n| properties.contains_key(*n));
    if has(["matchLabels", "matchExpressions"]) {
        Some("[selector](#selectors)")
    } else if has(["nodeLabel", "nodeAnnotation"]) {
        Some("[from the Node](#values-from-the-node)")
    } else {
        None
    }
}

fn type_of(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .filter(|v| !v.is_null())
            .map(|v| {
                format!(
                    "`{}`",
                    v.as_str().map_or_else(|| v.to_string(), str::to_owned)
                )
            })
            .collect();
        return values.join(", ");
    }
    if schema["x-kubernetes-int-or-string"].as_bool() == Some(true) {
        return "number or text".to_owned();
    }
    if let Some(name) = schema["properties"].as_object().and_then(shared) {
        return name.to_owned();
    }
    match schema["type"].as_str() {
        Some("string") => "text".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") => "object".to_owned(),
        // A schema without a type, as of a number or a word: its description says what it takes.
        _ => "number or text".to_owned(),
    }
}

/// What a change of a field does to an agent that runs, in the words of the page.
fn words(change: &str) -> &'static str {
    match change {
        "now" => "at once",
        "session" => "resets the session",
        "sessions" => "resets all sessions",
        "next" => "from the next session on",
        "not yet" => "not yet",
        "start" => "after a restart",
        other => panic!("{other} is no change"),
    }
}

/// What a change of each field of a kind does. A field is taken out when it was found in the schema.
type Changes = BTreeMap<String, &'static str>;

fn changes(kind: &str) -> Changes {
    let text = include_str!("changes/fields.yaml");
    let all: Vec<Value> = serde_saphyr::from_str(text).unwrap();
    let mut changes = Changes::new();
    for row in all.iter().filter(|row| row["kind"] == kind) {
        let field = row["field"].as_str().unwrap().to_owned();
        let change = words(row["change"].as_str().unwrap());
        let twice = changes.insert(field, change);
        assert!(twice.is_none(), "{row} is there twice");
    }
    changes
}

/// Whether a field has no fields of its own that are described on the page.
fn is_leaf(field: &Value) -> bool {
    let of = match field["type"].as_str() {
        Some("array") => &field["items"],
        _ => field,
    };
    let properties = of["properties"].as_object();
    properties.is_none_or(|properties| shared(properties).is_some())
}

/// One row for each field below a schema.
fn rows(schema: &Value, path: &str, required: bool, changes: &mut Changes, out: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    if shared(properties).is_some() && !path.is_empty() {
        return;
    }
    let needed: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, field) in properties {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let is_needed = required && needed.contains(&name.as_str());
        let default = match &field["default"] {
            Value::Null | Value::Object(_) if is_needed => "*required*".to_owned(),
            Value::Null | Value::Object(_) => String::new(),
            Value::String(text) => format!("`{text}`"),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|i| i.as_str().unwrap()).collect();
                format!("`[{}]`", items.join(", "))
            }
            value => format!("`{value}`"),
        };
        let text = field["description"].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{path} has no description");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let change = match is_leaf(field) {
            true => changes.remove(&path).unwrap_or_else(|| {
                panic!(
                    "agent/api/tests/changes/fields.yaml does not say what a change of {path} does"
                )
            }),
            false => "",
        };
        out.push(format!(
            "| `{path}` | {} | {default} | {} | {change} |\n",
            type_of(field),
            text.replace('|', "\\|")
        ));
        match field["type"].as_str() {
            Some("array") => rows(&field["items"], &format!("{path}[]"), true, changes, out),
            _ => rows(field, &path, true, changes, out),
        }
    }
}

fn table(kind: &str) -> String {
    let head = "| field | type | default | what | a change |\n|---|---|---|---|---|\n";
    let mut lines = vec![head.to_owned()];
    let mut changes = changes(kind);
    rows(&schema(kind), "", true, &mut changes, &mut lines);
    assert!(changes.is_empty(), "no fields of {kind}: {changes:?}");
    lines.concat()
}

#[test]
fn the_tables_of_fields_are_those_of_the_schemas() {
    let path = in_workspace(PAGE);
    let mut page = std::fs::read_to_string(&path).unwrap();
    for kind in routelet_api::KINDS {
        let begin = format!("<!-- fields of {kind}: begin -->\n");
        let end = format!("<!-- fields of {kind}: end -->");
        let start = page
            .find(&begin)
            .unwrap_or_else(|| panic!("{kind} is missing"))
            + begin.len();
        let stop = start + page[start..].find(&end).unwrap();
        let table = table(kind);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            page.replace_range(start..stop, &table);
            continue;
        }
        assert!(
            page[start..stop] == table,
            "{PAGE} does not show the fields of {kind} as they are now: run\n\
             UPDATE_DOCS=1 cargo test -p routelet-api --test configuration_page"
        );
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
}

/// Every key of an example must be a field of the schema: a typing error must not be taken for a default.
fn check_keys(value: &Value, schema: &Value, path: &str) {
    match value {
        Value::Object(map) => {
            let Some(properties) = schema["properties"].as_object() else {
                assert!(
                    map.is_empty() || schema["additionalProperties"].is_object(),
                    "{path} has no fields in the schema"
                );
                return;
            };
            for (key, value) in map {
                let field = properties.get(key);
                let field = field.unwrap_or_else(|| panic!("{path}.{key} is no field"));
                check_keys(value, field, &format!("{path}.{key}"));
            }
        }
        Value::Array(items) => {
            for item in items {
                check_keys(item, &schema["items"], &format!("{path}[]"));
            }
        }
        _ => {}
    }
}

/// Reads the documents of an example and returns how many of ours there were.
fn check_example(text: &str, origin: &str) -> usize {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{origin}: {e}\n{text}"));
    let mut ours = 0;
    for document in documents {
        if document["apiVersion"] != "routelet.dev/v1alpha1" {
            continue;
        }
        let kind = document["kind"].as_str().unwrap().to_owned();
        check_keys(
            &document["spec"],
            &schema(&kind),
            &format!("{origin}: {kind}.spec"),
        );
        macro_rules! read {
            ($($kind:ident $row:tt)*) => {
                match kind.as_str() {
                    $(stringify!($kind) => {
                        serde_json::from_value::<routelet_api::$kind>(document).map(drop)
                    })*
                    other => panic!("{other} is no kind of ours"),
                }
            };
        }
        let read = routelet_api::kinds!(read);
        read.unwrap_or_else(|e| panic!("{origin}: {kind}: {e}"));
        ours += 1;
    }
    ours
}

#[test]
fn every_example_of_the_page_is_understood() {
    let page = std::fs::read_to_string(in_workspace(PAGE)).unwrap();
    let mut ours = 0;
    for block in page.split("```yaml\n").skip(1) {
        let (text, _) = block.split_once("```").unwrap();
        ours += check_example(text, PAGE);
    }
    assert!(ours >= 6, "{ours} examples");
}

#[test]
fn the_peers_of_the_router_snippets_are_understood() {
    let path = "examples/routers/peers.yaml";
    let text = std::fs::read_to_string(in_workspace(path)).unwrap();
    assert_eq!(check_example(&text, path), 5);
}
