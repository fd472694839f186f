//! What the tables of malformed UPDATEs share: good attributes, and the checks of an outcome.

use bgp::wire::Outcome::{AttributeDiscard, SessionReset, TreatAsWithdraw};
use bgp::wire::attribute::AttributeCode;
use bgp::wire::{
    Notification, NotificationCode as Code, Outcome, PeerKind, Update, UpdateCodec, decode_update,
};
use bytes::Bytes;

use super::{check_invariants, nets};

pub(crate) const INTERNAL: UpdateCodec = UpdateCodec::plain(PeerKind::Internal);
pub(crate) const EXTERNAL: UpdateCodec = UpdateCodec::plain(PeerKind::External);
pub(crate) const OLD: UpdateCodec = UpdateCodec {
    four_octet_as: false,
    ..INTERNAL
};

pub(crate) const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
pub(crate) const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe8];
pub(crate) const OLD_AS_PATH: &[u8] = &[0x40, 2, 4, 2, 1, 0xfd, 0xe8];
pub(crate) const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
/// 198.51.100.0/24.
pub(crate) const NLRI: &[u8] = &[24, 198, 51, 100];
/// 2001:db8::/32 over 2001:db8::1.
pub(crate) const MP_REACH: &[u8] = &[
    0x80, 14, 26, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 32, 0x20,
    1, 0xd, 0xb8,
];

pub(crate) fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    [&[flags, code, value.len() as u8], value].concat()
}

pub(crate) fn message(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Bytes {
    let attributes = attributes.concat();
    let length = |part: &[u8]| (part.len() as u16).to_be_bytes();
    [
        &length(withdrawn)[..],
        withdrawn,
        &length(&attributes)[..],
        &attributes,
        nlri,
    ]
    .concat()
    .into()
}

pub(crate) fn decode(message: &Bytes, codec: &UpdateCodec) -> Update {
    let update = decode_update(message, codec);
    check_invariants(&update);
    update
}

/// An UPDATE that would be fine without this attribute has just the one fault, with this outcome and these words.
pub(crate) fn extra(codec: &UpdateCodec, bad: &[u8], outcome: Outcome, words: &str) -> Update {
    let path = if codec.four_octet_as {
        AS_PATH
    } else {
        OLD_AS_PATH
    };
    let replaced = |code: u8| bad[1] == code;
    let mut attributes: Vec<&[u8]> = Vec::new();
    for (code, good) in [(1, ORIGIN), (2, path), (3, NEXT_HOP)] {
        if !replaced(code) {
            attributes.push(good);
        }
    }
    attributes.push(bad);
    let update = decode(&message(&[], &attributes, NLRI), codec);
    let found: Vec<String> = update.faults.iter().map(ToString::to_string).collect();
    assert_eq!(found, [format!("{words} ({outcome})")]);
    assert_eq!(update.faults[0].outcome, outcome);
    match outcome {
        AttributeDiscard => {
            assert_eq!(update.reach.len(), 1);
            assert_eq!(
                update.attributes.find(AttributeCode(bad[1])),
                None,
                "it is not kept"
            );
            assert_eq!(&update.faults[0].attribute[..], bad);
        }
        TreatAsWithdraw => {
            assert_eq!(update.unreach.len(), 1);
            assert_eq!(nets(&update.unreach[0])[0].0.to_string(), "198.51.100.0/24");
            assert_eq!(&update.faults[0].attribute[..], bad);
        }
        SessionReset => {}
    }
    update
}

/// An UPDATE of these octets resets the session with this NOTIFICATION.
pub(crate) fn resets(codec: &UpdateCodec, message: &Bytes, code: Code, data: &[u8], words: &str) {
    let update = decode(message, codec);
    let expected = Notification::with_data(code, data.to_vec());
    assert_eq!(update.reset(), Some(expected), "{words}");
    let last = update.faults.last().unwrap();
    assert_eq!(last.reason.to_string(), words);
}
