//! When a peer is dialled and when not, and what another configuration changes.

mod collisions;

use std::time::{Duration, Instant};

use super::config;
use crate::fsm::negotiate::open;
use crate::fsm::{
    Cease, Config, ConnectionId, Down, Input, Output, Outputs, Peer, Received, State, Stop, Timer,
};
use crate::types::Family;
use crate::wire::{Notification, NotificationCode as Code};

fn give(peer: &mut Peer, now: Instant, input: Input<'_>) -> Outputs {
    let mut out = Outputs::new();
    peer.handle(now, input, &mut out);
    out
}

/// A peer that was started, and the attempt that this made.
fn started(now: Instant) -> (Peer, ConnectionId) {
    let mut peer = Peer::new(config(1, 1), None);
    match give(&mut peer, now, Input::Start)[..] {
        [Output::Connect(id)] => (peer, id),
        ref other => panic!("{other:?}"),
    }
}

fn accept(peer: &mut Peer, now: Instant) -> ConnectionId {
    match give(peer, now, Input::Accepted)[0] {
        Output::Accept(id) => id,
        ref other => panic!("{other:?}"),
    }
}

/// The same configuration with another name, which needs no new session.
fn renamed() -> Config {
    Config {
        host: Some(("node".to_owned(), String::new())),
        ..config(1, 1)
    }
}

fn reconfigure(peer: &mut Peer, now: Instant, config: Config) -> Outputs {
    give(peer, now, Input::Reconfigure(Box::new(config)))
}

#[test]
fn an_accepted_connection_without_the_peers_open_does_not_keep_from_dialling() {
    let now = Instant::now();
    let (mut peer, dialled) = started(now);
    let accepted = accept(&mut peer, now);
    give(&mut peer, now, Input::ConnectFailed(dialled));
    let next = peer.deadline().unwrap();
    assert_eq!(next.timer, Timer::ConnectRetry);
    let out = give(&mut peer, next.at, Input::DeadlineReached);
    assert!(matches!(out[..], [Output::Connect(_)]), "{out:?}");
    // With its OPEN it does: what is being dialled is given up, and nothing is dialled again.
    let remote = open(&config(2, 2), false);
    let out = give(
        &mut peer,
        next.at,
        Input::Received(accepted, Received::Open(&remote)),
    );
    assert!(
        matches!(out[..], [Output::AbortConnect(_), Output::SendKeepalive(_)]),
        "{out:?}"
    );
    assert_eq!(reconfigure(&mut peer, next.at, renamed()), []);
    give(
        &mut peer,
        next.at,
        Input::Received(accepted, Received::Keepalive),
    );
    assert_eq!(peer.state(), State::Established);
    assert_eq!(reconfigure(&mut peer, next.at, config(1, 1)), []);
}

#[test]
fn a_dialled_connection_without_the_peers_open_keeps_from_dialling_again() {
    let now = Instant::now();
    let (mut peer, dialled) = started(now);
    give(&mut peer, now, Input::Connected(dialled));
    assert_eq!(reconfigure(&mut peer, now, renamed()), []);
    let accepted = accept(&mut peer, now);
    give(&mut peer, now, Input::Closed(accepted));
    let next = peer.deadline().unwrap();
    assert_eq!((next.timer, next.connection), (Timer::Hold, Some(dialled)));
}

#[test]
fn passive_mode_stops_dialling_and_its_end_begins_it() {
    let now = Instant::now();
    let passive = || Config {
        passive: true,
        ..config(1, 1)
    };
    let (mut peer, dialled) = started(now);
    assert_eq!(
        reconfigure(&mut peer, now, passive()),
        [Output::AbortConnect(dialled)]
    );
    assert!(peer.config().passive);
    assert_eq!((peer.state(), peer.deadline()), (State::Active, None));
    let out = reconfigure(&mut peer, now, config(1, 1));
    let [Output::Connect(again)] = out[..] else {
        panic!("{out:?}");
    };
    // While it waits for the next attempt, there is nothing to abort.
    give(&mut peer, now, Input::ConnectFailed(again));
    assert_eq!(reconfigure(&mut peer, now, passive()), []);
    assert_eq!(peer.deadline(), None);
    // A stopped one stays stopped, whatever it is configured to be.
    give(&mut peer, now, Input::Stop(Stop::Silent));
    assert_eq!(reconfigure(&mut peer, now, config(1, 1)), []);
    assert_eq!((peer.state(), peer.deadline()), (State::Idle, None));
}

#[test]
fn rfc_4486_another_offer_ends_the_session_and_the_next_one_is_made_from_it() {
    let now = Instant::now();
    let (mut peer, id) = started(now);
    give(&mut peer, now, Input::Connected(id));
    let remote = open(&config(2, 2), false);
    give(&mut peer, now, Input::Received(id, Received::Open(&remote)));
    give(&mut peer, now, Input::Received(id, Received::Keepalive));
    let only_ipv6 = Config {
        families: vec![Family::IPV6_UNICAST],
        ..config(1, 1)
    };
    let out = reconfigure(&mut peer, now, only_ipv6.clone());
    let [Output::Close(_, Some(last)), Output::Down(_, reason)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(last.code, Code::OTHER_CONFIGURATION_CHANGE);
    let change = Down::AdministrativeStop(Stop::Cease(Cease::ConfigurationChange));
    assert_eq!(*reason, change);
    let next = peer.deadline().unwrap();
    assert!(
        next.timer == Timer::ConnectRetry && next.at <= now + Duration::from_secs(1),
        "{next:?}"
    );
    let out = give(&mut peer, next.at, Input::DeadlineReached);
    let [Output::Connect(id)] = out[..] else {
        panic!("{out:?}");
    };
    let out = give(&mut peer, next.at, Input::Connected(id));
    assert_eq!(out, [Output::SendOpen(id, open(&only_ipv6, false))]);
}

#[test]
fn a_reset_of_a_peer_that_is_being_dialled_begins_anew() {
    let now = Instant::now();
    let (mut peer, id) = started(now);
    let out = give(&mut peer, now, Input::Reset(Cease::Reset(String::new())));
    assert_eq!(out, [Output::AbortConnect(id)]);
    assert_eq!(
        peer.deadline().map(|next| next.timer),
        Some(Timer::ConnectRetry)
    );
    // What was aborted is not listened to any more.
    assert_eq!(give(&mut peer, now, Input::Connected(id)), []);
    assert_eq!(give(&mut peer, now, Input::ConnectFailed(id)), []);
    // A stopped one is reset to what it is.
    give(&mut peer, now, Input::Stop(Stop::Silent));
    assert_eq!(
        give(&mut peer, now, Input::Reset(Cease::Reset(String::new()))),
        []
    );
    assert_eq!((peer.state(), peer.deadline()), (State::Idle, None));
}

#[test]
fn rfc_4724_3_the_r_bit_ends_at_its_time() {
    let now = Instant::now();
    let until = now + Duration::from_secs(120);
    let restarting = |at: Instant| {
        let mut peer = Peer::new(super::graceful(true), Some(until));
        give(&mut peer, at, Input::Start);
        let out = give(&mut peer, at, Input::Accepted);
        let expected = |restarting| open(&super::graceful(true), restarting);
        match &out[1] {
            Output::SendOpen(_, said) if *said == expected(true) => true,
            Output::SendOpen(_, said) if *said == expected(false) => false,
            other => panic!("{other:?}"),
        }
    };
    assert!(restarting(until - Duration::from_nanos(1)));
    assert!(!restarting(until));
}

#[test]
fn a_changed_configuration_dials_a_waiting_peer_at_once_and_the_same_one_does_not() {
    let now = Instant::now();
    let (mut peer, dialled) = started(now);
    give(&mut peer, now, Input::ConnectFailed(dialled));
    let next = peer.next_attempt();
    assert!(next.is_some());
    assert_eq!(reconfigure(&mut peer, now, config(1, 1)), []);
    assert_eq!(peer.next_attempt(), next, "nothing has changed");
    let out = reconfigure(&mut peer, now, renamed());
    assert!(matches!(out[..], [Output::Connect(_)]), "{out:?}");
}

#[test]
fn a_passive_peer_whose_connection_ends_waits_for_nothing() {
    let now = Instant::now();
    let mut peer = Peer::new(
        Config {
            passive: true,
            ..config(1, 1)
        },
        None,
    );
    give(&mut peer, now, Input::Start);
    let accepted = accept(&mut peer, now);
    give(&mut peer, now, Input::Closed(accepted));
    assert_eq!(peer.next_attempt(), None);
    assert_eq!((peer.state(), peer.deadline()), (State::Active, None));
}

#[test]
fn the_end_of_a_passive_peers_session_is_counted_once() {
    let now = Instant::now();
    let mut peer = Peer::new(
        Config {
            passive: true,
            ..config(1, 1)
        },
        None,
    );
    give(&mut peer, now, Input::Start);
    let id = accept(&mut peer, now);
    let remote = open(&config(2, 2), false);
    give(&mut peer, now, Input::Received(id, Received::Open(&remote)));
    give(&mut peer, now, Input::Received(id, Received::Keepalive));
    assert_eq!(peer.state(), State::Established);
    let exceeded = Cease::MaximumPrefixes {
        family: Family::IPV4_UNICAST,
        limit: 1,
    };
    give(&mut peer, now, Input::Reset(exceeded));
    let until = peer.idle_hold().and_then(|hold| hold.until).unwrap();
    assert!(
        until - now <= config(1, 1).connect_retry,
        "{:?}",
        until - now
    );
}
