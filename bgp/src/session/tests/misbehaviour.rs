//! Peers that come back too often or only dribble, and tasks of ours that fail.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::harness::{Speaker, soon};
use crate::fsm::{Cease, Config, Down, Negotiated, RemoteAsn, State, Stop};
use crate::session::alarm::Alarm;
use crate::session::faults::FaultLog;
use crate::session::handle::Control;
use crate::session::reader::{Reader, Report};
use crate::session::stamp::Stamps;
use crate::session::turn::Turns;
use crate::session::writer::Writer;
use crate::session::{Event, Outbox, PeerHandle, PeerKey, Refusal, SessionId};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::attribute::AttributeFilter;
use crate::wire::{Capability, Framer, Open, PeerKind, UpdateCodec, keepalive};

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
    settings.protocol.passive = true;
    settings.protocol.remote_asn = RemoteAsn::Any;
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
