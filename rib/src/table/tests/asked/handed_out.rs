//! What is handed to the FIB again, and what a walk does.

use super::*;

#[test]
fn a_fib_that_begins_again_is_handed_the_prefixes_that_it_should_hold_and_no_others() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    world.announce(1, &[(A, 0), (4, 0)], &plain_attributes(1));
    world.announce(1, &[(B, 0), (5, 0)], &rejected());
    settled(&mut world);
    let held = BTreeSet::from([(prefixes()[A], true), (prefixes()[4], true)]);
    world.rib.set_fib(true);
    assert_eq!(handed_out(&mut world), BTreeSet::new(), "it had begun");
    world.rib.set_fib(false);
    // What changes meanwhile is not noted.
    world.announce(1, &[(OTHER, 0)], &plain_attributes(1));
    assert_eq!(handed_out(&mut world), BTreeSet::new());
    world.apply(&Op::Withdraw(1, OTHER, 0));
    world.rib.set_fib(true);
    while world.poll(10) {}
    assert_eq!(handed_out(&mut world), held);
}

#[test]
fn a_fib_that_begins_again_or_ends_is_handed_or_spared_some_entries_at_a_time() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    let all = [(0, 0), (1, 0), (2, 0), (3, 0)];
    world.announce(1, &all, &plain_attributes(1));
    settled(&mut world);
    world.rib.set_fib(false);
    world.rib.set_fib(true);
    let mut handed = BTreeSet::new();
    for _ in 0..all.len() {
        assert_eq!(handed_out(&mut world), BTreeSet::new(), "nobody looked yet");
        world.poll(1);
        let one = handed_out(&mut world);
        assert_eq!(one.len(), 1);
        handed.extend(one);
    }
    assert_eq!(handed.len(), all.len());
    while world.poll(10) {}
    assert_eq!(handed_out(&mut world), BTreeSet::new());
    // What was queued when it ended is forgotten, without being told.
    world.announce(1, &all, &plain_attributes(2));
    world.rib.set_fib(false);
    let mut take = || {
        world
            .rib
            .take_fib_changes(3, |prefix, _| panic!("{prefix} was told"))
    };
    assert_eq!([take(), take(), take()], [3, 1, 0]);
}

#[test]
fn a_walk_hands_out_again_only_what_is_forwarded_otherwise() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    world.announce(1, &[(A, 0)], &plain_attributes(1));
    world.announce(1, &[(B, 0)], &plain_attributes(2));
    world.apply(&Op::Originate(vec![(OTHER, 0)]));
    settled(&mut world);
    // Policies that change attributes, or nothing, move no packet.
    for policy in [4, 0] {
        world.apply(&Op::Import(1, policy));
        assert!(world.poll(0), "there is something to do");
        while world.poll(10) {}
        assert_eq!(handed_out(&mut world), BTreeSet::new());
    }
    // The way to one of two next hops costs more, which is no reason to move anything, then leads elsewhere, then
    // nowhere.
    for (changed, expected) in [
        (vec![(1, 0, false), (2, 0, true)], Some((A, true))),
        (vec![(2, 0, true)], Some((A, false))),
        (vec![(2, 0, true)], None),
        (vec![(1, 0, true), (2, 0, true)], Some((A, true))),
        (vec![(1, 0, true), (2, 0, false)], Some((B, true))),
    ] {
        world.apply(&Op::NextHops(changed.clone()));
        while world.poll(10) {}
        let expected = expected.map(|(place, there)| (prefixes()[place], there));
        assert_eq!(
            handed_out(&mut world),
            expected.into_iter().collect(),
            "{changed:?}"
        );
    }
}

#[test]
fn next_hops_that_lead_where_they_led_or_that_no_route_has_need_no_walk() {
    let mut world = World::new();
    let reachable = |metric| Op::NextHops(vec![(1, metric, true), (2, 0, true)]);
    for metric in [0, 7] {
        world.apply(&reachable(metric));
        assert!(!world.poll(0), "there is no route");
    }
    world.apply(&Op::Up(1, PLAIN));
    world.announce(1, &[(A, 0)], &plain_attributes(1));
    settled(&mut world);
    world.apply(&reachable(7));
    assert!(!world.poll(0), "nothing is answered differently");
    world.apply(&reachable(8));
    assert!(world.poll(0));
}

#[test]
fn a_walk_does_as_many_steps_as_it_is_given_and_ends_when_it_has_been_round() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    world.announce(1, &[(A, 0), (B, 0), (OTHER, 0)], &plain_attributes(1));
    settled(&mut world);
    world.set_peer(1, with_weight(2));
    assert!(!world.poll(1000), "one call goes all the way round");
    assert_eq!(handed_out(&mut world).len(), 3);
    world.set_peer(1, with_weight(3));
    // Two steps look at two entries. The end of the table is a step too.
    for (taken, more) in [(2, true), (1, false)] {
        assert_eq!(world.poll(2), more);
        assert_eq!(handed_out(&mut world).len(), taken);
    }
}
