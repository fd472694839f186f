//! Many kernels seen from outside: the changes of routes that each announces by netlink, in whatever table and by
//! whomever, but for the routes that it adds by itself for addresses and links.
//!
//! One socket per namespace, all served by one loop on the caller's thread. What a kernel holds of a protocol is kept
//! from the announcements, so that "when was the last route there" costs no question; [`interop_lab::probe::kernel`]
//! asks, for a check afterwards. Announcements that were lost (`ENOBUFS`) are an error, never a smaller number.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};

use interop_lab::Namespace;

/// `RTNLGRP_IPV4_ROUTE` is 7 and `RTNLGRP_IPV6_ROUTE` 11; group n is bit n - 1.
const GROUPS: u32 = 1 << 6 | 1 << 10;
/// For some thousands of announcements that come while the loop is elsewhere.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Between two turns that had work to do: the instrument leaves the processors to the agents. Times are as exact as
/// that.
const NAP: Duration = Duration::from_millis(1);
/// So many changes are kept for whoever asks which they were.
const REMEMBERED: usize = 10;
/// Between two words about how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(1);

const HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTA_DST: u16 = 1;
const RTA_TABLE: u16 = 15;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TABLE_MAIN: u32 = 254;
/// `RTPROT_KERNEL`: what the kernel adds by itself.
const KERNEL: u8 = 2;

/// A change of a route, as the kernel announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    added: bool,
    prefix: IpNet,
    table: u32,
    protocol: u8,
}

/// The kernels of some namespaces.
#[derive(Debug)]
pub(super) struct Kernels {
    epoll: Epoll,
    protocol: u8,
    watched: Vec<Watched>,
    /// The first changes since somebody asked.
    first: Vec<String>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Watched {
    label: String,
    fd: OwnedFd,
    /// The routes of the protocol in the main table.
    held: HashSet<IpNet>,
    events: u64,
    /// When `held` changed last.
    changed: Instant,
}

impl Kernels {
    /// Listens in each namespace. Routes of `protocol` are kept in mind; there are none yet.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub(super) fn watch(namespaces: &[Namespace], protocol: u8) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("epoll")?;
        let mut watched = Vec::new();
        for (number, namespace) in namespaces.iter().enumerate() {
            let fd = namespace
                .enter(listen)?
                .with_context(|| format!("a netlink socket in {}", namespace.label()))?;
            epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            watched.push(Watched {
                label: namespace.label().to_owned(),
                fd,
                held: HashSet::new(),
                events: 0,
                changed: Instant::now(),
            });
        }
        Ok(Self {
            epoll,
            protocol,
            watched,
            first: Vec::new(),
            scratch: vec![0; 1 << 16],
        })
    }

    /// How many changes each kernel has announced so far.
    pub(super) fn events(&self) -> Vec<u64> {
        self.watched.iter().map(|one| one.events).collect()
    }

    /// The first changes since the last time that this was asked, in words.
    pub(super) fn first_changes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.first)
    }

    /// Waits until each kernel holds `count` routes of the protocol, and returns since when; `None` if that takes
    /// longer than `limit`. `between` receives their number every second.
    ///
    /// # Errors
    /// Announcements were lost; or one of `between`.
    pub(super) fn until_full(
        &mut self,
        count: usize,
        limit: Duration,
        mut between: impl FnMut(usize) -> Result<()>,
    ) -> Result<Option<Instant>> {
        let began = Instant::now();
        let mut reported = began;
        loop {
            let full = self.watched.iter().filter(|one| one.held.len() >= count);
            let full = full.count();
            if full == self.watched.len() {
                return Ok(self.watched.iter().map(|one| one.changed).max());
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                between(full)?;
            }
            if began.elapsed() > limit {
                return Ok(None);
            }
            self.turn(Duration::from_millis(100))?;
        }
    }

    /// Listens for so long.
    ///
    /// # Errors
    /// Announcements were lost.
    pub(super) fn listen_for(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.turn(left)?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Waits at most `wait` for announcements, and takes in those that have come.
    fn turn(&mut self, wait: Duration) -> Result<()> {
        let mut events = [EpollEvent::empty(); 128];
        let wait = EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX);
        let count = match self.epoll.wait(&mut events, wait) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error).context("epoll"),
        };
        for event in &events[..count] {
            self.read(event.data() as usize)?;
        }
        if count > 0 {
            std::thread::sleep(NAP);
        }
        Ok(())
    }

    fn read(&mut self, number: usize) -> Result<()> {
        let watched = &mut self.watched[number];
        loop {
            let fd = watched.fd.as_raw_fd();
            let octets = match recv(fd, &mut self.scratch, MsgFlags::empty()) {
                Ok(count) => &self.scratch[..count],
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => bail!(
                    "the kernel of {} has announced more than fits into the buffer: events are lost",
                    watched.label
                ),
                Err(error) => return Err(error).with_context(|| watched.label.clone()),
            };
            for change in changes(octets)? {
                if change.protocol == KERNEL {
                    continue;
                }
                watched.events += 1;
                if self.first.len() < REMEMBERED {
                    let verb = if change.added { "has" } else { "lost" };
                    let (label, prefix, table) = (&watched.label, change.prefix, change.table);
                    self.first
                        .push(format!("{label} {verb} {prefix} in table {table}"));
                }
                if change.table != TABLE_MAIN || change.protocol != self.protocol {
                    continue;
                }
                let changed = if change.added {
                    watched.held.insert(change.prefix)
                } else {
                    watched.held.remove(&change.prefix)
                };
                if changed {
                    watched.changed = Instant::now();
                }
            }
        }
    }
}

fn listen() -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (family, protocol) = (AddressFamily::Netlink, SockProtocol::NetlinkRoute);
    let fd = socket(family, SockType::Raw, flags, protocol)?;
    setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(fd)
}

/// The changes of routes in a datagram.
fn changes(mut at: &[u8]) -> Result<Vec<Change>> {
    let mut found = Vec::new();
    while let Some(header) = at.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let body = at.get(HEADER..length);
        let body = body.with_context(|| format!("a netlink message of {length} octets"))?;
        if matches!(kind, RTM_NEWROUTE | RTM_DELROUTE) {
            found.push(change(kind == RTM_NEWROUTE, body)?);
        }
        at = at.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

fn change(added: bool, body: &[u8]) -> Result<Change> {
    let (header, mut attributes) = body
        .split_first_chunk::<ROUTE_HEADER>()
        .context("a route that is too short")?;
    let [family, length, _, _, table, protocol, ..] = *header;
    let (mut table, mut destination) = (u32::from(table), &[][..]);
    while let Some((&[low, high, kind_low, kind_high], _)) = attributes.split_first_chunk::<4>() {
        let size = usize::from(u16::from_ne_bytes([low, high]));
        let value = attributes.get(4..size).context("an attribute's length")?;
        match u16::from_ne_bytes([kind_low, kind_high]) {
            RTA_DST => destination = value,
            RTA_TABLE => table = u32::from_ne_bytes(value.try_into()?),
            _ => {}
        }
        let next = size.next_multiple_of(4);
        attributes = attributes.get(next..).unwrap_or_default();
    }
    Ok(Change {
        added,
        prefix: IpNet::new(address(family, destination)?, length)?,
        table,
        protocol,
    })
}

/// A default route has no destination.
fn address(family: u8, octets: &[u8]) -> Result<IpAddr> {
    Ok(match (family, octets) {
        (AF_INET, []) => IpAddr::from([0; 4]),
        (AF_INET6, []) => IpAddr::from([0; 16]),
        (AF_INET, four) => IpAddr::from(<[u8; 4]>::try_from(four)?),
        (AF_INET6, sixteen) => IpAddr::from(<[u8; 16]>::try_from(sixteen)?),
        (other, _) => bail!("a route of address family {other}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use interop_lab::{Need, run};

    /// A message as the kernel sends it: its header, that of the route, and attributes.
    fn message(kind: u16, family: u8, length: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![family, length, 0, 0, 254, 179, 0, 1, 0, 0, 0, 0];
        for (code, value) in attributes {
            body.extend((4 + value.len() as u16).to_ne_bytes());
            body.extend(code.to_ne_bytes());
            body.extend(*value);
        }
        let mut octets = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        octets.extend(kind.to_ne_bytes());
        octets.extend([0; 10]);
        octets.extend(body);
        octets
    }

    #[test]
    fn a_datagram_holds_changes_of_both_families_and_tables_beyond_the_main_one() {
        let v6: std::net::Ipv6Addr = "fd00:244:7::".parse().unwrap();
        let datagram = [
            message(RTM_NEWROUTE, AF_INET, 24, &[(RTA_DST, &[10, 244, 7, 0])]),
            message(RTM_DELROUTE, AF_INET6, 64, &[(RTA_DST, &v6.octets())]),
            message(
                RTM_NEWROUTE,
                AF_INET,
                0,
                &[(RTA_TABLE, &17900u32.to_ne_bytes())],
            ),
            message(104, AF_INET, 0, &[]),
        ]
        .concat();
        let found = changes(&datagram).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.added, one.prefix.to_string(), one.table, one.protocol))
            .collect();
        let expected = [
            (true, "10.244.7.0/24".to_owned(), 254, 179),
            (false, "fd00:244:7::/64".to_owned(), 254, 179),
            (true, "0.0.0.0/0".to_owned(), 17900, 179),
        ];
        assert_eq!(shown, expected, "a nexthop object is no route");
        assert!(changes(&datagram[..60]).is_err(), "cut");
    }

    #[test]
    fn each_kernel_s_routes_and_events_are_its_own() {
        run(&[Need::Root], |lab| {
            let (one, other) = lab.pair(("one", &["10.0.0.1/24"]), ("other", &["10.0.0.2/24"]))?;
            let mut kernels = Kernels::watch(&[one.clone(), other.clone()], 179)?;
            let limit = Duration::from_secs(20);
            one.ip("route add 10.9.0.0/24 via 10.0.0.2 proto 179")?;
            other.ip("route add 10.8.0.0/24 via 10.0.0.1 proto 4")?;
            let full = kernels.until_full(1, Duration::from_millis(300), |_| Ok(()))?;
            assert_eq!(full, None, "of another protocol");
            other.ip("route add 10.8.1.0/24 via 10.0.0.1 proto 179")?;
            assert!(kernels.until_full(1, limit, |_| Ok(()))?.is_some());
            assert_eq!(kernels.events(), [1, 2]);
            one.ip("route del 10.9.0.0/24")?;
            kernels.listen_for(Duration::from_millis(100))?;
            assert_eq!(kernels.events(), [2, 2]);
            let first = kernels.first_changes();
            assert_eq!(first.len(), 4, "{first:?}");
            assert_eq!(first[3], "one lost 10.9.0.0/24 in table 254");
            assert!(kernels.first_changes().is_empty(), "told");
            let full = kernels.until_full(1, Duration::from_millis(300), |_| Ok(()))?;
            assert_eq!(full, None, "one has lost its route");
            Ok(())
        });
    }
}
