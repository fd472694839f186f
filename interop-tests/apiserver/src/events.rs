//! Events, which two APIs show under different names: they lie in the store as those of the core.

use serde_json::Value;

use super::failure::Cause;
use super::resources::Resource;

/// The names of one field in the core and in `events.k8s.io`.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Renames the fields of an event to those of a group's API.
pub(crate) fn present(group: &str, event: &mut Value) {
    if group == "events.k8s.io" {
        NAMES
            .iter()
            .for_each(|(core, new)| rename(event, core, new));
    }
}

/// Renames the fields of an event to those of the store, and fills in what events always have.
pub(crate) fn store(resource: &Resource, event: &mut Value) {
    if resource.kind != "Event" {
        return;
    }
    if resource.group == "events.k8s.io" {
        NAMES
            .iter()
            .for_each(|(core, new)| rename(event, new, core));
    }
    event["apiVersion"] = "v1".into();
    for (name, empty) in [
        ("reportingComponent", "".into()),
        ("reportingInstance", "".into()),
        ("source", Value::Object(Default::default())),
    ] {
        if event[name].is_null() {
            event[name] = empty;
        }
    }
}

fn rename(event: &mut Value, from: &str, to: &str) {
    if let Some(fields) = event.as_object_mut()
        && let Some(value) = fields.remove(from)
    {
        fields.insert(to.to_owned(), value);
    }
}

/// What is wrong with an event, in the store's names.
pub(crate) fn check(group: &str, event: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let about = event["involvedObject"]["namespace"]
        .as_str()
        .unwrap_or_default();
    let home = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let fits = if about.is_empty() {
        home == "default" || home == "kube-system"
    } else {
        about == home
    };
    if !fits {
        let why = "does not match event.namespace";
        causes.push(Cause::invalid(
            "involvedObject.namespace",
            &about.into(),
            why,
        ));
    }
    if group != "events.k8s.io" {
        return causes;
    }
    if event["eventTime"].is_null() && old.is_none() {
        causes.push(Cause::required("eventTime", ""));
    }
    for (name, shown) in [
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
        ("action", "action"),
        ("reason", "reason"),
    ] {
        if event[name].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(shown, ""));
        }
    }
    if !matches!(event["type"].as_str(), Some("Normal" | "Warning")) {
        causes.push(Cause::invalid("type", &event["type"], "has invalid value"));
    }
    let note = event["message"].as_str().unwrap_or_default();
    if note.len() > 1024 {
        causes.push(Cause::invalid(
            "message",
            &"".into(),
            "can have at most 1024 characters",
        ));
    }
    causes
}
