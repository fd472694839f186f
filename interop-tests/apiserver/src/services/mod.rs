//! Services: their cluster IPs and node ports, and what a change of them keeps.

mod check;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

pub(crate) use self::check::check;
use crate::core::Core;
use crate::defaults::fill;
use crate::failure::{Cause, Failure};

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
