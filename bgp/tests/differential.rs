//! An independent decoder, bgpkit-parser, reads the same octets and finds the same: in real UPDATEs, and in what our
//! encoder writes.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::{IpAddr, Ipv4Addr};

use bgp::types::{Asn, Community};
use bgp::wire::attribute::{AsPath, AsPathSegment, AsPathSegmentKind};
use bgp::wire::{
    AttributeSet, FamilyCodec, PathAttributes, PeerKind, Update, UpdateCodec, UpdateEncoder,
    decode_update,
};
use bgpkit_parser::models::{
    AsPathSegment as OtherSegment, AsnLength, AttributeValue, BgpUpdateMessage,
    Community as OtherCommunity, MetaCommunity, NetworkPrefix, NextHopAddress,
};
use bgpkit_parser::parser::bgp::messages::parse_bgp_update_message;
use bytes::Bytes;
use common::generate::{attributes, ipv4_next_hop, ipv6_next_hop, nlri};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

/// What both decoders say, in one form.
#[derive(Debug, PartialEq)]
struct Meaning {
    announced: Vec<(IpNet, u32)>,
    withdrawn: Vec<(IpNet, u32)>,
    next_hops: Vec<IpAddr>,
    attributes: PathAttributes,
}

fn ours(update: &Update) -> Meaning {
    let flat =
        |nets: Vec<(IpNet, bgp::types::PathId)>| nets.into_iter().map(|(net, id)| (net, id.0));
    let mut attributes = update.attributes.parse();
    // Their models of these differ; the round trips of ours are tested elsewhere.
    attributes.extended_communities.clear();
    attributes.ipv6_extended_communities.clear();
    attributes.unknown.clear();
    attributes.partial = Default::default();
    Meaning {
        announced: update
            .reach
            .iter()
            .flat_map(|r| flat(common::nets(&r.nlri)))
            .collect(),
        withdrawn: update
            .unreach
            .iter()
            .flat_map(|n| flat(common::nets(n)))
            .collect(),
        next_hops: update
            .reach
            .iter()
            .map(|reach| reach.next_hop.address())
            .collect(),
        attributes,
    }
}

fn path(other: &bgpkit_parser::models::AsPath) -> AsPath {
    let segments = other.iter_segments().map(|segment| {
        let (kind, asns) = match segment {
            OtherSegment::AsSequence(asns) => (AsPathSegmentKind::Sequence, asns),
            OtherSegment::AsSet(asns) => (AsPathSegmentKind::Set, asns),
            OtherSegment::ConfedSequence(asns) => (AsPathSegmentKind::ConfedSequence, asns),
            OtherSegment::ConfedSet(asns) => (AsPathSegmentKind::ConfedSet, asns),
        };
        AsPathSegment {
            kind,
            asns: asns.iter().map(|asn| Asn(asn.to_u32())).collect(),
        }
    });
    AsPath {
        segments: segments.collect(),
    }
}

fn add_communities(found: &mut PathAttributes, message: &BgpUpdateMessage) {
    for community in message.attributes.iter_communities() {
        match community {
            MetaCommunity::Plain(community) => found.communities.push(match community {
                OtherCommunity::NoExport => Community::NO_EXPORT,
                OtherCommunity::NoAdvertise => Community::NO_ADVERTISE,
                OtherCommunity::NoExportSubConfed => Community::NO_EXPORT_SUBCONFED,
                OtherCommunity::Custom(asn, value) => {
                    Community(asn.to_u32() << 16 | u32::from(value))
                }
            }),
            MetaCommunity::Large(community) => {
                let [local1, local2] = community.local_data;
                found.large_communities.push(bgp::types::LargeCommunity {
                    global: community.global_admin,
                    local1,
                    local2,
                });
            }
            _ => {}
        }
    }
    // Ours are sets.
    found.communities.sort();
    found.communities.dedup();
    found.large_communities.sort();
    found.large_communities.dedup();
}

fn theirs(message: &BgpUpdateMessage) -> Meaning {
    let net = |prefix: &NetworkPrefix| (prefix.prefix.trunc(), prefix.path_id.unwrap_or(0));
    let list = |prefixes: &[NetworkPrefix]| prefixes.iter().map(net).collect::<Vec<_>>();
    let mut announced = list(&message.announced_prefixes);
    let mut withdrawn = list(&message.withdrawn_prefixes);
    let mut next_hops = Vec::new();
    let mut found = PathAttributes::default();
    for value in message.attributes.iter() {
        match value {
            AttributeValue::Origin(origin) => {
                use bgp::wire::attribute::Origin as Ours;
                use bgpkit_parser::models::Origin as Theirs;
                found.origin = Some(match origin {
                    Theirs::IGP => Ours::Igp,
                    Theirs::EGP => Ours::Egp,
                    Theirs::INCOMPLETE => Ours::Incomplete,
                });
            }
            AttributeValue::AsPath {
                path: other,
                is_as4: false,
            } => found.as_path = path(other),
            AttributeValue::NextHop(address) => next_hops.push(*address),
            AttributeValue::MultiExitDiscriminator(med) => found.med = Some(*med),
            AttributeValue::LocalPreference(preference) => found.local_pref = Some(*preference),
            AttributeValue::OnlyToCustomer(asn) => {
                found.only_to_customer = Some(Asn(asn.to_u32()));
            }
            AttributeValue::AtomicAggregate => found.atomic_aggregate = true,
            AttributeValue::Aggregator {
                asn,
                id,
                is_as4: false,
            } => {
                found.aggregator = Some(bgp::wire::attribute::Aggregator {
                    asn: Asn(asn.to_u32()),
                    address: *id,
                });
            }
            AttributeValue::OriginatorId(id) => found.originator_id = Some(Ipv4Addr::into(*id)),
            AttributeValue::Clusters(ids) => {
                found.cluster_list = ids
                    .iter()
                    .map(|id| bgp::types::BgpIdentifier(*id))
                    .collect();
            }
            AttributeValue::MpReachNlri(nlri) => {
                announced.extend(list(&nlri.prefixes));
                next_hops.extend(nlri.next_hop.map(|next_hop| match next_hop {
                    NextHopAddress::Ipv4(address) => IpAddr::V4(address),
                    NextHopAddress::Ipv6(address) | NextHopAddress::Ipv6LinkLocal(address, _) => {
                        IpAddr::V6(address)
                    }
                    other => panic!("{other:?}"),
                }));
            }
            AttributeValue::MpUnreachNlri(nlri) => withdrawn.extend(list(&nlri.prefixes)),
            _ => {}
        }
    }
    add_communities(&mut found, message);
    if announced.is_empty() {
        (found, next_hops) = Default::default();
    }
    Meaning {
        announced,
        withdrawn,
        next_hops,
        attributes: found,
    }
}

fn read_by_them(body: &Bytes, add_path: bool) -> Meaning {
    theirs(&parse_bgp_update_message(body.clone(), add_path, &AsnLength::Bits32).unwrap())
}

#[test]
fn real_updates_mean_the_same_to_an_independent_decoder() {
    let Some(bodies) = common::real_updates() else {
        return;
    };
    let codec = UpdateCodec::plain(PeerKind::Internal);
    let mut compared = 0;
    for body in &bodies {
        let update = decode_update(body, &codec);
        // AS 0 (RFC 7607) is nothing to them.
        if update.faults.is_empty() {
            assert_eq!(ours(&update), read_by_them(body, false));
            compared += 1;
        }
    }
    assert_eq!(compared, 89_675);
}

proptest! {
    #![proptest_config(common::soak::cases(128))]

    #[test]
    fn what_we_encode_means_the_same_to_an_independent_decoder(
        sent in attributes(),
        add_path in any::<bool>(),
        (v4, next_hop4) in (nlri::<Ipv4Net>(300), ipv4_next_hop()),
        (v6, next_hop6) in (nlri::<Ipv6Net>(300), ipv6_next_hop()),
    ) {
        // They take a field that begins with a zero for one with path identifiers, whatever they are told.
        let v4: Vec<_> = v4.into_iter().filter(|nlri| nlri.prefix.prefix_len() > 0).collect();
        let v6: Vec<_> = v6.into_iter().filter(|nlri| nlri.prefix.prefix_len() > 0).collect();
        let mut codec = UpdateCodec::plain(PeerKind::Internal);
        let family = FamilyCodec {
            add_path_send: add_path,
            add_path_receive: add_path,
            ..FamilyCodec::PLAIN
        };
        (codec.ipv4, codec.ipv6) = (family, family);
        let set = AttributeSet::from_attributes(&sent).unwrap();
        let mut bodies = Vec::new();
        let mut keep = |message: Bytes| bodies.push(message.slice(19..));
        let mut encoder = UpdateEncoder::new(codec);
        // Sets that are too large are tested elsewhere.
        let _ = encoder.reach(&set, next_hop4, v4.iter().copied(), &mut keep);
        let _ = encoder.reach(&set, next_hop6, v6.iter().copied(), &mut keep);
        encoder.unreach(v4, &mut keep).unwrap();
        encoder.unreach(v6, &mut keep).unwrap();
        for body in &bodies {
            let update = decode_update(body, &codec);
            prop_assert_eq!(&update.faults, &vec![]);
            prop_assert_eq!(ours(&update), read_by_them(body, add_path));
        }
    }
}
