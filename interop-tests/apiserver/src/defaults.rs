//! The defaults of built-in types, as far as our clients could see them.

use serde_json::{Value, json};

use crate::definitions;

/// Fills in the defaults of an object of a built-in type.
pub(crate) fn default(kind: &str, object: &mut Value) {
    match kind {
        "Service" => service(object),
        "Secret" => {
            fill(object, "type", "Opaque".into());
            let plain = object
                .as_object_mut()
                .and_then(|fields| fields.remove("stringData"));
            for (key, text) in plain
                .as_ref()
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
                let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes));
                object["data"][key.as_str()] = encoded.unwrap_or_default();
            }
        }
        "Namespace" => {
            fill(&mut object["spec"], "finalizers", json!(["kubernetes"]));
            fill(&mut object["status"], "phase", "Active".into());
            let name = object["metadata"]["name"].clone();
            fill(
                &mut object["metadata"]["labels"],
                "kubernetes.io/metadata.name",
                name,
            );
        }
        "EndpointSlice" => {
            for port in object["ports"].as_array_mut().into_iter().flatten() {
                fill(port, "protocol", "TCP".into());
                fill(port, "name", "".into());
            }
        }
        "CustomResourceDefinition" => definitions::default(object),
        _ => {}
    }
}

pub(crate) fn fill(object: &mut Value, name: &str, value: Value) {
    if object[name].is_null() {
        object[name] = value;
    }
}

fn service(object: &mut Value) {
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    fill(&mut object["status"], "loadBalancer", json!({}));
    let spec = &mut object["spec"];
    fill(spec, "type", "ClusterIP".into());
    fill(spec, "sessionAffinity", "None".into());
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        fill(port, "protocol", "TCP".into());
        let number = port["port"].clone();
        fill(port, "targetPort", number);
    }
    if spec["ports"].is_null()
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("ports");
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster".into());
    }
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort") {
        fill(spec, "externalTrafficPolicy", "Cluster".into());
    } else if spec["externalIPs"].as_array().is_none_or(Vec::is_empty)
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("externalTrafficPolicy");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true.into());
    } else if let Some(fields) = spec.as_object_mut() {
        // Of a Service that is one no more; a class given beside another type is refused by `check`.
        fields.remove("allocateLoadBalancerNodePorts");
    }
}
