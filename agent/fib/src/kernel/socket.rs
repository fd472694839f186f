//! Netlink sockets: the system calls, and nothing else.
#![allow(unsafe_code)] // Options of netlink sockets, socket filters and poll are not in nix as this project uses it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::ChannelError;

/// A socket of the routing family.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    port: u32,
}

fn broken(call: &'static str) -> impl Fn(nix::errno::Errno) -> ChannelError {
    move |e| ChannelError::Io {
        call,
        source: io::Error::from(e).into(),
    }
}

impl Socket {
    /// Opens one. `groups` are bits of `RTMGRP_*` to listen to.
    pub(super) fn open(groups: u32, nonblocking: bool) -> Result<Self, ChannelError> {
        let mut flags = SockFlag::SOCK_CLOEXEC;
        flags.set(SockFlag::SOCK_NONBLOCK, nonblocking);
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            flags,
            SockProtocol::NetlinkRoute,
        )
        .map_err(broken("socket"))?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(broken("bind"))?;
        let port = getsockname::<NetlinkAddr>(fd.as_raw_fd())
            .map_err(broken("getsockname"))?
            .pid();
        let socket = Self { fd, port };
        // The kernel's own words about a failure, without a copy of the request.
        socket.netlink_option(libc::NETLINK_EXT_ACK)?;
        socket.netlink_option(libc::NETLINK_CAP_ACK)?;
        // Listings without cached clones of routes. Linux 4.20; older ones list too much, which decoding drops.
        let _ = socket.netlink_option(libc::NETLINK_GET_STRICT_CHK);
        Ok(socket)
    }

    /// The address that the kernel gave it, as notifications name their cause.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    fn netlink_option(&self, option: libc::c_int) -> Result<(), ChannelError> {
        let on: libc::c_int = 1;
        // SAFETY: the pointer and the length are those of a live c_int; the kernel only reads it.
        let rc = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            )
        };
        ok(rc, "setsockopt")
    }

    /// Asks for a receive buffer of so many bytes, past the system's limit if the process may.
    pub(super) fn receive_buffer(&self, bytes: usize) {
        if setsockopt(&self.fd, sockopt::RcvBufForce, &bytes).is_err() {
            let _ = setsockopt(&self.fd, sockopt::RcvBuf, &bytes);
        }
    }

    /// Bounds how long [`Self::receive`] waits.
    pub(super) fn receive_timeout(&self, timeout: Duration) -> Result<(), ChannelError> {
        let timeout = TimeVal::new(timeout.as_secs() as i64, timeout.subsec_micros().into());
        setsockopt(&self.fd, sockopt::ReceiveTimeout, &timeout).map_err(broken("setsockopt"))
    }

    /// Drops, inside the kernel, notifications that requests from these ports caused: one for each route that we install.
    pub(super) fn ignore_changes_of(&self, ports: &[u32]) -> Result<(), ChannelError> {
        const OFFSET_OF_PORT: u32 = 12; // in struct nlmsghdr
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        let op = |code: u32, jt, k| libc::sock_filter {
            code: code as u16,
            jt,
            jf: 0,
            k,
        };
        let mut program = vec![op(LOAD, 0, OFFSET_OF_PORT)];
        for (i, port) in ports.iter().enumerate() {
            // Past those that are left and the end for what is heard. A filter loads words in network order, the header has them in
            // the host's.
            let past = (ports.len() - i) as u8;
            program.push(op(EQUAL, past, u32::from_be_bytes(port.to_ne_bytes())));
        }
        program.push(op(RETURN, 0, u32::MAX));
        program.push(op(RETURN, 0, 0));
        let filter = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: `filter` points at `program`, whose length it says; the kernel copies both during the call.
        let rc = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const filter).cast(),
                size_of_val(&filter) as libc::socklen_t,
            )
        };
        ok(rc, "setsockopt(SO_ATTACH_FILTER)")
    }

    /// Sends one datagram.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), ChannelError> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(broken("send")(e)),
            }
        }
    }

    /// Receives one datagram. The error is the system's, since what it means depends on the caller.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<usize, nix::errno::Errno> {
        loop {
            match recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => {}
                other => return other,
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until one of the descriptors can be read, or for so long. Returns which can.
pub(in super::super) fn wait<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // Rounded up, so that a deadline has passed when the wait for it is over.
    let timeout = timeout.map_or(-1, |t| {
        t.as_millis().saturating_add(1).min(i32::MAX as u128) as i32
    });
    // SAFETY: the pointer and the count are those of a live array.
    let rc = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout) };
    if rc < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok([false; N]);
    }
    Ok(polled.map(|p| p.revents != 0))
}

fn ok(rc: libc::c_int, call: &'static str) -> Result<(), ChannelError> {
    if rc == 0 {
        return Ok(());
    }
    Err(ChannelError::Io {
        call,
        source: io::Error::last_os_error().into(),
    })
}
