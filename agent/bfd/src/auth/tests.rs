//! RFC 5880 6.7.4, with packets whose hashes another implementation of SHA1 (Python's hashlib) has made.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::packet::decode;

/// Key 7 "secret", meticulous, sequence number 0xfffffffe.
const METICULOUS: &str = "21c40334010203040a0b0c0d0000c3500000ea6000000000051c0700fffffffeb6cfd2a4388881848b4153643eeb96ec15553dc8";
/// Key 9 "12345678901234567890", keyed, sequence number 5.
const KEYED: &str = "21c40334010203040a0b0c0d0000c3500000ea6000000000041c090000000005c545d5858076445eab566db2f0c982823b742242";

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn keys() -> Vec<Key> {
    vec![
        Key::new(7, b"secret").unwrap(),
        Key::new(9, b"12345678901234567890").unwrap(),
    ]
}

fn meticulous() -> Authentication {
    Authentication::new(Kind::Meticulous, keys(), 7).unwrap()
}

fn verify(auth: &Authentication, octets: &[u8], last: Option<u32>) -> Result<u32, Discard> {
    auth.verify(&decode(octets).unwrap(), last)
}

#[test]
fn packets_are_signed_and_verified_as_others_do() {
    let rows = [
        (METICULOUS, meticulous(), 0xffff_fffe),
        (
            KEYED,
            Authentication::new(Kind::Keyed, keys(), 9).unwrap(),
            5,
        ),
    ];
    for (hex, auth, sequence) in rows {
        let theirs = octets(hex);
        let decoded = decode(&theirs).unwrap();
        assert_eq!(auth.verify(&decoded, None), Ok(sequence));
        assert_eq!(auth.sign(&decoded.packet, sequence).octets(), theirs);
    }
}

#[test]
fn every_octet_is_covered_by_the_hash() {
    let theirs = octets(METICULOUS);
    for at in 0..theirs.len() {
        let mut changed = theirs.clone();
        changed[at] ^= 0x08;
        let refused = match decode(&changed) {
            Err(_) => true,
            Ok(decoded) => meticulous().verify(&decoded, None).is_err(),
        };
        assert!(refused, "octet {at}");
    }
}

#[test]
fn each_check_has_its_reason() {
    let theirs = octets(METICULOUS);
    let with = |at: usize, octet: u8| {
        let mut changed = theirs.clone();
        changed[at] = octet;
        changed
    };
    let rows = [
        (with(HEADER, 1), Discard::SectionMalformed),
        (with(HEADER + 1, 27), Discard::SectionMalformed),
        (with(HEADER, 4), Discard::AuthType),
        (with(HEADER, 77), Discard::AuthType),
        (with(HEADER + 2, 8), Discard::UnknownKey),
        (with(HEADER + 2, 9), Discard::Hash),
        (with(HASH_AT, 0), Discard::Hash),
    ];
    for (changed, expected) in rows {
        assert_eq!(verify(&meticulous(), &changed, None), Err(expected));
    }
}

/// RFC 5880 6.7.4: the window is 3 x Detect Mult wide and circular; meticulous numbers are never used twice.
#[test]
fn the_window_of_sequence_numbers_is_circular() {
    let keyed = Authentication::new(Kind::Keyed, keys(), 7).unwrap();
    let rows = [
        (0xffff_fffe_u32, true, false),
        (0xffff_ffff, false, false),
        (0xffff_fffd, true, true),
        (0xffff_fffe_u32.wrapping_sub(9), true, true),
        (0xffff_fffe_u32.wrapping_sub(10), false, false),
        (0, false, false),
    ];
    let packet = decode(&octets(METICULOUS)).unwrap().packet;
    for (last, is_keyed, is_meticulous) in rows {
        for (auth, expected) in [(&keyed, is_keyed), (&meticulous(), is_meticulous)] {
            let sent = auth.sign(&packet, 0xffff_fffe);
            let result = verify(auth, sent.octets(), Some(last));
            let expected = expected
                .then_some(0xffff_fffe)
                .ok_or(Discard::SequenceNumber);
            assert_eq!(result, expected, "{last:x} {:?}", auth.kind());
        }
    }
    let sent = meticulous().sign(&packet, 2);
    assert_eq!(
        verify(&meticulous(), sent.octets(), Some(0xffff_fffe)),
        Ok(2)
    );
}

#[test]
fn keys_that_cannot_work_are_refused() {
    let key = |id| Key::new(id, b"x").unwrap();
    assert_eq!(Key::new(1, b""), Err(KeyError::Length));
    assert_eq!(Key::new(1, &[1; 21]), Err(KeyError::Length));
    let make = |keys, sending| Authentication::new(Kind::Keyed, keys, sending).map(|_| ());
    assert_eq!(make(vec![key(1), key(1)], 1), Err(KeyError::Duplicate));
    assert_eq!(make(vec![key(1)], 2), Err(KeyError::NoSendingKey));
    assert_eq!(make(vec![], 2), Err(KeyError::NoSendingKey));
    assert!(
        !format!("{:?}", key(1)).contains("120"),
        "a secret is not shown"
    );
}
