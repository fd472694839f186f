//! Routers that are lost, and groups that change: one message, however many routes there are.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use super::*;

#[test]
fn moving_all_routes_of_a_group_is_one_message_whether_they_had_one_way_or_many() {
    let mut world = World::new();
    world.plan.converged();
    let go = |world: &mut World, ways: &[(usize, u8)]| {
        for prefix in many(500) {
            world
                .plan
                .submit(FibChange::install(prefix, route_to(ways)));
        }
        messages(world)
    };
    assert_eq!(go(&mut world, &[(0, 1), (1, 1)]), 500 + 3);
    // Besides one message for the group, the objects for groups of one and of several come and go.
    assert_eq!(go(&mut world, &[(1, 1)]), 1 + 3);
    assert_eq!(go(&mut world, &[(0, 1)]), 1 + 2);
    assert_eq!(go(&mut world, &[(0, 1), (1, 1)]), 1 + 3);
    assert_eq!(world.kernel.ours().len(), 500);
}

#[test]
fn a_router_told_to_be_down_leaves_its_groups_at_once_and_the_ribs_changes_find_nothing_to_do() {
    let mut world = World::new();
    for prefix in many(500) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(0, 1), (1, 1)])));
    }
    let only = net("203.0.113.0/24");
    world
        .plan
        .submit(FibChange::install(only, route_to(&[(0, 1)])));
    world.step(Step::Drive);

    world.step(Step::Down(0, true));
    assert_eq!(messages(&mut world), 1);
    let ours = world.kernel.ours();
    assert!(many(500).all(|p| ours[&p] == expected(p, &route_to(&[(1, 1)]))));
    assert_eq!(
        ours[&only],
        expected(only, &route_to(&[(0, 1)])),
        "no other way: it stays"
    );

    for prefix in many(500) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(1, 1)])));
    }
    assert_eq!(messages(&mut world), 0);

    // It comes back, and so do its paths: its object, and the group with it.
    world.step(Step::Down(0, false));
    for prefix in many(500) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(0, 1), (1, 1)])));
    }
    assert_eq!(messages(&mut world), 2);
    assert_eq!(world.kernel.removed, []);
    let ours = world.kernel.ours();
    assert!(many(500).all(|p| ours[&p] == expected(p, &route_to(&[(0, 1), (1, 1)]))));
}

/// Routes by prefix with their ways, and the router whose loss is then told: what the kernel is asked to do.
fn lose(routes: &[(&str, &[(usize, u8)])], lost: &[usize]) -> (World, usize) {
    let mut world = World::new();
    for (prefix, ways) in routes {
        world.step(Step::Submit(FibChange::install(
            net(prefix),
            route_to(ways),
        )));
    }
    world.rest();
    for &router in lost {
        world.step(Step::Down(router, true));
    }
    let asked = messages(&mut world);
    assert!(world.avoids_the_lost());
    assert_eq!(world.kernel.removed, []);
    (world, asked)
}

#[test]
fn a_lost_router_leaves_all_groups_of_several_by_one_message_whoever_else_is_in_them() {
    let routes: [(&str, &[(usize, u8)]); 4] = [
        (PREFIXES[0], &[(0, 1), (1, 2), (2, 3)]),
        (PREFIXES[1], &[(0, 1), (2, 1)]),
        (PREFIXES[2], &[(0, 1)]),
        (PREFIXES[4], &[(1, 1), (3, 1)]),
    ];
    let (mut world, asked) = lose(&routes, &[0]);
    assert_eq!(asked, 1);
    // It is back before the RIB has said a word about a prefix.
    world.step(Step::Down(0, false));
    world.step(Step::Drive);
    assert_eq!(world.kernel.removed, []);
    assert_eq!(world.kernel.ours(), world.expected());
}

#[test]
fn of_a_group_whose_routers_are_all_lost_one_stays_until_the_routes_are_changed() {
    let routes: [(&str, &[(usize, u8)]); 2] = [
        (PREFIXES[0], &[(0, 1), (1, 1)]),
        (PREFIXES[1], &[(0, 1), (1, 1), (2, 1)]),
    ];
    let (mut world, _) = lose(&routes, &[0, 1]);
    for prefix in [PREFIXES[0], PREFIXES[1]] {
        world.step(Step::Submit(FibChange::install(
            net(prefix),
            route_to(&[(2, 1)]),
        )));
    }
    world.step(Step::Drive);
    assert_eq!(world.kernel.removed, []);
    assert_eq!(world.kernel.ours(), world.expected());
}

#[test]
fn the_last_router_of_a_group_that_lost_the_others_is_not_taken_from_it() {
    let (mut world, _) = lose(&[(PREFIXES[0], &[(0, 1), (1, 1)])], &[0]);
    world.step(Step::Submit(FibChange::install(
        net(PREFIXES[1]),
        route_to(&[(1, 1), (2, 1)]),
    )));
    world.step(Step::Drive);
    // Its object is the one in both groups, and one of them would vanish with it.
    world.step(Step::Down(1, true));
    world.step(Step::Drive);
    assert!(world.avoids_the_lost());
    assert_eq!(world.kernel.removed, []);
}

#[test]
fn a_route_that_was_right_on_the_group_of_another_set_moves_when_the_sets_differ_again() {
    let mut world = World::new();
    let (both, one) = (route_to(&[(2, 3), (3, 3)]), route_to(&[(3, 1)]));
    let [keeps_both, keeps_one, moves] = [PREFIXES[4], PREFIXES[0], PREFIXES[6]].map(net);
    for (prefix, route) in [(keeps_both, &both), (keeps_one, &one), (moves, &one)] {
        world.step(Step::Submit(FibChange::install(prefix, route.clone())));
    }
    world.step(Step::Drive);
    // While one way is gone, both sets come to the same, and nothing has to be done for the route that changes sets.
    world.step(Step::Link(2, false));
    world.step(Step::Submit(FibChange::install(moves, both)));
    world.step(Step::Drive);
    world.rest();
    assert_eq!(world.kernel.ours(), world.expected());
}

/// However much is to be refused, traffic that goes nowhere comes first.
#[test]
fn a_lost_router_is_cut_before_thousands_of_addresses_are_refused() {
    let mut world = World::new();
    for prefix in many(50) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(0, 1), (1, 1)])));
    }
    world.step(Step::Drive);
    let services = (0..1000).map(|n| {
        let address = Ipv4Addr::from_bits(0xcb00_7100 + n);
        (IpNet::from(IpAddr::from(address)), Refusal::Service)
    });
    world.plan.set_refused(None, services);
    world.step(Step::Down(0, true));
    let first = world.plan.next_batch(world.now, 64);
    assert!(
        matches!(first.as_slice(), [Op::DeleteNexthop { .. }]),
        "{first:?}"
    );
}
