//! No step looks at more than so much, however many sets, groups and routes there are.
#![allow(clippy::unwrap_used)]

use super::super::merge::QUIET;
use super::super::work::LOOKS;
use super::*;

/// What one set has to do with: some members, and the groups of its routes.
const ONE: usize = 16;

/// A plan whose kernel does everything it is asked for.
pub(super) struct Alone {
    pub(super) plan: Plan,
    pub(super) now: Instant,
}

impl Alone {
    pub(super) fn new() -> Self {
        let mut plan = new_plan();
        plan.converged();
        Self {
            plan,
            now: Instant::now(),
        }
    }

    /// `None`: there is nothing more to do.
    pub(super) fn step(&mut self) -> Option<Vec<Op>> {
        let ops = self.plan.next_batch(self.now, 256);
        self.plan.carried_out(&ops);
        (!ops.is_empty() || self.plan.is_walking()).then_some(ops)
    }

    /// Until there is nothing more to do; the most that `count` differs by in one step.
    pub(super) fn most(&mut self, count: impl Fn(&Plan) -> usize) -> usize {
        let mut most = 0;
        loop {
            let before = count(&self.plan);
            let is_over = self.step().is_none();
            most = most.max(before.abs_diff(count(&self.plan)));
            if is_over {
                return most;
            }
        }
    }

    pub(super) fn install(&mut self, prefix: IpNet, routers: impl IntoIterator<Item = u32>) {
        let ways = routers.into_iter().map(|router| {
            let gateway = Ipv4Addr::from_bits(0x0a00_0000 + router);
            FibNexthop::via(gateway.into(), 2)
        });
        let nexthops = ways.collect();
        self.plan
            .submit(FibChange::install(prefix, FibRoute { nexthops }));
    }

    pub(super) fn set_down(&mut self, router: u32, down: bool) {
        let gateway = Ipv4Addr::from_bits(0x0a00_0000 + router);
        self.plan.set_nexthop_down(gateway.into(), 2, down);
    }

    /// Of all groups.
    pub(super) fn members(plan: &Plan) -> usize {
        let groups = plan.nexthops.groups.values();
        groups.map(|group| group.content.len()).sum()
    }
}

/// Routes over sets of their own, of some of 16 routers, the first of which is in each.
pub(super) fn with_sets(sets: u32) -> Alone {
    let mut alone = Alone::new();
    for (prefix, set) in many(sets).zip(1..) {
        let some = (1..16).filter(|router| set >> (router - 1) & 1 == 1);
        alone.install(prefix, std::iter::once(0).chain(some));
    }
    alone.most(|_| 0);
    assert_eq!(alone.plan.nexthops.groups.len(), sets as usize);
    alone
}

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
    assert!(!world.plan.take_nexthops(nexthops), "routes are lost");
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
        if world.plan.lose_some() {
            break;
        }
        parts += 1;
    }
    assert_eq!(parts, Plan::PARTS);
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
