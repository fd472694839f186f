//! Who is waited for at the start, though not configured one by one.

use rib::Expected::{Nobody, Perhaps, Returning};

use super::Adopted::{Count, Never, Unknown};
use super::*;

const CLIENTS: &str = "{range: 10.1.0.0/24, asn: internal, routeReflectorClient: true}";

fn peers(manifests: &str) -> Arc<Vec<PeerIntent>> {
    let router = ours("Router", "default", "{asn: 64512, routerID: 10.0.0.9}");
    intent(&(router + manifests)).peers.clone()
}

#[test]
fn adopted_routes_are_waited_for_where_their_peers_may_not_be_configured() {
    let (one, range) = (tor("tor", ""), racks(""));
    let both = one.clone() + &range;
    for (manifests, adopted, who) in [
        ("", Count(0), Nobody),
        ("", Count(7), Returning),
        ("", Never, Nobody),
        (&one, Count(0), Nobody),
        // Whoever is configured is waited for by name, and nobody else has announced them.
        (&one, Count(7), Nobody),
        (&one, Never, Nobody),
        (&range, Count(0), Perhaps),
        (&range, Count(7), Returning),
        (&range, Never, Perhaps),
        (&both, Count(7), Returning),
        (&both, Never, Perhaps),
        ("", Unknown, Returning),
        (&one, Unknown, Nobody),
        (&range, Unknown, Returning),
    ] {
        let now = Instant::now();
        let mut awaited = Awaited::new(now);
        let found = awaited.count(now, &peers(manifests), adopted);
        let expected = (who != Nobody).then_some((who, false));
        assert_eq!(found, expected, "{manifests} {adopted:?}");
        // Nothing new, and counted again while it matters.
        assert_eq!(awaited.count(now, &peers(manifests), adopted), None);
        assert_eq!(awaited.deadline().is_some(), who == Returning);
    }
    let now = Instant::now();
    let both = peers(&(range + &peer("nodes", CLIENTS)));
    let found = Awaited::new(now).count(now, &both, Count(7));
    assert_eq!(found, Some((Returning, true)));
}

#[test]
fn when_all_adopted_routes_were_announced_again_nobody_else_of_a_range_is_waited_for() {
    let (now, peers) = (Instant::now(), peers(&racks("")));
    let mut awaited = Awaited::new(now);
    for (adopted, expected) in [
        (Unknown, Some((Returning, false))),
        (Count(0), Some((Perhaps, false))),
        (Count(7), Some((Returning, false))),
        (Count(0), Some((Nobody, false))),
        (Count(0), None),
    ] {
        assert_eq!(awaited.count(now, &peers, adopted), expected, "{adopted:?}");
    }
}

#[test]
fn after_the_first_exchange_nothing_is_counted() {
    let (now, peers) = (Instant::now(), peers(&racks("")));
    let mut awaited = Awaited::new(now);
    awaited.count(now, &peers, Count(7));
    assert!(awaited.is_counted() && awaited.deadline().is_some());
    awaited.converged();
    assert_eq!(awaited.deadline(), None);
    // Until the RIB has heard that nobody is waited for.
    assert!(awaited.is_counted());
    awaited.count(now, &peers, Count(0));
    assert!(!awaited.is_counted());
}
