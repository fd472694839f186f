//! Who is let in, and how many.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::faults::Log;
use super::harness::{Speaker, listener_config, pair, soon};
use super::keys::{Said, connect, range, said};
use crate::fsm::{ConnectionId, GracefulRestartConfig};
use crate::session::handle::Control;
use crate::session::handshake::Handshake;
use crate::session::{
    Admissions, Admit, Candidate, ListenRange, Listener, ListenerConfig, PeerKey, Refusal,
    Transport, spawn,
};
use crate::types::Family;
use crate::wire::capability::GracefulRestart;
use crate::wire::{Capability, Open, keepalive};

/// A listener on `address` with these ranges that accepts.
fn open(
    address: &str,
    ranges: Vec<ListenRange>,
    candidates: mpsc::Sender<Candidate>,
) -> (Listener, SocketAddr, Arc<Admissions>) {
    let admissions = Arc::new(Admissions::default());
    let listener_config = ListenerConfig {
        ranges,
        admissions: admissions.clone(),
        ..listener_config(candidates)
    };
    let bound = Listener::bind(&[address.parse().unwrap()]).unwrap();
    let listener = bound.listen(listener_config).unwrap();
    listener.start_accepting();
    let address = listener.local_addresses()[0];
    (listener, address, admissions)
}

/// Whether nothing comes and the connection stays, as long as a moment.
async fn is_kept_waiting(stream: &mut TcpStream) -> bool {
    let mut octet = [0];
    tokio::time::timeout(Duration::from_millis(300), stream.read(&mut octet))
        .await
        .is_err()
}

#[tokio::test]
async fn a_full_queue_of_newcomers_answers_nobody_with_a_cease() {
    let (candidates, mut received) = mpsc::channel(1);
    let ranges = vec![range("127.0.0.96/28", Admit::Anybody)];
    let (_listener, address, admissions) = open("127.0.0.93:0", ranges, candidates);
    let mut streams = Vec::new();
    for number in 96..100 {
        streams.push(
            connect(&format!("127.0.0.{number}:0"), address, None)
                .await
                .unwrap(),
        );
    }
    for stream in &mut streams[1..3] {
        assert!(is_kept_waiting(stream).await);
    }
    // Whoever is looked at makes room for the next; nobody was refused.
    for number in 96..100 {
        let candidate = soon("a candidate", received.recv()).await.unwrap();
        assert_eq!(
            candidate.remote.ip().to_string(),
            format!("127.0.0.{number}")
        );
    }
    assert_eq!(admissions.refused(Refusal::QueueFull), 0);
}

#[tokio::test]
async fn newcomers_whom_nobody_takes_starve_no_peer_and_no_stranger() {
    let (candidates, mut received) = mpsc::channel(1);
    let ranges = vec![range("127.0.2.0/24", Admit::Anybody)];
    let (listener, address, admissions) = open("127.0.0.94:0", ranges, candidates);
    let speaker = Speaker::new(95, 64);
    let mut settings = speaker.settings(&speaker);
    settings.remote = "127.0.0.120".parse().unwrap();
    settings.session.transport.local = None;
    settings.session.protocol.passive = true;
    let _handle = spawn(
        PeerKey(1),
        settings,
        &listener,
        speaker.sender.clone(),
        None,
    )
    .unwrap();
    let mut streams = Vec::new();
    // More than could wait in turn, until the peer's patience ends.
    for number in 1..=30 {
        streams.push(
            connect(&format!("127.0.2.{number}:0"), address, None)
                .await
                .unwrap(),
        );
    }
    // Behind them in the backlog.
    let mut stranger = connect("127.0.0.193:0", address, None).await.unwrap();
    let mut peer = connect("127.0.0.120:0", address, None).await.unwrap();
    assert_eq!(said(&mut peer).await, Said::Open);
    assert_eq!(said(&mut stranger).await, Said::Notification);
    // The first has a place in the queue. The others were closed without a word.
    for stream in &mut streams[1..] {
        assert_eq!(said(stream).await, Said::Nothing);
    }
    assert_eq!(admissions.refused(Refusal::QueueFull), 29);
    // Once one is taken, the next waits again, and is taken, too.
    drop(soon("the first", received.recv()).await.unwrap());
    let _next = connect("127.0.2.111:0", address, None).await.unwrap();
    let next = soon("the next", received.recv()).await.unwrap();
    assert_eq!(next.remote.ip().to_string(), "127.0.2.111");
    let _queued = connect("127.0.2.112:0", address, None).await.unwrap();
    let mut waits = connect("127.0.2.113:0", address, None).await.unwrap();
    assert!(is_kept_waiting(&mut waits).await);
}

#[tokio::test]
async fn a_sender_that_connects_over_and_over_is_not_heard() {
    let speaker = Speaker::new(112, 64);
    let other = Speaker::new(113, 64);
    let handle = speaker.passive(&other);
    let mut opens = 0;
    for _ in 0..200 {
        let mut stream = connect("127.0.0.113:0", speaker.address(), None)
            .await
            .unwrap();
        opens += u32::from(said(&mut stream).await == Said::Open);
    }
    // A burst of 32, and 2 a second.
    assert!((1..80).contains(&opens), "{opens}");
    drop(handle);
}

#[tokio::test]
async fn an_accepted_connection_without_an_open_is_closed_before_long() {
    let speaker = Speaker::new(114, 64);
    let other = Speaker::new(115, 64);
    let _handle = speaker.passive(&other);
    let mut stream = connect("127.0.0.115:0", speaker.address(), None)
        .await
        .unwrap();
    assert_eq!(said(&mut stream).await, Said::Open);
    tokio::time::pause();
    let start = Instant::now();
    // A few octets of a header are no OPEN.
    stream.write_all(&[0xff; 5]).await.unwrap();
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest).await);
    let waited = start.elapsed();
    assert!((25..60).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test]
async fn connections_to_another_address_or_by_another_interface_are_refused() {
    for (address, peer) in [("127.0.0.116:0", "127.0.0.117"), ("[::1]:0", "::1")] {
        let (candidates, _keep) = mpsc::channel(1);
        let (listener, address, admissions) = open(address, Vec::new(), candidates);
        let speaker = Speaker::new(118, 64);
        let mut settings = speaker.settings(&speaker);
        settings.remote = peer.parse().unwrap();
        settings.session.protocol.passive = true;
        let from = SocketAddr::new(settings.remote, 0).to_string();
        let own = Some(address.ip());
        let other = Some("192.0.2.1".parse().unwrap());
        let cases = [
            (own, Some("lo"), None),
            (other, None, Some(Refusal::LocalAddress)),
            (None, Some("eth-none"), Some(Refusal::Interface)),
        ];
        for (local, device, refusal) in cases {
            settings.session.transport.local = local;
            settings.session.transport.device = device.map(str::to_owned);
            let handle = spawn(
                PeerKey(1),
                settings.clone(),
                &listener,
                speaker.sender.clone(),
                None,
            );
            let handle = handle.unwrap();
            let mut stream = connect(&from, address, None).await.unwrap();
            let expected = match refusal {
                None => Said::Open,
                Some(_) => Said::Notification,
            };
            assert_eq!(said(&mut stream).await, expected, "{local:?} {device:?}");
            if let Some(refusal) = refusal {
                assert_eq!(admissions.refused(refusal), 1);
            }
            drop(handle);
        }
    }
}

#[tokio::test]
async fn a_range_asks_for_the_address_before_it_makes_a_peer() {
    let (candidates, mut received) = mpsc::channel(1);
    let mut ranges = vec![range("127.0.0.96/28", Admit::Anybody)];
    ranges[0].transport = Transport {
        local: Some("127.0.0.1".parse().unwrap()),
        ..Transport::default()
    };
    let (listener, address, admissions) = open("127.0.0.119:0", ranges.clone(), candidates);
    let mut stream = connect("127.0.0.96:0", address, None).await.unwrap();
    assert_eq!(said(&mut stream).await, Said::Notification);
    assert_eq!(admissions.refused(Refusal::LocalAddress), 1);
    ranges[0].transport.local = Some(address.ip());
    listener.set_ranges(ranges);
    let _stream = connect("127.0.0.96:0", address, None).await.unwrap();
    soon("a candidate", received.recv()).await.unwrap();
}

#[tokio::test]
async fn a_reason_to_refuse_is_logged_once_a_minute_with_how_many_others_there_were() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut streams, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        streams.push(stream.unwrap());
        peers.push(listener.accept().await.unwrap().0);
    }
    tokio::time::pause();
    let (log, admissions) = (Log::new(), Admissions::default());
    let mut refuse = |why| {
        let remote = "192.0.2.1:7".parse().unwrap();
        admissions.refuse(streams.pop().unwrap(), remote, why);
        log.take()
    };
    let line = |others: u32, why| {
        let line =
            format!("INFO message=refused a connection: {why} remote=192.0.2.1:7 others={others}");
        vec![line]
    };
    let stranger = "no peer or listen range has its address";
    assert_eq!(refuse(Refusal::Stranger), line(0, stranger));
    for _ in 0..2 {
        assert!(refuse(Refusal::Stranger).is_empty());
    }
    // Each reason by itself.
    assert_eq!(
        refuse(Refusal::Pace),
        line(0, "too many new peers connect at once")
    );
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert!(refuse(Refusal::Stranger).is_empty());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(refuse(Refusal::Stranger), line(3, stranger));
    assert_eq!(admissions.refused(Refusal::Stranger), 5);
    assert_eq!(admissions.refused(Refusal::Pace), 1);
}

#[test]
fn every_reason_to_refuse_has_a_label_and_a_sentence_of_its_own() {
    let labels: BTreeSet<&str> = Refusal::ALL.iter().map(|why| why.label()).collect();
    let sentences: BTreeSet<String> = Refusal::ALL.iter().map(Refusal::to_string).collect();
    assert_eq!(labels.len(), Refusal::ALL.len(), "{labels:?}");
    assert_eq!(sentences.len(), Refusal::ALL.len(), "{sentences:?}");
    // Names in metrics, which alerts use.
    assert!(
        labels.contains("stranger") && labels.contains("ttl"),
        "{labels:?}"
    );
}

#[tokio::test]
async fn a_connection_counts_as_accepted_where_it_was_accepted() {
    let (a, _a_handle, _, b, _b_handle, _) = pair(64).await;
    assert_eq!((a.admissions.accepted(), b.admissions.accepted()), (0, 1));
}

fn open_of(speaker: &Speaker, capabilities: Vec<Capability>) -> Bytes {
    let open = Open {
        asn: speaker.config.local_asn,
        hold_time: 90,
        identifier: speaker.config.local_id,
        capabilities,
    };
    open.encode()
}

/// Reads whole messages until one of this kind has come. `false` if the connection ends before.
async fn comes(stream: &mut TcpStream, kind: u8) -> bool {
    loop {
        let mut header = [0; 19];
        if stream.read_exact(&mut header).await.is_err() {
            return false;
        }
        let mut body = vec![0; usize::from(header[16]) * 256 + usize::from(header[17]) - 19];
        if stream.read_exact(&mut body).await.is_err() {
            return false;
        }
        if header[18] == kind {
            return true;
        }
    }
}

#[tokio::test]
async fn sessions_that_the_owner_does_not_take_note_of_do_not_pile_up() {
    // The owner takes one event, and no more.
    let mut speaker = Speaker::new(124, 1);
    let restart = GracefulRestartConfig {
        restart_time: Duration::from_secs(120),
        families: vec![(Family::IPV4_UNICAST, true)],
        notification: true,
    };
    speaker.config.graceful_restart = Some(restart);
    let other = Speaker::new(125, 64);
    let handle = speaker.passive(&other);
    let restarts = Capability::GracefulRestart(GracefulRestart {
        restarting: true,
        notification: true,
        restart_time: 120,
        families: vec![(Family::IPV4_UNICAST, true)],
    });
    let multiprotocol = Capability::Multiprotocol(Family::IPV4_UNICAST);
    let open = open_of(&other, vec![multiprotocol, restarts]);
    let mut streams = Vec::new();
    // With graceful restart each takes the place of the one before.
    for _ in 0..30 {
        let mut stream = connect("127.0.0.125:0", speaker.address(), None)
            .await
            .unwrap();
        drop(stream.write_all(&open).await);
        drop(stream.write_all(&keepalive()).await);
        soon("KEEPALIVE or the end", comes(&mut stream, 4)).await;
        streams.push(stream);
        // Sooner it would be the other half of a collision.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
    }
    let sessions = handle.status().sessions;
    assert!(sessions > 1, "{sessions}");
    let open = open_connections(speaker.address().port());
    assert!(open <= 20, "{open} of 30");
}

/// Connections of this port of ours that a descriptor is open for, closing or not.
fn open_connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let lines = table.lines().filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Not the listening one (0A). What only the kernel still holds has no inode.
        fields[1].ends_with(&local) && fields[3] != "0A" && fields[9] != "0"
    });
    lines.count()
}

#[tokio::test]
async fn replaced_connections_do_not_pile_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = Arc::new(Control::new(PeerKey(1)));
    let (mut peers, mut closing) = (Vec::new(), JoinSet::new());
    for _ in 0..12 {
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = Handshake::dialled(ConnectionId(1), stream).unwrap();
        closing.spawn(handshake.close(Some(keepalive()), control.clone()));
        // The peer reads, and does not close.
        let mut peer = listener.accept().await.unwrap().0;
        assert!(soon("the last words", comes(&mut peer, 4)).await);
        peers.push(peer);
    }
    for _ in 0..8 {
        soon("the end", closing.join_next()).await.unwrap().unwrap();
    }
    assert_eq!(closing.len(), 4);
    assert!(closing.try_join_next().is_none());
    // They have their time, and end.
    while soon("the end of all", closing.join_next()).await.is_some() {}
}
