//! What a peer may send: paths of one prefix, next hops, prefixes that are rejected.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::policy::{Action, Matches, Policy, Rule as PolicyRule, Set};
use crate::table::{PathStatus, Rejection};
use bgp::fsm::Down;

const FAMILY: Family = Family::IPV4_UNICAST;

/// Peer 2 has ADD-PATH and is external.
const PEER: usize = 2;

fn limited(change: impl FnOnce(&mut PeerConfig)) -> World {
    let mut world = World::new();
    let mut config = peer_config(PEER);
    change(&mut config);
    world.set_peer(PEER, config);
    world.apply(&Op::Up(PEER, PLAIN));
    world
}

/// Import policies that reject everything.
fn rejecting() -> Vec<Arc<Policy>> {
    let rules = vec![PolicyRule {
        name: "nothing".into(),
        matches: Matches::default(),
        set: Set::default(),
        action: Action::Reject,
    }];
    let name = "nothing".into();
    vec![Arc::new(Policy { name, rules })]
}

fn events(world: &mut World) -> Vec<RibEvent> {
    let of_limits = |event: &RibEvent| {
        matches!(
            event,
            RibEvent::PrefixLimit { .. } | RibEvent::PathRefused { .. }
        )
    };
    let events = world.rib.take_events();
    events.into_iter().filter(of_limits).collect()
}

fn refused(limit: u32, of: RefusedFor) -> RibEvent {
    RibEvent::PathRefused {
        peer: PeerId(PEER as u32),
        family: FAMILY,
        limit,
        of,
    }
}

#[test]
fn a_path_more_than_its_prefix_may_have_of_the_peer_is_not_taken_in_counted_and_told_once() {
    let mut world = limited(|config| config.max_paths = 2);
    let counts = |world: &World| {
        let counts = world.rib.counts(PeerId(PEER as u32), FAMILY);
        (counts.received, counts.paths_refused)
    };
    world.announce(PEER, &[(0, 1), (0, 2)], &plain_attributes(1));
    assert_eq!((counts(&world), events(&mut world)), ((2, 0), vec![]));
    world.announce(PEER, &[(0, 3), (1, 3), (0, 4)], &plain_attributes(1));
    let told = refused(2, RefusedFor::Paths("10.0.0.0/8".parse().unwrap()));
    assert_eq!((counts(&world), events(&mut world)), ((3, 2), vec![told]));
    // Another path of a known identifier takes the place of the one before.
    world.announce(PEER, &[(0, 2), (0, 3)], &plain_attributes(2));
    assert_eq!((counts(&world), events(&mut world)), ((3, 3), vec![]));
    world.apply(&Op::Withdraw(PEER, 0, 1));
    world.announce(PEER, &[(0, 3)], &plain_attributes(1));
    assert_eq!(counts(&world), (3, 3));
    world.check();
}

#[test]
fn a_peer_that_comes_back_may_number_its_paths_anew() {
    let kind = SessionKind {
        graceful: true,
        forwarding: true,
        ..PLAIN
    };
    let mut world = limited(|config| config.max_paths = 2);
    world.apply(&Op::Down(PEER, false));
    world.drain();
    world.apply(&Op::Up(PEER, kind));
    world.announce(PEER, &[(0, 1), (0, 2)], &plain_attributes(1));
    world.apply(&Op::Down(PEER, true));
    world.apply(&Op::Up(PEER, kind));
    world.announce(PEER, &[(0, 3), (0, 4), (0, 5)], &plain_attributes(1));
    let counts = world.rib.counts(PeerId(PEER as u32), FAMILY);
    assert_eq!(
        (counts.received, counts.stale, counts.paths_refused),
        (4, 2, 1)
    );
    world.apply(&Op::EndOfRib(PEER, false));
    world.check();
    assert_eq!(world.rib.counts(PeerId(PEER as u32), FAMILY).received, 2);
}

#[test]
fn what_an_earlier_session_left_does_not_count_towards_the_limits_of_the_next() {
    let kind = SessionKind {
        graceful: true,
        forwarding: true,
        ..PLAIN
    };
    for of in [LimitOf::Accepted, LimitOf::Received] {
        let mut world = limited(|config| match of {
            LimitOf::Accepted => config.max_prefixes = Some(2),
            LimitOf::Received => config.max_received = Some(2),
        });
        world.apply(&Op::Down(PEER, false));
        world.drain();
        world.apply(&Op::Up(PEER, kind));
        world.announce(PEER, &[(0, 1), (1, 1)], &plain_attributes(1));
        world.apply(&Op::EndOfRib(PEER, false));
        // It numbers its paths anew.
        for id in 2..4 {
            world.apply(&Op::Down(PEER, true));
            world.apply(&Op::Up(PEER, kind));
            world.announce(PEER, &[(0, id), (1, id)], &plain_attributes(1));
            assert_eq!(events(&mut world), [], "{id}");
        }
        world.announce(PEER, &[(2, 0)], &plain_attributes(1));
        assert_eq!(events(&mut world), [exceeded(2, of)]);
        world.check();
    }
}

/// It would be held Idle for it, and not come back within its restart time.
#[test]
fn a_lower_limit_is_not_exceeded_by_what_is_kept_of_a_peer_that_is_down() {
    let kind = SessionKind {
        graceful: true,
        forwarding: true,
        ..PLAIN
    };
    let mut world = limited(|_| {});
    world.apply(&Op::Down(PEER, false));
    world.drain();
    world.apply(&Op::Up(PEER, kind));
    world.announce(PEER, &[(0, 0), (1, 0)], &plain_attributes(1));
    world.apply(&Op::EndOfRib(PEER, false));
    world.apply(&Op::Down(PEER, true));
    let mut config = peer_config(PEER);
    config.max_prefixes = Some(1);
    world.set_peer(PEER, config);
    assert_eq!(events(&mut world), []);
    world.apply(&Op::Up(PEER, kind));
    world.announce(PEER, &[(0, 0)], &plain_attributes(1));
    assert_eq!(events(&mut world), []);
    world.announce(PEER, &[(1, 0)], &plain_attributes(1));
    assert_eq!(events(&mut world), [exceeded(1, LimitOf::Accepted)]);
    world.check();
}

#[test]
fn what_a_refresh_has_not_repeated_counts_as_what_the_peer_has_announced() {
    let mut world = limited(|config| config.max_prefixes = Some(2));
    world.announce(PEER, &[(0, 0), (1, 0)], &plain_attributes(1));
    let memory = |world: &World| world.rib.memory(PeerId(PEER as u32));
    let before = memory(&world);
    world.apply(&Op::RefreshBegins(PEER));
    world.announce(PEER, &[(0, 0)], &plain_attributes(1));
    assert_eq!((events(&mut world), memory(&world)), (vec![], before));
    world.announce(PEER, &[(2, 0)], &plain_attributes(1));
    assert_eq!(events(&mut world), [exceeded(2, LimitOf::Accepted)]);
    assert_eq!(memory(&world), before + 64, "and takes memory");
    world.check();
}

#[test]
fn a_path_whose_next_hop_is_one_too_many_is_rejected_with_that_reason_until_there_is_room() {
    let mut world = limited(|config| config.max_next_hops = 1);
    let status = |world: &World| {
        let view = world.rib.route("10.1.0.0/16".parse().unwrap()).unwrap();
        view.paths[0].status
    };
    world.announce(PEER, &[(0, 0)], &plain_attributes(1));
    world.announce(PEER, &[(1, 0)], &plain_attributes(2));
    assert_eq!(events(&mut world), [refused(1, RefusedFor::NextHops)]);
    assert_eq!(
        status(&world),
        PathStatus::Rejected(Rejection::NextHopLimit)
    );
    let counts = world.rib.counts(PeerId(PEER as u32), FAMILY);
    assert_eq!((counts.next_hops, counts.next_hops_refused), (1, 1));
    assert_eq!((counts.received, counts.accepted), (2, 1));
    world.apply(&Op::Withdraw(PEER, 0, 0));
    world.drain();
    assert!(matches!(status(&world), PathStatus::Best(_)));
    world.announce(PEER, &[(0, 0)], &plain_attributes(1));
    world.drain();
    // Another limit is applied to what was rejected.
    world.set_peer(PEER, peer_config(PEER));
    world.check();
    assert_eq!(world.rib.counts(PeerId(PEER as u32), FAMILY).accepted, 2);
}

/// Whether a peer has a path with a next hop left is not counted, as long as another peer has one.
#[test]
fn a_next_hop_that_only_others_bring_counts_for_a_peer_for_a_minute_at_most() {
    let mut world = limited(|_| {});
    world.apply(&Op::Limits(PEER, 256, 1));
    world.apply(&Op::Up(1, PLAIN));
    for number in [1, PEER] {
        world.announce(number, &[(0, 0)], &plain_attributes(1));
    }
    world.apply(&Op::Withdraw(PEER, 0, 0));
    world.announce(PEER, &[(1, 0)], &plain_attributes(2));
    world.drain();
    let counts = |world: &World| world.rib.counts(PeerId(PEER as u32), FAMILY);
    assert_eq!((counts(&world).accepted, counts(&world).next_hops), (0, 1));
    let begun = world.now;
    while counts(&world).accepted == 0 {
        world.now = world.rib.deadline().unwrap();
        assert!(world.now.duration_since(begun) <= Duration::from_secs(61));
        world.drain();
    }
    world.check();
    // The one that it has stays, whatever is refused beside it.
    world.announce(PEER, &[(0, 0), (2, 0)], &plain_attributes(3));
    for _ in 0..3 {
        world.apply(&Op::Pass(130));
        world.check();
        assert_eq!((counts(&world).accepted, counts(&world).received), (1, 3));
        let route = world.rib.route("10.1.0.0/16".parse().unwrap()).unwrap();
        assert!(matches!(route.paths[0].status, PathStatus::Best(_)));
    }
    // With what was refused goes the reason to look at all paths every minute.
    assert!(world.rib.deadline().is_some());
    for prefix in [0, 2] {
        world.apply(&Op::Withdraw(PEER, prefix, 0));
    }
    world.apply(&Op::Pass(130));
    world.drain();
    assert_eq!(world.rib.deadline(), None);
    assert_eq!((counts(&world).accepted, counts(&world).next_hops), (1, 1));
}

fn exceeded(limit: u32, of: LimitOf) -> RibEvent {
    RibEvent::PrefixLimit {
        peer: PeerId(PEER as u32),
        family: FAMILY,
        limit,
        of,
    }
}

#[test]
fn received_paths_count_though_all_are_rejected() {
    let mut world = limited(|config| {
        config.max_received = Some(2);
        config.max_prefixes = Some(1);
        config.import = rejecting();
    });
    let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
    world.announce(PEER, &nlri[..2], &plain_attributes(1));
    assert_eq!(events(&mut world), []);
    world.announce(PEER, &nlri[2..], &plain_attributes(1));
    let counts = world.rib.counts(PeerId(PEER as u32), FAMILY);
    assert_eq!((counts.received, counts.accepted), (4, 0));
    assert_eq!(events(&mut world), [exceeded(2, LimitOf::Received)]);
}

#[test]
fn what_another_policy_accepts_counts_as_what_is_announced() {
    let mut world = limited(|config| {
        config.max_prefixes = Some(2);
        config.import = rejecting();
    });
    let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
    world.announce(PEER, &nlri, &plain_attributes(1));
    assert_eq!(events(&mut world), []);
    let mut config = peer_config(PEER);
    config.max_prefixes = Some(2);
    world.set_peer(PEER, config);
    while world.poll(3) {}
    assert_eq!(events(&mut world), [exceeded(2, LimitOf::Accepted)]);
}

#[test]
fn memory_is_that_of_paths_and_of_the_sets_that_a_peer_brought_first() {
    let mut world = limited(|config| config.import = rejecting());
    world.rib.set_peer_memory(Some(1000));
    world.apply(&Op::Up(1, PLAIN));
    let memory = |world: &World, number| world.rib.memory(PeerId(number));
    let told = |world: &mut World| {
        let events = world.rib.take_events().into_iter();
        let of_memory = events.filter(|event| matches!(event, RibEvent::PeerMemory { .. }));
        of_memory.count()
    };
    world.announce(PEER, &[(0, 0)], &plain_attributes(1));
    let one = memory(&world, 2);
    assert!(one > 64, "{one}: a path and a set");
    world.announce(PEER, &[(1, 0), (2, 0)], &plain_attributes(1));
    assert_eq!(memory(&world, 2), one + 2 * 64, "the set is there once");
    let mut large = plain_attributes(1);
    large.path = (1..200).collect();
    world.announce(1, &[(0, 0)], &large);
    assert!(memory(&world, 1) > 800 && told(&mut world) == 0);
    large.path.push(7);
    world.announce(PEER, &[(3, 0)], &large);
    assert_eq!(told(&mut world), 1, "rejected or not");
    world.announce(PEER, &[(1, 0)], &large);
    assert_eq!(told(&mut world), 0, "once");
    world.apply(&Op::Down(PEER, false));
    world.drain();
    assert_eq!(memory(&world, 2), 0);
    world.apply(&Op::Up(PEER, PLAIN));
    world.announce(PEER, &[(0, 0), (1, 0)], &large);
    assert_eq!(told(&mut world), 1, "of another session");
}

/// How long it takes to hear, show and forget so many paths of one prefix, each of another neighbouring AS.
fn life_of_paths(count: u32) -> Duration {
    let mut world = World::new();
    // Reflects, and has ADD-PATH.
    let peer = 4;
    world.apply(&Op::Up(peer, PLAIN));
    let begin = Instant::now();
    for id in 0..count {
        let mut attributes = plain_attributes(1);
        attributes.path = vec![100 + id];
        world.announce_to_rib(peer, &[(0, id)], &attributes);
    }
    while world.poll(10_000) {}
    let view = world.rib.route("10.0.0.0/8".parse().unwrap());
    let shown = view.map_or(0, |view| view.paths.len());
    assert_eq!(shown, crate::DEFAULT_MAX_PATHS as usize);
    world
        .rib
        .session_down(PeerId(peer as u32), &Down::TransportFailed, world.now);
    while world.poll(10_000) {}
    begin.elapsed()
}

/// Eight times as many take eight times as long, and 64 times if each is compared with all others. What else runs on the machine
/// adds to it, so the best of some tries counts.
#[test]
fn paths_of_one_prefix_cost_in_proportion_to_their_number() {
    let ratio = |_| {
        let (few, many) = (life_of_paths(1_000), life_of_paths(8_000));
        many.as_secs_f64() / few.as_secs_f64()
    };
    let ratios: Vec<f64> = (0..5).map(ratio).collect();
    assert!(ratios.iter().any(|ratio| *ratio < 24.0), "{ratios:?}");
}

#[test]
fn few_prefixes_are_news_and_a_part_of_a_table_is_not() {
    let mut world = limited(|_| {});
    for (nlri, is_news) in [
        (&[(0, 1)][..], true),
        (&[(1, 1), (2, 1)], false),
        (&[(3, 1)], true),
    ] {
        world.drain();
        assert!(!world.rib.has_news(), "everything was advertised");
        world.announce(PEER, nlri, &plain_attributes(1));
        assert_eq!(world.rib.has_news(), is_news, "{nlri:?}");
        assert_eq!(world.rib.backlog(), nlri.len());
    }
    world.check();
}
