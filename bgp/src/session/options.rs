//! Socket options that no safe crate has: TCP MD5 signatures (RFC 2385), the least TTL that is accepted (RFC 5082), and
//! how much lies unread. All `unsafe` of this crate is here.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use ipnet::IpNet;
use libc::{c_int, c_void, socklen_t};
use socket2::{SockAddr, SockRef};

use super::{Password, PeerSettings, Ttl};

/// Class selector 6, network control, as routing protocols use (RFC 4594 section 3.1), in the octet's upper six bits.
const TOS_NETWORK_CONTROL: u32 = 48 << 2;

// linux/tcp.h; not in the libc crate.
const TCP_MD5SIG_EXT: c_int = 32;
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;
const TCP_MD5SIG_MAXKEYLEN: usize = 80;
// linux/in.h and linux/in6.h.
const IP_MINTTL: c_int = 21;
const IPV6_MINHOPCOUNT: c_int = 73;
// linux/tcp.h.
const TCP_SAVE_SYN: c_int = 27;
const TCP_SAVED_SYN: c_int = 28;

/// `struct tcp_md5sig` of linux/tcp.h.
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: c_int,
    key: [u8; TCP_MD5SIG_MAXKEYLEN],
}

/// Requires (or, with `None`, no longer requires) segments between this socket and `net` to be signed.
pub(super) fn set_md5(
    socket: BorrowedFd<'_>,
    net: IpNet,
    key: Option<&Password>,
) -> io::Result<()> {
    let address = SockAddr::from(SocketAddr::new(net.network(), 0));
    let key = key.map_or(&[][..], Password::as_bytes);
    let mut option = TcpMd5Sig {
        // SAFETY: `SockAddrStorage` is a transparent wrapper of `sockaddr_storage`; plain data of the same size.
        address: unsafe {
            mem::transmute::<socket2::SockAddrStorage, libc::sockaddr_storage>(address.as_storage())
        },
        flags: TCP_MD5SIG_FLAG_PREFIX,
        prefix_length: net.prefix_len(),
        key_length: key.len() as u16,
        interface: 0,
        key: [0; TCP_MD5SIG_MAXKEYLEN],
    };
    option.key[..key.len()].copy_from_slice(key);
    set(socket, libc::IPPROTO_TCP, TCP_MD5SIG_EXT, &option)
}

/// TTL, type of service and Nagle for a connection with the peer, before or after it is up.
pub(super) fn prepare(socket: &impl AsFd, settings: &PeerSettings) -> io::Result<()> {
    let options = SockRef::from(socket);
    options.set_tcp_nodelay(true)?;
    let v4 = settings.remote.is_ipv4();
    if v4 {
        options.set_tos_v4(TOS_NETWORK_CONTROL)?;
    } else {
        options.set_tclass_v6(TOS_NETWORK_CONTROL)?;
    }
    let (send, least) = match settings.ttl {
        Ttl::System => return Ok(()),
        Ttl::Hops(hops) => (hops.max(1), None),
        // RFC 5082 section 3: from a neighbour `hops` away arrives 255 less the routers between.
        Ttl::Security { hops } => (255, Some(c_int::from(least_ttl(hops)))),
    };
    if v4 {
        options.set_ttl_v4(send.into())?;
    } else {
        options.set_unicast_hops_v6(send.into())?;
    }
    match least {
        None => Ok(()),
        Some(least) if v4 => set(socket.as_fd(), libc::IPPROTO_IP, IP_MINTTL, &least),
        Some(least) => set(socket.as_fd(), libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least),
    }
}

/// The TTL that a packet from at most `hops` away has left.
const fn least_ttl(hops: u8) -> u8 {
    match hops {
        0 => 255,
        hops => 255 - (hops - 1),
    }
}

/// Has the listener remember SYNs, for [`came_from_near`].
pub(super) fn save_syn(listener: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    set(listener, libc::IPPROTO_TCP, TCP_SAVE_SYN, &on)
}

/// Whether the SYN of an accepted connection passes the peer's TTL security. What a stranger sent between SYN and
/// accept would else be read: the least TTL is the connection's only from [`prepare`] on.
pub(super) fn came_from_near(accepted: &impl AsFd, settings: &PeerSettings) -> io::Result<bool> {
    let Ttl::Security { hops } = settings.ttl else {
        return Ok(true);
    };
    // An IPv6 header is 40 octets and has the hop limit in octet 7; IPv4 has the TTL in octet 8.
    let mut header = [0_u8; 256];
    let mut length = header.len() as socklen_t;
    // SAFETY: the kernel writes at most `length` octets to `header`, both of them live.
    let result = unsafe {
        libc::getsockopt(
            accepted.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_SAVED_SYN,
            header.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let ttl = match header[0] >> 4 {
        4 if length >= 20 => header[8],
        6 if length >= 40 => header[7],
        _ => {
            return Err(io::Error::other(
                "the kernel kept no SYN of this connection",
            ));
        }
    };
    Ok(ttl >= least_ttl(hops))
}

/// How long a handshake's octets may stay unacknowledged before TCP gives up: our OPEN towards a peer that lost the
/// connection would else be repeated for a quarter of an hour. An Established session has its own timers, and
/// must not have this one: it would also end a session whose peer does not read for a while.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Sets or clears the limit on unacknowledged octets of a handshake.
pub(super) fn limit_handshake(socket: &impl AsFd, limited: bool) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(limited.then_some(HANDSHAKE_TIMEOUT))
}

/// Octets that have arrived and were not read.
pub(super) fn unread(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut octets: c_int = 0;
    // SAFETY: FIONREAD writes one int to the address it is given, which is that of a live int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut octets) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(octets).unwrap_or(0))
}

/// The host's own prefix: /32 or /128.
pub(super) fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn set<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let pointer: *const T = value;
    // SAFETY: the kernel reads `size_of::<T>()` octets at `pointer`, which is a live, initialised `T` without padding
    // that matters, and keeps no reference; the descriptor is borrowed, hence open.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            pointer.cast::<c_void>(),
            size_of::<T>() as socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
