//! A peer with more next hops than are looked at in a step.

use bgp::fsm::Down;
use bgp::types::{NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::{AttributeSet, Reach, Update};
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::*;
use crate::attrs::Resolution;

/// An internal peer.
const PEER: PeerId = PeerId(3);
const COUNT: u8 = 200;

/// Each next hop above this one is a router on the link.
struct Above(u8);

impl NextHopResolver for Above {
    fn resolve(&self, next_hop: &NextHop, _: Option<u32>) -> Option<Resolution> {
        let gateway = next_hop.address();
        let is_above = matches!(gateway, IpAddr::V4(address) if address.octets()[3] > self.0);
        is_above.then_some(Resolution {
            gateway,
            ifindex: 2,
            metric: 0,
            connected: true,
            onlink: false,
        })
    }
}

fn prefix(number: u8) -> Ipv4Net {
    Ipv4Net::new(Ipv4Addr::new(198, 18, number, 0), 24).unwrap()
}

/// A RIB with a peer that brings [`COUNT`] prefixes, each over a next hop of its own, and End-of-RIB.
fn with_next_hops(above: u8, now: Instant) -> Rib {
    let mut rib = Rib::new(crate::RibConfig::new(OWN, ROUTER_ID));
    rib.next_hops_changed(Arc::new(Above(above)));
    rib.set_peer(PEER, peer_config(3));
    rib.open_gate(now);
    rib.session_up(PEER, session(3, PLAIN), now);
    for number in 0..COUNT {
        let nlri = Ipv4Net::list(vec![Nlri {
            prefix: prefix(number),
            path_id: PathId(0),
        }]);
        let next_hop = NextHop::Ipv4(Ipv4Addr::new(192, 0, 2, number));
        let update = Update {
            attributes: AttributeSet::from_attributes(&plain_attributes(1).build(3)).unwrap(),
            reach: [Reach { next_hop, nlri }].into_iter().collect(),
            ..Update::default()
        };
        rib.updates(PEER, &(&update).into());
    }
    for family in Family::ALL {
        let update = Update {
            end_of_rib: Some(family),
            ..Update::default()
        };
        rib.updates(PEER, &(&update).into());
    }
    rib
}

/// The tables let go of some before they are looked at.
#[test]
fn every_way_of_a_lost_peer_is_told_while_its_paths_are_removed() {
    let (now, mut heard) = (Instant::now(), Heard::default());
    let mut rib = with_next_hops(0, now);
    while rib.poll(now, 100, &mut heard) {}
    while rib.take_fib_changes(100, |_, _| {}) == 100 {}
    rib.take_events();
    rib.session_down(PEER, &Down::TransportFailed, now);
    let mut lost = Vec::new();
    loop {
        let more = rib.poll(now, 10, &mut heard);
        for event in rib.take_events() {
            match event {
                RibEvent::NextHopsLost(ways) => lost.extend(ways),
                RibEvent::NextHopsRegained(ways) => panic!("{ways:?} are regained"),
                _ => {}
            }
        }
        if !more {
            break;
        }
    }
    let distinct: BTreeSet<&(IpAddr, u32)> = lost.iter().collect();
    assert_eq!(
        (lost.len(), distinct.len()),
        (usize::from(COUNT) - 1, usize::from(COUNT) - 1)
    );
}

/// What a predecessor left in the kernel goes at convergence: not while a next hop may still be found to lead somewhere.
#[test]
fn convergence_waits_for_next_hops_that_are_still_to_be_asked_about() {
    let (now, mut heard) = (Instant::now(), Heard::default());
    let mut rib = with_next_hops(COUNT, now);
    // Of all of them, the last that is asked about is the only one that can be used now.
    rib.next_hops_changed(Arc::new(Above(COUNT - 2)));
    let mut routes = BTreeSet::new();
    let mut polls = 0;
    while !rib.converged() {
        rib.poll(now, 2, &mut heard);
        while rib.take_fib_changes(10, |prefix, route| {
            assert!(route.is_some() && routes.insert(prefix));
        }) == 10
        {}
        polls += 1;
        assert!(polls < 10_000);
    }
    assert_eq!(routes, [IpNet::V4(prefix(COUNT - 1))].into());
}
