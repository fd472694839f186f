//! Claims about what the controller knows and says: nothing is forgotten that was not seen to go, no older version
//! takes the place of a newer one, and a change is recorded once.
#![allow(clippy::unwrap_used)]

mod conditions;
mod events;
mod known;
mod pools;
mod reported;
mod reserved;
mod statuses;
mod waiting;
mod work;
mod write_conflicts;
mod writes;

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use routelet_api::Condition;
use routelet_core::pools::{Allocation, allocate};
use serde_json::{Value, json};

use super::addresses::{WorkQueue, Write};
use super::blocked_services::{BlockReason, BlockedServices};
use super::cache::{Changes, ControllerCache};
use super::events::{EventData, Observed};
use super::objects::Statuses;
use super::orphans::Orphans;
use super::statuses::statuses;
use super::store;
use super::store::{Reduced, Store};
use crate::sources::Received;

fn apply<V: Reduced>(store: &mut Store<V>, object: Value)
where
    V::Object: serde::de::DeserializeOwned,
{
    store.event(Event::Apply(guard(object)));
}

fn guard<K: serde::de::DeserializeOwned + kube::Resource<DynamicType = ()>>(
    object: Value,
) -> Received<K> {
    serde_json::from_value(object).unwrap()
}

/// A cluster with the namespace of the Services, and nothing else.
fn known_world() -> ControllerCache {
    let mut cache = ControllerCache::default();
    apply(&mut cache.namespaces, namespace("shop", json!({})));
    cache
}

fn namespace(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}})
}

fn pool(name: &str, addresses: &[&str]) -> Value {
    json!({
        "metadata": {"name": name, "uid": name, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"addresses": addresses},
    })
}

fn peer(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": name, "generation": 3},
        "spec": {"address": "192.0.2.1", "asn": 64500},
    })
}

fn service(name: &str, version: u32, addresses: &[&str]) -> Value {
    let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": version.to_string(),
        },
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        "status": {"loadBalancer": {"ingress": ingress}},
    })
}

fn state(node: &str, version: u32, sessions: &[(&str, &str)]) -> Value {
    let sessions: Vec<Value> = sessions
        .iter()
        .map(|(peer, state)| {
            json!({
                "peer": peer, "object": format!("Peer {peer}"), "address": "192.0.2.1", "state": state,
                "trouble": (*state != "Established").then_some("refused"), "establishedCount": 1, "families": [],
            })
        })
        .collect();
    json!({
        "metadata": {"name": node, "uid": node, "resourceVersion": version.to_string()},
        "spec": {"node": node}, "status": {"sessions": sessions},
    })
}

fn held(cache: &ControllerCache, name: &str) -> Vec<String> {
    let key = ("shop".to_owned(), name.to_owned());
    let served = cache.services.iter().find(|(known, _)| **known == key);
    let served = served.map(|(_, served)| served.request.ingress.iter().map(|entry| entry.ip));
    served
        .into_iter()
        .flatten()
        .map(|ip| ip.to_string())
        .collect()
}

/// All that has to be written.
fn writes(cache: &ControllerCache) -> Vec<Write> {
    let mut due = WorkQueue::default();
    due.extend(cache.services.keys().cloned());
    let allocation = allocate(&cache.address_state());
    let known = (cache, &allocation, &BlockedServices::new());
    due.writes(known, now().0, usize::MAX, Some).writes
}

/// The addresses that are to be written, by Service.
fn written(cache: &ControllerCache) -> Vec<(String, Value)> {
    writes(cache)
        .into_iter()
        .filter(|write| write.moves)
        .map(|write| {
            let ingress = write.patch["status"]["loadBalancer"]["ingress"].clone();
            (write.key.1, ingress)
        })
        .collect()
}

fn node(name: &str, address: &str, heartbeat: u32) -> Value {
    json!({
        "metadata": {"name": name, "resourceVersion": heartbeat.to_string()},
        "spec": {"podCIDR": "10.244.1.0/24"},
        "status": {
            "addresses": [{"type": "ExternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat.to_string()}],
        },
    })
}

/// What is new of what Services miss.
fn refusals(known: &mut Observed, cache: &ControllerCache) -> Vec<EventData> {
    let allocation = allocate(&cache.address_state());
    known.refusals(cache, &allocation, cache.services.keys())
}

fn now() -> (Timestamp, Instant) {
    (
        Timestamp::from_second(1_800_000_000).unwrap(),
        Instant::now(),
    )
}

fn reason<'a>(conditions: &'a [Condition], kind: &str) -> (&'a str, &'a str) {
    let found = conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .unwrap();
    (&found.status, &found.reason)
}

fn told(news: &[EventData]) -> Vec<String> {
    news.iter()
        .map(|news| {
            let name = news.regarding.name.clone().unwrap_or_default();
            format!("{} {name}: {}", news.reason, news.note)
        })
        .collect()
}
