//! RFC 5880 6.4, 6.6, 6.8.5, 6.8.8 and 6.8.9: Demand mode of the remote system, and the Echo function.

use super::*;
use crate::packet::Discard;
use crate::session::timing::Poll;

fn demand(state: State) -> ControlPacket {
    ControlPacket {
        is_demand: true,
        // The detection time is 30 s, so that these tests need no packets in between.
        desired_min_tx: Interval::from_millis(10_000),
        ..remote(state)
    }
}

#[test]
fn periodic_packets_cease_while_demand_mode_is_active_at_the_remote_system() {
    let mut rig = Rig::up(every(50));
    rig.receive(demand(State::Up));
    rig.pass(SECOND);
    assert_eq!(rig.sent(), []);
    rig.receive(demand(State::Up).with(Sequence::Poll));
    assert_eq!(rig.sent_one().sequence, Sequence::Final);
    rig.receive(ControlPacket {
        is_demand: false,
        ..demand(State::Up)
    });
    rig.pass(SECOND);
    assert!(rig.sent().len() >= 20, "and begin again behind it");
}

#[test]
fn demand_mode_is_not_active_unless_both_ends_are_up() {
    let mut rig = Rig::up(every(50));
    rig.receive(demand(State::Init));
    rig.pass(SECOND);
    assert!(rig.sent().len() >= 20);
    rig.receive(demand(State::Down));
    rig.take();
    rig.pass(SECOND * 10);
    assert!(rig.sent().len() >= 10);
}

#[test]
fn with_demand_mode_every_change_is_a_poll_sequence() {
    let mut rig = Rig::up(every(50));
    rig.receive(demand(State::Up));
    rig.take();
    rig.configure(Parameters {
        detect_mult: NonZeroU8::new(7).unwrap(),
        ..every(50)
    });
    assert_eq!(rig.sent_one().sequence, Sequence::Poll);
    rig.pass(SECOND);
    let sent = rig.sent();
    assert!(sent.len() >= 20 && sent.iter().all(|packet| packet.sequence == Sequence::Poll));
    rig.receive(demand(State::Up).with(Sequence::Final));
    rig.pass(SECOND);
    assert_eq!(
        (rig.sent(), rig.session.timing.poll),
        (vec![], Poll::Settling)
    );
}

#[test]
fn we_never_ask_for_demand_mode() {
    let mut rig = Rig::up(every(50));
    rig.pass(100 * MS);
    assert!(rig.sent().iter().all(|packet| !packet.is_demand));
}

fn echoing() -> Parameters {
    Parameters {
        echo_tx: Some(Interval::from_millis(20)),
        ..every(50)
    }
}

fn returns_echo(millis: u32) -> ControlPacket {
    ControlPacket {
        required_min_echo_rx: Some(Interval::from_millis(millis)),
        // Control packets are not what these tests are about.
        desired_min_tx: Interval::from_millis(10_000),
        ..remote(State::Up)
    }
}

fn echoes(outputs: &[Output]) -> Vec<EchoPacket> {
    let echo = |output: &Output| match output {
        Output::SendEcho(packet) => Some(*packet),
        _ => None,
    };
    outputs.iter().filter_map(echo).collect()
}

/// Lets time pass while every Echo packet comes back at once; returns how many there were.
fn reflect(rig: &mut Rig, duration: Duration) -> usize {
    let (end, mut count) = (rig.now + duration, 0);
    loop {
        for echo in echoes(&rig.take()) {
            rig.input(Input::EchoReturned(echo));
            count += 1;
        }
        let Some(at) = rig.session.deadline().filter(|at| *at <= end) else {
            rig.now = end;
            return count;
        };
        rig.now = rig.now.max(at);
        rig.input(Input::DeadlineReached);
    }
}

#[test]
fn echo_packets_are_sent_when_both_ends_want_them_and_the_session_is_up() {
    // Not Up.
    let mut rig = Rig::new(echoing());
    rig.input(Input::DeadlineReached);
    rig.receive(ControlPacket {
        state: State::Down,
        ..returns_echo(10)
    });
    rig.pass(SECOND);
    assert_eq!(echoes(&rig.take()), []);
    // The remote system returns none; or we want none.
    let mut rig = Rig::up(echoing());
    rig.pass(100 * MS);
    assert_eq!(echoes(&rig.take()), []);
    let mut rig = Rig::up(every(50));
    rig.receive(returns_echo(10));
    rig.pass(100 * MS);
    assert_eq!(echoes(&rig.take()), []);
    // Both.
    let mut rig = Rig::up(echoing());
    rig.receive(returns_echo(10));
    let count = reflect(&mut rig, SECOND);
    assert!((50..=68).contains(&count), "{count}");
    // Not any more.
    rig.receive(remote(State::Up));
    rig.pass(100 * MS);
    assert_eq!(echoes(&rig.take()), []);
}

#[test]
fn echo_packets_are_not_sent_more_often_than_the_remote_system_allows() {
    let mut rig = Rig::up(echoing());
    rig.receive(returns_echo(100));
    assert_eq!(rig.session.status().echo_interval, Some(100 * MS));
    let count = reflect(&mut rig, SECOND);
    assert!((10..=14).contains(&count), "{count}");
}

#[test]
fn echo_packets_that_do_not_return_take_the_session_down() {
    let mut rig = Rig::up(echoing());
    rig.receive(returns_echo(10));
    reflect(&mut rig, SECOND);
    rig.pass(61 * MS);
    assert_eq!(rig.events(), [Output::Down(DownReason::EchoFailed)]);
    assert_eq!(rig.session.status().diagnostic, Diagnostic::ECHO_FAILED);
}

#[test]
fn only_an_echo_packet_that_was_just_sent_counts() {
    let mut rig = Rig::up(echoing());
    rig.receive(returns_echo(10));
    let first = echoes(&rig.take())[0];
    let forged = [
        EchoPacket {
            token: first.token ^ 1,
            ..first
        },
        EchoPacket {
            number: first.number + 1,
            ..first
        },
        EchoPacket {
            number: first.number - 1,
            ..first
        },
    ];
    for packet in forged {
        rig.input(Input::EchoReturned(packet));
        assert_eq!(rig.events(), [Output::Discarded(Discard::Echo)]);
    }
    rig.input(Input::EchoReturned(first));
    assert_eq!(rig.events(), []);
    rig.input(Input::EchoReturned(first));
    assert_eq!(rig.events(), [Output::Discarded(Discard::Echo)]);
    assert_eq!(EchoPacket::decode(&first.encode()), Ok(first));
    assert_eq!(EchoPacket::decode(&[0; 15]), Err(Discard::Echo));
}

#[test]
fn echo_packets_of_before_a_pause_do_not_count() {
    let mut rig = Rig::up(echoing());
    rig.receive(returns_echo(10));
    let lost = echoes(&rig.take())[0];
    rig.receive(remote(State::Up));
    rig.receive(returns_echo(10));
    rig.take();
    rig.input(Input::EchoReturned(lost));
    assert_eq!(rig.events(), [Output::Discarded(Discard::Echo)]);
}

#[test]
fn with_echo_packets_a_control_packet_a_second_is_asked_for() {
    let mut rig = Rig::up(echoing());
    rig.receive(returns_echo(10));
    let sent = packets(&rig.take());
    assert_eq!(sent[0].required_min_rx, Some(Interval::SLOW));
    assert_eq!(sent[0].sequence, Sequence::Poll);
}
