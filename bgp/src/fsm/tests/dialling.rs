//! When a peer is dialled and when not, and what another configuration changes.

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
    assert_eq!(next.timer, Timer::Dial);
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
        next.timer == Timer::Dial && next.at <= now + Duration::from_secs(1),
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
    assert_eq!(peer.deadline().map(|next| next.timer), Some(Timer::Dial));
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

/// A session on a connection that the peer dialled.
fn established_by_the_peer(now: Instant) -> (Peer, ConnectionId) {
    let (mut peer, _) = started(now);
    let id = accept(&mut peer, now);
    let remote = open(&config(2, 2), false);
    give(&mut peer, now, Input::Received(id, Received::Open(&remote)));
    give(&mut peer, now, Input::Received(id, Received::Keepalive));
    assert_eq!(peer.state(), State::Established);
    (peer, id)
}

#[test]
fn rfc_4271_6_8_a_connection_beside_a_session_is_closed_at_its_open_and_the_session_is_probed() {
    let now = Instant::now();
    let (mut peer, session) = established_by_the_peer(now);
    let out = give(&mut peer, now, Input::Accepted);
    let [Output::Accept(second), Output::SendOpen(..)] = out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(peer.state(), State::Established, "TCP alone ends nothing");
    // A third: the peer has given up the second, and nothing else.
    let out = give(&mut peer, now, Input::Accepted);
    let [
        Output::Accept(third),
        Output::Close(closed, _),
        Output::Failed(..),
        Output::SendOpen(..),
    ] = out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!(closed, second);
    let remote = open(&config(2, 2), false);
    let out = give(
        &mut peer,
        now,
        Input::Received(third, Received::Open(&remote)),
    );
    let [
        Output::SendKeepalive(probed),
        Output::Close(closed, Some(last)),
        Output::Failed(..),
    ] = &out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!((*probed, *closed), (session, third));
    assert_eq!(last.code, Code::CONNECTION_COLLISION);
    assert_eq!(peer.state(), State::Established);
}

#[test]
fn rfc_4271_6_8_a_collision_without_a_session_probes_nothing() {
    // We are the larger: the peer's connection loses against ours, which is confirmed.
    let now = Instant::now();
    let mut peer = Peer::new(config(9, 9), None);
    let out = give(&mut peer, now, Input::Start);
    let [Output::Connect(ours)] = out[..] else {
        panic!("{out:?}");
    };
    give(&mut peer, now, Input::Connected(ours));
    let remote = open(&config(2, 2), false);
    give(
        &mut peer,
        now,
        Input::Received(ours, Received::Open(&remote)),
    );
    let theirs = accept(&mut peer, now);
    let out = give(
        &mut peer,
        now,
        Input::Received(theirs, Received::Open(&remote)),
    );
    assert!(
        matches!(out[..], [Output::Close(id, Some(_)), Output::Failed(..)] if id == theirs),
        "{out:?}"
    );
    assert_eq!(peer.state(), State::OpenConfirm);
}

/// Dials in, as the peer, and sends its OPEN; `None`: the connection was refused.
fn crowd(peer: &mut Peer, now: Instant) -> Option<Outputs> {
    let out = give(peer, now, Input::Accepted);
    let id = match out[..] {
        [Output::Accept(id), Output::SendOpen(..)] => id,
        [Output::Refuse(None)] => return None,
        ref other => panic!("{other:?}"),
    };
    let remote = open(&config(2, 2), false);
    Some(give(
        peer,
        now,
        Input::Received(id, Received::Open(&remote)),
    ))
}

/// A peer whose first connection came to OpenConfirm, which we have dialled.
fn confirmed(now: Instant) -> (Peer, ConnectionId) {
    let mut peer = Peer::new(config(9, 9), None);
    let out = give(&mut peer, now, Input::Start);
    let [Output::Connect(ours)] = out[..] else {
        panic!("{out:?}");
    };
    give(&mut peer, now, Input::Connected(ours));
    let remote = open(&config(2, 2), false);
    let opened = Input::Received(ours, Received::Open(&remote));
    give(&mut peer, now, opened);
    assert_eq!(peer.state(), State::OpenConfirm);
    (peer, ours)
}

/// They are no fault of the peer, which is connected by the other one.
#[test]
fn rfc_4271_6_8_connections_that_lose_against_one_that_goes_on_hold_nobody() {
    let mut now = Instant::now();
    let (mut peer, ours) = confirmed(now);
    for _ in 0..4 {
        let out = crowd(&mut peer, now).unwrap();
        assert!(matches!(out[0], Output::Close(_, Some(_))), "{out:?}");
        assert_eq!(peer.idle_hold(), None);
    }
    give(&mut peer, now, Input::Received(ours, Received::Keepalive));
    assert_eq!(peer.state(), State::Established);
    // Nor does it count that they go on while the session lasts: a second of it is a hundred connections.
    let (mut accepted, mut longest, mut last) = (0, Duration::ZERO, now);
    for _ in 0..6000 {
        now += Duration::from_millis(10);
        if let Some(at) = peer.deadline().filter(|deadline| deadline.at <= now) {
            give(&mut peer, at.at, Input::DeadlineReached);
        }
        give(&mut peer, now, Input::Received(ours, Received::Keepalive));
        if crowd(&mut peer, now).is_some() {
            accepted += 1;
            longest = longest.max(now - last);
            last = now;
        }
        assert_eq!(peer.idle_hold(), None);
        assert_eq!(peer.state(), State::Established);
    }
    assert!(accepted <= 4 + 3 + 60 / 3, "{accepted} OPENs in a minute");
    // One that has lost its session is heard within `connect_retry`.
    assert!(longest <= config(1, 1).connect_retry, "{longest:?}");
}

/// A session that ends soon after them leaves the peer where any other session would.
#[test]
fn lost_collisions_refuse_nobody_after_the_session() {
    let now = Instant::now();
    let (mut peer, ours) = confirmed(now);
    give(&mut peer, now, Input::Received(ours, Received::Keepalive));
    while crowd(&mut peer, now).is_some() {}
    give(&mut peer, now, Input::Closed(ours));
    assert_eq!(peer.idle_hold(), None);
    let back = crowd(&mut peer, now).expect("it may come back at once");
    assert!(matches!(back[..], [Output::SendKeepalive(_)]), "{back:?}");
}

/// Those that the peer says it lost, before ours got there, are forgotten with the session that shows it.
#[test]
fn collisions_before_a_session_are_forgotten_with_it() {
    let now = Instant::now();
    let mut peer = Peer::new(config(9, 9), None);
    let out = give(&mut peer, now, Input::Start);
    let [Output::Connect(ours)] = out[..] else {
        panic!("{out:?}");
    };
    let lost = Notification::new(Code::CONNECTION_COLLISION);
    for _ in 0..3 {
        let theirs = accept(&mut peer, now);
        let message = Input::Received(theirs, Received::Notification(&lost));
        give(&mut peer, now, message);
    }
    give(&mut peer, now, Input::Connected(ours));
    let remote = open(&config(2, 2), false);
    give(
        &mut peer,
        now,
        Input::Received(ours, Received::Open(&remote)),
    );
    give(&mut peer, now, Input::Received(ours, Received::Keepalive));
    assert_eq!(peer.state(), State::Established);
    give(&mut peer, now, Input::Closed(ours));
    for _ in 0..2 {
        let theirs = accept(&mut peer, now);
        let message = Input::Received(theirs, Received::Notification(&lost));
        give(&mut peer, now, message);
        assert_eq!(peer.idle_hold(), None);
    }
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
fn a_connection_that_lost_a_collision_is_no_error_of_the_peer() {
    let now = Instant::now();
    for (code, state, longest) in [
        (Code::CONNECTION_COLLISION, State::Active, 1),
        (Code::BAD_PEER_AS, State::Idle, 5),
    ] {
        let (mut peer, id) = started(now);
        give(&mut peer, now, Input::Connected(id));
        let message = Notification::new(code);
        let out = give(
            &mut peer,
            now,
            Input::Received(id, Received::Notification(&message)),
        );
        assert!(
            matches!(out[..], [Output::Close(_, None), Output::Failed(..)]),
            "{out:?}"
        );
        assert_eq!(peer.state(), state, "{code}");
        let wait = peer.next_attempt().unwrap() - now;
        let longest = Duration::from_secs(longest);
        assert!(wait <= longest && wait > longest / 2, "{code}: {wait:?}");
    }
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
