//! Many datagrams with one system call, and what the kernel says beside each: its TTL, our address, the interface.
//!
//! The kernel accepts IP_MINTTL for UDP and does not enforce it, so the TTL is read from the control message. All buffers are
//! made once.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams of one call.
pub(super) const BATCH: usize = 32;
/// Octets kept of a datagram: more than a BFD packet can have (RFC 5880 4.1: Length is one octet).
const PAYLOAD: usize = 256;
/// The longest address: `struct sockaddr_in6`.
const NAME: usize = size_of::<libc::sockaddr_in6>();
/// Room for two control messages: `in6_pktinfo` and a hop limit, each behind its header.
const CONTROL: usize = 128;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Buffer<const N: usize>([u8; N]);

/// Datagrams, and buffers for the next ones.
pub(super) struct Batch {
    payloads: Vec<Buffer<PAYLOAD>>,
    names: Vec<Buffer<NAME>>,
    controls: Vec<Buffer<CONTROL>>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// How many headers, from the first, the kernel has filled since they were set.
    used: usize,
}

// SAFETY: the pointers in `vectors` and `headers` are only used within `receive`, and point to buffers of this very value on
// the heap, which are never moved or resized.
unsafe impl Send for Batch {}

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) payload: &'a [u8],
    pub(super) remote: IpAddr,
    pub(super) local: IpAddr,
    pub(super) interface: Option<NonZeroU32>,
    /// 0 if the kernel does not say.
    pub(super) ttl: u8,
}

impl Batch {
    pub(super) fn new() -> Self {
        let vector = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        // SAFETY: plain data, of which zeros are a valid value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            payloads: vec![Buffer([0; PAYLOAD]); BATCH],
            names: vec![Buffer([0; NAME]); BATCH],
            controls: vec![Buffer([0; CONTROL]); BATCH],
            vectors: vec![vector; BATCH],
            headers: vec![header; BATCH],
            used: BATCH,
        }
    }

    /// Takes what waits at a socket, at most [`BATCH`] datagrams. Returns how many there were; 0 if none waited.
    ///
    /// # Errors
    /// The kernel's; that nothing waits is none.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for at in 0..std::mem::take(&mut self.used) {
            self.vectors[at] = libc::iovec {
                iov_base: self.payloads[at].0.as_mut_ptr().cast(),
                iov_len: PAYLOAD,
            };
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = self.names[at].0.as_mut_ptr().cast();
            header.msg_namelen = NAME as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[at].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
            header.msg_flags = 0;
        }
        // SAFETY: `headers` has BATCH elements, each of which points to buffers of this value with their true lengths, none of
        // which moves during the call; a null timeout means none; the descriptor is borrowed, hence open.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        match usize::try_from(received) {
            Ok(count) => {
                self.used = count.min(BATCH);
                Ok(self.used)
            }
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                error => Err(error),
            },
        }
    }

    /// The datagram at a place of those that [`Batch::receive`] counted. `None` if the kernel does not say where it is from
    /// or what it was sent to.
    pub(super) fn message(&self, at: usize) -> Option<Message<'_>> {
        let header = self.headers.get(at)?;
        let length = usize::try_from(header.msg_len).ok()?.min(PAYLOAD);
        let control = &self.controls[at].0[..header.msg_hdr.msg_controllen.min(CONTROL)];
        let (mut local, mut interface, mut ttl) = (None, None, 0);
        for (level, kind, data) in ControlMessages(control) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // `struct in_pktinfo`: index, our address, the address in the packet.
                    interface = integer(data, 0);
                    local = data.get(8..12).and_then(address);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // `struct in6_pktinfo`: the address in the packet, index.
                    interface = integer(data, 16);
                    local = data.get(..16).and_then(address);
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    ttl = integer(data, 0).map_or(0, |ttl| u8::try_from(ttl).unwrap_or(0));
                }
                _ => {}
            }
        }
        let name = &self.names[at].0;
        let family = u16::from_ne_bytes([name[0], name[1]]);
        let remote = match libc::c_int::from(family) {
            libc::AF_INET => address(&name[4..8]),
            libc::AF_INET6 => address(&name[8..24]),
            _ => None,
        };
        Some(Message {
            payload: &self.payloads[at].0[..length],
            remote: remote?,
            local: local?,
            interface: interface.and_then(NonZeroU32::new),
            ttl,
        })
    }
}

/// The messages in a buffer that `recvmsg` has filled: level, kind and data of each.
struct ControlMessages<'a>(&'a [u8]);

impl<'a> Iterator for ControlMessages<'a> {
    type Item = (libc::c_int, libc::c_int, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // `struct cmsghdr`: the length with this header, level, kind; the next one begins at a multiple of a word.
        let word = size_of::<usize>();
        let header = word + 8;
        let length = usize::from_ne_bytes(self.0.get(..word)?.try_into().ok()?);
        let message = self.0.get(..length).filter(|_| length >= header)?;
        let number = |at: usize| integer(message, at).map(u32::cast_signed);
        let (level, kind) = (number(word)?, number(word + 4)?);
        self.0 = self.0.get(length.next_multiple_of(word)..).unwrap_or(&[]);
        Some((level, kind, &message[header..]))
    }
}

fn integer(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(octets))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets)
            .ok()
            .map(|o| Ipv4Addr::from(o).into()),
        16 => <[u8; 16]>::try_from(octets)
            .ok()
            .map(|o| Ipv6Addr::from(o).into()),
        _ => None,
    }
}
