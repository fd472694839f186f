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
