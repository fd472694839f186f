//! A filter in the kernel that drops what comes from farther away than one hop: a flood from afar does not reach the thread.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use socket2::Socket;

/// The offset that means the network header, in place of the payload (linux/filter.h).
const NETWORK_HEADER: u32 = libc::SKF_NET_OFF as u32;
/// Where the TTL or hop limit is in it.
const TTL_V4: u32 = 8;
const HOP_LIMIT_V6: u32 = 7;
/// As it is sent, and as it arrives over a single hop (RFC 5881 5).
const WHOLE_TTL: u32 = 255;

/// Has a socket drop datagrams whose TTL or hop limit is not 255. They are counted by [`dropped`].
///
/// # Errors
/// The kernel's. The sessions check the TTL as well.
pub(super) fn single_hop(socket: &Socket, is_v4: bool) -> io::Result<()> {
    let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let place = NETWORK_HEADER.wrapping_add(if is_v4 { TTL_V4 } else { HOP_LIMIT_V6 });
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, place, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, WHOLE_TTL, 0, 1),
        // All of it, and none of it.
        statement(libc::BPF_RET | libc::BPF_K, u32::MAX, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel reads a live `sock_fprog` and the statements that it points to, which outlive the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// How many datagrams the kernel has dropped at a socket: those of the filter, and those for which there was no space.
pub(super) fn dropped(socket: &Socket) -> u64 {
    // `SK_MEMINFO_VARS` and `SK_MEMINFO_DROPS` of linux/sock_diag.h.
    const VARS: usize = 9;
    const DROPS: usize = 8;
    let mut vars = [0_u32; VARS];
    let mut length = size_of_val(&vars) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` octets to a live array of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            vars.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 { 0 } else { vars[DROPS].into() }
}
