//! Socket options, read back from real sockets.
#![allow(unsafe_code)]

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use libc::{c_int, socklen_t};
use socket2::{Domain, SockRef, Socket, Type};

use super::harness::soon;
use crate::fsm::{Config, RemoteAsn};
use crate::session::{Password, PeerSettings, Ttl, connect, options};
use crate::types::{Asn, BgpIdentifier};

// linux/in.h and linux/in6.h.
const IP_MINTTL: c_int = 21;
const IPV6_MINHOPCOUNT: c_int = 73;
/// Class selector 6 (RFC 4594 section 3.1) in the octet's upper six bits.
const NETWORK_CONTROL: u32 = 0xc0;

fn number(socket: &impl AsFd, level: c_int, name: c_int) -> c_int {
    let mut value: c_int = -1;
    let mut length = size_of::<c_int>() as socklen_t;
    // SAFETY: the kernel writes at most `length` octets to a live int.
    let result = unsafe {
        let pointer = (&raw mut value).cast();
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            pointer,
            &raw mut length,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    value
}

/// What a socket's packets have, and the least that it accepts: TTL or hop limit.
fn ttls(socket: &impl AsFd, v4: bool) -> (u32, c_int) {
    let options = SockRef::from(socket);
    if v4 {
        (
            options.ttl_v4().unwrap(),
            number(socket, libc::IPPROTO_IP, IP_MINTTL),
        )
    } else {
        let least = number(socket, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT);
        (options.unicast_hops_v6().unwrap(), least)
    }
}

fn settings(remote: SocketAddr, ttl: Ttl) -> PeerSettings {
    let config = Config::new(Asn(1), BgpIdentifier(1), RemoteAsn::Any, 1);
    let mut settings = PeerSettings::new(remote.ip(), config);
    settings.session.port = remote.port();
    settings.session.transport.ttl = ttl;
    settings
}

fn socket(address: IpAddr) -> Socket {
    Socket::new(Domain::for_address((address, 0).into()), Type::STREAM, None).unwrap()
}

/// The ways to set a TTL, with what is sent and the least that is accepted; the system's own is `None`.
const TTLS: [(Ttl, Option<u32>, c_int); 7] = [
    (Ttl::System, None, 0),
    (Ttl::Hops(0), Some(1), 0),
    (Ttl::Hops(1), Some(1), 0),
    (Ttl::Hops(64), Some(64), 0),
    (Ttl::Security { hops: 1 }, Some(255), 255),
    (Ttl::Security { hops: 2 }, Some(255), 254),
    (Ttl::Security { hops: 255 }, Some(255), 1),
];

#[test]
fn rfc_5082_ttl_and_the_least_that_is_accepted_are_set_in_both_families() {
    for address in ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap()) {
        for (ttl, sent, least) in TTLS {
            let socket = socket(address);
            let system = ttls(&socket, address.is_ipv4()).0;
            options::prepare(&socket, &settings((address, 0).into(), ttl)).unwrap();
            let expected = (sent.unwrap_or(system), least);
            assert_eq!(
                ttls(&socket, address.is_ipv4()),
                expected,
                "{address} {ttl:?}"
            );
        }
        // No hops at all is as near as one can be.
        let socket = socket(address);
        let none = settings((address, 0).into(), Ttl::Security { hops: 0 });
        options::prepare(&socket, &none).unwrap();
        assert_eq!(ttls(&socket, address.is_ipv4()), (255, 255));
    }
}

#[tokio::test]
async fn what_is_dialled_has_its_options_before_the_syn() {
    for (number, local) in (1..).zip(["127.0.0.71", "::1"]) {
        let local: IpAddr = local.parse().unwrap();
        let listener = TcpListener::bind((local, 0)).unwrap();
        let mut settings = settings(
            listener.local_addr().unwrap(),
            Ttl::Security { hops: number },
        );
        settings.session.transport.local = Some(local);
        options::save_syn(listener.as_fd()).unwrap();
        // Else its SYN-ACK would come from too far away.
        let mut near = settings.clone();
        near.session.transport.ttl = Ttl::Hops(255);
        options::prepare(&listener, &near).unwrap();
        let dialled = soon("a connection", connect::dial(settings.clone()))
            .await
            .unwrap();
        let (accepted, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), local);
        // The SYN itself came with 255.
        assert_eq!(options::saved_syn(&accepted).unwrap().unwrap().ttl, 255);
        let read = SockRef::from(&dialled);
        assert!(read.tcp_nodelay().unwrap());
        assert_eq!(
            read.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(20))
        );
        let least = c_int::from(256 - u16::from(number));
        assert_eq!(ttls(&dialled, local.is_ipv4()), (255, least));
        let class = if local.is_ipv4() {
            read.tos_v4().unwrap()
        } else {
            read.tclass_v6().unwrap()
        };
        assert_eq!(class, NETWORK_CONTROL, "{local}");
    }
}

#[test]
fn the_limit_of_a_handshake_can_be_set_and_lifted() {
    let socket = socket([127, 0, 0, 1].into());
    let timeout = || SockRef::from(&socket).tcp_user_timeout().unwrap();
    options::limit_handshake(&socket, true).unwrap();
    assert_eq!(timeout(), Some(Duration::from_secs(20)));
    options::limit_handshake(&socket, false).unwrap();
    assert_eq!(timeout().unwrap_or_default(), Duration::ZERO);
}

#[test]
fn a_syn_from_farther_than_allowed_is_known() {
    for address in ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap()) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        options::save_syn(listener.as_fd()).unwrap();
        let remote = listener.local_addr().unwrap();
        for (sent, hops, near) in [
            (255, 1, true),
            (254, 1, false),
            (254, 2, true),
            (253, 2, false),
            (64, 192, true),
            (64, 191, false),
        ] {
            let connecting = socket(address);
            options::prepare(&connecting, &settings(remote, Ttl::Hops(sent))).unwrap();
            connecting.connect(&remote.into()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let syn = options::saved_syn(&accepted).unwrap().unwrap();
            let found = syn.ttl >= options::least_ttl(hops);
            assert_eq!(found, near, "{address}: {sent} from {hops} away");
        }
        // A listener that was not asked to keeps no SYN.
        let unsaved = TcpListener::bind((address, 0)).unwrap();
        let remote = unsaved.local_addr().unwrap();
        let _stream = TcpStream::connect(remote).unwrap();
        let (accepted, _) = unsaved.accept().unwrap();
        assert!(options::saved_syn(&accepted).unwrap().is_none());
    }
}

#[test]
fn octets_that_lie_unread_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(options::unread(accepted.as_fd()).unwrap(), 0);
    stream.write_all(&[7; 1234]).unwrap();
    // Over loopback they are there when the call returns.
    assert_eq!(options::unread(accepted.as_fd()).unwrap(), 1234);
}

#[test]
fn what_the_kernel_does_not_say_is_an_error_and_not_a_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // A socket that listens has nothing to read.
    options::unread(listener.as_fd()).unwrap_err();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    options::backlog(datagrams.as_fd()).unwrap_err();
    options::saved_syn(&datagrams).unwrap_err();
    options::save_syn(datagrams.as_fd()).unwrap_err();
}

#[test]
fn an_accepted_connection_has_an_incoming_interface_and_a_dialled_one_has_none() {
    for address in ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap()) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let v4 = address.is_ipv4();
        let index = options::incoming_interface(&accepted, v4).unwrap();
        assert!(options::is_interface(index, "lo"), "{address}: {index}");
        options::incoming_interface(&dialled, v4).unwrap_err();
    }
}

#[test]
fn an_interface_is_known_by_its_own_name() {
    // SAFETY: the name is a string with its final 0.
    let lo = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    assert!(options::is_interface(lo, "lo"));
    for (index, name) in [
        (lo, "l"),
        (lo, "lo0"),
        (lo, ""),
        (0, "lo"),
        (u32::MAX, "lo"),
    ] {
        assert!(!options::is_interface(index, name), "{index} {name:?}");
    }
}

/// Whether a connection came up by now.
fn is_up(socket: &Socket) -> bool {
    socket.peer_addr().is_ok()
}

#[test]
fn rfc_2385_a_key_is_for_its_addresses_and_until_it_is_taken_away() {
    let listener = TcpListener::bind("127.0.0.72:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let key: Password = "secret".parse().unwrap();
    let other: Password = "Secret".parse().unwrap();
    let near = "127.0.0.73/32".parse().unwrap();
    options::set_md5(listener.as_fd(), near, Some(&key)).unwrap();
    let dial = |from: [u8; 4], key: Option<&Password>| {
        let socket = socket(remote.ip());
        if let Some(key) = key {
            options::set_md5(socket.as_fd(), options::host(remote.ip()), Some(key)).unwrap();
        }
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        // In progress, or up at once.
        drop(socket.connect(&remote.into()));
        socket
    };
    let unsigned = dial([127, 0, 0, 73], None);
    let wrong = dial([127, 0, 0, 73], Some(&other));
    let needless = dial([127, 0, 0, 74], Some(&key));
    // Over loopback a handshake is over when the call returns: these two say that the others had their time.
    assert!(
        is_up(&dial([127, 0, 0, 73], Some(&key))),
        "signed as agreed"
    );
    assert!(
        is_up(&dial([127, 0, 0, 74], None)),
        "nobody has a key for this one"
    );
    for (socket, name) in [
        (unsigned, "unsigned"),
        (wrong, "wrong key"),
        (needless, "unknown key"),
    ] {
        assert!(!is_up(&socket), "{name}");
    }
    options::set_md5(listener.as_fd(), near, None).unwrap();
    assert!(
        is_up(&dial([127, 0, 0, 73], None)),
        "the key was taken away"
    );
    options::set_md5(listener.as_fd(), near, None).unwrap_err();
}
