//! What goes over the wire, and how little of it.

use bgp::types::Community;

mod members;

use super::*;
use crate::policy::{Action, Matches, Policy, PrefixRange, Rule, Set};

/// A world with an open gate, sources 100 and up, and so many external peers from 0 on.
fn world(peers: u32) -> World {
    let mut world = World::open();
    for peer in (0..peers).chain([100, 101]) {
        world
            .rib
            .sources
            .insert(PeerId(peer), from(PeerKind::External));
    }
    for peer in 0..peers {
        world.up(
            peer,
            &config(PeerKind::External),
            &session(PeerKind::External, peer as u8 + 1),
        );
    }
    world.flush_all();
    world
}

fn learn(world: &mut World, prefix: &str, peer: u32, change: impl FnOnce(&mut PathAttributes)) {
    let (mut attributes, next_hop) = learned();
    change(&mut attributes);
    let best = TestBest::Learned(PeerId(peer), route(&attributes, next_hop));
    world.set(net(prefix), Some(best));
}

fn learn_many(world: &mut World, count: u32, peer: u32) {
    for number in 0..count {
        let prefix = format!("10.{}.{}.0/24", number / 256, number % 256);
        learn(world, &prefix, peer, |_| {});
    }
}

/// What was handed over since the last call, by peer.
fn sent(world: &mut World) -> BTreeMap<u32, Vec<Bytes>> {
    let mut by_peer: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
    for (peer, bytes) in world.transport.sent.drain(..) {
        by_peer.entry(peer.0).or_default().push(bytes);
    }
    by_peer
}

fn counts(world: &mut World) -> Vec<(u32, usize)> {
    let sent = sent(world);
    sent.into_iter()
        .map(|(peer, bytes)| (peer, bytes.len()))
        .collect()
}

#[test]
fn peers_of_equal_behaviour_share_the_very_bytes() {
    let mut world = world(3);
    assert_eq!(world.groups.group_count(), 1);
    sent(&mut world);
    learn(&mut world, "10.0.0.0/24", 100, |_| {});
    world.flush_all();
    let sent = sent(&mut world);
    let places: BTreeSet<*const u8> = sent.values().map(|bytes| bytes[0].as_ptr()).collect();
    assert_eq!((sent.len(), places.len()), (3, 1));
}

#[test]
fn all_prefixes_of_one_attribute_set_fill_as_few_messages_as_hold_them() {
    let mut world = world(1);
    sent(&mut world);
    learn_many(&mut world, 3000, 100);
    world.flush_all();
    // Four octets per /24 in messages of 4096.
    assert_eq!(counts(&mut world), [(0, 3)]);
    assert_eq!(world.table(0).len(), 3000);
    // The same from many sources: receivers that are no sources hear them together.
    for number in 0..200u32 {
        let (attributes, next_hop) = learned();
        let peer = PeerId(1000 + number);
        world.rib.sources.insert(peer, from(PeerKind::External));
        let best = TestBest::Learned(peer, route(&attributes, next_hop));
        world.set(net(&format!("11.0.{number}.0/24")), Some(best));
    }
    world.flush_all();
    assert_eq!(counts(&mut world), [(0, 1)]);
}

#[test]
fn rfc4724_2_end_of_rib_comes_once_per_family_even_without_routes_and_not_before_the_gate() {
    let mut world = World::default();
    world.up(
        0,
        &config(PeerKind::External),
        &session(PeerKind::External, 1),
    );
    world
        .rib
        .sources
        .insert(PeerId(100), from(PeerKind::External));
    learn(&mut world, "10.0.0.0/24", 100, |_| {});
    world.flush_all();
    assert_eq!(world.transport.sent.len(), 0);
    assert!(
        !world
            .groups
            .end_of_rib_sent(PeerId(0), Family::IPV6_UNICAST)
    );
    assert_eq!(
        world
            .groups
            .explain(&world.rib, PeerId(0), net("10.0.0.0/24")),
        Some(Err(Suppressed::GateClosed))
    );
    world.groups.open_gate();
    world.flush_all();
    assert_eq!(world.receiver(0).end_of_rib, Family::ALL);
    assert_eq!(world.receiver(0).messages, 3);
    assert!(
        world
            .groups
            .end_of_rib_sent(PeerId(0), Family::IPV6_UNICAST)
    );
}

#[test]
fn rfc4724_4_1_routes_go_out_while_end_of_rib_is_held_and_it_follows_what_came_meanwhile() {
    let mut world = world(1);
    world.groups.hold_end_of_rib(true);
    let session = session(PeerKind::External, 7);
    world.up(6, &config(PeerKind::External), &session);
    learn(&mut world, "10.0.0.0/24", 100, |_| {});
    world.flush_all();
    learn(&mut world, "10.0.1.0/24", 100, |_| {});
    world.flush_all();
    assert_eq!(world.receiver(6).table.len(), 2);
    assert!(world.receiver(6).end_of_rib.is_empty());
    world.groups.hold_end_of_rib(false);
    world.flush_all();
    assert_eq!(world.receiver(6).end_of_rib, Family::ALL);
}

#[test]
fn what_comes_and_goes_between_two_flushes_is_never_told_and_its_slot_goes() {
    let mut world = world(1);
    sent(&mut world);
    learn(&mut world, "10.0.0.0/24", 100, |_| {});
    world.set(net("10.0.0.0/24"), None);
    world.flush_all();
    assert_eq!(counts(&mut world), []);
    assert_eq!(world.rib.find(net("10.0.0.0/24")), None);
}

#[test]
fn a_change_that_the_peer_cannot_see_is_not_told() {
    let mut world = world(1);
    learn(&mut world, "10.0.0.0/24", 100, |_| {});
    world.flush_all();
    sent(&mut world);
    // MED is not passed on, and another source makes no difference to who is neither.
    learn(&mut world, "10.0.0.0/24", 101, |a| a.med = Some(5));
    world.flush_all();
    assert_eq!(counts(&mut world), []);
}

#[test]
fn a_new_source_within_the_group_gets_a_withdrawal_and_the_old_one_the_route() {
    let mut world = world(3);
    learn(&mut world, "10.0.0.0/24", 0, |_| {});
    world.flush_all();
    assert!(
        !world.table(0).contains(&net("10.0.0.0/24")),
        "split horizon"
    );
    assert_eq!(
        world
            .groups
            .explain(&world.rib, PeerId(0), net("10.0.0.0/24")),
        Some(Err(Suppressed::SourcePeer))
    );
    sent(&mut world);
    learn(&mut world, "10.0.0.0/24", 1, |_| {});
    world.flush_all();
    assert_eq!(
        counts(&mut world),
        [(0, 1), (1, 1)],
        "2 has the same as before"
    );
    assert!(world.table(0).contains(&net("10.0.0.0/24")));
    assert!(!world.table(1).contains(&net("10.0.0.0/24")));
}

#[test]
fn rfc4271_5_1_3_a_peer_is_not_told_a_route_through_itself() {
    let mut world = world(2);
    let (attributes, _) = learned();
    // Peer 1 is 192.0.2.2.
    let through_peer = route(&attributes, ip("192.0.2.2").into());
    let best = TestBest::Learned(PeerId(100), through_peer);
    world.set(net("10.0.0.0/24"), Some(best));
    world.flush_all();
    assert!(world.table(0).contains(&net("10.0.0.0/24")));
    assert!(!world.table(1).contains(&net("10.0.0.0/24")));
    assert_eq!(
        world
            .groups
            .explain(&world.rib, PeerId(1), net("10.0.0.0/24")),
        Some(Err(Suppressed::PeerIsNextHop))
    );
    assert_eq!(
        world
            .groups
            .advertised_count(PeerId(0), Family::IPV4_UNICAST),
        1
    );
    assert_eq!(
        world
            .groups
            .advertised_count(PeerId(1), Family::IPV4_UNICAST),
        0
    );
}

fn rejecting(prefix: &str) -> PeerConfig {
    let matches = Matches {
        prefixes: vec![PrefixRange {
            net: net(prefix),
            min_length: 8,
            max_length: 32,
        }]
        .into(),
        ..Matches::default()
    };
    let rule = Rule {
        name: "no".to_owned(),
        matches,
        set: Set::default(),
        action: Action::Reject,
    };
    PeerConfig {
        export: vec![Arc::new(Policy {
            name: "less".to_owned(),
            rules: vec![rule],
        })],
        ..config(PeerKind::External)
    }
}

#[test]
fn a_changed_policy_is_told_by_its_differences_and_the_peers_stay_together() {
    let mut world = world(3);
    learn_many(&mut world, 100, 100);
    world.flush_all();
    sent(&mut world);
    for peer in 0..3 {
        world
            .groups
            .configure(PeerId(peer), &rejecting("10.0.7.0/24"));
    }
    world.flush_all();
    assert_eq!(
        counts(&mut world),
        [(0, 1), (1, 1), (2, 1)],
        "one withdrawal each"
    );
    assert_eq!(world.table(1).len(), 99);
    assert_eq!(world.groups.group_count(), 1);
    let why = world
        .groups
        .explain(&world.rib, PeerId(1), net("10.0.7.0/24"));
    let Some(Err(Suppressed::Policy(rule))) = why else {
        panic!("{why:?}");
    };
    let names = world.groups.rule_names(PeerId(1), rule).unwrap();
    assert_eq!((names.0.as_str(), names.1.as_str()), ("less", "no"));
    // One goes back alone: the others hear nothing.
    world
        .groups
        .configure(PeerId(2), &config(PeerKind::External));
    world.flush_all();
    assert_eq!(counts(&mut world), [(2, 1)]);
    assert_eq!(world.table(2).len(), 100);
    // What does not concern export moves nobody.
    let mut limited = rejecting("10.0.7.0/24");
    limited.max_prefixes = Some(5);
    world.groups.configure(PeerId(0), &limited);
    world.flush_all();
    assert_eq!(counts(&mut world), []);
}

#[test]
fn a_step_is_bounded_by_its_budget() {
    let mut world = world(1);
    learn_many(&mut world, 10_000, 100);
    let mut steps = 0;
    while world.flush(1000) == Progress::More {
        steps += 1;
    }
    assert!(
        (8..=12).contains(&steps),
        "{steps} steps of 1000 for 10000 slots"
    );
}
