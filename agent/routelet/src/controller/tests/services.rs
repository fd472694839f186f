//! Claims about what is written into the statuses of Services, and when.

use std::sync::Arc;

use super::super::addresses;
use super::super::rivals::{Rivals, Verdict};
use super::super::world::Served;
use super::*;

/// The Events about Services from a replica that has seen a cluster without any.
fn first_events(world: &World) -> Vec<News> {
    let mut known = Known::default();
    refusals(&mut known, &World::default());
    refusals(&mut known, world)
}

/// The condition that is to be written, if any.
fn condition(world: &World, name: &str) -> Option<Value> {
    let write = writes(world)
        .into_iter()
        .find(|write| write.key.1 == name)?;
    Some(write.patch["status"]["conditions"][0].clone())
}

#[test]
fn a_service_says_where_its_address_is_from_or_why_it_has_none() {
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/32"]),
    );
    apply(&mut world.services, service("a", 1, &[]));
    let mut late = service("b", 1, &[]);
    late["metadata"]["generation"] = json!(7);
    apply(&mut world.services, late);
    let found = condition(&world, "b").unwrap();
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
    // What is said already is not said again, and nothing of one that is on its way out.
    let with = |version, ips: &[&str], condition: Value| {
        let mut with = service("a", version, ips);
        with["status"]["conditions"] = json!([{"type": "Other", "status": "True"}, condition]);
        with
    };
    let first = condition(&world, "a").unwrap();
    apply(
        &mut world.services,
        with(2, &["203.0.113.0"], first.clone()),
    );
    assert_eq!(condition(&world, "a"), None);
    let mut leaving = service("a", 3, &["203.0.113.0"]);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    apply(&mut world.services, leaving);
    assert_eq!(condition(&world, "a"), None);
    // The time is that of the last change of the status.
    let mut older = first.clone();
    older["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
    older["message"] = json!("203.0.113.0 of AddressPool former");
    apply(
        &mut world.services,
        with(4, &["203.0.113.0"], older.clone()),
    );
    let found = condition(&world, "a").unwrap();
    assert_eq!(found["lastTransitionTime"], "2026-01-01T00:00:00Z");
    // Of a Service that is another's, nothing is said, and what was said is removed.
    let mut other = with(5, &[], first);
    other["spec"]["loadBalancerClass"] = json!("example.com/other");
    apply(&mut world.services, other);
    let removed = json!({"type": "routelet.dev/AddressAssigned", "$patch": "delete"});
    assert_eq!(condition(&world, "a"), Some(removed));
    let mut never = service("c", 1, &[]);
    never["spec"]["loadBalancerClass"] = json!("example.com/other");
    apply(&mut world.services, never);
    assert_eq!(condition(&world, "c"), None);
}

/// As after a restore of etcd: versions begin lower again. What a write has answered is newer only for a while.
#[test]
fn a_service_of_a_lower_version_counts_unless_it_was_just_written() {
    let mut world = World::default();
    let key = ("shop".to_owned(), "a".to_owned());
    let version = |world: &World| world.services.get(&key).unwrap().version.clone().unwrap();
    apply(&mut world.services, service("a", 500, &["203.0.113.1"]));
    apply(&mut world.services, service("a", 7, &[]));
    assert_eq!(version(&world), "7");
    world
        .services
        .written(guard(service("a", 9, &["203.0.113.1"])));
    apply(&mut world.services, service("a", 8, &[]));
    assert_eq!(version(&world), "9");
}

#[test]
fn a_node_without_addresses_for_a_moment_keeps_them_though_it_has_pod_cidrs() {
    let mut world = World::default();
    let node = |addresses: Value, cidrs: Value| {
        json!({
            "metadata": {"name": "n1"}, "spec": {"podCIDRs": cidrs}, "status": {"addresses": addresses},
        })
    };
    let mut comes = |addresses: Value, cidrs: Value| {
        world.node_event(Event::Apply(guard(node(addresses, cidrs))), Instant::now());
        let mut nets: Vec<String> = world.reserved().iter().map(|r| r.net.to_string()).collect();
        nets.sort();
        nets.join(" ")
    };
    let of = |address: &str| json!([{"type": "InternalIP", "address": address}]);
    let both = "10.244.1.0/24 192.0.2.1/32";
    assert_eq!(comes(of("192.0.2.1"), json!(["10.244.1.0/24"])), both);
    assert_eq!(comes(json!([]), json!(["10.244.1.0/24"])), both);
    assert_eq!(comes(of("192.0.2.1"), json!([])), both);
    assert_eq!(
        comes(of("192.0.2.2"), json!(["10.244.2.0/24"])),
        "10.244.2.0/24 192.0.2.2/32"
    );
}

#[test]
fn what_is_of_no_account_to_addresses_is_no_reason_to_allocate() {
    let mut world = known_world();
    let mut changes = |event: &mut dyn FnMut(&mut World)| {
        world.changes = Changes::default();
        event(&mut world);
        world.changes.is_any()
    };
    let service_is = |version, annotation: &str| {
        let mut one = service("a", version, &["203.0.113.1"]);
        one["metadata"]["annotations"] = json!({"somebodys": annotation});
        one
    };
    let mut comes = |object: Value| {
        changes(&mut |world| world.service_event(Event::Apply(guard(object.clone()))))
    };
    assert!(comes(service_is(1, "a")));
    assert!(!comes(service_is(2, "b")));
    assert!(comes(service("a", 3, &[])));
    // The version because of which a write was refused.
    let awaited = changes(&mut |world| {
        world.outdated.insert(("shop".to_owned(), "a".to_owned()));
        world.service_event(Event::Apply(guard(service("a", 4, &[]))));
    });
    assert!(awaited);
    // Our own word on a pool.
    let mut pool_is = |object: Value| {
        changes(&mut |world| {
            world.object_event::<routelet_api::AddressPool>(Event::Apply(guard(object.clone())));
        })
    };
    let mut said = pool("public", &["203.0.113.0/24"]);
    assert!(pool_is(said.clone()));
    said["status"] = json!({"ipv4": {"total": 256}});
    assert!(!pool_is(said));
    assert!(pool_is(pool("public", &["203.0.113.0/25"])));
}

/// The decisions on other Services count on what is written. A webhook, say, may make something else of it.
#[test]
fn an_answer_with_other_addresses_than_were_written_is_noticed() {
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    apply(&mut world.services, service("a", 1, &["198.51.100.1"]));
    let allocation = allocate(&world.address_state());
    let key = ("shop".to_owned(), "a".to_owned());
    let before = Arc::clone(&world.services.get(&key).unwrap().request);
    let decision = &allocation.services[&before.key];
    let mut differs = |addresses: &[&str], decided| {
        apply(&mut world.services, service("a", 2, addresses));
        addresses::is_otherwise(&before, &world.services.get(&key).unwrap().request, decided)
    };
    assert!(!differs(&["203.0.113.0"], Some(decision)));
    assert!(differs(&["203.0.113.0", "203.0.113.1"], Some(decision)));
    assert!(differs(&["203.0.113.1"], Some(decision)));
    assert!(differs(&["203.0.113.0"], None));
    // That it is not written at all is no news.
    assert!(!differs(&["198.51.100.1"], Some(decision)));
    assert!(!differs(&["198.51.100.1"], None));
}

/// What is due is written in parts, addresses first, by one allocation, and is not forgotten while it has to wait.
#[test]
fn what_is_due_is_written_in_parts_and_stays_due_until_it_is_written() {
    let mut world = known_world();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    // Two are renumbered: what they have is of a pool no more.
    for (name, address) in [
        ("a", "203.0.113.0"),
        ("b", "198.51.100.2"),
        ("c", "198.51.100.3"),
    ] {
        apply(&mut world.services, service(name, 1, &[address]));
    }
    apply(&mut world.services, service("d", 1, &[]));
    let allocation = allocate(&world.address_state());
    let mut due = Due::default();
    due.extend(world.services.keys().cloned());
    let mut next = |world: &World, most: usize, held: &str| {
        let admit = |write: Write| (write.key.1 != held).then_some(write);
        let known = (world, &allocation, &Hindered::new());
        due.writes(known, now().0, most, admit).writes
    };
    let names = |writes: &[Write]| -> Vec<(String, bool)> {
        let names = writes
            .iter()
            .map(|write| (write.key.1.clone(), write.moves));
        names.collect()
    };
    let moves = |names: &[&str]| -> Vec<(String, bool)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), true))
            .collect()
    };
    assert_eq!(names(&next(&world, 2, "")), moves(&["b", "c"]));
    // One whose write failed is left alone for a while, and the others are not kept waiting.
    let written = next(&world, 2, "b");
    assert_eq!(names(&written), moves(&["c", "d"]));
    for (write, address) in written.iter().zip(["203.0.113.2", "203.0.113.3"]) {
        let mut object = service(&write.key.1, 2, &[address]);
        object["status"]["conditions"] = write.patch["status"]["conditions"].clone();
        apply(&mut world.services, object);
    }
    let mut left = moves(&["b"]);
    left.push(("a".to_owned(), false));
    assert_eq!(names(&next(&world, 9, "")), left);
    let is_due = |name: &str| due.contains(&("shop".to_owned(), name.to_owned()));
    assert_eq!(["a", "b", "c", "d"].map(is_due), [true, true, false, false]);
}

#[test]
fn nothing_is_said_of_services_without_a_class_where_no_pool_is_for_them() {
    let mut world = known_world();
    let events = |world: &World| first_events(world).len();
    // Another load balancer serves them, or nobody.
    apply(&mut world.services, service("a", 1, &["198.51.100.1"]));
    apply(&mut world.services, service("b", 1, &[]));
    assert_eq!((writes(&world), events(&world)), (vec![], 0));
    let mut ours = service("ours", 1, &[]);
    ours["spec"]["loadBalancerClass"] = json!("routelet.dev/bgp");
    apply(&mut world.services, ours);
    assert_eq!(condition(&world, "ours").unwrap()["reason"], "NoPool");
    assert_eq!((writes(&world).len(), events(&world)), (1, 1));

    // Where every pool requires a class, what was said before is removed once, and nothing is said.
    let mut required = pool("public", &["203.0.113.0/24"]);
    required["spec"]["requireClass"] = json!(true);
    apply(&mut world.objects.pools, required);
    assert!(!writes(&world).iter().any(|write| write.key.1 != "ours"));
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
        apply(&mut world.services, object);
        assert_eq!(condition(&world, "a"), Some(removed.clone()));
        assert!(
            !writes(&world)
                .iter()
                .any(|write| write.key.1 == "a" && write.moves)
        );
    }
    // Unless nothing else says of which pool an address is.
    let deleted = said(4, &["203.0.113.7"], "203.0.113.7 of AddressPool former");
    apply(&mut world.services, deleted);
    assert_eq!(condition(&world, "a"), None);
    // And not while it is not known what pools there are for it.
    apply(&mut world.services, said(5, &[], "none is free"));
    apply(
        &mut world.objects.pools,
        pool("invalid", &["203.0.113.5/24"]),
    );
    assert_eq!(condition(&world, "a"), None);
}

/// The controller is started while a pool is not valid.
#[test]
fn a_pool_that_was_never_seen_valid_changes_nothing_for_services_that_have_its_addresses() {
    let mut world = known_world();
    let named = |name: &str, version, ip: &[&str], condition: Option<&Value>| {
        let mut named = service(name, version, ip);
        named["metadata"]["annotations"] = json!({"routelet.dev/address-pool": "public"});
        named["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        named
    };
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    apply(&mut world.services, named("a", 1, &[], None));
    let said = condition(&world, "a").unwrap();

    let mut fresh = known_world();
    let mut invalid = pool("public", &["203.0.113.5/24"]);
    invalid["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
    apply(&mut fresh.objects.pools, invalid);
    let a = named("a", 2, &["203.0.113.0"], Some(&said));
    apply(&mut fresh.services, a);
    // Nothing was said yet of this one; it is not known whether it may have its address.
    apply(&mut fresh.services, named("b", 2, &["203.0.113.1"], None));
    let named_writes = |world: &World| {
        let names = writes(world)
            .into_iter()
            .map(|write| (write.key.1, write.moves));
        names.collect::<Vec<_>>()
    };
    let events = |world: &World, name: &str| {
        let mut news = first_events(world).into_iter();
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

/// What the last active replica found out stands in the condition.
#[test]
fn a_service_that_is_left_to_another_controller_is_left_to_it_by_the_next_replica() {
    let key = ("shop".to_owned(), "a".to_owned());
    let time = tokio::time::Instant::now();
    let world = |ip: &str, condition: Option<&Value>, change: &dyn Fn(&mut Value)| {
        let mut world = World::default();
        let mut object = service("a", 1, &[ip]);
        object["metadata"]["generation"] = json!(4);
        object["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        change(&mut object);
        apply(&mut world.services, object);
        world
    };
    let as_it_is = |_: &mut Value| {};
    let mut rivals = Rivals::default();
    let (ours, theirs) = (
        world("203.0.113.0", None, &as_it_is),
        world("198.51.100.7", None, &as_it_is),
    );
    let (ours, theirs) = (
        &ours.services.get(&key).unwrap(),
        theirs.services.get(&key).unwrap(),
    );
    rivals.wrote(&key, ours, time);
    assert_eq!(rivals.judge(&key, theirs, true, time), Verdict::Write);
    rivals.wrote(&key, ours, time);
    let Verdict::Say(statement, true) = rivals.judge(&key, theirs, true, time) else {
        panic!("it is written a third time");
    };
    let patch = addresses::say(theirs, &statement, now().0).unwrap();
    let said = patch["status"]["conditions"][0].clone();

    let asks = |ip: &'static str| {
        move |object: &mut Value| {
            object["metadata"]["annotations"] = json!({"routelet.dev/addresses": ip});
        }
    };
    let of_before = |object: &mut Value| object["metadata"]["generation"] = json!(5);
    let other = |object: &mut Value| object["status"]["conditions"][0]["reason"] = json!("NoPool");
    let (same, another) = (asks("203.0.113.0"), asks("203.0.113.9"));
    for (change, expected) in [
        (&as_it_is as &dyn Fn(&mut Value), Verdict::Leave),
        (&same, Verdict::Leave),
        (&another, Verdict::Write),
        (&of_before, Verdict::Write),
        (&other, Verdict::Write),
    ] {
        let mut next = Rivals::default();
        let world = world("198.51.100.7", Some(&said), change);
        let served = world.services.get(&key).unwrap();
        next.adopt([(&key, served)], time);
        for _ in 0..3 {
            assert_eq!(next.judge(&key, served, true, time), expected);
        }
        assert_eq!(
            next.left_alone().count(),
            usize::from(expected == Verdict::Leave)
        );
    }
    // A change that this replica sees counts, whatever the condition can say of it.
    let mut next = Rivals::default();
    let before = world("198.51.100.7", Some(&said), &as_it_is);
    let after = world("198.51.100.7", Some(&said), &|object| {
        object["metadata"]["labels"] = json!({"l": "changed"});
    });
    next.adopt([(&key, before.services.get(&key).unwrap())], time);
    // The write may have to be tried again.
    let judged = [&before, &after, &after].map(|world| {
        let served = world.services.get(&key).unwrap();
        next.judge(&key, served, true, time)
    });
    assert_eq!(judged, [Verdict::Leave, Verdict::Write, Verdict::Write]);
}

/// Another controller writes its own address whenever it sees ours.
#[test]
fn another_controller_that_writes_the_same_status_is_not_fought() {
    let mut world = known_world();
    let mut rivals = Rivals::default();
    let mut time = tokio::time::Instant::now();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    let mut version = 0;
    let key = ("shop".to_owned(), "a".to_owned());
    // One pass of the controller, and then what the other does about it. Returns whether addresses and a condition were written.
    let mut pass = |world: &mut World, label: &str, fights: bool, spares_conditions: bool| {
        let mut comes = |world: &mut World, ip: &[&str], condition: Option<&Value>| {
            version += 1;
            let mut object = service("a", version, ip);
            object["metadata"]["labels"] = json!({"l": label});
            object["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
            apply(&mut world.services, object);
        };
        let labels = |served: &Served| served.request.labels.get("l") == Some(label);
        if !world.services.get(&key).is_some_and(labels) {
            comes(world, &["198.51.100.7"], None);
        }
        time += Duration::from_secs(1);
        let Some(write) = writes(world).into_iter().next() else {
            return (false, None);
        };
        let served = world.services.get(&key).unwrap();
        match rivals.judge(&key, served, true, time) {
            Verdict::Write => {
                let condition = write.patch["status"]["conditions"][0].clone();
                comes(world, &["203.0.113.0"], Some(&condition));
                rivals.wrote(&key, world.services.get(&key).unwrap(), time);
                if fights {
                    comes(
                        world,
                        &["198.51.100.7"],
                        Some(&condition).filter(|_| spares_conditions),
                    );
                }
                (true, Some(condition))
            }
            Verdict::Say(statement, _) => {
                let patch = addresses::say(served, &statement, now().0).unwrap();
                let condition = patch["status"]["conditions"][0].clone();
                assert!(patch["status"].get("loadBalancer").is_none());
                comes(
                    world,
                    &["198.51.100.7"],
                    Some(&condition).filter(|_| spares_conditions),
                );
                rivals.said(&key, world.services.get(&key).unwrap(), time);
                (false, Some(condition))
            }
            Verdict::Leave => (false, None),
        }
    };
    for spares_conditions in [true, false] {
        let label = if spares_conditions {
            "first"
        } else {
            "changed"
        };
        let mut written = vec![pass(&mut world, label, true, spares_conditions)];
        written.extend((0..20).map(|_| pass(&mut world, label, true, spares_conditions)));
        let moves = written.iter().filter(|(moves, _)| *moves).count();
        let all = written.iter().filter(|(_, condition)| condition.is_some());
        assert_eq!((moves, all.clone().count()), (2, 3), "{written:?}");
        let said = all.clone().next_back().unwrap().1.clone().unwrap();
        assert_eq!(
            (&said["status"], &said["reason"]),
            (&json!("False"), &json!("WrittenByAnother"))
        );
        let text = said["message"].as_str().unwrap();
        assert!(
            text.contains("203.0.113.0 in the status by 198.51.100.7"),
            "{text}"
        );
    }
    // The Service changes, and the other is gone: it is written, and stays.
    assert!(pass(&mut world, "again", false, true).0);
    assert_eq!(held(&world, "a"), ["203.0.113.0"]);
    assert_eq!(rivals.left_alone().count(), 0);
}

/// The watches of Services and Namespaces are two: what is known of a Service may be ahead of its namespace.
#[test]
fn while_a_namespace_is_not_known_its_services_get_nothing_and_lose_nothing() {
    let mut world = World::default();
    let mut open = pool("open", &["203.0.113.0/31"]);
    open["spec"]["namespaceSelector"] =
        json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]});
    apply(&mut world.objects.pools, open);
    let mut of_team = pool("team", &["203.0.113.8/31"]);
    of_team["spec"]["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
    apply(&mut world.objects.pools, of_team);
    apply(&mut world.services, service("a", 1, &[]));
    let held = ["203.0.113.0", "203.0.113.8"];
    apply(&mut world.services, service("b", 1, &held));
    let mut moved = service("c", 1, &["203.0.113.9"]);
    moved["metadata"]["annotations"] = json!({"routelet.dev/address-pool": "open"});
    apply(&mut world.services, moved);
    assert_eq!(writes(&world), []);

    // What they have is not given to others meanwhile.
    apply(&mut world.namespaces, namespace("other", json!({})));
    let mut other = service("d", 1, &[]);
    other["metadata"]["namespace"] = json!("other");
    apply(&mut world.services, other);
    let expected = json!([{"ip": "203.0.113.1"}]);
    assert_eq!(written(&world), [("d".to_owned(), expected)]);

    apply(
        &mut world.namespaces,
        namespace("shop", json!({"team": "a"})),
    );
    // Who can have another address does not wait for theirs.
    let after: Vec<String> = written(&world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(after, ["d", "b", "c"]);
}

/// Somebody replaces the list of conditions, and leaves the addresses as they are.
#[test]
fn a_condition_that_is_removed_again_and_again_is_not_fought_for() {
    let mut world = known_world();
    let mut rivals = Rivals::default();
    let time = tokio::time::Instant::now();
    apply(
        &mut world.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    let key = ("shop".to_owned(), "a".to_owned());
    let mut version = 1;
    apply(&mut world.services, service("a", version, &[]));
    let mut comes = |world: &mut World, condition: Option<&Value>, labels: &Value| {
        version += 1;
        let mut object = service("a", version, &["203.0.113.0"]);
        object["metadata"]["labels"] = labels.clone();
        object["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        apply(&mut world.services, object);
    };
    for labels in [json!({}), json!({"l": "changed"})] {
        let mut written = Vec::new();
        for _ in 0..20 {
            let write = writes(&world).into_iter().next().unwrap();
            let served = world.services.get(&key).unwrap();
            if rivals.judge(&key, served, write.moves, time) == Verdict::Leave {
                continue;
            }
            written.push(write.moves);
            comes(
                &mut world,
                Some(&write.patch["status"]["conditions"][0]),
                &labels,
            );
            let served = world.services.get(&key).unwrap();
            match write.moves {
                true => rivals.wrote(&key, served, time),
                false => rivals.said(&key, served, time),
            }
            comes(&mut world, None, &labels);
        }
        assert!((2..=3).contains(&written.len()), "{written:?}");
        comes(&mut world, None, &json!({"l": "changed"}));
    }
}

#[test]
fn an_address_is_given_on_when_its_last_owner_has_lost_it() {
    let mut world = known_world();
    let labelled = |name: &str, version, ip: &[&str], label: &str, asks: &str| {
        let mut object = service(name, version, ip);
        object["metadata"]["labels"] = json!({"l": label});
        if !asks.is_empty() {
            object["metadata"]["annotations"] = json!({"routelet.dev/addresses": asks});
        }
        object
    };
    let mut public = pool("public", &["203.0.113.0/31"]);
    public["spec"]["serviceSelector"] = json!({"matchLabels": {"l": "in"}});
    apply(&mut world.objects.pools, public);
    let a = |version, ip: &[&str], label| labelled("a", version, ip, label, "");
    apply(&mut world.services, a(1, &["203.0.113.0"], "out"));
    apply(
        &mut world.services,
        labelled("b", 1, &[], "in", "203.0.113.0"),
    );
    assert_eq!(written(&world), [("a".to_owned(), json!([]))]);
    // As long as that cannot be written, too.
    assert_eq!(written(&world), [("a".to_owned(), json!([]))]);
    apply(&mut world.services, a(2, &[], "out"));
    let given = [("b".to_owned(), json!([{"ip": "203.0.113.0"}]))];
    assert_eq!(written(&world), given);
    // Two that change places: both let go first.
    for (name, has, wants) in [
        ("a", "203.0.113.0", "203.0.113.1"),
        ("b", "203.0.113.1", "203.0.113.0"),
    ] {
        apply(&mut world.services, labelled(name, 3, &[has], "in", wants));
    }
    let let_go = written(&world);
    assert!(
        let_go.iter().all(|(_, ingress)| *ingress == json!([])),
        "{let_go:?}"
    );
    for (name, _) in let_go {
        let wants = if name == "a" {
            "203.0.113.1"
        } else {
            "203.0.113.0"
        };
        apply(&mut world.services, labelled(&name, 4, &[], "in", wants));
    }
}

#[test]
fn a_node_deleted_again_before_it_was_whole_keeps_what_it_had() {
    let mut world = World::default();
    let node = |address: &str| {
        let addresses = match address {
            "" => json!([]),
            _ => json!([{"type": "InternalIP", "address": address}]),
        };
        guard(json!({"metadata": {"name": "n1"}, "spec": {}, "status": {"addresses": addresses}}))
    };
    let now = Instant::now();
    for event in [
        Event::Apply(node("192.0.2.1")),
        Event::Delete(node("192.0.2.1")),
        Event::Apply(node("")),
        Event::Delete(node("")),
    ] {
        world.node_event(event, now);
    }
    let nets: Vec<String> = world.reserved().iter().map(|r| r.net.to_string()).collect();
    assert_eq!(nets, ["192.0.2.1/32"]);
}
