//! What a flush looks at, counted: it depends on what changed and on its budget, not on the table nor on who is slow.

use super::*;
use crate::policy::{Action, Matches, Policy, Rule, Set};

/// Peers from 0 on in one group, told of so many prefixes.
fn advertised(peers: u32, routes: u32) -> World {
    let mut world = World::open();
    for peer in (0..peers).chain([100]) {
        world
            .rib
            .sources
            .insert(PeerId(peer), from(PeerKind::External));
    }
    for peer in 0..peers {
        let session = session(PeerKind::External, peer as u8 + 1);
        world.up(peer, &config(PeerKind::External), &session);
    }
    let (attributes, next_hop) = learned();
    for number in 0..routes {
        let best = TestBest::Learned(PeerId(100), route(&attributes, next_hop));
        world.set(prefix(number), Some(best));
    }
    world.flush_all();
    world
}

fn prefix(number: u32) -> IpNet {
    net(&format!("10.{}.{}.0/24", number / 256, number % 256))
}

/// A policy that sends every route with this MED.
fn with_med(med: u32) -> PeerConfig {
    let rule = Rule {
        name: "all".to_owned(),
        matches: Matches::default(),
        set: Set {
            med: Some(med),
            ..Set::default()
        },
        action: Action::Accept,
    };
    PeerConfig {
        export: vec![Arc::new(Policy {
            name: "med".to_owned(),
            rules: vec![rule],
        })],
        ..config(PeerKind::External)
    }
}

#[test]
fn a_withdrawal_beside_a_blocked_peer_costs_the_same_however_many_wait_for_it() {
    for routes in [500, 1000] {
        let mut world = advertised(2, routes + 1);
        world.receiver(1).mark = 0;
        for number in 0..routes {
            world.set(prefix(number), None);
        }
        world.flush_all();
        assert_eq!(world.rib.empty_entries(), routes as usize, "they are held");
        let before = world.groups.slots_checked();
        world.set(prefix(routes), None);
        world.flush_all();
        assert_eq!(world.groups.slots_checked() - before, 1);
        // All of them are let go as they are told.
        world.receiver(1).mark = usize::MAX;
        assert!(world.receiver(1).drain());
        world.groups.writable(PeerId(1));
        world.flush_all();
        assert_eq!(world.rib.empty_entries(), 0);
        assert_eq!(world.table(1).len(), 0);
    }
}

#[test]
fn what_waits_for_a_peer_that_is_gone_is_let_go_some_slots_at_a_time() {
    let mut world = advertised(2, 1000);
    world.receiver(1).mark = 0;
    for number in 0..1000 {
        world.set(prefix(number), None);
    }
    world.flush_all();
    world.down(1);
    let mut flushes = 0;
    while world.rib.empty_entries() > 0 {
        let left = world.rib.empty_entries();
        let _ = world.flush(100);
        assert!(left - world.rib.empty_entries() <= 100);
        flushes += 1;
    }
    assert!((10..=12).contains(&flushes), "{flushes}");
}

#[test]
fn a_peer_that_moves_to_a_group_told_something_else_is_compared_some_slots_at_a_time() {
    let mut world = advertised(3, 2000);
    world.groups.configure(PeerId(1), &with_med(7));
    world.flush_all();
    assert_eq!(world.groups.group_count(), 2);
    world.transport.sent.clear();
    // Nothing is looked at by the move itself, and no more than the budget by a flush.
    world.groups.configure(PeerId(0), &with_med(7));
    let mut flushes = 0;
    loop {
        flushes += 1;
        let group = world.groups.group_of(PeerId(0)).unwrap();
        let compared = group.compared_up_to(0).map_or(2000, |slot| slot.0);
        assert!(compared <= 100 * flushes, "{compared} after {flushes}");
        if world.flush(100) == Progress::Done {
            break;
        }
    }
    // Each slot is compared, told, and walked by again.
    assert!((20..=70).contains(&flushes), "{flushes}");
    assert_eq!(world.table(0), world.table(1));
    assert!(
        world
            .transport
            .sent
            .iter()
            .all(|(peer, _)| *peer == PeerId(0))
    );
}

#[test]
fn peers_that_move_to_a_group_one_after_the_other_are_told_together() {
    let mut world = advertised(5, 2000);
    for peer in 1..5 {
        world.groups.configure(PeerId(peer), &with_med(7));
    }
    world.flush_all();
    world.transport.sent.clear();
    for peer in 1..5 {
        world
            .groups
            .configure(PeerId(peer), &config(PeerKind::External));
        let _ = world.flush(10);
    }
    while world.flush(50) == Progress::More {}
    // Pieces that several get are one and the same.
    let pieces = world.transport.sent.iter().map(|(_, bytes)| bytes.as_ptr());
    let (sent, pieces) = (world.transport.sent.len(), pieces.collect::<BTreeSet<_>>());
    assert!(
        pieces.len() * 3 <= sent,
        "{} pieces, sent {sent} times",
        pieces.len()
    );
    let table = world.table(0);
    assert!((1..5).all(|peer| world.table(peer) == table));
    assert_eq!(world.groups.group_count(), 1);
}

/// A peer that asks for its routes before every flush, faster than they can be compared.
#[test]
fn a_peer_that_asks_for_its_routes_over_and_over_does_not_keep_others_waiting() {
    let mut world = advertised(2, 2000);
    let session = session(PeerKind::External, 3);
    world
        .rib
        .sources
        .insert(PeerId(2), from(PeerKind::External));
    world.up(2, &config(PeerKind::External), &session);
    let mut flushes = 0;
    while world.table(2).len() < 2000 || world.receiver(2).end_of_rib.is_empty() {
        world.groups.refresh(PeerId(1), Family::IPV4_UNICAST);
        let _ = world.flush(100);
        flushes += 1;
        assert!(flushes < 500, "{} told", world.table(2).len());
    }
    // Once it is content, it has them too.
    world.flush_all();
    assert_eq!(world.table(1), world.table(2));
}

#[test]
fn a_member_that_is_looked_at_for_an_empty_slot_counts() {
    let mut world = advertised(8, 1000);
    for peer in 1..4 {
        world.receiver(peer).mark = 0;
    }
    for number in 0..1000 {
        world.set(prefix(number), None);
    }
    let mut more = true;
    let mut flushes = 0;
    while more {
        let before = world.groups.members_looked_at();
        more = world.flush(100) == Progress::More;
        let looks = world.groups.members_looked_at() - before;
        // Three are behind, and the five others are not looked at.
        assert!(looks <= 100 + 4, "{looks} in one flush");
        flushes += 1;
        assert!(flushes < 500, "it never ends");
    }
    assert_eq!(world.groups.slots_checked(), 1000);
    assert_eq!(world.rib.empty_entries(), 1000, "they are held");
    for peer in 1..4 {
        world.receiver(peer).mark = usize::MAX;
        assert!(world.receiver(peer).drain());
        world.groups.writable(PeerId(peer));
    }
    world.flush_all();
    assert_eq!(world.rib.empty_entries(), 0);
}

#[test]
fn a_peer_that_moves_on_and_on_is_not_compared_by_the_moves() {
    const LAST: u32 = 7;
    let mut world = advertised(LAST + 2, 2000);
    for peer in 1..=LAST {
        world.groups.configure(PeerId(peer), &with_med(peer));
    }
    world.flush_all();
    for med in 1..=LAST {
        world.groups.configure(PeerId(0), &with_med(med));
        let group = world.groups.group_of(PeerId(0)).unwrap();
        let behind = group.behind().next().unwrap();
        assert!(behind.marks[0].is_empty(), "compared by move {med}");
    }
    // Nor does a refresh have it compared at once, nor is it the next one's turn for ever.
    world.groups.refresh(PeerId(0), Family::IPV4_UNICAST);
    let mut flushes = 0;
    while world.flush(100) == Progress::More {
        flushes += 1;
        assert!(flushes < 1000, "it never ends");
    }
    assert_eq!(world.table(0), world.table(LAST));
    assert_eq!(
        world.groups.number_of(PeerId(0)),
        world.groups.number_of(PeerId(LAST))
    );
}
