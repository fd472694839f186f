//! When nothing of ours is in the kernel any more, and when that is not known.
#![allow(clippy::unwrap_used)]

use super::space::{installed, is_empty};
use super::*;

#[test]
fn what_is_in_the_kernel_of_an_agent_that_does_not_write_is_not_gone() {
    let mut world = installed();
    world.plan.set_aside(true);
    assert!(!world.plan.is_gone());
    // It writes again, to remove all of it.
    world.plan.set_aside(false);
    world.plan.withdraw();
    assert!(!world.plan.is_gone(), "nothing was listed");
    world.step(Step::Drive);
    assert!(world.plan.is_gone());
    assert!(is_empty(&world));
}

/// Nobody waits for all of it in one step.
#[test]
fn everything_is_withdrawn_in_steps() {
    let mut world = installed();
    world.plan.withdraw();
    let wanted = |plan: &Plan| {
        let entries = plan.v4.iter();
        entries.filter(|e| e.desired != Want::NONE).count()
    };
    assert!(
        wanted(&world.plan) > 90,
        "it is begun by whoever asks for it"
    );
    world.step(Step::Drive);
    assert!(is_empty(&world) && world.plan.is_gone());
}

/// Who asks may let another agent write.
#[test]
fn what_is_listed_again_is_not_gone_meanwhile() {
    let mut world = World::new();
    world.plan.withdraw();
    world.step(Step::Drive);
    assert!(world.plan.is_gone());
    // An earlier version left it in the main table.
    let hole = Route {
        prefix: net("198.51.100.0/24"),
        table: 254,
        protocol: ROUTE_PROTOCOL,
        metric: DEFAULT_METRIC,
        kind: RouteKind::Blackhole,
        replaces: false,
        special: false,
        nexthop_id: None,
        hops: smallvec::SmallVec::new(),
    };
    begin_routes(&mut world.plan);
    world.plan.resync_route(&hole);
    end_routes(&mut world.plan);
    assert!(!world.plan.is_gone());
    assert_eq!(world.plan.counters().stale, 1);
    // It begins anew because something changed meanwhile.
    for _ in 0..2 {
        begin_routes(&mut world.plan);
        assert!(!world.plan.is_gone(), "it is still there");
        assert_eq!(world.plan.counters().stale, 1);
    }
    end_routes(&mut world.plan);
    assert!(world.plan.is_gone(), "somebody else removed it");
    assert_eq!(world.plan.counters().stale, 0);
}
