//! The RIB against the oracle, which knows nothing of indices, groups and shortcuts.
#![allow(clippy::unwrap_used)]

mod border;
mod convergence;
mod limits;
mod lost;
mod next_hops;
mod strategies;
mod too_long;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::types::{Community, Family};
use proptest::prelude::*;

use super::model::*;
use super::{Rib, RibEvent};
use crate::attrs::NextHopResolver;
use crate::peer::{PeerConfig, PeerId, SessionInfo};
use crate::table::{LimitOf, RefusedFor};
use strategies::{any_op, restart_op};

#[test]
fn prefixes_that_changed_are_a_backlog_until_their_peers_are_told() {
    let mut world = World::new();
    let kind = SessionKind {
        graceful: false,
        restarting: false,
        forwarding: false,
        long_lived: false,
        ipv6: false,
    };
    world.apply(&Op::Up(0, kind));
    world.drain();
    world.announce(0, &[(0, 0), (1, 0)], &plain_attributes(1));
    world.announce(0, &[(1, 0), (2, 0)], &plain_attributes(2));
    assert_eq!(world.rib.backlog(), 3, "each prefix once");
    world.check();
}

#[test]
fn other_own_addresses_are_told_in_the_same_session_and_none_withdraws() {
    let mut world = World::new();
    let told = |world: &World, prefix: &str| {
        let told = world.rib.explain_export(PeerId(1), prefix.parse().unwrap());
        told.unwrap().map(|told| told.next_hop.to_string())
    };
    world.apply(&Op::Originate(vec![(1, 0), (5, 0)]));
    let mut config = peer_config(1);
    config.advertisements = [crate::AdvertisementId(0)].into();
    world.set_peer(1, config);
    world.apply(&Op::Up(1, PLAIN));
    world.drain();
    let none = Err(crate::export::Suppressed::NoNextHop);
    for (way, ipv4, ipv6) in [
        (0, Ok("10.9.0.254"), none),
        (2, Ok("10.9.0.254"), Ok("2001:db8:0:9::2")),
        (1, Ok("10.9.0.253"), Ok("2001:db8:0:9::1")),
        (3, none, none),
        (1, Ok("10.9.0.253"), Ok("2001:db8:0:9::1")),
    ] {
        world.apply(&Op::Moved(1, way));
        world.drain();
        // What the peer has heard is what is said to be told.
        world.check();
        assert_eq!(
            told(&world, "10.1.0.0/16"),
            ipv4.map(str::to_owned),
            "{way}"
        );
        assert_eq!(
            told(&world, "2001:db8:1::/48"),
            ipv6.map(str::to_owned),
            "{way}"
        );
    }
}

#[test]
fn a_message_may_bring_two_paths_of_one_prefix() {
    let kind = SessionKind {
        graceful: false,
        restarting: false,
        forwarding: false,
        long_lived: false,
        ipv6: false,
    };
    let attributes = Attributes {
        next_hop: 1,
        ..Attributes::default()
    };
    let both = Op::Announce(4, vec![(0, 0), (0, 1)], attributes);
    run(&[Op::Up(4, kind), both, Op::Withdraw(4, 0, 1)]);
}

#[test]
fn convergence_is_told_after_the_last_route_that_belongs_to_it() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    world.drain();
    let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
    world.announce(1, &nlri, &plain_attributes(1));
    // Long enough for the peers that are not there.
    world.now += Duration::from_secs(3600);
    while world.poll(3) {}
    let told = |world: &mut World| world.rib.take_events().contains(&RibEvent::Converged);
    assert!(!told(&mut world));
    let mut handed_out = 0;
    loop {
        let taken = world.rib.take_fib_changes(3, |_, _| {});
        handed_out += taken;
        if taken < 3 {
            break;
        }
        assert!(!told(&mut world) && !world.rib.converged());
    }
    assert_eq!(handed_out, 4);
    assert!(told(&mut world) && world.rib.converged());
    world.poll(3);
    assert!(!told(&mut world), "once");
}

/// A refresh whose routes a walk has to remove, so that there always is one under way.
fn keep_walking(world: &mut World, prefix: usize) {
    world.apply(&Op::RefreshBegins(1));
    world.announce(1, &[(prefix, 0)], &plain_attributes(1));
    world.apply(&Op::RefreshEnds(1));
}

#[test]
fn a_peer_whose_routes_are_always_walked_over_keeps_back_neither_convergence_nor_end_of_rib_for_ever()
 {
    let mut world = World::new();
    for number in [1, 2] {
        world.apply(&Op::Up(number, PLAIN));
    }
    let (mut fib_changes, mut polls) = (0, 0);
    while !world.rib.converged() {
        keep_walking(&mut world, polls % 4);
        world.now += Duration::from_secs(1);
        assert!(world.rib.poll(world.now, 1, &mut world.heard));
        fib_changes += world.rib.take_fib_changes(10, |_, _| {});
        polls += 1;
        let (_, sent) = world.rib.end_of_rib(PeerId(2), Family::IPV4_UNICAST);
        assert!(sent || polls <= 121, "End-of-RIB");
        assert!(polls <= 241, "convergence");
    }
    assert!(fib_changes > 0 && polls > 120);
}

#[test]
fn a_walk_over_one_family_does_not_keep_back_that_over_the_other() {
    let mut world = World::new();
    for number in [0, 1] {
        world.apply(&Op::Up(number, PLAIN));
    }
    let ipv6 = prefixes()[4];
    world.announce(0, &[(4, 0)], &plain_attributes(1));
    let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
    world.announce(1, &nlri, &plain_attributes(1));
    world.drain();
    keep_walking(&mut world, 0);
    world.rib.remove_peer(PeerId(0));
    let mut polls = 0;
    while world
        .rib
        .route(ipv6)
        .is_some_and(|route| !route.paths.is_empty())
    {
        keep_walking(&mut world, polls % 4);
        world.rib.poll(world.now, 2, &mut world.heard);
        polls += 1;
        assert!(polls < 20, "the lost route is still there");
    }
}

/// Those that were queued while the FIB was closed are forgotten as they are taken.
#[test]
fn convergence_is_not_told_between_the_routes_for_a_fib_that_opens_again() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    let nlri: Vec<(usize, u32)> = (0..4).map(|prefix| (prefix, 0)).collect();
    world.announce(1, &nlri, &plain_attributes(1));
    world.now += Duration::from_secs(3600);
    while world.poll(3) {}
    world.rib.set_fib(false);
    world.rib.take_fib_changes(3, |_, _| {});
    world.rib.set_fib(true);
    let mut handed_out = 0;
    while handed_out < 4 {
        assert!(!world.rib.converged(), "{handed_out} of 4");
        handed_out += world.rib.take_fib_changes(1, |_, _| {});
        world.rib.poll(world.now, 1, &mut world.heard);
    }
    while world.poll(3) {}
    world.rib.take_fib_changes(3, |_, _| {});
    assert!(world.rib.converged());
}

proptest! {
    #![proptest_config(crate::soak::cases(200))]

    #[test]
    fn the_rib_equals_the_oracle_after_any_sequence_and_forgets_everything_with_its_peers(
        ops in prop::collection::vec(any_op(), 0..120),
    ) {
        run(&ops);
    }

    #[test]
    fn the_rib_equals_the_oracle_when_peers_restart_over_and_over(
        ops in prop::collection::vec(restart_op(), 0..120),
    ) {
        run(&ops);
    }
}

#[test]
fn a_prefix_limit_and_the_share_before_it_are_reported_once_per_session() {
    let mut world = World::new();
    let limit = |max: u32, warning: u32| PeerConfig {
        max_prefixes: Some(max),
        prefix_warning: Some(warning),
        ..peer_config(1)
    };
    world.set_peer(1, limit(3, 1));
    let announced = |world: &mut World, prefixes: std::ops::Range<usize>| {
        let nlri: Vec<_> = prefixes.map(|prefix| (prefix, 0)).collect();
        world.announce(1, &nlri, &plain_attributes(1));
        while world.poll(3) {}
        let events = world.rib.take_events().into_iter();
        let of_limits = |event: &RibEvent| {
            matches!(
                event,
                RibEvent::PrefixWarning { .. } | RibEvent::PrefixLimit { .. }
            )
        };
        events.filter(of_limits).collect::<Vec<_>>()
    };
    let (peer, family) = (PeerId(1), Family::IPV4_UNICAST);
    let near = |accepted, limit| RibEvent::PrefixWarning {
        peer,
        family,
        accepted,
        limit: Some(limit),
    };
    let exceeded = |limit| RibEvent::PrefixLimit {
        peer,
        family,
        limit,
        of: LimitOf::Accepted,
    };
    for _ in 0..2 {
        world.apply(&Op::Up(1, PLAIN));
        assert_eq!(announced(&mut world, 0..1), []);
        assert_eq!(announced(&mut world, 1..2), [near(2, 3)]);
        assert_eq!(announced(&mut world, 2..3), [], "near is said once");
        assert_eq!(announced(&mut world, 3..4), [exceeded(3)]);
        assert_eq!(announced(&mut world, 4..5), [], "exceeded is said once");
        world.apply(&Op::Down(1, false));
        world.drain();
    }
    // Over both at once, and again when the limit changes.
    world.apply(&Op::Up(1, PLAIN));
    assert_eq!(announced(&mut world, 0..4), [exceeded(3)]);
    world.set_peer(1, limit(4, 3));
    assert_eq!(announced(&mut world, 0..4), [near(4, 4)]);
}
