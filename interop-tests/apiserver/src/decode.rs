//! From a body to an object of its resource: identity checked, unknown fields dropped or refused, defaults filled in.

use serde_json::Value;

use super::failure::Failure;
use super::request::Call;
use super::resources::Nature;
use super::{defaults, go, schema};

/// Checks that the body is what the path says it is.
///
/// # Errors
/// 400, in the server's words.
pub(crate) fn identify(call: &Call, object: &mut Value) -> Result<(), Failure> {
    let resource = &call.resource;
    if !object.is_object() {
        return Err(Failure::bad_request("the body is no object"));
    }
    for (field, wanted) in [
        ("apiVersion", resource.api_version()),
        ("kind", resource.kind.clone()),
    ] {
        match object[field].as_str() {
            Some(given) if given == wanted => {}
            // Typed clients leave both out for built-in types.
            None | Some("") if !resource.is_custom() => object[field] = wanted.into(),
            given => {
                let given = given.unwrap_or_default();
                return Err(Failure::bad_request(format!(
                    "the {} in the data ({given}) does not match the expected {} ({wanted})",
                    if field == "kind" {
                        "kind"
                    } else {
                        "API version"
                    },
                    if field == "kind" {
                        "kind"
                    } else {
                        "API version"
                    },
                )));
            }
        }
    }
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Default::default());
    }
    let metadata = &mut object["metadata"];
    let namespace = call.namespace.clone().unwrap_or_default();
    match metadata["namespace"].as_str() {
        None | Some("") if namespace.is_empty() => {
            if let Some(fields) = metadata.as_object_mut() {
                fields.remove("namespace");
            }
        }
        None | Some("") => metadata["namespace"] = namespace.into(),
        Some(given) if given == namespace => {}
        Some(_) => {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    if !call.name.is_empty() {
        match metadata["name"].as_str() {
            Some(given) if given == call.name => {}
            given => {
                let given = given.unwrap_or_default();
                return Err(Failure::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({})",
                    call.name
                )));
            }
        }
    }
    Ok(())
}

/// Reads an object by its type or schema, in place.
///
/// Returns warnings of fields that were dropped.
///
/// # Errors
/// 400: a value has the wrong type, or fields are unknown and the client asked to be strict.
pub(crate) fn decode(call: &Call, object: &mut Value) -> Result<Vec<String>, Failure> {
    let resource = &call.resource;
    let unknown = match &resource.nature {
        Nature::Builtin(read) => {
            let read = read(object.clone()).map_err(|error| {
                Failure::bad_request(format!(
                    "{} in version \"{}\" cannot be handled as a {}: {error}",
                    resource.kind, resource.version, resource.kind
                ))
            })?;
            let mut unknown = Vec::new();
            lost(object, &read, "", &mut unknown);
            *object = read;
            object["apiVersion"] = resource.api_version().into();
            object["kind"] = resource.kind.as_str().into();
            unknown
        }
        Nature::Custom { schema, .. } => {
            let mut unknown = schema::prune(schema, object);
            unknown.extend(metadata(object)?);
            unknown
        }
    };
    match call.query.text("fieldValidation") {
        "Ignore" => Ok(Vec::new()),
        "Strict" if !unknown.is_empty() => {
            let told: Vec<String> = unknown
                .iter()
                .map(|path| format!("unknown field \"{path}\""))
                .collect();
            Err(Failure::bad_request(format!(
                "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                resource.kind,
                resource.version,
                resource.kind,
                told.join(", ")
            )))
        }
        _ => Ok(unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""))
            .collect()),
    }
}

/// Fills in what the object leaves out.
pub(crate) fn default(call: &Call, object: &mut Value) {
    match &call.resource.nature {
        Nature::Custom { schema, .. } => schema::default(schema, object),
        Nature::Builtin(_) => {
            defaults::default(&call.resource.kind, object);
            go::write(&call.resource.kind, object);
        }
    }
}

/// Reads the metadata of a custom resource as what it is.
fn metadata(object: &mut Value) -> Result<Vec<String>, Failure> {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    let given = object["metadata"].take();
    let read: ObjectMeta = serde_json::from_value(given.clone())
        .map_err(|error| Failure::bad_request(format!("metadata: {error}")))?;
    let read = serde_json::to_value(read).unwrap_or_default();
    let mut unknown = Vec::new();
    lost(&given, &read, "metadata", &mut unknown);
    object["metadata"] = read;
    Ok(unknown)
}

/// The paths of what `before` has and `after` has not. Empty values may be left out by a type.
fn lost(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(fields), Value::Object(kept)) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match kept.get(name) {
                    Some(kept) => lost(value, kept, &path, found),
                    None if value.is_null() => {}
                    // A list of structures that is empty is not written again.
                    None if value.as_array().is_some_and(Vec::is_empty)
                        || value.as_object().is_some_and(|o| o.is_empty()) => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(items), Value::Array(kept)) => {
            for (index, (item, kept)) in items.iter().zip(kept).enumerate() {
                lost(item, kept, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}
