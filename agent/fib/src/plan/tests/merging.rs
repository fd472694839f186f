//! Groups that became equal, and what a lost router costs then.
#![allow(clippy::unwrap_used)]

use super::super::merge::QUIET;
use super::*;

const BOTH: [(usize, u8); 2] = [(0, 1), (1, 1)];

/// Routes over two routers, of which one is lost and returns, in a walk over the prefixes that the plan follows step by step, as it
/// does beside the RIB's.
fn churned(routes: u32, times: usize) -> World {
    let mut world = World::new();
    world.plan.converged();
    let walk = |world: &mut World, ways: &[(usize, u8)]| {
        let prefixes: Vec<IpNet> = many(routes).collect();
        for some in prefixes.chunks(16) {
            for &prefix in some {
                world.step(Step::Submit(FibChange::install(prefix, route_to(ways))));
            }
            world.step(Step::Drive);
        }
    };
    walk(&mut world, &BOTH);
    for _ in 0..times {
        world.step(Step::Down(0, true));
        walk(&mut world, &BOTH[1..]);
        world.step(Step::Down(0, false));
        walk(&mut world, &BOTH);
    }
    world
}

fn quiet(world: &mut World) {
    for _ in 0..3 {
        world.now += QUIET;
        world.step(Step::Drive);
    }
}

#[test]
fn groups_that_became_equal_are_one_when_nothing_else_was_written_for_a_while() {
    let mut world = churned(200, 3);
    let led = world.kernel.ours();
    assert!(world.kernel.groups.len() > 1, "nothing to be merged");
    // Not before: a router that flaps finds its groups.
    world.now += QUIET - Duration::from_millis(1);
    assert_eq!(messages(&mut world), 0);
    assert!(world.plan.next_retry().is_some_and(|at| at > world.now));

    world.kernel.removed.clear();
    quiet(&mut world);
    assert_eq!(world.kernel.groups.len(), 1);
    assert_eq!(world.kernel.removed, [], "a route was missing meanwhile");
    assert_eq!(world.kernel.ours(), led);
    // Nothing more will be said.
    assert_eq!(world.plan.next_retry(), None);
    world.step(Step::Wait);
    assert_eq!(messages(&mut world), 0);
}

#[test]
fn a_lost_router_costs_one_message_for_each_distinct_group_after_any_churn() {
    let mut world = churned(200, 3);
    quiet(&mut world);
    world.step(Step::Down(1, true));
    assert_eq!(messages(&mut world), 1);
    // And where there is one way only, one for its group, with the object for groups of one and without those that are of no use.
    let mut world = churned(200, 3);
    let change = |world: &mut World, ways: &[(usize, u8)]| {
        for prefix in many(200) {
            world.step(Step::Submit(FibChange::install(prefix, route_to(ways))));
        }
    };
    change(&mut world, &BOTH[1..]);
    world.step(Step::Drive);
    quiet(&mut world);
    world.step(Step::Down(1, true));
    change(&mut world, &BOTH[..1]);
    let replaced = |op: &Op| matches!(op, Op::ReplaceGroup { .. });
    let mut count = 0;
    loop {
        let ops = world.plan.next_batch(world.now, 64);
        if ops.is_empty() {
            break;
        }
        assert!(!ops.iter().any(|op| matches!(op, Op::Route(_))), "{ops:?}");
        count += ops.iter().filter(|op| replaced(op)).count();
        for op in &ops {
            world.kernel.apply(op).unwrap();
        }
        world.plan.carried_out(&ops);
    }
    assert_eq!(count, 1);
}

/// A cut leaves the object for groups of several in a group of one, and while it is there the next loss cannot be cut.
#[test]
fn a_group_that_a_cut_left_with_one_router_does_not_keep_the_next_from_being_cut() {
    let mut world = World::new();
    world.plan.converged();
    let first = net(PREFIXES[0]);
    let second = net(PREFIXES[1]);
    world.step(Step::Submit(FibChange::install(first, route_to(&BOTH))));
    let others = route_to(&[(1, 1), (2, 1)]);
    world.step(Step::Submit(FibChange::install(second, others)));
    world.step(Step::Drive);
    world.step(Step::Down(0, true));
    world.step(Step::Submit(FibChange::install(
        first,
        route_to(&BOTH[1..]),
    )));
    world.step(Step::Drive);
    quiet(&mut world);
    world.kernel.removed.clear();
    world.step(Step::Down(1, true));
    assert_eq!(messages(&mut world), 1);
    assert!(world.avoids_the_lost());
    assert_eq!(world.kernel.removed, []);
}

#[test]
fn routes_that_want_something_else_soon_keep_their_group() {
    let mut world = World::new();
    world.plan.converged();
    for (prefix, ways) in [(PREFIXES[0], &BOTH[..]), (PREFIXES[1], &BOTH[1..])] {
        world.step(Step::Submit(FibChange::install(
            net(prefix),
            route_to(ways),
        )));
    }
    world.step(Step::Drive);
    // Both lead over the second router now, and the RIB has not said that they are to.
    world.step(Step::Down(0, true));
    world.step(Step::Drive);
    quiet(&mut world);
    assert_eq!(world.kernel.groups.len(), 2);
    world.step(Step::Down(0, false));
    assert_eq!(messages(&mut world), 2, "an object, and its group");
    assert_eq!(world.kernel.ours(), world.expected());
}

/// The place of a route is taken, so that its set has a group without routes, which is the smaller one of two.
#[test]
fn a_group_without_routes_that_became_equal_to_another_goes_with_nothing_left_to_do() {
    let mut world = World::new();
    world.plan.converged();
    let submit = |world: &mut World, prefix: &str, ways: &[(usize, u8)]| {
        let change = FibChange::install(net(prefix), route_to(ways));
        world.step(Step::Submit(change));
    };
    submit(&mut world, PREFIXES[0], &BOTH);
    submit(&mut world, PREFIXES[3], &BOTH);
    world.step(Step::Drive);
    world.step(Step::Down(0, true));
    submit(&mut world, PREFIXES[0], &BOTH[1..]);
    world.step(Step::Drive);
    world.step(Step::Down(0, false));
    world.step(Step::Drive);
    submit(&mut world, PREFIXES[0], &BOTH);
    world.step(Step::Drive);
    assert_eq!(world.kernel.groups.len(), 2);
    quiet(&mut world);
    assert_eq!(world.kernel.groups.len(), 1);
}

#[test]
fn equal_groups_that_a_predecessor_left_are_one_after_a_while() {
    let mut world = churned(200, 3);
    assert!(world.kernel.groups.len() > 1, "nothing to be merged");
    world.restart();
    world.step(Step::Drive);
    world.plan.converged();
    world.step(Step::Drive);
    assert!(world.kernel.groups.len() > 1, "too soon");
    world.kernel.removed.clear();
    quiet(&mut world);
    assert_eq!(world.kernel.groups.len(), 1);
    assert_eq!(world.kernel.removed, []);
}

/// While routes are moved, somebody deletes the group that they are moved to.
#[test]
fn routes_are_not_moved_to_a_group_that_is_no_more() {
    let mut world = churned(200, 3);
    world.now += QUIET;
    let mut ops = world.plan.next_batch(world.now, 8);
    while ops.is_empty() && world.plan.is_walking() {
        ops = world.plan.next_batch(world.now, 8);
    }
    let mut target = None;
    for op in &ops {
        world.kernel.apply(op).unwrap();
        if let Op::Route(RouteOp {
            action: RouteAction::Replace(Target::Group(id)),
            ..
        }) = op
        {
            target = Some(*id);
        }
    }
    world.plan.carried_out(&ops);
    let target = target.unwrap();
    let nexthops = world.kernel.list_nexthops();
    let nexthop = nexthops.iter().find(|n| n.id == target).unwrap();
    world.kernel.delete_nexthop(target);
    world.plan.nexthop_event(nexthop);
    quiet(&mut world);
    assert_eq!(world.kernel.futile, []);
    assert_eq!(world.kernel.ours(), world.expected());
    assert_eq!(world.kernel.groups.len(), 1);
}
