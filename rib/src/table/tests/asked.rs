//! What a table answers, what it hands out again, and what it does not do for nothing.

mod handed_out;

use super::*;
use crate::facade::{RibEvent, RouteFilter, RoutesCursor};
use crate::peer::PeerKind;
use crate::table::{LimitOf, Options, PathStatus, Rule, Table};
use bgp::types::Family;
use std::collections::BTreeSet;
use std::net::IpAddr;

fn rejected() -> Attributes {
    Attributes {
        path: vec![OWN.0],
        ..plain_attributes(1)
    }
}

fn matched(world: &World, address: &str) -> Option<String> {
    let address: IpAddr = address.parse().unwrap();
    let route = world.rib.longest_match(address)?;
    Some(route.prefix.to_string())
}

/// The prefixes that are handed out for the FIB, each with whether it has a route.
fn handed_out(world: &mut World) -> BTreeSet<(IpNet, bool)> {
    let mut found = BTreeSet::new();
    let taken = world.rib.take_fib_changes(100, |prefix, route| {
        assert!(found.insert((prefix, route.is_some())), "{prefix} twice");
    });
    assert_eq!(taken, found.len());
    found
}

fn settled(world: &mut World) {
    while world.poll(10) {}
    while world.rib.take_fib_changes(10, |_, _| {}) == 10 {}
}

#[test]
fn an_address_is_matched_by_the_most_specific_prefix_that_has_a_best_path() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    assert_eq!(matched(&world, "10.1.2.3"), None, "there is no route");
    // 10.0.0.0/8, 10.1.0.0/16, 0.0.0.0/0 and both IPv6 prefixes. The path of 10.1.2.0/24 is not accepted.
    let usable = [(0, 0), (1, 0), (3, 0), (4, 0), (5, 0)];
    world.announce(1, &[(2, 0)], &rejected());
    world.announce(1, &usable, &plain_attributes(1));
    let all = [
        ("10.1.2.3", Some("10.1.0.0/16")),
        ("10.1.255.255", Some("10.1.0.0/16")),
        ("10.2.0.0", Some("10.0.0.0/8")),
        ("10.255.255.255", Some("10.0.0.0/8")),
        ("11.0.0.0", Some("0.0.0.0/0")),
        ("9.255.255.255", Some("0.0.0.0/0")),
        ("2001:db8:1::1", Some("2001:db8:1::/48")),
        ("2001:db8:2::1", Some("2001:db8::/32")),
        ("2001:db9::1", None),
        ("::", None),
    ];
    for (address, prefix) in all {
        assert_eq!(matched(&world, address).as_deref(), prefix, "{address}");
    }
    world.announce(1, &[(2, 0)], &plain_attributes(1));
    assert_eq!(matched(&world, "10.1.2.3").as_deref(), Some("10.1.2.0/24"));
    for (withdrawn, prefix) in [
        (2, Some("10.1.0.0/16")),
        (1, Some("10.0.0.0/8")),
        (0, Some("0.0.0.0/0")),
        (3, None),
    ] {
        world.apply(&Op::Withdraw(1, withdrawn, 0));
        assert_eq!(matched(&world, "10.1.2.3").as_deref(), prefix);
    }
}

/// The peers whose paths are listed, by prefix.
fn listed(world: &World, filter: &RouteFilter) -> Vec<(String, Vec<Option<PeerId>>)> {
    let mut found = Vec::new();
    let end = world
        .rib
        .routes(filter, RoutesCursor::default(), usize::MAX, &mut |route| {
            let peers = route.paths.iter().map(|path| path.peer).collect();
            found.push((route.prefix.to_string(), peers));
        });
    assert_eq!(end, None);
    found.sort();
    found
}

#[test]
fn a_listing_has_the_paths_that_are_asked_for_by_peer_and_selection() {
    let mut world = World::new();
    // The AS_PATH of peer 1 is the shortest; peer 5 is not on the way, peer 2 brings a path that is not accepted.
    for (number, attributes) in [
        (1, plain_attributes(1)),
        (
            5,
            Attributes {
                path: vec![64999],
                ..plain_attributes(2)
            },
        ),
        (2, rejected()),
    ] {
        world.apply(&Op::Up(number, PLAIN));
        world.announce(number, &[(A, 0)], &attributes);
    }
    world.announce(2, &[(B, 0)], &rejected());
    let [a, b] = [A, B].map(|place| prefixes()[place].to_string());
    let [one, two, five] = [1, 2, 5].map(|number| Some(PeerId(number)));
    let all = RouteFilter::all(Family::IPV4_UNICAST);
    let of = |peer: Option<PeerId>, selected| RouteFilter {
        peer,
        selected,
        ..all.clone()
    };
    for (filter, expected) in [
        (
            all.clone(),
            vec![(a.clone(), vec![one, five, two]), (b.clone(), vec![two])],
        ),
        (of(None, true), vec![(a.clone(), vec![one])]),
        (of(one, false), vec![(a.clone(), vec![one])]),
        (of(one, true), vec![(a.clone(), vec![one])]),
        (of(five, false), vec![(a.clone(), vec![five])]),
        (of(five, true), vec![]),
        (of(two, false), vec![(a, vec![two]), (b, vec![two])]),
        (of(two, true), vec![]),
        (RouteFilter::all(Family::IPV6_UNICAST), vec![]),
    ] {
        assert_eq!(listed(&world, &filter), expected, "{filter:?}");
    }
    let route = world.rib.route(prefixes()[A]).unwrap();
    let statuses: Vec<PathStatus> = route.paths.iter().map(|path| path.status).collect();
    assert!(
        matches!(
            statuses[..],
            [
                PathStatus::Best(_),
                PathStatus::Lost(_),
                PathStatus::Rejected(_)
            ]
        ),
        "{statuses:?}"
    );
}

#[test]
fn a_path_that_is_repeated_as_it_was_is_no_news_to_anybody() {
    let mut world = World::new();
    for number in [0, 1] {
        world.apply(&Op::Up(number, PLAIN));
    }
    let announce = |world: &mut World| world.announce(1, &[(A, 0)], &plain_attributes(1));
    let stale = |world: &World| world.rib.counts(PeerId(1), Family::IPV4_UNICAST).stale;
    announce(&mut world);
    assert_eq!(world.rib.backlog(), 1);
    settled(&mut world);
    for refresh in [false, true, true] {
        if refresh {
            world.apply(&Op::RefreshBegins(1));
            assert!(!world.poll(0), "nothing is to be removed so far");
            assert_eq!(stale(&world), 1);
        }
        announce(&mut world);
        assert_eq!((stale(&world), world.rib.backlog()), (0, 0));
        assert_eq!(handed_out(&mut world), BTreeSet::new());
        if refresh {
            world.apply(&Op::RefreshEnds(1));
            settled(&mut world);
        }
    }
}

#[test]
fn what_this_node_originates_is_news_only_where_it_differs() {
    let mut world = World::new();
    world.apply(&Op::Up(0, PLAIN));
    settled(&mut world);
    // The node's own routes lead to it, so there is none to be handed out.
    let (one, other) = ((A, 0), (B, 0));
    for (wanted, news, changes) in [
        (vec![one], 1, vec![(A, false)]),
        (vec![one], 0, vec![]),
        (vec![one, other], 1, vec![(B, false)]),
        (vec![(A, 1), other], 1, vec![(A, false)]),
        (vec![other], 1, vec![(A, false)]),
        (vec![], 1, vec![(B, false)]),
    ] {
        world.apply(&Op::Originate(wanted.clone()));
        assert_eq!(world.rib.backlog(), news, "{wanted:?}");
        while world.poll(10) {}
        let changes = changes
            .into_iter()
            .map(|(at, there)| (prefixes()[at], there));
        assert_eq!(handed_out(&mut world), changes.collect(), "{wanted:?}");
    }
}

#[test]
fn peers_hear_what_follows_from_another_kind_of_the_peer_that_a_route_is_from() {
    let mut world = World::new();
    for number in [1, 3, 4] {
        world.apply(&Op::Up(number, PLAIN));
    }
    world.announce(4, &[(A, 0)], &plain_attributes(1));
    let heard = |world: &mut World| {
        settled(world);
        world.heard.check(&world.rib);
        let told = world.rib.explain_export(PeerId(3), prefixes()[A]);
        told.is_some_and(|told| told.is_ok())
    };
    assert!(heard(&mut world), "from a client to an internal peer");
    for (kind, advertised) in [
        (PeerKind::Internal, false),
        (PeerKind::ReflectorClient, true),
    ] {
        let config = PeerConfig {
            kind,
            ..peer_config(4)
        };
        world.set_peer(4, config);
        assert_eq!(heard(&mut world), advertised, "{kind:?}");
    }
}

#[test]
fn the_totals_of_a_family_count_what_is_there_of_each_kind() {
    let mut world = World::new();
    let totals = |world: &World, family| {
        let totals = world.rib.totals(family);
        let (prefixes, paths) = (totals.prefixes, totals.paths);
        (
            prefixes,
            paths,
            totals.originated,
            totals.rejected,
            totals.stale,
        )
    };
    let (v4, v6) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST);
    assert_eq!(totals(&world, v4), (0, 0, 0, 0, 0));
    for number in [1, 5] {
        world.apply(&Op::Up(number, PLAIN));
    }
    world.announce(1, &[(A, 0), (B, 0), (4, 0)], &plain_attributes(1));
    world.announce(5, &[(A, 0)], &plain_attributes(2));
    world.announce(5, &[(B, 0), (OTHER, 0)], &rejected());
    world.apply(&Op::Originate(vec![(A, 0), (3, 0)]));
    // 0.0.0.0/0 is originated only; the only path of 10.1.2.0/24 is not accepted.
    assert_eq!(totals(&world, v4), (3, 7, 2, 2, 0));
    assert_eq!(totals(&world, v6), (1, 1, 0, 0, 0));
    world.apply(&Op::RefreshBegins(5));
    assert_eq!(totals(&world, v4), (3, 7, 2, 2, 3));
    world.apply(&Op::RefreshBegins(1));
    assert_eq!(totals(&world, v4), (3, 7, 2, 2, 5));
}

#[test]
fn rfc_9494_4_2_a_path_that_is_repeated_is_stale_no_more_while_the_others_are() {
    let mut world = World::new();
    let kind = SessionKind {
        graceful: true,
        restarting: false,
        forwarding: true,
        long_lived: true,
        ..PLAIN
    };
    let stale = |world: &World, place: usize| {
        let route = world.rib.route(prefixes()[place]).unwrap();
        (route.paths[0].stale, route.paths[0].long_lived_stale)
    };
    world.apply(&Op::Up(1, kind));
    world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
    settled(&mut world);
    assert_eq!(
        [A, B].map(|place| stale(&world, place)),
        [(false, false); 2]
    );
    world.apply(&Op::Down(1, true));
    settled(&mut world);
    assert_eq!([A, B].map(|place| stale(&world, place)), [(true, false); 2]);
    // The restart time is 30 s, the long-lived stale time 100 s.
    world.apply(&Op::Pass(31));
    settled(&mut world);
    assert_eq!([A, B].map(|place| stale(&world, place)), [(true, true); 2]);
    world.apply(&Op::Up(1, kind));
    world.announce(1, &[(A, 0)], &plain_attributes(1));
    assert_eq!(stale(&world, A), (false, false));
    assert_eq!(stale(&world, B), (true, true));
}

#[test]
fn the_deciding_rule_is_that_of_a_best_path_and_there_is_none_without_one() {
    let mut world = World::new();
    for number in [1, 5] {
        world.apply(&Op::Up(number, PLAIN));
    }
    let rule = |world: &World, place: usize| world.rib.deciding_rule(prefixes()[place]);
    assert_eq!(rule(&world, A), None, "there is no route");
    let longer = Attributes {
        path: vec![64999],
        ..plain_attributes(2)
    };
    for place in [A, 4] {
        world.announce(1, &[(place, 0)], &rejected());
        assert_eq!(rule(&world, place), None, "it is not accepted");
        world.announce(1, &[(place, 0)], &plain_attributes(1));
        assert_eq!(rule(&world, place), Some(Rule::OnlyPath));
        world.announce(5, &[(place, 0)], &longer);
        assert_eq!(rule(&world, place), Some(Rule::AsPathLength));
    }
}

#[test]
fn the_list_of_changed_prefixes_gives_back_the_memory_of_a_burst() {
    let mut table = Table::<Ipv4Net>::new(Options {
        always_compare_med: false,
        max_paths: 1,
        relax_as_path: false,
    });
    for (reserved, kept) in [(10, true), (4096, true), (4097, false), (100_000, false)] {
        table.changed = Vec::with_capacity(reserved);
        table.changed.extend([7, 8]);
        let mut taken = Vec::new();
        table.take_changed(|slot| taken.push(slot));
        assert_eq!(taken, [7, 8]);
        assert!(table.changed.is_empty());
        assert_eq!(table.changed.capacity() >= reserved, kept, "of {reserved}");
    }
}

#[test]
fn each_of_the_two_limits_is_reported_again_when_it_is_changed_alone() {
    let mut world = World::new();
    let (peer, family) = (PeerId(1), Family::IPV4_UNICAST);
    let limits = |max_prefixes, prefix_warning| PeerConfig {
        max_prefixes,
        prefix_warning,
        ..peer_config(1)
    };
    let reported = |world: &mut World| {
        while world.poll(10) {}
        let mut events = world.rib.take_events();
        events.retain(|event| {
            matches!(
                event,
                RibEvent::PrefixWarning { .. } | RibEvent::PrefixLimit { .. }
            )
        });
        events
    };
    let near = |limit| RibEvent::PrefixWarning {
        peer,
        family,
        accepted: 3,
        limit,
    };
    let exceeded = |limit| RibEvent::PrefixLimit {
        peer,
        family,
        limit,
        of: LimitOf::Accepted,
    };
    world.apply(&Op::Up(1, PLAIN));
    world.announce(1, &[(A, 0), (B, 0), (OTHER, 0)], &plain_attributes(1));
    for (max, warning, expected) in [
        (Some(100), Some(2), vec![near(Some(100))]),
        (Some(100), Some(2), vec![]),
        (Some(90), Some(2), vec![near(Some(90))]),
        (Some(90), Some(1), vec![near(Some(90))]),
        (Some(90), Some(3), vec![]),
        (Some(3), Some(3), vec![]),
        (Some(2), Some(3), vec![exceeded(2)]),
        (Some(2), None, vec![exceeded(2)]),
        (None, None, vec![]),
        (None, Some(2), vec![near(None)]),
    ] {
        world.set_peer(1, limits(max, warning));
        assert_eq!(reported(&mut world), expected, "{max:?} {warning:?}");
    }
}
