//! Addresses of Nodes and peers: no Service gets them, and a Node that has none for a moment keeps its own.

use super::*;

/// A Node is written every few minutes; the allocation is recomputed only when an address differs.
#[test]
fn what_nodes_and_peers_have_is_not_handed_out_and_looked_at_again_only_when_it_differs() {
    let mut cache = known_world();
    let mut after = |event: &mut dyn FnMut(&mut ControllerCache)| {
        cache.changes = Changes::default();
        event(&mut cache);
        (cache.changes.is_any(), cache.address_state().reserved.len())
    };
    let mut node_is = |address: &'static str, heartbeat| {
        after(&mut |cache| {
            cache.node_event(
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
            &mut |cache| cache.object_event::<routelet_api::Peer>(Event::Apply(guard(peer("tor"))))
        ),
        (true, 3)
    );
    assert_eq!(
        after(
            &mut |cache| cache.object_event::<routelet_api::Peer>(Event::Apply(guard(peer("tor"))))
        ),
        (false, 3)
    );
    // A list in which the Node is not.
    let mut unlisted = |event: fn() -> Event<Received<_>>| {
        after(&mut |cache| cache.node_event(event(), Instant::now()))
    };
    assert_eq!(unlisted(|| Event::Init), (false, 3));
    // It keeps what it had for a while: its machine may go on.
    assert_eq!(unlisted(|| Event::InitDone), (true, 3));
    let now = Instant::now();
    let mut later =
        |seconds| after(&mut |cache| cache.forget_departed(now + Duration::from_secs(seconds)));
    assert_eq!(later(290), (false, 3));
    assert_eq!(later(300), (true, 1));
}

#[test]
fn a_pool_with_what_is_somebodys_says_so_and_names_who_keeps_it() {
    let mut cache = known_world();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    apply(&mut cache.services, service("a", 1, &["203.0.113.1"]));
    apply(&mut cache.services, service("b", 1, &[]));
    cache.node_event(
        Event::Apply(guard(node("n1", "203.0.113.1", 1))),
        Instant::now(),
    );
    cache.node_event(
        Event::Apply(guard(node("n2", "203.0.113.0", 1))),
        Instant::now(),
    );
    // What it has it keeps, and nobody gets the other Node's.
    let names: Vec<(String, Value)> = written(&cache);
    assert_eq!(names, [("b".to_owned(), json!([{"ip": "203.0.113.2"}]))]);
    let found = statuses(&cache, &allocate(&cache.address_state()), now());
    let accepted = &found.pools[0].1.conditions;
    assert_eq!(reason(accepted, "Accepted"), ("True", "Reserved"));
    let accepted = accepted.iter().find(|c| c.type_ == "Accepted").unwrap();
    assert_eq!(
        accepted.message,
        "not assigned: 203.0.113.0 is an address of Node n2; 203.0.113.1 is an address of Node n1; Services that keep such \
         an address, which is not advertised: shop/a (203.0.113.1)"
    );
}

#[test]
fn a_node_without_addresses_for_a_moment_keeps_them_though_it_has_pod_cidrs() {
    let mut cache = ControllerCache::default();
    let node = |addresses: Value, cidrs: Value| {
        json!({
            "metadata": {"name": "n1"}, "spec": {"podCIDRs": cidrs}, "status": {"addresses": addresses},
        })
    };
    let mut comes = |addresses: Value, cidrs: Value| {
        cache.node_event(Event::Apply(guard(node(addresses, cidrs))), Instant::now());
        let mut nets: Vec<String> = cache.reserved().iter().map(|r| r.net.to_string()).collect();
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
fn a_node_deleted_again_before_it_was_whole_keeps_what_it_had() {
    let mut cache = ControllerCache::default();
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
        cache.node_event(event, now);
    }
    let nets: Vec<String> = cache.reserved().iter().map(|r| r.net.to_string()).collect();
    assert_eq!(nets, ["192.0.2.1/32"]);
}
