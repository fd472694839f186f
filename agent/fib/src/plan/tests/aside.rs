//! An agent that is aside for long, and hears of many next hops and prefixes meanwhile: it keeps what there is now.
#![allow(clippy::unwrap_used)]

use super::alone::{Alone, with_sets};
use super::*;
use crate::refusal::{Refusal, RefusalChange};

fn aside() -> Alone {
    let mut alone = with_sets(10);
    alone.plan.set_aside(true);
    alone
}

/// Nothing is written, and what is to be forgotten is.
fn look(alone: &mut Alone) {
    while let Some(ops) = alone.step() {
        assert_eq!(ops, []);
    }
}

#[test]
fn numbers_that_are_used_again_and_again_wait_once() {
    let mut alone = aside();
    let prefix = many(1).next().unwrap();
    for router in 100..5100 {
        alone.install(prefix, [router, router + 1]);
        // As when its session falls, and comes back.
        alone.set_down(router, true);
        alone.set_down(router, false);
        look(&mut alone);
    }
    let nexthops = &alone.plan.nexthops;
    let there = nexthops.sets.len() + nexthops.objects.len() + nexthops.groups.len();
    assert!(there < 200, "{there} sets, objects and groups");
    let queued = nexthops.queued();
    assert!(queued < 8 * there, "{queued} queued of {there}");
}

/// Of a group of which each route wants something else.
#[test]
fn a_group_whose_routes_change_their_minds_waits_once() {
    let mut alone = Alone::new();
    for prefix in many(2) {
        alone.install(prefix, [0, 1]);
    }
    alone.most(|_| 0);
    alone.plan.set_aside(true);
    let prefix = many(1).next().unwrap();
    for router in [0, 1].into_iter().cycle().take(5000) {
        alone.install(prefix, [router, 2]);
        look(&mut alone);
    }
    let queued = alone.plan.nexthops.queued();
    assert!(queued < 50, "{queued}");
}

#[test]
fn prefixes_that_come_and_go_leave_nothing() {
    let mut alone = aside();
    for prefix in many(5000) {
        alone.install(prefix, [0]);
        alone.plan.submit(FibChange::remove(prefix));
    }
    look(&mut alone);
    let (queued, there) = (alone.plan.v4.queue.len(), alone.plan.v4.iter().count());
    assert!(queued + there < 50, "{queued} queued, {there} prefixes");
}

#[test]
fn refused_addresses_that_come_and_go_leave_nothing() {
    let mut alone = with_sets(10);
    alone.plan.set_refused(None, []);
    alone.most(|_| 0);
    alone.plan.set_aside(true);
    for prefix in many(5000) {
        for refusal in [Some(Refusal::Service), None] {
            alone
                .plan
                .change_refused([RefusalChange { prefix, refusal }]);
        }
    }
    look(&mut alone);
    assert_eq!(alone.plan.refusing.pending(), 0);
}

/// Whether it was heard of while somebody else wrote or not.
#[test]
fn what_was_wanted_meanwhile_is_written_once_the_other_agent_is_gone() {
    let mut world = World::new();
    let both = route_to(&[(0, 1), (1, 1)]);
    world.step(Step::Aside(true));
    for prefix in many(300) {
        world.step(Step::Submit(FibChange::install(prefix, both.clone())));
    }
    world.step(Step::Drive);
    assert_eq!(world.kernel.messages, 0);
    let states = statuses(&world.plan, world.now, |_| true);
    assert_eq!(states.len(), 300);
    assert!(states.iter().all(|s| s.state == FibRouteState::Pending));
    world.step(Step::Aside(false));
    world.step(Step::Drive);
    assert_eq!(world.kernel.ours(), world.expected());
}

/// Sets of many members are more to look at than a step does: the next one comes at once.
#[test]
fn large_sets_are_forgotten_as_fast_as_they_come() {
    let mut alone = aside();
    for round in 0..100 {
        for (prefix, n) in many(50).zip(0..) {
            let first = 1000 + (round * 50 + n) * 20;
            alone.install(prefix, first..first + 20);
        }
        look(&mut alone);
    }
    let sets = alone.plan.nexthops.sets_in_use();
    assert!(sets < 200, "{sets} sets of 50 routes");
    let objects = alone.plan.nexthops.objects.len();
    assert!(objects < 6000, "{objects} objects of 50 routes");
}

/// The number of a set that was forgotten is another set's.
#[test]
fn a_route_that_comes_again_is_not_taken_for_what_has_its_number_now() {
    let mut alone = aside();
    let prefixes: Vec<IpNet> = many(30).collect();
    for (prefix, router) in prefixes.iter().zip(100..) {
        alone.install(*prefix, [router]);
    }
    for prefix in &prefixes {
        alone.plan.submit(FibChange::remove(*prefix));
    }
    look(&mut alone);
    assert!(alone.plan.nexthops.sets_in_use() < 30, "some are forgotten");
    for round in 0..30 {
        // The last one of before, and one of which nobody has heard.
        alone.install(prefixes[0], [129]);
        alone.install(prefixes[1], [200 + round]);
        let gateway = |prefix| {
            let status = alone.plan.route(prefix, alone.now).unwrap();
            status.desired.unwrap().nexthops[0].gateway.unwrap()
        };
        assert_eq!(gateway(prefixes[0]), IpAddr::from([10, 0, 0, 129]));
        let other = IpAddr::from([10, 0, 0, 200 + round as u8]);
        assert_eq!(gateway(prefixes[1]), other);
        alone.plan.submit(FibChange::remove(prefixes[0]));
        alone.plan.submit(FibChange::remove(prefixes[1]));
        look(&mut alone);
    }
}
