//! RFC 5880 6.5, 6.8.2 to 6.8.4: intervals that change on a live session.

use super::*;
use crate::session::timing::Poll;

fn transmit_interval(rig: &Rig) -> Duration {
    rig.session.status().transmit_interval.unwrap()
}

fn detection_time(rig: &Rig) -> Duration {
    rig.session.status().detection_time.unwrap()
}

/// Ends a Poll Sequence, and the time in which no other may begin.
fn finish_poll(rig: &mut Rig) {
    rig.receive(remote(State::Up).with(Sequence::Final));
    rig.receive(remote(State::Up));
}

#[test]
fn unless_up_packets_are_sent_and_advertised_once_a_second_at_most() {
    let mut rig = Rig::new(every(50));
    rig.input(Input::DeadlineReached);
    rig.take();
    rig.pass(SECOND * 60);
    let sent = rig.sent();
    assert!((60..=80).contains(&sent.len()), "{}", sent.len());
    assert!(
        sent.iter()
            .all(|packet| packet.desired_min_tx == Interval::SLOW)
    );
    let slower = Rig::new(every(3000)).session;
    assert_eq!(slower.timing.desired_min_tx, Interval::from_millis(3000));

    let mut rig = Rig::up(every(50));
    rig.receive(remote(State::Down));
    assert_eq!(rig.sent_one().desired_min_tx, Interval::SLOW);
    assert_eq!(transmit_interval(&rig), SECOND);
}

#[test]
fn once_up_the_wanted_interval_is_advertised_in_a_poll_sequence() {
    let mut rig = Rig::new(every(50));
    rig.input(Input::DeadlineReached);
    rig.receive(remote(State::Down));
    rig.take();
    rig.receive(remote(State::Init));
    let packet = rig.sent_one();
    assert_eq!((packet.state, packet.sequence), (State::Up, Sequence::Poll));
    assert_eq!(packet.desired_min_tx, Interval::from_millis(50));
    assert_eq!(transmit_interval(&rig), 50 * MS);
    // Every packet has P until the Final comes, none after it.
    rig.pass(100 * MS);
    rig.receive(remote(State::Up));
    assert!(
        rig.sent()
            .iter()
            .all(|packet| packet.sequence == Sequence::Poll)
    );
    rig.receive(remote(State::Up).with(Sequence::Final));
    rig.pass(100 * MS);
    assert!(
        rig.sent()
            .iter()
            .all(|packet| packet.sequence == Sequence::None)
    );
}

#[test]
fn the_larger_of_both_intervals_is_sent_by_and_listened_by() {
    let mut rig = Rig::up(every(50));
    assert_eq!(
        (transmit_interval(&rig), detection_time(&rig)),
        (50 * MS, 150 * MS)
    );
    rig.receive(ControlPacket {
        required_min_rx: Some(Interval::from_millis(80)),
        desired_min_tx: Interval::from_millis(90),
        detect_mult: NonZeroU8::new(5).unwrap(),
        ..remote(State::Up)
    });
    assert_eq!(
        (transmit_interval(&rig), detection_time(&rig)),
        (80 * MS, 450 * MS)
    );
}

#[test]
fn a_longer_transmit_interval_is_used_when_the_remote_system_knows_it() {
    let mut rig = Rig::up(every(50));
    rig.configure(every(200));
    let packet = rig.sent_one();
    assert_eq!(
        (packet.desired_min_tx, packet.sequence),
        (Interval::from_millis(200), Sequence::Poll)
    );
    assert_eq!(transmit_interval(&rig), 50 * MS);
    rig.receive(remote(State::Up));
    assert_eq!(transmit_interval(&rig), 50 * MS, "no Final has come");
    rig.receive(remote(State::Up).with(Sequence::Final));
    assert_eq!(transmit_interval(&rig), 200 * MS);
}

#[test]
fn a_shorter_transmit_interval_is_used_at_once() {
    let mut rig = Rig::up(every(200));
    rig.take();
    rig.configure(every(50));
    assert_eq!(rig.sent_one().sequence, Sequence::Poll);
    assert_eq!(transmit_interval(&rig), 50 * MS);
}

#[test]
fn a_shorter_receive_interval_counts_when_the_remote_system_knows_it() {
    let mut rig = Rig::up(every(200));
    assert_eq!(detection_time(&rig), 600 * MS);
    rig.configure(every(50));
    assert_eq!(detection_time(&rig), 600 * MS);
    rig.receive(remote(State::Up).with(Sequence::Final));
    assert_eq!(detection_time(&rig), 150 * MS);
}

#[test]
fn a_longer_receive_interval_counts_at_once() {
    let mut rig = Rig::up(every(50));
    rig.configure(every(200));
    assert_eq!(detection_time(&rig), 600 * MS);
}

#[test]
fn a_change_during_a_poll_sequence_waits_for_a_sequence_of_its_own() {
    let mut rig = Rig::up(every(50));
    rig.configure(every(200));
    rig.configure(every(400));
    rig.take();
    rig.receive(remote(State::Up).with(Sequence::Final));
    // The Final was for 200 ms: nothing says yet that a second one would not be for it, too.
    assert_eq!(transmit_interval(&rig), 200 * MS);
    rig.receive(remote(State::Up).with(Sequence::Final));
    assert!(rig.sent().is_empty());
    rig.receive(remote(State::Up));
    let packet = rig.sent_one();
    assert_eq!(
        (packet.desired_min_tx, packet.sequence),
        (Interval::from_millis(400), Sequence::Poll)
    );
    assert_eq!(transmit_interval(&rig), 200 * MS);
    rig.receive(remote(State::Up).with(Sequence::Final));
    assert_eq!(transmit_interval(&rig), 400 * MS);
}

#[test]
fn parameters_that_change_no_interval_begin_no_poll_sequence() {
    let mut rig = Rig::up(every(50));
    rig.configure(every(50));
    assert_eq!((rig.session.timing.poll, rig.take()), (Poll::Idle, vec![]));
    rig.configure(Parameters {
        detect_mult: NonZeroU8::new(9).unwrap(),
        ..every(50)
    });
    let packet = rig.sent_one();
    assert_eq!(
        (packet.detect_mult.get(), packet.sequence),
        (9, Sequence::None)
    );
}

#[test]
fn no_parameter_takes_a_session_down() {
    let mut rig = Rig::up(every(50));
    for parameters in [
        every(10),
        every(5000),
        Parameters {
            role: Role::Passive,
            ..every(50)
        },
        Parameters {
            echo_tx: Some(Interval::from_millis(10)),
            ..every(50)
        },
    ] {
        rig.configure(parameters);
        finish_poll(&mut rig);
        finish_poll(&mut rig);
    }
    assert_eq!((rig.session.state(), rig.events()), (State::Up, vec![]));
}

#[test]
fn a_remote_system_that_wants_packets_sooner_gets_them_at_once() {
    let slow = ControlPacket {
        required_min_rx: Some(Interval::from_millis(10_000)),
        desired_min_tx: Interval::from_millis(10_000),
        ..remote(State::Up)
    };
    let mut rig = Rig::up(every(50));
    rig.receive(slow);
    rig.pass(SECOND);
    rig.take();
    rig.pass(5 * SECOND);
    assert_eq!(rig.sent(), []);
    rig.receive(remote(State::Up));
    // The new interval since the last packet has long passed.
    assert_eq!(rig.sent_one().state, State::Up);
}

#[test]
fn a_poll_sequence_that_nobody_can_settle_any_more_does_not_hold_up_the_next() {
    let mut rig = Rig::up(every(50));
    rig.configure(every(60));
    rig.receive(remote(State::Up).with(Sequence::Final));
    assert_eq!(rig.session.timing.poll, Poll::Settling);
    rig.pass(180 * MS);
    assert_eq!(rig.session.state(), State::Down);
    rig.take();
    rig.pass(SECOND);
    // It sends by 1 s again, which the remote system has to be asked about.
    assert_eq!(rig.sent()[0].sequence, Sequence::Poll);
}
