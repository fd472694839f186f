//! The plan against a [kernel made of maps](kernel).
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

mod alone;
mod aside;
mod events;
mod failing;
mod gone;
mod guard;
mod kernel;
mod late;
mod lost;
mod merging;
mod moved;
mod order;
mod refusing;
mod restart;
mod scaling;
mod space;
mod steps;
mod world;

use super::*;
use crate::kernel::event::{Hop, Nexthop, NexthopKind, Presence, Route, RouteKind};
use crate::refusal::{self, Rule};
use crate::types::{
    DEFAULT_METRIC, FibAction, FibChange, FibNexthop, FibRoute, FibRouteState, KernelError,
    NEXTHOP_ID_FIRST, ROUTE_PROTOCOL,
};
use events::*;
use kernel::{FakeKernel, FakeRoute};
use world::*;

proptest! {
    #![proptest_config(crate::soak::cases(512))]

    /// Whatever happened, the kernel ends up with exactly what is wanted, nothing of ours is left over, nothing of others
    /// is touched, and there is nothing more to say.
    #[test]
    fn whatever_happens_the_kernel_ends_up_with_what_is_wanted_and_the_plan_falls_silent(
        steps in prop::collection::vec(a_step(), 0..60),
    ) {
        let mut world = World::new();
        let foreign = world.kernel.foreign();
        for step in steps {
            world.step(step);
            prop_assert!(world.plan.records_are_in_order());
        }
        prop_assert_eq!(&world.kernel.futile, &Vec::<Op>::new());
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
        let here = (254, DEFAULT_METRIC);
        prop_assert!(space::places(&world).iter().all(|place| *place == here));
        prop_assert_eq!(world.kernel.foreign(), foreign);
        for status in statuses(&world.plan, world.now, |p| p != net(PREFIXES[3])) {
            prop_assert_eq!(&status.state, &FibRouteState::Installed, "{:?}", status);
        }
        // What the refused route of the taken prefix wants is there as well.
        let mut wanted = world.expected();
        wanted.extend(world.wanted.get(&net(PREFIXES[3])).map(|r| (net(PREFIXES[3]), expected(net(PREFIXES[3]), r))));
        let used: BTreeSet<Object> = wanted.into_values().flatten().map(|m| m.0).collect();
        let of_groups: BTreeSet<u32> = world.kernel.groups.values().flatten().map(|m| m.0).collect();
        for (id, (_, object)) in world.kernel.objects.iter().filter(|(_, o)| o.0 == ROUTE_PROTOCOL) {
            prop_assert!(used.contains(object) && of_groups.contains(id), "{} {:?} is of no use", id, object);
        }
        let contents: BTreeSet<_> = world.kernel.groups.values().map(|members| world.kernel.content(members)).collect();
        prop_assert_eq!(contents.len(), world.kernel.groups.len(), "equal groups: {:?}", world.kernel.groups);
        let sent = world.kernel.messages;
        world.step(Step::Wait);
        world.step(Step::Drive);
        // The place of one is taken: it is tried again.
        let tried = usize::from(world.wanted.contains_key(&net(PREFIXES[3])));
        prop_assert_eq!(world.kernel.messages, sent + tried);
    }

    /// Killed after any message, a new agent that is told the same comes to the same end, also one with another metric.
    #[test]
    fn killed_at_any_point_a_successor_comes_to_the_same_end(
        before in prop::collection::vec(a_step(), 0..30),
        changes in prop::collection::vec(a_change(), 1..12),
        budget in 0..40usize,
        after in prop::collection::vec(a_step(), 0..12),
        is_update in any::<bool>(),
    ) {
        let mut world = World::new();
        if is_update {
            world.begin_with_metric(1024);
        }
        let foreign = world.kernel.foreign();
        for step in before {
            world.step(step);
        }
        world.step(Step::Drive);
        for change in changes {
            world.step(Step::Submit(change));
        }
        drive(&mut world.plan, &mut world.kernel, world.now, budget);
        world.restart();
        for step in after {
            world.step(step);
        }
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
        prop_assert_eq!(world.kernel.foreign(), foreign);
    }

    /// A prefix that is wanted before and after is there at every moment in between, and leads nowhere but where it led
    /// before or is to lead.
    #[test]
    fn a_prefix_that_only_changes_its_way_is_never_without_a_route_nor_led_astray(
        rounds in prop::collection::vec(prop::collection::vec(a_change(), 1..8), 1..12),
    ) {
        let mut world = World::new();
        for changes in rounds {
            let before = world.kernel.ours();
            world.kernel.removed.clear();
            world.kernel.led.clear();
            let mut unwanted = BTreeSet::new();
            for change in changes {
                if change.action == FibAction::Remove {
                    unwanted.insert(change.prefix);
                } else {
                    unwanted.remove(&change.prefix);
                }
                world.step(Step::Submit(change));
            }
            world.step(Step::Drive);
            let removed: BTreeSet<IpNet> = world.kernel.removed.iter().copied().collect();
            prop_assert!(removed.is_subset(&unwanted), "{:?} of {:?} were removed", removed, before);
            let after = world.expected();
            for (prefix, ways) in &world.kernel.led {
                for way in ways {
                    let fine = before.get(prefix) == Some(way) || after.get(prefix) == Some(way);
                    prop_assert!(fine, "{} led to {:?}", prefix, way);
                }
            }
        }
    }

    /// Routers that are lost carry nothing that has another way, no route goes for it, and only routes of groups without
    /// another member wait for the RIB's changes.
    #[test]
    fn lost_routers_leave_every_route_that_has_another_way_and_no_route_goes(
        changes in prop::collection::vec(a_change(), 0..30),
        lost in prop::collection::vec((0..4usize, any::<bool>()), 1..6),
        more in prop::collection::vec(a_change(), 0..6),
    ) {
        let mut world = World::new();
        for change in changes {
            world.step(Step::Submit(change));
        }
        world.rest();
        for (i, down) in lost {
            world.kernel.removed.clear();
            world.step(Step::Down(i, down));
            world.step(Step::Drive);
            prop_assert_eq!(&world.kernel.removed, &Vec::<IpNet>::new());
            prop_assert!(world.avoids_the_lost(), "{:?}", world.kernel.ours());
        }
        for change in more {
            world.step(Step::Submit(change));
        }
        world.step(Step::Drive);
        prop_assert!(world.avoids_the_lost(), "{:?}", world.kernel.ours());
        world.rest();
        prop_assert_eq!(world.kernel.ours(), world.expected());
    }

    /// A successor that wants the same has nothing to say.
    #[test]
    fn adopting_what_is_wanted_sends_nothing(changes in prop::collection::vec(a_change(), 0..30)) {
        let mut world = World::new();
        for change in changes {
            world.step(Step::Submit(change));
        }
        world.rest();
        // The prefix whose place is taken would be tried again.
        world.wanted.remove(&net(PREFIXES[3]));
        world.step(Step::Submit(FibChange::remove(net(PREFIXES[3]))));
        world.rest();
        let sent = world.kernel.messages;
        world.restart();
        world.step(Step::Drive);
        world.plan.converged();
        world.step(Step::Drive);
        prop_assert_eq!(world.kernel.messages, sent);
    }
}

#[test]
fn of_many_wishes_for_one_prefix_only_the_last_reaches_the_kernel() {
    let mut world = World::new();
    let prefix = net("203.0.113.0/24");
    for i in [0, 1, 0, 1] {
        world
            .plan
            .submit(FibChange::install(prefix, route_to(&[(i, 1)])));
    }
    world.plan.submit(FibChange::remove(prefix));
    assert_eq!(messages(&mut world), 0);
    world
        .plan
        .submit(FibChange::install(prefix, route_to(&[(0, 1)])));
    assert_eq!(messages(&mut world), 3);
}

#[test]
fn a_refused_route_is_shown_with_the_kernels_words_and_tried_again_later_and_later() {
    let mut world = World::new();
    let taken = net(PREFIXES[3]);
    world
        .plan
        .submit(FibChange::install(taken, route_to(&[(0, 1)])));
    world.step(Step::Drive);
    let since = world.now;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let retry = world.plan.next_retry().unwrap();
        waits.push(retry - world.now);
        world.now = retry;
        assert_eq!(messages(&mut world), 1);
        let Some(status) = world.plan.route(taken, world.now) else {
            panic!("it is wanted")
        };
        let FibRouteState::Failed {
            error, failing_for, ..
        } = status.state
        else {
            panic!("{status:?}")
        };
        assert_eq!(
            (error.errno, failing_for),
            (libc::EEXIST, world.now - since)
        );
    }
    assert_eq!(waits[0], Duration::from_millis(250));
    assert_eq!(*waits.last().unwrap(), Duration::from_secs(60));
    assert!(waits.is_sorted());

    world.kernel.routes.remove(&(taken, 254, DEFAULT_METRIC));
    world.now += Duration::from_secs(60);
    world.step(Step::Drive);
    assert_eq!(
        world.plan.route(taken, world.now).unwrap().state,
        FibRouteState::Installed
    );
    assert_eq!(world.plan.counters().failed, 0);
}

#[test]
fn an_ipv6_route_over_an_ipv4_gateway_is_a_visible_failure_and_sends_nothing() {
    let mut world = World::new();
    let prefix = net("2001:db8:a::/48");
    world
        .plan
        .submit(FibChange::install(prefix, route_to(&[(0, 1)])));
    assert_eq!(messages(&mut world), 0);
    let state = world.plan.route(prefix, world.now).unwrap().state;
    assert!(matches!(state, FibRouteState::Failed { .. }), "{state:?}");
}
