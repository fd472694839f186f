//! Custom resource definitions: what they must say, and how they come to be served.

use serde_json::{Value, json};

use super::failure::Cause;
use super::schema;
use super::write::now;

/// Fills in the names that a definition leaves out.
pub(crate) fn default(object: &mut Value) {
    let names = &mut object["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names["singular"].is_null() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].is_null() {
        names["listKind"] = format!("{kind}List").into();
    }
    if object["spec"]["conversion"].is_null() {
        object["spec"]["conversion"] = json!({"strategy": "None"});
    }
}

/// What is wrong with a definition.
pub(crate) fn check(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let wanted = format!(
        "{}.{}",
        text(&spec["names"]["plural"]),
        text(&spec["group"])
    );
    if object["metadata"]["name"] != wanted.as_str() {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid(
            "metadata.name",
            &object["metadata"]["name"],
            why,
        ));
    }
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    if versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count()
        != 1
    {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!([]), why));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        let schema = &version["schema"]["openAPIV3Schema"];
        causes.extend(schema::structural(schema, &path));
        let compiled = kube_cel::compile_schema(schema);
        for error in compiled.compilation_errors() {
            let why = format!("compilation failed: {error}");
            causes.push(Cause::new(
                "FieldValueInvalid",
                format!("{path}.x-kubernetes-validations"),
                why,
            ));
        }
    }
    causes
}

/// The definition as the server serves it: its names accepted, and established.
pub(crate) fn established(definition: &Value) -> Value {
    let mut made = definition.clone();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now()});
    let storage = definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten();
    let stored: Vec<&Value> = storage
        .filter(|v| v["storage"] == true)
        .map(|v| &v["name"])
        .collect();
    made["status"] = json!({
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": stored,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    });
    made
}
