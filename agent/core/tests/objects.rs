//! The agent's own word on the objects of `interop-tests/tests/objects`, which are tried on an API server there: what a server
//! refuses is never good for the agent, and what must stay good is good for both.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use routelet_core::cluster::Kind;
use routelet_core::cluster::validate::Validate;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Row {
    kind: String,
    spec: Value,
}

fn rows(file: &str) -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop-tests/tests/objects");
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// What is wrong with a spec: that it cannot be read, or what the validation finds.
fn faults(row: &Row) -> Vec<String> {
    fn read<K: Kind>(spec: Value) -> Vec<String> {
        match serde_json::from_value::<K::Spec>(spec) {
            Ok(spec) => spec.validate().iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        }
    }
    let mut spec = row.spec.clone();
    without_null(&mut spec);
    macro_rules! read {
        ($($kind:ident $row:tt)*) => {
            match row.kind.as_str() {
                $(stringify!($kind) => read::<routelet_api::$kind>(spec),)*
                other => panic!("{other} is no kind of ours"),
            }
        };
    }
    routelet_api::kinds!(read)
}

/// Null is absence: whatever hands objects to the validation removes it.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[test]
fn what_a_server_refuses_is_never_good_for_the_agent() {
    let rows = rows("refused.yaml");
    assert!(rows.len() >= 150, "{}", rows.len());
    let good: Vec<String> = rows
        .iter()
        .filter(|row| faults(row).is_empty())
        .map(|row| format!("{} {}", row.kind, row.spec))
        .collect();
    assert!(good.is_empty(), "accepted:\n{}", good.join("\n"));
}

#[test]
fn what_must_stay_good_is_good_for_the_agent() {
    let rows = rows("accepted.yaml");
    assert!(rows.len() >= 40, "{}", rows.len());
    for row in rows {
        let found = faults(&row);
        assert!(found.is_empty(), "{} {}: {found:?}", row.kind, row.spec);
    }
}
