//! What is written into the statuses of Services, in which order, and what an answer to it means.

use std::sync::Arc;

use super::super::addresses;
use super::*;

#[test]
fn a_patch_holds_the_version_that_was_decided_upon_and_leaves_others_entries() {
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    let mut one = service("a", 7, &[]);
    one["status"]["loadBalancer"]["ingress"] =
        json!([{"ip": "198.51.100.1", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}]);
    apply(&mut cache.services, one);
    let writes = writes(&cache);
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

/// The decisions on other Services count on what is written. A webhook, say, may make something else of it.
#[test]
fn an_answer_with_other_addresses_than_were_written_is_noticed() {
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    apply(&mut cache.services, service("a", 1, &["198.51.100.1"]));
    let allocation = allocate(&cache.address_state());
    let key = ("shop".to_owned(), "a".to_owned());
    let before = Arc::clone(&cache.services.get(&key).unwrap().request);
    let decision = &allocation.services[&before.key];
    let mut differs = |addresses: &[&str], decided| {
        apply(&mut cache.services, service("a", 2, addresses));
        addresses::is_otherwise(&before, &cache.services.get(&key).unwrap().request, decided)
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
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    // Two are renumbered: what they have is of a pool no more.
    for (name, address) in [
        ("a", "203.0.113.0"),
        ("b", "198.51.100.2"),
        ("c", "198.51.100.3"),
    ] {
        apply(&mut cache.services, service(name, 1, &[address]));
    }
    apply(&mut cache.services, service("d", 1, &[]));
    let allocation = allocate(&cache.address_state());
    let mut due = WorkQueue::default();
    due.extend(cache.services.keys().cloned());
    let mut next = |cache: &ControllerCache, most: usize, held: &str| {
        let admit = |write: Write| (write.key.1 != held).then_some(write);
        let known = (cache, &allocation, &BlockedServices::new());
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
    assert_eq!(names(&next(&cache, 2, "")), moves(&["b", "c"]));
    // One whose write failed is left alone for a while, and the others are not kept waiting.
    let written = next(&cache, 2, "b");
    assert_eq!(names(&written), moves(&["c", "d"]));
    for (write, address) in written.iter().zip(["203.0.113.2", "203.0.113.3"]) {
        let mut object = service(&write.key.1, 2, &[address]);
        object["status"]["conditions"] = write.patch["status"]["conditions"].clone();
        apply(&mut cache.services, object);
    }
    let mut left = moves(&["b"]);
    left.push(("a".to_owned(), false));
    assert_eq!(names(&next(&cache, 9, "")), left);
    let is_due = |name: &str| due.contains(&("shop".to_owned(), name.to_owned()));
    assert_eq!(["a", "b", "c", "d"].map(is_due), [true, true, false, false]);
}

#[test]
fn an_address_is_given_on_when_its_last_owner_has_lost_it() {
    let mut cache = known_world();
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
    apply(&mut cache.objects.pools, public);
    let a = |version, ip: &[&str], label| labelled("a", version, ip, label, "");
    apply(&mut cache.services, a(1, &["203.0.113.0"], "out"));
    apply(
        &mut cache.services,
        labelled("b", 1, &[], "in", "203.0.113.0"),
    );
    assert_eq!(written(&cache), [("a".to_owned(), json!([]))]);
    // As long as that cannot be written, too.
    assert_eq!(written(&cache), [("a".to_owned(), json!([]))]);
    apply(&mut cache.services, a(2, &[], "out"));
    let given = [("b".to_owned(), json!([{"ip": "203.0.113.0"}]))];
    assert_eq!(written(&cache), given);
    // Two that change places: both let go first.
    for (name, has, wants) in [
        ("a", "203.0.113.0", "203.0.113.1"),
        ("b", "203.0.113.1", "203.0.113.0"),
    ] {
        apply(&mut cache.services, labelled(name, 3, &[has], "in", wants));
    }
    let let_go = written(&cache);
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
        apply(&mut cache.services, labelled(&name, 4, &[], "in", wants));
    }
}
