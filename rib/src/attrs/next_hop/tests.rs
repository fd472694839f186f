#![allow(clippy::unwrap_used)]
mod walks;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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

/// The gateways that are lost with a peer.
fn lose(all: &mut NextHops, peer: PeerId) -> Vec<Gateway> {
    all.lose(peer);
    walk(all);
    all.take_lost()
}

fn ipv4(third: u8, last: u8) -> NextHop {
    NextHop::Ipv4(Ipv4Addr::new(10, third, 0, last))
}

fn way_of(next_hop: NextHop) -> Gateway {
    gateway(&OnLink.resolve(&next_hop, None).unwrap())
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
