//! Passwords never fail open: what is not signed is not heard, whatever happened before.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::harness::{Speaker, listen, listener_config, soon};
use crate::session::{
    Admissions, Admit, Candidate, KeyError, ListenRange, Listener, ListenerConfig, PeerKey,
    PeerSettings, Refusal, Transport, options, spawn,
};

/// Longer than a connection over loopback takes, and shorter than the kernel waits before it repeats a SYN.
const UNANSWERED: Duration = Duration::from_millis(500);

/// Connects from `from`, signed if there is a password. `None` if the kernel at the other end does not answer.
pub(super) async fn connect(
    from: &str,
    to: SocketAddr,
    password: Option<&str>,
) -> Option<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), None).unwrap();
    let from: SocketAddr = from.parse().unwrap();
    socket.bind(&from.into()).unwrap();
    if let Some(password) = password {
        let password = password.parse().unwrap();
        options::set_md5(socket.as_fd(), options::host(to.ip()), Some(&password)).unwrap();
    }
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(to);
    timeout(UNANSWERED, connecting).await.ok()?.ok()
}

/// What the other end says first; nothing if it closes.
pub(super) async fn said(stream: &mut TcpStream) -> Said {
    let mut octets = [0; 4096];
    let read = soon("an answer", stream.read(&mut octets))
        .await
        .unwrap_or(0);
    match octets[..read].get(18) {
        None => Said::Nothing,
        Some(1) => Said::Open,
        Some(_) => Said::Notification,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Open,
    Notification,
}

pub(super) fn range(net: &str, admit: Admit) -> ListenRange {
    ListenRange {
        net: net.parse().unwrap(),
        admit,
        transport: Transport::default(),
    }
}

fn signed(password: &str) -> Admit {
    Admit::Signed(password.parse().unwrap())
}

fn passive(speaker: &Speaker, other: &str, password: Option<&str>) -> PeerSettings {
    let mut settings = PeerSettings::new(other.parse().unwrap(), speaker.config.clone());
    settings.password = password.map(|password| password.parse().unwrap());
    settings.session.protocol.passive = true;
    settings
}

#[tokio::test]
async fn unsigned_connections_that_wait_when_the_key_comes_are_not_heard() {
    let speaker = Speaker::new(71, 64);
    let (candidates, _keep) = mpsc::channel(1);
    let listener = listen("127.0.0.71:0", candidates);
    let address = listener.local_addresses()[0];
    let mut early = connect("127.0.0.72:0", address, None).await.unwrap();
    let settings = passive(&speaker, "127.0.0.72", Some("secret"));
    let _handle = spawn(
        PeerKey(1),
        settings,
        &listener,
        speaker.sender.clone(),
        None,
    )
    .unwrap();
    listener.start_accepting();
    assert_eq!(said(&mut early).await, Said::Nothing);
    let mut late = connect("127.0.0.72:0", address, Some("secret"))
        .await
        .unwrap();
    assert_eq!(said(&mut late).await, Said::Open);
}

#[tokio::test]
async fn keys_are_set_before_the_first_connection_is_heard() {
    let (candidates, _keep) = mpsc::channel(1);
    let bound = Listener::bind(&["127.0.0.77:0".parse().unwrap()]).unwrap();
    let address = bound.local_addresses().next().unwrap();
    // Bound is not yet listening.
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let listener = bound
        .listen(ListenerConfig {
            ranges: vec![range("127.0.0.79/32", signed("range"))],
            passwords: vec![("127.0.0.78".parse().unwrap(), "peer".parse().unwrap())],
            ..listener_config(candidates)
        })
        .unwrap();
    assert!(connect("127.0.0.78:0", address, None).await.is_none());
    assert!(connect("127.0.0.79:0", address, None).await.is_none());
    // The signed one waits for its peer, and is its.
    let mut waits = connect("127.0.0.78:0", address, Some("peer"))
        .await
        .unwrap();
    let speaker = Speaker::new(80, 64);
    let settings = passive(&speaker, "127.0.0.78", Some("peer"));
    let handle = spawn(
        PeerKey(1),
        settings,
        &listener,
        speaker.sender.clone(),
        None,
    )
    .unwrap();
    listener.start_accepting();
    assert_eq!(said(&mut waits).await, Said::Open);
    assert!(connect("127.0.0.78:0", address, None).await.is_none());
    // With the last who needs it a key goes.
    drop(handle);
    let mut stranger = connect("127.0.0.78:0", address, None).await.unwrap();
    assert_eq!(said(&mut stranger).await, Said::Notification);
}

#[tokio::test]
async fn connections_signed_with_a_password_of_before_are_not_heard() {
    let speaker = Speaker::new(81, 64);
    let (candidates, _keep) = mpsc::channel(1);
    let listener = listen("127.0.0.81:0", candidates);
    let address = listener.local_addresses()[0];
    let old = passive(&speaker, "127.0.0.82", Some("old"));
    let handle = spawn(PeerKey(1), old, &listener, speaker.sender.clone(), None).unwrap();
    let mut before = connect("127.0.0.82:0", address, Some("old")).await.unwrap();
    let new = passive(&speaker, "127.0.0.82", Some("new"));
    handle.reconfigure(new).unwrap();
    let mut after = connect("127.0.0.82:0", address, Some("new")).await.unwrap();
    listener.start_accepting();
    assert_eq!(said(&mut before).await, Said::Nothing);
    assert_eq!(said(&mut after).await, Said::Open);
}

#[tokio::test]
async fn a_connection_checked_with_a_key_that_has_gone_is_not_one_of_the_wider_range() {
    let (candidates, mut received) = mpsc::channel(1);
    let listener = listen("127.0.0.68:0", candidates);
    let address = listener.local_addresses()[0];
    let wide = range("127.0.0.64/29", signed("wide"));
    listener.set_ranges(vec![wide.clone(), range("127.0.0.69/32", signed("narrow"))]);
    let mut narrow = connect("127.0.0.69:0", address, Some("narrow"))
        .await
        .unwrap();
    listener.set_ranges(vec![wide]);
    listener.start_accepting();
    assert_eq!(said(&mut narrow).await, Said::Nothing);
    let _wide = connect("127.0.0.69:0", address, Some("wide"))
        .await
        .unwrap();
    soon("a candidate", received.recv()).await.unwrap();
}

#[tokio::test]
async fn a_peer_or_range_whose_key_the_kernel_does_not_take_is_blocked_until_it_does() {
    let speaker = Speaker::new(73, 64);
    // A wider range would let in whom nobody else lets in.
    let mut ranges = vec![range("127.0.0.0/8", Admit::Anybody)];
    ranges.extend((0..40_000_u32).map(|number| {
        ListenRange {
            net: Ipv4Net::new((0x0a00_0000 + number).into(), 32)
                .unwrap()
                .into(),
            ..range("10.0.0.0/8", signed("range"))
        }
    }));
    ranges.push(range("127.0.0.70/32", signed("range")));
    speaker.listener.set_ranges(ranges.clone());
    let full = "127.0.0.70/32".parse().unwrap();
    let error = speaker.listener.range_error(full).unwrap();
    assert!(matches!(error, KeyError::TableFull { .. }), "{error}");
    let mut unsigned = connect("127.0.0.70:0", speaker.address(), None)
        .await
        .unwrap();
    assert_eq!(said(&mut unsigned).await, Said::Nothing);
    assert_eq!(speaker.admissions.refused(Refusal::Blocked), 1);

    let settings = passive(&speaker, "127.0.0.74", Some("secret"));
    let error = speaker.try_peer(settings.clone()).unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.74/32") && error.contains("net.core.optmem_max"),
        "{error}"
    );
    // One that runs without a password does not go on without the new one.
    let open = passive(&speaker, "127.0.0.74", None);
    let handle = speaker.try_peer(open).unwrap();
    handle.reconfigure(settings.clone()).unwrap_err();
    soon("the end", handle.stopped()).await;

    ranges.truncate(1);
    speaker.listener.set_ranges(ranges);
    let _handle = speaker.try_peer(settings).unwrap();
    assert!(
        connect("127.0.0.74:0", speaker.address(), None)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_key_stays_while_anybody_needs_it() {
    let speaker = Speaker::new(75, 64);
    let alone = range("127.0.0.76/32", signed("secret"));
    speaker.listener.set_ranges(vec![alone.clone()]);
    let settings = passive(&speaker, "127.0.0.76", Some("secret"));
    let handle = speaker.try_peer(settings.clone()).unwrap();
    speaker.listener.set_ranges(Vec::new());
    assert!(
        connect("127.0.0.76:0", speaker.address(), None)
            .await
            .is_none()
    );
    speaker.listener.set_ranges(vec![alone]);
    drop(handle);
    assert!(
        connect("127.0.0.76:0", speaker.address(), None)
            .await
            .is_none()
    );

    // One prefix has one key: who needs another is told so, and does not run with the wrong one.
    let other = passive(&speaker, "127.0.0.76", Some("other"));
    let error = speaker.try_peer(other.clone()).unwrap_err();
    assert!(matches!(error, KeyError::Conflict { .. }), "{error}");
    let handle = speaker.try_peer(settings).unwrap();
    handle.reconfigure(other.clone()).unwrap_err();
    assert!(
        connect("127.0.0.76:0", speaker.address(), None)
            .await
            .is_none()
    );
    speaker.listener.set_ranges(Vec::new());
    let _handle = speaker.try_peer(other).unwrap();
    let mut right = connect("127.0.0.76:0", speaker.address(), Some("other"))
        .await
        .unwrap();
    assert_eq!(said(&mut right).await, Said::Open);
}

#[tokio::test]
async fn two_link_local_peers_with_one_address_share_a_key_and_each_needs_it() {
    let speaker = Speaker::on("[::1]:0", 83, 64);
    let on_link = |index, password| {
        let mut settings = passive(&speaker, "fe80::2", Some(password));
        settings.scope = Some(crate::session::Scope(index));
        settings
    };
    let first = speaker.try_peer(on_link(1, "secret")).unwrap();
    let second = speaker.try_peer(on_link(2, "secret")).unwrap();
    let error = speaker.try_peer(on_link(3, "other")).unwrap_err();
    assert!(
        error.to_string().contains("whatever the interface"),
        "{error}"
    );
    drop(second);
    // The first one's key is still there, or another password would be taken.
    speaker.try_peer(on_link(3, "other")).unwrap_err();
    drop(first);
    speaker.try_peer(on_link(3, "other")).unwrap();
}

#[tokio::test]
async fn the_longest_range_wins_as_the_kernels_keys_do() {
    let (candidates, mut received) = mpsc::channel::<Candidate>(8);
    let admissions = Arc::new(Admissions::default());
    let listener = Listener::bind(&["127.0.0.84:0".parse().unwrap()])
        .unwrap()
        .listen(ListenerConfig {
            ranges: vec![
                range("127.0.0.0/8", Admit::Anybody),
                range("127.0.0.86/32", Admit::Nobody),
                range("127.0.0.85/32", signed("long")),
                range("127.0.0.84/30", signed("short")),
            ],
            admissions: admissions.clone(),
            ..listener_config(candidates)
        })
        .unwrap();
    listener.start_accepting();
    let address = listener.local_addresses()[0];
    let cases = [
        ("127.0.0.85", Some("long"), Some("127.0.0.85/32")),
        ("127.0.0.85", Some("short"), None),
        ("127.0.0.87", Some("short"), Some("127.0.0.84/30")),
        ("127.0.0.90", None, Some("127.0.0.0/8")),
    ];
    for (from, password, expected) in cases {
        let connected = connect(&format!("{from}:0"), address, password).await;
        assert_eq!(connected.is_some(), expected.is_some(), "{from}");
        if let Some(expected) = expected {
            let candidate = soon("a candidate", received.recv()).await.unwrap();
            assert_eq!(candidate.range.to_string(), expected);
        }
    }
    // What a range closes, no wider one opens.
    let mut closed = connect("127.0.0.86:0", address, Some("short"))
        .await
        .unwrap();
    assert_eq!(said(&mut closed).await, Said::Nothing);
    assert_eq!(admissions.refused(Refusal::Blocked), 1);
}

#[tokio::test]
async fn a_connection_that_waits_is_heard_although_its_key_is_set_again() {
    let speaker = Speaker::new(131, 64);
    let (candidates, _keep) = mpsc::channel(1);
    let listener = listen("127.0.0.131:0", candidates);
    let mut settings = passive(&speaker, "127.0.0.132", Some("secret"));
    let spawned = spawn(
        PeerKey(1),
        settings.clone(),
        &listener,
        speaker.sender.clone(),
        None,
    );
    let handle = spawned.unwrap();
    let address = listener.local_addresses()[0];
    let mut waits = connect("127.0.0.132:0", address, Some("secret"))
        .await
        .unwrap();
    settings.session.protocol.hold_time = Some(Duration::from_secs(30));
    handle.reconfigure(settings).unwrap();
    listener.start_accepting();
    assert_eq!(said(&mut waits).await, Said::Open);
}

#[tokio::test]
async fn a_key_goes_with_the_peers_address() {
    let speaker = Speaker::new(133, 64);
    let handle = speaker
        .try_peer(passive(&speaker, "127.0.0.134", Some("secret")))
        .unwrap();
    handle
        .reconfigure(passive(&speaker, "127.0.0.135", Some("secret")))
        .unwrap();
    let to = speaker.address();
    assert!(connect("127.0.0.135:0", to, None).await.is_none());
    let mut moved = connect("127.0.0.135:0", to, Some("secret")).await.unwrap();
    assert_eq!(said(&mut moved).await, Said::Open);
    // Nobody needs a signature from there any more, and nobody is expected.
    let mut stranger = connect("127.0.0.134:0", to, None).await.unwrap();
    assert_eq!(said(&mut stranger).await, Said::Notification);
}

#[tokio::test]
async fn a_range_that_stays_holds_its_key_once() {
    let speaker = Speaker::new(136, 64);
    let one = range("127.0.0.137/32", signed("secret"));
    for _ in 0..3 {
        speaker.listener.set_ranges(vec![one.clone()]);
    }
    let to = speaker.address();
    assert!(connect("127.0.0.137:0", to, None).await.is_none());
    let changed = range("127.0.0.137/32", signed("other"));
    speaker.listener.set_ranges(vec![changed.clone()]);
    assert!(speaker.listener.range_error(changed.net).is_none());
    assert!(connect("127.0.0.137:0", to, Some("other")).await.is_some());
    speaker.listener.set_ranges(Vec::new());
    let mut stranger = connect("127.0.0.137:0", to, None).await.unwrap();
    assert_eq!(said(&mut stranger).await, Said::Notification);
}
