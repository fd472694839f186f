//! What built-in types look like once Go has stored and written them.
//!
//! Objects are stored as protobuf, which knows no list that is empty, only none; and Go writes a nil list or map as `null`
//! unless its field says `omitempty`. So an empty list comes back as `null` or not at all, whatever a client wrote. Kubernetes
//! 1.36 leaves out some of what earlier versions write as `null`; here it is as before, which is the harder case.

use serde_json::{Value, json};

/// Fields without `omitempty` that our clients may see, by kind; and what Go writes for nothing.
const ALWAYS: &[(&str, &[&str], &str)] = &[
    ("EndpointSlice", &["endpoints"], "null"),
    ("EndpointSlice", &["ports"], "null"),
    ("ClusterRole", &["rules"], "null"),
    ("Role", &["rules"], "null"),
    ("Lease", &["spec"], "{}"),
    ("Node", &["spec"], "{}"),
    (
        "Node",
        &["status", "daemonEndpoints"],
        r#"{"kubeletEndpoint": {"Port": 0}}"#,
    ),
    (
        "DaemonSet",
        &["spec", "template", "metadata", "creationTimestamp"],
        "null",
    ),
    (
        "Deployment",
        &["spec", "template", "metadata", "creationTimestamp"],
        "null",
    ),
];

/// Maps that are left out when they are empty. (A structure without fields is written as `{}`.)
const MAPS: &[&[&str]] = &[
    &["metadata", "labels"],
    &["metadata", "annotations"],
    &["data"],
];

/// Gives an object of a built-in kind the form in which Go writes it.
pub(crate) fn write(kind: &str, object: &mut Value) {
    // Definitions hold JSON that is nobody's type; a namespace without finalizers is about to go.
    if matches!(kind, "CustomResourceDefinition" | "Namespace") {
        return;
    }
    without_empty_lists(object);
    for path in MAPS {
        remove_empty(object, path);
    }
    if kind == "Service" {
        remove_empty(object, &["spec", "selector"]);
    }
    for (_, path, nothing) in ALWAYS.iter().filter(|(of, ..)| *of == kind) {
        let nothing = serde_json::from_str(nothing).unwrap_or_default();
        fill(object, path, nothing);
    }
}

fn without_empty_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| *field != json!([]));
            fields.values_mut().for_each(without_empty_lists);
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty_lists),
        _ => {}
    }
}

fn remove_empty(object: &mut Value, path: &[&str]) {
    let Some((name, above)) = path.split_last() else {
        return;
    };
    let place = above
        .iter()
        .try_fold(object, |value, name| value.get_mut(*name));
    if let Some(fields) = place.and_then(Value::as_object_mut)
        && fields.get(*name).is_some_and(|value| *value == json!({}))
    {
        fields.remove(*name);
    }
}

fn fill(object: &mut Value, path: &[&str], nothing: Value) {
    let place = path.iter().fold(object, |value, name| &mut value[*name]);
    if place.is_null() {
        *place = nothing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_as_go_writes_it() {
        let mut slice = json!({
            "metadata": {"name": "x", "labels": {}, "annotations": {"a": "b"}, "ownerReferences": []},
            "addressType": "IPv4", "endpoints": [],
        });
        write("EndpointSlice", &mut slice);
        let expected = json!({
            "metadata": {"name": "x", "annotations": {"a": "b"}},
            "addressType": "IPv4", "endpoints": null, "ports": null,
        });
        assert_eq!(slice, expected);
        let mut service = json!({
            "metadata": {"name": "x"}, "spec": {"externalIPs": [], "selector": {}, "ports": [{"port": 80}]},
            "status": {"loadBalancer": {"ingress": []}},
        });
        write("Service", &mut service);
        let expected = json!({
            "metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}, "status": {"loadBalancer": {}},
        });
        assert_eq!(service, expected);
        let mut again = service.clone();
        write("Service", &mut again);
        assert_eq!(again, service);
    }
}
