//! Generators of attributes and routes for property tests.

use bgp::types::{
    Asn, BgpIdentifier, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity,
    NextHop, Nlri, PathId, RoutePrefix,
};
use bgp::wire::PathAttributes;
use bgp::wire::attribute::{
    Aggregator, AsPath, AsPathSegment, AsPathSegmentKind, Origin, UnknownAttribute,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(crate) fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=65535u32, 1..=u32::MAX].prop_map(Asn)
}

/// Without neighbouring sequences: merging AS4_PATH may join those.
pub(crate) fn as_path() -> impl Strategy<Value = AsPath> {
    let segment = (any::<bool>(), vec(asn(), 1..6));
    vec(segment, 0..4).prop_map(|parts| {
        let mut segments: Vec<AsPathSegment> = Vec::new();
        for (set, asns) in parts {
            let kind = match set {
                true => AsPathSegmentKind::Set,
                false => AsPathSegmentKind::Sequence,
            };
            if kind == AsPathSegmentKind::Set
                || segments.last().is_none_or(|last| last.kind != kind)
            {
                segments.push(AsPathSegment { kind, asns });
            }
        }
        AsPath { segments }
    })
}

fn unknown() -> impl Strategy<Value = Vec<UnknownAttribute>> {
    let one = (any::<bool>(), vec(any::<u8>(), 0..300));
    proptest::collection::btree_map(100..=254u8, one, 0..3).prop_map(|all| {
        all.into_iter()
            .map(|(code, (partial, value))| UnknownAttribute {
                flags: if partial { 0xe0 } else { 0xc0 },
                code,
                value: value.into(),
            })
            .collect()
    })
}

/// Attributes as an internal peer may send them: sorted and each once, as the canonical form has them.
pub(crate) fn attributes() -> impl Strategy<Value = PathAttributes> {
    let first = (
        prop_oneof![
            Just(Origin::Igp),
            Just(Origin::Egp),
            Just(Origin::Incomplete)
        ],
        as_path(),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        any::<bool>(),
        option::of((asn(), any::<u32>())),
        btree_set(any::<u32>(), 0..80),
    );
    let second = (
        btree_set(any::<[u8; 8]>(), 0..40),
        btree_set(any::<[u8; 20]>(), 0..3),
        btree_set(any::<(u32, u32, u32)>(), 0..30),
        option::of(any::<u32>()),
        vec(any::<u32>(), 0..4),
        option::of(asn()),
        unknown(),
    );
    (first, second).prop_map(|(first, second)| {
        let (origin, as_path, med, local_pref, atomic_aggregate, aggregator, communities) = first;
        let (extended, ipv6_extended, large, originator, clusters, otc, unknown) = second;
        PathAttributes {
            origin: Some(origin),
            as_path,
            med,
            local_pref,
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, address)| Aggregator {
                asn,
                address: address.into(),
            }),
            communities: communities.into_iter().map(Community).collect(),
            extended_communities: extended.into_iter().map(ExtendedCommunity).collect(),
            ipv6_extended_communities: ipv6_extended
                .into_iter()
                .map(Ipv6ExtendedCommunity)
                .collect(),
            large_communities: large
                .into_iter()
                .map(|(global, local1, local2)| LargeCommunity {
                    global,
                    local1,
                    local2,
                })
                .collect(),
            originator_id: originator.map(BgpIdentifier),
            cluster_list: clusters.into_iter().map(BgpIdentifier).collect(),
            only_to_customer: otc,
            unknown,
            ..PathAttributes::default()
        }
    })
}

pub(crate) fn nlri<P: RoutePrefix>(max: usize) -> impl Strategy<Value = Vec<Nlri<P>>> {
    let one = (any::<u128>(), 0..=P::ADDRESS_BITS, any::<u32>());
    vec(one, 1..max).prop_map(|all| {
        all.into_iter()
            .map(|(bits, length, id)| Nlri {
                prefix: P::from_key(bits, length).unwrap(),
                path_id: PathId(id),
            })
            .collect()
    })
}

pub(crate) fn ipv4_next_hop() -> impl Strategy<Value = NextHop> {
    (1..=223u8, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| NextHop::Ipv4([a, b, c, d].into()))
}

pub(crate) fn ipv6_next_hop() -> impl Strategy<Value = NextHop> {
    let address = || any::<u64>().prop_map(|low| u128::from(low) | 0x2001_0db8 << 96);
    (address(), option::of(any::<u64>())).prop_map(|(global, link_local)| match link_local {
        None => NextHop::Ipv6(global.into()),
        Some(low) => NextHop::Ipv6WithLinkLocal {
            global: global.into(),
            link_local: (u128::from(low) | 0xfe80 << 112).into(),
        },
    })
}
