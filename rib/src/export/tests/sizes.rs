//! RFC 4271 9.2, RFC 8654 4: what grows past the longest message of a peer is withdrawn from that peer, and from no other;
//! it is never cut, never sent in a broken message, and what was there before is never kept.

use bgp::types::{Community, Nlri, PathId};
use bgp::wire::UpdateEncoder;
use bgp::wire::attribute::UnknownAttribute;
use bgp::wire::capability::Role;
use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::super::rules::{DigestSeed, Exported};
use super::*;
use crate::originate::{AdvertisementId, Offer};
use crate::policy::{Action, Matches, Policy, Rule, Set};

use PeerKind::{External, Internal, ReflectorClient};

/// A kind of peer towards which attributes grow in its own way.
struct Row {
    name: &'static str,
    config: PeerConfig,
    session: SessionInfo,
    /// Whom the route came from.
    source: PeerKind,
}

fn row(
    name: &'static str,
    (source, to): (PeerKind, PeerKind),
    change: impl FnOnce(&mut PeerConfig, &mut Negotiated),
) -> Row {
    let (mut config, mut session) = (config(to), session(to, 1));
    let mut negotiated = Negotiated::clone(&session.negotiated);
    change(&mut config, &mut negotiated);
    session.negotiated = Arc::new(negotiated);
    Row {
        name,
        config,
        session,
        source,
    }
}

fn policy(set: Set) -> Vec<Arc<Policy>> {
    let rule = Rule {
        name: "grow".to_owned(),
        matches: Matches::default(),
        set,
        action: Action::Accept,
    };
    vec![Arc::new(Policy {
        name: "export".to_owned(),
        rules: vec![rule],
    })]
}

fn rows() -> Vec<Row> {
    let out = (External, External);
    vec![
        row("as it came", (External, Internal), |_, _| {}),
        row("our AS in front", out, |_, _| {}),
        row("extended messages", out, |_, n| n.extended_message = true),
        row("two-octet AS numbers", out, |_, n| n.four_octet_as = false),
        row("two octets, extended", out, |_, n| {
            n.four_octet_as = false;
            n.extended_message = true;
        }),
        row("reflected", (ReflectorClient, Internal), |_, _| {}),
        row(
            "reflected, extended",
            (Internal, ReflectorClient),
            |_, n| {
                n.extended_message = true;
            },
        ),
        row("marked for customers", out, |_, n| {
            n.peer_role = Some(Role::Customer);
        }),
        row("prepended", out, |config, _| {
            config.export = policy(Set {
                prepend: 200,
                ..Set::default()
            });
        }),
        row("communities of a policy", out, |config, _| {
            config.export = policy(Set {
                add_communities: (0..50).map(|n| Community(u32::MAX - n)).collect(),
                ..Set::default()
            });
        }),
        row("without private numbers", out, |config, _| {
            config.remove_private_as = true;
        }),
        row("path identifiers", out, |_, n| {
            n.add_path_send = vec![Family::IPV4_UNICAST];
        }),
    ]
}

fn tell(
    key: &GroupKey,
    attributes: &PathAttributes,
    source: PeerKind,
) -> Result<Exported, Suppressed> {
    let (_, next_hop) = learned();
    let route = route(attributes, next_hop);
    let seed = DigestSeed::default();
    key.learned(net("10.0.0.0/8"), route.borrowed(), from(source), &seed)
}

/// The octets of a message that announces one prefix of 32 bits.
fn encoded(key: &GroupKey, exported: &Exported) -> usize {
    let nlri = Nlri {
        prefix: Ipv4Net::new([10, 1, 2, 3].into(), 32).unwrap(),
        path_id: PathId(1),
    };
    let mut lengths = Vec::new();
    UpdateEncoder::new(key.codec)
        .reach(&exported.set, exported.next_hop, [nlri], |message| {
            lengths.push(message.len());
        })
        .unwrap();
    let [length] = lengths[..] else {
        panic!("{lengths:?}");
    };
    length
}

#[test]
fn whatever_grows_towards_a_peer_is_advertised_up_to_the_last_octet_that_fits_and_not_beyond() {
    let wide = AsPath::sequence((0..100).map(|n| Asn(65_100 + n * 7_000)));
    for row in rows() {
        let key = key(&row.config, &row.session);
        let max = key.codec.max_message();
        let attributes = |communities: u32| PathAttributes {
            as_path: wide.clone(),
            communities: (0..communities).map(Community).collect(),
            ..learned().0
        };
        let fits = |communities| tell(&key, &attributes(communities), row.source);
        // The largest that fits, by halving.
        let (mut yes, mut no) = (0, 16_383);
        while no - yes > 1 {
            let middle = u32::midpoint(yes, no);
            match fits(middle) {
                Ok(_) => yes = middle,
                Err(reason) => {
                    assert_eq!(reason, Suppressed::TooLarge(max), "{}", row.name);
                    no = middle;
                }
            }
        }
        let length = encoded(&key, &fits(yes).unwrap());
        assert!(
            length <= max && length + 4 > max,
            "{}: {length} of {max} octets with {yes} communities",
            row.name
        );
    }
}

/// Sizes that fit every peer, all but those with two-octet AS numbers, those with extended messages only, and nobody.
const STEPS: [(u32, [bool; 4]); 7] = [
    (10, [true, true, true, true]),
    (880, [true, true, false, true]),
    (2_000, [false, true, false, true]),
    (16_383, [false, false, false, false]),
    (2_000, [false, true, false, true]),
    (880, [true, true, false, true]),
    (10, [true, true, true, true]),
];

/// The best route of a prefix becomes one of a hundred AS numbers and so many communities.
fn set_best(world: &mut World, prefix: IpNet, communities: u32) {
    let (attributes, next_hop) = learned();
    let attributes = PathAttributes {
        as_path: AsPath::sequence((0..100).map(|n| Asn(65_100 + n * 7_000))),
        communities: (0..communities).map(Community).collect(),
        ..attributes
    };
    let best = TestBest::Learned(PeerId(100), route(&attributes, next_hop));
    world.set(prefix, Some(best));
}

/// Peer number `peer`, of this row, is told the route if it fits, and has been told it if it reads.
fn has_what_fits(
    world: &World,
    row: &Row,
    (peer, prefix): (u32, IpNet),
    (communities, fits): (u32, bool),
    blocked: bool,
) {
    let explained = world
        .groups
        .explain(&world.rib, PeerId(peer), prefix)
        .unwrap();
    let max = key(&row.config, &row.session);
    let max = max.codec.max_message();
    assert_eq!(
        explained.is_ok(),
        fits,
        "{communities} to {peer}: {explained:?}"
    );
    if !fits {
        assert_eq!(explained, Err(Suppressed::TooLarge(max)));
    }
    if blocked {
        return;
    }
    let count = world
        .groups
        .advertised_count(PeerId(peer), Family::IPV4_UNICAST);
    let too_large = world
        .groups
        .too_large_count(PeerId(peer), Family::IPV4_UNICAST);
    assert_eq!(too_large, usize::from(!fits), "{communities} to {peer}");
    let table = &world.transport.receivers[&PeerId(peer)].table;
    assert_eq!(table.len(), count);
    assert!(table.contains_key(&net("10.1.0.0/24")), "others stay");
    let heard = table.get(&prefix);
    let expected = explained
        .ok()
        .map(|advertised| (advertised.attributes, advertised.next_hop));
    assert_eq!(
        heard.is_some(),
        expected.is_some(),
        "{communities} to {peer}"
    );
    assert!(heard == expected.as_ref(), "{communities} to {peer}: stale");
}

#[test]
fn a_route_that_outgrows_a_peer_is_withdrawn_there_and_comes_back_when_it_fits_again() {
    let out = (External, External);
    let peers = [
        row("4,096 octets", out, |_, _| {}),
        row("65,535 octets", out, |_, n| n.extended_message = true),
        row("two-octet AS numbers", out, |_, n| n.four_octet_as = false),
        row("two octets, 65,535", out, |_, n| {
            n.four_octet_as = false;
            n.extended_message = true;
        }),
    ];
    for slow in [false, true] {
        let mut world = World::open();
        world.rib.sources.insert(PeerId(100), from(External));
        for (number, row) in (0..).zip(&peers) {
            let mut session = row.session.clone();
            session.remote_address = IpAddr::from([192, 0, 2, 1 + number as u8]);
            world.up(number, &row.config, &session);
        }
        world.flush_all();
        let groups: BTreeSet<_> = (0..4)
            .map(|n| world.groups.group_number(PeerId(n)))
            .collect();
        assert_eq!(groups.len(), 4, "no two of them can share their messages");
        let prefix = net("10.0.0.0/24");
        let small = learned();
        let best = TestBest::Learned(PeerId(100), route(&small.0, small.1));
        world.set(net("10.1.0.0/24"), Some(best));
        for (step, (communities, fits)) in STEPS.into_iter().enumerate() {
            set_best(&mut world, prefix, communities);
            // One that does not read hears only what is true in the end.
            let blocked = slow && step % 3 != 2;
            for peer in 0..4 {
                world.receiver(peer).mark = if blocked { 0 } else { usize::MAX };
                if !blocked && world.receiver(peer).drain() {
                    world.groups.writable(PeerId(peer));
                }
            }
            world.flush_all();
            for (peer, fits) in (0..).zip(fits) {
                let row = &peers[peer as usize];
                let step = (communities, fits);
                has_what_fits(&world, row, (peer, prefix), step, blocked);
            }
        }
    }
}

#[test]
fn who_joins_late_is_not_sent_what_does_not_fit() {
    let mut world = World::open();
    world.rib.sources.insert(PeerId(100), from(External));
    for (prefix, communities) in [("10.0.0.0/24", 2_000), ("10.1.0.0/24", 1)] {
        let (mut attributes, next_hop) = learned();
        attributes.communities = (0..communities).map(Community).collect();
        let best = TestBest::Learned(PeerId(100), route(&attributes, next_hop));
        world.set(net(prefix), Some(best));
    }
    for peer in 0..2 {
        world.up(peer, &config(External), &session(External, 1 + peer as u8));
        world.flush_all();
        assert_eq!(world.table(peer), [net("10.1.0.0/24")].into());
        world.groups.refresh(PeerId(peer), Family::IPV4_UNICAST);
        world.flush_all();
        assert_eq!(world.table(peer), [net("10.1.0.0/24")].into());
    }
}

#[test]
fn an_originated_route_with_more_communities_than_fit_is_withdrawn_and_says_why() {
    let offer = |communities: u32| Offer {
        advertisement: AdvertisementId(1),
        of_services: false,
        communities: (0..communities).map(Community).collect(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        local_preference: None,
        med: None,
        prepend: 0,
    };
    let originated = |communities| {
        TestBest::Originated(Originated {
            prefix: net("10.1.0.0/24"),
            offers: vec![offer(communities)],
        })
    };
    let mut world = World::open();
    let extended = row("extended", (External, External), |_, n| {
        n.extended_message = true;
    });
    for (peer, mut session) in [(0, session(External, 1)), (1, extended.session)] {
        let mut config = config(External);
        config.advertisements = [AdvertisementId(1)].into();
        session.remote_address = IpAddr::from([192, 0, 2, 1 + peer as u8]);
        world.up(peer, &config, &session);
    }
    let prefix = net("10.1.0.0/24");
    let all = [4096, 65_535].map(Suppressed::TooLarge);
    for (communities, advertised) in [
        (5, [None, None]),
        (2_000, [Some(all[0]), None]),
        (20_000, all.map(Some)),
        (5, [None, None]),
    ] {
        world.set(prefix, Some(originated(communities)));
        world.flush_all();
        for (peer, reason) in (0..).zip(advertised) {
            let explained = world.groups.explain(&world.rib, PeerId(peer), prefix);
            assert_eq!(explained.unwrap().err(), reason);
            assert_eq!(world.table(peer).contains(&prefix), reason.is_none());
        }
    }
}

fn any_attributes() -> impl Strategy<Value = PathAttributes> {
    let path = prop_oneof![0..40usize, 200..1_100usize, 5_000..16_300usize];
    let communities = prop_oneof![0..20u32, 400..1_100u32, 8_000..16_384u32];
    let unknown = prop_oneof![Just(0), 200..300usize, 3_000..4_200usize];
    let clusters = prop_oneof![Just(0), 1..3u32, 900..1_030u32, 16_381..16_384u32];
    (path, communities, unknown, clusters, any::<[bool; 3]>()).prop_map(
        |(path, communities, unknown, clusters, [wide, originator, private])| {
            let asn = |n: usize| match (wide, private) {
                (_, true) if n % 3 == 1 => Asn(64_600),
                (true, _) => Asn(100_000 + n as u32),
                (false, _) => Asn(1 + n as u32),
            };
            PathAttributes {
                as_path: AsPath::sequence((0..path).map(asn)),
                communities: (0..communities).map(Community).collect(),
                originator_id: originator.then_some(BgpIdentifier(5)),
                cluster_list: (0..clusters).map(BgpIdentifier).collect(),
                unknown: (unknown > 0)
                    .then(|| UnknownAttribute {
                        flags: 0xc0,
                        code: 200,
                        value: vec![7; unknown].into(),
                    })
                    .into_iter()
                    .collect(),
                ..learned().0
            }
        },
    )
}

proptest! {
    #![proptest_config(crate::soak::cases(96))]

    #[test]
    fn what_the_rules_let_through_fits_and_what_they_hold_back_does_not(attributes in any_attributes()) {
        for row in rows() {
            let key = key(&row.config, &row.session);
            let max = key.codec.max_message();
            match tell(&key, &attributes, row.source) {
                Ok(exported) => prop_assert!(encoded(&key, &exported) <= max, "{}", row.name),
                Err(reason) => {
                    prop_assert_eq!(reason, Suppressed::TooLarge(max), "{}", row.name);
                    let mut roomy = key.clone();
                    roomy.codec.extended_message = true;
                    if let Ok(exported) = tell(&roomy, &attributes, row.source) {
                        prop_assert!(encoded(&roomy, &exported) > max, "{}", row.name);
                    }
                }
            }
        }
    }
}
