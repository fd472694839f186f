//! The custom resource definitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use super::RouterState;

macro_rules! written_by_people {
    ($($kind:ident $row:tt)*) => {
        [$(crate::$kind::crd()),*]
    };
}

/// The definitions of all kinds, in the order in which people meet them.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let all = crate::kinds!(written_by_people).into_iter();
    all.chain([RouterState::crd()]).map(as_installed).collect()
}

/// What differs between the types' schemas and the ones that are installed:
///
/// - Rust's integers have formats that the API server does not know and warns of: the next wider one that it does, with the bounds
///   of the narrower one.
/// - A spec has no defaults but in descriptions. A default that the server filled in is stored with each object, and a later version could never change it for them.
///   Agent and controller fill them in when they read.
/// - Nothing in a spec is `nullable`. The server then takes `null` for an absent field, so that rules need not know it.
fn as_installed(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|s| s.open_api_v3_schema.as_mut()) {
            each(schema, &with_known_format);
            let spec = schema.properties.as_mut().and_then(|p| p.get_mut("spec"));
            if let Some(spec) = spec {
                each(spec, &without_default);
            }
        }
    }
    definition
}

/// Calls `change` with a schema and every schema inside it.
fn each(schema: &mut JSONSchemaProps, change: &impl Fn(&mut JSONSchemaProps)) {
    change(schema);
    schema
        .properties
        .iter_mut()
        .flatten()
        .for_each(|(_, schema)| each(schema, change));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        each(items, change);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        each(values, change);
    }
}

fn with_known_format(schema: &mut JSONSchemaProps) {
    let Some(format) = &mut schema.format else {
        return;
    };
    let highest = match format.as_str() {
        "uint16" => Some(f64::from(u16::MAX)),
        "uint32" => Some(f64::from(u32::MAX)),
        "int32" => Some(f64::from(i32::MAX)),
        _ => None,
    };
    let lowest = (format == "int32").then_some(f64::from(i32::MIN));
    schema.maximum = schema.maximum.or(highest);
    schema.minimum = schema.minimum.or(lowest);
    *format = match format.as_str() {
        "uint8" | "uint16" | "int8" | "int16" => "int32".to_owned(),
        "uint32" | "uint64" => "int64".to_owned(),
        _ => std::mem::take(format),
    };
}

/// A default becomes a sentence of the description, where that does not name it already: `kubectl explain` shows it.
fn without_default(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    let Some(default) = schema.default.take() else {
        return;
    };
    let text = match default.0 {
        Value::Null | Value::Object(_) => return,
        Value::String(text) => text,
        Value::Array(items) if items.is_empty() => return,
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            items.collect::<Vec<_>>().join(", ")
        }
        number_or_bool => number_or_bool.to_string(),
    };
    if let Some(description) = &mut schema.description
        && !description.to_lowercase().contains("default")
    {
        description.push_str(&format!(" Default: {text}."));
    }
}

/// One definition as a YAML document.
///
/// # Errors
/// Never for a definition of ours; the text is written by a library.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let mut value = definition.clone();
    // A table of an earlier version's objects is of no use in a file.
    value.status = None;
    serde_saphyr::to_string(&value)
}
