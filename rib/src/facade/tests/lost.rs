//! Ways out that are lost with their peers: told before any prefix is looked at.
#![allow(clippy::unwrap_used)]

use super::*;

type Ways = Vec<(IpAddr, u32)>;

/// What was told of ways out since the last time, lost and regained.
fn told(world: &mut World) -> (Ways, Ways) {
    let (mut lost, mut regained) = (Vec::new(), Vec::new());
    for event in world.rib.take_events() {
        match event {
            RibEvent::NextHopsLost(ways) => lost.extend(ways),
            RibEvent::NextHopsRegained(ways) => regained.extend(ways),
            _ => {}
        }
    }
    (lost, regained)
}

/// Two external peers on other links announce the same prefixes, each over a next hop of its own or the same one.
fn two_peers(next_hops: [u8; 2], kind: SessionKind) -> World {
    let mut world = World::new();
    for (number, next_hop) in [1, 2].into_iter().zip(next_hops) {
        world.apply(&Op::Up(number, kind));
        let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
        world.announce(number, &nlri, &plain_attributes(next_hop));
    }
    world.drain();
    world
}

fn over(world: &World, next_hop: u8) -> (IpAddr, u32) {
    let next_hop = plain_attributes(next_hop).next_hop();
    let resolved = Resolver(Arc::clone(&world.oracle.reachable)).resolve(&next_hop, None);
    let resolved = resolved.unwrap();
    (resolved.gateway, resolved.ifindex)
}

#[test]
fn a_lost_peers_way_out_is_told_before_any_prefix_is_looked_at_and_regained_when_none_is_left() {
    let mut world = two_peers([1, 2], PLAIN);
    let way = over(&world, 1);
    world.apply(&Op::Down(1, false));
    assert_eq!(told(&mut world), (vec![way], vec![]));
    while world.poll(3) {
        assert_eq!(told(&mut world), (vec![], vec![]));
    }
    while world.rib.take_fib_changes(2, |_, _| {}) == 2 {
        assert_eq!(told(&mut world), (vec![], vec![]));
    }
    assert_eq!(told(&mut world), (vec![], vec![way]));
}

#[test]
fn a_way_out_that_is_announced_again_while_the_old_paths_are_removed_is_regained_at_once() {
    let mut world = two_peers([1, 2], PLAIN);
    let way = over(&world, 1);
    world.apply(&Op::Down(1, false));
    world.apply(&Op::Up(1, PLAIN));
    assert_eq!(told(&mut world), (vec![way], vec![]));
    world.announce(1, &[(0, 0)], &plain_attributes(1));
    assert_eq!(told(&mut world), (vec![], vec![way]));
}

#[test]
fn a_way_out_that_another_peer_brings_too_or_that_is_kept_for_a_restart_is_not_lost() {
    let mut world = two_peers([1, 1], PLAIN);
    world.apply(&Op::Down(1, false));
    assert_eq!(told(&mut world), (vec![], vec![]));

    let graceful = SessionKind {
        graceful: true,
        restarting: false,
        forwarding: true,
        ..PLAIN
    };
    let mut world = two_peers([1, 2], graceful);
    let way = over(&world, 1);
    world.apply(&Op::Down(1, true));
    assert_eq!(told(&mut world), (vec![], vec![]));
    world.now += Duration::from_secs(31);
    world.poll(1);
    assert_eq!(told(&mut world).0, vec![way], "the restart time is over");
}

/// The kind of a session whose routes are retained, for longer than its restart time or not.
fn retained(long_lived: bool) -> SessionKind {
    SessionKind {
        graceful: true,
        forwarding: true,
        long_lived,
        ..PLAIN
    }
}

#[test]
fn rfc_5882_4_3_the_next_hops_of_a_peer_whose_path_fails_in_its_restart_are_lost_at_once() {
    for long_lived in [false, true] {
        let mut world = two_peers([1, 2], retained(long_lived));
        let way = over(&world, 1);
        world.apply(&Op::Down(1, true));
        if long_lived {
            world.apply(&Op::Pass(31));
        }
        assert_eq!(told(&mut world), (vec![], vec![]));
        world.apply(&Op::EndRetention(1));
        // Before any prefix is looked at.
        assert_eq!(told(&mut world), (vec![way], vec![]));
        // A second time, and for a peer that is not known, nothing.
        world.apply(&Op::EndRetention(1));
        world.apply(&Op::EndRetention(5));
        assert_eq!(told(&mut world), (vec![], vec![]));
    }
}

#[test]
fn rfc_5882_4_3_what_is_retained_of_a_peer_goes_when_its_path_fails_and_not_in_a_session() {
    for long_lived in [false, true] {
        let mut world = two_peers([1, 2], retained(long_lived));
        let paths = |world: &World| {
            let held = |prefix| world.rib.route(prefix).map_or(0, |route| route.paths.len());
            prefixes()[..4]
                .iter()
                .map(|prefix| held(*prefix))
                .sum::<usize>()
        };
        world.apply(&Op::EndRetention(1));
        world.check();
        assert_eq!(paths(&world), 8);
        world.apply(&Op::Down(1, true));
        if long_lived {
            world.apply(&Op::Pass(31));
        }
        world.check();
        assert_eq!(paths(&world), 8);
        world.apply(&Op::EndRetention(1));
        world.check();
        assert_eq!(paths(&world), 4);
    }
}
