//! The built-in rules, each named by its source.

mod attributes;
mod next_hops;

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
fn advertised(
    to: PeerKind,
    source: PeerKind,
    attributes: &PathAttributes,
) -> Result<PathAttributes, Suppressed> {
    let key = key(&config(to), &session(to, 1));
    let (_, next_hop) = learned();
    tell(&key, "10.0.0.0/8", &route(attributes, next_hop), source)
        .map(|advertised| advertised.set.parse())
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
            let result = advertised(to, source, &learned().0).err();
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
    let advertised = advertise(
        &config(External),
        &session(External, 1),
        &originated("10.1.0.0/24", vec![one]),
    );
    assert_eq!(
        advertised.unwrap().set.parse().communities,
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
        let with = with.map(|advertised| advertised.set.only_to_customer().unwrap());
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
    let advertised = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External);
    assert_eq!(advertised, Err(Suppressed::FamilyNotNegotiated));
    let ours = originated("10.1.0.0/24", vec![offer(1)]);
    assert_eq!(
        advertise(&config(External), &session, &ours),
        Err(Suppressed::FamilyNotNegotiated)
    );
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
    for (of_services, advertised) in [
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
            let kept_back = (knows_services && !advertised).then_some(Suppressed::KnownToNode);
            assert_eq!(found.err(), kept_back, "{of_services:?} {knows_services}");
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
    let advertised = tell(
        &key(&reject, &session(External, 1)),
        "10.0.0.0/8",
        &route(&attributes, next_hop),
        External,
    );
    assert_eq!(
        advertised,
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
    let advertised = tell(
        &key(&change, &session(External, 1)),
        "10.0.0.0/8",
        &route(&attributes, next_hop),
        External,
    );
    let advertised = advertised.unwrap().set.parse();
    assert_eq!((advertised.med, advertised.local_pref), (Some(9), None));
    assert_eq!(advertised.as_path.to_string(), "64512 64512 65100");
    assert_eq!(
        advertised.communities,
        [Community::NO_EXPORT],
        "for the receiver"
    );
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
