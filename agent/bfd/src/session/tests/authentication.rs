//! RFC 5880 6.7, 6.7.4 and 6.8.1: authenticated sessions.

use std::sync::Arc;

use super::*;
use crate::auth::{Authentication, Key, Kind};
use crate::packet::Discard;

fn auth(kind: Kind, keys: &[u8], sending: u8) -> Authentication {
    let keys = keys.iter().map(|id| Key::new(*id, &[*id; 20]).unwrap());
    Authentication::new(kind, keys.collect(), sending).unwrap()
}

fn with(authentication: Authentication) -> Parameters {
    Parameters {
        authentication: Some(Arc::new(authentication)),
        ..every(50)
    }
}

/// An authenticated session in Init, whose last received number is 100.
fn rig(kind: Kind) -> (Rig, Authentication) {
    let ours = auth(kind, &[1], 1);
    let mut rig = Rig::new(with(ours.clone()));
    rig.input(Input::DeadlineReached);
    rig.receive_datagram(&ours.sign(&remote(State::Down), 100));
    assert_eq!(rig.session.state(), State::Init);
    rig.out.clear();
    (rig, ours)
}

/// The sequence numbers of what was sent.
fn numbers(outputs: &[Output]) -> Vec<u32> {
    let number = |output: &Output| match output {
        Output::Send(sent) => Some(u32::from_be_bytes(
            sent.octets()[28..32].try_into().unwrap(),
        )),
        _ => None,
    };
    outputs.iter().filter_map(number).collect()
}

#[test]
fn packets_with_and_without_authentication_do_not_mix() {
    let mut plain = Rig::up(every(50));
    plain.receive_datagram(&auth(Kind::Keyed, &[1], 1).sign(&remote(State::Down), 1));
    assert_eq!(plain.events(), [Output::Discarded(Discard::Authenticated)]);

    let (mut rig, _) = rig(Kind::Keyed);
    rig.receive(remote(State::Init));
    assert_eq!(rig.events(), [Output::Discarded(Discard::NotAuthenticated)]);
    assert_eq!(rig.session.state(), State::Init);
}

#[test]
fn both_kinds_of_sha1_carry_a_session_up() {
    for kind in [Kind::Keyed, Kind::Meticulous] {
        let (mut rig, theirs) = rig(kind);
        rig.receive_datagram(&theirs.sign(&remote(State::Init), 101));
        assert!(rig.take().contains(&Output::Up));
    }
}

#[test]
fn the_first_number_is_random_and_the_first_received_one_is_taken() {
    let number = |seed| {
        let (now, mut random) = (Instant::now(), Random::from_number(seed));
        let discriminator = Discriminator::new(1).unwrap();
        Session::new(now, discriminator, every(50), &mut random).sent_number
    };
    assert_ne!(number(1), number(2));
    for first in [0, 5, u32::MAX] {
        let ours = auth(Kind::Meticulous, &[1], 1);
        let mut rig = Rig::new(with(ours.clone()));
        rig.receive_datagram(&ours.sign(&remote(State::Down), first));
        assert_eq!(rig.session.received_number, Some(first));
    }
}

#[test]
fn a_replayed_or_forged_packet_is_discarded_and_moves_nothing() {
    let (mut rig, theirs) = rig(Kind::Meticulous);
    let forger =
        Authentication::new(Kind::Meticulous, vec![Key::new(1, b"guess").unwrap()], 1).unwrap();
    let rows = [
        (
            theirs.sign(&remote(State::Init), 100),
            Discard::SequenceNumber,
        ),
        (
            theirs.sign(&remote(State::Init), 99),
            Discard::SequenceNumber,
        ),
        (
            theirs.sign(&remote(State::Init), 110),
            Discard::SequenceNumber,
        ),
        (forger.sign(&remote(State::Init), 105), Discard::Hash),
    ];
    for (datagram, reason) in rows {
        rig.receive_datagram(&datagram);
        assert_eq!(rig.events(), [Output::Discarded(reason)]);
        assert_eq!(rig.session.received_number, Some(100));
    }
    rig.receive_datagram(&theirs.sign(&remote(State::Init), 109));
    assert_eq!(rig.session.received_number, Some(109));
}

#[test]
fn a_forged_first_packet_does_not_decide_which_numbers_are_right() {
    let ours = auth(Kind::Meticulous, &[1], 1);
    let forger =
        Authentication::new(Kind::Meticulous, vec![Key::new(1, b"guess").unwrap()], 1).unwrap();
    let mut rig = Rig::new(with(ours.clone()));
    rig.receive_datagram(&forger.sign(&remote(State::Down), 5_000_000));
    assert_eq!(rig.session.received_number, None);
    rig.receive_datagram(&ours.sign(&remote(State::Down), 7));
    assert_eq!(rig.session.state(), State::Init);
}

#[test]
fn numbers_are_forgotten_after_twice_the_detection_time() {
    let (mut rig, theirs) = rig(Kind::Meticulous);
    // 3 x 50 ms.
    rig.pass(299 * MS);
    rig.take();
    rig.receive_datagram(&theirs.sign(&remote(State::Down), 5));
    assert_eq!(rig.events(), [Output::Discarded(Discard::SequenceNumber)]);
    rig.pass(MS);
    rig.receive_datagram(&theirs.sign(&remote(State::Down), 5));
    assert_eq!((rig.events(), rig.session.state()), (vec![], State::Init));
}

#[test]
fn meticulous_numbers_count_packets_and_keyed_ones_count_contents() {
    for (kind, expected) in [(Kind::Meticulous, 1), (Kind::Keyed, 0)] {
        let (mut rig, _) = rig(kind);
        let first = rig.session.sent_number;
        rig.pass(SECOND);
        let numbers = numbers(&rig.take());
        // In Init for 150 ms, then Down, which differs.
        assert_eq!(numbers[0], first.wrapping_add(1), "{kind:?} {numbers:?}");
        for pair in numbers.windows(2) {
            assert_eq!(pair[1].wrapping_sub(pair[0]), expected, "{kind:?}");
        }
    }
}

#[test]
fn keys_are_rotated_on_a_live_session() {
    let (mut rig, _) = rig(Kind::Meticulous);
    let old = auth(Kind::Meticulous, &[1], 1);
    rig.receive_datagram(&old.sign(&remote(State::Init), 101));
    rig.receive_datagram(&old.sign(&remote(State::Up).with(Sequence::Final), 102));
    rig.take();
    // Both ends know the new key, then either sends with it, then the old one goes.
    rig.configure(with(auth(Kind::Meticulous, &[1, 2], 1)));
    rig.receive_datagram(&old.sign(&remote(State::Up), 103));
    rig.receive_datagram(&auth(Kind::Meticulous, &[1, 2], 2).sign(&remote(State::Up), 104));
    rig.configure(with(auth(Kind::Meticulous, &[1, 2], 2)));
    rig.pass(50 * MS);
    let out = rig.take();
    let Some(Output::Send(sent)) = out.iter().find(|out| matches!(out, Output::Send(_))) else {
        panic!("nothing sent: {out:?}")
    };
    assert_eq!(sent.octets()[26], 2);
    rig.configure(with(auth(Kind::Meticulous, &[2], 2)));
    rig.receive_datagram(&old.sign(&remote(State::Up), 105));
    assert_eq!(rig.events(), [Output::Discarded(Discard::UnknownKey)]);
    assert_eq!(rig.session.state(), State::Up);
}

#[test]
fn numbers_of_one_kind_say_nothing_about_those_of_the_other() {
    let (mut rig, _) = rig(Kind::Keyed);
    let meticulous = auth(Kind::Meticulous, &[1], 1);
    rig.configure(with(meticulous.clone()));
    rig.take();
    rig.receive_datagram(&meticulous.sign(&remote(State::Init), 5));
    assert_eq!(rig.events(), [Output::Up]);
}
