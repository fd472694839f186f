//! The writer over a transport that takes few octets a call: messages stay whole, urgent ones go between two of them.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::session::handle::{Control, LiveCounters};
use crate::session::outbox::{Closing, MAX_BUFFERS};
use crate::session::stamp::Stamps;
use crate::session::writer::Writer;
use crate::session::{Outbox, PeerKey};
use crate::wire::{Framer, HEADER, MessageKind, Notification, NotificationCode, keepalive};

/// Takes `most` octets a call, is not ready at every other one, and says each time that it has taken some.
struct Trickle<F> {
    most: usize,
    ready: bool,
    taken: Vec<u8>,
    /// Called with the number of octets so far.
    after: F,
}

impl<F: FnMut(usize)> Trickle<F> {
    fn new(most: usize, after: F) -> Self {
        Self {
            most,
            ready: false,
            taken: Vec::new(),
            after,
        }
    }
}

impl<F: FnMut(usize) + Unpin> AsyncWrite for &mut Trickle<F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.ready = !this.ready;
        if !this.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let octets = slices.iter().flat_map(|slice| slice.iter());
        assert!(
            octets.clone().next().is_some(),
            "a call with nothing to write"
        );
        let some: Vec<u8> = octets.take(this.most).copied().collect();
        this.taken.extend_from_slice(&some);
        (this.after)(this.taken.len());
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An UPDATE whose body begins with its number.
fn numbered(number: u8, length: usize) -> Bytes {
    let mut out = BytesMut::new();
    out.put_bytes(0xff, 16);
    out.put_u16(length as u16);
    out.put_u8(2);
    out.put_bytes(number, length - HEADER);
    out.freeze()
}

/// Eight UPDATEs of several lengths; some batches hold two.
fn messages() -> (Vec<Bytes>, usize) {
    let lengths = [23, 24, 60, 23, 100, 41, 23, 30];
    let all = lengths
        .iter()
        .zip(0..)
        .map(|(length, number)| numbered(number, *length));
    let all: Vec<Bytes> = all.collect();
    let two = |a: usize, b: usize| Bytes::from([&all[a][..], &all[b][..]].concat());
    let batches = vec![
        all[0].clone(),
        two(1, 2),
        all[3].clone(),
        all[4].clone(),
        two(5, 6),
        all[7].clone(),
    ];
    (batches, lengths.iter().sum())
}

/// Kinds of the messages in a stream, and the numbers of its UPDATEs. What is left over is a panic.
fn read(stream: &[u8]) -> (Vec<MessageKind>, Vec<u8>) {
    let mut buffer = BytesMut::from(stream);
    let (mut kinds, mut numbers) = (Vec::new(), Vec::new());
    while let Some(frame) = Framer::new().next(&mut buffer).unwrap() {
        kinds.push(frame.kind);
        if frame.kind == MessageKind::Update {
            assert!(
                frame.body.iter().all(|octet| *octet == frame.body[0]),
                "{frame:?}"
            );
            numbers.push(frame.body[0]);
        }
    }
    assert!(
        buffer.is_empty(),
        "{} octets of half a message",
        buffer.len()
    );
    (kinds, numbers)
}

async fn write<F: FnMut(usize) + Unpin>(socket: &mut Trickle<F>, outbox: &Outbox) -> Arc<Control> {
    let control = Arc::new(Control::new(PeerKey(1)));
    let writer = Writer {
        socket,
        outbox: outbox.clone(),
        stamps: Arc::new(Stamps::new()),
        control: control.clone(),
    };
    writer.run().await;
    control
}

#[tokio::test]
async fn keepalives_go_between_messages_whatever_the_socket_takes_a_call() {
    let (batches, total) = messages();
    for most in (1..130).chain([total - 1, total, 10_000]) {
        let outbox = Outbox::new();
        outbox.try_send(&batches).unwrap();
        let (inside, mut keepalives) = (outbox.clone(), 0_usize);
        let mut socket = Trickle::new(most, |so_far| {
            // One after each call until enough, so that there is one at every place where a call may end.
            if so_far >= total + keepalives * HEADER {
                inside.close(Closing::AfterUrgent);
            } else if keepalives < 40 {
                keepalives += 1;
                inside.send_urgent(keepalive());
            }
        });
        let control = write(&mut socket, &outbox).await;
        let stream = std::mem::take(&mut socket.taken);
        drop(socket);
        let (kinds, numbers) = read(&stream);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7], "{most} octets a call");
        let found = kinds.iter().filter(|kind| **kind == MessageKind::Keepalive);
        assert_eq!(found.count(), keepalives, "{most} octets a call");
        // The first goes out before what waits, but for what has begun.
        if most < 23 {
            assert_eq!(kinds[1], MessageKind::Keepalive, "{most} octets a call");
        }
        let counters = control.counters.snapshot();
        assert_eq!(counters.octets_sent, stream.len() as u64);
        assert_eq!(counters.sent(MessageKind::Keepalive), keepalives as u64);
        assert_eq!(counters.sent(MessageKind::Update), 8);
        assert_eq!(outbox.waiting(), 0);
    }
}

#[tokio::test]
async fn a_notification_ends_the_stream_after_the_message_that_has_begun() {
    let (batches, total) = messages();
    let end = Notification::new(NotificationCode::HOLD_TIMER_EXPIRED).encode();
    for most in 1..total {
        let outbox = Outbox::new();
        outbox.try_send(&batches).unwrap();
        let inside = outbox.clone();
        let mut socket = Trickle::new(most, |so_far| {
            if so_far == most {
                inside.send_urgent(end.clone());
                inside.close(Closing::AfterUrgent);
            }
        });
        write(&mut socket, &outbox).await;
        let (kinds, numbers) = read(&socket.taken);
        assert_eq!(
            kinds.last(),
            Some(&MessageKind::Notification),
            "{most} octets a call"
        );
        // What the first call has begun is finished, and nothing else.
        let (mut length, mut begun) = (0, 0);
        for batch in &batches {
            if length >= most {
                break;
            }
            length += batch.len();
            begun = length;
        }
        assert_eq!(
            socket.taken.len(),
            begun + end.len(),
            "{most} octets a call"
        );
        assert_eq!(numbers.len() + 1, kinds.len());
        assert_eq!(outbox.waiting(), 0, "{most} octets a call");
    }
}

#[tokio::test]
async fn closed_now_nothing_more_is_written() {
    let (batches, _) = messages();
    let outbox = Outbox::new();
    outbox.try_send(&batches).unwrap();
    let inside = outbox.clone();
    let mut socket = Trickle::new(7, |_| inside.close(Closing::Now));
    write(&mut socket, &outbox).await;
    assert_eq!(socket.taken.len(), 7);
    // The first way to close decides.
    outbox.close(Closing::AfterUrgent);
    let mut socket = Trickle::new(7, |_| {});
    write(&mut socket, &outbox).await;
    assert!(socket.taken.is_empty());
    assert_eq!(outbox.try_send(&batches), Ok(()), "dropped, not refused");
    assert!(outbox.is_closed());
    // What the writer has not taken is dropped at once.
    let outbox = Outbox::new();
    outbox.try_send(&batches).unwrap();
    assert!(!outbox.is_closed() && outbox.waiting() > 0);
    outbox.close(Closing::Now);
    assert!(outbox.is_closed() && outbox.waiting() == 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_words_to_a_peer_that_does_not_read_end_after_five_seconds() {
    let (batches, _) = messages();
    let outbox = Outbox::new();
    outbox.try_send(&batches).unwrap();
    outbox.send_urgent(keepalive());
    outbox.close(Closing::AfterUrgent);
    let (mut near, _far) = tokio::io::duplex(1);
    let control = Arc::new(Control::new(PeerKey(1)));
    let writer = Writer {
        socket: &mut near,
        outbox: outbox.clone(),
        stamps: Arc::new(Stamps::new()),
        control,
    };
    let start = Instant::now();
    writer.run().await;
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn progress_is_when_octets_went_or_none_waited() {
    let outbox = Outbox::new();
    let stamps = Arc::new(Stamps::new());
    let (near, mut far) = tokio::io::duplex(10);
    let writer = Writer {
        socket: near,
        outbox: outbox.clone(),
        stamps: stamps.clone(),
        control: Arc::new(Control::new(PeerKey(1))),
    };
    let start = Instant::now();
    let since = |stamps: &Stamps| {
        stamps
            .progressed()
            .duration_since(start.into_std())
            .as_secs()
    };
    let task = tokio::spawn(writer.run());
    let second = Duration::from_secs(1);
    tokio::time::sleep(second).await;
    assert_eq!(since(&stamps), 0, "it waits for something to write");
    outbox.try_send(&[numbered(1, 30)]).unwrap();
    tokio::time::sleep(second).await;
    assert_eq!(since(&stamps), 1, "ten octets went");
    tokio::time::sleep(second).await;
    assert_eq!(since(&stamps), 1, "the peer does not read");
    let mut octets = [0; 30];
    tokio::io::AsyncReadExt::read_exact(&mut far, &mut octets)
        .await
        .unwrap();
    tokio::time::sleep(second).await;
    assert_eq!(since(&stamps), 3, "the peer has read");
    // The last call took all that was left, which ends nothing.
    outbox.try_send(&[numbered(2, 30)]).unwrap();
    let mut octets = [0; 30];
    tokio::io::AsyncReadExt::read_exact(&mut far, &mut octets)
        .await
        .unwrap();
    assert_eq!(read(&octets).1, [2]);
    outbox.close(Closing::AfterUrgent);
    task.await.unwrap();
}

#[tokio::test]
async fn an_owner_that_was_refused_hears_once_that_little_is_left() {
    let outbox = Outbox::new();
    let batch: Vec<Bytes> = (0..255).map(|number| numbered(number, 4096)).collect();
    outbox.try_send(&batch).unwrap();
    let octets = 255 * 4096;
    assert_eq!(outbox.waiting(), octets);
    let last = [numbered(0, 4096), numbered(1, 23)];
    assert!(outbox.try_send(&last).is_err());
    assert_eq!(outbox.try_send(&last[..1]), Ok(()), "just full");
    assert_eq!(outbox.waiting(), 1 << 20);
    let mut heard_at = None;
    let inside = outbox.clone();
    let mut socket = Trickle::new(4096, |so_far| {
        if so_far == 256 * 4096 {
            inside.close(Closing::AfterUrgent);
        }
    });
    let control = Arc::new(Control::new(PeerKey(1)));
    let writer = Writer {
        socket: &mut socket,
        outbox: outbox.clone(),
        stamps: Arc::new(Stamps::new()),
        control,
    };
    let watch = async {
        outbox.drained().await;
        heard_at = Some(outbox.waiting());
    };
    tokio::join!(writer.run(), watch);
    let heard_at = heard_at.unwrap();
    assert!(
        heard_at <= 1 << 18 && heard_at > (1 << 18) - 3 * 4096,
        "{heard_at} octets left"
    );
    // An empty box takes what is larger than it is.
    let outbox = Outbox::new();
    let large = Bytes::from(vec![0xff; (1 << 20) + 1]);
    assert_eq!(outbox.try_send(std::slice::from_ref(&large)), Ok(()));
    assert!(outbox.try_send(&[numbered(0, 23)]).is_err());
}

#[test]
fn the_writer_takes_as_many_messages_as_one_call_writes_urgent_ones_first() {
    let counters = LiveCounters::default();
    let outbox = Outbox::new();
    let all: Vec<Bytes> = (0..100).map(|number| numbered(number, 23)).collect();
    outbox.try_send(&all).unwrap();
    outbox.send_urgent(keepalive());
    let mut batch = VecDeque::new();
    assert_eq!(outbox.take(&mut batch, false, &counters), None);
    assert_eq!(batch.len(), MAX_BUFFERS);
    assert_eq!(batch[0], keepalive());
    assert!(batch.range(1..).eq(&all[..MAX_BUFFERS - 1]));
    // What waits is counted as sent when it is taken.
    assert_eq!(counters.snapshot().sent(MessageKind::Update), 63);
    // A full batch takes nothing but what is urgent, behind the message that has begun.
    outbox.send_urgent(keepalive());
    assert_eq!(outbox.take(&mut batch, true, &counters), None);
    assert_eq!(batch.len(), MAX_BUFFERS + 1);
    assert_eq!(batch[1], keepalive());
    assert_eq!(outbox.waiting(), 100 * 23 + 2 * HEADER);
}
