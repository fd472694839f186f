#![allow(clippy::unwrap_used)]
use super::*;
use crate::types::Ipv6ExtendedCommunity;
use crate::wire::attribute::AsPath;

fn unknown(flags: u8, code: u8, value: &[u8]) -> UnknownAttribute {
    UnknownAttribute {
        flags,
        code,
        value: Bytes::copy_from_slice(value),
    }
}

/// Every attribute, each with a value that no other has.
fn everything() -> PathAttributes {
    PathAttributes {
        origin: Some(Origin::Egp),
        as_path: AsPath::sequence([Asn(64500), Asn(64501)]),
        med: Some(4),
        local_pref: Some(5),
        atomic_aggregate: true,
        aggregator: Some(Aggregator {
            asn: Asn(64507),
            address: [192, 0, 2, 7].into(),
        }),
        communities: vec![Community(8), Community(0xffff_ff01)],
        extended_communities: vec![ExtendedCommunity([16; 8]), ExtendedCommunity([17; 8])],
        ipv6_extended_communities: vec![Ipv6ExtendedCommunity([25; 20])],
        large_communities: [1, 2]
            .map(|local2| LargeCommunity {
                global: 32,
                local1: 33,
                local2,
            })
            .into(),
        originator_id: Some(BgpIdentifier(9)),
        cluster_list: vec![BgpIdentifier(11), BgpIdentifier(10)],
        only_to_customer: Some(Asn(64535)),
        unknown: vec![unknown(0xc0, 12, &[12]), unknown(0xe0, 99, &[99; 300])],
        ..PathAttributes::default()
    }
}

fn set(value: &PathAttributes) -> AttributeSet {
    AttributeSet::from_attributes(value).unwrap()
}

#[test]
fn a_set_answers_each_question_from_the_attribute_that_it_is_about() {
    let value = everything();
    let set = set(&value);
    assert!(!set.is_empty());
    assert_eq!(set.parse(), value);
    assert_eq!(set.origin(), value.origin);
    assert_eq!(set.as_path().to_path(), value.as_path);
    assert_eq!(set.med(), value.med);
    assert_eq!(set.local_pref(), value.local_pref);
    assert_eq!(set.aggregator(), value.aggregator);
    assert!(set.communities().eq(value.communities));
    assert!(set.extended_communities().eq(value.extended_communities));
    assert!(set.large_communities().eq(value.large_communities));
    assert_eq!(set.originator_id(), value.originator_id);
    assert!(set.cluster_list().eq(value.cluster_list));
    assert_eq!(set.only_to_customer(), value.only_to_customer);
}

#[test]
fn what_is_absent_is_not_there_rather_than_zero() {
    // AS_PATH is mandatory and may be empty.
    for set in [AttributeSet::default(), set(&PathAttributes::default())] {
        assert_eq!(set.parse(), PathAttributes::default());
        assert_eq!(set.origin(), None);
        assert!(set.as_path().is_empty());
        assert_eq!((set.med(), set.local_pref()), (None, None));
        assert_eq!(set.aggregator(), None);
        assert_eq!(set.communities().len(), 0);
        assert_eq!(set.extended_communities().len(), 0);
        assert_eq!(set.large_communities().len(), 0);
        assert_eq!(set.originator_id(), None);
        assert_eq!(set.cluster_list().len(), 0);
        assert_eq!(set.only_to_customer(), None);
        assert!(!set.has_community(Community(0)) && !set.has_reserved_community());
    }
    assert!(AttributeSetRef::default().is_empty());
    assert!(!set(&PathAttributes::default()).is_empty());
}

#[test]
fn a_set_holds_each_attribute_at_its_code_and_nothing_at_the_others() {
    let set = set(&everything());
    let codes: Vec<u8> = set.iter().map(|attribute| attribute.code.0).collect();
    let all = [1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 16, 25, 32, 35, 99];
    assert_eq!(codes, all);
    for code in 0..=u8::MAX {
        let found = set.find(AttributeCode(code));
        assert_eq!(found.is_some(), all.contains(&code), "{code}");
    }
    assert_eq!(set.find(AttributeCode(12)), Some(&[12][..]));
    let unknown = |attribute: &AttributeRef<'_>| attribute.is_unknown();
    let codes: Vec<u8> = set.iter().filter(unknown).map(|a| a.code.0).collect();
    assert_eq!(codes, [12, 99]);
}

#[test]
fn rfc_1997_communities_are_found_wherever_they_stand_and_the_reserved_ones_recognized() {
    for (all, reserved) in [
        (&[][..], false),
        (&[7], false),
        (&[1, 2, 3, 0xfffe_ffff], false),
        (&[0xffff_0000], true),
        (&[5, 0xffff_ff01], true),
        (&[5, 0xffff_ff01, 0xffff_ffff], true),
    ] {
        let set = set(&PathAttributes {
            communities: all.iter().copied().map(Community).collect(),
            ..PathAttributes::default()
        });
        assert_eq!(set.has_reserved_community(), reserved, "{all:x?}");
        for community in [0, 1, 2, 3, 4, 5, 7, 0xfffe_ffff, 0xffff_0000, 0xffff_ff01] {
            let there = all.contains(&community);
            assert_eq!(set.has_community(Community(community)), there, "{all:x?}");
        }
    }
}

#[test]
fn communities_of_every_kind_are_sorted_and_each_is_kept_once() {
    let mut value = everything();
    let large = value.large_communities.clone();
    value.communities = [3, 1, 2, 3, 1].map(Community).into();
    value.extended_communities = [3, 1, 3, 2].map(|a| ExtendedCommunity([a; 8])).into();
    let ipv6 = |a| Ipv6ExtendedCommunity([a; 20]);
    value.ipv6_extended_communities = [2, 2, 1].map(ipv6).into();
    value.large_communities = vec![large[1], large[0], large[1]];
    let unsorted = set(&value);
    value.communities = [1, 2, 3].map(Community).into();
    value.extended_communities = [1, 2, 3].map(|a| ExtendedCommunity([a; 8])).into();
    value.ipv6_extended_communities = [1, 2].map(ipv6).into();
    value.large_communities = large;
    assert_eq!(unsorted.parse(), value);
    assert_eq!(unsorted, set(&value));
    for (given, kept) in [
        (&[1, 1][..], &[1][..]),
        (&[1, 1, 2], &[1, 2]),
        (&[1, 2, 2, 3], &[1, 2, 3]),
        (&[1, 2, 3, 3], &[1, 2, 3]),
        (&[2, 2, 1], &[1, 2]),
        (&[2, 1], &[1, 2]),
        (&[1], &[1]),
    ] {
        value.communities = given.iter().copied().map(Community).collect();
        let found: Vec<u32> = set(&value).communities().map(|c| c.0).collect();
        assert_eq!(found, kept, "{given:?}");
    }
    // Others are no sets: what stands twice in a CLUSTER_LIST is a loop.
    value.communities.truncate(1);
    value.cluster_list = [2, 1, 2].map(BgpIdentifier).into();
    assert_eq!(set(&value).parse(), value);
}

#[test]
fn the_flags_that_a_type_determines_are_the_optional_and_the_transitive_bit() {
    use crate::wire::attribute::{OPTIONAL, TRANSITIVE};
    assert_eq!(OPTIONAL_TRANSITIVE, OPTIONAL | TRANSITIVE);
    for (class, flags) in [
        (Class::WellKnown, TRANSITIVE),
        (Class::OptionalTransitive, OPTIONAL_TRANSITIVE),
        (Class::OptionalNonTransitive, OPTIONAL),
    ] {
        assert_eq!(class.flags(), flags);
    }
}

#[test]
fn rfc_4271_4_3_a_length_takes_two_octets_only_past_255_and_the_unused_flags_are_zero() {
    for (flags, length, header) in [
        (0xc0, 0, &[0xc0, 99, 0][..]),
        (0xc0, 1, &[0xc0, 99, 1]),
        (0xff, 255, &[0xe0, 99, 255]),
        (0xcf, 256, &[0xd0, 99, 1, 0]),
        (0xe0, 65_535, &[0xf0, 99, 255, 255]),
    ] {
        let value = PathAttributes {
            unknown: vec![unknown(flags, 99, &vec![7; length])],
            ..PathAttributes::default()
        };
        let set = set(&value);
        let octets = &set.as_bytes()[3..];
        assert_eq!(&octets[..header.len()], header);
        assert_eq!(octets.len(), header.len() + length);
        // How the length was written is no property of the attribute.
        assert_eq!(set.parse().unknown[0].flags, flags & 0xe0);
    }
    let value = PathAttributes {
        unknown: vec![unknown(0xc0, 99, &[7; 65_536])],
        ..PathAttributes::default()
    };
    assert_eq!(
        AttributeSet::from_attributes(&value).unwrap_err(),
        AttributeTooLong {
            code: AttributeCode(99),
            length: 65_536
        }
    );
}

#[test]
fn rfc_4271_5_of_attributes_not_interpreted_only_transitive_optional_ones_are_taken_each_once() {
    let set = set(&PathAttributes {
        unknown: vec![
            unknown(0xc0, 99, &[1]),
            unknown(0xc0, 12, &[2]),
            unknown(0xe0, 99, &[3]),
            unknown(0x80, 100, &[4]),
            unknown(0x40, 101, &[5]),
            unknown(0x00, 102, &[6]),
            // One that is interpreted has its field.
            unknown(0xc0, 8, &[0, 0, 0, 7]),
            unknown(0xc0, 200, &[8]),
        ],
        ..PathAttributes::default()
    });
    let found: Vec<_> = set.iter().map(|a| (a.flags, a.code.0, a.value)).collect();
    let expected: [(u8, u8, &[u8]); 4] = [
        (0x40, 2, &[]),
        (0xc0, 12, &[2]),
        (0xc0, 99, &[1]),
        (0xc0, 200, &[8]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn rfc_4271_5_the_partial_bit_is_kept_of_optional_transitive_attributes_alone() {
    let mut value = everything();
    let all = || (1..64).map(AttributeCode);
    all().for_each(|code| value.partial.insert(code));
    let set = set(&value);
    for attribute in set.iter() {
        let partial = matches!(attribute.code.0, 7 | 8 | 16 | 25 | 32 | 35 | 99);
        assert_eq!(
            attribute.flags & PARTIAL != 0,
            partial,
            "{}",
            attribute.code
        );
    }
    let kept = set.parse().partial;
    let kept: Vec<u8> = all().filter(|c| kept.contains(*c)).map(|c| c.0).collect();
    assert_eq!(kept, [7, 8, 16, 25, 32, 35]);
}

#[test]
fn octets_that_end_early_are_read_as_far_as_their_attributes_are_whole() {
    let set = set(&everything());
    let octets = set.as_bytes();
    let mut ends = vec![0];
    let mut attributes = set.iter();
    while attributes.next().is_some() {
        ends.push(octets.len() - attributes.rest().len());
    }
    assert_eq!(ends.last(), Some(&octets.len()));
    for end in 0..octets.len() {
        let cut = AttributeSetRef::from_canonical(&octets[..end]);
        let whole = ends.iter().filter(|e| **e <= end).count() - 1;
        assert!(cut.iter().eq(set.iter().take(whole)), "cut at {end}");
    }
}
