//! The built-in rules, each named by its source.

use bgp::types::{Community, ExtendedCommunity, Ipv6ExtendedCommunity};
use bgp::wire::UpdateEncoder;
use bgp::wire::attribute::UnknownAttribute;
use bgp::wire::capability::{LongLivedFamily, Role};

use super::super::rules::{DigestSeed, Exported};
use super::*;
use crate::originate::{AdvertisementId, Offer};
use crate::policy::{Action, Matches, Policy, Rule, RuleRef, Set};

use PeerKind::{External, Internal, ReflectorClient};

const KINDS: [PeerKind; 3] = [External, Internal, ReflectorClient];

fn tell(
    key: &GroupKey,
    prefix: &str,
    route: &RouteAttributes,
    source: PeerKind,
) -> Result<Exported, Suppressed> {
    key.learned(
        net(prefix),
        route.borrowed(),
        from(source),
        &DigestSeed::default(),
    )
}

/// What a peer of a kind, with nothing special, is told of a route from a peer of another kind.
fn told(
    to: PeerKind,
    source: PeerKind,
    attributes: &PathAttributes,
) -> Result<PathAttributes, Suppressed> {
    let key = key(&config(to), &session(to, 1));
    let (_, next_hop) = learned();
    tell(&key, "10.0.0.0/8", &route(attributes, next_hop), source).map(|told| told.set.parse())
}

fn offer(advertisement: u32) -> Offer {
    Offer {
        advertisement: AdvertisementId(advertisement),
        of_services: false,
        communities: Vec::new(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        local_preference: None,
        med: None,
        prepend: 0,
    }
}

fn originated(prefix: &str, offers: Vec<Offer>) -> Originated {
    Originated {
        prefix: net(prefix),
        offers,
    }
}

fn advertise(
    config: &PeerConfig,
    session: &SessionInfo,
    originated: &Originated,
) -> Result<Exported, Suppressed> {
    let mut config = config.clone();
    config.advertisements = [1, 2].map(AdvertisementId).into();
    key(&config, session).originated(originated, &DigestSeed::default())
}

#[test]
fn rfc4271_9_2_and_rfc4456_6_who_hears_what_from_whom() {
    let expected = |source, to| match (source, to) {
        (Internal, Internal) => Some(Suppressed::NotReflected),
        _ => None,
    };
    for source in KINDS {
        for to in KINDS {
            let result = told(to, source, &learned().0).err();
            assert_eq!(result, expected(source, to), "{source:?} to {to:?}");
        }
    }
}

#[test]
fn without_transit_only_reflection_passes_learned_routes_on() {
    let (attributes, next_hop) = learned();
    for source in KINDS {
        for to in KINDS {
            let mut config = config(to);
            config.transit = false;
            let key = key(&config, &session(to, 1));
            let result = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), source).err();
            let expected = match (source, to) {
                (External, _) | (_, External) => Some(Suppressed::NoTransit),
                (Internal, Internal) => Some(Suppressed::NotReflected),
                _ => None,
            };
            assert_eq!(result, expected, "{source:?} to {to:?}");
        }
    }
}

#[test]
fn rfc1997_well_known_communities_hold_on_every_family() {
    let cases = [
        (Community::NO_EXPORT, Suppressed::NoExport, true),
        (
            Community::NO_EXPORT_SUBCONFED,
            Suppressed::NoExportSubconfed,
            true,
        ),
        (Community::NO_ADVERTISE, Suppressed::NoAdvertise, false),
    ];
    for (community, reason, external_only) in cases {
        for to in [External, ReflectorClient] {
            for (prefix, next_hop) in [
                ("10.0.0.0/8", "203.0.113.1"),
                ("2001:db8:1::/48", "2001:db8:9::1"),
            ] {
                let (mut attributes, _) = learned();
                attributes.communities = vec![Community(7), community];
                let key = key(&config(to), &session(to, 1));
                let result = tell(
                    &key,
                    prefix,
                    &route(&attributes, ip(next_hop).into()),
                    Internal,
                );
                let expected = (to == External || !external_only).then_some(reason);
                assert_eq!(result.err(), expected, "{community} {prefix} to {to:?}");
            }
        }
    }
}

#[test]
fn communities_of_an_advertisement_are_for_the_receiver_and_suppress_nothing() {
    let mut one = offer(1);
    one.communities = vec![Community::NO_EXPORT];
    let told = advertise(
        &config(External),
        &session(External, 1),
        &originated("10.1.0.0/24", vec![one]),
    );
    assert_eq!(
        told.unwrap().set.parse().communities,
        [Community::NO_EXPORT]
    );
}

#[test]
fn rfc9494_4_3_stale_routes_go_only_to_peers_that_know_what_they_are() {
    let (mut attributes, next_hop) = learned();
    attributes.communities = vec![Community::LLGR_STALE];
    let mut session = session(External, 1);
    let mut result = |negotiated: Negotiated| {
        session.negotiated = Arc::new(negotiated);
        let key = key(&config(External), &session);
        tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).err()
    };
    let mut knows = negotiated(Asn(65001));
    assert_eq!(result(knows.clone()), Some(Suppressed::LongLivedStale));
    let family = |family| LongLivedFamily {
        family,
        forwarding: false,
        stale_time: 60,
    };
    knows.long_lived = vec![family(Family::IPV6_UNICAST)];
    assert_eq!(result(knows.clone()), Some(Suppressed::LongLivedStale));
    knows.long_lived.push(family(Family::IPV4_UNICAST));
    assert_eq!(result(knows), None);
}

#[test]
fn rfc9234_5_only_to_customer_by_the_peers_role() {
    let cases = [
        (None, None, Some(Asn(5))),
        (Some(Role::Customer), Some(OWN), Some(Asn(5))),
        (Some(Role::RouteServerClient), Some(OWN), Some(Asn(5))),
        (Some(Role::Peer), Some(OWN), None),
        (Some(Role::Provider), None, None),
        (Some(Role::RouteServer), None, None),
    ];
    for (role, added, kept) in cases {
        let mut session = session(External, 1);
        let mut negotiated = negotiated(Asn(65001));
        negotiated.peer_role = role;
        session.negotiated = Arc::new(negotiated);
        let key = key(&config(External), &session);
        let (mut attributes, next_hop) = learned();
        let without = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
        assert_eq!(without.set.only_to_customer(), added, "added for {role:?}");
        attributes.only_to_customer = Some(Asn(5));
        let with = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External);
        let with = with.map(|told| told.set.only_to_customer().unwrap());
        assert_eq!(
            with,
            kept.ok_or(Suppressed::OnlyToCustomer),
            "kept for {role:?}"
        );
        let ours = advertise(
            &config(External),
            &session,
            &originated("10.1.0.0/24", vec![offer(1)]),
        );
        assert_eq!(
            ours.unwrap().set.only_to_customer(),
            added,
            "ours for {role:?}"
        );
    }
}

#[test]
fn a_family_that_was_not_negotiated_is_not_told() {
    let mut session = session(External, 1);
    let mut negotiated = negotiated(Asn(65001));
    negotiated.families = vec![Family::IPV6_UNICAST];
    session.negotiated = Arc::new(negotiated);
    let (attributes, next_hop) = learned();
    let key = key(&config(External), &session);
    let told = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External);
    assert_eq!(told, Err(Suppressed::FamilyNotNegotiated));
    let ours = originated("10.1.0.0/24", vec![offer(1)]);
    assert_eq!(
        advertise(&config(External), &session, &ours),
        Err(Suppressed::FamilyNotNegotiated)
    );
}

#[test]
fn rfc4271_5_1_2_our_as_goes_in_front_for_external_peers_only() {
    let (attributes, _) = learned();
    let path = |to| told(to, External, &attributes).unwrap().as_path.to_string();
    assert_eq!(path(External), "64512 65100");
    assert_eq!(path(Internal), "65100");
    assert_eq!(path(ReflectorClient), "65100");
}

#[test]
fn rfc4271_5_1_5_local_pref_goes_to_internal_peers_only_and_always() {
    let (mut attributes, _) = learned();
    let pref = |to, attributes: &_| told(to, External, attributes).unwrap().local_pref;
    assert_eq!(pref(Internal, &attributes), Some(100));
    attributes.local_pref = Some(7);
    assert_eq!(pref(Internal, &attributes), Some(7));
    assert_eq!(pref(External, &attributes), None);
}

#[test]
fn rfc4271_5_1_4_a_learned_med_stays_in_the_as() {
    let (mut attributes, _) = learned();
    attributes.med = Some(7);
    assert_eq!(told(Internal, External, &attributes).unwrap().med, Some(7));
    assert_eq!(told(External, External, &attributes).unwrap().med, None);
}

#[test]
fn rfc4456_8_reflection_marks_the_originator_once_and_the_cluster_each_time() {
    let (mut attributes, _) = learned();
    let first = told(ReflectorClient, Internal, &attributes).unwrap();
    assert_eq!(first.originator_id, Some(BgpIdentifier(77)));
    assert_eq!(first.cluster_list, [OWN_ID]);
    attributes.originator_id = Some(BgpIdentifier(5));
    attributes.cluster_list = vec![BgpIdentifier(6)];
    let second = told(Internal, ReflectorClient, &attributes).unwrap();
    assert_eq!(second.originator_id, Some(BgpIdentifier(5)));
    assert_eq!(second.cluster_list, [OWN_ID, BgpIdentifier(6)]);
    let outside = told(External, Internal, &attributes).unwrap();
    assert_eq!(
        (outside.originator_id, outside.cluster_list),
        (None, vec![])
    );
    let not_reflected = told(Internal, External, &learned().0).unwrap();
    assert_eq!(not_reflected.originator_id, None);
    let cluster = GroupKey::new(
        &config(ReflectorClient),
        &session(ReflectorClient, 1),
        Some(BgpIdentifier(8)),
    );
    let (attributes, next_hop) = learned();
    let set = tell(
        &cluster,
        "10.0.0.0/8",
        &route(&attributes, next_hop),
        Internal,
    );
    assert_eq!(set.unwrap().set.parse().cluster_list, [BgpIdentifier(8)]);
}

#[test]
fn rfc4360_2_extended_communities_cross_as_borders_only_if_they_are_transitive() {
    let (mut attributes, _) = learned();
    attributes.extended_communities = vec![ExtendedCommunity([0; 8]), ExtendedCommunity([0x40; 8])];
    attributes.ipv6_extended_communities = vec![
        Ipv6ExtendedCommunity([0; 20]),
        Ipv6ExtendedCommunity([0x40; 20]),
    ];
    let count = |to| {
        let told = told(to, External, &attributes).unwrap();
        let counts = (
            told.extended_communities.len(),
            told.ipv6_extended_communities.len(),
        );
        assert!(told.extended_communities[0].is_transitive());
        counts
    };
    assert_eq!(count(Internal), (2, 2));
    assert_eq!(count(External), (1, 1));
}

#[test]
fn rfc4271_5_unknown_attributes_are_passed_on_as_partial_if_transitive() {
    let (mut attributes, next_hop) = learned();
    let unknown = |flags, code| UnknownAttribute {
        flags,
        code,
        value: Bytes::from_static(b"x"),
    };
    attributes.unknown = vec![unknown(0x80, 200), unknown(0xc0, 201)];
    let key = key(&config(External), &session(External, 1));
    let told = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
    let mut encoder = UpdateEncoder::new(key.codec);
    let mut receiver = Receiver::new(&key);
    let nlri = bgp::types::Nlri::new("10.0.0.0/8".parse::<ipnet::Ipv4Net>().unwrap());
    encoder
        .reach(&told.set, told.next_hop, [nlri], |bytes| {
            receiver.read(&bytes);
        })
        .unwrap();
    let (set, _) = receiver.table.pop_first().unwrap().1;
    assert_eq!(set.parse().unknown, [unknown(0xe0, 201)]);
}

#[test]
fn private_numbers_are_removed_but_our_own_stays() {
    let (mut attributes, next_hop) = learned();
    attributes.as_path = "64999 3356 65001".parse().unwrap();
    let mut config = config(External);
    config.remove_private_as = true;
    let key = key(&config, &session(External, 1));
    let told = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
    assert_eq!(told.set.parse().as_path.to_string(), "64512 3356");
}

#[test]
fn rfc_5065_segments_of_a_confederation_do_not_leave_the_as() {
    let (mut attributes, next_hop) = learned();
    attributes.as_path = "(65010 65011) 64999 (65012) 3356".parse().unwrap();
    let told = |kind| {
        let key = key(&config(kind), &session(kind, 1));
        let told = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
        told.set.parse().as_path.to_string()
    };
    assert_eq!(told(External), "64512 64999 3356");
    assert_eq!(told(Internal), "(65010 65011) 64999 (65012) 3356");
}

#[test]
fn offers_that_select_the_peer_are_merged_and_others_are_not_heard() {
    let mut one = offer(1);
    one.communities = vec![Community(2)];
    one.local_preference = Some(10);
    one.med = Some(5);
    one.prepend = 1;
    let mut two = offer(2);
    two.communities = vec![Community(1), Community(2)];
    two.local_preference = Some(20);
    two.med = Some(4);
    two.prepend = 2;
    let mut three = offer(3);
    three.communities = vec![Community(9)];
    three.local_preference = Some(99);
    three.med = Some(0);
    three.prepend = 9;
    let both = originated("10.1.0.0/24", vec![one, two, three.clone()]);
    let outside = advertise(&config(External), &session(External, 1), &both);
    let outside = outside.unwrap().set.parse();
    assert_eq!(outside.as_path.to_string(), "64512 64512 64512");
    assert_eq!(outside.communities, [Community(1), Community(2)]);
    assert_eq!((outside.med, outside.local_pref), (Some(4), None));
    assert_eq!(outside.origin, Some(Origin::Igp));
    let inside = advertise(&config(Internal), &session(Internal, 1), &both);
    let inside = inside.unwrap().set.parse();
    assert_eq!(
        inside.as_path.to_string(),
        "",
        "no prepending within the AS"
    );
    assert_eq!((inside.med, inside.local_pref), (Some(4), Some(20)));
    let other = originated("10.1.0.0/24", vec![three]);
    assert_eq!(
        advertise(&config(External), &session(External, 1), &other),
        Err(Suppressed::NotOffered)
    );
}

#[test]
fn a_node_that_knows_services_is_told_what_something_else_asks_for() {
    let offers = |of_services: [bool; 2]| {
        let both = [1, 2].map(offer).into_iter().zip(of_services);
        let both = both.map(|(offer, of_services)| Offer {
            of_services,
            ..offer
        });
        originated("203.0.113.7/32", both.collect())
    };
    for (of_services, told) in [
        ([true, true], false),
        ([true, false], true),
        ([false, false], true),
    ] {
        for knows_services in [false, true] {
            let config = PeerConfig {
                knows_services,
                ..config(Internal)
            };
            let found = advertise(&config, &session(Internal, 1), &offers(of_services));
            let kept_back = (knows_services && !told).then_some(Suppressed::KnownToNode);
            assert_eq!(found.err(), kept_back, "{of_services:?} {knows_services}");
        }
    }
}

fn hop(
    key: &GroupKey,
    prefix: &str,
    received: NextHop,
    source: PeerKind,
) -> Result<NextHop, Suppressed> {
    let (attributes, _) = learned();
    tell(key, prefix, &route(&attributes, received), source).map(|told| told.next_hop)
}

#[test]
fn rfc4271_5_1_3_next_hops_of_ipv4_routes() {
    let (far, shared, ours) = (ip("203.0.113.1"), ip("192.0.2.7"), ip("192.0.2.254"));
    let external = key(&config(External), &session(External, 1));
    let of = |key: &_, received: IpAddr, source| hop(key, "10.0.0.0/8", received.into(), source);
    assert_eq!(of(&external, far, External), Ok(ours.into()));
    assert_eq!(
        of(&external, shared, External),
        Ok(shared.into()),
        "third party"
    );
    let mut multihop = session(External, 1);
    multihop.single_hop = false;
    let multihop = key(&config(External), &multihop);
    assert_eq!(of(&multihop, shared, External), Ok(ours.into()));
    let internal = key(&config(Internal), &session(Internal, 1));
    assert_eq!(of(&internal, far, External), Ok(far.into()));
    let mut with_self = config(ReflectorClient);
    with_self.next_hop_self = true;
    let with_self = key(&with_self, &session(ReflectorClient, 1));
    assert_eq!(of(&with_self, far, External), Ok(ours.into()));
    assert_eq!(
        of(&with_self, far, Internal),
        Ok(far.into()),
        "reflection changes none"
    );
    let own = advertise(
        &config(Internal),
        &session(Internal, 1),
        &originated("10.1.0.0/24", vec![offer(1)]),
    );
    assert_eq!(own.unwrap().next_hop, ours.into());
}

#[test]
fn rfc2545_3_the_link_local_address_goes_along_on_the_link_only() {
    let (global, link_local): (std::net::Ipv6Addr, std::net::Ipv6Addr) =
        ("2001:db8::254".parse().unwrap(), "fe80::1".parse().unwrap());
    let ours = |single_hop, local_ipv6| {
        let mut session = session(External, 1);
        session.single_hop = single_hop;
        session.local_ipv6 = local_ipv6;
        session.local_link_local = Some(link_local);
        let route = originated("2001:db8:1::/48", vec![offer(1)]);
        advertise(&config(External), &session, &route).map(|told| told.next_hop)
    };
    assert_eq!(
        ours(true, Some(global)),
        Ok(NextHop::Ipv6WithLinkLocal { global, link_local })
    );
    assert_eq!(
        ours(true, None),
        Ok(NextHop::Ipv6(link_local)),
        "unnumbered"
    );
    assert_eq!(ours(false, Some(global)), Ok(NextHop::Ipv6(global)));
    assert_eq!(ours(false, None), Err(Suppressed::NoNextHop));
    let internal = key(&config(Internal), &session(Internal, 1));
    let far = "2001:db8:9::1".parse().unwrap();
    let pair = NextHop::Ipv6WithLinkLocal {
        global: far,
        link_local,
    };
    let passed_on = hop(&internal, "2001:db8:1::/48", pair, External);
    assert_eq!(passed_on, Ok(NextHop::Ipv6(far)), "without the link's part");
    let on_link = hop(
        &internal,
        "2001:db8:1::/48",
        NextHop::Ipv6(link_local),
        External,
    );
    assert_eq!(on_link, Ok(NextHop::Ipv6(global)), "ours instead");
}

#[test]
fn rfc8950_ipv4_routes_have_an_ipv6_next_hop_only_where_that_was_negotiated() {
    let far = NextHop::from(ip("2001:db8:9::1"));
    for extended in [false, true] {
        let mut session = session(Internal, 1);
        let mut negotiated = negotiated(OWN);
        if extended {
            negotiated.extended_next_hop = vec![(Family::IPV4_UNICAST, bgp::types::Afi::IPV6)];
        }
        session.negotiated = Arc::new(negotiated);
        let passed_on = hop(
            &key(&config(Internal), &session),
            "10.0.0.0/8",
            far,
            External,
        );
        let ours = originated("10.1.0.0/24", vec![offer(1)]);
        let both = advertise(&config(Internal), &session, &ours).unwrap();
        assert_eq!(
            both.next_hop,
            ip("192.0.2.254").into(),
            "IPv4 where there is one"
        );
        session.local_ipv4 = None;
        let own = advertise(&config(Internal), &session, &ours).map(|told| told.next_hop);
        if extended {
            assert_eq!((passed_on, own), (Ok(far), Ok(ip("2001:db8::254").into())));
        } else {
            let expected = (
                Err(Suppressed::NextHopOfOtherFamily),
                Err(Suppressed::NoNextHop),
            );
            assert_eq!((passed_on, own), expected);
        }
    }
}

fn with_policy(kind: PeerKind, matches: Matches, set: Set, action: Action) -> PeerConfig {
    PeerConfig {
        export: vec![Arc::new(Policy {
            name: "p".to_owned(),
            rules: vec![Rule {
                name: "r".to_owned(),
                matches,
                set,
                action,
            }],
        })],
        ..config(kind)
    }
}

#[test]
fn export_policies_reject_with_their_rule_and_a_med_that_they_set_is_sent() {
    let (mut attributes, next_hop) = learned();
    attributes.med = Some(1);
    let only = Matches {
        neighbour_asns: vec![Asn(65100)].into(),
        ..Matches::default()
    };
    let reject = with_policy(External, only.clone(), Set::default(), Action::Reject);
    let told = tell(
        &key(&reject, &session(External, 1)),
        "10.0.0.0/8",
        &route(&attributes, next_hop),
        External,
    );
    assert_eq!(
        told,
        Err(Suppressed::Policy(RuleRef { policy: 0, rule: 0 }))
    );
    let set = Set {
        med: Some(9),
        prepend: 1,
        local_preference: Some(5),
        add_communities: vec![Community::NO_EXPORT],
        ..Set::default()
    };
    let change = with_policy(External, only, set, Action::Accept);
    let told = tell(
        &key(&change, &session(External, 1)),
        "10.0.0.0/8",
        &route(&attributes, next_hop),
        External,
    );
    let told = told.unwrap().set.parse();
    assert_eq!((told.med, told.local_pref), (Some(9), None));
    assert_eq!(told.as_path.to_string(), "64512 64512 65100");
    assert_eq!(told.communities, [Community::NO_EXPORT], "for the receiver");
}

#[test]
fn rfc4271_9_2_and_rfc8654_4_what_fits_into_no_message_is_not_told() {
    let (mut attributes, next_hop) = learned();
    attributes.communities = (0..1011).map(Community).collect();
    let mut session = session(External, 1);
    let mut result = |extended, attributes: &PathAttributes| {
        let mut negotiated = negotiated(Asn(65001));
        negotiated.extended_message = extended;
        session.negotiated = Arc::new(negotiated);
        let key = key(&config(External), &session);
        tell(&key, "10.0.0.0/8", &route(attributes, next_hop), External).err()
    };
    assert_eq!(result(false, &attributes), Some(Suppressed::TooLarge(4096)));
    assert_eq!(result(true, &attributes), None);
    attributes.communities.truncate(1010);
    assert_eq!(result(false, &attributes), None);
}

#[test]
fn every_reason_has_words_of_its_own() {
    let reasons = [
        Suppressed::GateClosed,
        Suppressed::NoRoute,
        Suppressed::FamilyNotNegotiated,
        Suppressed::NotOffered,
        Suppressed::KnownToNode,
        Suppressed::NoTransit,
        Suppressed::NotReflected,
        Suppressed::SourcePeer,
        Suppressed::PeerIsNextHop,
        Suppressed::NoAdvertise,
        Suppressed::NoExport,
        Suppressed::NoExportSubconfed,
        Suppressed::OnlyToCustomer,
        Suppressed::LongLivedStale,
        Suppressed::NoNextHop,
        Suppressed::NextHopOfOtherFamily,
        Suppressed::TooLarge(4096),
        Suppressed::Policy(RuleRef { policy: 1, rule: 2 }),
    ];
    let words: BTreeSet<String> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), reasons.len());
}
