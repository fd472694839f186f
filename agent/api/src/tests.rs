//! Claims about the kinds as custom resource definitions, and about their smallest and largest manifests.
#![allow(clippy::unwrap_used)]

use kube::CustomResourceExt;
use serde_json::Value;

use super::definitions::definitions;
use super::*;

fn crds() -> Vec<Value> {
    let all = definitions().into_iter();
    all.map(|crd| serde_json::to_value(crd).unwrap()).collect()
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
}

/// Calls `visit` with the path of each property of a schema.
fn properties(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, property);
        properties(&path, property, visit);
        properties(&format!("{path}[]"), &property["items"], visit);
    }
}

#[test]
fn all_kinds_are_cluster_scoped_and_of_one_group_and_category() {
    for crd in crds() {
        let spec = &crd["spec"];
        assert_eq!(spec["group"], GROUP);
        assert_eq!(spec["scope"], "Cluster");
        assert_eq!(spec["versions"][0]["name"], "v1alpha1");
        assert_eq!(spec["names"]["categories"][0], "routelet");
        assert_ne!(spec["versions"][0]["additionalPrinterColumns"], Value::Null);
    }
    assert_eq!(RoutePolicy::crd_name(), "routepolicies.routelet.dev");
}

#[test]
fn every_field_is_explained() {
    for crd in crds() {
        properties("spec", schema(&crd), &mut |path, property| {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.len() > 4, "{path} has no description");
        });
    }
}

#[test]
fn as_numbers_are_wide_enough() {
    let mut seen = Vec::new();
    for crd in crds() {
        properties("spec", schema(&crd), &mut |path, property| {
            let lower = path.to_lowercase();
            let number = property["items"]
                .as_object()
                .map_or(property, |_| &property["items"]);
            if (lower.ends_with("asn") || lower.ends_with("asns") || lower.ends_with("contains"))
                && number["x-kubernetes-int-or-string"] != true
            {
                assert_eq!(number["format"], "int64", "{path}");
                assert_eq!(number["maximum"].as_f64(), Some(4_294_967_295.0), "{path}");
                seen.push(path.to_owned());
            }
        });
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// What a structural schema of an API server knows (apiextensions, `formats.go`), as far as it is used here.
#[test]
fn formats_are_those_that_an_api_server_knows() {
    for crd in crds() {
        let all = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        properties("", all, &mut |path, property| {
            let format = &property["format"];
            assert!(
                matches!(
                    format.as_str(),
                    None | Some("int32" | "int64" | "date-time")
                ),
                "{path}: {format}"
            );
        });
    }
}

/// Calls `visit` with each rule of a schema.
fn rules(value: &Value, visit: &mut dyn FnMut(&Value)) {
    match value {
        Value::Object(fields) => {
            let own = fields.get("x-kubernetes-validations");
            own.and_then(Value::as_array)
                .into_iter()
                .flatten()
                .for_each(&mut *visit);
            fields.values().for_each(|value| rules(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|value| rules(value, visit)),
        _ => {}
    }
}

#[test]
fn rules_have_messages_and_no_function_that_kubernetes_1_25_lacks() {
    const NEWER: [&str; 8] = [
        "isIP",
        "ip(",
        "isCIDR",
        "cidr(",
        "quantity(",
        "format(",
        "optional",
        "sets.",
    ];
    for crd in crds() {
        let mut count = 0;
        rules(&crd, &mut |rule| {
            count += 1;
            assert!(
                rule["message"].as_str().is_some_and(|m| m.len() > 10),
                "{rule}"
            );
            let text = rule["rule"].as_str().unwrap();
            assert!(!NEWER.iter().any(|name| text.contains(name)), "{text}");
        });
        let is_written_by_people = crd["spec"]["names"]["kind"] != "RouterState";
        assert_eq!(count > 0, is_written_by_people, "{count} rules");
    }
}

/// What is stored in every object can never change for it again.
#[test]
fn no_definition_has_the_server_store_a_default_in_a_spec_or_keep_a_null() {
    for crd in crds() {
        properties("spec", schema(&crd), &mut |path, property| {
            assert_eq!(property["default"], Value::Null, "{path}");
            assert_eq!(property["nullable"], Value::Null, "{path}");
            assert_eq!(property["items"]["nullable"], Value::Null, "{path}");
        });
    }
    // People read it in the description instead.
    let [_, peer, ..] = <[Value; 6]>::try_from(crds()).unwrap();
    let hold = &schema(&peer)["properties"]["timers"]["properties"]["hold"]["description"];
    assert!(hold.as_str().unwrap().ends_with("Default: 90s."), "{hold}");
}

#[test]
fn defaults_are_those_of_the_types() {
    let crd = serde_json::to_value(Router::crd()).unwrap();
    let spec = schema(&crd);
    assert_eq!(spec["properties"]["listen"]["default"]["port"], 179);
    assert_eq!(
        spec["properties"]["gracefulRestart"]["default"]["restartTime"],
        "120s"
    );
    let empty: RouterSpec = serde_json::from_str("{}").unwrap();
    assert_eq!(empty, RouterSpec::default());
}

#[test]
fn a_spec_survives_being_written_and_read() {
    let text = r#"{"address": "192.0.2.1", "asn": "internal", "timers": {"hold": "90s"}, "families": ["ipv6"],
        "allowOwnAS": 2, "removePrivateAS": true, "password": {"secretRef": {"name": "x"}}}"#;
    let spec: PeerSpec = serde_json::from_str(text).unwrap();
    assert_eq!(
        spec.password
            .as_ref()
            .unwrap()
            .secret_ref
            .as_ref()
            .unwrap()
            .key,
        "password"
    );
    let again: PeerSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
    assert_eq!(spec, again);
}

#[test]
fn a_restart_is_a_duration_or_never_and_says_so_when_it_is_neither() {
    use super::{Lapse, RestartAfter};
    let five = RestartAfter::After(Lapse::seconds(300));
    for (text, value) in [("5m", five), ("300s", five), ("never", RestartAfter::Never)] {
        assert_eq!(text.parse(), Ok(value), "{text}");
        assert_eq!(value.to_string().parse(), Ok(value), "{text}");
    }
    assert_eq!(RestartAfter::default(), five);
    let error = "soon".parse::<RestartAfter>().unwrap_err().to_string();
    assert_eq!(
        error,
        "\"soon\" is not a time to restart after: expected a duration such as 5m or 90s, or never"
    );
}
