//! What is done some next hops at a time, with anything happening in between.

use super::*;

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
        let mut gateways: HashMap<Gateway, u32, RandomState> = HashMap::default();
        for (_, slot) in self.slots.iter() {
            let scoped = slot.scoped.iter().map(|(on, place)| (Some(*on), place));
            for (interface, place) in std::iter::once((None, &slot.everywhere)).chain(scoped) {
                if let State::Asked(answer) = place.state {
                    let asked = self.resolver.resolve(&slot.next_hop, interface);
                    assert_eq!(answer, asked, "{:?}", slot.next_hop);
                }
                if let Some(gateway) = place.gateway() {
                    *gateways.entry(gateway).or_default() += 1;
                }
            }
        }
        assert_eq!(self.gateways, gateways);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Bring(u8, u32),
    Release(u8),
    Lose(u32),
    Resolve(u8),
    Walk(usize),
    /// Lost and regained gateways are reported.
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
    /// Whatever happens between two parts of a walk: the answers are those of the last resolver, a change is handed
    /// out, a gateway counts as lost exactly if that was told, and the last peer that brought something over it is gone.
    #[test]
    fn whatever_happens_while_next_hops_are_looked_at_the_end_is_the_same(ops in ops()) {
        let mut all = NextHops::default();
        all.set_resolver(Arc::new(Moved(0)));
        let mut known: HashMap<u8, NextHopIndex, RandomState> = HashMap::default();
        let mut told: HashSet<Gateway, RandomState> = HashSet::default();
        // By index: the answer that tables have.
        let mut answers: HashMap<u32, Option<Resolution>, RandomState> = HashMap::default();
        let mut by_peer: HashSet<(u32, u32), RandomState> = HashSet::default();
        for op in ops {
            let is_told = matches!(op, Op::Tell);
            match op {
                Op::Bring(last, peer) => {
                    let index = *known.entry(last).or_insert_with(|| all.retain(&ipv4(0, last)));
                    let answer = all.ask(index, PeerId(peer), None, ANY).unwrap();
                    answers.entry(index.0).or_insert(answer);
                    by_peer.insert((peer, index.0));
                }
                Op::Release(last) => if let Some(index) = known.remove(&last) {
                    all.release(index);
                    answers.remove(&index.0);
                    by_peer.retain(|(_, by_peer)| *by_peer != index.0);
                }
                Op::Lose(peer) => {
                    all.lose(PeerId(peer));
                    by_peer.retain(|(of, _)| *of != peer);
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
                for gateway in all.take_lost() {
                    prop_assert!(told.insert(gateway), "reported twice");
                }
                for gateway in all.take_regained() {
                    prop_assert!(told.remove(&gateway), "regained, and was not lost");
                }
                prop_assert_eq!(&told, &all.lost);
            }
            for gateway in &all.lost {
                prop_assert!(!all.gateways.contains_key(gateway), "lost, and something uses it");
            }
        }
        walk(&mut all);
        all.check();
        for (peer, index) in &by_peer {
            let place = &all.slots.get(*index).unwrap().everywhere;
            prop_assert!(place.peers.contains(&PeerId(*peer)), "{peer} brings it");
        }
        for peer in 1..4 {
            let count = by_peer.iter().filter(|(of, _)| *of == peer).count();
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
    let is_left =
        |index: &&NextHopIndex| !all.slots.get(index.0).unwrap().everywhere.peers.is_empty();
    let kept = *indices.iter().find(is_left).unwrap();
    assert!(all.ask(kept, peer, None, ANY).is_ok());
    walk(&mut all);
    assert_eq!(all.count_of(peer), 1);
    let lost = all.take_lost();
    let regained = all.take_regained();
    assert_eq!(lost.len() - regained.len(), 9);
    assert!(regained.iter().all(|gateway| !all.lost.contains(gateway)));
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
    // One gateway, of next hops of two peers.
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
