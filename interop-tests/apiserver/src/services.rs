//! Services: their defaults, their cluster IPs and what of them may not change; and the few defaults of other
//! built-in types.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::core::Core;
use super::failure::{Cause, Failure};

/// Fills in the defaults of a built-in type, as far as our clients could see them.
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
        "CustomResourceDefinition" => super::definitions::default(object),
        _ => {}
    }
}

fn fill(object: &mut Value, name: &str, value: Value) {
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

/// A change of the type takes the addresses of a load balancer away: they are nobody's any more.
pub(crate) fn clear_status(object: &mut Value) {
    if object["spec"]["type"] != "LoadBalancer" {
        object["status"]["loadBalancer"] = json!({});
    }
}

/// The first node port that is given out; there are 2768.
const NODE_PORTS: std::ops::Range<u64> = 30000..32768;

impl Core {
    /// Gives a Service its cluster IPs and node ports.
    pub(crate) fn allocate(
        &self,
        kind: &str,
        old: Option<&Value>,
        object: &mut Value,
    ) -> Result<(), Failure> {
        if kind != "Service" {
            return Ok(());
        }
        if let Some(old) = old {
            keep(old, object);
        }
        let headless = object["spec"]["clusterIP"] == "None";
        if object["spec"]["type"] == "ExternalName" {
            return Ok(());
        }
        let families = self.families(object)?;
        if headless {
            object["spec"]["clusterIPs"] = json!(["None"]);
        } else {
            self.cluster_ips(&families, old, object)?;
        }
        let shown: Vec<&str> = families.iter().map(|cidr| family(&cidr.addr())).collect();
        object["spec"]["ipFamilies"] = json!(shown);
        fill(&mut object["spec"], "ipFamilyPolicy", "SingleStack".into());
        self.node_ports(object);
        // The type leaves a class of a Service of another type behind when the type changes.
        let was = old.is_some_and(|old| old["spec"]["type"] == "LoadBalancer");
        if was
            && object["spec"]["type"] != "LoadBalancer"
            && old.is_some_and(|old| {
                old["spec"]["loadBalancerClass"] == object["spec"]["loadBalancerClass"]
            })
            && let Some(fields) = object["spec"].as_object_mut()
        {
            fields.remove("loadBalancerClass");
        }
        Ok(())
    }

    /// The prefixes that a Service gets addresses of, the first family first.
    fn families(&self, object: &Value) -> Result<Vec<IpNet>, Failure> {
        let cidrs = &self.settings.service_cidrs;
        let invalid = |cause: Cause| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            Failure::invalid("", "Service", name, &[cause])
        };
        let spec = &object["spec"];
        let named = spec["ipFamilies"].as_array().cloned().unwrap_or_default();
        let by_address = spec["clusterIP"]
            .as_str()
            .and_then(|ip| ip.parse::<IpAddr>().ok());
        let mut chosen: Vec<IpNet> = Vec::new();
        for (index, wanted) in named.iter().enumerate() {
            let found = cidrs.iter().find(|cidr| *wanted == family(&cidr.addr()));
            let Some(found) = found else {
                let why = "not configured on this cluster";
                return Err(invalid(Cause::invalid(
                    &format!("spec.ipFamilies[{index}]"),
                    wanted,
                    why,
                )));
            };
            chosen.push(*found);
        }
        if chosen.is_empty() {
            let first = cidrs
                .iter()
                .find(|cidr| by_address.is_none_or(|ip| ip.is_ipv4() == cidr.addr().is_ipv4()));
            chosen.extend(first);
        }
        match spec["ipFamilyPolicy"].as_str() {
            Some("RequireDualStack") if cidrs.len() < 2 => {
                let why = "this cluster is not configured for dual-stack services";
                Err(invalid(Cause::invalid(
                    "spec.ipFamilyPolicy",
                    &spec["ipFamilyPolicy"],
                    why,
                )))
            }
            Some("RequireDualStack" | "PreferDualStack") => {
                let other: Vec<IpNet> = cidrs
                    .iter()
                    .filter(|cidr| !chosen.contains(cidr))
                    .copied()
                    .collect();
                chosen.extend(other);
                Ok(chosen)
            }
            _ => {
                chosen.truncate(1);
                Ok(chosen)
            }
        }
    }

    fn cluster_ips(
        &self,
        families: &[IpNet],
        old: Option<&Value>,
        object: &mut Value,
    ) -> Result<(), Failure> {
        let mut given: Vec<Value> = object["spec"]["clusterIPs"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if let (true, Some(one)) = (
            given.is_empty(),
            object["spec"]["clusterIP"]
                .as_str()
                .filter(|ip| !ip.is_empty()),
        ) {
            given.push(one.into());
        }
        given.truncate(families.len());
        for (index, cidr) in families.iter().enumerate() {
            let wanted = given
                .get(index)
                .and_then(Value::as_str)
                .and_then(|ip| ip.parse::<IpAddr>().ok());
            let refused = match wanted {
                Some(ip) if !cidr.contains(&ip) => Some(format!(
                    "failed to allocate IP {ip}: the provided network does not match the current range"
                )),
                Some(ip) if self.store.uses_address(ip) => Some(format!(
                    "failed to allocate IP {ip}: provided IP is already allocated"
                )),
                _ => None,
            };
            if let (Some(why), None) = (refused, old) {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let cause = Cause::invalid("spec.clusterIPs", &given.clone().into(), &why);
                return Err(Failure::invalid("", "Service", name, &[cause]));
            }
            if wanted.is_none() {
                let free = cidr.hosts().find(|ip| !self.store.uses_address(*ip));
                let free = free.ok_or_else(|| {
                    Failure::new(
                        500,
                        "InternalError",
                        "Internal error occurred: failed to allocate a serviceIP: range is full",
                    )
                })?;
                given.insert(index.min(given.len()), free.to_string().into());
            }
        }
        object["spec"]["clusterIP"] = given[0].clone();
        object["spec"]["clusterIPs"] = given.into();
        Ok(())
    }

    fn node_ports(&self, object: &mut Value) {
        let spec = &mut object["spec"];
        let wanted = spec["type"] == "NodePort"
            || spec["type"] == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false;
        let mut taken = BTreeSet::new();
        let keeps = spec["type"] == "LoadBalancer";
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            if wanted && port["nodePort"].is_null() {
                let is_free = |port: &u64| !self.store.uses_port(*port) && !taken.contains(port);
                let free = NODE_PORTS.clone().find(is_free);
                port["nodePort"] = free.into();
                taken.extend(free);
            } else if !wanted
                && !keeps
                && let Some(fields) = port.as_object_mut()
            {
                fields.remove("nodePort");
            }
        }
    }
}

/// What an update that does not name it keeps.
fn keep(old: &Value, object: &mut Value) {
    for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let before = &old["spec"][name];
        if object["spec"][name].is_null() && !before.is_null() {
            object["spec"][name] = before.clone();
        }
    }
    let before = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let same = before
            .iter()
            .find(|old| old["port"] == port["port"] && old["protocol"] == port["protocol"]);
        if let (true, Some(same)) = (port["nodePort"].is_null(), same)
            && !same["nodePort"].is_null()
        {
            port["nodePort"] = same["nodePort"].clone();
        }
    }
}

fn family(ip: &IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// What is wrong with a Service.
pub(crate) fn check(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    let kind = spec["type"].as_str().unwrap_or_default();
    if !matches!(
        kind,
        "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName"
    ) {
        let message = format!(
            "Unsupported value: \"{kind}\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""
        );
        causes.push(Cause::new("FieldValueNotSupported", "spec.type", message));
    }
    if spec["ports"].as_array().is_none_or(Vec::is_empty)
        && spec["clusterIP"] != "None"
        && kind != "ExternalName"
    {
        causes.push(Cause::required("spec.ports", ""));
    }
    ports(spec, &mut causes);
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
    let class = &spec["loadBalancerClass"];
    if !class.is_null() && kind != "LoadBalancer" {
        causes.push(Cause::forbidden(
            "spec.loadBalancerClass",
            "may only be used when `type` is 'LoadBalancer'",
        ));
    }
    if let Some(old) = old.map(|old| &old["spec"]) {
        let stays = old["type"] == "LoadBalancer" && kind == "LoadBalancer";
        if stays && old["loadBalancerClass"] != *class {
            causes.push(Cause::invalid(
                "spec.loadBalancerClass",
                class,
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
    for (index, ingress) in object["status"]["loadBalancer"]["ingress"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
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
    if kind != "LoadBalancer"
        && object["status"]["loadBalancer"]["ingress"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    {
        causes.push(Cause::forbidden(
            "status.loadBalancer.ingress",
            "may only be used when `spec.type` is \"LoadBalancer\"",
        ));
    }
    causes
}

fn ports(spec: &Value, causes: &mut Vec<Cause>) {
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
