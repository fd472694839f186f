//! The sockets: one for each port and family to receive, one for each session to send (RFC 5881 4, RFC 5883 5).
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::filter;
use crate::packet::Datagram;
use crate::random::Random;
use crate::sessions::{Hops, SessionKey};

/// Source ports (RFC 5881 4).
const SOURCE_PORTS: (u32, u32) = (49_152, 65_535);
/// Ports that are tried: they are drawn at random, and of 16,384 few are taken.
const ATTEMPTS: usize = 16;
/// The TTL of all packets (RFC 5881 5).
const TTL: u32 = 255;
/// Class selector 6, network control (RFC 4594 3.1), in the upper six bits.
const TRAFFIC_CLASS: u32 = 48 << 2;
/// Before other packets in the queue of the interface: `TC_PRIO_CONTROL` of linux/pkt_sched.h.
const CONTROL_PRIORITY: libc::c_int = 7;
/// What may wait to be read, in octets of the kernel's reckoning: the packets of 256 sessions for a second at 10 ms.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;
/// Each datagram takes so much of it at least.
const LEAST_SHARE: usize = 512;
/// More datagrams than can wait: when as many were read, all that had arrived before was.
pub(super) const MOST_WAITING: usize = RECEIVE_BUFFER as usize / LEAST_SHARE;

/// The port of control packets (RFC 5881 4, RFC 5883 5).
pub(super) fn port(hops: Hops) -> u16 {
    match hops {
        Hops::Single => 3784,
        Hops::Multi => 4784,
    }
}

/// A socket that receives control packets of one family.
pub(super) fn receiver(is_v4: bool, hops: Hops) -> io::Result<Socket> {
    let (domain, any): (_, IpAddr) = if is_v4 {
        (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into())
    } else {
        (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into())
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let options = if is_v4 {
        [
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            (libc::IPPROTO_IP, libc::IP_RECVTTL),
        ]
    } else {
        socket.set_only_v6(true)?;
        [
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
        ]
    };
    for (level, name) in options {
        set(socket.as_fd(), level, name, 1)?;
    }
    // Beyond the system's limit if that is permitted (CAP_NET_ADMIN).
    if set(
        socket.as_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        RECEIVE_BUFFER / 2,
    )
    .is_err()
    {
        set(
            socket.as_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            RECEIVE_BUFFER / 2,
        )?;
    }
    if hops == Hops::Single {
        // Before packets can arrive. Without it they are discarded all the same, at the cost of the thread.
        let _ = filter::single_hop(&socket, is_v4);
    }
    // No other daemon shares the port: it would get packets of ours.
    socket.bind(&SocketAddr::new(any, port(hops)).into())?;
    Ok(socket)
}

/// Sends the packets of one session: all from one port, which no other session has.
#[derive(Debug)]
pub(super) struct Sender(Socket);

impl Sender {
    /// A socket for a session.
    ///
    /// # Errors
    /// The kernel's: the address is not ours (yet), the interface is gone, no port is free.
    pub(super) fn open(key: &SessionKey, random: &mut Random) -> io::Result<Self> {
        let is_v4 = key.local.is_ipv4();
        let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if is_v4 {
            socket.set_ttl_v4(TTL)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        } else {
            socket.set_unicast_hops_v6(TTL)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
        // Behind the class, which sets it too. The highest needs CAP_NET_ADMIN.
        let priority = |value| set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, value);
        priority(CONTROL_PRIORITY).or_else(|_| priority(CONTROL_PRIORITY - 1))?;
        if let Some(index) = key.interface {
            let index = index.get().cast_signed();
            set(
                socket.as_fd(),
                libc::SOL_SOCKET,
                libc::SO_BINDTOIFINDEX,
                index,
            )?;
        }
        // Nothing is sent to this port: what arrives there all the same takes no memory.
        set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 1)?;
        let mut last = io::ErrorKind::AddrInUse.into();
        for _ in 0..ATTEMPTS {
            let drawn = random.between(SOURCE_PORTS.0, SOURCE_PORTS.1);
            let port = u16::try_from(drawn).unwrap_or(u16::MAX);
            match socket.bind(&address(key.local, port, key.interface)) {
                Ok(()) => {
                    // The route is looked up once, and again when routes change.
                    socket.connect(&address(key.remote, self::port(key.hops), key.interface))?;
                    return Ok(Self(socket));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Sends one packet.
    ///
    /// # Errors
    /// The kernel's: there is no route, or the interface is down. The packet counts as lost.
    pub(super) fn send(&self, datagram: &Datagram) -> io::Result<()> {
        let send = || self.0.send(datagram.octets()).map(drop);
        match send() {
            // What the remote system said to an earlier packet: it has no BFD (yet). This one was not sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => send(),
            result => result,
        }
    }
}

/// An address with what the kernel needs beside it.
fn address(address: IpAddr, port: u16, interface: Option<NonZeroU32>) -> SockAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            let scope = interface.map_or(0, NonZeroU32::get);
            SocketAddrV6::new(v6, port, 0, scope).into()
        }
        other => SocketAddr::new(other, port).into(),
    }
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the kernel reads one live int; the descriptor is borrowed, hence open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
