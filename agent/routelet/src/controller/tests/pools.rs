//! What is not known of pools and namespaces gives nobody an address and takes none away.

use super::conditions::{condition, first_events};
use super::*;

#[test]
fn an_invalid_pool_is_the_last_good_one_or_else_nobody_loses_an_address() {
    let invalid = || {
        let mut invalid = pool("public", &["203.0.113.0/30"]);
        invalid["spec"]["addresses"] = json!(["203.0.113.5/24"]);
        invalid
    };
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    apply(
        &mut cache.objects.pools,
        pool("spare", &["198.51.100.0/30"]),
    );
    apply(&mut cache.services, service("a", 1, &["203.0.113.1"]));
    apply(&mut cache.objects.pools, invalid());
    assert_eq!(written(&cache), []);
    // What is somebody's in its last good version is said once it is good again.
    cache.node_event(
        Event::Apply(guard(node("n1", "203.0.113.0", 1))),
        Instant::now(),
    );
    let found = statuses(&cache, &allocate(&cache.address_state()), now());
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

/// The controller is started while a pool is not valid.
#[test]
fn a_pool_that_was_never_seen_valid_changes_nothing_for_services_that_have_its_addresses() {
    let mut cache = known_world();
    let named = |name: &str, version, ip: &[&str], condition: Option<&Value>| {
        let mut named = service(name, version, ip);
        named["metadata"]["annotations"] = json!({"routelet.dev/address-pool": "public"});
        named["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        named
    };
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    apply(&mut cache.services, named("a", 1, &[], None));
    let said = condition(&cache, "a").unwrap();

    let mut fresh = known_world();
    let mut invalid = pool("public", &["203.0.113.5/24"]);
    invalid["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
    apply(&mut fresh.objects.pools, invalid);
    let a = named("a", 2, &["203.0.113.0"], Some(&said));
    apply(&mut fresh.services, a);
    // Nothing was said yet of this one; it is not known whether it may have its address.
    apply(&mut fresh.services, named("b", 2, &["203.0.113.1"], None));
    let named_writes = |cache: &ControllerCache| {
        let names = writes(cache)
            .into_iter()
            .map(|write| (write.key.1, write.moves));
        names.collect::<Vec<_>>()
    };
    let events = |cache: &ControllerCache, name: &str| {
        let mut news = first_events(cache).into_iter();
        news.any(|news| news.regarding.name.as_deref() == Some(name))
    };
    assert!(!named_writes(&fresh).iter().any(|(name, _)| name == "a"));
    assert!(!events(&fresh, "a"));
    // Nor does another pool give these addresses to somebody else.
    apply(
        &mut fresh.objects.pools,
        pool("younger", &["203.0.113.0/31"]),
    );
    let mut wants = service("wants", 1, &[]);
    wants["metadata"]["annotations"] = json!({"routelet.dev/addresses": "203.0.113.1"});
    apply(&mut fresh.services, wants);
    apply(&mut fresh.services, service("new", 1, &[]));
    assert!(
        !named_writes(&fresh)
            .iter()
            .any(|(name, moves)| name == "a" || *moves)
    );
    // Valid again, all is as it was.
    apply(
        &mut fresh.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    assert!(!named_writes(&fresh).iter().any(|(name, _)| name == "a"));
    assert_eq!(held(&fresh, "a"), ["203.0.113.0"]);
}

/// The watches of Services and Namespaces are two: what is known of a Service may be ahead of its namespace.
#[test]
fn while_a_namespace_is_not_known_its_services_get_nothing_and_lose_nothing() {
    let mut cache = ControllerCache::default();
    let mut open = pool("open", &["203.0.113.0/31"]);
    open["spec"]["namespaceSelector"] =
        json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]});
    apply(&mut cache.objects.pools, open);
    let mut of_team = pool("team", &["203.0.113.8/31"]);
    of_team["spec"]["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
    apply(&mut cache.objects.pools, of_team);
    apply(&mut cache.services, service("a", 1, &[]));
    let held = ["203.0.113.0", "203.0.113.8"];
    apply(&mut cache.services, service("b", 1, &held));
    let mut moved = service("c", 1, &["203.0.113.9"]);
    moved["metadata"]["annotations"] = json!({"routelet.dev/address-pool": "open"});
    apply(&mut cache.services, moved);
    assert_eq!(writes(&cache), []);

    // What they have is not given to others meanwhile.
    apply(&mut cache.namespaces, namespace("other", json!({})));
    let mut other = service("d", 1, &[]);
    other["metadata"]["namespace"] = json!("other");
    apply(&mut cache.services, other);
    let expected = json!([{"ip": "203.0.113.1"}]);
    assert_eq!(written(&cache), [("d".to_owned(), expected)]);

    apply(
        &mut cache.namespaces,
        namespace("shop", json!({"team": "a"})),
    );
    // Who can have another address does not wait for theirs.
    let after: Vec<String> = written(&cache).into_iter().map(|(name, _)| name).collect();
    assert_eq!(after, ["d", "b", "c"]);
}
