#![allow(clippy::unwrap_used)]
use super::*;
use crate::wire::{HEADER, NotificationCode, NotificationCode as Code, WireError};

/// The body of an OPEN of AS 64512 with that parameters' length and what follows it.
fn body(length: u8, parameters: &[u8]) -> Bytes {
    [&[4, 0xfc, 0, 0, 90, 192, 0, 2, 1, length], parameters]
        .concat()
        .into()
}

/// The same, with the length that the parameters have.
fn with(parameters: &[u8]) -> Bytes {
    body(u8::try_from(parameters.len()).unwrap(), parameters)
}

fn refused(body: &Bytes, words: &str) {
    let error = Open::decode(body).unwrap_err();
    assert_eq!(error.to_string(), format!("OPEN: {words}"), "{body:02x?}");
    assert_eq!(error.notification.code, NotificationCode::OPEN_UNSPECIFIC);
}

/// Lengths of optional parameters, with what follows them, and what is wrong with it.
const UNFIT: [(u8, &[u8], &str); 17] = [
    (
        1,
        &[],
        "1 octets are missing at the end of optional parameters",
    ),
    (
        9,
        &[2, 2, 2, 0],
        "5 octets are missing at the end of optional parameters",
    ),
    (0, &[7], "1 octets after the optional parameters"),
    (
        4,
        &[2, 2, 2, 0, 9, 9, 9],
        "3 octets after the optional parameters",
    ),
    (
        1,
        &[2],
        "1 octets are missing at the end of the header of an optional parameter",
    ),
    (
        5,
        &[2, 2, 2, 0, 2],
        "1 octets are missing at the end of the header of an optional parameter",
    ),
    (
        4,
        &[2, 9, 2, 0],
        "7 octets are missing at the end of an optional parameter",
    ),
    (
        3,
        &[2, 1, 65],
        "1 octets are missing at the end of a capability",
    ),
    (
        5,
        &[2, 3, 65, 4, 1],
        "3 octets are missing at the end of a capability",
    ),
    (
        8,
        &[2, 6, 2, 0, 65, 4, 1, 2],
        "2 octets are missing at the end of a capability",
    ),
    (
        // The second one lacks its length.
        9,
        &[2, 7, 200, 4, 1, 2, 3, 4, 65],
        "1 octets are missing at the end of a capability",
    ),
    (
        // The extended form.
        255,
        &[255],
        "2 octets are missing at the end of extended optional parameters length",
    ),
    (
        1,
        &[255, 0],
        "1 octets are missing at the end of extended optional parameters length",
    ),
    (
        255,
        &[255, 1, 0, 2, 0, 2, 2, 0],
        "251 octets are missing at the end of optional parameters",
    ),
    (
        255,
        &[255, 0, 0, 2],
        "1 octets after the optional parameters",
    ),
    (
        255,
        &[255, 0, 2, 2, 0],
        "0 octets are missing at the end of the header of an optional parameter",
    ),
    (
        255,
        &[255, 0, 5, 2, 0, 9, 2, 0],
        "7 octets are missing at the end of an optional parameter",
    ),
];

#[test]
fn rfc_4271_6_2_and_rfc_9072_lengths_that_do_not_fit_say_what_is_missing() {
    for (length, parameters, words) in UNFIT {
        refused(&body(length, parameters), words);
    }
}

#[test]
fn rfc_4271_4_2_and_rfc_9072_parameters_are_read_in_either_form_however_they_are_divided() {
    let four = Capability::FourOctetAs(Asn(64512));
    let refresh = Capability::RouteRefresh;
    for (parameters, capabilities) in [
        (&[][..], vec![]),
        (&[2, 0], vec![]),
        (&[2, 2, 2, 0], vec![refresh.clone()]),
        (
            &[2, 8, 65, 4, 0, 0, 0xfc, 0, 2, 0],
            vec![four.clone(), refresh.clone()],
        ),
        (
            &[2, 6, 65, 4, 0, 0, 0xfc, 0, 2, 0, 2, 2, 2, 0],
            vec![four.clone(), refresh.clone()],
        ),
        (&[255, 0, 0], vec![]),
        (&[255, 0, 5, 2, 0, 2, 2, 0], vec![refresh.clone()]),
        (
            &[255, 0, 14, 2, 0, 6, 65, 4, 0, 0, 0xfc, 0, 2, 0, 2, 2, 0],
            vec![four, refresh],
        ),
    ] {
        let read = Open::decode(&with(parameters)).unwrap();
        assert_eq!(read.capabilities, capabilities, "{parameters:02x?}");
        assert_eq!((read.asn, read.hold_time), (Asn(64512), 90));
        assert_eq!(read.identifier, BgpIdentifier(0xc000_0201));
    }
}

/// Version, AS, hold time, BGP identifier and optional parameters of an OPEN.
#[derive(Clone, Copy)]
struct Fields(u8, u16, u16, u32, &'static [u8]);

impl Fields {
    fn read(self) -> Result<Open, WireError> {
        let Self(version, field, hold_time, identifier, parameters) = self;
        let mut octets = vec![version];
        octets.extend_from_slice(&field.to_be_bytes());
        octets.extend_from_slice(&hold_time.to_be_bytes());
        octets.extend_from_slice(&identifier.to_be_bytes());
        octets.push(u8::try_from(parameters.len()).unwrap());
        octets.extend_from_slice(parameters);
        Open::decode(&octets.into())
    }
}

const fn as_capability(asn: u32) -> [u8; 8] {
    let [a, b, c, d] = asn.to_be_bytes();
    [2, 6, 65, 4, a, b, c, d]
}

/// OPENs that cannot be used, with code and data of the answer, and the reason.
const UNUSABLE: [(Fields, Code, &[u8], &str); 12] = [
    (
        Fields(3, 1, 90, 1, &[]),
        Code::UNSUPPORTED_VERSION,
        &[0, 4],
        "version 3; expected 4",
    ),
    (
        Fields(5, 1, 90, 1, &[]),
        Code::UNSUPPORTED_VERSION,
        &[0, 4],
        "version 5; expected 4",
    ),
    (
        Fields(4, 0, 90, 1, &[]),
        Code::BAD_PEER_AS,
        &[],
        "AS 0 must not be used",
    ),
    (
        Fields(4, 0, 90, 1, &as_capability(1)),
        Code::BAD_PEER_AS,
        &[],
        "AS 0 must not be used",
    ),
    (
        Fields(4, 23456, 90, 1, &as_capability(0)),
        Code::BAD_PEER_AS,
        &[],
        "AS 0 must not be used",
    ),
    (
        Fields(4, 1, 90, 1, &as_capability(2)),
        Code::BAD_PEER_AS,
        &[],
        "AS 1 in the header and 2 in the four-octet AS capability",
    ),
    (
        Fields(4, 1, 90, 1, &as_capability(0x0001_0001)),
        Code::BAD_PEER_AS,
        &[],
        "AS 1 in the header and 65537 in the four-octet AS capability",
    ),
    (
        Fields(4, 1, 1, 1, &[]),
        Code::UNACCEPTABLE_HOLD_TIME,
        &[],
        "hold time of 1 s; expected 0, or 3 or more",
    ),
    (
        Fields(4, 1, 2, 1, &[]),
        Code::UNACCEPTABLE_HOLD_TIME,
        &[],
        "hold time of 2 s; expected 0, or 3 or more",
    ),
    (
        Fields(4, 1, 90, 0, &[]),
        Code::BAD_BGP_IDENTIFIER,
        &[],
        "BGP identifier 0.0.0.0; expected any but zero",
    ),
    (
        Fields(4, 1, 90, 1, &[1, 0]),
        Code::UNSUPPORTED_OPTIONAL_PARAMETER,
        &[],
        "optional parameter of type 1; expected 2 (capabilities)",
    ),
    (
        Fields(4, 1, 90, 1, &[2, 3, 65, 1, 1]),
        Code::OPEN_UNSPECIFIC,
        &[],
        "capability 65 (four-octet AS) of 1 octets; expected 4 octets: the AS number",
    ),
];

#[test]
fn rfc_4271_6_2_what_makes_an_open_unusable_is_answered_with_its_subcode() {
    for (fields, code, data, words) in UNUSABLE {
        let error = fields.read().unwrap_err();
        assert_eq!(error.to_string(), format!("OPEN: {words}"));
        let told = crate::wire::Notification::with_data(code, data.to_vec());
        assert_eq!(error.notification, told, "{words}");
    }
}

#[test]
fn rfc_6793_4_1_as_trans_stands_for_any_number_and_hold_times_are_zero_or_three_and_more() {
    for (field, parameters, asn) in [
        (1, &[][..], 1),
        (23456, &[], 23456),
        (1, &const { as_capability(1) }, 1),
        (23456, &const { as_capability(65536) }, 65536),
        // AS_TRANS for a number that would fit.
        (23456, &const { as_capability(1) }, 1),
    ] {
        for hold_time in [0, 3, u16::MAX] {
            let read = Fields(4, field, hold_time, 1, parameters).read().unwrap();
            assert_eq!((read.asn, read.hold_time), (Asn(asn), hold_time));
        }
    }
}

#[test]
fn rfc_9072_2_the_extended_form_is_written_only_for_more_than_253_octets_of_capabilities() {
    let open = |lengths: &[usize]| Open {
        asn: Asn(65536),
        hold_time: 90,
        identifier: BgpIdentifier(1),
        capabilities: (200..)
            .zip(lengths)
            .map(|(code, length)| Capability::Unknown {
                code,
                value: vec![7; *length].into(),
            })
            .collect(),
    };
    // Octets of the values, of each capability's header, and what stands before the capabilities.
    for (lengths, fixed) in [
        (&[][..], &[0][..]),
        (&[0], &[4, 2, 2]),
        (&[251], &[255, 2, 253]),
        (&[100, 149], &[255, 2, 253]),
        (&[252], &[255, 255, 1, 1, 2, 0, 254]),
        (&[255, 255], &[255, 255, 2, 5, 2, 2, 2]),
    ] {
        let open = open(lengths);
        let octets = open.encode();
        let capabilities: usize = lengths.iter().map(|length| 2 + length).sum();
        assert_eq!(octets.len(), HEADER + 9 + fixed.len() + capabilities);
        assert_eq!(
            octets[HEADER..HEADER + 9],
            [4, 0x5b, 0xa0, 0, 90, 0, 0, 0, 1]
        );
        assert_eq!(octets[HEADER + 9..][..fixed.len()], *fixed, "{lengths:?}");
        let read = Open::decode(&octets.slice(HEADER..)).unwrap();
        // Without the capability the AS is the field's.
        assert_eq!(read.asn, Asn::TRANS);
        assert_eq!(read.capabilities, open.capabilities);
    }
}

#[test]
fn capabilities_that_4096_octets_cannot_hold_are_left_out_whole() {
    // 4,061 octets of capabilities are the most: 15 of 257 octets, and one of 206.
    let open = |last: usize| Open {
        asn: Asn(1),
        hold_time: 90,
        identifier: BgpIdentifier(1),
        capabilities: (200..=215)
            .map(|code| Capability::Unknown {
                code,
                value: vec![7; if code == 215 { last } else { 255 }].into(),
            })
            .collect(),
    };
    for (last, kept, octets) in [(204, 16, 4096), (205, 15, 4096 - 206)] {
        let open = open(last);
        let message = open.encode();
        assert_eq!(message.len(), octets);
        let read = Open::decode(&message.slice(HEADER..)).unwrap();
        assert_eq!(read.capabilities, open.capabilities[..kept]);
    }
}
