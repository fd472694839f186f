//! Claims about guard rails that change under routes.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::guard::Rejection;

#[test]
fn the_limit_counts_learned_routes_of_both_families_and_lets_the_next_in_when_one_leaves() {
    let guard = GuardRails {
        max_routes: Some(2),
        ..GuardRails::default()
    };
    let mut world = World::new();
    world.plan.set_guard_rails(guard);
    world.step(Step::Drive);
    for prefix in [PREFIXES[0], PREFIXES[5], PREFIXES[2]] {
        world
            .plan
            .submit(FibChange::install(net(prefix), route_to(&[(2, 1)])));
    }
    world.step(Step::Drive);
    assert_eq!(world.kernel.ours().len(), 2);
    assert_eq!(world.plan.counters().over_limit, 1);
    world.plan.submit(FibChange::remove(net(PREFIXES[5])));
    world.step(Step::Drive);
    assert!(world.kernel.ours().contains_key(&net(PREFIXES[2])));
    assert_eq!(world.plan.counters().over_limit, 0);
}

#[test]
fn a_limit_that_is_lowered_counts_for_routes_that_are_in_and_one_that_is_raised_for_those_that_are_not()
 {
    let mut world = World::new();
    let all = [0, 2, 5].map(|place| net(PREFIXES[place]));
    for prefix in all {
        let route = route_to(&[(2, 1)]);
        world.plan.submit(FibChange::install(prefix, route));
    }
    for (max, inside) in [
        (None, 3),
        (Some(2), 2),
        (Some(1), 1),
        (Some(3), 3),
        (Some(1), 1),
        (None, 3),
    ] {
        world.plan.set_guard_rails(GuardRails {
            max_routes: max,
            ..GuardRails::default()
        });
        world.step(Step::Drive);
        assert_eq!(world.kernel.ours().len(), inside, "{max:?}");
        let outside = (all.len() - inside) as u64;
        assert_eq!(world.plan.counters().over_limit, outside, "{max:?}");
    }
}

/// An address that a Service gets or gives back is looked at alone, however large the table.
#[test]
fn an_address_that_a_service_has_is_taken_from_no_router_and_comes_back_when_it_is_free() {
    let ours = net("203.0.113.7/32");
    let mut world = World::new();
    let learned = [ours, net("203.0.113.0/24"), net("203.0.113.8/32")];
    for prefix in learned {
        let route = route_to(&[(2, 1)]);
        world.plan.submit(FibChange::install(prefix, route));
    }
    world.step(Step::Drive);
    let installed = |world: &World| learned.map(|prefix| world.kernel.ours().contains_key(&prefix));
    assert_eq!(installed(&world), [true; 3]);
    let rails = |services: &[IpNet]| GuardRails {
        service_addresses: services.iter().map(|net| (*net, 1_u32)).collect(),
        ..GuardRails::default()
    };
    world.plan.set_guard_rails(rails(&[ours]));
    world.step(Step::Drive);
    assert_eq!(installed(&world), [false, true, true]);
    assert!(matches!(
        world.plan.route(ours, world.now).unwrap().state,
        FibRouteState::Refused { reason: Rejection::Service(net) } if net == ours
    ));
    world.plan.set_guard_rails(rails(&[net("192.0.2.1/32")]));
    world.step(Step::Drive);
    assert_eq!(installed(&world), [true; 3]);
    // A network is more than one prefix.
    world.plan.set_guard_rails(rails(&[net("203.0.113.0/24")]));
    world.step(Step::Drive);
    assert_eq!(installed(&world), [false; 3]);
    world.plan.set_guard_rails(rails(&[]));
    world.step(Step::Drive);
    assert_eq!(installed(&world), [true; 3]);
}

/// With so many prefixes, of which `max` may be in.
fn limited(count: u32, max: u64) -> World {
    let mut world = World::new();
    world.plan.set_guard_rails(GuardRails {
        max_routes: Some(max),
        ..GuardRails::default()
    });
    for prefix in many(count) {
        let route = route_to(&[(2, 1)]);
        world.plan.submit(FibChange::install(prefix, route));
    }
    world.step(Step::Drive);
    world
}

#[test]
fn a_route_that_leaves_a_table_at_its_limit_lets_one_in_without_a_look_at_the_others() {
    for count in [100, 200] {
        let mut world = limited(count, 50);
        assert_eq!(world.plan.counters().over_limit, u64::from(count) - 50);
        let inside = *world.kernel.ours().keys().next().unwrap();
        world.plan.submit(FibChange::remove(inside));
        // One batch has both: the route that leaves, and the one that comes in its place. No walk is begun.
        let ops = world.plan.next_batch(world.now, 8);
        assert_eq!(ops.len(), 2, "{ops:?}");
        assert!(!world.plan.is_walking());
        ops.iter().for_each(|op| world.kernel.apply(op).unwrap());
        world.plan.carried_out(&ops);
        assert_eq!(world.kernel.ours().len(), 50);
        assert!(!world.kernel.ours().contains_key(&inside));
        assert_eq!(world.plan.counters().over_limit, u64::from(count) - 51);
    }
}

#[test]
fn guard_rails_are_applied_to_a_large_table_some_prefixes_at_a_time() {
    let mut world = limited(300, 300);
    world.plan.set_guard_rails(GuardRails {
        connected: vec![net("11.0.0.0/18")],
        max_routes: Some(200),
        ..GuardRails::default()
    });
    let mut batches = 0;
    while world.plan.is_walking() {
        batches += 1;
        let ops = world.plan.next_batch(world.now, 256);
        assert!(ops.len() < 50, "{}", ops.len());
        ops.iter().for_each(|op| world.kernel.apply(op).unwrap());
        world.plan.carried_out(&ops);
    }
    assert!(batches > 50, "{batches}");
    world.step(Step::Drive);
    // The lower limit counts for what is in, too.
    let counters = world.plan.counters();
    assert_eq!((counters.refused, counters.over_limit), (100, 36));
    assert_eq!(world.kernel.ours().len(), 200);
}
