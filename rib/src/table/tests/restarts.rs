//! What becomes of the paths of a session that is lost, again and again and in the middle of a refresh, with graceful
//! restart negotiated. The oracle is asked each time.

use super::*;

/// Restart time 30 s, long-lived stale time 100 s.
const GRACEFUL: SessionKind = SessionKind {
    graceful: true,
    restarting: false,
    forwarding: true,
    long_lived: true,
    ipv6: true,
};

/// The peers that have a path for a prefix, and whether it is stale.
fn held(world: &World, place: usize) -> Vec<(u32, bool)> {
    let route = world.rib.route(prefixes()[place]);
    let paths = route.into_iter().flat_map(|route| route.paths);
    let held = paths.map(|path| (path.peer.unwrap().0, path.stale));
    held.collect()
}

fn end_of_rib(world: &mut World, number: usize) {
    for ipv6 in [false, true] {
        world.apply(&Op::EndOfRib(number, ipv6));
    }
}

#[test]
fn rfc_7313_4_what_a_refresh_has_not_repeated_outlives_a_session_that_is_lost_within_it() {
    let mut world = World::new();
    world.apply(&Op::Up(1, GRACEFUL));
    world.announce(1, &[(A, 0), (B, 0), (OTHER, 0)], &plain_attributes(1));
    end_of_rib(&mut world, 1);
    world.check();
    world.apply(&Op::RefreshBegins(1));
    world.announce(1, &[(A, 0)], &plain_attributes(1));
    world.check();
    world.apply(&Op::Down(1, true));
    world.check();
    for place in [A, B, OTHER] {
        assert_eq!(held(&world, place), [(1, true)], "{place}");
    }
    assert_eq!(world.fib.as_ref().unwrap().len(), 3);
    // The session is back: End-of-RIB decides, as always.
    world.apply(&Op::Up(1, GRACEFUL));
    world.announce(1, &[(B, 0)], &plain_attributes(1));
    world.check();
    end_of_rib(&mut world, 1);
    world.check();
    assert_eq!(world.fib.as_ref().unwrap().len(), 1);
}

#[test]
fn rfc_4724_4_2_what_a_restart_left_stale_goes_when_the_next_session_is_lost_a_refresh_or_not() {
    let mut world = World::new();
    world.apply(&Op::Up(1, GRACEFUL));
    world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
    world.apply(&Op::Down(1, true));
    world.apply(&Op::Up(1, GRACEFUL));
    world.announce(1, &[(A, 0)], &plain_attributes(1));
    // No refresh begins before the first End-of-RIB.
    world.apply(&Op::RefreshBegins(1));
    world.apply(&Op::Down(1, true));
    world.check();
    assert_eq!(held(&world, A), [(1, true)]);
    assert_eq!(held(&world, B), []);
}

#[test]
fn rfc_7313_4_a_refresh_within_the_first_routes_ends_nothing_of_a_restart() {
    let mut world = World::new();
    world.apply(&Op::Up(1, GRACEFUL));
    world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
    world.apply(&Op::Down(1, true));
    world.apply(&Op::Up(1, GRACEFUL));
    // It has not got all its routes back, and repeats those that it has.
    for op in [Op::RefreshBegins(1), Op::RefreshEnds(1)] {
        world.announce(1, &[(A, 0)], &plain_attributes(1));
        world.apply(&op);
        world.check();
        assert_eq!(held(&world, B), [(1, true)], "{op:?}");
    }
    end_of_rib(&mut world, 1);
    world.check();
    assert_eq!(
        (held(&world, A), held(&world, B)),
        (vec![(1, false)], vec![])
    );
}

#[test]
fn rfc_7313_4_no_refresh_begins_before_the_first_end_of_rib_of_a_peer_that_sends_one() {
    for (kind, is_stale) in [(GRACEFUL, false), (PLAIN, true)] {
        let mut world = World::new();
        world.apply(&Op::Up(1, kind));
        world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
        world.apply(&Op::RefreshBegins(1));
        world.announce(1, &[(A, 0)], &plain_attributes(1));
        // It is not the end of a refresh, whatever it is of a peer without graceful restart.
        end_of_rib(&mut world, 1);
        world.check();
        assert_eq!(held(&world, A), [(1, false)]);
        assert_eq!(held(&world, B), [(1, is_stale)]);
        world.apply(&Op::RefreshEnds(1));
        world.check();
        assert_eq!(held(&world, B).len(), usize::from(!is_stale));
    }
}

/// Of a table that is large, so that walks take long.
#[test]
fn a_peer_that_begins_and_ends_refreshes_faster_than_walks_takes_up_a_bounded_number_of_generations()
 {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    for refresh in 0..1000 {
        world.apply(&Op::RefreshBegins(1));
        let place = if refresh % 2 == 0 { A } else { B };
        world.announce(1, &[(place, 0)], &plain_attributes(1));
        world.apply(&Op::RefreshEnds(1));
    }
    let generations = world.rib.generations();
    assert!(generations < 24, "{generations}");
    world.check();
    // Once they are removed, refreshes begin and end as always.
    world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
    world.apply(&Op::RefreshBegins(1));
    world.announce(1, &[(A, 0)], &plain_attributes(1));
    world.apply(&Op::RefreshEnds(1));
    world.check();
    assert_eq!(
        (held(&world, A), held(&world, B)),
        (vec![(1, false)], vec![])
    );
}

#[test]
fn however_often_a_peer_restarts_before_a_walk_ends_its_last_paths_are_kept() {
    let mut world = World::new();
    for restarts in 1..=20 {
        world.apply(&Op::Up(1, GRACEFUL));
        world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
        if restarts % 3 == 0 {
            end_of_rib(&mut world, 1);
            world.apply(&Op::RefreshBegins(1));
            world.announce(1, &[(A, 0)], &plain_attributes(1));
            world.apply(&Op::RefreshEnds(1));
            world.announce(1, &[(B, 0)], &plain_attributes(1));
        }
        world.apply(&Op::Down(1, true));
        let counts = world
            .rib
            .counts(PeerId(1), bgp::types::Family::IPV4_UNICAST);
        assert_eq!(
            (counts.received, counts.stale),
            (2, 2),
            "{restarts} restarts without a step of a walk"
        );
    }
    world.check();
    for place in [A, B] {
        assert_eq!(held(&world, place), [(1, true)]);
    }
}

#[test]
fn rfc_9494_long_lived_stale_paths_are_kept_no_longer_than_the_operator_allows() {
    // The peer asks for 100 s. Before, while and after the restart time of 30 s the limit is this; the paths go then.
    for (before, restarting, stale, gone_after) in [
        (86_400, None, None, 130),
        (20, None, None, 50),
        (86_400, Some(20), None, 50),
        (86_400, None, Some(20), 50),
        (20, None, Some(60), 90),
        (20, None, Some(86_400), 130),
    ] {
        let mut world = World::new();
        world.apply(&Op::LongLivedMax(1, before));
        world.apply(&Op::Up(1, GRACEFUL));
        world.announce(1, &[(A, 0)], &plain_attributes(1));
        world.apply(&Op::Down(1, true));
        for second in 1..=gone_after {
            match second {
                10 => restarting.map(|most| world.apply(&Op::LongLivedMax(1, most))),
                40 => stale.map(|most| world.apply(&Op::LongLivedMax(1, most))),
                _ => None,
            };
            assert_eq!(held(&world, A), [(1, true)], "{second} of {gone_after} s");
            world.apply(&Op::Pass(1));
            world.drain();
        }
        world.check();
        assert_eq!(held(&world, A), [], "{gone_after} s");
    }
}
