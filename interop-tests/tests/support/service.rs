//! A Service with an endpoint, as manifests have it.

use std::net::IpAddr;

use serde_json::{Value, json};

/// A LoadBalancer Service in namespace `shop`. Its endpoint is a ready pod, unless said otherwise.
pub struct Service {
    name: String,
    labels: Value,
    spec: Value,
    status: Value,
    endpoints: Vec<String>,
    node: String,
    ready: bool,
}

impl Service {
    /// One that has these addresses; its endpoint, of IPv4, is on a node that does not exist.
    pub fn new(name: &str, addresses: &[&str]) -> Self {
        let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        Self {
            name: name.to_owned(),
            labels: json!({}),
            spec: json!({"type": "LoadBalancer", "ports": [{"port": 80}]}),
            status: json!({"loadBalancer": {"ingress": ingress}}),
            endpoints: vec!["10.244.9.1".to_owned()],
            node: "elsewhere".to_owned(),
            ready: true,
        }
    }

    /// The endpoint's addresses, one per family, and its node.
    pub fn endpoint(mut self, node: &str, addresses: &[&str]) -> Self {
        node.clone_into(&mut self.node);
        self.endpoints = addresses.iter().map(|&ip| ip.to_owned()).collect();
        self
    }

    /// Whether the endpoint is ready.
    pub fn ready(mut self, ready: bool) -> Self {
        self.ready = ready;
        self
    }

    /// Its labels.
    pub fn labels(mut self, labels: Value) -> Self {
        self.labels = labels;
        self
    }

    /// More of its spec, or other values; `null` takes a field away.
    pub fn spec(mut self, more: &Value) -> Self {
        for (field, value) in more.as_object().into_iter().flatten() {
            self.spec[field] = value.clone();
        }
        if let Some(fields) = self.spec.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self
    }

    /// The Service, and its EndpointSlices: one per family.
    pub fn objects(self) -> Vec<Value> {
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name, "namespace": "shop", "labels": self.labels},
            "spec": self.spec, "status": self.status,
        });
        let slice = |address: &String| {
            let family = match address.parse() {
                Ok(IpAddr::V6(_)) => "IPv6",
                _ => "IPv4",
            };
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{}-{}", self.name, family.to_lowercase()), "namespace": "shop",
                    "labels": {"kubernetes.io/service-name": self.name},
                },
                "addressType": family, "ports": [{"port": 8080}],
                "endpoints": [{
                    "addresses": [address], "nodeName": self.node, "conditions": {"ready": self.ready},
                }],
            })
        };
        let slices = self.endpoints.iter().map(slice);
        [service].into_iter().chain(slices).collect()
    }
}
