//! The table seen through the RIB: prefixes that are removed and added within one batch, what the FIB receives, announced
//! attributes that import changes, and which changes of a peer's configuration need a walk.
#![allow(clippy::unwrap_used)]

mod asked;
mod restarts;

use std::sync::Arc;

use bgp::fsm::Down;
use bgp::types::{Community, NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::{AttributeSet, Reach, Update, UpdateBatch};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::attrs::{NextHopResolver, Resolution};
use crate::facade::model::{
    Attributes, OWN, Op, PLAIN, SessionKind, World, peer_config, plain_attributes, prefixes, run,
    session,
};
use crate::facade::{FibNextHop, FibRoute};
use crate::peer::{PeerConfig, PeerId, SessionInfo};
use crate::policy::{Action, Matches, Policy, Rule as PolicyRule, Set};

/// Places in [`prefixes`], all IPv4.
const A: usize = 0;
const B: usize = 1;
const OTHER: usize = 2;

fn ipv4(place: usize) -> Ipv4Net {
    Ipv4Net::from_net(prefixes()[place]).unwrap()
}

/// The UPDATE by which this peer announces a prefix.
fn announcing<P: RoutePrefix>(
    number: usize,
    attributes: &Attributes,
    next_hop: NextHop,
    prefix: P,
) -> Update {
    let nlri = P::list(vec![Nlri::new(prefix)]);
    Update {
        attributes: AttributeSet::from_attributes(&attributes.build(number)).unwrap(),
        reach: [Reach { next_hop, nlri }].into_iter().collect(),
        ..Update::default()
    }
}

fn withdrawing<P: RoutePrefix>(prefix: P) -> Update {
    let list = P::list(vec![Nlri::new(prefix)]);
    Update {
        unreach: [list].into_iter().collect(),
        ..Update::default()
    }
}

/// Peer 1 sends one UPDATE for each of these prefixes, and they arrive in one batch. `None` withdraws the prefix.
fn in_one_batch(world: &mut World, updates: &[(usize, Option<&Attributes>)]) {
    let peer = PeerId(1);
    let mut batch = UpdateBatch::default();
    for (place, announced) in updates {
        let prefix = prefixes()[*place];
        let oracle = &mut world.oracle;
        match announced {
            Some(announced) => {
                let (attributes, next_hop) = (announced.build(1), announced.next_hop());
                oracle.announce(peer, prefix, PathId::NONE, &attributes, next_hop);
                batch.push(&announcing(1, announced, next_hop, ipv4(*place)));
            }
            None => {
                oracle.withdraw(peer, prefix, PathId::NONE);
                batch.push(&withdrawing(ipv4(*place)));
            }
        }
    }
    world.rib.updates(peer, &batch);
}

#[test]
fn a_slot_reused_within_a_batch_is_not_taken_for_the_prefix_that_had_it_before() {
    let usable = plain_attributes(1);
    // Neither the FIB nor a peer knows of a rejected path: when it is withdrawn, its slot is free at once.
    let rejected = Attributes {
        path: vec![OWN.0],
        ..plain_attributes(1)
    };
    for others in [&[][..], &[(OTHER, 0)]] {
        for at_last in [Some(&usable), Some(&rejected), None] {
            let mut world = World::new();
            world.apply(&Op::Up(1, PLAIN));
            world.announce(1, others, &usable);
            world.announce(1, &[(A, 0)], &rejected);
            world.check();
            let updates = [(A, None), (B, Some(&usable)), (A, at_last)];
            in_one_batch(&mut world, &updates);
            world.check();
        }
    }
}

/// A session of this peer on this interface.
fn up(world: &mut World, number: usize, interface: u32) {
    let session = SessionInfo {
        interface: Some(interface),
        ..session(number, PLAIN)
    };
    let now = world.now;
    world.rib.session_up(PeerId(number as u32), session, now);
}

/// The next hops that the FIB has for a prefix, after all changes.
fn in_fib(world: &mut World, prefix: IpNet) -> Vec<FibNextHop> {
    world.drain();
    match world.fib.as_ref().unwrap().get(&prefix) {
        Some(FibRoute { next_hops }) => next_hops.to_vec(),
        other => panic!("the FIB has {other:?} for {prefix}"),
    }
}

/// Every next hop is a neighbour on the interface of the session.
struct OnInterface;

impl NextHopResolver for OnInterface {
    fn resolve(&self, next_hop: &NextHop, interface: Option<u32>) -> Option<Resolution> {
        Some(Resolution {
            gateway: next_hop.address(),
            ifindex: interface?,
            metric: 0,
            connected: true,
            onlink: false,
        })
    }
}

#[test]
fn the_fib_receives_a_link_local_next_hop_that_moves_to_the_interface_of_another_peer() {
    let mut world = World::new();
    world.rib.next_hops_changed(Arc::new(OnInterface));
    let prefix: Ipv6Net = "2001:db8:7::/48".parse().unwrap();
    let next_hop = NextHop::Ipv6("fe80::1".parse().unwrap());
    // Two routers with the same link-local address, as is common. The AS_PATH of the first one is shorter.
    for (number, interface, path) in [(0, 11, vec![]), (5, 12, vec![64999])] {
        up(&mut world, number, interface);
        let attributes = Attributes {
            path,
            ..plain_attributes(1)
        };
        world.update(number, &announcing(number, &attributes, next_hop, prefix));
    }
    let on = |ifindex| FibNextHop {
        gateway: next_hop.address(),
        ifindex,
        weight: 1,
        onlink: false,
    };
    assert_eq!(in_fib(&mut world, prefix.into()), [on(11)]);
    world.update(0, &withdrawing(prefix));
    assert_eq!(in_fib(&mut world, prefix.into()), [on(12)]);
}

#[test]
fn the_fib_receives_the_interface_of_a_resumed_session_that_moved_to_another_one() {
    let prefix: Ipv6Net = "2001:db8:7::/48".parse().unwrap();
    let next_hop = NextHop::Ipv6("fe80::1".parse().unwrap());
    let graceful = SessionKind {
        graceful: true,
        restarting: false,
        forwarding: true,
        ..PLAIN
    };
    for repeated in [true, false] {
        let mut world = World::new();
        world.rib.next_hops_changed(Arc::new(OnInterface));
        let now = world.now;
        let on = |interface| SessionInfo {
            interface: Some(interface),
            ..session(1, graceful)
        };
        let update = announcing(1, &plain_attributes(1), next_hop, prefix);
        world.rib.session_up(PeerId(1), on(11), now);
        world.update(1, &update);
        assert_eq!(in_fib(&mut world, prefix.into())[0].ifindex, 11);
        let down = Down::TransportFailed;
        world.rib.session_down(PeerId(1), &down, now);
        world.rib.session_up(PeerId(1), on(12), now);
        if repeated {
            world.update(1, &update);
        }
        let next_hops = in_fib(&mut world, prefix.into());
        assert_eq!(next_hops[0].ifindex, 12, "repeated: {repeated}");
    }
}

/// Peer 1 with an import policy that gives all its paths this weight.
fn with_weight(weight: u16) -> PeerConfig {
    let policy = Policy {
        name: "weight".to_owned(),
        rules: vec![PolicyRule {
            name: "all".to_owned(),
            matches: Matches::default(),
            set: Set {
                weight: Some(weight),
                ..Set::default()
            },
            action: Action::Accept,
        }],
    };
    PeerConfig {
        import: vec![Arc::new(policy)],
        ..peer_config(1)
    }
}

#[test]
fn the_fib_receives_a_weight_that_changes_however_high_the_interface_index() {
    // The kernel accepts any positive index.
    for interface in [3, 1 << 22, i32::MAX as u32] {
        let mut world = World::new();
        up(&mut world, 1, interface);
        let attributes = plain_attributes(1);
        let next_hop = attributes.next_hop();
        world.update(1, &announcing(1, &attributes, next_hop, ipv4(A)));
        for weight in [2, 3, 1, 256, 255] {
            world.set_peer(1, with_weight(weight));
            let next_hops = in_fib(&mut world, prefixes()[A]);
            let weights: Vec<u16> = next_hops.iter().map(|next_hop| next_hop.weight).collect();
            assert_eq!(weights, [weight], "interface {interface}");
        }
    }
}

#[test]
fn the_announced_attributes_are_kept_when_a_policy_starts_or_stops_changing_a_path() {
    let community = |community| Attributes {
        community: Some(Community(community)),
        ..plain_attributes(1)
    };
    // The policy removes community 7 and prepends to the AS_PATH of the routes that have it.
    let (unchanged, changed) = (community(8), community(7));
    let changed_too = Attributes {
        med: Some(5),
        ..changed.clone()
    };
    for [first, second] in [
        [&unchanged, &changed],
        [&changed, &unchanged],
        [&changed, &changed_too],
    ] {
        let announce = |attributes: &Attributes| Op::Announce(1, vec![(A, 0)], attributes.clone());
        let announced = [
            Op::Import(1, 3),
            Op::Up(1, PLAIN),
            announce(first),
            announce(second),
        ];
        // A withdrawn path leaves no attributes behind.
        let withdrawn = [Op::Withdraw(1, A, 0)];
        run(&[&announced[..], &withdrawn].concat());
        // Without the policy, the path has the attributes that the peer announced last.
        run(&[&announced[..], &[Op::Import(1, 0)]].concat());
    }
}

#[test]
fn a_change_of_prefix_limits_needs_no_walk_and_a_change_of_policies_does() {
    let mut world = World::new();
    world.apply(&Op::Up(1, PLAIN));
    world.announce(1, &[(A, 0), (B, 0)], &plain_attributes(1));
    world.check();
    let limits = |max_prefixes, prefix_warning| PeerConfig {
        max_prefixes,
        prefix_warning,
        ..peer_config(1)
    };
    for limits in [
        limits(Some(100), None),
        limits(Some(100), Some(80)),
        limits(None, Some(1)),
    ] {
        world.set_peer(1, limits.clone());
        assert!(!world.poll(0), "{limits:?}");
    }
    world.set_peer(1, with_weight(2));
    assert!(world.poll(0), "the policy runs again on all paths");
}
