//! What the server checks by code and not by a schema: names, labels, fields that never change, and the rules of the
//! built-in types that our clients write.

use std::net::IpAddr;

use serde_json::Value;

use super::definitions;
use super::failure::Cause;
use super::resources::Resource;
use super::services;

/// A DNS label (RFC 1123): lower-case letters, digits and dashes, 63 at most.
pub(crate) fn is_label(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(fine)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Labels joined by dots, 253 characters at most.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253
        && name
            .split('.')
            .all(|label| !label.is_empty() && is_label_of_any_length(label))
}

fn is_label_of_any_length(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.chars().all(fine) && !name.starts_with('-') && !name.ends_with('-')
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Whether a text is empty or made as label values are: 63 characters at most, ends alphanumeric.
fn is_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.is_empty()
        || text.len() <= 63
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && edge(text.chars().next())
            && edge(text.chars().last())
}

/// `name` or `prefix/name`.
fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && !name.is_empty() && is_value(name),
        None => !text.is_empty() && is_value(text),
    }
}

/// What is wrong with an object's metadata.
pub(crate) fn metadata(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    let name = metadata["name"].as_str().unwrap_or_default();
    let (fine, rule) = match resource.kind.as_str() {
        "Service" => (
            is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()),
            LABEL_1035,
        ),
        "Namespace" => (is_label(name), LABEL),
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => {
            (!name.contains(['/', '%']), "may not contain '/'")
        }
        _ => (is_subdomain(name), SUBDOMAIN),
    };
    if !fine {
        causes.push(Cause::invalid("metadata.name", &metadata["name"], rule));
    }
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        if !is_qualified(key) {
            causes.push(Cause::invalid(
                "metadata.labels",
                &key.as_str().into(),
                QUALIFIED,
            ));
        }
        if !value.as_str().is_some_and(is_value) {
            causes.push(Cause::invalid("metadata.labels", value, VALUE));
        }
    }
    for key in metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
    {
        if !is_qualified(&key.to_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &key.as_str().into(),
                QUALIFIED,
            ));
        }
    }
    let finalizers = |object: &Value| {
        object["metadata"]["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    if let Some(old) = old.filter(|old| !old["metadata"]["deletionTimestamp"].is_null()) {
        let before = finalizers(old);
        let new: Vec<Value> = finalizers(object)
            .into_iter()
            .filter(|f| !before.contains(f))
            .collect();
        if !new.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                new.iter()
                    .map(Value::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    causes.extend(owners(resource, metadata));
    causes
}

fn owners(resource: &Resource, metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let references = metadata["ownerReferences"].as_array().into_iter().flatten();
    for owner in references {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                let why = if field == "apiVersion" {
                    "version must not be empty"
                } else {
                    "must not be empty"
                };
                causes.push(Cause::invalid(
                    &format!("metadata.ownerReferences.{field}"),
                    &"".into(),
                    why,
                ));
            }
        }
    }
    let _ = resource;
    causes
}

/// What is wrong with an object of a built-in type.
pub(crate) fn builtin(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    match resource.kind.as_str() {
        "Service" => services::check(object, old),
        "EndpointSlice" => slice(object, old),
        "Lease" => lease(object),
        "Secret" => secret(object, old),
        "Event" => super::events::check(&resource.group, object, old),
        "CustomResourceDefinition" => definitions::check(object),
        _ => Vec::new(),
    }
}

fn slice(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let family = object["addressType"].as_str().unwrap_or_default();
    if !matches!(family, "IPv4" | "IPv6" | "FQDN") {
        causes.push(Cause::new(
            "FieldValueNotSupported",
            "addressType",
            format!(
                "Unsupported value: \"{family}\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""
            ),
        ));
    }
    if old.is_some_and(|old| old["addressType"] != object["addressType"]) {
        causes.push(Cause::invalid(
            "addressType",
            &object["addressType"],
            "field is immutable",
        ));
    }
    for (index, endpoint) in object["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let path = format!("endpoints[{index}].addresses");
        let addresses = endpoint["addresses"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if addresses.is_empty() {
            causes.push(Cause::required(&path, "must contain at least 1 address"));
        }
        for (place, address) in addresses.iter().enumerate() {
            let parsed = address
                .as_str()
                .and_then(|text| text.parse::<IpAddr>().ok());
            let why = match family {
                "IPv4" if !parsed.is_some_and(|ip| ip.is_ipv4()) => "must be an IPv4 address",
                "IPv6" if !parsed.is_some_and(|ip| ip.is_ipv6()) => "must be an IPv6 address",
                _ => continue,
            };
            causes.push(Cause::invalid(&format!("{path}[{place}]"), address, why));
        }
    }
    causes
}

fn lease(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    if spec["leaseDurationSeconds"]
        .as_i64()
        .is_some_and(|seconds| seconds <= 0)
    {
        causes.push(Cause::invalid(
            "spec.leaseDurationSeconds",
            &spec["leaseDurationSeconds"],
            "must be greater than 0",
        ));
    }
    if spec["leaseTransitions"]
        .as_i64()
        .is_some_and(|count| count < 0)
    {
        causes.push(Cause::invalid(
            "spec.leaseTransitions",
            &spec["leaseTransitions"],
            "must be greater than or equal to 0",
        ));
    }
    causes
}

fn secret(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old.is_some_and(|old| old["type"] != object["type"]) {
        causes.push(Cause::invalid(
            "type",
            &object["type"],
            "field is immutable",
        ));
    }
    if old.is_some_and(|old| old["immutable"] == true && old["data"] != object["data"]) {
        causes.push(Cause::forbidden(
            "data",
            "field is immutable when `immutable` is set",
        ));
    }
    for key in object["data"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
    {
        if key.is_empty()
            || !key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
            causes.push(Cause::invalid(
                &format!("data[{key}]"),
                &key.as_str().into(),
                why,
            ));
        }
    }
    causes
}
