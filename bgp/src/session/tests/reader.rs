//! The reader over a transport that gives few octets a call: the same events in the same order, and the same end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, oneshot, watch};

use super::faults::Log;
use super::harness::soon;
use crate::fsm::{Config, Down, RemoteAsn, negotiate};
use crate::session::faults::FaultLog;
use crate::session::handle::Control;
use crate::session::reader::{Reader, Report};
use crate::session::stamp::Stamps;
use crate::session::turn::Turns;
use crate::session::{Event, Outbox, PeerKey, SessionId};
use crate::types::{Asn, BgpIdentifier, Family};
use crate::wire::attribute::AttributeFilter;
use crate::wire::{
    BatchPart, Framer, MessageKind, Notification, NotificationCode, Open, PeerKind, RouteRefresh,
    RouteRefreshSubtype, UpdateCodec, keepalive,
};

/// Gives `most` octets a call and is not ready at every other one; ends after the last.
struct Drip {
    octets: Bytes,
    most: usize,
    ready: bool,
}

impl AsyncRead for Drip {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.ready = !this.ready;
        if !this.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = this.most.min(this.octets.len()).min(buffer.remaining());
        buffer.put_slice(&this.octets.split_to(length));
        Poll::Ready(Ok(()))
    }
}

fn withdraw(number: u32) -> Bytes {
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

fn refresh(subtype: RouteRefreshSubtype) -> Bytes {
    let family = Family::IPV6_UNICAST;
    RouteRefresh { family, subtype }.encode()
}

fn negotiated() -> crate::fsm::Negotiated {
    let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 1);
    let open = Open {
        asn: Asn(2),
        hold_time: 90,
        identifier: BgpIdentifier(2),
        capabilities: Vec::new(),
    };
    negotiate(&config, &open).unwrap()
}

/// What a session was: its events in words, UPDATEs one by one, and what the peer's task was told.
#[derive(Debug, PartialEq)]
struct Heard {
    events: Vec<String>,
    report: String,
    counted: Vec<(MessageKind, u64)>,
    octets: u64,
    /// How many prefixes each batch of UPDATEs has.
    batches: Vec<usize>,
}

/// Reads a stream of which the first octets came with the handshake.
async fn read(stream: &[u8], before: usize, most: usize) -> Heard {
    let socket = Drip {
        octets: Bytes::copy_from_slice(&stream[before..]),
        most,
        ready: false,
    };
    read_from(socket, &stream[..before]).await
}

async fn read_from<R: AsyncRead + Unpin>(socket: R, before: &[u8]) -> Heard {
    let (events_in, mut events) = mpsc::channel(1);
    let (reports_in, mut reports) = mpsc::channel(1);
    let (down_in, down) = oneshot::channel();
    let (delivered_in, delivered) = oneshot::channel();
    let outbox = Outbox::new();
    let control = Arc::new(Control::new(PeerKey(3)));
    let (peer, session) = (PeerKey(3), SessionId(4));
    let address = ([192, 0, 2, 1], 179).into();
    let reader = Reader {
        socket,
        buffer: BytesMut::from(before),
        framer: Framer::new(),
        codec: UpdateCodec::plain(PeerKind::External),
        enhanced_refresh: true,
        filter: watch::channel(AttributeFilter::DEFAULT).1,
        faults: FaultLog::new(address),
        peer,
        session,
        events: events_in,
        turns: Turns::new(),
        outbox: outbox.clone(),
        stamps: Arc::new(Stamps::new()),
        control: control.clone(),
        reports: reports_in,
        down,
    };
    let established = Event::Established {
        peer,
        session,
        negotiated: Arc::new(negotiated()),
        outbox,
        local: address,
        remote: address,
    };
    let owner = async {
        let (mut heard, mut batches) = (Vec::new(), Vec::new());
        while let Some(event) = events.recv().await {
            assert_eq!(event.source(), (peer, session));
            heard.extend(words(&event));
            if let Event::Updates { updates, .. } = event {
                batches.push(updates.prefixes());
            }
        }
        (heard, batches)
    };
    let task = async {
        let report = reports.recv().await.unwrap();
        drop(down_in.send(Down::TransportFailed));
        // Dropped, never sent to.
        assert!(delivered.await.is_err());
        format!("{report:?}")
    };
    let all = async { tokio::join!(reader.run(established, None, delivered_in), owner, task) };
    let ((), (events, batches), report) = soon("the end of the session", all).await;
    let counters = control.counters.snapshot();
    Heard {
        events,
        report,
        counted: counters
            .by_kind()
            .map(|(kind, received, _)| (kind, received))
            .collect(),
        octets: counters.octets_received,
        batches,
    }
}

fn words(event: &Event) -> Vec<String> {
    match event {
        Event::Established { .. } => vec!["established".to_owned()],
        Event::Updates { updates, .. } => {
            assert!(
                updates
                    .parts()
                    .all(|part| matches!(part, BatchPart::Unreach(_)))
            );
            updates
                .ipv4()
                .iter()
                .map(|nlri| nlri.prefix.to_string())
                .collect()
        }
        Event::RouteRefresh { refresh, .. } => vec![format!("{:?}", refresh.subtype)],
        Event::Writable { .. } => vec!["writable".to_owned()],
        Event::Down { reason, .. } => vec![format!("down: {reason}")],
    }
}

/// What comes before the end in every row: messages of all kinds that a session goes on after.
fn body() -> Vec<Bytes> {
    vec![
        withdraw(1),
        withdraw(2),
        keepalive(),
        refresh(RouteRefreshSubtype::Begin),
        withdraw(3),
        refresh(RouteRefreshSubtype::Unknown(9)),
        keepalive(),
        refresh(RouteRefreshSubtype::End),
        withdraw(4),
    ]
}

#[tokio::test]
async fn events_are_the_same_and_in_order_whatever_the_socket_gives_a_call() {
    let cease = Notification::new(NotificationCode::ADMINISTRATIVE_RESET);
    let open = Open {
        asn: Asn(2),
        hold_time: 90,
        identifier: BgpIdentifier(2),
        capabilities: Vec::new(),
    };
    let mut bad_marker = BytesMut::from(&keepalive()[..]);
    bad_marker[3] = 0;
    // A length of withdrawn routes that runs past the message.
    let mut no_update = BytesMut::from(&withdraw(9)[..]);
    no_update[20] = 200;
    let mut version_9 = BytesMut::from(&open.encode()[..]);
    version_9[19] = 9;
    let malformed = |code, data: &'static [u8]| {
        format!(
            "{:?}",
            Report::Malformed(Notification::with_data(code, data))
        )
    };
    for (end, report) in [
        (Bytes::new(), "Closed".to_owned()),
        (withdraw(5).slice(..20), "Closed".to_owned()),
        (
            cease.encode(),
            format!("{:?}", Report::Notification(cease.clone())),
        ),
        (open.encode(), format!("{:?}", Report::Open(open.clone()))),
        (
            version_9.freeze(),
            malformed(NotificationCode::FSM_ESTABLISHED, &[1]),
        ),
        (
            bad_marker.freeze(),
            malformed(NotificationCode::CONNECTION_NOT_SYNCHRONIZED, b""),
        ),
        (
            no_update.freeze(),
            malformed(NotificationCode::MALFORMED_ATTRIBUTE_LIST, b""),
        ),
    ] {
        let stream: Vec<u8> = body().into_iter().chain([end.clone()]).flatten().collect();
        for before in [0, 1, 40, stream.len() - end.len()] {
            for most in (1..60).chain([1000]) {
                let heard = read(&stream, before, most).await;
                let place = format!("{end:?}, {before} before, {most} octets a call");
                assert_eq!(heard.report, report, "{place}");
                let expected = [
                    "established",
                    "0.0.0.1/32",
                    "0.0.0.2/32",
                    "Begin",
                    "0.0.0.3/32",
                    "End",
                    "0.0.0.4/32",
                    "down: TCP connection failed or was closed by the peer",
                ];
                assert_eq!(heard.events, expected, "{place}");
                let count = |kind| {
                    heard
                        .counted
                        .iter()
                        .find(|(k, _)| *k == kind)
                        .map(|(_, n)| *n)
                };
                assert_eq!(count(MessageKind::Keepalive), Some(2), "{place}");
                assert_eq!(count(MessageKind::RouteRefresh), Some(3), "{place}");
            }
        }
    }
}

#[tokio::test]
async fn long_streams_come_in_batches_and_lose_nothing() {
    const MESSAGES: u32 = 5000;
    let stream: Vec<u8> = (0..MESSAGES).flat_map(withdraw).collect();
    for most in [17, 4096, 1 << 20] {
        let heard = read(&stream, 0, most).await;
        assert_eq!(heard.events.len(), MESSAGES as usize + 2);
        let numbers = heard.events[1..=MESSAGES as usize].iter();
        for (number, event) in (0..MESSAGES).zip(numbers) {
            assert_eq!(
                *event,
                format!("{}/32", std::net::Ipv4Addr::from_bits(number))
            );
        }
        assert_eq!(heard.octets, u64::from(MESSAGES) * 28);
        assert_eq!(heard.counted[1], (MessageKind::Update, u64::from(MESSAGES)));
    }
}

#[tokio::test]
async fn a_batch_has_about_a_thousand_prefixes_and_a_short_rest_goes_with_it() {
    // A message has 28 octets: 292 of them are the longest rest that goes with a batch.
    for (messages, batches) in [
        (10, vec![10]),
        (1_024 + 292, vec![1_316]),
        (1_024 + 293, vec![1_024, 293]),
        (2 * 1_024 + 10, vec![1_024, 1_034]),
    ] {
        let stream: Vec<u8> = (0..messages).flat_map(withdraw).collect();
        let heard = read(&stream, stream.len(), 1).await;
        assert_eq!(heard.batches, batches);
    }
}

/// Gives as much as a call has room for and at most so much, and notes how much room that is.
struct Flood {
    octets: Bytes,
    most: usize,
    rooms: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let length = this.most.min(this.octets.len()).min(buffer.remaining());
        this.rooms.lock().unwrap().push(buffer.remaining());
        buffer.put_slice(&this.octets.split_to(length));
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_call_has_room_for_4_kib_and_soon_for_64_if_the_peer_fills_it() {
    const MESSAGES: u32 = 40_000;
    let rooms = Arc::<Mutex<Vec<usize>>>::default();
    let socket = Flood {
        octets: (0..MESSAGES).flat_map(withdraw).collect(),
        most: usize::MAX,
        rooms: rooms.clone(),
    };
    let heard = read_from(socket, &[]).await;
    assert_eq!(heard.octets, u64::from(MESSAGES) * 28);
    let rooms = rooms.lock().unwrap();
    assert!(rooms.iter().all(|room| *room >= 4 << 10), "{rooms:?}");
    // Doubled at each call that filled it.
    assert!(rooms[0] < 8 << 10, "{rooms:?}");
    assert!(rooms[4..].iter().all(|room| *room >= 64 << 10), "{rooms:?}");
}

#[tokio::test]
async fn a_call_has_room_for_4_kib_behind_any_part_of_a_message() {
    const PREFIXES: usize = 814;
    let mut long = BytesMut::new();
    long.put_bytes(0xff, 16);
    long.put_u16(23 + 5 * PREFIXES as u16);
    long.put_u8(2);
    long.put_u16(5 * PREFIXES as u16);
    for number in 0..PREFIXES {
        long.put_u8(32);
        long.put_u32(number as u32);
    }
    long.put_u16(0);
    let rooms = Arc::<Mutex<Vec<usize>>>::default();
    let socket = Flood {
        octets: long.repeat(3).into(),
        most: 500,
        rooms: rooms.clone(),
    };
    let heard = read_from(socket, &[]).await;
    assert_eq!(heard.events.len(), 3 * PREFIXES + 2);
    let rooms = rooms.lock().unwrap();
    assert!(rooms.iter().all(|room| *room >= 4 << 10), "{rooms:?}");
}

#[tokio::test]
async fn a_filter_that_was_not_applied_is_not_logged() {
    let log = Log::new();
    read(&body().concat(), 0, 1000).await;
    assert_eq!(log.take(), Vec::<String>::new());
}
