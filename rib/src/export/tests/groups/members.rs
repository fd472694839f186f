//! Members that join, move to another group, ask for a refresh, or do not read.

use super::*;

#[test]
fn what_the_only_member_told_us_is_passed_by_until_another_joins() {
    let mut world = world(1);
    sent(&mut world);
    learn_many(&mut world, 500, 0);
    world.flush_all();
    assert_eq!(counts(&mut world), []);
    let advertised = |world: &World, peer| {
        let count = |family| world.groups.advertised_count(PeerId(peer), family);
        Family::ALL.map(count)
    };
    assert_eq!(advertised(&world, 0), [0, 0]);
    world.up(
        1,
        &config(PeerKind::External),
        &session(PeerKind::External, 2),
    );
    world.flush_all();
    assert_eq!(world.table(1).len(), 500);
    assert_eq!(
        (advertised(&world, 0), advertised(&world, 1)),
        ([0, 0], [500, 0])
    );
    assert_eq!(world.receiver(1).end_of_rib, Family::ALL);
    assert_eq!(world.table(0).len(), 0);
    // The other one goes, and something comes from elsewhere.
    world.down(1);
    learn(&mut world, "10.0.7.0/24", 100, |_| {});
    world.flush_all();
    assert_eq!(world.table(0).len(), 1);
    learn(&mut world, "10.0.7.0/24", 0, |_| {});
    world.flush_all();
    assert_eq!(world.table(0).len(), 0);
}

#[test]
fn who_moves_to_a_group_that_passed_routes_by_loses_none_of_them_for_a_moment() {
    let mut world = world(3);
    let alone = rejecting("10.0.7.0/24");
    world.groups.configure(PeerId(2), &alone);
    learn_many(&mut world, 100, 2);
    learn(&mut world, "192.0.2.0/24", 100, |_| {});
    learn(&mut world, "198.51.100.0/24", 1, |_| {});
    world.flush_all();
    let sizes = |world: &World| [0, 1, 2].map(|peer| world.table(peer).len());
    assert_eq!(sizes(&world), [102, 101, 2]);
    sent(&mut world);
    world.groups.configure(PeerId(1), &alone);
    world.flush_all();
    assert_eq!(counts(&mut world), [(1, 1)], "the withdrawal");
    assert_eq!(sizes(&world), [102, 100, 2]);
    assert_eq!([0, 1, 2].map(|peer| world.receiver(peer).lost), [0, 1, 0]);
    assert_eq!(world.groups.group_count(), 2);
}

#[test]
fn who_joins_late_gets_a_dump_and_the_others_hear_nothing_of_it() {
    let mut world = world(1);
    learn_many(&mut world, 500, 100);
    world.flush_all();
    sent(&mut world);
    for peer in [1, 2] {
        world.up(
            peer,
            &config(PeerKind::External),
            &session(PeerKind::External, peer as u8 + 1),
        );
    }
    world.flush_all();
    let sent = sent(&mut world);
    assert_eq!(sent.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((world.table(1).len(), world.table(2).len()), (500, 500));
    assert_eq!(
        sent[&1][0].as_ptr(),
        sent[&2][0].as_ptr(),
        "even dumps are shared"
    );
    assert_eq!(world.receiver(2).end_of_rib, Family::ALL);
}

#[test]
fn rfc7313_4_a_refresh_goes_to_the_peer_that_asked_between_its_borders() {
    let mut world = world(1);
    let mut enhanced = session(PeerKind::External, 2);
    let mut negotiated = Negotiated::clone(&enhanced.negotiated);
    negotiated.enhanced_route_refresh = true;
    enhanced.negotiated = Arc::new(negotiated);
    world.up(1, &config(PeerKind::External), &enhanced);
    learn_many(&mut world, 10, 100);
    world.flush_all();
    sent(&mut world);
    // As if the peer had lost one and kept one that is gone.
    world.receiver(1).table.remove(&net("10.0.3.0/24"));
    let kept = world.receiver(1).table.values().next().unwrap().clone();
    world.receiver(1).table.insert(net("10.9.9.0/24"), kept);
    world.groups.refresh(PeerId(1), Family::IPV4_UNICAST);
    world.flush_all();
    assert_eq!(counts(&mut world), [(1, 3)]);
    assert_eq!(world.receiver(1).refreshes, 1);
    assert_eq!(world.table(1).len(), 10);
    assert!(world.table(1).contains(&net("10.0.3.0/24")));
    // Without RFC 7313 the routes come alone.
    world.groups.refresh(PeerId(0), Family::IPV4_UNICAST);
    world.flush_all();
    assert_eq!(counts(&mut world), [(0, 1)]);
}

#[test]
fn a_slow_peer_holds_nobody_up_queues_nothing_and_hears_the_latest_only() {
    let mut world = world(2);
    learn_many(&mut world, 50, 100);
    world.flush_all();
    sent(&mut world);
    world.receiver(1).mark = 0;
    for round in 0..100 {
        for number in 0..50 {
            let community = Community(round);
            learn(&mut world, &format!("10.0.{number}.0/24"), 100, |a| {
                a.communities = vec![community];
            });
        }
        world.flush_all();
    }
    world.set(net("10.0.49.0/24"), None);
    world.flush_all();
    assert_eq!(counts(&mut world), [(0, 101)]);
    assert_eq!(
        world.rib.empty_entries(),
        1,
        "the slow peer has to hear of it"
    );
    world.receiver(1).mark = 1000;
    assert!(world.receiver(1).drain());
    world.groups.writable(PeerId(1));
    world.flush_all();
    assert_eq!(
        counts(&mut world),
        [(1, 2)],
        "one withdrawal, one announcement"
    );
    assert_eq!(world.table(1), world.table(0));
    assert_eq!(world.rib.empty_entries(), 0);
    learn(&mut world, "10.1.0.0/24", 100, |_| {});
    world.flush_all();
    assert_eq!(counts(&mut world), [(0, 1), (1, 1)], "in the stream again");
}

#[test]
fn a_slow_peer_that_goes_lets_slots_and_memory_go() {
    let mut world = world(2);
    learn_many(&mut world, 1000, 100);
    world.flush_all();
    world.receiver(1).mark = 0;
    for number in 0..1000u32 {
        world.set(
            net(&format!("10.{}.{}.0/24", number / 256, number % 256)),
            None,
        );
    }
    world.flush_all();
    assert_eq!(world.rib.empty_entries(), 1000);
    world.down(1);
    world.flush_all();
    assert_eq!(world.rib.empty_entries(), 0);
    world.down(0);
    assert_eq!(world.groups.group_count(), 0);
}
