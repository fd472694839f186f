//! The tables of malformed input that the lab sends to the agent (`interop-tests/tests/malformed_input`), read by the
//! decoder alone: the same rows, and for each what is decided before there is a session or a routing table.

#![allow(clippy::unwrap_used)]
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the tables are a lab's source, which uses more of it"
)]

// What the tables use of the lab's library is included as source: no crate of the product knows that library.
extern crate self as interop_tests;

/// The part of the lab's raw peer that only makes octets.
#[path = "../../interop-tests/lab/src/raw/encode.rs"]
mod encode;

/// As the tables know it.
mod raw {
    pub(crate) use crate::encode::{self, message};

    pub(crate) const OPEN: u8 = 1;
    pub(crate) const UPDATE: u8 = 2;
    pub(crate) const KEEPALIVE: u8 = 4;
    pub(crate) const ROUTE_REFRESH: u8 = 5;
    pub(crate) const BOTH_FAMILIES: [u8; 12] = [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1];
}

#[path = "../../interop-tests/tests/malformed_input/attributes.rs"]
mod attributes;
#[path = "../../interop-tests/tests/malformed_input/framing.rs"]
mod framing;
#[path = "../../interop-tests/tests/malformed_input/open.rs"]
mod open;
#[path = "../../interop-tests/tests/malformed_input/outcome.rs"]
mod outcome;
#[path = "../../interop-tests/tests/support/parts.rs"]
mod parts;
#[path = "../../interop-tests/tests/malformed_input/refresh.rs"]
mod refresh;

use bgp::types::{Asn, Family};
use bgp::wire::attribute::AttributeCode;
use bgp::wire::{
    Framer, Message, Notification, NotificationCode, Outcome, PeerKind, RouteRefresh,
    RouteRefreshSubtype, Update, UpdateCodec, WireError,
};
use bytes::{Bytes, BytesMut};
use outcome::{Answer, Row, Session};
// `encode` looks for it beside itself.
use raw::UPDATE;

fn codec(row: &Row, internal: bool) -> UpdateCodec {
    let peer = match internal {
        true => PeerKind::Internal,
        false => PeerKind::External,
    };
    UpdateCodec {
        four_octet_as: row.session != Session::TwoOctets,
        first_as: (!internal).then_some(Asn(parts::RAW_AS)),
        ..UpdateCodec::plain(peer)
    }
}

/// The one message in these octets, as a session reads it where long messages were agreed on.
fn decode(octets: &[u8], codec: &UpdateCodec) -> Result<Message, WireError> {
    let mut framer = Framer::new();
    framer.allow_extended();
    let mut buffer = BytesMut::from(octets);
    let frame = framer.next(&mut buffer)?.expect("the message is whole");
    assert!(buffer.is_empty(), "octets behind the message");
    Message::decode(&frame, codec)
}

fn update(octets: &[u8], codec: &UpdateCodec) -> Update {
    match decode(octets, codec).unwrap() {
        Message::Update(update) => update,
        other => panic!("no UPDATE: {other:?}"),
    }
}

fn notification(code: u8, subcode: u8, data: Vec<u8>) -> Notification {
    Notification::with_data(NotificationCode::new(code, subcode), data)
}

/// What is sent of a NOTIFICATION.
fn sent(notification: &Notification) -> Bytes {
    let octets = notification.encode();
    assert!(octets.len() <= 4096, "{} octets", octets.len());
    octets
}

#[test]
fn every_update_of_the_tables_has_its_outcome() {
    for (n, row) in (1..).zip(framing::rows().into_iter().chain(attributes::rows())) {
        for internal in [false, true] {
            let parts = row.parts(n, internal);
            let found = update(&(row.octets)(&parts), &codec(&row, internal));
            let what = format!(
                "{} {}, internal {internal}: {:?}",
                row.section, row.name, found.faults
            );
            judge(&found, row.outcome(internal), &parts, &what);
        }
    }
}

fn judge(found: &Update, expected: outcome::Outcome, parts: &parts::Parts, what: &str) {
    use outcome::Outcome::{Discard, Filtered, Ignored, Reset, Unusable, Used, Withdraw};
    if let Reset(code, subcode, data) = expected {
        let expected = notification(code, subcode, data(parts));
        let reset = found.reset().unwrap_or_else(|| panic!("no reset: {what}"));
        assert_eq!(sent(&reset), sent(&expected), "{what}");
        return;
    }
    assert_eq!(found.reset(), None, "{what}");
    match expected {
        Used | Unusable | Filtered(_) => assert_eq!(found.outcome(), None, "{what}"),
        Discard(_) => assert_eq!(found.outcome(), Some(Outcome::AttributeDiscard), "{what}"),
        Withdraw => assert_eq!(found.outcome(), Some(Outcome::TreatAsWithdraw), "{what}"),
        Ignored | Reset(..) => {}
    }
    if let Discard(codes) | Filtered(codes) = expected {
        for code in codes {
            let kept = found.attributes.find(AttributeCode(*code));
            assert_eq!(kept, None, "{what}");
        }
    }
    let (announced, withdrawn) = (!found.reach.is_empty(), !found.unreach.is_empty());
    let (announces, withdraws) = match expected {
        Used | Unusable | Filtered(_) | Discard(_) => (true, false),
        Withdraw => (false, true),
        Ignored | Reset(..) => (false, false),
    };
    assert_eq!((announced, withdrawn), (announces, withdraws), "{what}");
    assert_eq!(found.end_of_rib, None::<Family>, "{what}");
}

#[test]
fn every_open_of_the_tables_has_its_answer() {
    for row in open::rows() {
        let what = format!("{} {}", row.section, row.name);
        let found = decode(&row.octets, &UpdateCodec::plain(PeerKind::External));
        match (&row.answer, found) {
            (Answer::Session, Ok(Message::Open(_))) => {}
            // Whether there is a family in common is for the state machine to say.
            (Answer::Notification(2, 7, _), Ok(Message::Open(_))) => {}
            (Answer::Notification(code, subcode, data), Err(error)) => {
                let expected = notification(*code, *subcode, data.clone());
                assert_eq!(sent(&error.notification), sent(&expected), "{what}");
            }
            (expected, found) => panic!("{what}: {expected:?} expected, got {found:?}"),
        }
    }
}

/// ROUTE-REFRESH as it is read from a peer without enhanced route refresh; everything else as usual.
fn decode_plain(octets: &[u8]) -> Result<Message, WireError> {
    match octets[18] {
        raw::ROUTE_REFRESH if octets.len() >= 23 => {
            let body = Bytes::copy_from_slice(&octets[19..]);
            RouteRefresh::decode_plain(&body).map(Message::RouteRefresh)
        }
        _ => decode(octets, &UpdateCodec::plain(PeerKind::External)),
    }
}

#[test]
fn every_other_message_of_the_tables_has_its_answer() {
    for row in refresh::rows() {
        let what = format!("{} {}", row.section, row.name);
        let enhanced = decode(&row.octets, &UpdateCodec::plain(PeerKind::External));
        let plain = decode_plain(&row.octets);
        if let Ok(Message::RouteRefresh(refresh)) = &plain {
            assert_eq!(refresh.subtype, RouteRefreshSubtype::Request, "{what}");
        }
        for (answer, found) in [(&row.answer, enhanced), (&row.plain, plain)] {
            match (answer, found) {
                (Answer::Session, Ok(Message::RouteRefresh(_))) => {}
                (Answer::Notification(code, subcode, data), Err(error)) => {
                    let expected = notification(*code, *subcode, data.clone());
                    assert_eq!(sent(&error.notification), sent(&expected), "{what}");
                }
                (expected, found) => panic!("{what}: {expected:?} expected, got {found:?}"),
            }
        }
    }
}
