//! UPDATEs, back-pressure and slow peers.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::harness::{Speaker, pair, soon};
use crate::fsm::{Cease, Down, Stop};
use crate::session::{Event, Full};
use crate::wire::{MessageKind, Notification, NotificationCode, RouteRefreshSubtype};

/// An UPDATE that withdraws one /32, whose address is the number: enough to see order and loss.
fn numbered(number: u32) -> Bytes {
    let mut out = BytesMut::new();
    out.put_bytes(0xff, 16);
    out.put_u16(28);
    out.put_u8(2);
    out.put_u16(5);
    out.put_u8(32);
    out.put_u32(number);
    out.put_u16(0);
    out.freeze()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_does_not_read_loses_nothing_and_keeps_the_session() {
    const MESSAGES: u32 = 600_000;
    let (mut a, a_handle, a_up, mut b, b_handle, _) = pair(2).await;
    // Fills the channel, both socket buffers and the outbox.
    let mut sent = 0;
    while sent < MESSAGES {
        let batch: Vec<_> = (sent..sent + 1000).map(numbered).collect();
        if a_up.outbox.try_send(&batch) == Err(Full) {
            break;
        }
        sent += 1000;
        tokio::task::yield_now().await;
    }
    assert!(sent < MESSAGES, "never full");
    let mut expected = 0;
    while expected < MESSAGES {
        tokio::select! {
            withdrawn = b.withdrawn() => for prefix in withdrawn {
                assert_eq!(prefix.addr().to_bits(), expected);
                expected += 1;
            },
            event = a.event("Writable") => {
                assert!(matches!(event, Event::Writable { .. }), "{event:?}");
                while sent < MESSAGES {
                    let batch: Vec<_> = (sent..sent + 1000).map(numbered).collect();
                    if a_up.outbox.try_send(&batch).is_err() {
                        break;
                    }
                    sent += 1000;
                }
            }
        }
    }
    assert_eq!(
        b_handle.counters().received(MessageKind::Update),
        u64::from(MESSAGES)
    );
    assert_eq!(
        a_handle.counters().sent(MessageKind::Update),
        u64::from(MESSAGES)
    );
    assert_eq!(
        (a_handle.status().sessions, b_handle.status().sessions),
        (1, 1)
    );
}

#[tokio::test]
async fn a_busy_owner_costs_no_session_though_hold_times_pass() {
    let (a, b) = (Speaker::new(41, 64), Speaker::new(42, 1));
    let (mut a, mut b) = (a, b);
    for speaker in [&mut a, &mut b] {
        speaker.config.hold_time = Some(Duration::from_secs(3));
    }
    let b_handle = b.passive(&a);
    let a_handle = a.peer(a.settings(&b));
    let a_up = a.up().await;
    // The owner of b has not even read Established. UPDATEs fill every buffer there is.
    let mut number = 0;
    while a_up.outbox.try_send(&[numbered(number)]).is_ok() {
        number += 1;
    }
    // Four keepalives of b, sent a second apart, are more than a hold time.
    let keepalives =
        |handle: &crate::session::PeerHandle| handle.counters().received(MessageKind::Keepalive);
    let before = keepalives(&a_handle);
    soon("keepalives of a speaker whose owner is busy", async {
        while keepalives(&a_handle) < before + 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    b.up().await;
    let mut expected = 0;
    while expected < number {
        for prefix in b.withdrawn().await {
            assert_eq!(prefix.addr().to_bits(), expected);
            expected += 1;
        }
    }
    assert_eq!(
        (a_handle.status().sessions, b_handle.status().sessions),
        (1, 1)
    );
}

#[tokio::test]
async fn a_notification_overtakes_what_waits_for_a_slow_peer() {
    let (mut a, a_handle, a_up, mut b, _b_handle, _) = pair(1).await;
    let mut number = 0;
    while a_up.outbox.try_send(&[numbered(number)]).is_ok() {
        number += 1;
    }
    a_handle.stop(Stop::Cease(Cease::Shutdown(String::new())));
    a.down().await;
    assert!(a_up.outbox.is_closed());
    let mut heard = 0;
    loop {
        match b.event("the end").await {
            Event::Updates { updates, .. } => heard += updates.ipv4().len() as u32,
            Event::Down { reason, .. } => {
                assert_eq!(
                    reason.to_string(),
                    "peer sent Cease/Administrative Shutdown"
                );
                break;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(
        heard < number,
        "what waited in the outbox is not sent after the end"
    );
}

#[tokio::test]
async fn a_sessions_output_queue_is_what_waits_in_its_outbox() {
    let (_a, a_handle, a_up, _b, _b_handle, _) = pair(64).await;
    let queued = || a_handle.status().session.unwrap().output_queue();
    let before = a_up.outbox.waiting();
    // The writer runs once this task waits for something.
    a_up.outbox.try_send(&[numbered(1), numbered(2)]).unwrap();
    assert_eq!(queued(), before + 2 * 28);
}

#[tokio::test]
async fn rfc_2918_a_refresh_is_asked_for_in_every_negotiated_family() {
    let (_a, a_handle, _, mut b, _b_handle, b_up) = pair(64).await;
    a_handle.request_refresh();
    let mut asked = Vec::new();
    while asked.len() < 2 {
        match b.event("RouteRefresh").await {
            Event::RouteRefresh { refresh, .. } => {
                assert_eq!(refresh.subtype, RouteRefreshSubtype::Request);
                asked.push(refresh.family);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(asked, b_up.negotiated.families);
    assert_eq!(a_handle.counters().sent(MessageKind::RouteRefresh), 2);
}

#[tokio::test]
async fn rfc_7606_faulty_updates_are_counted_and_the_session_goes_on() {
    let (_a, _a_handle, a_up, mut b, b_handle, _) = pair(64).await;
    let mut faulty = BytesMut::new();
    // 10.0.0.0/8 with an ORIGIN of two octets, and nothing else.
    faulty.put_bytes(0xff, 16);
    faulty.put_u16(19 + 4 + 5 + 2);
    faulty.put_u8(2);
    faulty.put_slice(&[0, 0, 0, 5, 0x40, 1, 2, 0, 0, 8, 10]);
    let faulty = faulty.freeze();
    a_up.outbox
        .try_send(&[faulty.clone(), numbered(1), faulty])
        .unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.extend(b.withdrawn().await);
    }
    // Treated as withdraw, by an order that is kept.
    let faulty = "10.0.0.0/8".parse().unwrap();
    assert_eq!(heard, [faulty, "0.0.0.1/32".parse().unwrap(), faulty]);
    assert_eq!(b_handle.counters().updates_malformed, 2);
    assert_eq!(b_handle.status().downs.len(), 0);
}

/// RFC 8654 section 4, and what Routelet makes of it: see the deviation in `session::peer`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc_8654_4_a_message_over_4096_octets_is_taken_where_both_sides_announced_that() {
    let mut long = BytesMut::new();
    long.put_bytes(0xff, 16);
    long.put_u16(23 + 1000 * 5);
    long.put_u8(2);
    long.put_u16(1000 * 5);
    for number in 0..1000 {
        long.put_u8(32);
        long.put_u32(number);
    }
    long.put_u16(0);
    let long = long.freeze();
    for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut a, mut b) = (Speaker::new(71, 64), Speaker::new(72, 64));
        a.config.extended_message = ours;
        b.config.extended_message = theirs;
        let _b_handle = b.passive(&a);
        let _a_handle = a.peer(a.settings(&b));
        let (_, b_up) = (a.up().await, b.up().await);
        b_up.outbox.try_send(std::slice::from_ref(&long)).unwrap();
        if ours && theirs {
            assert_eq!(a.withdrawn().await.len(), 1000);
        } else {
            let data = 5023_u16.to_be_bytes().to_vec();
            let answer = Notification::with_data(NotificationCode::BAD_MESSAGE_LENGTH, data);
            assert_eq!(a.down().await, Down::NotificationSent(answer.clone()));
            assert_eq!(b.down().await, Down::NotificationReceived(answer));
        }
    }
}
