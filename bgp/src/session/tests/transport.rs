//! Sockets: passwords, TTLs, addresses.

use std::time::Duration;

use super::harness::{Speaker, listen, soon};
use crate::fsm::State;
use crate::session::{BindError, Listener, Refusal, Ttl};
use crate::wire::MessageKind;

#[tokio::test]
async fn equal_passwords_meet_and_different_ones_do_not() {
    let (mut a, mut b) = (Speaker::new(51, 64), Speaker::new(52, 64));
    let mut settings = a.settings(&b);
    settings.password = Some("secret".parse().unwrap());
    settings.session.protocol.connect_timeout = Duration::from_secs(1);
    let a_handle = a.peer(settings);
    let mut other = b.settings(&a);
    other.password = Some("other".parse().unwrap());
    other.session.protocol.passive = true;
    let b_handle = b.peer(other.clone());
    let mut watch = a_handle.watch();
    soon(
        "an attempt that failed",
        watch.wait_for(|status| status.last_down.is_some()),
    )
    .await
    .unwrap();
    assert_eq!(b_handle.counters().received(MessageKind::Open), 0);

    other.password = Some("secret".parse().unwrap());
    b_handle.reconfigure(other).unwrap();
    a.up().await;
    b.up().await;
}

#[tokio::test]
async fn direct_neighbours_meet_with_a_ttl_of_1() {
    let (mut a, mut b) = (Speaker::new(53, 64), Speaker::new(54, 64));
    let _b_handle = b.passive(&a);
    let mut settings = a.settings(&b);
    settings.session.transport.ttl = Ttl::Hops(1);
    let _a_handle = a.peer(settings);
    a.up().await;
    b.up().await;
}

#[tokio::test]
async fn rfc_5082_ttl_security_drops_what_comes_from_afar() {
    let (mut a, mut b) = (Speaker::new(59, 64), Speaker::new(60, 64));
    let mut settings = b.settings(&a);
    settings.session.transport.ttl = Ttl::Security { hops: 1 };
    settings.session.protocol.passive = true;
    let b_handle = b.peer(settings);
    let mut settings = a.settings(&b);
    settings.session.transport.ttl = Ttl::Hops(64);
    let a_handle = a.peer(settings.clone());
    let mut watch = a_handle.watch();
    let refused = watch.wait_for(|status| status.last_down.is_some());
    soon("an attempt that failed", refused).await.unwrap();
    settings.session.transport.ttl = Ttl::Security { hops: 1 };
    a_handle.reconfigure(settings).unwrap();
    a.up().await;
    b.up().await;
    assert!(b.admissions.refused(Refusal::TooFar) >= 1);
    assert_eq!(b_handle.counters().received(MessageKind::Open), 1);
}

#[tokio::test]
async fn ipv6_works_as_ipv4_does() {
    let (mut a, mut b) = (
        Speaker::on("[::1]:0", 55, 64),
        Speaker::on("[::1]:0", 56, 64),
    );
    let b_handle = b.passive(&a);
    let mut settings = a.settings(&b);
    settings.session.transport.ttl = Ttl::Security { hops: 1 };
    let _a_handle = a.peer(settings);
    let a_up = a.up().await;
    b.up().await;
    assert!(a_up.remote.is_ipv6());
    drop(b_handle);
}

#[tokio::test]
async fn an_address_in_use_is_named_with_what_to_do() {
    let first = Speaker::new(57, 1);
    let address = first.address();
    let error = Listener::bind(&[address]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {address}: ")),
        "{text}"
    );
    assert!(text.contains("another program listens there"), "{text}");
    let error = Listener::bind(&["192.0.2.77:0".parse().unwrap()]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no interface of this host has the address"),
        "{error}"
    );
}

#[test]
fn a_port_that_needs_a_capability_is_named_with_it() {
    let error = BindError {
        address: ([192, 0, 2, 1], 179).into(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    let text = error.to_string();
    assert!(text.contains("192.0.2.1:179"), "{text}");
    assert!(text.contains("CAP_NET_BIND_SERVICE"), "{text}");
}

#[tokio::test]
async fn a_stranger_is_told_connection_rejected() {
    use tokio::io::AsyncReadExt;
    let speaker = Speaker::new(58, 1);
    let mut stream = tokio::net::TcpStream::connect(speaker.address())
        .await
        .unwrap();
    let mut octets = Vec::new();
    soon("the end", stream.read_to_end(&mut octets))
        .await
        .unwrap();
    assert_eq!(octets[16..], [0, 21, 3, 6, 5]);
}

#[tokio::test]
async fn a_closed_listener_has_given_its_address_back() {
    let (candidates, _connecting) = tokio::sync::mpsc::channel(1);
    let first = listen("127.0.0.61:0", candidates.clone());
    let address = first.local_addresses()[0];
    // A listener that is only dropped gives it back a moment later.
    first.close().await;
    let second = listen(&address.to_string(), candidates);
    let clone = second.clone();
    second.close().await;
    Listener::bind(&[address]).unwrap_err();
    assert_eq!(clone.local_addresses(), [address]);
}

/// A peer that has said that it ended drops its clone a moment later.
#[tokio::test]
async fn a_listener_that_closes_waits_for_clones_that_are_about_to_go() {
    let (candidates, _connecting) = tokio::sync::mpsc::channel(1);
    let listener = listen("127.0.0.61:0", candidates);
    let address = listener.local_addresses()[0];
    let clone = listener.clone();
    let mut closing = std::pin::pin!(listener.close());
    let is_closed = std::future::poll_fn(|context| {
        std::task::Poll::Ready(closing.as_mut().poll(context).is_ready())
    });
    assert!(!is_closed.await, "the socket is open");
    drop(clone);
    soon("the end", closing).await;
    Listener::bind(&[address]).unwrap();
}

#[tokio::test]
async fn a_connection_that_comes_before_its_peer_waits_for_it() {
    let mut a = Speaker::new(91, 64);
    let mut b = Speaker::new(92, 64);
    let (candidates, _) = tokio::sync::mpsc::channel(1);
    b.listener = listen("127.0.0.92:0", candidates);
    let a_handle = a.peer(a.settings(&b));
    let mut watch = a_handle.watch();
    soon(
        "the OPEN of the one that dials",
        watch.wait_for(|status| status.state == State::OpenSent),
    )
    .await
    .unwrap();
    let _b_handle = b.passive(&a);
    b.listener.start_accepting();
    a.up().await;
    b.up().await;
    assert_eq!(watch.borrow().last_down, None);
}
