//! `null` counts as absent, for every field of every kind: Go writes nil lists and maps so.

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use kube::CustomResourceExt;
use routelet_core::cluster::Atoms;
use routelet_core::pools::RawPoolService;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{Received, Source, good, kinds};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A step on the way to a field: its name, or into the items of a list.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item,
}

/// A kind's published schema, with the definitions that it refers to.
fn schema(kind: &str) -> Value {
    fn published<T: JsonSchema>() -> Value {
        serde_json::to_value(SchemaGenerator::default().into_root_schema_for::<T>()).unwrap()
    }
    fn ours<T: CustomResourceExt>() -> Value {
        let definition = serde_json::to_value(T::crd()).unwrap();
        let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        let metadata = published::<ObjectMeta>();
        schema["$defs"] = metadata["$defs"].clone();
        schema["properties"]["metadata"] = metadata;
        schema
    }
    macro_rules! written_by_people {
        ($($kind:ident $row:tt)*) => {
            match kind {
                $(stringify!($kind) => ours::<routelet_api::$kind>(),)*
                "Node" => published::<core::Node>(),
                "Namespace" => published::<core::Namespace>(),
                "Service" => published::<core::Service>(),
                "EndpointSlice" => published::<discovery::EndpointSlice>(),
                "Secret" => published::<core::Secret>(),
                other => panic!("{other}"),
            }
        };
    }
    routelet_api::kinds!(written_by_people)
}

/// All fields of a schema, at any depth, and whether each is a list or map.
fn fields(root: &Value, schema: &Value, path: &[Step], found: &mut Vec<(Vec<Step>, bool)>) {
    let mut schema = schema;
    while let Some(name) = schema["$ref"].as_str() {
        schema = &root["$defs"][name.trim_start_matches("#/$defs/")];
    }
    // A description of a reference to one schema is written as a list of one.
    if let Some([one]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return fields(root, one, path, found);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        for one in any {
            fields(root, one, path, found);
        }
        return;
    }
    if schema["items"].is_object() {
        let path = [path, &[Step::Item]].concat();
        fields(root, &schema["items"], &path, found);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = [path, &[Step::Field(name.clone())]].concat();
        let text = property.to_string();
        let is_container = ["array", "object", "$ref"]
            .iter()
            .any(|word| text.contains(word));
        found.push((path.clone(), is_container));
        fields(root, property, &path, found);
    }
}

/// Sets a field of an object, with all that has to be there on the way; `None` removes it.
fn set(object: &mut Value, path: &[Step], value: Option<&Value>) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match step {
        Step::Item => {
            if object.as_array().is_none_or(Vec::is_empty) {
                *object = json!([{}]);
            }
            set(&mut object[0], rest, value);
        }
        Step::Field(name) => {
            if !object.is_object() {
                *object = json!({});
            }
            match (rest, value) {
                ([], None) => drop(object.as_object_mut().unwrap().remove(name)),
                ([], Some(value)) => object[name] = value.clone(),
                _ => set(&mut object[name], rest, value),
            }
        }
    }
}

/// What comes of an object: the state or what is wrong, in each source, and what the controller allocates by.
fn outcome(kind: &str, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for mut source in Source::both().into_iter().filter(|source| source.has(kind)) {
        source.put(object);
        found.push(format!(
            "{:?} {:?}",
            source.snapshot().state,
            source.problems()
        ));
    }
    if kind == "Service" {
        let read: Received<RawPoolService<ObjectMeta>> =
            serde_json::from_str(&object.to_string()).unwrap();
        let request = read.0.map(|s| s.into_request(&mut Atoms::default()));
        found.push(format!("{request:?}"));
    }
    found
}

#[test]
fn every_field_of_every_kind_takes_null_as_absence() {
    for kind in kinds() {
        let (root, mut paths) = (schema(kind), Vec::new());
        fields(&root, &root, &[], &mut paths);
        assert!(
            paths.iter().filter(|(_, container)| *container).count() > 10,
            "{kind}: {paths:?}"
        );
        for (path, _) in paths {
            // Which object it is has to be known.
            if matches!(&path[..], [Step::Field(one)] if one == "apiVersion" || one == "kind" || one == "metadata")
                || matches!(&path[..], [Step::Field(one), Step::Field(two)] if one == "metadata" && two == "name")
            {
                continue;
            }
            let (mut absent, mut null) = (good(kind), good(kind));
            set(&mut absent, &path, None);
            set(&mut null, &path, Some(&Value::Null));
            assert_ne!(absent, null);
            assert_eq!(
                outcome(kind, &null),
                outcome(kind, &absent),
                "{kind} {path:?}"
            );
        }
    }
}

#[test]
fn what_go_writes_for_nothing_is_read_as_nothing() {
    let table = [
        ("EndpointSlice", "/endpoints"),
        ("EndpointSlice", "/ports"),
        ("EndpointSlice", "/endpoints/0/addresses"),
        ("EndpointSlice", "/endpoints/0/conditions"),
        ("EndpointSlice", "/metadata/annotations"),
        ("Service", "/spec/ports"),
        ("Service", "/spec/externalIPs"),
        ("Service", "/spec/clusterIPs"),
        ("Service", "/spec/selector"),
        ("Service", "/spec/ipFamilies"),
        ("Service", "/status/loadBalancer/ingress"),
        ("Service", "/status/loadBalancer"),
        ("Service", "/metadata/labels"),
        ("Service", "/metadata/annotations"),
        ("Node", "/spec"),
        ("Node", "/status"),
        ("Node", "/spec/podCIDRs"),
        ("Node", "/status/addresses"),
        ("Node", "/status/conditions"),
        ("Node", "/metadata/labels"),
        ("Namespace", "/metadata/labels"),
        ("Secret", "/data"),
        ("Peer", "/spec/families"),
        ("Peer", "/spec/import"),
        ("Peer", "/spec/nodeSelector/matchLabels"),
        ("Peer", "/spec/nodeSelector/matchExpressions"),
        ("Peer", "/spec/attributeFilter"),
        ("Router", "/spec/listen/addresses"),
        ("Advertisement", "/spec/services/externalIPs"),
        ("Advertisement", "/spec/prefixes"),
        ("RoutePolicy", "/spec/rules"),
        ("RoutePolicy", "/spec/rules/0/match/prefixes"),
    ];
    for (kind, pointer) in table {
        let mut object = good(kind);
        *object.pointer_mut(pointer).unwrap() = Value::Null;
        for mut source in Source::both().into_iter().filter(|source| source.has(kind)) {
            source.put(&object);
            assert_eq!(source.problems(), Vec::<String>::new(), "{kind} {pointer}");
        }
    }
    // A default is not "nothing": a Peer without families has both.
    let mut peer = good("Peer");
    peer["spec"]["families"] = Value::Null;
    for mut source in Source::both() {
        source.put(&peer);
        assert_eq!(source.snapshot().state.peers["x"].spec.families.len(), 2);
    }
}

#[test]
fn a_slice_that_becomes_null_has_no_endpoints_any_more() {
    for mut source in Source::both() {
        let mut slice = good("EndpointSlice");
        source.put(&slice);
        let count = |source: &mut Source| {
            let state = source.snapshot().state;
            let slices: Vec<usize> = state
                .endpoint_slices
                .values()
                .map(|s| s.endpoints.len())
                .collect();
            slices
        };
        assert_eq!(count(&mut source), [1]);
        (slice["endpoints"], slice["ports"]) = (Value::Null, Value::Null);
        source.put(&slice);
        assert_eq!(count(&mut source), [0]);
        assert_eq!(source.problems(), Vec::<String>::new());
    }
}

#[test]
fn what_is_skipped_is_only_what_the_server_keeps_of_managers() {
    let mut service = good("Service");
    service["metadata"]["managedFields"] = json!([{"manager": "x", "fieldsV1": {"f:spec": {}}}]);
    service["metadata"]["labels"] = json!({"managedFields": "a label"});
    for mut source in Source::both() {
        source.put(&service);
        let state = source.snapshot().state;
        let labels = &state.services.values().next().unwrap().labels;
        assert_eq!(labels.get("managedFields").unwrap(), "a label");
    }
}
