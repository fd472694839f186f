//! Claims about a Service whose address another has to lose first: it gets it afterwards, and says what it waits for
//! where that is no matter of a moment.

use super::*;

/// A Service that is no load balancer any more and has an address, and one that asks for it.
fn cache() -> ControllerCache {
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/24"]),
    );
    let mut loses = service("loses", 1, &["203.0.113.0"]);
    loses["spec"]["type"] = json!("ClusterIP");
    apply(&mut cache.services, loses);
    let mut asks = service("asks", 1, &[]);
    asks["metadata"]["annotations"] = json!({"routelet.dev/addresses": "203.0.113.0"});
    apply(&mut cache.services, asks);
    cache
}

fn round(cache: &ControllerCache, blocked: &BlockedServices) -> (Vec<Write>, usize) {
    let mut due = WorkQueue::default();
    due.extend(cache.services.keys().cloned());
    let allocation = allocate(&cache.address_state());
    let known = (cache, &allocation, blocked);
    let round = due.writes(known, now().0, usize::MAX, Some);
    (round.writes, round.waiting)
}

fn names(writes: &[Write]) -> Vec<&str> {
    writes.iter().map(|write| &*write.key.1).collect()
}

#[test]
fn who_waits_for_an_address_says_whom_for_if_it_cannot_be_released() {
    let mut cache = cache();
    let (writes, waiting) = round(&cache, &BlockedServices::new());
    assert_eq!((names(&writes), waiting), (vec!["loses"], 1));
    assert!(writes[0].moves && writes[0].waits.is_none());

    for (why, text) in [
        (
            BlockReason::LeftToAnother,
            "another controller writes its addresses",
        ),
        (
            BlockReason::Refused,
            "the API server rejects the change of its status",
        ),
    ] {
        let key = ("shop".to_owned(), "loses".to_owned());
        let blocked = BlockedServices::from([(key, why)]);
        let (writes, waiting) = round(&cache, &blocked);
        assert_eq!((names(&writes), waiting), (vec!["asks", "loses"], 1));
        let (write, status) = (&writes[0], &writes[0].patch["status"]);
        assert!(!write.moves && status["loadBalancer"].is_null());
        let condition = &status["conditions"][0];
        assert_eq!(condition["status"], "False");
        assert_eq!(condition["reason"], "WaitingForRelease");
        let message = condition["message"].as_str().unwrap();
        let begin = "203.0.113.0 is assigned once Service shop/loses has lost it, but ";
        assert!(
            message.starts_with(begin) && message.contains(text),
            "{message}"
        );
        assert_eq!(write.waits.as_ref().unwrap().message, message);
        // Once.
        let mut said = service("asks", 2, &[]);
        said["metadata"]["annotations"] = json!({"routelet.dev/addresses": "203.0.113.0"});
        said["status"]["conditions"] = status["conditions"].clone();
        let mut later = self::cache();
        apply(&mut later.services, said);
        let (writes, _) = round(&later, &blocked);
        assert_eq!(names(&writes), ["loses"]);
    }
    // It is lost: who waited has it.
    apply(&mut cache.services, service("loses", 2, &[]));
    let mut lost = service("loses", 3, &[]);
    lost["spec"]["type"] = json!("ClusterIP");
    apply(&mut cache.services, lost);
    let (writes, waiting) = round(&cache, &BlockedServices::new());
    assert_eq!((names(&writes), waiting), (vec!["asks"], 0));
    assert!(writes[0].moves);
}

#[test]
fn while_a_pool_is_not_valid_who_waits_says_which() {
    let mut cache = cache();
    apply(&mut cache.objects.pools, pool("typo", &["203.0.113.5/24"]));
    let (writes, waiting) = round(&cache, &BlockedServices::new());
    assert_eq!((names(&writes), waiting), (vec!["asks"], 1));
    let condition = &writes[0].patch["status"]["conditions"][0];
    assert_eq!(condition["reason"], "WaitingForRelease");
    let message = condition["message"].as_str().unwrap();
    assert!(
        message.contains("while an AddressPool is not valid: typo"),
        "{message}"
    );
}

#[test]
fn who_prefers_two_families_has_the_one_that_is_free_at_once() {
    let mut cache = known_world();
    let addresses = ["203.0.113.0/32", "2001:db8::1/128"];
    apply(&mut cache.objects.pools, pool("public", &addresses));
    let mut loses = service("loses", 1, &["203.0.113.0"]);
    loses["spec"]["type"] = json!("ClusterIP");
    apply(&mut cache.services, loses);
    let both = |version, addresses: &[&str]| {
        let mut both = service("both", version, addresses);
        both["spec"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
        both["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
        both
    };
    apply(&mut cache.services, both(1, &[]));
    let key = ("shop".to_owned(), "loses".to_owned());
    let blocked = BlockedServices::from([(key, BlockReason::LeftToAnother)]);
    let (writes, _) = round(&cache, &blocked);
    let status = &writes[0].patch["status"];
    assert_eq!(writes[0].key.1, "both");
    assert_eq!(
        status["loadBalancer"]["ingress"],
        json!([{"ip": "2001:db8::1"}])
    );
    let condition = &status["conditions"][0];
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("True"), &json!("Assigned"))
    );
    // It has it, and waits for the other.
    apply(&mut cache.services, both(2, &["2001:db8::1"]));
    let (writes, waiting) = round(&cache, &blocked);
    assert_eq!((names(&writes), waiting), (vec!["loses"], 1));
}
