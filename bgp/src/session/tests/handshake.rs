//! A connection before it is Established: what it reads, when it ends, and what it cannot send.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::harness::soon;
use crate::fsm::ConnectionId;
use crate::session::PeerKey;
use crate::session::admission::{Accepted, source_of};
use crate::session::handle::Control;
use crate::session::handshake::{Handshake, readable};
use crate::session::pace::Pace;
use crate::wire::{MessageKind, keepalive};

const ID: ConnectionId = ConnectionId(7);

/// Both ends of a connection: the one that has dialled, and the one that was accepted.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap());
    let (dialled, accepted) = tokio::join!(dialled, listener.accept());
    (dialled.unwrap(), accepted.unwrap().0)
}

fn accepted(stream: TcpStream) -> Handshake {
    let remote = stream.peer_addr().unwrap();
    let waiting = Pace::new(Arc::default()).enter(source_of(remote), false);
    let accepted = Accepted {
        local: stream.local_addr().unwrap(),
        stream,
        remote,
        syn: None,
        password: None,
        waiting: waiting.unwrap(),
    };
    Handshake::accepted(ID, accepted).unwrap()
}

async fn is_readable(handshake: &Handshake) {
    let id = soon("something to read", readable(Some(handshake))).await;
    assert_eq!(id, Some(ID));
}

#[tokio::test]
async fn a_handshake_reads_what_has_come_and_ends_with_the_stream() {
    let (stream, mut peer) = connection().await;
    let mut handshake = Handshake::dialled(ID, stream).unwrap();
    assert!(handshake.read().unwrap(), "nothing has come yet");
    peer.write_all(b"abc").await.unwrap();
    is_readable(&handshake).await;
    assert!(handshake.read().unwrap());
    assert_eq!(handshake.buffer, "abc");
    assert!(handshake.read().unwrap(), "nothing else has come");
    peer.write_all(b"def").await.unwrap();
    drop(peer);
    is_readable(&handshake).await;
    assert!(handshake.read().unwrap(), "what came before the end");
    assert_eq!(handshake.buffer, "abcdef");
    is_readable(&handshake).await;
    assert!(!handshake.read().unwrap(), "the end");
}

#[tokio::test]
async fn a_handshake_that_the_peer_resets_fails() {
    let (stream, peer) = connection().await;
    let mut handshake = Handshake::dialled(ID, stream).unwrap();
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    is_readable(&handshake).await;
    let error = handshake.read().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_accepted_connection_has_thirty_seconds_for_its_open_and_a_dialled_one_the_hold_timer() {
    let ((dialled, waits), (_peer, opened)) = (connection().await, connection().await);
    let mut dialled = Handshake::dialled(ID, dialled).unwrap();
    let (mut waits, mut opened) = (accepted(waits), accepted(opened));
    // Its OPEN has come.
    opened.waiting = None;
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(29_900)).await;
    assert!(waits.read().unwrap());
    tokio::time::advance(Duration::from_millis(200)).await;
    assert!(!waits.read().unwrap());
    assert!(opened.read().unwrap() && dialled.read().unwrap());
    // Octets that come too late do not help.
    tokio::time::resume();
    dialled.stream.write_all(b"abc").await.unwrap();
    is_readable(&waits).await;
    assert!(!waits.read().unwrap());
}

#[tokio::test]
async fn a_message_that_the_socket_does_not_take_whole_is_not_sent() {
    let (stream, _peer) = connection().await;
    let handshake = Handshake::dialled(ID, stream).unwrap();
    let control = Control::new(PeerKey(1));
    handshake.send(&keepalive(), &control).unwrap();
    assert_eq!(control.counters.snapshot().sent(MessageKind::Keepalive), 1);
    // More than both socket buffers hold.
    let long = Bytes::from(vec![0xff; 64 << 20]);
    let error = handshake.send(&long, &control).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert_eq!(control.counters.snapshot().octets_sent, 19);
}
