//! Claims about the index that watches fill: whatever a server sends, it ends up as the server's state, and loses
//! nothing on the way.
#![allow(clippy::unwrap_used)]

mod nodes;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kube::Resource;
use kube::runtime::watcher::Event;
use routelet_api::{Peer, Router};
use routelet_core::cluster::state::{ClusterState, ObjectKey};
use routelet_core::cluster::{Problem, Snapshot};
use serde_json::{Value, json};

use super::cache::Cache;
use super::received::Received;
use super::secrets::WatchedSecret;
use super::watches::{Failure, Scope, WatchTarget};
use routelet_core::cluster::Indexed;
use routelet_core::cluster::watched::{WatchedNode, WatchedService, WatchedSlice};

const KINDS: [&str; 2] = ["Peer", "Service"];

fn guard<K: Indexed>(value: Value) -> Received<K> {
    serde_json::from_value(value).unwrap()
}

fn peer(name: &str, spec: Value) -> Received<Peer> {
    guard(json!({"metadata": {"name": name, "resourceVersion": "1"}, "spec": spec}))
}

fn good(name: &str, asn: u32) -> Received<Peer> {
    peer(name, json!({"address": "192.0.2.1", "asn": asn}))
}

fn service(name: &str, ip: &str) -> Received<WatchedService> {
    guard(json!({
        "metadata": {"name": name, "namespace": "shop", "managedFields": [{"manager": "x"}]},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP"},
    }))
}

/// A cache whose lists are done.
fn synced() -> Cache {
    let mut cache = Cache::new(KINDS);
    cache.event(Event::<Received<Peer>>::Init);
    cache.event(Event::InitApply(good("a", 64500)));
    cache.event(Event::<Received<Peer>>::InitDone);
    cache.event(Event::<Received<WatchedService>>::Init);
    cache.event(Event::InitApply(service("web", "10.0.0.1")));
    cache.event(Event::<Received<WatchedService>>::InitDone);
    assert!(cache.take().unwrap().source.synced);
    cache
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn problems(snapshot: &Snapshot) -> Vec<String> {
    snapshot.problems.iter().map(Problem::to_string).collect()
}

#[test]
fn a_state_is_whole_when_every_kind_has_been_listed_to_its_end() {
    let mut cache = Cache::new(KINDS);
    assert_eq!(
        cache.take().unwrap().source.waiting_for,
        ["Peer and Service objects are not listed yet"]
    );
    cache.event(Event::<Received<WatchedService>>::Init);
    cache.event(Event::InitApply(service("web", "10.0.0.1")));
    cache.event(Event::<Received<Peer>>::Init);
    cache.event(Event::<Received<Peer>>::InitDone);
    let snapshot = cache.take().unwrap();
    assert!(!snapshot.source.synced);
    assert_eq!(
        snapshot.source.waiting_for,
        ["Service objects are not listed yet"]
    );
    cache.event(Event::<Received<WatchedService>>::InitDone);
    let snapshot = cache.take().unwrap();
    assert!(snapshot.source.synced);
    assert_eq!(snapshot.state.services.len(), 1);
}

#[test]
fn what_is_known_already_is_no_news() {
    let mut cache = synced();
    cache.event(Event::Apply(service("web", "10.0.0.1")));
    cache.event(Event::Delete(service("never-seen", "10.0.0.9")));
    cache.event(Event::<Received<WatchedService>>::Init);
    cache.event(Event::InitApply(service("web", "10.0.0.1")));
    cache.event(Event::<Received<WatchedService>>::InitDone);
    assert!(cache.take().is_none());
}

#[test]
fn a_list_removes_what_it_does_not_hold_at_its_end_and_not_before() {
    let mut cache = synced();
    cache.event(Event::<Received<WatchedService>>::Init);
    cache.event(Event::InitApply(service("new", "10.0.0.2")));
    let state = cache.take().unwrap().state;
    assert!(
        state.services.contains_key(&key("web")),
        "the list may go on"
    );
    // It breaks off, and another begins.
    cache.event(Event::<Received<WatchedService>>::Init);
    assert!(cache.take().is_none());
    cache.event(Event::InitApply(service("new", "10.0.0.2")));
    cache.event(Event::<Received<WatchedService>>::InitDone);
    let state = cache.take().unwrap().state;
    assert_eq!(
        state.services.keys().cloned().collect::<Vec<_>>(),
        [key("new")]
    );
}

#[test]
fn an_object_that_cannot_be_used_keeps_its_last_good_version() {
    let mut cache = synced();
    cache.event(Event::Apply(peer(
        "a",
        json!({"address": "192.0.2.1", "asn": "middle"}),
    )));
    let snapshot = cache.take().unwrap();
    assert_eq!(
        snapshot.state.peers["a"].spec.asn.unwrap().to_string(),
        "64500"
    );
    let text = &problems(&snapshot)[0];
    assert!(
        text.starts_with("Peer a: spec.asn: \"middle\" is not an AS")
            && text.contains("internal or external"),
        "{text}"
    );
    assert!(
        text.ends_with("the last good version stays in force"),
        "{text}"
    );

    cache.event(Event::Apply(peer("b", json!({"asn": 64500}))));
    let snapshot = cache.take().unwrap();
    assert!(!snapshot.state.peers.contains_key("b"));
    let text = &problems(&snapshot)[1];
    assert!(
        text.contains("Peer b: spec: found none: expected exactly one of"),
        "{text}"
    );
    assert!(!text.contains("last good"), "{text}");

    cache.event(Event::Apply(good("a", 64501)));
    cache.event(Event::Delete(peer("b", json!({}))));
    assert_eq!(problems(&cache.take().unwrap()), Vec::<String>::new());
}

#[test]
fn a_list_also_forgets_the_problems_of_what_is_gone() {
    let mut cache = synced();
    cache.event(Event::Apply(peer("b", json!({"asn": 64500}))));
    assert_eq!(cache.take().unwrap().problems.len(), 1);
    cache.event(Event::<Received<Peer>>::Init);
    cache.event(Event::InitApply(good("a", 64500)));
    cache.event(Event::<Received<Peer>>::InitDone);
    assert_eq!(cache.take().unwrap().problems.len(), 0);
}

#[test]
fn references_into_nothing_are_problems_until_the_object_comes() {
    let mut cache = synced();
    let with_policy = json!({"address": "192.0.2.1", "asn": 64500, "import": ["none"]});
    cache.event(Event::Apply(peer("a", with_policy)));
    let text = &problems(&cache.take().unwrap())[0];
    assert!(text.contains("RoutePolicy none does not exist"), "{text}");
}

fn failure(why: &str) -> Failure {
    Failure {
        why: why.to_owned(),
        is_refusal: false,
        at: Instant::now(),
    }
}

#[test]
fn a_failing_watch_says_so_and_forgets_nothing() {
    let mut cache = synced();
    assert!(cache.failed(&Scope::all("Service"), failure("connection refused")));
    let snapshot = cache.take().unwrap();
    assert!(snapshot.source.synced, "what was whole stays in use");
    assert_eq!(
        snapshot.source.waiting_for,
        ["Service objects cannot be watched: connection refused"]
    );
    assert_eq!(snapshot.state.services.len(), 1);
    assert!(!cache.failed(&Scope::all("Service"), failure("connection refused")));
    assert!(cache.take().is_none(), "said already");
    cache.recovered(&Scope::all("Service"));
    assert_eq!(
        cache.take().unwrap().source.waiting_for,
        Vec::<String>::new()
    );
}

#[test]
fn secrets_are_kept_and_never_shown() {
    let mut cache = Cache::new(["Secret"]);
    let secret = json!({"metadata": {"name": "tor", "namespace": "routelet-system"}, "data": {"password": "aHVudGVyMg=="}});
    let read: Received<WatchedSecret> = guard(secret);
    assert!(!format!("{read:?}").contains("hunter2"));
    cache.event(Event::Apply(read));
    let state = cache.take().unwrap().state;
    assert_eq!(
        state.secrets["tor"].value("password"),
        Some(&b"hunter2"[..])
    );
    let shown = format!("{state:?}");
    assert!(
        shown.contains("password") && !shown.contains("hunter") && !shown.contains("104, 117"),
        "{shown}"
    );
}

#[test]
fn a_slice_that_loses_its_service_goes() {
    let slice = |service: Option<&str>| -> Received<WatchedSlice> {
        let labels: BTreeMap<&str, &str> = service
            .iter()
            .map(|name| ("kubernetes.io/service-name", *name))
            .collect();
        guard(json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": labels},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"]}],
        }))
    };
    let mut cache = Cache::new(["EndpointSlice"]);
    cache.event(Event::Apply(slice(Some("web"))));
    assert_eq!(cache.take().unwrap().state.endpoint_slices.len(), 1);
    cache.event(Event::Apply(slice(None)));
    assert_eq!(cache.take().unwrap().state.endpoint_slices.len(), 0);
}

#[test]
fn a_snapshot_that_somebody_holds_does_not_change() {
    let mut cache = synced();
    let held: Arc<ClusterState> = {
        cache.event(Event::Apply(service("two", "10.0.0.2")));
        cache.take().unwrap().state
    };
    cache.event(Event::Delete(service("two", "10.0.0.2")));
    assert!(held.services.contains_key(&key("two")));
    assert!(
        !cache
            .take()
            .unwrap()
            .state
            .services
            .contains_key(&key("two"))
    );
}

#[test]
fn kinds_are_where_the_api_server_has_them() {
    assert_eq!(
        WatchedSlice::url_path(&(), None),
        "/apis/discovery.k8s.io/v1/endpointslices"
    );
    assert_eq!(WatchedService::url_path(&(), None), "/api/v1/services");
    assert_eq!(
        WatchedSecret::url_path(&(), Some("n")),
        "/api/v1/namespaces/n/secrets"
    );
    assert_eq!(
        Router::url_path(&(), None),
        "/apis/routelet.dev/v1alpha1/routers"
    );
}
