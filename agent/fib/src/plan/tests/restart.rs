//! A new agent on the routes of the one before it, while its peers come back one after the other.
#![allow(clippy::unwrap_used)]

use super::*;

const BOTH: [(usize, u8); 2] = [(0, 1), (1, 1)];

/// A kernel with a hundred routes over two routers, and a plan that has just found them.
fn restarted() -> World {
    let mut world = World::new();
    for prefix in many(100) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&BOTH)));
    }
    world.step(Step::Drive);
    world.plan = new_plan();
    adopt(&mut world.plan, &world.kernel);
    world
}

fn all_lead(world: &World, ways: &[(usize, u8)]) -> bool {
    let ours = world.kernel.ours();
    many(100).all(|prefix| ours.get(&prefix) == Some(&expected(prefix, &route_to(ways))))
}

#[test]
fn the_first_of_two_routers_to_be_back_does_not_get_the_traffic_of_both() {
    let mut world = restarted();
    for ways in [&BOTH[..1], &BOTH[1..], &BOTH[..]] {
        for prefix in many(100) {
            world
                .plan
                .submit(FibChange::install(prefix, route_to(ways)));
        }
        assert_eq!(messages(&mut world), 0, "{ways:?}");
    }
    world.plan.converged();
    assert_eq!(messages(&mut world), 0);
    assert!(all_lead(&world, &BOTH));
}

#[test]
fn a_router_that_is_not_back_at_convergence_is_left_then() {
    let mut world = restarted();
    for prefix in many(100) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&BOTH[..1])));
    }
    assert_eq!(messages(&mut world), 0);
    assert_eq!(world.plan.counters().stale, 100);
    assert_eq!(world.plan.adopted(), Some(100));
    world.plan.converged();
    messages(&mut world);
    assert!(all_lead(&world, &BOTH[..1]));
    assert!(world.kernel.removed.is_empty());
    assert_eq!(world.plan.counters().stale, 0);
}

#[test]
fn a_route_that_was_confirmed_follows_its_wishes_before_convergence_too() {
    let mut world = restarted();
    for ways in [&BOTH[..], &BOTH[1..]] {
        for prefix in many(100) {
            world
                .plan
                .submit(FibChange::install(prefix, route_to(ways)));
        }
        messages(&mut world);
        assert!(all_lead(&world, ways));
    }
}

#[test]
fn what_a_guard_rail_refuses_goes_before_convergence() {
    let mut world = restarted();
    let first = many(1).next().unwrap();
    world.plan.set_guard_rails(GuardRails {
        pod_cidrs: vec![first],
        ..GuardRails::default()
    });
    world
        .plan
        .submit(FibChange::install(first, route_to(&BOTH[..1])));
    messages(&mut world);
    assert_eq!(world.kernel.removed, [first]);
}

#[test]
fn blackholes_that_an_earlier_version_left_in_the_main_table_go_at_once() {
    // Of another metric than ours, and where a route of ours could be.
    let own = World::new().plan.space();
    for (table, metric) in [(254, 1024), (own.table, own.metric)] {
        a_blackhole_goes_at_once(table, metric);
    }
}

fn a_blackhole_goes_at_once(table: u32, metric: u32) {
    let mut world = World::new();
    let hole = |prefix: &str, protocol| Route {
        prefix: net(prefix),
        table,
        protocol,
        metric,
        kind: RouteKind::Blackhole,
        replaces: false,
        special: false,
        nexthop_id: None,
        hops: smallvec::SmallVec::new(),
    };
    begin_routes(&mut world.plan);
    world
        .plan
        .resync_route(&hole("203.0.113.0/24", ROUTE_PROTOCOL));
    world.plan.resync_route(&hole("198.51.100.0/24", 4));
    end_routes(&mut world.plan);
    // Before anything is known of the cluster: its API server may be behind one.
    let ops = world.plan.next_batch(world.now, 256);
    let [Op::Route(op)] = ops.as_slice() else {
        panic!("{ops:?}")
    };
    assert_eq!(
        (op.prefix, op.table, op.metric),
        (net("203.0.113.0/24"), table, metric)
    );
    assert_eq!(op.action, RouteAction::Delete);
    // Whether it is still there is looked into, beside what was asked for before.
    world.plan.take_resync();
    let error = KernelError::from_errno(libc::ENOMEM);
    world.plan.refused(world.now, &ops[0], error);
    assert!(!world.plan.is_gone());
    assert_eq!(world.plan.take_resync(), Resync::Everything);
    assert!(!world.plan.is_gone(), "what was asked for has not come");
    begin_routes(&mut world.plan);
    end_routes(&mut world.plan);
    world.plan.carried_out(&[]);
    assert!(world.plan.is_gone());
}
