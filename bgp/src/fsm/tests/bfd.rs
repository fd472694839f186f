//! What BFD does to a peer: RFC 5882, RFC 9384, draft-ietf-idr-bgp-bfd-strict-mode.

use std::time::Duration;

use super::config;
use super::peer::Driven;
use crate::fsm::negotiate::open;
use crate::fsm::{
    BfdConfig, BfdState, Cease, Config, ConnectionId, Down, Input, Output, Outputs, Received,
    State, Stop, Timer,
};
use crate::wire::NotificationCode as Code;

const DOWN: BfdState = BfdState::Down { retain: false };

fn with_bfd(number: u32, strict: bool) -> Config {
    Config {
        bfd: Some(BfdConfig {
            strict,
            ..BfdConfig::default()
        }),
        ..config(number, number)
    }
}

/// Established without strict mode, with BFD up.
fn up() -> (Driven, ConnectionId) {
    let mut one = Driven::new(with_bfd(1, false));
    let id = one.established(&config(2, 2));
    assert_eq!(one.give(Input::Bfd(BfdState::Up)), []);
    (one, id)
}

/// Strict on both sides: OPENs are exchanged, with BFD in this state.
fn agreed(state: BfdState) -> (Driven, ConnectionId, Outputs) {
    let mut one = Driven::new(with_bfd(1, true));
    one.give(Input::Bfd(state));
    let id = one.dialled();
    let remote = open(&with_bfd(2, true), false);
    let out = one.give(Input::Received(id, Received::Open(&remote)));
    (one, id, out)
}

fn is_bfd_down(out: &[Output], id: ConnectionId, hard: bool) -> bool {
    let Some(Output::Close(closed, Some(last))) = out.first() else {
        return false;
    };
    let inner = last.hard_reset_reason().unwrap_or_else(|| last.clone());
    *closed == id && inner.code == Code::BFD_DOWN && last.is_hard_reset() == hard
}

#[test]
fn rfc_9384_a_path_that_fails_ends_the_session_once_and_holds_the_peer_until_it_is_back() {
    let (mut one, id) = up();
    let out = one.give(Input::Bfd(DOWN));
    assert!(is_bfd_down(&out, id, false), "{out:?}");
    let reason = Down::AdministrativeStop(Stop::Cease(Cease::BfdDown { retain: false }));
    assert_eq!(out[1..], [Output::Down(id, reason.clone())]);
    assert_eq!(one.peer.state(), State::Idle);
    assert_eq!(one.peer.idle_hold().unwrap().reason, reason);
    // A level: once more is nothing.
    assert_eq!(one.give(Input::Bfd(DOWN)), []);
    assert_eq!(one.give(Input::Accepted), [Output::Refuse(None)]);
    one.now += Duration::from_secs(5);
    assert_eq!(one.give(Input::DeadlineReached), [], "not dialled");
    let out = one.give(Input::Bfd(BfdState::Up));
    assert!(matches!(out[..], [Output::Connect(_)]), "{out:?}");
}

/// It may have us in a listen range, and begin with BFD only when we have connected.
#[test]
fn a_peer_that_may_only_be_restarting_is_not_held() {
    let (mut one, id) = up();
    let down = BfdState::Down { retain: true };
    let out = one.give(Input::Bfd(down));
    assert!(is_bfd_down(&out, id, false), "{out:?}");
    assert_eq!(one.peer.idle_hold(), None);
    assert_eq!(one.give(Input::Bfd(down)), []);
    one.now += Duration::from_secs(5);
    let out = one.give(Input::DeadlineReached);
    assert!(matches!(out[..], [Output::Connect(_)]), "{out:?}");
}

#[test]
fn a_path_that_stays_down_holds_the_peer_no_longer_than_any_error() {
    let (mut one, _) = up();
    one.give(Input::Bfd(DOWN));
    let (until, out) = one.fire();
    assert_eq!((until.timer, one.peer.idle_hold()), (Timer::IdleHold, None));
    assert!(matches!(out[..], [Output::Connect(_)]), "{out:?}");
    // Without strict mode it gets its session.
    let Output::Connect(id) = out[0] else {
        unreachable!()
    };
    one.give(Input::Connected(id));
    let remote = open(&config(2, 2), false);
    one.give(Input::Received(id, Received::Open(&remote)));
    one.give(Input::Received(id, Received::Keepalive));
    one.give(Input::Bfd(DOWN));
    assert_eq!(one.peer.state(), State::Established);
    assert_eq!(until.at, one.now);
}

#[test]
fn bfd_that_flaps_does_not_make_the_peer_be_dialled_more_often() {
    let (mut one, _) = up();
    for state in [DOWN, BfdState::Up, DOWN, BfdState::Up] {
        let out = one.give(Input::Bfd(state));
        assert!(
            !out.iter().any(|o| matches!(o, Output::Connect(_))),
            "{out:?}"
        );
    }
    let (deadline, out) = one.fire();
    assert_eq!(deadline.timer, Timer::ConnectRetry);
    assert!(one.seconds() > 0.5, "{}", one.seconds());
    assert!(matches!(out[..], [Output::Connect(_)]), "{out:?}");
}

#[test]
fn only_bfd_that_was_up_fails() {
    for before in [BfdState::Unknown, BfdState::AdminDown, DOWN] {
        let (mut one, _) = up();
        if before != DOWN {
            // RFC 5882 section 3.2: the peer may switch BFD off.
            assert_eq!(one.give(Input::Bfd(before)), []);
        } else {
            one = Driven::new(with_bfd(1, false));
            one.established(&config(2, 2));
            one.give(Input::Bfd(before));
        }
        assert_eq!(one.give(Input::Bfd(DOWN)), [], "{before:?}");
        assert_eq!(one.peer.state(), State::Established);
        assert_eq!(one.peer.idle_hold(), None);
    }
    // Nor is there a failure where BFD is not configured, or the peer is stopped.
    let mut one = Driven::new(config(1, 1));
    one.established(&config(2, 2));
    one.give(Input::Bfd(BfdState::Up));
    assert_eq!(one.give(Input::Bfd(DOWN)), []);
    let (mut one, _) = up();
    one.give(Input::Stop(Stop::Silent));
    assert_eq!(one.give(Input::Bfd(DOWN)), []);
    assert_eq!(one.peer.deadline(), None);
}

#[test]
fn a_failure_ends_what_is_being_dialled_too() {
    let mut one = Driven::new(with_bfd(1, false));
    one.give(Input::Start);
    one.give(Input::Bfd(BfdState::Up));
    let out = one.give(Input::Bfd(DOWN));
    assert!(matches!(out[..], [Output::AbortConnect(_)]), "{out:?}");
    assert_eq!(one.peer.state(), State::Idle);
}

#[test]
fn strict_mode_confirms_once_bfd_is_up_and_a_keepalive_may_come_before() {
    for early in [false, true] {
        for state in [BfdState::Unknown, DOWN] {
            let (mut one, id, out) = agreed(state);
            assert_eq!(out, [], "no KEEPALIVE");
            assert!(one.peer.awaits_bfd().is_some());
            assert_eq!(one.peer.state(), State::OpenConfirm);
            if early {
                assert_eq!(one.give(Input::Received(id, Received::Keepalive)), []);
                assert_eq!(one.peer.state(), State::OpenConfirm);
            }
            let out = one.give(Input::Bfd(BfdState::Up));
            assert_eq!(out[0], Output::SendKeepalive(id));
            assert!(one.peer.awaits_bfd().is_none());
            if !early {
                assert_eq!(out.len(), 1);
                one.give(Input::Received(id, Received::Keepalive));
            }
            assert_eq!(one.peer.state(), State::Established);
            assert!(one.peer.negotiated().unwrap().bfd_strict);
            assert_eq!(one.peer.deadline().unwrap().timer, Timer::Keepalive);
        }
    }
}

#[test]
fn strict_mode_waits_for_nothing_where_bfd_is_up_or_switched_off_or_the_peer_is_not_strict() {
    for state in [BfdState::Up, BfdState::AdminDown] {
        let (_, id, out) = agreed(state);
        assert_eq!(out, [Output::SendKeepalive(id)], "{state:?}");
    }
    for (ours, theirs) in [(true, false), (false, true)] {
        let mut one = Driven::new(with_bfd(1, ours));
        one.established(&with_bfd(2, theirs));
        assert!(!one.peer.negotiated().unwrap().bfd_strict);
    }
}

#[test]
fn strict_mode_gives_up_after_the_bfd_hold_time_or_the_hold_time() {
    let (mut one, id, _) = agreed(DOWN);
    let start = one.now;
    let (deadline, out) = one.fire();
    assert_eq!(deadline.timer, Timer::BfdHold);
    assert_eq!(deadline.at - start, Duration::from_secs(30));
    assert!(is_bfd_down(&out, id, false), "{out:?}");
    assert!(matches!(out[1], Output::Failed(..)));

    let mut config = with_bfd(1, true);
    config.bfd = config.bfd.map(|bfd| BfdConfig {
        hold_time: None,
        ..bfd
    });
    let mut one = Driven::new(config);
    one.opened(&with_bfd(2, true));
    let (deadline, _) = one.fire();
    assert_eq!(deadline.timer, Timer::Hold);
}

#[test]
fn another_configuration_of_bfd_ends_nothing_and_one_without_strict_mode_waits_no_more() {
    let (mut one, id, _) = agreed(DOWN);
    let out = one.give(Input::Reconfigure(Box::new(with_bfd(1, false))));
    assert_eq!(out, [Output::SendKeepalive(id)]);
    one.give(Input::Received(id, Received::Keepalive));
    for config in [with_bfd(1, true), config(1, 1)] {
        assert_eq!(one.give(Input::Reconfigure(Box::new(config))), []);
    }
    assert_eq!(one.peer.state(), State::Established);
}
