//! A place of routes that changes while the agent runs: table, metric, none at all; and another agent that writes.
#![allow(clippy::unwrap_used)]

use super::*;

const BOTH: [(usize, u8); 2] = [(0, 1), (1, 1)];
const HERE: (u32, u32) = (254, DEFAULT_METRIC);

/// Tables and metrics of all routes of ours.
pub(super) fn places(world: &World) -> BTreeSet<(u32, u32)> {
    ids(world)
        .map(|(_, table, metric)| (table, metric))
        .collect()
}

fn ids(world: &World) -> impl Iterator<Item = kernel::Id> {
    let routes = world.kernel.routes.iter();
    let ours = routes.filter(|(_, route)| route.protocol == ROUTE_PROTOCOL);
    ours.map(|(id, _)| *id)
}

pub(super) fn is_empty(world: &World) -> bool {
    let objects = world.kernel.objects.values();
    ids(world).count() == 0
        && world.kernel.groups.is_empty()
        && objects.filter(|o| o.0 == ROUTE_PROTOCOL).count() == 0
}

/// A hundred routes over two routers, which have converged.
pub(super) fn installed() -> World {
    let mut world = World::new();
    for prefix in many(100) {
        world.step(Step::Submit(FibChange::install(prefix, route_to(&BOTH))));
    }
    world.plan.converged();
    world.step(Step::Drive);
    assert_eq!(places(&world), [HERE].into());
    world
}

fn submit_again(world: &mut World) {
    for (prefix, route) in world.wanted.clone() {
        world.plan.submit(FibChange::install(prefix, route));
    }
}

#[test]
fn routes_are_moved_to_another_place_without_a_gap_and_by_two_messages_each() {
    for space in ELSEWHERE {
        let mut world = installed();
        let groups = world.kernel.groups.clone();
        let before: BTreeSet<_> = ids(&world).collect();
        world.plan.set_space(Some(space));
        let mut budget = 0;
        // After every single message.
        loop {
            let mut kernel = world.kernel.clone();
            let mut plan = Plan::new(space, refusal::DEFAULT_TABLE, GuardRails::default());
            adopt(&mut plan, &kernel);
            for (prefix, route) in world.wanted.clone() {
                plan.submit(FibChange::install(prefix, route));
            }
            plan.converged();
            let done = drive(&mut plan, &mut kernel, world.now, budget);
            assert_eq!(kernel.ours().len(), 100, "{budget}");
            if done {
                break;
            }
            budget += 7;
        }
        let sent = messages(&mut world);
        assert_eq!(places(&world), [(space.table, space.metric)].into());
        assert_eq!(world.kernel.ours(), world.expected());
        assert_eq!(
            sent, 200,
            "added and removed; nexthops are those from before"
        );
        assert_eq!(world.kernel.groups, groups);
        assert!(
            before
                .iter()
                .all(|id| !world.kernel.routes.contains_key(id))
        );
        assert_eq!(world.plan.counters().repairs, 0, "nobody else did anything");
        assert_eq!(messages(&mut world), 0);
    }
}

#[test]
fn nothing_goes_before_everything_is_in_the_new_place() {
    let mut world = installed();
    world.plan.set_space(Some(ELSEWHERE[1]));
    for sent in 0..=200 {
        let (old, new): (Vec<_>, Vec<_>) = ids(&world).partition(|id| (id.1, id.2) == HERE);
        assert!(
            old.len() == 100 || new.len() == 100,
            "{sent}: {} {}",
            old.len(),
            new.len()
        );
        let now = world.now;
        match world.plan.take_resync() {
            Resync::None => {}
            _ => adopt(&mut world.plan, &world.kernel),
        }
        for op in world.plan.next_batch(now, 1) {
            world.kernel.apply(&op).unwrap();
        }
    }
    assert_eq!(places(&world), [(100, DEFAULT_METRIC)].into());
}

#[test]
fn before_the_listing_nothing_is_written() {
    let mut world = installed();
    world.plan.set_space(Some(ELSEWHERE[0]));
    assert_eq!(world.plan.next_batch(world.now, 100), []);
    assert!(world.plan.waits_for_listing());
    // One that began before the change does not do.
    let mut world = installed();
    world.plan.resync_nexthops(world.kernel.list_nexthops());
    begin_routes(&mut world.plan);
    world.plan.set_space(Some(ELSEWHERE[0]));
    end_routes(&mut world.plan);
    assert_eq!(world.plan.next_batch(world.now, 100), []);
    world.step(Step::Drive);
    assert_eq!(places(&world), [(254, 1024)].into());
}

#[test]
fn without_a_place_everything_of_ours_goes_and_late_wishes_change_nothing() {
    for converged in [false, true] {
        let mut world = installed();
        if !converged {
            // What a predecessor left goes as well, before convergence.
            world.plan = new_plan();
            adopt(&mut world.plan, &world.kernel);
            world.step(Step::Submit(FibChange::install(
                net(PREFIXES[0]),
                route_to(&BOTH),
            )));
        }
        world.plan.set_space(None);
        world.step(Step::Drive);
        assert!(is_empty(&world), "{:?}", world.kernel);
        assert!(world.plan.is_gone());
        submit_again(&mut world);
        assert_eq!(messages(&mut world), 0);
        world.step(Step::Space(Some(RouteSpace::default())));
        world.step(Step::Drive);
        assert_eq!(world.kernel.ours(), world.expected());
    }
}

#[test]
fn what_was_still_to_be_written_is_not_when_routes_are_not_to_be_installed_any_more() {
    for limit in [None, Some(50)] {
        let mut world = World::new();
        let rails = GuardRails {
            max_routes: limit,
            ..GuardRails::default()
        };
        world.plan.set_guard_rails(rails);
        for prefix in many(100) {
            world.step(Step::Submit(FibChange::install(prefix, route_to(&BOTH))));
        }
        world.plan.set_space(None);
        // Every message is looked at.
        world.step(Step::Drive);
        assert!(is_empty(&world), "{:?}", world.kernel);
        // What is no wish any more when routes are installed again does not come back, however far everything was looked at.
        world.plan.set_space(Some(RouteSpace::default()));
        world.plan.set_space(None);
        world.wanted.clear();
        world.step(Step::Space(Some(RouteSpace::default())));
        world.step(Step::Drive);
        assert_eq!(ids(&world).count(), 0);
    }
    let mut world = installed();
    world.plan.set_space(None);
    world.wanted.clear();
    world.step(Step::Space(Some(RouteSpace::default())));
    world.step(Step::Drive);
    assert_eq!(ids(&world).count(), 0);
}

/// Its thread would be woken for it without a pause.
#[test]
fn nothing_is_tried_again_by_an_agent_that_does_not_write() {
    let mut world = installed();
    let taken = net(PREFIXES[3]);
    world.step(Step::Submit(FibChange::install(taken, route_to(&BOTH))));
    world.step(Step::Drive);
    assert!(world.plan.next_retry().is_some());
    world.plan.set_aside(true);
    assert_eq!(world.plan.next_retry(), None);
}

#[test]
fn a_route_that_found_its_place_taken_is_tried_at_once_in_another() {
    let mut world = installed();
    let taken = net(PREFIXES[3]);
    world.step(Step::Submit(FibChange::install(taken, route_to(&BOTH))));
    world.step(Step::Drive);
    assert_eq!(world.plan.counters().failed, 1);
    for space in ELSEWHERE {
        world.step(Step::Space(Some(space)));
        world.step(Step::Drive);
        assert_eq!(world.kernel.ours().len(), 101);
        assert_eq!(world.plan.counters().failed, 0);
    }
    world.step(Step::Space(Some(RouteSpace::default())));
    world.step(Step::Drive);
    assert_eq!(world.kernel.ours().len(), 100);
    assert_eq!(world.plan.counters().failed, 1);
    assert_eq!(places(&world), [HERE].into());
}

#[test]
fn what_is_another_agents_is_left_alone_until_it_is_ours() {
    let mut world = installed();
    let theirs = world.kernel.clone();
    world.plan = new_plan();
    world.plan.set_aside(true);
    adopt(&mut world.plan, &world.kernel);
    world.plan.converged();
    world
        .plan
        .submit(FibChange::install(net(PREFIXES[0]), route_to(&BOTH)));
    assert_eq!(messages(&mut world), 0);
    assert_eq!(world.kernel.routes, theirs.routes);
    let counters = world.plan.counters();
    assert_eq!((counters.stale, counters.nexthops), (0, 0));
    // It has ended.
    world.step(Step::Aside(false));
    world.step(Step::Drive);
    let ours: Vec<IpNet> = ids(&world).map(|id| id.0).collect();
    assert_eq!(ours, [net(PREFIXES[0])]);
}

/// The Router could not be read when the agent started, and the routes have converged without it.
#[test]
fn what_a_predecessor_left_stays_for_a_while_once_its_place_is_known() {
    let mut world = installed();
    world.plan = new_plan();
    world.plan.set_aside(true);
    world.plan.converged();
    assert_eq!(messages(&mut world), 0);
    world.plan.converges_again();
    world.step(Step::Aside(false));
    world.step(Step::Drive);
    assert_eq!(ids(&world).count(), 100, "until peers have announced them");
    world.plan.converged();
    world.step(Step::Drive);
    assert_eq!(ids(&world).count(), 0);
}

#[test]
fn refused_destinations_follow_the_table_of_learned_routes() {
    let mut world = installed();
    let network = net("203.0.112.0/22");
    world
        .plan
        .set_refused(None, [(network, Refusal::Aggregate)]);
    world.step(Step::Drive);
    let yields = |world: &World| -> BTreeSet<u32> {
        let rules = world.kernel.rules.iter();
        rules
            .filter(|rule| rule.suppress.is_some())
            .map(|rule| rule.table)
            .collect()
    };
    assert_eq!(yields(&world), [254].into());
    world.step(Step::Space(Some(ELSEWHERE[1])));
    world.step(Step::Drive);
    assert_eq!(yields(&world), [100, 254].into());
    // They are no learned routes.
    world.step(Step::Space(None));
    world.step(Step::Drive);
    assert_eq!(yields(&world), [100, 254].into());
    let refused = (network, refusal::DEFAULT_TABLE, refusal::METRIC);
    assert!(world.kernel.routes.contains_key(&refused));
    world.step(Step::Space(Some(RouteSpace::default())));
    world.step(Step::Drive);
    assert_eq!(yields(&world), [254].into());
}

#[test]
fn what_was_left_in_the_kernel_is_not_known_while_it_is_anothers_nor_before_it_was_listed() {
    let mut world = installed();
    world.plan = new_plan();
    assert!(world.plan.set_aside(true));
    adopt(&mut world.plan, &world.kernel);
    assert_eq!(world.plan.adopted(), None);
    assert!(world.plan.set_aside(false));
    assert_eq!(world.plan.adopted(), None);
    world.plan.resync_nexthops(world.kernel.list_nexthops());
    begin_routes(&mut world.plan);
    assert_eq!(world.plan.adopted(), None);
    adopt(&mut world.plan, &world.kernel);
    assert_eq!(world.plan.adopted(), Some(100));
}

/// An agent that is aside for long hears of many next hops, and keeps what the routes have now.
#[test]
fn an_agent_that_does_not_write_forgets_what_nobody_wants_any_more() {
    let mut world = installed();
    world.plan.set_aside(true);
    for n in 0..200_u8 {
        let way = |last| FibNexthop::via(Ipv4Addr::new(192, 0, 2, last).into(), 2);
        for prefix in many(10) {
            let nexthops = [way(n), way(n.wrapping_add(1))].into_iter().collect();
            world
                .plan
                .submit(FibChange::install(prefix, FibRoute { nexthops }));
        }
        assert_eq!(world.plan.next_batch(world.now, 100), []);
    }
    let sets = world.plan.nexthops.sets_in_use();
    assert!(sets < 40, "{sets} sets of ten routes");
    let objects = world.plan.nexthops.objects.len();
    assert!(objects < 60, "{objects} objects of ten routes");
}

/// As is one that has not converged.
#[test]
fn a_route_that_changes_while_its_leftover_waits_is_to_be_looked_at_once() {
    let mut world = World::new();
    world.begin_with_metric(1024);
    for prefix in many(10) {
        world.step(Step::Submit(FibChange::install(prefix, route_to(&BOTH))));
    }
    world.step(Step::Drive);
    world.plan = new_plan();
    adopt(&mut world.plan, &world.kernel);
    world.plan.set_aside(true);
    for round in 0..100 {
        for prefix in many(10) {
            let change = FibChange::install(prefix, route_to(&BOTH[..1 + round % 2]));
            world.step(Step::Submit(change));
        }
        let _ = world.plan.next_batch(world.now, 100);
    }
    assert!(world.plan.leftovers.touched() <= 10);
    world.rest();
    assert_eq!(world.kernel.ours(), world.expected());
    assert_eq!(places(&world), [HERE].into());
}
