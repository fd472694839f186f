//! Claims that hold for both sources alike: what of an object counts, whoever it comes from.
#![allow(clippy::unwrap_used)]

mod entries;
mod faults;
mod null;
mod unreadable;

use std::path::PathBuf;

use kube::runtime::watcher::Event;
use routelet_core::cluster::manifests::Store;
use routelet_core::cluster::{Indexed, Severity, Snapshot};
use serde_json::{Value, json};

use routelet_core::cluster::watched::{
    WatchedNamespace, WatchedNode, WatchedService, WatchedSlice,
};

use super::api::{Cache, Received, WatchedSecret};

/// The kinds that both sources have, and Secrets, which manifests do not.
fn kinds() -> impl Iterator<Item = &'static str> {
    let of_kubernetes = ["Node", "Namespace", "Service", "EndpointSlice", "Secret"];
    routelet_api::KINDS.iter().copied().chain(of_kubernetes)
}

/// A source that objects are put into.
enum Source {
    Api(Box<Cache>),
    Manifests(Store),
}

impl Source {
    fn both() -> [Self; 2] {
        [
            Self::Api(Box::new(Cache::new(kinds()))),
            Self::Manifests(Store::default()),
        ]
    }

    fn has(&self, kind: &str) -> bool {
        matches!(self, Self::Api(_)) || kind != "Secret"
    }

    /// The object as it is from now on.
    fn put(&mut self, object: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&object["kind"]);
        match self {
            Self::Manifests(store) => {
                let metadata = &object["metadata"];
                let name = [
                    &kind,
                    &text(&metadata["namespace"]),
                    &text(&metadata["name"]),
                ];
                let path = PathBuf::from(format!("{}-{}-{}.yaml", name[0], name[1], name[2]));
                store.read(&path, object.to_string().as_bytes()).unwrap();
            }
            Self::Api(cache) => put(cache, &kind, object),
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        match self {
            Self::Api(cache) => cache.snapshot(),
            Self::Manifests(store) => store.snapshot(),
        }
    }

    /// What cannot be used, without the place in a file.
    fn problems(&mut self) -> Vec<String> {
        let all = self.snapshot().problems;
        let errors = all
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        let bare = errors.map(|problem| {
            let mut problem = problem.clone();
            (problem.file, problem.line) = (None, None);
            problem.to_string()
        });
        bare.collect()
    }
}

fn put(cache: &mut Cache, kind: &str, object: &Value) {
    macro_rules! written_by_people {
        ($($kind:ident $row:tt)*) => {
            match kind {
                $(stringify!($kind) => apply::<routelet_api::$kind>(cache, object),)*
                "Node" => apply::<WatchedNode>(cache, object),
                "Namespace" => apply::<WatchedNamespace>(cache, object),
                "Service" => apply::<WatchedService>(cache, object),
                "EndpointSlice" => apply::<WatchedSlice>(cache, object),
                "Secret" => apply::<WatchedSecret>(cache, object),
                other => panic!("{other}"),
            }
        };
    }
    routelet_api::kinds!(written_by_people);
}

fn apply<K: Indexed>(cache: &mut Cache, object: &Value) {
    // As a watch reads it: out of the text of the answer.
    let received: Received<K> = serde_json::from_str(&object.to_string()).unwrap();
    cache.event(Event::Apply(received));
}

/// A good object of a kind, with most of what can be in it.
fn good(kind: &str) -> Value {
    let ours = |spec: Value| {
        json!({
            "apiVersion": "routelet.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": spec,
        })
    };
    let selector = json!({
        "matchLabels": {"a": "b"},
        "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}],
    });
    match kind {
        "Router" => ours(
            json!({"nodeSelector": selector, "asn": 64512, "listen": {"addresses": ["192.0.2.1"]}}),
        ),
        "Peer" => ours(json!({
            "nodeSelector": selector, "address": "192.0.2.1", "asn": 64500, "families": ["ipv4"], "import": [],
            "attributeFilter": {"discard": ["AIGP"]}, "timers": {"hold": "30s"},
        })),
        "Advertisement" => ours(json!({
            "nodeSelector": selector, "prefixes": ["198.51.100.0/24"], "podCIDRs": {},
            "services": {"namespaceSelector": selector, "addresses": ["External"], "externalIPs": ["203.0.113.0/24"]},
            "attributes": {"communities": ["64512:1"]},
        })),
        "RoutePolicy" => ours(json!({"rules": [{
            "action": "Accept", "match": {"prefixes": [{"cidr": "198.51.100.0/24"}], "originAsns": [64500]},
            "set": {"addCommunities": ["64512:1"]},
        }]})),
        "AddressPool" => {
            ours(json!({"addresses": ["203.0.113.0/24"], "serviceSelector": selector}))
        }
        "Node" => json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": "x", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.11"}, {"type": "Hostname", "address": "x"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }),
        "Namespace" => json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "labels": {"a": "b"}},
        }),
        "Service" => json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": "x", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                "externalIPs": ["198.51.100.7"], "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "x"},
                "ipFamilies": ["IPv4"], "externalTrafficPolicy": "Local",
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}]}},
        }),
        "EndpointSlice" => json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": kind,
            "metadata": {
                "name": "x-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "x"},
                "annotations": {"c": "d"},
            },
            "addressType": "IPv4", "ports": [{"port": 8080}],
            "endpoints": [{
                "addresses": ["10.244.1.9"], "nodeName": "x",
                "conditions": {"ready": true, "serving": true, "terminating": false},
            }],
        }),
        "Secret" => json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "routelet-system"},
            "data": {"password": "aHVudGVyMg=="},
        }),
        other => panic!("{other}"),
    }
}
