//! A new agent with another metric than the one before it.
#![allow(clippy::unwrap_used)]

use super::*;

const BOTH: [(usize, u8); 2] = [(0, 1), (1, 1)];
/// The default metric of earlier versions.
const EARLIER: u32 = 1024;

/// A kernel with a hundred routes of an earlier version over these ways, and a plan that has just found them.
fn updated(ways: &[(usize, u8)]) -> World {
    let mut world = World::new();
    world.begin_with_metric(EARLIER);
    want(&mut world, ways);
    world.step(Step::Drive);
    world.plan = new_plan();
    adopt(&mut world.plan, &world.kernel);
    assert_eq!(metrics(&world), [EARLIER; 100]);
    world
}

fn want(world: &mut World, ways: &[(usize, u8)]) {
    for prefix in many(100) {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(ways)));
    }
}

/// Of our routes, prefix by prefix.
fn metrics(world: &World) -> Vec<u32> {
    let ours = world.kernel.routes.iter();
    let ours = ours.filter(|(_, route)| route.protocol == ROUTE_PROTOCOL);
    ours.map(|((_, _, metric), _)| *metric).collect()
}

/// Over what the route with this metric forwards.
fn members(world: &World, prefix: IpNet, metric: u32) -> Vec<(Object, u8)> {
    let Target::Group(id) = world.kernel.routes[&(prefix, 254, metric)].target else {
        panic!("no group")
    };
    let members = world.kernel.groups[&id].iter();
    let mut members: Vec<_> = members
        .map(|&(o, w)| (world.kernel.objects[&o].1, w))
        .collect();
    members.sort_unstable();
    members
}

#[test]
fn a_route_is_moved_to_another_metric_once_its_new_one_forwards_the_same() {
    let mut world = updated(&BOTH);
    // The first router is back: traffic stays with both.
    want(&mut world, &BOTH[..1]);
    world.step(Step::Drive);
    assert_eq!(metrics(&world), [EARLIER, DEFAULT_METRIC].repeat(100));
    let first = many(1).next().unwrap();
    let both = expected(first, &route_to(&BOTH));
    assert_eq!(members(&world, first, EARLIER), both);
    assert_eq!(world.plan.counters().stale, 100);
    assert_eq!(
        world.plan.adopted(),
        Some(100),
        "their peers are waited for"
    );
    // The other one, too.
    want(&mut world, &BOTH);
    world.step(Step::Drive);
    assert_eq!(metrics(&world), [DEFAULT_METRIC; 100]);
    assert_eq!(members(&world, first, DEFAULT_METRIC), both);
    assert_eq!(world.plan.counters().stale, 0);
    assert_eq!(world.plan.adopted(), Some(0));
    // From here on it is a route like any other, long before convergence.
    want(&mut world, &BOTH[1..]);
    world.step(Step::Drive);
    assert_eq!(metrics(&world), [DEFAULT_METRIC; 100]);
    assert_eq!(
        members(&world, first, DEFAULT_METRIC),
        expected(first, &route_to(&BOTH[1..]))
    );
}

/// Convergence waits for peers as long as their routes are adopted.
#[test]
fn while_the_kernels_routes_are_listed_again_those_that_were_adopted_still_count() {
    let mut world = updated(&BOTH);
    assert_eq!(world.plan.adopted(), Some(100));
    begin_routes(&mut world.plan);
    assert_eq!(world.plan.adopted(), Some(100));
    // A listing that is interrupted and starts again.
    begin_routes(&mut world.plan);
    assert_eq!(world.plan.adopted(), Some(100));
    adopt(&mut world.plan, &world.kernel);
    assert_eq!(world.plan.adopted(), Some(100));
    world.kernel.routes.clear();
    adopt(&mut world.plan, &world.kernel);
    assert_eq!(world.plan.adopted(), Some(0));
}

#[test]
fn nobody_changes_the_nexthops_of_a_route_that_waits_to_be_moved() {
    let mut world = updated(&BOTH[..1]);
    let [first, second] = [0, 1].map(|n| many(2).nth(n).unwrap());
    let old_way = expected(second, &route_to(&BOTH[..1]));
    for ways in [&BOTH[..1], &BOTH[1..]] {
        world.plan.submit(FibChange::install(first, route_to(ways)));
        world.step(Step::Drive);
        assert_eq!(
            members(&world, first, DEFAULT_METRIC),
            expected(first, &route_to(ways))
        );
        assert_eq!(members(&world, second, EARLIER), old_way, "{ways:?}");
    }
    world.plan.converged();
    world.step(Step::Drive);
    assert_eq!(metrics(&world), [DEFAULT_METRIC]);
    let of_ours = |id: &&u32| world.kernel.objects[*id].0 == ROUTE_PROTOCOL;
    assert_eq!(world.kernel.objects.keys().filter(of_ours).count(), 1);
}

#[test]
fn a_route_that_the_kernel_did_not_remove_is_removed_by_another_try() {
    let mut world = updated(&BOTH);
    world.plan.converged();
    for refused in [1, 7, 100] {
        world.step(Step::Refuse(refused));
    }
    world.step(Step::Drive);
    assert_eq!(metrics(&world), [0; 0]);
    assert_eq!(world.plan.counters().stale, 0);
}

#[test]
fn no_prefix_is_without_a_route_at_any_message_of_an_update_and_what_nobody_wants_goes() {
    for converged in [false, true] {
        let mut world = updated(&BOTH);
        let kept = 60;
        for prefix in many(kept) {
            world
                .plan
                .submit(FibChange::install(prefix, route_to(&BOTH[..1])));
        }
        if converged {
            world.plan.converged();
        }
        let mut most = 0;
        // Killed after one message more each time, and started again by none: what is there must do.
        for budget in 0..200 {
            let mut kernel = world.kernel.clone();
            let mut plan = new_plan();
            adopt(&mut plan, &kernel);
            for prefix in many(kept) {
                plan.submit(FibChange::install(prefix, route_to(&BOTH[..1])));
            }
            if converged {
                plan.converged();
            }
            drive(&mut plan, &mut kernel, world.now, budget);
            let there = kernel.ours();
            assert!(
                many(kept).all(|prefix| there.contains_key(&prefix)),
                "{budget}"
            );
            most = most.max(kernel.routes.len());
        }
        assert!(
            most > 150,
            "the new ones come before the old ones go: {most}"
        );
        world.step(Step::Drive);
        let want = if converged { kept as usize } else { 160 };
        assert_eq!(metrics(&world).len(), want);
    }
}

/// The kernel removes routes with the group that they use, and says nothing. Who counts them all the same waits for peers that have
/// nothing more to announce, and takes the next group with that id for theirs.
#[test]
fn what_an_earlier_version_left_is_gone_with_its_group() {
    let mut world = updated(&BOTH);
    assert_eq!(world.plan.adopted(), Some(100));
    let groups: Vec<u32> = world.kernel.groups.keys().copied().collect();
    for group in groups {
        world.kernel.delete_nexthop(group);
    }
    assert_eq!(metrics(&world), [0; 0]);
    world.plan.resync_nexthops(world.kernel.list_nexthops());
    assert_eq!(world.plan.adopted(), Some(0));
    assert_eq!(world.plan.counters().stale, 0);
    assert!(many(100).all(|prefix| world.plan.route(prefix, world.now).is_none()));
    // Nor is the kernel asked to remove them.
    world.plan.converged();
    let sent = world.kernel.messages;
    world.step(Step::Drive);
    let nexthops = world.kernel.messages - sent;
    assert!(nexthops <= 2, "{nexthops}: the two objects go");
    want(&mut world, &BOTH);
    world.step(Step::Drive);
    assert_eq!(metrics(&world), [DEFAULT_METRIC; 100]);
}

/// Guard rails that change before every batch: the walk over all prefixes begins again each time.
fn batches_while_walking(world: &mut World, most: usize, mut is_over: impl FnMut(&World) -> bool) {
    for round in 0..most {
        world.plan.set_guard_rails(GuardRails {
            max_routes: Some(1000 + round as u64 % 2),
            ..GuardRails::default()
        });
        let ops = world.plan.next_batch(world.now, 3);
        for op in &ops {
            world.kernel.apply(op).unwrap();
        }
        world.plan.carried_out(&ops);
        assert!(world.plan.is_walking());
        if is_over(world) {
            return;
        }
    }
    panic!("not over after {most} batches");
}

#[test]
fn what_is_moved_or_of_no_use_goes_although_a_walk_never_ends() {
    let mut world = updated(&BOTH);
    want(&mut world, &BOTH);
    batches_while_walking(&mut world, 500, |world| {
        metrics(world) == [DEFAULT_METRIC; 100]
    });
    world.plan.converged();
    want(&mut world, &BOTH[..1]);
    let ours = |world: &World| {
        let objects = world.kernel.objects.values();
        objects.filter(|o| o.0 == ROUTE_PROTOCOL).count()
    };
    batches_while_walking(&mut world, 500, |world| {
        ours(world) == 1 && world.kernel.groups.len() == 1
    });
    assert_eq!(world.kernel.ours().len(), 100);
}
