//! No step looks at more than so much, however many sets, groups and routes there are.
#![allow(clippy::unwrap_used)]

use super::super::merge::QUIET;
use super::super::work::LOOKS;
use super::alone::{Alone, with_sets};
use super::*;

/// What one set has to do with: some members, and the groups of its routes.
const ONE: usize = 16;

#[test]
fn routers_that_share_many_sets_are_cut_in_steps_of_so_much_work() {
    let mut alone = with_sets(1000);
    for router in 1..16 {
        alone.set_down(router, true);
    }
    let before = Alone::members(&alone.plan);
    let first = alone.step().unwrap();
    assert!(matches!(first[0], Op::DeleteNexthop { .. }), "{first:?}");
    let most = before - Alone::members(&alone.plan);
    let most = most.max(alone.most(Alone::members));
    assert!(most <= LOOKS + ONE, "{most} of a group each in one step");
    // All of them have left.
    assert_eq!(Alone::members(&alone.plan), 1000);
    // And so they come back.
    for router in 1..16 {
        alone.set_down(router, false);
    }
    alone.most(|_| 0);
    assert!(Alone::members(&alone.plan) > 5000);
}

#[test]
fn what_follows_from_a_router_is_looked_at_in_steps() {
    let mut alone = with_sets(1000);
    let settled = |plan: &Plan| {
        let sets = plan.nexthops.sets.iter();
        sets.filter(|set| set.effective == set.members).count()
    };
    for down in [true, false] {
        alone.set_down(1, down);
        let most = alone.most(settled);
        assert!(most > 0, "it is in half of the sets");
        assert!(most <= LOOKS, "{most} sets in one step");
    }
}

#[test]
fn sets_and_groups_of_no_use_are_found_in_steps() {
    let mut alone = with_sets(1000);
    for prefix in many(1000) {
        alone.install(prefix, [0]);
    }
    let freed = |plan: &Plan| plan.nexthops.sets_in_use();
    let most = alone.most(freed);
    assert!(most <= LOOKS, "{most} sets in one step");
    assert_eq!(alone.plan.nexthops.sets_in_use(), 1);
}

#[test]
fn groups_that_became_equal_are_compared_in_steps() {
    let mut alone = with_sets(500);
    for router in 1..16 {
        alone.set_down(router, true);
    }
    alone.most(|_| 0);
    // Each has a group of its own still, and all groups are the first router alone.
    for prefix in many(500) {
        alone.install(prefix, [0]);
    }
    alone.most(|_| 0);
    let shared = |plan: &Plan| {
        let groups = plan.nexthops.groups.values();
        groups.filter(|group| group.was_shared).count()
    };
    assert!(shared(&alone.plan) > 400);
    alone.now += QUIET;
    let most = alone.most(shared);
    assert!(most <= LOOKS, "{most} groups in one step");
    for _ in 0..3 {
        alone.now += QUIET;
        alone.most(|_| 0);
    }
    assert_eq!(alone.plan.nexthops.groups.len(), 1);
}

/// All nexthop objects and groups of a plan, as the kernel lists them.
fn listed(plan: &Plan) -> ListedNexthops {
    let nexthop = |id, kind| Nexthop {
        id,
        protocol: ROUTE_PROTOCOL,
        kind,
    };
    let objects = &plan.nexthops.objects;
    let singles = objects.iter().flat_map(|state| {
        let Object {
            gateway,
            ifindex,
            onlink,
            ..
        } = state.object;
        let hop = Hop {
            gateway,
            ifindex,
            onlink,
        };
        let family = libc::AF_INET as u8;
        state
            .ids()
            .map(move |id| nexthop(id, NexthopKind::Single { family, hop }))
    });
    let groups = plan.nexthops.groups.iter().map(|(&id, group)| {
        let member = |&(object, weight): &(u32, u8)| {
            let state = &objects[object as usize];
            (state.id(group.role()).unwrap(), weight.into())
        };
        let members = group.content.iter().map(member);
        nexthop(id, NexthopKind::Group(members.collect()))
    });
    singles.chain(groups).collect()
}

/// Takes in a listing; the most that `count` differs by in one step.
fn take(plan: &mut Plan, listed: ListedNexthops, count: impl Fn(&Plan) -> usize) -> usize {
    let mut most = 0;
    let mut before = count(plan);
    let mut is_over = plan.take_nexthops(listed);
    loop {
        most = most.max(before.abs_diff(count(plan)));
        if is_over {
            return most;
        }
        before = count(plan);
        is_over = plan.take_more_nexthops();
    }
}

#[test]
fn nexthop_objects_that_are_listed_are_taken_in_in_steps() {
    let mut alone = with_sets(1000);
    let (of_ours, of_nobody) = (listed(&alone.plan), listed(&new_plan()));
    let there = |plan: &Plan| plan.nexthops.count() + Alone::members(plan);
    let all = there(&alone.plan);
    let queued = |plan: &Plan| plan.nexthops.queued();
    // As they were, of a predecessor, and gone.
    let as_it_was = listed(&alone.plan);
    let looked = take(&mut alone.plan, as_it_was, queued);
    assert!(looked <= 8 * LOOKS, "{looked} queued in one step");
    let mut successor = new_plan();
    let found = take(&mut successor, of_ours, there);
    assert_eq!(there(&successor), all);
    assert!(found <= 2 * LOOKS + ONE, "{found} found in one step");
    let lost = take(&mut alone.plan, of_nobody, there);
    assert_eq!(there(&alone.plan), 0);
    assert!(lost <= 2 * LOOKS + ONE, "{lost} lost in one step");
    assert_eq!(alone.plan.counters().installed_ipv4, 0);
}

#[test]
fn what_is_in_another_place_is_forgotten_in_parts_when_it_is_listed_again() {
    let mut world = World::new();
    world.begin_with_metric(1024);
    let both = route_to(&[(0, 1), (1, 1)]);
    for prefix in many(2000) {
        world.plan.submit(FibChange::install(prefix, both.clone()));
    }
    world.step(Step::Drive);
    world.plan = new_plan();
    adopt(&mut world.plan, &world.kernel);
    world.plan.resync_routes_begin();
    let mut left = world.plan.leftovers.to_forget();
    assert_eq!(left, 2000);
    for part in 0..Plan::PARTS {
        world.plan.resync_part_begins(part);
        let now = world.plan.leftovers.to_forget();
        assert!(left - now < 100, "{} in one part", left - now);
        left = now;
    }
    assert_eq!(left, 0);
    adopt(&mut world.plan, &world.kernel);
    assert_eq!(world.plan.adopted(), Some(2000));
    // Those that can go, too, and with their groups.
    world.plan.converged();
    let _ = world.plan.next_batch(world.now, 3);
    for group in world.kernel.groups.keys().copied().collect::<Vec<_>>() {
        world.kernel.delete_nexthop(group);
    }
    world.plan.resync_nexthops(world.kernel.list_nexthops());
    assert_eq!(world.plan.counters().stale, 0);
    adopt(&mut world.plan, &world.kernel);
    world.rest();
    assert_eq!(world.kernel.futile, []);
    assert_eq!(world.plan.counters().nexthops, 0);
}

#[test]
fn what_is_refused_is_compared_in_steps_after_a_listing() {
    let mut alone = Alone::new();
    let services = many(1000).map(|net| (net, Refusal::Service));
    alone.plan.set_refused(None, services);
    let to_look_at = |plan: &Plan| plan.refusing.pending() as usize;
    let most = alone.most(to_look_at);
    assert!(most <= 256, "{most} in one step");
    assert_eq!(alone.plan.counters().refusing_ipv4, 1000);
    // Somebody has removed all of them.
    begin_routes(&mut alone.plan);
    end_routes(&mut alone.plan);
    assert_eq!(alone.plan.counters().repairs, 1000);
    let before = to_look_at(&alone.plan);
    assert_eq!(alone.step().unwrap(), []);
    let first = to_look_at(&alone.plan) - before;
    assert!(0 < first && first <= 2 * LOOKS, "{first} in one step");
    alone.most(to_look_at);
    assert_eq!(alone.plan.counters().refusing_ipv4, 1000);
}

/// Routes are installed again while not everything was looked at since they were not any more.
#[test]
fn what_is_still_wanted_is_found_in_steps_before_routes_are_installed_again() {
    let mut world = World::new();
    for prefix in many(200) {
        let change = FibChange::install(prefix, route_to(&[(0, 1)]));
        world.step(Step::Submit(change));
    }
    world.step(Step::Drive);
    world.plan.set_space(None);
    let wanted = |plan: &Plan| {
        let entries = plan.v4.iter();
        entries.filter(|e| e.desired != Want::NONE).count()
    };
    let (mut left, mut steps) = (wanted(&world.plan), 0);
    while !world.plan.finish_walk() {
        let now = wanted(&world.plan);
        assert!(left - now < 20, "{} in one step", left - now);
        (left, steps) = (now, steps + 1);
    }
    assert!(steps > 10);
    assert_eq!(wanted(&world.plan), 0);
    world
        .wanted
        .retain(|prefix, _| many(3).any(|kept| kept == *prefix));
    world.step(Step::Space(Some(RouteSpace::default())));
    assert!(world.plan.finish_walk());
    world.step(Step::Drive);
    assert_eq!(world.kernel.ours(), world.expected());
}

/// Between the parts of a listing the RIB goes on.
#[test]
fn routes_whose_group_is_gone_are_lost_in_parts_between_which_wishes_change() {
    let mut world = World::new();
    let both = route_to(&[(0, 1), (1, 1)]);
    for prefix in many(200) {
        world.step(Step::Submit(FibChange::install(prefix, both.clone())));
    }
    world.step(Step::Drive);
    for group in world.kernel.groups.keys().copied().collect::<Vec<_>>() {
        world.kernel.delete_nexthop(group);
    }
    let nexthops = world.kernel.list_nexthops();
    let listed = nexthops.into_iter().collect();
    assert!(!world.plan.take_nexthops(listed), "routes are lost");
    let mut prefixes = many(300);
    let mut parts = 1;
    loop {
        for (i, prefix) in prefixes.by_ref().take(2).enumerate() {
            let change = match i {
                0 => FibChange::remove(prefix),
                _ => FibChange::install(prefix, route_to(&[(1, 1)])),
            };
            world.step(Step::Submit(change));
        }
        if world.plan.take_more_nexthops() {
            break;
        }
        parts += 1;
    }
    assert!(parts >= Plan::PARTS, "{parts}");
    world.step(Step::Drive);
    assert_eq!(world.kernel.futile, []);
    assert_eq!(world.kernel.ours(), world.expected());
}

#[test]
fn a_listing_of_routes_ends_in_parts_between_which_wishes_change() {
    let mut world = World::new();
    let both = route_to(&[(0, 1), (1, 1)]);
    for prefix in many(200) {
        world.step(Step::Submit(FibChange::install(prefix, both.clone())));
    }
    world.step(Step::Drive);
    // Somebody removes every other route, and the notifications are lost.
    for prefix in many(200).step_by(2) {
        world.kernel.routes.remove(&(prefix, 254, DEFAULT_METRIC));
    }
    let mut prefixes = many(300);
    let mut change_some = |world: &mut World| {
        for (i, prefix) in prefixes.by_ref().take(1).enumerate() {
            let change = match i % 2 {
                0 => FibChange::remove(prefix),
                _ => FibChange::install(prefix, route_to(&[(1, 1)])),
            };
            world.step(Step::Submit(change));
        }
    };
    world.plan.resync_nexthops(world.kernel.list_nexthops());
    world.plan.resync_routes_begin();
    for part in 0..Plan::PARTS {
        change_some(&mut world);
        world.plan.resync_part_begins(part);
    }
    for route in world.kernel.list_routes() {
        world.plan.resync_route(&route);
    }
    for part in 0..Plan::PARTS {
        change_some(&mut world);
        world.plan.resync_part_ends(part);
    }
    world.plan.resync_routes_end();
    assert_eq!(world.plan.counters().repairs, 100);
    world.step(Step::Drive);
    assert_eq!(world.kernel.ours(), world.expected());
}

/// Whether its removal was heard of or not.
#[test]
fn nothing_is_made_over_an_interface_that_a_listing_does_not_hold() {
    for is_known in [true, false] {
        let mut world = World::new();
        let prefix = net(PREFIXES[0]);
        let both = route_to(&[(0, 1), (1, 1)]);
        world.step(Step::Submit(FibChange::install(prefix, both)));
        world.step(Step::Drive);
        world.kernel.set_link(3, false);
        if is_known {
            world.plan.link_gone(3, world.now);
        }
        world.plan.doubt_everything();
        world.plan.take_resync();
        world.plan.resync_nexthops(world.kernel.list_nexthops());
        world.plan.links_listed([2].into(), [], world.now);
        world.step(Step::Drive);
        assert_eq!(world.kernel.futile, []);
        let one = expected(prefix, &route_to(&[(0, 1)]));
        assert_eq!(world.kernel.ours()[&prefix], one);
        // It is made again.
        world.kernel.set_link(3, true);
        world.plan.link_state(3, true, world.now);
        world.plan.link_event(3, world.now);
        world.step(Step::Drive);
        assert_eq!(world.kernel.ours(), world.expected());
    }
}
