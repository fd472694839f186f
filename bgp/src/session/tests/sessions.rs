//! How sessions begin and end.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::harness::{Speaker, listen, pair, soon};
use super::keys::range;
use crate::fsm::{
    BfdConfig, BfdState, Cease, Down, DownClass, GracefulRestartConfig, RemoteAsn, State, Stop,
};
use crate::session::{Admit, Candidate, Event, Listener, PeerKey, Ttl, spawn};
use crate::types::{Asn, Family};
use crate::wire::{MessageKind, NotificationCode};

#[tokio::test]
async fn one_dials_and_one_accepts() {
    let (a, a_handle, a_up, b, b_handle, b_up) = pair(64).await;
    assert_eq!(a_up.negotiated.peer_asn, Asn(64522));
    assert_eq!(b_up.negotiated.peer_asn, Asn(64521));
    assert_eq!(a_up.remote, b.address());
    assert_eq!((a_up.local, a_up.remote), (b_up.remote, b_up.local));
    assert_eq!(a_up.local.ip(), a.address().ip());
    let status = a_handle.status();
    assert_eq!(status.state, State::Established);
    let session = status.session.unwrap();
    assert_eq!(session.session, a_up.session);
    assert!(session.dialled);
    assert!(!b_handle.status().session.unwrap().dialled);
    let counters = a_handle.counters();
    assert_eq!(counters.sent(MessageKind::Open), 1);
    assert_eq!(counters.received(MessageKind::Open), 1);
}

#[tokio::test]
async fn both_dial_and_one_session_is_left() {
    for _ in 0..10 {
        let (mut a, mut b) = (Speaker::new(31, 64), Speaker::new(32, 64));
        let a_handle = a.peer(a.settings(&b));
        let b_handle = b.peer(b.settings(&a));
        let (a_up, b_up) = (a.up().await, b.up().await);
        assert_eq!((a_up.local, a_up.remote), (b_up.remote, b_up.local));
        assert_eq!(a_handle.status().sessions, 1);
        assert_eq!(b_handle.status().sessions, 1);
        assert!(
            a.events.try_recv().is_err(),
            "no Down of a session that lost"
        );
    }
}

#[tokio::test]
async fn a_stopped_peer_tells_why_and_the_other_says_it_in_words() {
    let (mut a, a_handle, _, mut b, b_handle, b_up) = pair(64).await;
    a_handle.stop(Stop::Cease(Cease::Shutdown("maintenance".to_owned())));
    let reason = b.down().await;
    assert_eq!(
        reason.to_string(),
        r#"peer sent Cease/Administrative Shutdown: "maintenance""#
    );
    assert!(!reason.retains_routes(&b_up.negotiated));
    assert!(matches!(a.down().await, Down::AdministrativeStop(_)));
    soon("stopped", a_handle.stopped()).await;
    let (_, received) = b_handle.status().last_received.unwrap();
    assert_eq!(received.code, NotificationCode::ADMINISTRATIVE_SHUTDOWN);
    let (_, sent) = a_handle.status().last_sent.unwrap();
    assert_eq!(sent, received);
}

#[tokio::test]
async fn a_silent_stop_lets_the_peer_retain_routes() {
    let (mut a, mut b) = (Speaker::new(23, 64), Speaker::new(24, 64));
    for speaker in [&mut a, &mut b] {
        speaker.config.graceful_restart = Some(GracefulRestartConfig {
            restart_time: Duration::from_secs(120),
            notification: true,
            families: vec![(Family::IPV4_UNICAST, true)],
        });
    }
    let b_handle = b.passive(&a);
    let a_handle = a.peer(a.settings(&b));
    let b_up = b.up().await;
    a_handle.stop(Stop::Silent);
    let reason = b.down().await;
    assert_eq!(reason, Down::TransportFailed);
    assert!(reason.retains_routes(&b_up.negotiated));
    assert_eq!(b_handle.status().last_received, None);
}

#[tokio::test]
async fn a_reset_peer_comes_back() {
    let (mut a, a_handle, first, mut b, _b_handle, _) = pair(64).await;
    a_handle.reset(Cease::Reset(String::new()));
    a.down().await;
    b.down().await;
    let second = a.up().await;
    assert!(second.session > first.session);
    b.up().await;
}

#[tokio::test]
async fn new_timers_leave_the_session_alone_and_a_new_as_does_not() {
    let (mut a, a_handle, _, mut b, _b_handle, _) = pair(64).await;
    let mut settings = a.settings(&b);
    settings.session.protocol.hold_time = Some(Duration::from_secs(30));
    a_handle.reconfigure(settings.clone()).unwrap();
    settings.session.protocol.local_asn = Asn(65001);
    a_handle.reconfigure(settings.clone()).unwrap();
    let change = Down::AdministrativeStop(Stop::Cease(Cease::ConfigurationChange));
    assert_eq!(a.down().await, change);
    b.down().await;
    let (a_up, b_up) = (a.up().await, b.up().await);
    assert_eq!(b_up.negotiated.peer_asn, Asn(65001));
    assert_eq!(a_up.negotiated.hold_time, Some(Duration::from_secs(30)));

    settings.session.protocol.hold_time = Some(Duration::from_secs(60));
    a_handle.reconfigure(settings).unwrap();
    // The command was looked at once a later one shows its effect.
    a_handle.reset(Cease::Reset("now".to_owned()));
    let reset = Down::AdministrativeStop(Stop::Cease(Cease::Reset("now".to_owned())));
    assert_eq!(a.down().await, reset);
}

#[tokio::test]
async fn a_new_ttl_resets_the_session_which_comes_back_with_it() {
    let (mut a, a_handle, _, mut b, _b_handle, _) = pair(64).await;
    let mut settings = a.settings(&b);
    settings.session.transport.ttl = Ttl::Hops(64);
    a_handle.reconfigure(settings).unwrap();
    let change = Down::AdministrativeStop(Stop::Cease(Cease::ConfigurationChange));
    assert_eq!(a.down().await, change);
    b.down().await;
    a.up().await;
    b.up().await;
}

#[tokio::test]
async fn a_wrong_as_is_refused_with_bad_peer_as() {
    let (mut a, b) = (Speaker::new(25, 64), Speaker::new(26, 64));
    a.config.remote_asn = RemoteAsn::Number(Asn(1));
    let b_handle = b.passive(&a);
    let _a_handle = a.peer(a.settings(&b));
    let mut watch = b_handle.watch();
    let status = soon(
        "NOTIFICATION",
        watch.wait_for(|status| status.last_received.is_some()),
    );
    let (_, message) = status.await.unwrap().last_received.clone().unwrap();
    assert_eq!(message.code, NotificationCode::BAD_PEER_AS);
}

#[tokio::test]
async fn a_connection_from_a_range_is_offered_to_the_owner() {
    let mut a = Speaker::new(27, 64);
    let mut b = Speaker::new(28, 64);
    let (candidates_in, mut candidates) = mpsc::channel(4);
    b.listener = listen("127.0.0.28:0", candidates_in);
    b.listener
        .set_ranges(vec![range("127.0.0.0/27", Admit::Anybody)]);
    b.listener.start_accepting();
    let _a_handle = a.peer(a.settings(&b));
    // The first is refused by dropping it, the next is taken.
    drop(soon("candidate", candidates.recv()).await.unwrap());
    let candidate = soon("candidate", candidates.recv()).await.unwrap();
    assert_eq!(candidate.remote.ip(), a.address().ip());
    let mut settings = b.settings(&a);
    settings.session.protocol.passive = true;
    let handle = spawn(PeerKey(1), settings, &b.listener, b.sender.clone(), None).unwrap();
    // That connection becomes the session, and no later one.
    let offered = candidate.remote;
    handle.accept(candidate);
    assert_eq!(b.up().await.remote, offered);
    a.up().await;
}

#[tokio::test]
async fn a_peer_without_an_owner_can_still_be_stopped() {
    let (a, a_handle, _, mut b, _b_handle, _) = pair(64).await;
    drop(a);
    a_handle.stop(Stop::Cease(Cease::Deconfigured));
    assert!(matches!(b.down().await, Down::NotificationReceived(_)));
    soon("stopped", a_handle.stopped()).await;
}

#[tokio::test]
async fn events_stay_in_order_while_the_owner_reads_none_of_them() {
    let (_a, a_handle, _, mut b, b_handle, first) = pair(1).await;
    let mut watch = b_handle.watch();
    a_handle.reset(Cease::Reset(String::new()));
    let second = watch.wait_for(|status| status.sessions == 2);
    soon("second session", second).await.unwrap();
    // The channel is full with the first one's end, so that the owner never hears of the second.
    b_handle.reset(Cease::Reset(String::new()));
    let third = watch.wait_for(|status| status.sessions == 3 && status.session.is_some());
    let third = soon("third session", third)
        .await
        .unwrap()
        .session
        .clone()
        .unwrap();
    match b.event("the first one's end").await {
        Event::Down { session, .. } => assert_eq!(session, first.session),
        other => panic!("unexpected {other:?}"),
    }
    assert_eq!(b.up().await.session, third.session);
}

#[tokio::test]
async fn ends_are_counted_by_their_kind_on_both_sides() {
    let (mut a, a_handle, _, mut b, b_handle, _) = pair(64).await;
    a_handle.reset(Cease::Reset(String::new()));
    a.down().await;
    b.down().await;
    a.up().await;
    b.up().await;
    a_handle.reset(Cease::BfdDown { retain: false });
    a.down().await;
    b.down().await;
    a.up().await;
    b.up().await;
    b_handle.stop(Stop::Silent);
    a.down().await;
    let expected = [
        (DownClass::TransportFailed, 1),
        (DownClass::BfdDown, 1),
        (DownClass::Administrative, 1),
    ];
    assert_eq!(a_handle.status().downs, expected.into());
    let downs = b_handle.status().downs;
    assert_eq!(downs.get(&DownClass::NotificationReceived), Some(&2));
}

#[tokio::test]
async fn bfd_that_fails_holds_a_peer_until_it_is_back_and_strict_mode_waits_for_it() {
    let (mut a, mut b) = (Speaker::new(137, 64), Speaker::new(138, 64));
    for config in [&mut a.config, &mut b.config] {
        config.bfd = Some(BfdConfig {
            strict: true,
            hold_time: None,
        });
    }
    let (a_handle, b_handle) = (a.peer(a.settings(&b)), b.peer(b.settings(&a)));
    let mut watch = a_handle.watch();
    let waits = watch.wait_for(|status| status.awaits_bfd.is_some());
    assert_eq!(
        soon("waits", waits).await.unwrap().state,
        State::OpenConfirm
    );
    a_handle.bfd(BfdState::Up);
    b_handle.bfd(BfdState::Up);
    let up = watch.wait_for(|status| status.session.is_some());
    let up = soon("up", up).await.unwrap().clone();
    assert!(up.session.unwrap().negotiated.bfd_strict && up.awaits_bfd.is_none());
    a_handle.bfd(BfdState::Down { retain: false });
    let held = watch.wait_for(|status| status.state == State::Idle);
    let hold = soon("held", held).await.unwrap().idle_hold.clone();
    assert_eq!(hold.unwrap().reason.to_string(), "BFD is down");
    a_handle.bfd(BfdState::Up);
    let up = watch.wait_for(|status| status.sessions == 2);
    soon("up again", up).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_waits_says_when_it_dials_next() {
    let (a, b) = (Speaker::new(33, 64), Speaker::new(34, 64));
    // Nobody is expected there: the dialler is refused.
    let handle = a.peer(a.settings(&b));
    let mut watch = handle.watch();
    let refused = watch.wait_for(|status| status.last_down.is_some());
    let at = soon("refused", refused).await.unwrap().next_attempt;
    assert!(at.is_some_and(|at| at > std::time::Instant::now() - Duration::from_secs(1)));
}

/// Whether a connection from 127.0.0.`host` is taken for a candidate (else it is refused with a NOTIFICATION).
async fn is_candidate(
    host: u8,
    listener: &Listener,
    candidates: &mut mpsc::Receiver<Candidate>,
) -> bool {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    let address = listener.local_addresses()[0];
    let mut stream = soon("connected", socket.connect(address)).await.unwrap();
    let mut octet = [0];
    tokio::select! {
        candidate = candidates.recv() => {
            let candidate = candidate.unwrap();
            assert_eq!(candidate.remote.ip(), std::net::Ipv4Addr::new(127, 0, 0, host));
            true
        }
        _ = stream.read(&mut octet) => false,
    }
}

#[tokio::test]
async fn ranges_change_under_a_listener_and_its_sessions_stay() {
    let range = |text, password: Option<&str>| {
        let signed = |text: &str| Admit::Signed(text.parse().unwrap());
        range(text, password.map_or(Admit::Anybody, signed))
    };
    let (mut a, mut b) = (Speaker::new(35, 64), Speaker::new(36, 64));
    let (candidates_in, mut candidates) = mpsc::channel(4);
    a.listener = listen("127.0.0.35:0", candidates_in);
    a.listener.set_ranges(vec![range("127.0.0.100/31", None)]);
    a.listener.start_accepting();
    let a_handle = a.passive(&b);
    let _b_handle = b.peer(b.settings(&a));
    a.up().await;
    b.up().await;
    let listener = a.listener.clone();
    assert!(is_candidate(100, &listener, &mut candidates).await);
    assert!(!is_candidate(102, &listener, &mut candidates).await);

    listener.set_ranges(vec![range("127.0.0.102/31", None)]);
    assert!(!is_candidate(100, &listener, &mut candidates).await);
    assert!(is_candidate(102, &listener, &mut candidates).await);

    // With a password, what is not signed does not even connect; without it again, it does.
    listener.set_ranges(vec![
        range("127.0.0.100/31", None),
        range("127.0.0.102/31", Some("secret")),
    ]);
    assert!(is_candidate(101, &listener, &mut candidates).await);
    let unsigned = is_candidate(103, &listener, &mut candidates);
    let attempt = tokio::time::timeout(Duration::from_millis(300), unsigned).await;
    assert!(attempt.is_err(), "connected without the password");
    listener.set_ranges(vec![range("127.0.0.102/31", None)]);
    assert!(is_candidate(103, &listener, &mut candidates).await);
    assert_eq!(a_handle.status().sessions, 1);
    assert_eq!(a_handle.status().state, State::Established);
}
