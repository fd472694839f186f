//! Refusals: what is a failure, what was a race, and that no record outlives what it is about.
#![allow(clippy::unwrap_used)]

use super::*;

fn submit(world: &mut World, prefix: &str, ways: &[(usize, u8)]) {
    world.step(Step::Submit(FibChange::install(
        net(prefix),
        route_to(ways),
    )));
}

/// Found by the property with 100,000 cases: the kernel refuses a route, and while it waits for its next attempt the way goes that it
/// was to lead over.
#[test]
fn a_route_that_was_tried_again_without_a_group_leaves_no_record() {
    let mut world = World::new();
    submit(&mut world, PREFIXES[3], &[(2, 3), (1, 2)]);
    submit(&mut world, PREFIXES[2], &[(3, 3)]);
    world.step(Step::Drive);
    submit(&mut world, PREFIXES[2], &[(2, 1), (1, 5)]);
    world.step(Step::Refuse(7));
    submit(&mut world, PREFIXES[6], &[(2, 4), (3, 1)]);
    for (interface, up) in [(2, false), (3, true)] {
        world.step(Step::Link(interface, up));
    }
    world.step(Step::Submit(FibChange::remove(net(PREFIXES[3]))));
    world.step(Step::Drive);
    world.step(Step::Refuse(9));
    submit(&mut world, PREFIXES[5], &[(2, 1)]);
    world.step(Step::Drive);
    world.step(Step::DeleteRoute(2));
    world.step(Step::Drive);
    world.step(Step::Refuse(10));
    submit(&mut world, PREFIXES[4], &[(0, 1), (3, 1)]);
    world.step(Step::Drive);
    submit(&mut world, PREFIXES[1], &[(2, 2)]);
    submit(&mut world, PREFIXES[0], &[(0, 2), (3, 5)]);
    submit(&mut world, PREFIXES[7], &[(3, 3)]);
    world.step(Step::Drive);
    submit(&mut world, PREFIXES[7], &[(2, 5)]);
    world.step(Step::DeleteNexthop(6));
    world.step(Step::Submit(FibChange::remove(net(PREFIXES[0]))));
    world.step(Step::Link(2, true));
    submit(&mut world, PREFIXES[1], &[(1, 4), (0, 3)]);
    world.step(Step::Drive);
    world.step(Step::Link(3, true));
    world.rest();
    assert_eq!(world.kernel.ours(), world.expected());
    assert_eq!(world.plan.counters().failed, 0);
    assert!(world.plan.records_are_in_order());
}

/// Found by the property with 6,000 cases.
#[test]
fn what_is_gone_from_another_place_is_not_removed_again() {
    for what in [Step::Link(2, false), Step::DeleteRoute(1)] {
        let mut world = World::new();
        submit(&mut world, PREFIXES[0], &[(0, 1)]);
        world.step(Step::Drive);
        world.step(Step::Space(Some(ELSEWHERE[1])));
        world.step(Step::Drive);
        assert_eq!(world.plan.adopted(), Some(1));
        world.step(what);
        world.step(Step::Drive);
        assert_eq!(world.plan.adopted(), Some(0));
        world.step(Step::Converged);
        world.step(Step::Drive);
        assert_eq!(world.kernel.futile, []);
    }
}

/// Somebody removes it, and what the kernel says of that is heard after it was put back: the plan takes it for gone.
#[test]
fn a_route_that_is_there_after_all_is_found_whatever_the_kernel_refused_before() {
    let mut world = World::new();
    submit(&mut world, PREFIXES[0], &[(0, 1)]);
    world.step(Step::Drive);
    let routes = world.kernel.list_routes();
    let ours = routes.iter().find(|r| r.protocol == ROUTE_PROTOCOL);
    world.plan.route_event(Presence::Gone, ours.unwrap());
    // Its first attempt fails for another reason than that the place is taken.
    world.step(Step::Refuse(1));
    for _ in 0..2 {
        world.step(Step::Drive);
        world.step(Step::Wait);
    }
    let status = world.plan.route(net(PREFIXES[0]), world.now).unwrap();
    assert_eq!(status.state, FibRouteState::Installed);
    // From here on it follows what is wanted.
    submit(&mut world, PREFIXES[0], &[(1, 1)]);
    world.step(Step::Drive);
    assert_eq!(world.kernel.ours(), world.expected());
}

/// Listing a million routes at each attempt would be too much.
#[test]
fn a_place_that_is_somebody_elses_is_looked_for_once() {
    let mut world = World::new();
    submit(&mut world, PREFIXES[3], &[(0, 1)]);
    world.step(Step::Drive);
    let listings = world.plan.counters().resyncs;
    for _ in 0..3 {
        world.step(Step::Wait);
        let sent = messages(&mut world);
        assert_eq!(sent, 1, "it is tried again");
    }
    assert_eq!(world.plan.counters().resyncs, listings);
}

/// At a withdrawal that ends the thread, or before another agent writes: what was refused is looked into first.
#[test]
fn nothing_is_gone_before_it_is_known_what_became_of_a_refused_removal() {
    let withdraw = |refused: Option<usize>| {
        let mut alone = alone::Alone::new();
        alone.install(many(1).next().unwrap(), [0]);
        alone.most(|_| 0);
        alone.plan.withdraw();
        let mut removals = 0;
        loop {
            let ops = alone.plan.next_batch(alone.now, 256);
            if ops.is_empty() && !alone.plan.is_walking() {
                return (removals, alone.plan.is_gone());
            }
            for op in &ops {
                if matches!(op, Op::DeleteNexthop { .. }) {
                    removals += 1;
                    if Some(removals) == refused {
                        let error = KernelError::from_errno(libc::ENOMEM);
                        alone.plan.refused(alone.now, op, error);
                    }
                }
            }
            alone.plan.carried_out(&ops);
        }
    };
    let (removals, is_gone) = withdraw(None);
    assert!(removals > 0 && is_gone);
    assert_eq!(withdraw(Some(removals)), (removals, false));
}
