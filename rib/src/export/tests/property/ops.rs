//! What happens to groups, and the variants of peers and routes that it happens with.

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Learn {
        prefix: usize,
        peer: u32,
        variant: usize,
    },
    Originate {
        prefix: usize,
        variant: usize,
    },
    Remove {
        prefix: usize,
    },
    Up {
        peer: u32,
        session: usize,
    },
    Down {
        peer: u32,
    },
    Configure {
        peer: u32,
        variant: usize,
    },
    ConfigureAll {
        variant: usize,
    },
    Refresh {
        peer: u32,
        family: usize,
    },
    Slow {
        peer: u32,
        mark: usize,
    },
    Drain {
        peer: u32,
    },
    Flush {
        budget: usize,
    },
    OpenGate,
    HoldEndOfRib(bool),
    Cluster {
        id: u32,
    },
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let prefix = || 0..PREFIXES;
    let peer = || 0..PEERS;
    prop_oneof![
        8 => (prefix(), peer(), 0..8usize).prop_map(|(prefix, peer, variant)| Op::Learn { prefix, peer, variant }),
        4 => (prefix(), 0..4usize).prop_map(|(prefix, variant)| Op::Originate { prefix, variant }),
        5 => prefix().prop_map(|prefix| Op::Remove { prefix }),
        4 => (peer(), 0..3usize).prop_map(|(peer, session)| Op::Up { peer, session }),
        1 => peer().prop_map(|peer| Op::Down { peer }),
        2 => (peer(), 0..5usize).prop_map(|(peer, variant)| Op::Configure { peer, variant }),
        1 => (0..5usize).prop_map(|variant| Op::ConfigureAll { variant }),
        2 => (peer(), 0..2usize).prop_map(|(peer, family)| Op::Refresh { peer, family }),
        2 => (peer(), 0..3usize).prop_map(|(peer, mark)| Op::Slow { peer, mark }),
        2 => peer().prop_map(|peer| Op::Drain { peer }),
        8 => (1..12usize).prop_map(|budget| Op::Flush { budget }),
        1 => Just(Op::OpenGate),
        1 => any::<bool>().prop_map(Op::HoldEndOfRib),
        1 => (1..3u32).prop_map(|id| Op::Cluster { id }),
    ]
}

/// Peers 0 to 2 are external, 3 internal, 4 and 5 clients.
pub(super) fn kind(peer: u32) -> PeerKind {
    match peer {
        0..=2 => PeerKind::External,
        3 => PeerKind::Internal,
        _ => PeerKind::ReflectorClient,
    }
}

pub(super) fn prefix(number: usize) -> IpNet {
    if number < 9 {
        net(&format!("10.{number}.0.0/16"))
    } else {
        net(&format!("2001:db8:{number}::/48"))
    }
}

pub(super) fn variant(number: usize) -> PeerConfig {
    let rule = |matches, set, action| Policy {
        name: "p".to_owned(),
        rules: vec![Rule {
            name: "r".to_owned(),
            matches,
            set,
            action,
        }],
    };
    let mut config = config(PeerKind::External);
    config.advertisements = [AdvertisementId(1)].into();
    match number {
        0 => {}
        1 => {
            let some = Matches {
                prefixes: vec![
                    PrefixRange {
                        net: net("10.0.0.0/14"),
                        min_length: 8,
                        max_length: 32,
                    },
                    PrefixRange {
                        net: net("2001:db8:a::/47"),
                        min_length: 8,
                        max_length: 128,
                    },
                ]
                .into(),
                ..Matches::default()
            };
            config.export = vec![Arc::new(rule(some, Set::default(), Action::Reject))];
        }
        2 => {
            let set = Set {
                med: Some(50),
                ..Set::default()
            };
            config.export = vec![Arc::new(rule(Matches::default(), set, Action::Accept))];
        }
        3 => {
            config.transit = false;
            config.next_hop_self = true;
        }
        _ => config.advertisements = [AdvertisementId(2)].into(),
    }
    config
}

pub(super) fn of_kind(number: usize, peer: u32) -> PeerConfig {
    PeerConfig {
        kind: kind(peer),
        ..variant(number)
    }
}

pub(super) fn session_of(peer: u32, number: usize) -> SessionInfo {
    // Peers 1 and 2 have the addresses that some next hops are.
    let mut session = session(kind(peer), peer as u8 + 1);
    let mut negotiated = Negotiated::clone(&session.negotiated);
    negotiated.enhanced_route_refresh = peer.is_multiple_of(2);
    match number {
        0 => {}
        1 => negotiated.extended_next_hop = vec![(Family::IPV4_UNICAST, Afi::IPV6)],
        _ => {
            negotiated.families = vec![Family::IPV4_UNICAST];
            negotiated.add_path_send = vec![Family::IPV4_UNICAST];
        }
    }
    session.negotiated = Arc::new(negotiated);
    session
}

pub(super) fn learned_variant(number: usize, v6: bool) -> RouteAttributes {
    let (mut attributes, _) = learned();
    let next_hop = match (number, v6) {
        (0..=1, false) => "203.0.113.1",
        // Another member's address.
        (2..=3, false) => "192.0.2.3",
        (4, false) => "192.0.2.5",
        (5, false) | (0..=2, true) => "2001:db8:9::1",
        (_, false) => "203.0.113.2",
        (_, true) => "2001:db8::7",
    };
    match number {
        1 | 3 => attributes.med = Some(7),
        6 => attributes.communities = vec![Community::NO_EXPORT],
        7 => attributes.local_pref = Some(300),
        _ => {}
    }
    route(&attributes, ip(next_hop).into())
}

pub(super) fn originated_variant(prefix: IpNet, number: usize) -> Originated {
    let offer = |advertisement, med| Offer {
        advertisement: AdvertisementId(advertisement),
        of_services: false,
        communities: vec![Community(advertisement)],
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        local_preference: None,
        med: Some(med),
        prepend: 0,
    };
    let offers = match number {
        0 => vec![offer(1, 5)],
        1 => vec![offer(2, 5)],
        2 => vec![offer(1, 5), offer(2, 6)],
        _ => vec![],
    };
    Originated { prefix, offers }
}
