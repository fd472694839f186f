//! Socket options that no safe crate has: TCP MD5 signatures (RFC 2385), the least TTL that is accepted (RFC 5082), what
//! the kernel knows of an accepted connection, and how much lies unread. All `unsafe` of this crate is here.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use ipnet::IpNet;
use libc::{c_int, c_void, socklen_t};
use socket2::{SockAddr, SockRef};

use super::syn::{self, Syn};
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
// linux/in.h and linux/in6.h.
const IP_PKTOPTIONS: c_int = 9;
const IPV6_2292PKTOPTIONS: c_int = 6;

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
    set_ttl(socket, v4, settings.session.transport.ttl)
}

/// The TTL of what is sent, and the least that is accepted.
pub(super) fn set_ttl(socket: &impl AsFd, v4: bool, ttl: Ttl) -> io::Result<()> {
    let options = SockRef::from(socket);
    let (send, least) = match ttl {
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
pub(super) const fn least_ttl(hops: u8) -> u8 {
    match hops {
        0 => 255,
        hops => 255 - (hops - 1),
    }
}

/// Has the listener remember SYNs, for [`saved_syn`].
pub(super) fn save_syn(listener: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    set(listener, libc::IPPROTO_TCP, TCP_SAVE_SYN, &on)
}

/// The SYN of an accepted connection. The kernel gives it once, and has none if it answered with a SYN cookie.
pub(super) fn saved_syn(accepted: &impl AsFd) -> io::Result<Option<Syn>> {
    // Enough for every header of IPv4, and in IPv6 for 396 octets of extension headers: more is refused.
    let mut packet = [0_u8; 512];
    let length = read(
        accepted.as_fd(),
        libc::IPPROTO_TCP,
        TCP_SAVED_SYN,
        &mut packet,
    )?;
    match &packet[..length] {
        [] => Ok(None),
        packet => syn::parse(packet).map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the kernel's copy of the SYN is not one",
            )
        }),
    }
}

/// The interface by which an accepted connection came in: that of the last packet of TCP's handshake. The kernel keeps it
/// beside the connection, and gives it as if it were a packet's.
pub(super) fn incoming_interface(accepted: &impl AsFd, v4: bool) -> io::Result<u32> {
    let socket = accepted.as_fd();
    let (on, off): (c_int, c_int) = (1, 0);
    let mut message = [0_u8; 256];
    let (length, level, kind) = if v4 {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, &on)?;
        let length = read(socket, libc::IPPROTO_IP, IP_PKTOPTIONS, &mut message)?;
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, &off)?;
        (length, libc::IPPROTO_IP, libc::IP_PKTINFO)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &on)?;
        let length = read(
            socket,
            libc::IPPROTO_IPV6,
            IPV6_2292PKTOPTIONS,
            &mut message,
        )?;
        // Else the kernel keeps a copy of each packet.
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &off)?;
        (length, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
    };
    let message = &message[..length];
    // `struct cmsghdr`: length, level, kind; then `in_pktinfo` with the index first, or `in6_pktinfo` with it behind the
    // address.
    let word = size_of::<usize>();
    let integer = |at: usize| {
        Some(c_int::from_ne_bytes(
            message.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    let index = word + 8 + if v4 { 0 } else { 16 };
    match (integer(word), integer(word + 4), integer(index)) {
        (Some(l), Some(k), Some(index)) if l == level && k == kind && index > 0 => {
            Ok(index.unsigned_abs())
        }
        _ => Err(io::Error::other(
            "the kernel does not say by which interface the connection came",
        )),
    }
}

/// Whether the interface with this index has this name, or is part of one that has (a VRF).
pub(super) fn is_interface(index: u32, name: &str) -> bool {
    let mut buffer = [0 as libc::c_char; libc::IF_NAMESIZE];
    // SAFETY: the kernel's name of at most IF_NAMESIZE octets with its final 0 is written to `buffer`, which is that long.
    let found = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr()) };
    if found.is_null() {
        return false;
    }
    // SAFETY: `buffer` now holds a string with its final 0.
    let own = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    let Ok(own) = own.to_str() else {
        return false;
    };
    own == name
        || std::fs::read_link(format!("/sys/class/net/{own}/master"))
            .is_ok_and(|master| master.file_name().is_some_and(|master| master == name))
}

/// Connections in the accept queue of a listening socket.
pub(super) fn backlog(listener: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = [0_u8; size_of::<libc::tcp_info>()];
    let length = read(listener, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    let at = mem::offset_of!(libc::tcp_info, tcpi_unacked);
    match info[..length].get(at..at + 4).map(TryInto::try_into) {
        // Of a listening socket, linux/tcp.h calls the queue so.
        Some(Ok(waiting)) => Ok(u32::from_ne_bytes(waiting).into()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
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

/// Fills `value` as far as the kernel has something, and says how far.
fn read(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut length = value.len() as socklen_t;
    // SAFETY: the kernel writes at most `length` octets to `value`, both of them live; the descriptor is borrowed, hence
    // open.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value.len().min(length as usize))
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
