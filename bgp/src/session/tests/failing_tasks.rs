//! Readers and writers that panic, are aborted or are left alone: the owner gets `Down` once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot, watch};

use super::harness::soon;
use crate::fsm::{Config, Down, Negotiated, RemoteAsn};
use crate::session::alarm::Alarm;
use crate::session::faults::FaultLog;
use crate::session::handle::Control;
use crate::session::reader::{Reader, Report};
use crate::session::stamp::Stamps;
use crate::session::turn::Turns;
use crate::session::writer::Writer;
use crate::session::{Event, Outbox, PeerKey, SessionId};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::attribute::AttributeFilter;
use crate::wire::{Framer, Open, PeerKind, UpdateCodec};

/// A socket that is broken in a way nobody has thought of.
struct Panics;

impl AsyncRead for Panics {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        panic!("a fault of ours, on purpose")
    }
}

impl AsyncWrite for Panics {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("a fault of ours, on purpose")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A socket on which nothing ever comes.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// A reader with what it talks to.
struct Bench<R> {
    reader: Reader<R>,
    established: Event,
    events: mpsc::Receiver<Event>,
    reports: mpsc::Receiver<Report>,
    alarm: Alarm,
    down: oneshot::Sender<Down>,
}

const PEER: PeerKey = PeerKey(3);

fn negotiated() -> Arc<Negotiated> {
    let local = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 1);
    let open = Open {
        asn: Asn(2),
        hold_time: 90,
        identifier: BgpIdentifier(2),
        capabilities: Vec::new(),
    };
    Arc::new(crate::fsm::negotiate(&local, &open).unwrap())
}

fn bench<R>(socket: R, room: usize) -> Bench<R> {
    let (sender, events) = mpsc::channel(room);
    let (reports_in, reports) = mpsc::channel(3);
    let (down, down_out) = oneshot::channel();
    let (session, outbox) = (SessionId(5), Outbox::new());
    let address = "192.0.2.1:179".parse().unwrap();
    let established = Event::Established {
        peer: PEER,
        session,
        negotiated: negotiated(),
        outbox: outbox.clone(),
        local: address,
        remote: address,
    };
    let alarm = Alarm::new(reports_in.clone());
    let reader = Reader {
        socket,
        buffer: BytesMut::new(),
        framer: Framer::new(),
        codec: UpdateCodec::plain(PeerKind::External),
        enhanced_refresh: true,
        filter: watch::channel(AttributeFilter::DEFAULT).1,
        faults: FaultLog::new(address),
        peer: PEER,
        session,
        events: sender,
        turns: Turns::new(),
        outbox,
        stamps: Arc::new(Stamps::new()),
        control: Arc::new(Control::new(PEER)),
        reports: reports_in,
        down: down_out,
    };
    Bench {
        reader,
        established,
        events,
        reports,
        alarm,
        down,
    }
}

/// Everything that the owner is told, once nobody is left to tell it more.
async fn told(events: &mut mpsc::Receiver<Event>) -> Vec<Option<Down>> {
    let mut told = Vec::new();
    while let Some(event) = soon("the end of the events", events.recv()).await {
        assert_eq!(event.source(), (PEER, SessionId(5)));
        told.push(match event {
            Event::Established { .. } => None,
            Event::Down { reason, .. } => Some(reason),
            other => panic!("unexpected {other:?}"),
        });
    }
    told
}

#[tokio::test]
async fn a_reader_that_panics_brings_down_once_and_its_peer_hears_of_it() {
    // With room in the owner's channel, and without.
    for room in [8, 1] {
        let Bench {
            reader,
            established,
            mut events,
            mut reports,
            alarm,
            down,
        } = bench(Panics, room);
        let (delivered_in, mut delivered) = oneshot::channel();
        let run = reader.run(established, None, delivered_in);
        let task = tokio::spawn(alarm.watch(run));
        assert!(task.await.unwrap_err().is_panic());
        assert!(matches!(
            soon("a report", reports.recv()).await,
            Some(Report::Closed)
        ));
        // The peer's task says why, to nobody.
        drop(down.send(Down::TransportFailed));
        if room == 1 {
            let next = delivered.try_recv();
            assert_eq!(
                next,
                Err(oneshot::error::TryRecvError::Empty),
                "the next session may begin"
            );
        }
        assert_eq!(told(&mut events).await, [None, Some(Down::TransportFailed)]);
        assert!(delivered.await.is_err());
    }
}

#[tokio::test]
async fn a_reader_that_is_aborted_with_its_peers_task_brings_down_once() {
    let Bench {
        reader,
        established,
        mut events,
        alarm,
        down: _down,
        ..
    } = bench(Silent, 1);
    let (delivered_in, _delivered) = oneshot::channel();
    let task = tokio::spawn(alarm.watch(reader.run(established, None, delivered_in)));
    // It has delivered Established and reads.
    while events.is_empty() {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(told(&mut events).await, [None, Some(Down::TransportFailed)]);
}

#[tokio::test]
async fn a_reader_whose_peers_task_is_gone_brings_down_once() {
    let Bench {
        reader,
        established,
        mut events,
        alarm,
        down,
        ..
    } = bench(Silent, 8);
    let (delivered_in, _delivered) = oneshot::channel();
    drop(down);
    let task = tokio::spawn(alarm.watch(reader.run(established, None, delivered_in)));
    soon("its end", task).await.unwrap_or_default();
    assert_eq!(told(&mut events).await, [None, Some(Down::TransportFailed)]);
}

#[tokio::test]
async fn a_reason_that_waits_for_the_owner_is_not_lost_when_the_reader_is_aborted() {
    let Bench {
        reader,
        established,
        mut events,
        alarm,
        down,
        ..
    } = bench(Silent, 1);
    let (delivered_in, _delivered) = oneshot::channel();
    let reason = Down::HoldTimerExpired(Duration::from_secs(3));
    let run = alarm.watch(reader.run(established, None, delivered_in));
    let mut task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(run);
    // One step each: Established, then the end, for which there is no room.
    let step = |task: &mut Pin<Box<dyn Future<Output = ()>>>| {
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(task.as_mut().poll(&mut context).is_pending());
    };
    step(&mut task);
    down.send(reason.clone()).unwrap();
    step(&mut task);
    drop(task);
    assert_eq!(told(&mut events).await, [None, Some(reason)]);
}

#[tokio::test]
async fn a_writer_that_panics_is_reported_and_one_that_ends_is_not() {
    for fails in [true, false] {
        let (reports_in, mut reports) = mpsc::channel(3);
        let alarm = Alarm::new(reports_in);
        let outbox = Outbox::new();
        let writer = Writer {
            socket: Panics,
            outbox: outbox.clone(),
            stamps: Arc::new(Stamps::new()),
            control: Arc::new(Control::new(PEER)),
        };
        if fails {
            outbox.send_urgent(Bytes::from_static(&[0; 19]));
        } else {
            outbox.close(crate::session::outbox::Closing::Now);
        }
        let task = tokio::spawn(alarm.watch(writer.run()));
        assert_eq!(task.await.is_err(), fails);
        let report = soon("a report or the end", reports.recv()).await;
        assert_eq!(report.is_some(), fails);
    }
}

/// The channel is that of all sessions.
#[tokio::test]
async fn a_peer_that_sends_a_table_leaves_room_for_news_of_others() {
    const ROOM: usize = 64;
    let mut message = BytesMut::new();
    message.put_bytes(0xff, 16);
    message.put_slice(&[0, 28, 2, 0, 5, 32, 192, 0, 2, 1, 0, 0]);
    let table = message.repeat(100_000);
    let Bench {
        reader,
        established,
        mut events,
        down: _down,
        ..
    } = bench(io::Cursor::new(table), ROOM);
    let (delivered_in, _delivered) = oneshot::channel();
    let task = tokio::spawn(reader.run(established, None, delivered_in));
    let all_are_idle = || async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    all_are_idle().await;
    assert_eq!(events.len(), 5, "Established and four batches");
    events.recv().await.unwrap();
    let mut batches = 0;
    while batches < 20 {
        // Taken off the channel is not dealt with.
        let batch = events.recv().await.unwrap();
        assert!(matches!(batch, Event::Updates { .. }));
        all_are_idle().await;
        assert_eq!(events.len(), 3);
        drop(batch);
        all_are_idle().await;
        assert_eq!(events.len(), 4);
        batches += 1;
    }
    task.abort();
}
