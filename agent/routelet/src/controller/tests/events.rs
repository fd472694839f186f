//! Events: a change is recorded once.

use super::super::events::assigned;
use super::*;

#[test]
fn changes_of_sessions_are_told_once_and_none_because_a_controller_starts() {
    let mut cache = known_world();
    let mut known = Observed::default();
    apply(&mut cache.objects.peers, peer("tor"));
    apply(
        &mut cache.states,
        state("n1", 1, &[("tor", "Active"), ("gone", "Active")]),
    );
    assert!(known.objects(&cache, Instant::now()).is_empty());
    apply(
        &mut cache.states,
        state("n1", 2, &[("tor", "Established"), ("gone", "Established")]),
    );
    // No Event is recorded for an object that does not exist.
    let expected = ["SessionEstablished tor: n1: 192.0.2.1"];
    assert_eq!(told(&known.objects(&cache, Instant::now())), expected);
    assert!(known.objects(&cache, Instant::now()).is_empty());
    apply(&mut cache.states, state("n1", 3, &[("tor", "Idle")]));
    let news = known.objects(&cache, Instant::now());
    assert_eq!(
        told(&news),
        ["SessionLost tor: n1: 192.0.2.1 is Idle: refused"]
    );
    assert!(news[0].warning);
    assert_eq!(news[0].regarding.uid.as_deref(), Some("tor"));
    let mut invalid = peer("tor");
    invalid["spec"]["asn"] = json!(65535);
    apply(&mut cache.objects.peers, invalid);
    let news = told(&known.objects(&cache, Instant::now()));
    assert!(
        news.len() == 1 && news[0].starts_with("NotAccepted tor: spec.asn"),
        "{news:?}"
    );
    assert!(known.objects(&cache, Instant::now()).is_empty());
}

#[test]
fn what_a_service_misses_is_told_once_and_what_it_was_given_when_it_is_written() {
    let mut cache = known_world();
    let mut known = Observed::default();
    let look = |cache: &ControllerCache, known: &mut Observed| told(&refusals(known, cache));
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.1/32"]),
    );
    apply(&mut cache.services, service("a", 1, &["203.0.113.1"]));
    assert!(look(&cache, &mut known).is_empty());
    apply(&mut cache.services, service("b", 1, &[]));
    // A replica that starts finds what another one has reported.
    assert!(look(&cache, &mut Observed::default()).is_empty());
    let first = look(&cache, &mut known);
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(
        first[0].starts_with("AddressNotAssigned b: no IPv4 address is free"),
        "{first:?}"
    );
    assert!(look(&cache, &mut known).is_empty());
    cache
        .services
        .event(Event::Delete(guard(service("a", 1, &[]))));
    assert!(look(&cache, &mut known).is_empty());

    let given_to = |cache: &ControllerCache, name: &str| {
        let served = cache
            .services
            .get(&("shop".to_owned(), name.to_owned()))
            .unwrap();
        let allocation = allocate(&cache.address_state());
        let news = assigned(served, &allocation.services[&served.request.key]);
        assert_eq!(news.regarding.namespace.as_deref(), Some("shop"));
        told(&[news])
    };
    let expected = ["AddressAssigned b: 203.0.113.1 of AddressPool public"];
    assert_eq!(given_to(&cache, "b"), expected);
    let mut other = service("b", 3, &["203.0.113.1"]);
    other["spec"]["type"] = json!("ClusterIP");
    apply(&mut cache.services, other);
    let expected = ["AddressReleased b: its addresses were released"];
    assert_eq!(given_to(&cache, "b"), expected);
}
