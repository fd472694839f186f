//! What becomes of each attribute on the way to a peer.

use super::*;

#[test]
fn rfc4271_5_1_2_our_as_goes_in_front_for_external_peers_only() {
    let (attributes, _) = learned();
    let path = |to| {
        advertised(to, External, &attributes)
            .unwrap()
            .as_path
            .to_string()
    };
    assert_eq!(path(External), "64512 65100");
    assert_eq!(path(Internal), "65100");
    assert_eq!(path(ReflectorClient), "65100");
}

#[test]
fn rfc4271_5_1_5_local_pref_goes_to_internal_peers_only_and_always() {
    let (mut attributes, _) = learned();
    let pref = |to, attributes: &_| advertised(to, External, attributes).unwrap().local_pref;
    assert_eq!(pref(Internal, &attributes), Some(100));
    attributes.local_pref = Some(7);
    assert_eq!(pref(Internal, &attributes), Some(7));
    assert_eq!(pref(External, &attributes), None);
}

#[test]
fn rfc4271_5_1_4_a_learned_med_stays_in_the_as() {
    let (mut attributes, _) = learned();
    attributes.med = Some(7);
    assert_eq!(
        advertised(Internal, External, &attributes).unwrap().med,
        Some(7)
    );
    assert_eq!(
        advertised(External, External, &attributes).unwrap().med,
        None
    );
}

#[test]
fn rfc4456_8_reflection_marks_the_originator_once_and_the_cluster_each_time() {
    let (mut attributes, _) = learned();
    let first = advertised(ReflectorClient, Internal, &attributes).unwrap();
    assert_eq!(first.originator_id, Some(BgpIdentifier(77)));
    assert_eq!(first.cluster_list, [OWN_ID]);
    attributes.originator_id = Some(BgpIdentifier(5));
    attributes.cluster_list = vec![BgpIdentifier(6)];
    let second = advertised(Internal, ReflectorClient, &attributes).unwrap();
    assert_eq!(second.originator_id, Some(BgpIdentifier(5)));
    assert_eq!(second.cluster_list, [OWN_ID, BgpIdentifier(6)]);
    let outside = advertised(External, Internal, &attributes).unwrap();
    assert_eq!(
        (outside.originator_id, outside.cluster_list),
        (None, vec![])
    );
    let not_reflected = advertised(Internal, External, &learned().0).unwrap();
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
        let advertised = advertised(to, External, &attributes).unwrap();
        let counts = (
            advertised.extended_communities.len(),
            advertised.ipv6_extended_communities.len(),
        );
        assert!(advertised.extended_communities[0].is_transitive());
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
    let advertised = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
    let mut encoder = UpdateEncoder::new(key.codec);
    let mut receiver = Receiver::new(&key);
    let nlri = bgp::types::Nlri::new("10.0.0.0/8".parse::<ipnet::Ipv4Net>().unwrap());
    encoder
        .reach(&advertised.set, advertised.next_hop, [nlri], |bytes| {
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
    let advertised = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
    assert_eq!(advertised.set.parse().as_path.to_string(), "64512 3356");
}

#[test]
fn rfc_5065_segments_of_a_confederation_do_not_leave_the_as() {
    let (mut attributes, next_hop) = learned();
    attributes.as_path = "(65010 65011) 64999 (65012) 3356".parse().unwrap();
    let advertised = |kind| {
        let key = key(&config(kind), &session(kind, 1));
        let advertised = tell(&key, "10.0.0.0/8", &route(&attributes, next_hop), External).unwrap();
        advertised.set.parse().as_path.to_string()
    };
    assert_eq!(advertised(External), "64512 64999 3356");
    assert_eq!(advertised(Internal), "(65010 65011) 64999 (65012) 3356");
}
