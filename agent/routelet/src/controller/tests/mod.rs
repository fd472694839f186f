//! Claims about what the controller knows and says: nothing is forgotten that was not seen to go, no older version takes the
//! place of a newer one, and what is told is told once.
#![allow(clippy::unwrap_used)]

mod reported;
mod services;
mod stated;
mod waiting;
mod work;

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use routelet_api::Condition;
use routelet_core::pools::{Allocation, allocate};
use serde_json::{Value, json};

use super::addresses::{Due, Write};
use super::events::{self, Known, News};
use super::hindered::{Hindered, Hindrance};
use super::objects::Statuses;
use super::orphans::Orphans;
use super::statuses::statuses;
use super::store;
use super::store::{Kept, Store};
use super::world::{Changes, World};
use crate::sources::Received;

fn apply<V: Kept>(store: &mut Store<V>, object: Value)
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
fn known_world() -> World {
    let mut world = World::default();
    apply(&mut world.namespaces, namespace("shop", json!({})));
    world
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

fn held(world: &World, name: &str) -> Vec<String> {
    let key = ("shop".to_owned(), name.to_owned());
    let served = world.services.iter().find(|(known, _)| **known == key);
    let served = served.map(|(_, served)| served.request.ingress.iter().map(|entry| entry.ip));
    served
        .into_iter()
        .flatten()
        .map(|ip| ip.to_string())
        .collect()
}

/// All that has to be written.
fn writes(world: &World) -> Vec<Write> {
    let mut due = Due::default();
    due.extend(world.services.keys().cloned());
    let allocation = allocate(&world.address_state());
    let known = (world, &allocation, &Hindered::new());
    due.writes(known, now().0, usize::MAX, Some).writes
}

/// The addresses that are to be written, by Service.
fn written(world: &World) -> Vec<(String, Value)> {
    writes(world)
        .into_iter()
        .filter(|write| write.moves)
        .map(|write| {
            let ingress = write.patch["status"]["loadBalancer"]["ingress"].clone();
            (write.key.1, ingress)
        })
        .collect()
}

#[test]
fn only_what_was_seen_to_go_goes() {
    let mut world = known_world();
    let names = |world: &World| -> Vec<String> {
        world
            .services
            .iter()
            .map(|(key, _): (&store::Key, _)| key.1.clone())
            .collect()
    };
    world.services.event(Event::Init);
    world
        .services
        .event(Event::InitApply(guard(service("a", 1, &[]))));
    world
        .services
        .event(Event::InitApply(guard(service("b", 1, &[]))));
    assert!(!world.services.synced());
    world.services.event(Event::InitDone);
    assert!(world.services.synced());
    // A list that breaks off removes nothing.
    world.services.event(Event::Init);
    world
        .services
        .event(Event::InitApply(guard(service("b", 1, &[]))));
    assert_eq!(names(&world), ["a", "b"]);
    world.services.event(Event::Init);
    world
        .services
        .event(Event::InitApply(guard(service("b", 1, &[]))));
    world.services.event(Event::InitDone);
    assert_eq!(names(&world), ["b"]);
    world
        .services
        .event(Event::Delete(guard(service("b", 2, &[]))));
    assert!(names(&world).is_empty());
}

#[test]
fn what_was_just_written_is_not_taken_back_by_an_older_event() {
    let mut world = known_world();
    apply(&mut world.services, service("a", 9, &[]));
    world
        .services
        .written(guard(service("a", 11, &["203.0.113.1"])));
    // On its way since before the write.
    apply(&mut world.services, service("a", 10, &[]));
    assert_eq!(held(&world, "a"), ["203.0.113.1"]);
    apply(&mut world.services, service("a", 12, &["203.0.113.2"]));
    assert_eq!(held(&world, "a"), ["203.0.113.2"]);
    // Another Service of the name: its versions say nothing about those of the first.
    let mut other = service("a", 3, &[]);
    other["metadata"]["uid"] = json!("other");
    apply(&mut world.services, other);
    assert!(held(&world, "a").is_empty());
}

#[test]
fn a_patch_holds_the_version_that_was_decided_upon_and_leaves_others_entries() {
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    let mut one = service("a", 7, &[]);
    one["status"]["loadBalancer"]["ingress"] =
        json!([{"ip": "198.51.100.1", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}]);
    apply(&mut world.services, one);
    let writes = writes(&world);
    let expected = json!({
        "metadata": {"resourceVersion": "7"},
        "status": {"loadBalancer": {"ingress": [
            {"ip": "203.0.113.0"}, {"ip": "198.51.100.1", "ipMode": "Proxy"}, {"hostname": "lb.example.com"},
        ]}, "conditions": [{
            "type": "routelet.dev/AddressAssigned", "status": "True", "reason": "Assigned",
            "message": "203.0.113.0 of AddressPool public", "lastTransitionTime": "2027-01-15T08:00:00Z",
        }]},
    });
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].patch, expected);
}

#[test]
fn an_invalid_pool_is_the_last_good_one_or_else_nobody_loses_an_address() {
    let invalid = || {
        let mut invalid = pool("public", &["203.0.113.0/30"]);
        invalid["spec"]["addresses"] = json!(["203.0.113.5/24"]);
        invalid
    };
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    apply(
        &mut world.objects.pools,
        pool("spare", &["198.51.100.0/30"]),
    );
    apply(&mut world.services, service("a", 1, &["203.0.113.1"]));
    apply(&mut world.objects.pools, invalid());
    assert_eq!(written(&world), []);
    // What is somebody's in its last good version is said once it is good again.
    world.node_event(
        Event::Apply(guard(node("n1", "203.0.113.0", 1))),
        Instant::now(),
    );
    let found = statuses(&world, &allocate(&world.address_state()), now());
    let pool = found
        .pools
        .iter()
        .find(|(name, _)| name == "public")
        .unwrap();
    assert_eq!(reason(&pool.1.conditions, "Accepted"), ("False", "Invalid"));
    let message = |conditions: &[Condition]| conditions[0].message.clone();
    let text = message(&pool.1.conditions);
    assert!(
        text.ends_with(". Agents that have its last good version keep using it"),
        "{text}"
    );

    // A controller that starts then knows no good version.
    let mut fresh = known_world();
    apply(&mut fresh.objects.pools, invalid());
    apply(
        &mut fresh.objects.pools,
        self::pool("spare", &["198.51.100.0/30"]),
    );
    apply(&mut fresh.services, service("a", 1, &["203.0.113.1"]));
    apply(&mut fresh.services, service("b", 1, &[]));
    let found = statuses(&fresh, &allocate(&fresh.address_state()), now());
    let pool = found.pools.iter().find(|(name, _)| name == "public");
    let text = message(&pool.unwrap().1.conditions);
    assert!(
        !text.contains("last good") && text.contains("has no good version"),
        "{text}"
    );
    let found = written(&fresh);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "b", "who has none still gets one");
    // Once the pool is really gone, its addresses are replaced.
    fresh.objects.pools.event(Event::Delete(guard(self::pool(
        "public",
        &["203.0.113.0/30"],
    ))));
    let names: Vec<String> = written(&fresh).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_service_that_cannot_be_read_keeps_its_addresses_and_nobody_else_gets_them() {
    let unreadable = |pointer: &str, value: Value| {
        let mut unreadable = service("a", 2, &["203.0.113.0"]);
        unreadable["spec"]["externalTrafficPolicy"] = json!("Local");
        *unreadable.pointer_mut(pointer).unwrap() = value;
        unreadable
    };
    // Known before or not, a spec that cannot be read holds what its status says.
    for was_known in [true, false] {
        let mut world = known_world();
        // It does not get an address of another family either, whatever it may ask for.
        let blocks = ["203.0.113.0/31", "2001:db8:f::/126"];
        apply(&mut world.objects.pools, pool("public", &blocks));
        if was_known {
            apply(&mut world.services, service("a", 1, &["203.0.113.0"]));
        }
        let nearby = unreadable("/spec/externalTrafficPolicy", json!("Nearby"));
        apply(&mut world.services, nearby);
        apply(&mut world.services, service("b", 3, &[]));
        assert_eq!(
            written(&world),
            [("b".to_owned(), json!([{"ip": "203.0.113.1"}]))]
        );
        assert_eq!(held(&world, "a"), ["203.0.113.0"]);
        // Good again, it is as any other.
        apply(&mut world.services, service("a", 4, &["203.0.113.0"]));
        assert_eq!(written(&world).len(), 1);
    }
    // One that shares an address goes on sharing it: by what is known of its ports and its policy.
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/31"]),
    );
    let dns = |name: &str, protocol: &str, policy: &str| {
        let mut dns = service(name, 1, &["203.0.113.0"]);
        dns["metadata"]["annotations"] = json!({"routelet.dev/sharing-key": "dns"});
        dns["spec"] = json!({
            "type": "LoadBalancer", "ports": [{"port": 53, "protocol": protocol}],
            "externalTrafficPolicy": policy, "selector": {"app": "dns"},
        });
        dns
    };
    apply(&mut world.services, dns("a", "TCP", "Local"));
    apply(&mut world.services, dns("b", "UDP", "Local"));
    assert_eq!(written(&world), []);
    apply(&mut world.services, dns("a", "TCP", "Nearby"));
    assert_eq!(written(&world), []);
    // Of one whose status cannot be read either, what is known counts.
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/31"]),
    );
    apply(&mut world.services, service("a", 1, &["203.0.113.0"]));
    apply(
        &mut world.services,
        unreadable("/status/loadBalancer", json!(7)),
    );
    assert_eq!(held(&world, "a"), ["203.0.113.0"]);
}

#[test]
fn nulls_are_absences_and_unreadable_objects_are_still_there() {
    let mut world = known_world();
    let mut one = service("a", 1, &[]);
    one["status"]["loadBalancer"]["ingress"] = Value::Null;
    (one["spec"]["selector"], one["spec"]["ipFamilies"]) = (Value::Null, Value::Null);
    apply(&mut world.services, one);
    assert!(held(&world, "a").is_empty() && world.services.iter().count() == 1);
    // A Node that cannot be read has not gone, nor have the labels of a namespace, nor the sessions of a node.
    apply(
        &mut world.nodes,
        json!({"metadata": {"name": "n"}, "spec": {"podCIDRs": 5}}),
    );
    assert!(world.nodes.named("n").is_some());
    apply(
        &mut world.namespaces,
        json!({"metadata": {"name": "shop", "labels": {"a": "b"}}}),
    );
    apply(
        &mut world.namespaces,
        json!({"metadata": {"name": "shop", "labels": {"a": 5}}}),
    );
    assert_eq!(world.address_state().namespaces["shop"]["a"], "b");
    apply(&mut world.states, state("n", 1, &[("tor", "Idle")]));
    apply(
        &mut world.states,
        json!({"metadata": {"name": "n"}, "spec": {"node": "n"}, "status": {"sessions": 5}}),
    );
    let sessions = world.states.named("n").unwrap().at(Instant::now()).count();
    assert_eq!(sessions, 1);
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

/// A Node is written every few minutes; addresses are allocated anew only when one differs.
#[test]
fn what_nodes_and_peers_have_is_not_handed_out_and_looked_at_again_only_when_it_differs() {
    let mut world = known_world();
    let mut after = |event: &mut dyn FnMut(&mut World)| {
        world.changes = Changes::default();
        event(&mut world);
        (world.changes.is_any(), world.address_state().reserved.len())
    };
    let mut node_is = |address: &'static str, heartbeat| {
        after(&mut |world| {
            world.node_event(
                Event::Apply(guard(node("n1", address, heartbeat))),
                Instant::now(),
            );
        })
    };
    assert_eq!(node_is("203.0.113.1", 1), (true, 2));
    assert_eq!(node_is("203.0.113.1", 2), (false, 2));
    assert_eq!(node_is("203.0.113.2", 3), (true, 2));
    assert_eq!(
        after(
            &mut |world| world.object_event::<routelet_api::Peer>(Event::Apply(guard(peer("tor"))))
        ),
        (true, 3)
    );
    assert_eq!(
        after(
            &mut |world| world.object_event::<routelet_api::Peer>(Event::Apply(guard(peer("tor"))))
        ),
        (false, 3)
    );
    // A list in which the Node is not.
    let mut unlisted = |event: fn() -> Event<Received<_>>| {
        after(&mut |world| world.node_event(event(), Instant::now()))
    };
    assert_eq!(unlisted(|| Event::Init), (false, 3));
    // It keeps what it had for a while: its machine may go on.
    assert_eq!(unlisted(|| Event::InitDone), (true, 3));
    let now = Instant::now();
    let mut later =
        |seconds| after(&mut |world| world.forget_departed(now + Duration::from_secs(seconds)));
    assert_eq!(later(290), (false, 3));
    assert_eq!(later(300), (true, 1));
}

#[test]
fn a_pool_with_what_is_somebodys_says_so_and_names_who_keeps_it() {
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    apply(&mut world.services, service("a", 1, &["203.0.113.1"]));
    apply(&mut world.services, service("b", 1, &[]));
    world.node_event(
        Event::Apply(guard(node("n1", "203.0.113.1", 1))),
        Instant::now(),
    );
    world.node_event(
        Event::Apply(guard(node("n2", "203.0.113.0", 1))),
        Instant::now(),
    );
    // What it has it keeps, and nobody gets the other Node's.
    let names: Vec<(String, Value)> = written(&world);
    assert_eq!(names, [("b".to_owned(), json!([{"ip": "203.0.113.2"}]))]);
    let found = statuses(&world, &allocate(&world.address_state()), now());
    let accepted = &found.pools[0].1.conditions;
    assert_eq!(reason(accepted, "Accepted"), ("True", "Reserved"));
    let accepted = accepted.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!(
        accepted.message,
        "not assigned: 203.0.113.0 is an address of Node n2; 203.0.113.1 is an address of Node n1; Services that keep such \
         an address, which is not advertised: shop/a (203.0.113.1)"
    );
}

/// What is new of what Services miss.
fn refusals(known: &mut Known, world: &World) -> Vec<News> {
    let allocation = allocate(&world.address_state());
    known.refusals(world, &allocation, world.services.keys())
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

fn told(news: &[News]) -> Vec<String> {
    news.iter()
        .map(|news| {
            let name = news.regarding.name.clone().unwrap_or_default();
            format!("{} {name}: {}", news.reason, news.note)
        })
        .collect()
}

#[test]
fn changes_of_sessions_are_told_once_and_none_because_a_controller_starts() {
    let mut world = known_world();
    let mut known = Known::default();
    apply(&mut world.objects.peers, peer("tor"));
    apply(
        &mut world.states,
        state("n1", 1, &[("tor", "Active"), ("gone", "Active")]),
    );
    assert!(known.objects(&world, Instant::now()).is_empty());
    apply(
        &mut world.states,
        state("n1", 2, &[("tor", "Established"), ("gone", "Established")]),
    );
    // Of an object that does not exist nothing can be told.
    let expected = ["SessionEstablished tor: n1: 192.0.2.1"];
    assert_eq!(told(&known.objects(&world, Instant::now())), expected);
    assert!(known.objects(&world, Instant::now()).is_empty());
    apply(&mut world.states, state("n1", 3, &[("tor", "Idle")]));
    let news = known.objects(&world, Instant::now());
    assert_eq!(
        told(&news),
        ["SessionLost tor: n1: 192.0.2.1 is Idle: refused"]
    );
    assert!(news[0].warning);
    assert_eq!(news[0].regarding.uid.as_deref(), Some("tor"));
    let mut invalid = peer("tor");
    invalid["spec"]["asn"] = json!(65535);
    apply(&mut world.objects.peers, invalid);
    let news = told(&known.objects(&world, Instant::now()));
    assert!(
        news.len() == 1 && news[0].starts_with("NotAccepted tor: spec.asn"),
        "{news:?}"
    );
    assert!(known.objects(&world, Instant::now()).is_empty());
}

#[test]
fn what_a_service_misses_is_told_once_and_what_it_was_given_when_it_is_written() {
    let mut world = known_world();
    let mut known = Known::default();
    let look = |world: &World, known: &mut Known| told(&refusals(known, world));
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.1/32"]),
    );
    apply(&mut world.services, service("a", 1, &["203.0.113.1"]));
    assert!(look(&world, &mut known).is_empty());
    apply(&mut world.services, service("b", 1, &[]));
    // A replica that starts finds what another one has reported.
    assert!(look(&world, &mut Known::default()).is_empty());
    let first = look(&world, &mut known);
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(
        first[0].starts_with("AddressNotAssigned b: no IPv4 address is free"),
        "{first:?}"
    );
    assert!(look(&world, &mut known).is_empty());
    world
        .services
        .event(Event::Delete(guard(service("a", 1, &[]))));
    assert!(look(&world, &mut known).is_empty());

    let given = |world: &World, name: &str| {
        let served = world
            .services
            .get(&("shop".to_owned(), name.to_owned()))
            .unwrap();
        let allocation = allocate(&world.address_state());
        let news = events::given(served, &allocation.services[&served.request.key]);
        assert_eq!(news.regarding.namespace.as_deref(), Some("shop"));
        told(&[news])
    };
    let expected = ["AddressAssigned b: 203.0.113.1 of AddressPool public"];
    assert_eq!(given(&world, "b"), expected);
    let mut other = service("b", 3, &["203.0.113.1"]);
    other["spec"]["type"] = json!("ClusterIP");
    apply(&mut world.services, other);
    let expected = ["AddressReleased b: its addresses were released"];
    assert_eq!(given(&world, "b"), expected);
}
