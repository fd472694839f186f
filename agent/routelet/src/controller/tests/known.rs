//! What is known of the cluster: nothing is forgotten that was not seen to go, and no older version takes the place of
//! a newer one.

use super::*;

#[test]
fn only_what_was_seen_to_go_goes() {
    let mut cache = known_world();
    let names = |cache: &ControllerCache| -> Vec<String> {
        cache
            .services
            .iter()
            .map(|(key, _): (&store::Key, _)| key.1.clone())
            .collect()
    };
    cache.services.event(Event::Init);
    cache
        .services
        .event(Event::InitApply(guard(service("a", 1, &[]))));
    cache
        .services
        .event(Event::InitApply(guard(service("b", 1, &[]))));
    assert!(!cache.services.synced());
    cache.services.event(Event::InitDone);
    assert!(cache.services.synced());
    // A list that breaks off removes nothing.
    cache.services.event(Event::Init);
    cache
        .services
        .event(Event::InitApply(guard(service("b", 1, &[]))));
    assert_eq!(names(&cache), ["a", "b"]);
    cache.services.event(Event::Init);
    cache
        .services
        .event(Event::InitApply(guard(service("b", 1, &[]))));
    cache.services.event(Event::InitDone);
    assert_eq!(names(&cache), ["b"]);
    cache
        .services
        .event(Event::Delete(guard(service("b", 2, &[]))));
    assert!(names(&cache).is_empty());
}

#[test]
fn what_was_just_written_is_not_taken_back_by_an_older_event() {
    let mut cache = known_world();
    apply(&mut cache.services, service("a", 9, &[]));
    cache
        .services
        .written(guard(service("a", 11, &["203.0.113.1"])));
    // On its way since before the write.
    apply(&mut cache.services, service("a", 10, &[]));
    assert_eq!(held(&cache, "a"), ["203.0.113.1"]);
    apply(&mut cache.services, service("a", 12, &["203.0.113.2"]));
    assert_eq!(held(&cache, "a"), ["203.0.113.2"]);
    // Another Service of the name: its versions say nothing about those of the first.
    let mut other = service("a", 3, &[]);
    other["metadata"]["uid"] = json!("other");
    apply(&mut cache.services, other);
    assert!(held(&cache, "a").is_empty());
}

/// As after a restore of etcd: versions begin lower again. What a write has answered is newer only for a while.
#[test]
fn a_service_of_a_lower_version_counts_unless_it_was_just_written() {
    let mut cache = ControllerCache::default();
    let key = ("shop".to_owned(), "a".to_owned());
    let version =
        |cache: &ControllerCache| cache.services.get(&key).unwrap().version.clone().unwrap();
    apply(&mut cache.services, service("a", 500, &["203.0.113.1"]));
    apply(&mut cache.services, service("a", 7, &[]));
    assert_eq!(version(&cache), "7");
    cache
        .services
        .written(guard(service("a", 9, &["203.0.113.1"])));
    apply(&mut cache.services, service("a", 8, &[]));
    assert_eq!(version(&cache), "9");
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
        let mut cache = known_world();
        // It does not get an address of another family either, whatever it may ask for.
        let blocks = ["203.0.113.0/31", "2001:db8:f::/126"];
        apply(&mut cache.objects.pools, pool("public", &blocks));
        if was_known {
            apply(&mut cache.services, service("a", 1, &["203.0.113.0"]));
        }
        let nearby = unreadable("/spec/externalTrafficPolicy", json!("Nearby"));
        apply(&mut cache.services, nearby);
        apply(&mut cache.services, service("b", 3, &[]));
        assert_eq!(
            written(&cache),
            [("b".to_owned(), json!([{"ip": "203.0.113.1"}]))]
        );
        assert_eq!(held(&cache, "a"), ["203.0.113.0"]);
        // Good again, it is as any other.
        apply(&mut cache.services, service("a", 4, &["203.0.113.0"]));
        assert_eq!(written(&cache).len(), 1);
    }
    // One that shares an address goes on sharing it: by what is known of its ports and its policy.
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
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
    apply(&mut cache.services, dns("a", "TCP", "Local"));
    apply(&mut cache.services, dns("b", "UDP", "Local"));
    assert_eq!(written(&cache), []);
    apply(&mut cache.services, dns("a", "TCP", "Nearby"));
    assert_eq!(written(&cache), []);
    // Of one whose status cannot be read either, what is known counts.
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/31"]),
    );
    apply(&mut cache.services, service("a", 1, &["203.0.113.0"]));
    apply(
        &mut cache.services,
        unreadable("/status/loadBalancer", json!(7)),
    );
    assert_eq!(held(&cache, "a"), ["203.0.113.0"]);
}

#[test]
fn nulls_are_absences_and_unreadable_objects_are_still_there() {
    let mut cache = known_world();
    let mut one = service("a", 1, &[]);
    one["status"]["loadBalancer"]["ingress"] = Value::Null;
    (one["spec"]["selector"], one["spec"]["ipFamilies"]) = (Value::Null, Value::Null);
    apply(&mut cache.services, one);
    assert!(held(&cache, "a").is_empty() && cache.services.iter().count() == 1);
    // A Node that cannot be read has not gone, nor have the labels of a namespace, nor the sessions of a node.
    apply(
        &mut cache.nodes,
        json!({"metadata": {"name": "n"}, "spec": {"podCIDRs": 5}}),
    );
    assert!(cache.nodes.named("n").is_some());
    apply(
        &mut cache.namespaces,
        json!({"metadata": {"name": "shop", "labels": {"a": "b"}}}),
    );
    apply(
        &mut cache.namespaces,
        json!({"metadata": {"name": "shop", "labels": {"a": 5}}}),
    );
    assert_eq!(cache.address_state().namespaces["shop"]["a"], "b");
    apply(&mut cache.states, state("n", 1, &[("tor", "Idle")]));
    apply(
        &mut cache.states,
        json!({"metadata": {"name": "n"}, "spec": {"node": "n"}, "status": {"sessions": 5}}),
    );
    let sessions = cache.states.named("n").unwrap().at(Instant::now()).count();
    assert_eq!(sessions, 1);
}

#[test]
fn what_is_of_no_account_to_addresses_is_no_reason_to_allocate() {
    let mut cache = known_world();
    let mut changes = |event: &mut dyn FnMut(&mut ControllerCache)| {
        cache.changes = Changes::default();
        event(&mut cache);
        cache.changes.is_any()
    };
    let service_is = |version, annotation: &str| {
        let mut one = service("a", version, &["203.0.113.1"]);
        one["metadata"]["annotations"] = json!({"somebodys": annotation});
        one
    };
    let mut comes = |object: Value| {
        changes(&mut |cache| cache.service_event(Event::Apply(guard(object.clone()))))
    };
    assert!(comes(service_is(1, "a")));
    assert!(!comes(service_is(2, "b")));
    assert!(comes(service("a", 3, &[])));
    // The version because of which a write was refused.
    let awaited = changes(&mut |cache| {
        cache.outdated.insert(("shop".to_owned(), "a".to_owned()));
        cache.service_event(Event::Apply(guard(service("a", 4, &[]))));
    });
    assert!(awaited);
    // Our own word on a pool.
    let mut pool_is = |object: Value| {
        changes(&mut |cache| {
            cache.object_event::<routelet_api::AddressPool>(Event::Apply(guard(object.clone())));
        })
    };
    let mut said = pool("public", &["203.0.113.0/24"]);
    assert!(pool_is(said.clone()));
    said["status"] = json!({"ipv4": {"total": 256}});
    assert!(!pool_is(said));
    assert!(pool_is(pool("public", &["203.0.113.0/25"])));
}
