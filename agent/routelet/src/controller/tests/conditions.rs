//! The condition of a Service: where its address is from, or why it has none.

use super::*;

/// The Events about Services from a replica that has seen a cluster without any.
pub(super) fn first_events(cache: &ControllerCache) -> Vec<EventData> {
    let mut known = Observed::default();
    refusals(&mut known, &ControllerCache::default());
    refusals(&mut known, cache)
}

/// The condition that is to be written, if any.
pub(super) fn condition(cache: &ControllerCache, name: &str) -> Option<Value> {
    let write = writes(cache)
        .into_iter()
        .find(|write| write.key.1 == name)?;
    Some(write.patch["status"]["conditions"][0].clone())
}

#[test]
fn a_service_says_where_its_address_is_from_or_why_it_has_none() {
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/32"]),
    );
    apply(&mut cache.services, service("a", 1, &[]));
    let mut late = service("b", 1, &[]);
    late["metadata"]["generation"] = json!(7);
    apply(&mut cache.services, late);
    let found = condition(&cache, "b").unwrap();
    assert_eq!(found["type"], "routelet.dev/AddressAssigned");
    assert_eq!(
        (&found["status"], &found["reason"]),
        (&json!("False"), &json!("Exhausted"))
    );
    assert_eq!(
        found["message"],
        "no IPv4 address is free in AddressPool public: add addresses, or delete Services that have some"
    );
    assert_eq!(found["observedGeneration"], 7);
    // What is said already is not said again, and nothing of one that is being deleted.
    let with = |version, ips: &[&str], condition: Value| {
        let mut with = service("a", version, ips);
        with["status"]["conditions"] = json!([{"type": "Other", "status": "True"}, condition]);
        with
    };
    let first = condition(&cache, "a").unwrap();
    apply(
        &mut cache.services,
        with(2, &["203.0.113.0"], first.clone()),
    );
    assert_eq!(condition(&cache, "a"), None);
    let mut leaving = service("a", 3, &["203.0.113.0"]);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    apply(&mut cache.services, leaving);
    assert_eq!(condition(&cache, "a"), None);
    // The time is that of the last change of the status.
    let mut older = first.clone();
    older["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
    older["message"] = json!("203.0.113.0 of AddressPool former");
    apply(
        &mut cache.services,
        with(4, &["203.0.113.0"], older.clone()),
    );
    let found = condition(&cache, "a").unwrap();
    assert_eq!(found["lastTransitionTime"], "2026-01-01T00:00:00Z");
    // Of a Service that is another's, nothing is said, and what was said is removed.
    let mut other = with(5, &[], first);
    other["spec"]["loadBalancerClass"] = json!("example.com/other");
    apply(&mut cache.services, other);
    let removed = json!({"type": "routelet.dev/AddressAssigned", "$patch": "delete"});
    assert_eq!(condition(&cache, "a"), Some(removed));
    let mut never = service("c", 1, &[]);
    never["spec"]["loadBalancerClass"] = json!("example.com/other");
    apply(&mut cache.services, never);
    assert_eq!(condition(&cache, "c"), None);
}

#[test]
fn nothing_is_said_of_services_without_a_class_where_no_pool_is_for_them() {
    let mut cache = known_world();
    let events = |cache: &ControllerCache| first_events(cache).len();
    // Another load balancer serves them, or nobody.
    apply(&mut cache.services, service("a", 1, &["198.51.100.1"]));
    apply(&mut cache.services, service("b", 1, &[]));
    assert_eq!((writes(&cache), events(&cache)), (vec![], 0));
    let mut ours = service("ours", 1, &[]);
    ours["spec"]["loadBalancerClass"] = json!("routelet.dev/bgp");
    apply(&mut cache.services, ours);
    assert_eq!(condition(&cache, "ours").unwrap()["reason"], "NoPool");
    assert_eq!((writes(&cache).len(), events(&cache)), (1, 1));

    // Where every pool requires a class, what was said before is removed once, and nothing is said.
    let mut required = pool("public", &["203.0.113.0/24"]);
    required["spec"]["requireClass"] = json!(true);
    apply(&mut cache.objects.pools, required);
    assert!(!writes(&cache).iter().any(|write| write.key.1 != "ours"));
    let said = |version, ip: &[&str], message: &str| {
        let mut said = service("a", version, ip);
        said["status"]["conditions"] = json!([{
            "type": "routelet.dev/AddressAssigned", "message": message, "reason": "Assigned",
            "status": if ip.is_empty() { "False" } else { "True" },
        }]);
        said
    };
    let removed = json!({"type": "routelet.dev/AddressAssigned", "$patch": "delete"});
    let public = "203.0.113.7 of AddressPool public";
    for object in [
        said(2, &[], "none is free"),
        said(3, &["203.0.113.7"], public),
    ] {
        apply(&mut cache.services, object);
        assert_eq!(condition(&cache, "a"), Some(removed.clone()));
        assert!(
            !writes(&cache)
                .iter()
                .any(|write| write.key.1 == "a" && write.moves)
        );
    }
    // Unless nothing else says of which pool an address is.
    let deleted = said(4, &["203.0.113.7"], "203.0.113.7 of AddressPool former");
    apply(&mut cache.services, deleted);
    assert_eq!(condition(&cache, "a"), None);
    // And not while it is not known what pools there are for it.
    apply(&mut cache.services, said(5, &[], "none is free"));
    apply(
        &mut cache.objects.pools,
        pool("invalid", &["203.0.113.5/24"]),
    );
    assert_eq!(condition(&cache, "a"), None);
}
