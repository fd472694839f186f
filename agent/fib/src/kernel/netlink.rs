//! The real kernel: blocking sockets for requests, of which each carries out one after the other, and one that listens to what others
//! do.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::event::Event;
use super::op::Op;
use super::socket::Socket;
use super::{ChannelError, DumpKind, Ears, Heard, Kernel, Listed, Refusal, wire};
use crate::types::KernelError;

/// Messages for each send. From 64 on the cost of the system call is lost in the noise; at 512 acknowledgements of a batch
/// in which everything fails can outgrow a receive buffer.
const BATCH: usize = 256;

/// Holds the errors of a batch in which everything fails, several times over.
const REQUEST_BUFFER: usize = 4 << 20;

/// What may queue up while the thread is busy: some 40,000 notifications, as the kernel doubles the number and counts its
/// own overhead. Only used memory counts.
const MONITOR_BUFFER: usize = 16 << 20;

/// Larger than the largest datagram that the kernel makes for a listing (32 KiB) or for one object.
const DATAGRAM: usize = 256 << 10;

/// The kernel answers while `send` runs. If it has not after so long, something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a listing is begun anew because something changed during it, before it is taken as it is: what was missed
/// also comes as a notification.
const DUMP_TRIES: usize = 5;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 16;

/// Requests to the kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    encoder: wire::Encoder,
    out: Vec<u8>,
    datagram: Vec<u8>,
}

impl Netlink {
    /// Opens the socket and checks that the kernel has nexthop objects and that the process may change routes.
    ///
    /// # Errors
    /// [`ChannelError::NoNexthopObjects`], [`ChannelError::NotPermitted`], or the socket cannot be had.
    pub fn open() -> Result<Self, ChannelError> {
        let socket = Socket::open(0, false)?;
        socket.receive_buffer(REQUEST_BUFFER);
        socket.receive_timeout(PATIENCE)?;
        let mut netlink = Self {
            socket,
            sequence: 0,
            encoder: wire::Encoder::default(),
            out: Vec::with_capacity(BATCH * 64),
            datagram: vec![0; DATAGRAM],
        };
        netlink.probe()?;
        Ok(netlink)
    }

    /// Removes a nexthop object that cannot exist. The kernel checks, in this order, the permission, whether it knows such
    /// messages, and the id.
    fn probe(&mut self) -> Result<(), ChannelError> {
        let mut refusals = Vec::new();
        self.execute(&[Op::DeleteNexthop { id: 0 }], &mut refusals)?;
        match refusals.pop().map(|r| r.error) {
            Some(error) if matches!(error.errno, libc::EPERM | libc::EACCES) => {
                Err(ChannelError::NotPermitted { error })
            }
            Some(error) if error.errno == libc::EOPNOTSUPP => {
                Err(ChannelError::NoNexthopObjects { error })
            }
            _ => Ok(()),
        }
    }

    /// How notifications name this socket as their cause.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    fn send_batch(
        &mut self,
        ops: &[Op],
        base: usize,
        refusals: &mut Vec<Refusal>,
    ) -> Result<(), ChannelError> {
        let first = self.sequence.wrapping_add(1);
        self.out.clear();
        for (i, op) in ops.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let last = i + 1 == ops.len();
            self.encoder.op(op, self.sequence, last, &mut self.out);
        }
        self.socket.send(&self.out)?;
        let started = Instant::now();
        loop {
            let n = self.receive("change of routes", started)?;
            for message in wire::messages(&self.datagram[..n]) {
                let index = message.sequence.wrapping_sub(first) as usize;
                // Answers to an earlier request that was given up on are not ours to count.
                if message.kind != NLMSG_ERROR || index >= ops.len() {
                    continue;
                }
                if let Some(error) = wire::error(&message, true) {
                    let index = base + index;
                    refusals.push(Refusal { index, error });
                }
                if index + 1 == ops.len() {
                    return Ok(());
                }
            }
        }
    }

    fn receive(&mut self, what: &'static str, started: Instant) -> Result<usize, ChannelError> {
        match self.socket.receive(&mut self.datagram) {
            Ok(n) if started.elapsed() < PATIENCE => Ok(n),
            Ok(_) | Err(Errno::EAGAIN) => Err(ChannelError::Timeout {
                what,
                seconds: PATIENCE.as_secs(),
            }),
            Err(e) => Err(ChannelError::Io {
                call: "receive",
                source: std::io::Error::from(e).into(),
            }),
        }
    }

    /// One listing. Whether it is consistent.
    fn dump_once(
        &mut self,
        what: DumpKind,
        family: i32,
        each: &mut dyn FnMut(Listed),
    ) -> Result<bool, ChannelError> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.socket
            .send(&wire::dump_request(what, family as u8, sequence))?;
        let mut consistent = true;
        loop {
            let n = self.receive("listing", Instant::now())?;
            for message in wire::messages(&self.datagram[..n]) {
                if message.sequence != sequence {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        return match wire::error(&message, message.kind == NLMSG_ERROR) {
                            None => Ok(consistent),
                            Some(error) => Err(refused_listing(what, error)),
                        };
                    }
                    _ => {
                        if let Some(event) = wire::event(&message) {
                            each(Listed::Item(event));
                        }
                    }
                }
            }
        }
    }
}

fn refused_listing(what: DumpKind, error: KernelError) -> ChannelError {
    match (what, error.errno) {
        (DumpKind::Nexthops, libc::EOPNOTSUPP) => ChannelError::NoNexthopObjects { error },
        _ => ChannelError::Dump { what, error },
    }
}

impl Kernel for Netlink {
    fn execute(&mut self, ops: &[Op], refusals: &mut Vec<Refusal>) -> Result<(), ChannelError> {
        for (i, chunk) in ops.chunks(BATCH).enumerate() {
            self.send_batch(chunk, i * BATCH, refusals)?;
        }
        Ok(())
    }

    fn dump(&mut self, what: DumpKind, each: &mut dyn FnMut(Listed)) -> Result<(), ChannelError> {
        let families: &[i32] = match what {
            DumpKind::Routes => &[libc::AF_INET, libc::AF_INET6],
            _ => &[libc::AF_UNSPEC],
        };
        for attempt in 1..=DUMP_TRIES {
            each(Listed::Begin);
            let mut consistent = true;
            for &family in families {
                consistent &= self.dump_once(what, family, each)?;
            }
            if consistent {
                break;
            }
            tracing::debug!(?what, attempt, "changed during the listing");
        }
        Ok(())
    }
}

/// Notifications from the kernel about what others do.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    datagram: Vec<u8>,
}

impl Monitor {
    /// Listens to interfaces, addresses, routes, rules and nexthop objects, except for what requests from these ports cause.
    ///
    /// # Errors
    /// The socket cannot be had.
    pub fn open(ignore: &[u32]) -> Result<Self, ChannelError> {
        const RTNLGRP_IPV4_RULE: u32 = 8;
        const RTNLGRP_IPV6_RULE: u32 = 19;
        const RTNLGRP_NEXTHOP: u32 = 32;
        let more = [RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP];
        let more = more.iter().fold(0, |all, group| all | 1 << (group - 1));
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV6_ROUTE;
        let socket = Socket::open(groups as u32 | more, true)?;
        socket.receive_buffer(MONITOR_BUFFER);
        socket.ignore_changes_of(ignore)?;
        Ok(Self {
            socket,
            datagram: vec![0; DATAGRAM],
        })
    }
}

impl Ears for Monitor {
    fn hear(&mut self, each: &mut dyn FnMut(Event)) -> Result<Heard, ChannelError> {
        let mut heard = Heard::Everything;
        loop {
            match self.socket.receive(&mut self.datagram) {
                Ok(n) => {
                    for message in wire::messages(&self.datagram[..n]) {
                        if let Some(event) = wire::event(&message) {
                            each(event);
                        }
                    }
                }
                Err(Errno::EAGAIN) => return Ok(heard),
                Err(Errno::ENOBUFS) => heard = Heard::SomeLost,
                Err(e) => {
                    return Err(ChannelError::Io {
                        call: "receive",
                        source: std::io::Error::from(e).into(),
                    });
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
