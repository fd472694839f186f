//! A router that is lost is cut before anything else is looked at that there can be thousands of.
#![allow(clippy::unwrap_used)]

use super::super::work::LOOKS;
use super::alone::{Alone, with_sets};
use super::*;

/// The router that all sets have beside others, and one of these.
const LOST: u32 = 1;

/// Loses a router. The next step cuts it: none of those that come before it looks at something else.
#[track_caller]
fn is_cut_at_once(alone: &mut Alone) {
    alone.set_down(LOST, true);
    let mut looked_at = 0;
    let first = loop {
        let ops = alone.step().expect("it is cut");
        if !ops.is_empty() {
            break ops;
        }
        looked_at += LOOKS;
    };
    assert!(
        matches!(first.as_slice(), [Op::DeleteNexthop { .. }]),
        "{first:?}"
    );
    assert_eq!(looked_at, 0, "looks before it was cut");
}

#[test]
fn a_lost_router_is_cut_before_everything_is_looked_at_again() {
    let mut alone = with_sets(1000);
    // After each listing of nexthop objects.
    alone.plan.nexthops.dirty = true;
    is_cut_at_once(&mut alone);
    // It is under way.
    alone.set_down(LOST, false);
    alone.most(|_| 0);
    alone.plan.nexthops.dirty = true;
    for _ in 0..3 {
        assert_eq!(alone.step().unwrap(), []);
    }
    is_cut_at_once(&mut alone);
}

/// Those that are looked at, too, may have to be cut: not those that are there already, and not before the one that was lost.
#[test]
fn a_lost_router_is_cut_before_thousands_of_others_are_looked_at() {
    let mut alone = with_sets(10);
    for (prefix, router) in many(1010).skip(10).zip(100..) {
        alone.install(prefix, [router]);
    }
    alone.most(|_| 0);
    for router in 100..1100 {
        alone.set_down(router, true);
    }
    alone.most(|_| 0);
    alone.plan.nexthops.dirty = true;
    for _ in 0..30 {
        assert_eq!(alone.step().unwrap(), []);
    }
    is_cut_at_once(&mut alone);
}

#[test]
fn a_lost_router_is_cut_before_thousands_of_routes_are_tried_again() {
    let mut alone = with_sets(10);
    for prefix in many(1010).skip(10) {
        alone.install(prefix, [0, LOST]);
    }
    loop {
        let ops = alone.plan.next_batch(alone.now, 256);
        if ops.is_empty() && !alone.plan.is_walking() {
            break;
        }
        for op in ops.iter().filter(|op| matches!(op, Op::Route(_))) {
            let taken = KernelError::from_errno(libc::EEXIST);
            alone.plan.refused(alone.now, op, taken);
        }
        alone.plan.carried_out(&ops);
    }
    assert_eq!(alone.plan.counters().failed, 1000);
    alone.now += Duration::from_secs(61);
    is_cut_at_once(&mut alone);
    // Those come after it.
    let tried = alone.most(|plan| plan.v4.queue.len());
    assert!(tried > 0);
}

#[test]
fn a_lost_router_is_cut_before_thousands_of_nexthops_are_tried_again() {
    let mut alone = with_sets(10);
    for (prefix, router) in many(1010).skip(10).zip(100..) {
        alone.install(prefix, [router]);
    }
    loop {
        let ops = alone.plan.next_batch(alone.now, 256);
        if ops.is_empty() && !alone.plan.is_walking() {
            break;
        }
        for op in ops.iter().filter(|op| matches!(op, Op::AddObject { .. })) {
            let refused = KernelError::from_errno(libc::EINVAL);
            alone.plan.refused(alone.now, op, refused);
        }
        alone.plan.carried_out(&ops);
    }
    alone.now += Duration::from_secs(61);
    is_cut_at_once(&mut alone);
}

/// What an earlier version left in the main table.
#[test]
fn a_lost_router_is_cut_before_thousands_of_blackholes_are_removed() {
    let mut alone = with_sets(10);
    let hole = |prefix| RouteOp {
        prefix,
        table: 254,
        metric: DEFAULT_METRIC,
        action: RouteAction::Delete,
        previous: Slot::NONE,
    };
    alone.plan.holes.extend(many(1000).map(hole));
    is_cut_at_once(&mut alone);
}

/// An agent that keeps what a predecessor left has sets that nobody wants any more: they are forgotten, but not first.
#[test]
fn a_lost_router_is_cut_before_thousands_of_sets_are_forgotten() {
    let mut alone = with_sets(1000);
    alone.plan.converges_again();
    for prefix in many(1000) {
        alone.install(prefix, [LOST, 0]);
    }
    // Wishes come while a step is taken.
    for set in 0..100 {
        alone.plan.nexthops.set_is_loose(set);
    }
    is_cut_at_once(&mut alone);
    alone.most(|_| 0);
    assert!(alone.plan.nexthops.sets_in_use() < 100);
}

/// What the first makes of its groups does not come before the others.
#[test]
fn routers_that_are_lost_at_once_are_cut_before_anything_follows_from_that() {
    let mut alone = with_sets(1000);
    let lost = 1..9;
    for router in lost.clone() {
        alone.set_down(router, true);
    }
    for _ in lost {
        let ops = alone.step().unwrap();
        assert!(
            matches!(ops.as_slice(), [Op::DeleteNexthop { .. }, ..]),
            "{ops:?}"
        );
    }
    // The first router is in all groups, and alone in some of them now: nothing goes.
    alone.set_down(0, true);
    while let Some(ops) = alone.step() {
        let is_change = |op: &Op| matches!(op, Op::ReplaceGroup { .. });
        assert!(ops.iter().all(is_change), "{ops:?}");
    }
    let groups = alone.plan.nexthops.groups.values();
    assert!(groups.clone().all(|group| !group.content.is_empty()));
    assert!(groups.clone().any(|group| group.content.len() == 1));
}

#[test]
fn a_router_is_lost_until_neither_the_rib_nor_bfd_says_so() {
    for ifindex in [Some(2), None] {
        let mut alone = with_sets(10);
        let all = Alone::members(&alone.plan);
        let bfd = |alone: &mut Alone, down| {
            let gateway = Ipv4Addr::from_bits(0x0a00_0000 + LOST);
            alone.plan.set_bfd_down(gateway.into(), ifindex, down);
        };
        let is_used = |alone: &mut Alone| {
            alone.most(|_| 0);
            Alone::members(&alone.plan) == all
        };
        for (by_rib, by_bfd) in [
            (None, Some(true)),
            (Some(true), None),
            (Some(false), None),
            (Some(true), None),
            (None, Some(false)),
        ] {
            if let Some(down) = by_rib {
                alone.set_down(LOST, down);
            }
            if let Some(down) = by_bfd {
                bfd(&mut alone, down);
            }
            assert!(!is_used(&mut alone), "{ifindex:?} {by_rib:?} {by_bfd:?}");
        }
        alone.set_down(LOST, false);
        assert!(is_used(&mut alone));
    }
}

#[test]
fn a_router_that_bfd_has_lost_is_cut_first_via_every_interface_or_one() {
    for (ifindex, is_cut) in [(None, true), (Some(2), true), (Some(3), false)] {
        let mut alone = with_sets(10);
        alone.plan.nexthops.dirty = true;
        let gateway = Ipv4Addr::from_bits(0x0a00_0000 + LOST);
        alone.plan.set_bfd_down(gateway.into(), ifindex, true);
        let first = std::iter::from_fn(|| alone.step()).find(|ops| !ops.is_empty());
        let cut = matches!(first.as_deref(), Some([Op::DeleteNexthop { .. }]));
        assert_eq!(cut, is_cut, "{ifindex:?}: {first:?}");
        // An object that is made later is lost from the beginning.
        let late = many(11).last().unwrap();
        let alone_by = LOST + 100;
        let gateway = Ipv4Addr::from_bits(0x0a00_0000 + alone_by);
        alone.plan.set_bfd_down(gateway.into(), ifindex, true);
        alone.install(late, [0, alone_by]);
        alone.most(|_| 0);
        let mut objects = alone.plan.nexthops.objects.iter();
        let state = objects.find(|state| state.object.gateway == Some(gateway.into()));
        assert_eq!(state.unwrap().down, is_cut, "{ifindex:?}");
    }
}
