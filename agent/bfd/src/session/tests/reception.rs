//! RFC 5880 6.8.1, 6.8.4, 6.8.6, 6.8.15 to 6.8.17: what changes the state.

use super::*;
use crate::packet::Discard;

/// A rig in a state, with the remote system known.
fn rig_in(state: State) -> Rig {
    let mut rig = Rig::new(every(50));
    rig.input(Input::DeadlineReached);
    match state {
        State::Down => {}
        State::Init => rig.receive(remote(State::Down)),
        State::Up => return Rig::up(every(50)),
        State::AdminDown => rig.input(Input::Disable),
    }
    assert_eq!(rig.session.state(), state);
    rig.out.clear();
    rig
}

#[test]
fn each_state_answers_each_state_as_the_rfc_has_it() {
    use State::{AdminDown, Down, Init, Up};
    let rows = [
        (Down, AdminDown, Down),
        (Down, Down, Init),
        (Down, Init, Up),
        (Down, Up, Down),
        (Init, AdminDown, Down),
        (Init, Down, Init),
        (Init, Init, Up),
        (Init, Up, Up),
        (Up, AdminDown, Down),
        (Up, Down, Down),
        (Up, Init, Up),
        (Up, Up, Up),
        (AdminDown, AdminDown, AdminDown),
        (AdminDown, Down, AdminDown),
        (AdminDown, Init, AdminDown),
        (AdminDown, Up, AdminDown),
    ];
    for (before, received, after) in rows {
        let mut rig = rig_in(before);
        rig.receive(remote(received));
        assert_eq!(rig.session.state(), after, "{before} receives {received}");
        let events = rig.events();
        match (before, after) {
            (Up, Down) => {
                assert!(matches!(events[..], [Output::Down(_)]), "{events:?}");
                let expected = Diagnostic::NEIGHBOR_SIGNALED_DOWN;
                assert_eq!(rig.session.status().diagnostic, expected);
            }
            (AdminDown, _) => {
                assert_eq!(events, [Output::Discarded(Discard::AdminDown)]);
            }
            (_, Up) if before != Up => assert_eq!(events, [Output::Up]),
            _ => assert_eq!(events, []),
        }
    }
}

#[test]
fn a_new_session_is_down_and_knows_nothing() {
    let session = Rig::new(every(50)).session;
    assert_eq!(session.state(), State::Down);
    assert_eq!(session.diagnostic, Diagnostic::NONE);
    assert_eq!(session.remote, Remote::UNKNOWN);
    assert_eq!(session.remote.state, State::Down);
    assert_eq!(session.remote.required_min_rx, Some(Interval::LEAST));
    assert_eq!(session.received_number, None);
    assert!(session.timing.desired_min_tx >= Interval::SLOW);
}

#[test]
fn why_the_neighbor_went_down_is_reported() {
    let mut rig = Rig::up(every(50));
    let packet = ControlPacket {
        diagnostic: Diagnostic::DETECTION_TIME_EXPIRED,
        ..remote(State::Down)
    };
    rig.receive(packet);
    let reason = DownReason::NeighborSignaledDown(Diagnostic::DETECTION_TIME_EXPIRED);
    assert_eq!(rig.events(), [Output::Down(reason)]);

    let mut rig = Rig::up(every(50));
    rig.receive(remote(State::AdminDown));
    assert_eq!(rig.events(), [Output::Down(DownReason::NeighborAdminDown)]);
    assert!(DownReason::NeighborAdminDown.is_administrative());
    assert_eq!(rig.session.status().remote_state, State::AdminDown);
}

#[test]
fn silence_takes_init_and_up_down_after_the_detection_time_and_forgets_the_remote_system() {
    for (state, event) in [
        (State::Init, None),
        (
            State::Up,
            Some(Output::Down(DownReason::DetectionTimeExpired)),
        ),
    ] {
        let mut rig = rig_in(state);
        // 3 x the larger of our 50 ms and their 20 ms.
        rig.pass(149 * MS);
        assert_eq!(rig.session.state(), state);
        rig.out.clear();
        rig.pass(MS);
        assert_eq!(rig.session.state(), State::Down);
        let diagnostic = rig.session.status().diagnostic;
        assert_eq!(diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
        assert_eq!(rig.session.remote, Remote::UNKNOWN);
        assert_eq!(rig.events(), event.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_session_that_is_down_forgets_the_remote_system_after_the_detection_time_too() {
    let mut rig = rig_in(State::Down);
    rig.receive(remote(State::Up));
    assert!(rig.session.remote.discriminator.is_some());
    rig.pass(149 * MS);
    assert!(rig.session.remote.discriminator.is_some());
    rig.pass(MS);
    assert_eq!(rig.session.remote, Remote::UNKNOWN);
    assert_eq!(rig.session.status().diagnostic, Diagnostic::NONE);
}

#[test]
fn discarded_packets_do_not_keep_a_session_alive() {
    let mut rig = Rig::up(every(50));
    let forged = ControlPacket {
        is_control_plane_independent: true,
        ..remote(State::Up)
    };
    let mut octets = Datagram::plain(&forged).octets().to_vec();
    octets[1] |= 0x04;
    octets[3] = 26;
    octets.extend([1, 2]);
    for _ in 0..15 {
        rig.pass(10 * MS);
        let decoded = decode(&octets).unwrap();
        rig.input(Input::Received(&decoded));
    }
    assert_eq!(rig.session.state(), State::Down);
    assert!(!rig.session.remote.is_control_plane_independent);
}

#[test]
fn a_new_discriminator_of_the_remote_system_changes_no_state() {
    let mut rig = Rig::up(every(50));
    let packet = ControlPacket {
        my_discriminator: Discriminator::new(5).unwrap(),
        ..remote(State::Up)
    };
    rig.receive(packet);
    assert_eq!(rig.session.state(), State::Up);
    assert_eq!(rig.sent_one().your_discriminator, Discriminator::new(5));
}

#[test]
fn an_operator_takes_the_session_down_and_lets_it_up() {
    let mut rig = Rig::up(every(50));
    rig.input(Input::Disable);
    let out = rig.take();
    assert!(out.contains(&Output::Down(DownReason::AdminDown)));
    let sent = packets(&out);
    assert_eq!(sent.len(), 1, "the remote system hears of it at once");
    assert_eq!(
        (sent[0].state, sent[0].diagnostic),
        (State::AdminDown, Diagnostic::ADMIN_DOWN)
    );
    // RFC 5880 6.8.16: for a detection time at least.
    rig.pass(SECOND * 5);
    assert!(
        rig.sent()
            .iter()
            .all(|packet| packet.state == State::AdminDown)
    );
    rig.input(Input::Disable);
    rig.input(Input::LocalFailure(LocalFailure::Path));
    assert_eq!(
        (rig.session.state(), rig.events()),
        (State::AdminDown, vec![])
    );
    rig.input(Input::Enable);
    assert_eq!(rig.session.state(), State::Down);
    assert_eq!(rig.sent_one().state, State::Down);
}

#[test]
fn a_failure_that_this_end_knows_of_takes_the_session_down() {
    for (failure, diagnostic) in [
        (LocalFailure::Path, Diagnostic::PATH_DOWN),
        (
            LocalFailure::ForwardingPlaneReset,
            Diagnostic::FORWARDING_PLANE_RESET,
        ),
        (
            LocalFailure::ConcatenatedPath,
            Diagnostic::CONCATENATED_PATH_DOWN,
        ),
        (
            LocalFailure::ReverseConcatenatedPath,
            Diagnostic::REVERSE_CONCATENATED_PATH_DOWN,
        ),
    ] {
        let mut rig = Rig::up(every(50));
        rig.input(Input::LocalFailure(failure));
        let out = rig.take();
        assert!(out.contains(&Output::Down(DownReason::Local(failure))));
        let sent = packets(&out);
        assert_eq!(
            (sent[0].state, sent[0].diagnostic),
            (State::Down, diagnostic)
        );
    }
}

#[test]
fn the_state_of_the_control_plane_is_taken_from_the_c_bit() {
    let mut rig = Rig::up(every(50));
    rig.receive(ControlPacket {
        is_control_plane_independent: true,
        ..remote(State::Up)
    });
    assert!(rig.session.status().is_remote_control_plane_independent);
    assert_eq!(rig.take(), [Output::Changed]);
}
