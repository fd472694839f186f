#![allow(clippy::unwrap_used)]
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Every next hop is a router on interface 2, or on that of the session, but those of 10.255.0.0/16, which one leads to.
struct OnLink;

impl NextHopResolver for OnLink {
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution> {
        let behind = matches!(next_hop.address(), IpAddr::V4(a) if a.octets()[..2] == [10, 255]);
        Some(Resolution {
            gateway: if behind {
                Ipv4Addr::new(192, 0, 2, 1).into()
            } else {
                next_hop
                    .link_local()
                    .map_or_else(|| next_hop.address(), Into::into)
            },
            ifindex: interface.unwrap_or(2),
            metric: 0,
            connected: !behind,
            onlink: false,
        })
    }
}

const ANY: u32 = u32::MAX;

fn next_hops() -> NextHops {
    let mut next_hops = NextHops::default();
    next_hops.set_resolver(Arc::new(OnLink));
    assert!(!next_hops.has_walk(), "there are none yet");
    next_hops
}

/// Looks at every next hop that is to be looked at, one at a time.
fn walk(all: &mut NextHops) {
    while all.walk(1) > 0 {}
    assert!(!all.has_walk());
}

/// The ways that are lost with a peer.
fn lose(all: &mut NextHops, peer: PeerId) -> Vec<Way> {
    all.lose(peer);
    walk(all);
    all.take_lost()
}

fn ipv4(third: u8, last: u8) -> NextHop {
    NextHop::Ipv4(Ipv4Addr::new(10, third, 0, last))
}

fn way_of(next_hop: NextHop) -> Way {
    way(&OnLink.resolve(&next_hop, None).unwrap())
}

#[test]
fn a_way_is_lost_with_the_last_peer_that_brings_a_next_hop_over_it() {
    let mut all = next_hops();
    let (one, two) = (PeerId(1), PeerId(2));
    let shared = all.retain(&ipv4(0, 1));
    let (behind, also_behind) = (all.retain(&ipv4(255, 1)), all.retain(&ipv4(255, 2)));
    for (index, peer) in [
        (shared, one),
        (shared, two),
        (behind, one),
        (also_behind, two),
    ] {
        assert!(all.ask(index, peer, None, ANY).unwrap().is_some());
    }
    assert_eq!(
        lose(&mut all, one),
        [],
        "the other peer brings what leads over both"
    );
    let mut lost = lose(&mut all, two);
    lost.sort();
    assert_eq!(lost, [way_of(ipv4(0, 1)), way_of(ipv4(255, 1))]);
    assert_eq!(lose(&mut all, two), [], "once");
    assert_eq!(
        all.ask(also_behind, one, None, ANY).map(|r| r.is_some()),
        Ok(true)
    );
    assert_eq!(all.take_regained(), [way_of(ipv4(255, 1))]);
}

#[test]
fn a_next_hop_more_than_a_peer_may_bring_is_refused_until_an_eighth_is_free() {
    const LIMIT: u32 = 16;
    let mut all = next_hops();
    let peer = PeerId(1);
    let indices: Vec<NextHopIndex> = (0..=LIMIT as u8).map(|i| all.retain(&ipv4(0, i))).collect();
    let (more, known) = indices.split_last().unwrap();
    for index in known.iter().chain(known) {
        assert!(all.ask(*index, peer, None, LIMIT).is_ok());
    }
    assert_eq!(all.ask(*more, peer, None, LIMIT), Err(TooMany));
    assert_eq!(all.count_of(peer), LIMIT);
    assert!(
        all.ask(*more, PeerId(2), None, LIMIT).is_ok(),
        "another peer's"
    );
    all.release(known[0]);
    assert_eq!((all.count_of(peer), all.has_roomy()), (LIMIT - 1, false));
    all.release(known[1]);
    assert_eq!(all.take_roomy(), [peer]);
    all.release(known[2]);
    assert!(!all.has_roomy(), "said once");
    assert!(all.ask(*more, peer, None, LIMIT).is_ok());
    for index in &indices[3..] {
        all.release(*index);
    }
    assert!(all.is_empty());
}

/// Of sixteen next hops two are other peers' by now: less than an eighth is free when they have been counted again, which is enough.
#[test]
fn whoever_was_refused_one_may_bring_it_as_soon_as_a_count_has_found_room() {
    const LIMIT: u32 = 16;
    for free in 1..=2 {
        let mut all = next_hops();
        let peer = PeerId(1);
        let indices: Vec<NextHopIndex> =
            (0..=LIMIT as u8).map(|i| all.retain(&ipv4(0, i))).collect();
        let (more, known) = indices.split_last().unwrap();
        for index in known {
            assert!(all.ask(*index, peer, None, LIMIT).is_ok());
        }
        assert_eq!(all.ask(*more, peer, None, LIMIT), Err(TooMany));
        assert_eq!(all.count_again(), [peer]);
        for index in &known[free..] {
            assert!(all.ask(*index, peer, None, LIMIT).is_ok());
        }
        assert_eq!(all.ask(*more, peer, None, LIMIT), Err(TooMany));
        all.has_counted();
        assert_eq!(all.count_of(peer), LIMIT - free as u32);
        assert_eq!(all.take_roomy(), [peer], "{free} free");
        assert!(!all.has_refused());
        assert!(all.ask(*more, peer, None, LIMIT).is_ok());
    }
}

/// As many as it may, and no more: nothing is to be gained by counting them every minute.
#[test]
fn a_peer_that_is_refused_none_any_more_is_not_counted_again() {
    let mut all = next_hops();
    let peer = PeerId(1);
    let [one, other] = [1, 2].map(|i| all.retain(&ipv4(0, i)));
    assert!(all.ask(one, peer, None, 1).is_ok());
    for is_there in [true, true, false] {
        assert_eq!(all.ask(other, peer, None, 1), Err(TooMany));
        assert_eq!(all.count_again(), [peer]);
        assert!(all.ask(one, peer, None, 1).is_ok());
        if is_there {
            assert_eq!(all.ask(other, peer, None, 1), Err(TooMany));
        }
        all.has_counted();
        assert_eq!(all.has_refused(), is_there);
    }
    assert_eq!((all.count_of(peer), all.has_roomy()), (1, false));
    // One that is refused later is another matter.
    assert_eq!(all.ask(other, peer, None, 1), Err(TooMany));
    assert!(all.has_refused());
}

#[test]
fn a_link_local_next_hop_is_one_for_each_interface() {
    let mut all = next_hops();
    let next_hop = NextHop::from(IpAddr::V6("fe80::1".parse().unwrap()));
    let index = all.retain(&next_hop);
    for (interface, count) in [(3, 1), (3, 1), (4, 2)] {
        let found = all.ask(index, PeerId(1), Some(interface), ANY).unwrap();
        assert_eq!(found.unwrap().ifindex, interface);
        assert_eq!(all.count_of(PeerId(1)), count);
    }
    assert_eq!(all.resolution(index, Some(5)), None, "nobody asked");
    assert_eq!(lose(&mut all, PeerId(1)).len(), 2);
    all.release(index);
    all.forget_lost();
    assert!(all.is_empty());
}

/// Twice: a peer brings so many next hops and is lost, another one brings them after it, and all are given back.
fn lives(count: u32, link_local: bool) -> Duration {
    let mut all = next_hops();
    let address = |i: u32| -> IpAddr {
        if link_local {
            Ipv6Addr::from_bits((0xfe80 << 112) | (u128::from(i) + 1)).into()
        } else {
            Ipv4Addr::from_bits(0x0a00_0000 + i).into()
        }
    };
    let begin = Instant::now();
    for peer in [PeerId(1), PeerId(2)] {
        let indices: Vec<NextHopIndex> = (0..count)
            .map(|i| {
                let index = all.retain(&NextHop::from(address(i)));
                assert!(all.ask(index, peer, Some(3), ANY).is_ok());
                index
            })
            .collect();
        assert_eq!(lose(&mut all, peer).len(), count as usize);
        indices.into_iter().for_each(|index| all.release(index));
        all.forget_lost();
        assert_eq!(all.take_regained().len(), count as usize);
    }
    begin.elapsed()
}

/// Eight times as many take eight times as long: 64 times if each looks at all others. What else runs on the machine adds to
/// it, so the best of some tries counts.
#[test]
fn next_hops_cost_in_proportion_to_their_number() {
    for link_local in [false, true] {
        let ratio = |_| {
            let (few, many) = (lives(4_000, link_local), lives(32_000, link_local));
            many.as_secs_f64() / few.as_secs_f64()
        };
        let ratios: Vec<f64> = (0..5).map(ratio).collect();
        assert!(ratios.iter().any(|ratio| *ratio < 24.0), "{ratios:?}");
    }
}

/// Every next hop leads over one of four routers, another one by each resolver, and some nowhere.
struct Moved(u8);

impl NextHopResolver for Moved {
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution> {
        let IpAddr::V4(address) = next_hop.address() else {
            return OnLink.resolve(next_hop, interface);
        };
        let last = address.octets()[3].wrapping_mul(self.0 | 1) >> 1;
        (last % 8 != 7).then(|| Resolution {
            gateway: Ipv4Addr::new(192, 0, 2, last % 4).into(),
            ifindex: 2,
            metric: 0,
            connected: true,
            onlink: false,
        })
    }
}

impl NextHops {
    /// What must hold whenever nothing is left to be looked at.
    fn check(&mut self) {
        let mut ways: HashMap<Way, u32, RandomState> = HashMap::default();
        for (_, slot) in self.slots.iter() {
            let scoped = slot.scoped.iter().map(|(on, place)| (Some(*on), place));
            for (interface, place) in std::iter::once((None, &slot.everywhere)).chain(scoped) {
                if let State::Asked(answer) = place.state {
                    let asked = self.resolver.resolve(&slot.next_hop, interface);
                    assert_eq!(answer, asked, "{:?}", slot.next_hop);
                }
                if let Some(way) = place.way() {
                    *ways.entry(way).or_default() += 1;
                }
            }
        }
        assert_eq!(self.ways, ways);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Bring(u8, u32),
    Release(u8),
    Lose(u32),
    Resolve(u8),
    Walk(usize),
    /// What was lost and regained is told.
    Tell,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..24_u8, 1..4_u32).prop_map(|(last, peer)| Op::Bring(last, peer)),
        2 => (0..24_u8).prop_map(Op::Release),
        1 => (1..4_u32).prop_map(Op::Lose),
        1 => any::<u8>().prop_map(Op::Resolve),
        3 => (1..6_usize).prop_map(Op::Walk),
        4 => Just(Op::Tell),
    ];
    prop::collection::vec(op, 0..120)
}

proptest! {
    /// Whatever happens between two parts of a walk: the answers are those of the last resolver, a change is handed out, a way
    /// counts as lost exactly if that was told, and the last peer that brought something over it is gone.
    #[test]
    fn whatever_happens_while_next_hops_are_looked_at_the_end_is_the_same(ops in ops()) {
        let mut all = NextHops::default();
        all.set_resolver(Arc::new(Moved(0)));
        let mut known: HashMap<u8, NextHopIndex, RandomState> = HashMap::default();
        let mut told: HashSet<Way, RandomState> = HashSet::default();
        // By index: the answer that tables have.
        let mut answers: HashMap<u32, Option<Resolution>, RandomState> = HashMap::default();
        let mut brought: HashSet<(u32, u32), RandomState> = HashSet::default();
        for op in ops {
            let is_told = matches!(op, Op::Tell);
            match op {
                Op::Bring(last, peer) => {
                    let index = *known.entry(last).or_insert_with(|| all.retain(&ipv4(0, last)));
                    let answer = all.ask(index, PeerId(peer), None, ANY).unwrap();
                    answers.entry(index.0).or_insert(answer);
                    brought.insert((peer, index.0));
                }
                Op::Release(last) => if let Some(index) = known.remove(&last) {
                    all.release(index);
                    answers.remove(&index.0);
                    brought.retain(|(_, brought)| *brought != index.0);
                }
                Op::Lose(peer) => {
                    all.lose(PeerId(peer));
                    brought.retain(|(of, _)| *of != peer);
                }
                Op::Resolve(number) => all.set_resolver(Arc::new(Moved(number))),
                Op::Walk(looks) => prop_assert!(all.walk(looks) <= looks),
                Op::Tell => {}
            }
            if let Some(changed) = all.take_changed() {
                for (index, answer) in &mut answers {
                    if changed.contains(NextHopIndex(*index)) {
                        *answer = all.resolution(NextHopIndex(*index), None);
                    }
                }
            }
            if is_told {
                for way in all.take_lost() {
                    prop_assert!(told.insert(way), "told twice");
                }
                for way in all.take_regained() {
                    prop_assert!(told.remove(&way), "regained, and was not lost");
                }
                prop_assert_eq!(&told, &all.lost);
            }
            for way in &all.lost {
                prop_assert!(!all.ways.contains_key(way), "lost, and something leads over it");
            }
        }
        walk(&mut all);
        all.check();
        for (peer, index) in &brought {
            let place = &all.slots.get(*index).unwrap().everywhere;
            prop_assert!(place.bringers.contains(&PeerId(*peer)), "{peer} brings it");
        }
        for peer in 1..4 {
            let count = brought.iter().filter(|(of, _)| *of == peer).count();
            prop_assert_eq!(all.count_of(PeerId(peer)) as usize, count);
        }
        if let Some(changed) = all.take_changed() {
            for (index, answer) in &mut answers {
                if changed.contains(NextHopIndex(*index)) {
                    *answer = all.resolution(NextHopIndex(*index), None);
                }
            }
        }
        for (index, answer) in answers {
            prop_assert_eq!(answer, all.resolution(NextHopIndex(index), None));
        }
    }
}

#[test]
fn a_peer_that_is_back_before_its_next_hops_were_looked_at_keeps_what_it_brings_now() {
    let mut all = next_hops();
    let peer = PeerId(1);
    let indices: Vec<NextHopIndex> = (0..10).map(|last| all.retain(&ipv4(0, last))).collect();
    for index in &indices {
        assert!(all.ask(*index, peer, None, ANY).is_ok());
    }
    all.lose(peer);
    assert_eq!(all.walk(3), 3);
    let is_left = |index: &&NextHopIndex| {
        !all.slots
            .get(index.0)
            .unwrap()
            .everywhere
            .bringers
            .is_empty()
    };
    let kept = *indices.iter().find(is_left).unwrap();
    assert!(all.ask(kept, peer, None, ANY).is_ok());
    walk(&mut all);
    assert_eq!(all.count_of(peer), 1);
    let lost = all.take_lost();
    let regained = all.take_regained();
    assert_eq!(lost.len() - regained.len(), 9);
    assert!(regained.iter().all(|way| !all.lost.contains(way)));
}

/// It may have brought as many as there are addresses, and nobody waits for them to be looked at.
#[test]
fn a_peer_that_is_back_has_no_more_looked_at_than_it_brings() {
    let mut all = next_hops();
    let peer = PeerId(1);
    let hops = || (0..4000_u32).map(|n| ipv4((n / 250) as u8, (n % 250) as u8));
    let indices: Vec<NextHopIndex> = hops().map(|hop| all.retain(&hop)).collect();
    for index in &indices {
        assert!(all.ask(*index, peer, None, ANY).is_ok());
    }
    all.lose(peer);
    assert!(all.ask(indices[7], peer, None, 1).is_ok());
    assert!(
        all.ask(indices[8], peer, None, 1).is_err(),
        "what was lost does not count"
    );
    let looked_at = indices.len() - 1;
    assert_eq!(all.walk(looked_at), looked_at, "all others are left");
    walk(&mut all);
    assert_eq!((all.count_of(peer), all.take_lost().len()), (1, 3999));
    assert_eq!(all.take_regained(), []);
    assert_eq!(lose(&mut all, peer), [way_of(hops().nth(7).unwrap())]);
}

/// The tables let go of next hops in an order of their own, and faster than they are looked at.
#[test]
fn what_is_released_before_it_was_looked_at_is_lost_with_its_peer_and_what_is_withdrawn_is_not() {
    let mut all = next_hops();
    let bring = |all: &mut NextHops, peer, hop| {
        let index = all.retain(&hop);
        all.ask(index, PeerId(peer), None, ANY).unwrap();
        index
    };
    let [a, b, c] = [1, 2, 3].map(|last| bring(&mut all, 1, ipv4(0, last)));
    // One way, of next hops of two peers.
    let behind = NextHop::Ipv4(Ipv4Addr::new(10, 255, 0, 1));
    let shared = bring(&mut all, 1, behind);
    let of_other = bring(&mut all, 2, NextHop::Ipv4(Ipv4Addr::new(10, 255, 0, 2)));
    let other = bring(&mut all, 2, ipv4(0, 9));
    all.release(c);
    assert_eq!(all.take_lost(), [], "withdrawn");
    all.lose(PeerId(1));
    for index in [a, other, shared] {
        all.release(index);
    }
    assert_eq!(all.take_lost(), [way_of(ipv4(0, 1))]);
    // Brought again, and withdrawn.
    let index = bring(&mut all, 1, ipv4(0, 2));
    assert_eq!(index, b);
    all.release(b);
    all.release(b);
    assert_eq!(all.take_lost(), []);
    all.release(of_other);
    walk(&mut all);
    assert_eq!((all.take_lost(), all.take_regained()), (vec![], vec![]));
    assert!(all.is_empty());
}

#[test]
fn a_round_of_questions_ends_though_all_next_hops_go_before() {
    let mut all = next_hops();
    let indices: Vec<NextHopIndex> = (0..10).map(|last| all.retain(&ipv4(0, last))).collect();
    all.set_resolver(Arc::new(Moved(3)));
    assert_eq!(all.walk(5), 5);
    // From here on once around.
    all.set_resolver(Arc::new(Moved(5)));
    for index in indices {
        all.release(index);
    }
    walk(&mut all);
    assert!(all.is_empty());
}
