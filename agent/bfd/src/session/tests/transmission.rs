//! RFC 5880 6.1, 6.5 and 6.8.7: when packets are sent, and with what.

use super::*;

/// When packets are sent in `duration`, with a remote system that is heard every 5 ms.
fn times(rig: &mut Rig, duration: Duration) -> Vec<Instant> {
    let (end, mut times) = (rig.now + duration, Vec::new());
    while rig.now < end {
        let next = rig.now + 5 * MS;
        // Every other packet as early as it may be sent.
        let due = |rig: &Rig, count: usize| match count % 2 {
            0 => rig.session.next_send(),
            _ => rig.session.may_send_from(),
        };
        while let Some(at) = due(rig, times.len()).filter(|at| *at <= next) {
            rig.now = rig.now.max(at);
            rig.input(Input::Transmit);
            times.extend(rig.sent().iter().map(|_| rig.now));
        }
        rig.now = next;
        rig.receive(remote(State::Up));
    }
    times
}

fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn jitter_takes_up_to_a_quarter_of_each_interval() {
    let mut rig = Rig::up(every(100));
    let gaps = gaps(&times(&mut rig, SECOND * 100));
    let (least, most) = (*gaps.iter().min().unwrap(), *gaps.iter().max().unwrap());
    assert!(least >= 75 * MS && most <= 100 * MS, "{least:?} {most:?}");
    assert!(least < 77 * MS && most > 99 * MS, "{least:?} {most:?}");
    assert!(gaps.windows(2).any(|pair| pair[0] != pair[1]));
}

#[test]
fn with_a_detect_mult_of_one_jitter_leaves_a_tenth() {
    let mut rig = Rig::up(Parameters {
        detect_mult: NonZeroU8::MIN,
        ..every(100)
    });
    let gaps = gaps(&times(&mut rig, SECOND * 100));
    let (least, most) = (*gaps.iter().min().unwrap(), *gaps.iter().max().unwrap());
    assert!(least >= 75 * MS && most <= 90 * MS, "{least:?} {most:?}");
}

#[test]
fn the_active_role_sends_without_being_asked() {
    let mut rig = Rig::new(every(50));
    rig.input(Input::DeadlineReached);
    let packet = rig.sent_one();
    assert_eq!(packet.your_discriminator, None);
    assert_eq!(packet.my_discriminator, Discriminator::new(77).unwrap());
    assert_eq!(packet.state, State::Down);
}

#[test]
fn the_passive_role_sends_while_it_knows_the_remote_system() {
    let passive = Parameters {
        role: Role::Passive,
        ..every(50)
    };
    let mut rig = Rig::new(passive);
    rig.input(Input::DeadlineReached);
    rig.pass(SECOND * 10);
    assert_eq!(rig.sent(), []);
    rig.receive(remote(State::Down));
    assert_eq!(rig.sent_one().state, State::Init);
    rig.pass(SECOND * 10);
    rig.take();
    rig.pass(SECOND * 10);
    assert_eq!(rig.sent(), [], "forgotten after the detection time");
}

#[test]
fn a_poll_is_answered_at_once_by_a_final_without_p_in_each_state() {
    let mut down = Rig::new(every(50));
    down.input(Input::DeadlineReached);
    let mut init = Rig::new(every(50));
    init.input(Input::DeadlineReached);
    let mut admin_down = Rig::up(every(50));
    admin_down.input(Input::Disable);
    for (mut rig, received) in [
        (admin_down, State::Up),
        (down, State::Up),
        (init, State::Down),
        (Rig::up(every(50)), State::Up),
    ] {
        rig.take();
        rig.receive(remote(received).with(Sequence::Poll));
        let sent = rig.sent();
        assert_eq!(sent[0].sequence, Sequence::Final, "{sent:?}");
        assert_eq!(sent.len(), 1, "the Final brings the news, too");
    }
}

#[test]
fn finals_are_limited_to_a_few_in_the_interval_that_is_advertised() {
    let mut rig = Rig::up(every(50));
    rig.take();
    let finals = |rig: &mut Rig| {
        let sent = rig.sent().into_iter();
        sent.filter(|packet| packet.sequence == Sequence::Final)
            .count()
    };
    for _ in 0..1000 {
        rig.receive(remote(State::Up).with(Sequence::Poll));
    }
    assert_eq!(finals(&mut rig), 4);
    rig.pass(50 * MS);
    rig.take();
    rig.receive(remote(State::Up).with(Sequence::Poll));
    assert_eq!(finals(&mut rig), 1);
}

#[test]
fn a_final_is_sent_without_p_during_a_poll_sequence_of_ours() {
    let mut rig = Rig::up(every(50));
    rig.configure(every(60));
    rig.take();
    rig.receive(remote(State::Up).with(Sequence::Poll));
    assert_eq!(rig.sent_one().sequence, Sequence::Final);
    rig.pass(60 * MS);
    assert_eq!(rig.sent()[0].sequence, Sequence::Poll);
}

#[test]
fn a_final_is_no_periodic_packet() {
    let mut rig = Rig::up(every(50));
    let next = rig.session.schedule.next;
    rig.pass(10 * MS);
    rig.receive(remote(State::Up).with(Sequence::Poll));
    assert_eq!(rig.session.schedule.next, next);
}

#[test]
fn a_remote_system_that_wants_no_packets_gets_none_periodically() {
    let mut rig = Rig::up(every(50));
    let silent = ControlPacket {
        required_min_rx: None,
        ..remote(State::Up)
    };
    rig.receive(silent);
    rig.pass(100 * MS);
    assert_eq!(rig.sent(), []);
    rig.receive(silent.with(Sequence::Poll));
    assert_eq!(rig.sent_one().sequence, Sequence::Final);
    assert_eq!(rig.session.status().transmit_interval, None);
    // RFC 5880 6.8.18: it is asked again once it is not heard any more.
    rig.pass(SECOND * 3);
    assert!(!rig.sent().is_empty());
}

#[test]
fn packets_have_the_values_of_section_6_8_7() {
    let mut rig = Rig::up(Parameters {
        required_min_rx: Interval::from_millis(70),
        echo_rx: Some(Interval::from_millis(30)),
        ..every(50)
    });
    rig.pass(50 * MS);
    let expected = ControlPacket {
        my_discriminator: Discriminator::new(77).unwrap(),
        your_discriminator: Discriminator::new(99),
        desired_min_tx: Interval::from_millis(50),
        required_min_rx: Some(Interval::from_millis(70)),
        required_min_echo_rx: Some(Interval::from_millis(30)),
        ..remote(State::Up)
    };
    assert_eq!(rig.sent_one(), expected);
}

#[test]
fn a_change_is_sent_before_the_next_packet_is_due() {
    let mut rig = Rig::new(every(50));
    rig.input(Input::DeadlineReached);
    rig.take();
    rig.pass(MS);
    rig.receive(remote(State::Down));
    assert_eq!(rig.sent_one().state, State::Init);
}
