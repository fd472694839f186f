//! What is wrong with a Service, in the words and the order of the real server.

use std::net::IpAddr;

use serde_json::Value;

use crate::failure::Cause;

/// What is wrong with a Service.
pub(crate) fn check(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &object["spec"];
    let kind = spec["type"].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    known_type(kind, &mut causes);
    ports(spec, kind, &mut causes);
    policies(spec, &mut causes);
    class(spec, kind, &mut causes);
    if let Some(old) = old {
        unchanged(&old["spec"], spec, kind, &mut causes);
    }
    ingress(
        &object["status"]["loadBalancer"]["ingress"],
        kind,
        &mut causes,
    );
    causes
}

fn known_type(kind: &str, causes: &mut Vec<Cause>) {
    if !matches!(
        kind,
        "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName"
    ) {
        let message = format!(
            "Unsupported value: \"{kind}\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""
        );
        causes.push(Cause::new("FieldValueNotSupported", "spec.type", message));
    }
}

fn ports(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    if spec["ports"].as_array().is_none_or(Vec::is_empty)
        && spec["clusterIP"] != "None"
        && kind != "ExternalName"
    {
        causes.push(Cause::required("spec.ports", ""));
    }
    let ports = spec["ports"].as_array().cloned().unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        if !port["port"]
            .as_u64()
            .is_some_and(|number| (1..=65535).contains(&number))
        {
            causes.push(Cause::invalid(
                &format!("{path}.port"),
                &port["port"],
                "must be between 1 and 65535, inclusive",
            ));
        }
        if ports.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(&format!("{path}.name"), ""));
        }
        let same =
            |other: &Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        if ports[..index].iter().any(same) {
            causes.push(Cause::new(
                "FieldValueDuplicate",
                path,
                format!("Duplicate value: {port}"),
            ));
        }
    }
}

fn policies(spec: &Value, causes: &mut Vec<Cause>) {
    for (name, allowed) in [
        ("externalTrafficPolicy", "\"Cluster\", \"Local\""),
        ("internalTrafficPolicy", "\"Cluster\", \"Local\""),
    ] {
        if let Some(policy) = spec[name]
            .as_str()
            .filter(|policy| !matches!(*policy, "Cluster" | "Local"))
        {
            let message = format!("Unsupported value: \"{policy}\": supported values: {allowed}");
            causes.push(Cause::new(
                "FieldValueNotSupported",
                format!("spec.{name}"),
                message,
            ));
        }
    }
}

fn class(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let class = &spec["loadBalancerClass"];
    if !class.is_null() && kind != "LoadBalancer" {
        causes.push(Cause::forbidden(
            "spec.loadBalancerClass",
            "may only be used when `type` is 'LoadBalancer'",
        ));
    }
}

/// What of a Service may not change.
fn unchanged(old: &Value, spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let stays = old["type"] == "LoadBalancer" && kind == "LoadBalancer";
    if stays && old["loadBalancerClass"] != spec["loadBalancerClass"] {
        causes.push(Cause::invalid(
            "spec.loadBalancerClass",
            &spec["loadBalancerClass"],
            "may not change once set",
        ));
    }
    let addressed = old["type"] != "ExternalName" && kind != "ExternalName";
    if addressed
        && old["clusterIP"].as_str().is_some_and(|ip| !ip.is_empty())
        && old["clusterIP"] != spec["clusterIP"]
    {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &spec["clusterIPs"],
            "may not change once set",
        ));
    }
}

fn ingress(list: &Value, kind: &str, causes: &mut Vec<Cause>) {
    for (index, ingress) in list.as_array().into_iter().flatten().enumerate() {
        let path = format!("status.loadBalancer.ingress[{index}].ip");
        let text = ingress["ip"].as_str().unwrap_or_default();
        if !text.is_empty() && text.parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            causes.push(Cause::invalid(&path, &ingress["ip"], why));
        }
        if ingress["ipMode"].is_string() && text.is_empty() {
            causes.push(Cause::forbidden(
                &format!("status.loadBalancer.ingress[{index}].ipMode"),
                "may not be specified when `ip` is not set",
            ));
        }
    }
    if kind != "LoadBalancer" && list.as_array().is_some_and(|list| !list.is_empty()) {
        causes.push(Cause::forbidden(
            "status.loadBalancer.ingress",
            "may only be used when `spec.type` is \"LoadBalancer\"",
        ));
    }
}
