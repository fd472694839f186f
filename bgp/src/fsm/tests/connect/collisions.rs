//! Connections that lose a collision: what they end, and that nobody is held for them.

use super::*;

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
