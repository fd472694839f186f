//! What each peer is sent of the attributes of a set.

use super::*;

/// The attributes of the UPDATE that announces 10.0.0.0/8 with this set, each as flags, code and value.
fn advertised(codec: UpdateCodec, set: &AttributeSet) -> Vec<Raw> {
    let mut encoder = UpdateEncoder::new(codec);
    let mut messages = Vec::new();
    let route = Nlri::new("10.0.0.0/8".parse::<Ipv4Net>().unwrap());
    encoder
        .reach(set, next_hop("192.0.2.1"), [route], |message| {
            messages.push(message);
        })
        .unwrap();
    let [message] = &messages[..] else {
        panic!("{} messages", messages.len());
    };
    assert_eq!(message[message.len() - 2..], [8, 10]);
    let field = &message[FRAME..message.len() - 2];
    AttributeSetRef::from_canonical(field)
        .iter()
        .map(|a| (a.flags, a.code.0, a.value.to_vec()))
        .collect()
}

/// An attribute as flags, code and value.
type Raw = (u8, u8, Vec<u8>);

const WIDE_PATH: [u8; 10] = [2, 2, 0, 0, 0xfd, 0xe8, 0, 1, 0, 0];
const WIDE_AGGREGATOR: [u8; 8] = [0, 1, 0, 1, 192, 0, 2, 7];

/// A set with an attribute of each kind, and some that are not known here.
fn everything(path: &str, asn: u32) -> AttributeSet {
    AttributeSet::from_attributes(&PathAttributes {
        origin: Some(Origin::Egp),
        as_path: path.parse().unwrap(),
        med: Some(4),
        local_pref: Some(5),
        aggregator: Some(Aggregator {
            asn: Asn(asn),
            address: [192, 0, 2, 7].into(),
        }),
        communities: vec![Community(8)],
        originator_id: Some(BgpIdentifier(9)),
        cluster_list: vec![BgpIdentifier(10)],
        only_to_customer: Some(Asn(64535)),
        unknown: [(0xc0, 12), (0xe0, 13), (0xc0, 17 + 2), (0xc0, 99)]
            .map(|(flags, code)| UnknownAttribute {
                flags,
                code,
                value: vec![code].into(),
            })
            .into(),
        ..PathAttributes::default()
    })
    .unwrap()
}

fn octets(value: u32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// What every external peer gets of it first.
fn head(path: &[u8], aggregator: &[u8]) -> Vec<Raw> {
    vec![
        (0x40, 1, vec![1]),
        (0x40, 2, path.to_vec()),
        (0x40, 3, vec![192, 0, 2, 1]),
        (0x80, 4, octets(4)),
        (0xc0, 7, aggregator.to_vec()),
        (0xc0, 8, octets(8)),
    ]
}

/// Then these. The partial bit says that an attribute passed somebody who does not know it: this speaker.
fn early() -> Vec<Raw> {
    vec![(0xe0, 12, vec![12]), (0xe0, 13, vec![13])]
}

/// And these behind AS4_PATH and AS4_AGGREGATOR.
fn late() -> Vec<Raw> {
    vec![
        (0xe0, 19, vec![19]),
        (0xc0, 35, octets(64535)),
        (0xe0, 99, vec![99]),
    ]
}

#[test]
fn rfc_4271_5_each_peer_gets_the_attributes_that_are_for_it() {
    let wide = everything("65000 65536", 65537);
    let external = [head(&WIDE_PATH, &WIDE_AGGREGATOR), early(), late()].concat();
    assert_eq!(advertised(EXTERNAL, &wide), external);

    let mut internal = external;
    internal.insert(4, (0x40, 5, octets(5)));
    internal.splice(7..7, [(0x80, 9, octets(9)), (0x80, 10, octets(10))]);
    assert_eq!(advertised(INTERNAL, &wide), internal);
}

#[test]
fn rfc_6793_4_2_2_speakers_of_two_octet_as_numbers_get_as4_attributes_where_a_number_does_not_fit()
{
    let wide = everything("65000 65536", 65537);
    let old = UpdateCodec {
        four_octet_as: false,
        ..EXTERNAL
    };
    let narrow_path = [2, 2, 0xfd, 0xe8, 0x5b, 0xa0];
    let narrow_aggregator = [0x5b, 0xa0, 192, 0, 2, 7];
    let path4 = (0xc0, 17, WIDE_PATH.to_vec());
    let aggregator4 = (0xc0, 18, WIDE_AGGREGATOR.to_vec());
    assert_eq!(
        advertised(old, &wide),
        [
            head(&narrow_path, &narrow_aggregator),
            early(),
            vec![path4.clone(), aggregator4.clone()],
            late()
        ]
        .concat()
    );
    // Each of the two only where a number does not fit.
    let short_path = [2, 2, 0xfd, 0xe8, 0xff, 0xff];
    let short_aggregator = [0xff, 0xff, 192, 0, 2, 7];
    for (path, asn, sent, as4) in [
        (
            "65000 65535",
            65535,
            head(&short_path, &short_aggregator),
            vec![],
        ),
        (
            "65000 65536",
            65535,
            head(&narrow_path, &short_aggregator),
            vec![path4],
        ),
        (
            "65000 65535",
            65537,
            head(&short_path, &narrow_aggregator),
            vec![aggregator4],
        ),
        // AS4_PATH has no confederations, and is not sent with nothing in it.
        (
            "(65536)",
            65535,
            head(&[3, 1, 0x5b, 0xa0], &short_aggregator),
            vec![],
        ),
    ] {
        let expected = [sent, early(), as4, late()].concat();
        assert_eq!(advertised(old, &everything(path, asn)), expected, "{path}");
    }
}

#[test]
fn next_hop_and_the_as4_attributes_stand_at_their_place_whatever_follows_or_nothing() {
    let set = |customer: Option<u32>, communities: &[u32]| {
        AttributeSet::from_attributes(&PathAttributes {
            as_path: AsPath::sequence([Asn(65536)]),
            communities: communities.iter().copied().map(Community).collect(),
            only_to_customer: customer.map(Asn),
            ..PathAttributes::default()
        })
        .unwrap()
    };
    let hop = (0x40, 3, vec![192, 0, 2, 1]);
    let path = (0x40, 2, vec![2, 1, 0, 1, 0, 0]);
    let narrow = (0x40, 2, vec![2, 1, 0x5b, 0xa0]);
    let path4 = (0xc0, 17, vec![2, 1, 0, 1, 0, 0]);
    let community = (0xc0, 8, vec![0, 0, 0, 8]);
    let customer = (0xc0, 35, vec![0, 0, 0, 9]);
    let old = UpdateCodec {
        four_octet_as: false,
        ..EXTERNAL
    };
    for (set, wide, as_old) in [
        (set(None, &[]), vec![], vec![&path4]),
        (set(Some(9), &[]), vec![&customer], vec![&path4, &customer]),
        (set(None, &[8]), vec![&community], vec![&community, &path4]),
        (
            set(Some(9), &[8]),
            vec![&community, &customer],
            vec![&community, &path4, &customer],
        ),
    ] {
        let expected: Vec<_> = [&path, &hop].into_iter().chain(wide).cloned().collect();
        assert_eq!(advertised(EXTERNAL, &set), expected);
        let expected: Vec<_> = [&narrow, &hop].into_iter().chain(as_old).cloned().collect();
        assert_eq!(advertised(old, &set), expected);
    }
    assert_eq!(advertised(EXTERNAL, &AttributeSet::default()), [hop]);
}

#[test]
fn an_attribute_not_transitive_that_nobody_here_knows_is_not_passed_on() {
    // A set that came out of the decoder holds none; one from elsewhere may.
    let octets = [0x40, 1, 1, 0, 0x80, 98, 1, 7, 0xa0, 99, 1, 7];
    let set = AttributeSet::owned(octets.to_vec());
    let sent = advertised(EXTERNAL, &set);
    assert_eq!(sent, [(0x40, 1, vec![0]), (0x40, 3, vec![192, 0, 2, 1])]);
}
