//! Peers that come back too often or only dribble.

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::harness::{Speaker, soon};
use crate::fsm::{Cease, Down, RemoteAsn, State, Stop};
use crate::session::{Event, PeerHandle, Refusal};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::{Capability, Open, keepalive};

/// Dials a speaker from a loopback address of its own, with nothing sent yet.
async fn dial(speaker: &Speaker, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, host], 0).into()).unwrap();
    let connected = socket.connect(speaker.address());
    soon("connected", connected).await.unwrap()
}

fn passive(speaker: &Speaker, host: u8) -> PeerHandle {
    let mut settings = speaker.settings(speaker);
    settings.remote = [127, 0, 0, host].into();
    settings.session.protocol.passive = true;
    settings.session.protocol.remote_asn = RemoteAsn::Any;
    speaker.peer(settings)
}

/// Ours to the end of an OPEN, and a KEEPALIVE.
async fn shake_hands(stream: &mut TcpStream) {
    let open = Open {
        asn: Asn(64999),
        hold_time: 3,
        identifier: BgpIdentifier(999),
        capabilities: vec![Capability::FourOctetAs(Asn(64999))],
    };
    stream.write_all(&open.encode()).await.unwrap();
    stream.write_all(&keepalive()).await.unwrap();
}

#[tokio::test]
async fn octets_that_never_become_a_message_do_not_restart_the_hold_timer() {
    let mut speaker = Speaker::new(101, 64);
    let handle = passive(&speaker, 102);
    let mut stream = dial(&speaker, 102).await;
    shake_hands(&mut stream).await;
    let up = speaker.up().await;
    assert_eq!(up.negotiated.hold_time, Some(Duration::from_secs(3)));
    // An UPDATE of 4,096 octets, one by one.
    let mut octets = vec![0xff; 16];
    octets.extend([16, 0, 2]);
    octets.resize(4096, 0);
    let begin = Instant::now();
    let dribble = async {
        for octet in octets {
            if stream.write_all(&[octet]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let reason = tokio::select! {
        reason = speaker.down() => reason,
        () = dribble => panic!("the session goes on"),
    };
    assert_eq!(reason, Down::HoldTimerExpired(Duration::from_secs(3)));
    assert!(
        begin.elapsed() < Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
    drop(handle);
}

#[tokio::test]
async fn keepalives_and_updates_restart_the_hold_timer_and_refreshes_do_not() {
    let mut speaker = Speaker::new(103, 64);
    let _handle = passive(&speaker, 104);
    let mut stream = dial(&speaker, 104).await;
    shake_hands(&mut stream).await;
    speaker.up().await;
    // An empty UPDATE: an End-of-RIB.
    let mut update = BytesMut::new();
    update.put_bytes(0xff, 16);
    update.put_slice(&[0, 23, 2, 0, 0, 0, 0]);
    for number in 0..6 {
        let message = if number % 2 == 0 {
            keepalive()
        } else {
            update.clone().freeze()
        };
        stream.write_all(&message).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(stream.write_all(&keepalive()).await.is_ok());
    let mut refresh = BytesMut::new();
    refresh.put_bytes(0xff, 16);
    refresh.put_slice(&[0, 23, 5, 0, 1, 0, 1]);
    let refresh = refresh.freeze();
    let refreshes = async {
        while stream.write_all(&refresh).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let down = async {
        loop {
            match speaker.event("Down").await {
                Event::Down { reason, .. } => break reason,
                Event::Updates { .. } | Event::RouteRefresh { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    };
    let (reason, ()) = tokio::join!(down, refreshes);
    assert_eq!(reason, Down::HoldTimerExpired(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_peer_that_is_held_idle_is_reset_before_an_open_and_let_in_after_the_hold() {
    let mut speaker = Speaker::new(105, 64);
    speaker.config.connect_retry = Duration::from_millis(400);
    speaker.config.idle_hold_max = Duration::from_millis(800);
    let handle = passive(&speaker, 106);
    let mut opens = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        let mut stream = dial(&speaker, 106).await;
        // What is no message, and a reset if it comes too late.
        drop(stream.write_all(&[0; 64]).await);
        let mut answer = Vec::new();
        match soon("the end", stream.read_to_end(&mut answer)).await {
            Ok(_) | Err(_) if !answer.is_empty() => {
                assert_eq!(answer[18], 1, "an OPEN is the first message");
                opens += 1;
            }
            _ => {
                let status = handle.status();
                if let Some(hold) = status.idle_hold {
                    assert!(
                        matches!(hold.reason, Down::NotificationSent(_)),
                        "{}",
                        hold.reason
                    );
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!((3..=6).contains(&opens), "{opens} OPENs in two seconds");
    let admissions = &speaker.admissions;
    let accepted = admissions.accepted();
    assert!((opens..=6).contains(&accepted), "{accepted} of {opens}");
    assert!(admissions.refused(Refusal::Held) > 0);
    assert_eq!(handle.status().state, State::Idle);
    let up = async {
        loop {
            let mut stream = dial(&speaker, 106).await;
            shake_hands(&mut stream).await;
            let mut octet = [0];
            if matches!(stream.read(&mut octet).await, Ok(1)) {
                break stream;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _stream = soon("an OPEN", up).await;
    soon("a session", speaker.events.recv()).await.unwrap();
    assert_eq!(handle.status().idle_hold, None);
    assert!(handle.is_running());
    handle.stop(Stop::Cease(Cease::Deconfigured));
    soon("stopped", handle.stopped()).await;
    assert!(!handle.is_running());
}

// ---- Tasks that fail ----
