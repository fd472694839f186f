//! Which user has a listening abstract socket, by the kernel's own list (sock_diag(7)): without connecting, which
//! whoever has the socket can prevent by keeping its queue full.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `TCP_LISTEN` as a bit of `udiag_states`.
const LISTENING: u32 = 1 << 10;
/// `UDIAG_SHOW_NAME` and `UDIAG_SHOW_UID` (Linux 5.3) of linux/unix_diag.h, and the attributes that they ask for.
const SHOW: u32 = 0x01 | 0x40;
const NAME: u16 = 0;
const UID: u16 = 7;
/// Octets of `struct nlmsghdr` and of `struct unix_diag_msg`.
const HEADER: usize = 16;
const MESSAGE: usize = 16;

/// The answer is there when the request is sent.
const PATIENCE: Duration = Duration::from_millis(500);

/// The user whose socket of this abstract name listens. `None`: there is none, or the kernel does not say.
///
/// # Errors
/// The kernel has no such lists (`CONFIG_UNIX_DIAG`), or gives none to this process.
pub(super) fn user_of(name: &str) -> io::Result<Option<u32>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkSockDiag;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    let patience = TimeVal::new(0, PATIENCE.as_micros() as i64);
    setsockopt(&fd, sockopt::ReceiveTimeout, &patience)?;
    send(fd.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                BY_FAMILY => match user_in(body, name) {
                    Some(uid) => return Ok(Some(uid)),
                    None => rest = next,
                },
                // NLMSG_DONE, or NLMSG_ERROR.
                _ => return Ok(None),
            }
        }
    }
}

/// Every listening socket of this network namespace.
fn request() -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::with_capacity(HEADER + 24);
    bytes.extend((HEADER as u32 + 24).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and port, then struct unix_diag_req: family, protocol, padding, states, inode, what to show, no cookie.
    bytes.extend([0; 8]);
    bytes.extend([libc::AF_UNIX as u8, 0, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(SHOW.to_ne_bytes());
    bytes.extend([u8::MAX; 8]);
    bytes
}

/// The type and the body of the first message, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    Some((
        kind,
        body,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}

/// The user of a socket, if it has this abstract name.
fn user_in(body: &[u8], name: &str) -> Option<u32> {
    let (mut is_it, mut uid) = (false, None);
    let mut rest = body.get(MESSAGE..)?;
    while let Some((kind, value, next)) = attribute(rest) {
        match kind {
            NAME => is_it = value.strip_prefix(&[0]) == Some(name.as_bytes()),
            UID => uid = Some(u32::from_ne_bytes(*value.first_chunk()?)),
            _ => {}
        }
        rest = next;
    }
    uid.filter(|_| is_it)
}

/// The type and the value of the first attribute, and what follows it.
fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
    let value = bytes.get(4..length)?;
    Some((
        kind,
        value,
        bytes.get(length.next_multiple_of(4)..).unwrap_or_default(),
    ))
}
