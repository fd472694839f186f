//! Claims about Secrets that are asked for by name.
#![allow(clippy::unwrap_used)]

use routelet_api::{Peer, Router};
use routelet_core::cluster::watched::WatchedNode;
use serde_json::{Value, json};

use super::*;
use crate::sources::api::watches::{Failure, Scope, WatchTarget};

const NODE: &str = "node-1";

fn received<K: Indexed>(object: Value) -> Received<K> {
    serde_json::from_value(object).unwrap()
}

/// The kind was listed, and there are none.
fn none_of<K: Indexed>(cache: &mut Cache) {
    cache.event(Event::<Received<K>>::Init);
    cache.event(Event::<Received<K>>::InitDone);
}

fn put<K: Indexed>(cache: &mut Cache, object: Value) {
    cache.event(Event::Apply(received::<K>(object)));
}

fn node(cache: &mut Cache, labels: &Value) {
    put::<WatchedNode>(cache, json!({"metadata": {"name": NODE, "labels": labels}}));
}

fn peer(cache: &mut Cache, name: &str, secret: &str, rack: Option<&str>) {
    let mut spec =
        json!({"address": "192.0.2.1", "asn": 64500, "password": {"secretRef": {"name": secret}}});
    if let Some(rack) = rack {
        spec["nodeSelector"] = json!({"matchLabels": {"rack": rack}});
    }
    put::<Peer>(cache, json!({"metadata": {"name": name}, "spec": spec}));
}

fn secret(name: &str) -> Received<WatchedSecret> {
    received(json!({"metadata": {"name": name}, "data": {"password": "aHVudGVyMg=="}}))
}

/// A cache whose kinds are listed, and that asks for Secrets as a node does.
struct Agent {
    cache: Cache,
    needed: NeededSecrets,
    now: Instant,
}

impl Agent {
    fn start() -> Self {
        let mut cache = Cache::new(DECIDE);
        none_of::<WatchedNode>(&mut cache);
        none_of::<Router>(&mut cache);
        none_of::<Peer>(&mut cache);
        Self {
            cache,
            needed: NeededSecrets::of(NODE, AtomMap::default()),
            now: Instant::now(),
        }
    }

    /// What begins and what ends.
    fn follow(&mut self) -> [Vec<String>; 2] {
        let SecretChanges { begin, end } = self.needed.follow(&self.cache).unwrap_or_default();
        for name in &begin {
            self.cache.begin_secret(name);
        }
        for name in &end {
            self.cache.end_secret(name);
        }
        [begin, end].map(|names| names.iter().map(ToString::to_string).collect())
    }

    fn listed(&mut self, name: &str, object: Option<Received<WatchedSecret>>) {
        let name = Arc::from(name);
        self.cache.secret_event(&name, Event::Init);
        if let Some(object) = object {
            self.cache.secret_event(&name, Event::InitApply(object));
        }
        self.cache.secret_event(&name, Event::InitDone);
    }

    fn refused(&mut self, name: &str, why: &str) -> bool {
        self.fails(name, why, true)
    }

    fn fails(&mut self, name: &str, why: &str, is_refusal: bool) -> bool {
        let why = why.to_owned();
        let failure = Failure {
            why,
            is_refusal,
            at: self.now,
        };
        self.cache.failed(&scope(name), failure)
    }

    fn has(&self, name: &str) -> bool {
        self.cache.state().secrets.contains_key(name)
    }

    fn unread(&self, name: &str) -> Option<&str> {
        let unread = &self.cache.state().unread_secrets;
        unread.get(name).map(|unread| &*unread.why)
    }
}

fn scope(name: &str) -> Scope {
    Scope {
        kind: "Secret",
        name: Some(name.into()),
    }
}

fn none() -> [Vec<String>; 2] {
    [Vec::new(), Vec::new()]
}

#[test]
fn only_what_selects_the_node_asks_for_a_secret() {
    let mut agent = Agent::start();
    peer(&mut agent.cache, "here", "a", Some("1"));
    peer(&mut agent.cache, "there", "b", Some("2"));
    peer(&mut agent.cache, "all", "all", None);
    // The node is not known, and is as one without labels.
    assert_eq!(agent.follow()[0], ["all"]);
    node(&mut agent.cache, &json!({"rack": "1"}));
    assert_eq!(agent.follow(), [vec!["a".to_owned()], vec![]]);
    assert_eq!(agent.follow(), none());
    let mesh = json!({"enabled": true, "password": {"secretRef": {"name": "mesh"}}});
    let router = json!({"metadata": {"name": "r"}, "spec": {"asn": 64512, "mesh": mesh}});
    put::<Router>(&mut agent.cache, router);
    assert_eq!(agent.follow(), [vec!["mesh".to_owned()], vec![]]);
}

/// Before its labels are known, a node would be selected by what asks for nodes without one.
#[test]
fn no_secret_is_asked_for_before_what_decides_was_listed_and_the_state_waits_for_those_that_are() {
    let mut agent = Agent {
        cache: Cache::new(["Node", "Peer", "Router"]),
        needed: NeededSecrets::of(NODE, AtomMap::default()),
        now: Instant::now(),
    };
    let cache = &mut agent.cache;
    cache.event(Event::<Received<Router>>::Init);
    cache.event(Event::<Received<Router>>::InitDone);
    cache.event(Event::<Received<Peer>>::Init);
    for (name, operator, values) in [("a", "In", json!(["1"])), ("b", "DoesNotExist", json!([]))] {
        let selector =
            json!({"matchExpressions": [{"key": "rack", "operator": operator, "values": values}]});
        let spec = json!({
            "nodeSelector": selector, "address": "192.0.2.1", "asn": 64500, "password": {"secretRef": {"name": name}},
        });
        let object = json!({"metadata": {"name": name}, "spec": spec});
        cache.event(Event::InitApply(received::<Peer>(object)));
    }
    assert_eq!(agent.follow(), none(), "not all Peers are known");
    agent.cache.event(Event::<Received<Peer>>::InitDone);
    assert_eq!(agent.follow(), none(), "nor is the node");
    agent.cache.event(Event::<Received<WatchedNode>>::Init);
    let own = json!({"metadata": {"name": NODE, "labels": {"rack": "1"}}});
    let own = Event::InitApply(received::<WatchedNode>(own));
    agent.cache.event(own);
    assert_eq!(agent.follow(), none(), "nor are all");
    agent.cache.event(Event::<Received<WatchedNode>>::InitDone);
    assert_eq!(agent.follow()[0], ["a"]);
    // It was asked for in the same step that made the rest whole, so nobody has had a state without it.
    assert!(!agent.cache.take().unwrap().source.synced);
    agent.listed("a", Some(secret("a")));
    assert!(agent.cache.take().unwrap().source.synced);
}

#[test]
fn a_gap_of_the_node_ends_no_watch_and_the_last_name_does() {
    let mut agent = Agent::start();
    node(&mut agent.cache, &json!({"rack": "1"}));
    peer(&mut agent.cache, "tor", "a", Some("1"));
    agent.follow();
    agent.listed("a", Some(secret("a")));
    node(&mut agent.cache, &json!({}));
    assert_eq!(agent.follow(), none());
    let gone = json!({"metadata": {"name": NODE}});
    agent
        .cache
        .event(Event::Delete(received::<WatchedNode>(gone)));
    assert_eq!(agent.follow(), none());
    assert!(agent.has("a"));
    peer(&mut agent.cache, "tor", "b", None);
    let (begun, ended) = (vec!["b".to_owned()], vec!["a".to_owned()]);
    assert_eq!(agent.follow(), [begun, ended]);
    assert!(!agent.has("a") && agent.unread("a").is_none());
    // Also by a label that is missing for the moment.
    peer(&mut agent.cache, "tor", "c", Some("1"));
    assert_eq!(agent.follow()[0], ["c"]);
}

/// Those of a Node that was made again while no agent ran.
#[test]
fn labels_from_before_ask_for_secrets_too() {
    let mut agent = Agent::start();
    let rack = [("rack".into(), "1".into())];
    agent.needed = NeededSecrets::of(NODE, rack.into_iter().collect());
    node(&mut agent.cache, &json!({}));
    peer(&mut agent.cache, "tor", "a", Some("1"));
    peer(&mut agent.cache, "other", "b", Some("2"));
    assert_eq!(agent.follow()[0], ["a"]);
}

/// Their sessions exist at both ends.
#[test]
fn a_peer_with_nodes_asks_for_its_secret_at_both_ends() {
    for (selector, target) in [
        (
            json!({"matchLabels": {"rack": "1"}}),
            json!({"matchLabels": {"rack": "2"}}),
        ),
        (
            json!({"matchLabels": {"rack": "2"}}),
            json!({"matchLabels": {"rack": "1"}}),
        ),
    ] {
        let mut agent = Agent::start();
        node(&mut agent.cache, &json!({"rack": "1"}));
        let spec = json!({
            "nodeSelector": selector, "nodes": {"selector": target}, "password": {"secretRef": {"name": "a"}},
        });
        put::<Peer>(
            &mut agent.cache,
            json!({"metadata": {"name": "p"}, "spec": spec}),
        );
        assert_eq!(agent.follow()[0], ["a"]);
    }
}

#[test]
fn the_state_is_whole_once_each_secret_was_answered_for() {
    let mut agent = Agent::start();
    node(&mut agent.cache, &json!({}));
    peer(&mut agent.cache, "a", "a", None);
    peer(&mut agent.cache, "b", "b", None);
    peer(&mut agent.cache, "c", "c", None);
    agent.follow();
    assert!(agent.cache.awaits_secrets());
    assert!(agent.unread("a").is_some());
    agent.listed("a", Some(secret("a")));
    agent.listed("b", None);
    let snapshot = agent.cache.take().unwrap();
    assert!(!snapshot.source.synced);
    assert_eq!(
        snapshot.source.waiting_for,
        ["Secret objects are not listed yet"]
    );
    // A right that is missing concerns one peer, and not the whole node.
    assert!(agent.refused("c", "not allowed"));
    assert!(!agent.refused("c", "not allowed"), "it is no news");
    assert!(!agent.cache.awaits_secrets());
    let snapshot = agent.cache.take().unwrap();
    assert!(snapshot.source.synced);
    assert_eq!(
        snapshot.source.waiting_for,
        ["Secret objects cannot be watched: not allowed"]
    );
    assert!(snapshot.source.watches.contains(&("Secret", true)));
    assert_eq!(agent.unread("a"), None);
    assert_eq!(agent.unread("b"), None, "it is known not to be there");
    assert_eq!(agent.unread("c"), Some("not allowed"));
    // And is granted.
    agent.listed("c", Some(secret("c")));
    agent.cache.recovered(&scope("c"));
    let snapshot = agent.cache.take().unwrap();
    assert!(agent.has("c") && agent.unread("c").is_none());
    assert!(snapshot.source.waiting_for.is_empty());
    assert!(agent.cache.take().is_none());
}

/// Until then nobody takes it for missing.
#[test]
fn a_secret_is_refused_or_its_answer_comes_later() {
    let mut agent = Agent::start();
    node(&mut agent.cache, &json!({}));
    peer(&mut agent.cache, "a", "a", None);
    agent.follow();
    let is_refused = |agent: &Agent| {
        let unread = agent.cache.state().unread_secrets.get("a");
        unread.map(|unread| unread.is_refused)
    };
    assert_eq!(is_refused(&agent), Some(false), "it was just asked for");
    agent.fails("a", "overloaded", false);
    assert_eq!(is_refused(&agent), Some(false));
    assert!(agent.cache.take().unwrap().source.synced);
    // A server that has just started refuses everything for a moment, again and again if several do.
    for said in ["overloaded", "refuses connections"] {
        agent.refused("a", "not allowed");
        assert_eq!(is_refused(&agent), Some(false));
        agent.now += REFUSES - Duration::from_millis(1);
        agent.refused("a", "not allowed");
        assert_eq!(is_refused(&agent), Some(false));
        agent.fails("a", said, false);
        agent.now += REFUSES;
    }
    agent.refused("a", "not allowed");
    agent.now += REFUSES;
    assert!(agent.cache.take().is_some());
    agent.refused("a", "not allowed");
    assert_eq!(is_refused(&agent), Some(true));
    assert!(agent.cache.take().is_some(), "peers have to know");
    agent.fails("a", "overloaded", false);
    assert_eq!(is_refused(&agent), Some(false));
    agent.refused("a", "not allowed");
    agent.cache.recovered(&scope("a"));
    agent.now += REFUSES;
    agent.refused("a", "not allowed");
    assert_eq!(is_refused(&agent), Some(false));
    agent.listed("a", None);
    assert_eq!(is_refused(&agent), None, "it is not there");
}

#[test]
fn what_is_known_of_a_secret_stays_while_its_watch_fails() {
    let mut agent = Agent::start();
    node(&mut agent.cache, &json!({}));
    peer(&mut agent.cache, "a", "a", None);
    peer(&mut agent.cache, "b", "b", None);
    agent.follow();
    agent.listed("a", Some(secret("a")));
    agent.listed("b", None);
    agent.refused("a", "not allowed");
    agent.refused("b", "not allowed");
    assert!(agent.has("a"));
    assert_eq!(agent.unread("b"), None);
    // A list that breaks off removes nothing; one that ends without it does.
    agent.cache.secret_event(&Arc::from("a"), Event::Init);
    assert!(agent.has("a"));
    agent.listed("a", None);
    assert!(!agent.has("a"));
}

#[test]
fn an_answer_about_another_secret_is_none() {
    let mut agent = Agent::start();
    node(&mut agent.cache, &json!({}));
    peer(&mut agent.cache, "a", "a", None);
    agent.follow();
    agent.listed("a", Some(secret("other")));
    let other = Arc::from("a");
    agent
        .cache
        .secret_event(&other, Event::Apply(secret("other")));
    assert!(!agent.has("a") && !agent.has("other"));
    // Nor is one that comes after it was given up.
    agent.cache.end_secret(&other);
    agent.cache.secret_event(&other, Event::Apply(secret("a")));
    assert!(!agent.has("a"));
}
