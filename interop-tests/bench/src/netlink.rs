//! A writer of routes that does nothing else, as a measure for those that do. And the questions that works ask the
//! kernel.
//!
//! Routes name a nexthop object by its number and go in the order of a hash, 128 messages in a send with an ACK on the
//! last. Of the ways measured only another order is faster, which Routelet uses; this one stays, so that results
//! compare. The messages are made before the clock starts. IPv4 only.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ipnet::{IpNet, Ipv4Net};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};

use interop_lab::Namespace;

/// Of 64 to 256, which are all as fast.
const BATCH: usize = 128;
const SEND_BUFFER: usize = 4 << 20;

const HEADER: usize = 16;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const RTA_DST: u16 = 1;
const RTA_PRIORITY: u16 = 6;
const RTA_NH_ID: u16 = 30;
const AF_INET: u8 = 2;
const TABLE_MAIN: u8 = 254;
const TYPE_UNICAST: u8 = 1;
/// No other program uses it, which identifies these routes.
const PROTOCOL: u8 = 199;
const METRIC: u32 = 1024;
/// `RTM_F_FIB_MATCH`: the entry of the table with all its ways, not the way of one packet.
const FIB_MATCH: u32 = 0x2000;

/// Who installs a route, as `ip` prints it.
pub(super) const SHOWN_PROTOCOL: &str = "199";

/// A netlink socket of a namespace.
#[derive(Debug)]
pub(super) struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    answer: Vec<u8>,
}

/// What a writer does with routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Installs them over a nexthop object.
    Install { nexthop: u32 },
    /// Removes them.
    Remove,
}

impl Netlink {
    /// A socket of `namespace`.
    pub(super) fn open(namespace: &Namespace) -> Result<Self> {
        let open = || -> Result<OwnedFd> {
            let (family, flags) = (AddressFamily::Netlink, SockFlag::SOCK_CLOEXEC);
            let fd = socket(family, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            setsockopt(&fd, sockopt::SndBufForce, &SEND_BUFFER)?;
            Ok(fd)
        };
        Ok(Self {
            fd: namespace.enter(open)?.context("a netlink socket")?,
            sequence: 0,
            answer: vec![0; 1 << 16],
        })
    }

    /// Changes a route for each prefix, and returns how long that took.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub(super) fn write(&mut self, prefixes: &[Ipv4Net], change: Change) -> Result<Duration> {
        let batches: Vec<(u32, Vec<u8>)> = prefixes
            .chunks(BATCH)
            .map(|some| {
                let mut octets = Vec::new();
                for (place, &prefix) in some.iter().enumerate() {
                    self.sequence += 1;
                    let last = place + 1 == some.len();
                    octets.extend(route(change, prefix, self.sequence, last));
                }
                (self.sequence, octets)
            })
            .collect();
        let started = Instant::now();
        for (last, octets) in batches {
            send(self.fd.as_raw_fd(), &octets, MsgFlags::empty()).context("sending routes")?;
            self.acknowledged(last)?;
        }
        Ok(started.elapsed())
    }

    /// Reads until the ACK of a message; any error before it is one.
    fn acknowledged(&mut self, sequence: u32) -> Result<()> {
        loop {
            let count = self.receive()?;
            let mut at = &self.answer[..count];
            while at.len() >= HEADER + 4 {
                let length = u32::from_ne_bytes(word(at, 0)?) as usize;
                let kind = u16::from_ne_bytes([at[4], at[5]]);
                let about = u32::from_ne_bytes(word(at, 8)?);
                ensure!(kind == NLMSG_ERROR, "an answer of type {kind}");
                let code = i32::from_ne_bytes(word(at, HEADER)?);
                ensure!(code == 0, "route {about}: error {code} of the kernel");
                if about == sequence {
                    return Ok(());
                }
                at = at
                    .get(length.next_multiple_of(4).max(HEADER)..)
                    .unwrap_or_default();
            }
        }
    }

    /// Whether the entry of the table that an address matches is forwarded via `gateway`, alone or among others.
    ///
    /// # Errors
    /// There is no entry.
    pub(super) fn leads_to(&mut self, address: Ipv4Addr, gateway: Ipv4Addr) -> Result<bool> {
        let answer = self.ask(address)?;
        let answer = answer.with_context(|| format!("no route to {address}"))?;
        // The lab's gateways are in nothing else that a route has: no need to know all of its attributes.
        Ok(answer.windows(4).any(|four| four == gateway.octets()))
    }

    /// Whether the table has an entry for a prefix, of those that no longer one hides at their first address.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub(super) fn holds(&mut self, prefix: Ipv4Net) -> Result<bool> {
        let length = self.ask(prefix.addr())?.and_then(|entry| entry.get(1));
        Ok(length == Some(&prefix.prefix_len()))
    }

    /// The entry that an address matches, from its header on.
    fn ask(&mut self, address: Ipv4Addr) -> Result<Option<&[u8]>> {
        self.sequence += 1;
        let mut body = vec![AF_INET, 32, 0, 0, 0, 0, 0, 0];
        body.extend(FIB_MATCH.to_ne_bytes());
        attribute(&mut body, RTA_DST, &address.octets());
        let octets = message(RTM_GETROUTE, NLM_F_REQUEST, self.sequence, &body);
        send(self.fd.as_raw_fd(), &octets, MsgFlags::empty()).context("asking for a route")?;
        let count = self.receive()?;
        let answer = &self.answer[..count];
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        Ok((kind == RTM_NEWROUTE).then(|| &answer[HEADER..]))
    }

    fn receive(&mut self) -> Result<usize> {
        let count = recv(self.fd.as_raw_fd(), &mut self.answer, MsgFlags::empty())
            .context("the kernel's answer")?;
        if count < HEADER {
            bail!("an answer of {count} octets");
        }
        Ok(count)
    }
}

/// The order of a hash: neighbours in the table do not follow each other.
pub(super) fn hash_order(prefixes: &[IpNet]) -> Vec<Ipv4Net> {
    let mut shuffled: Vec<Ipv4Net> = prefixes
        .iter()
        .filter_map(|prefix| match prefix {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        })
        .collect();
    let key = |net: &Ipv4Net| {
        let packed = u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len());
        // Fibonacci hashing: the upper half depends on every bit.
        packed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
    };
    shuffled.sort_unstable_by_key(key);
    shuffled
}

fn route(change: Change, prefix: Ipv4Net, sequence: u32, last: bool) -> Vec<u8> {
    let (kind, mut flags) = match change {
        Change::Install { .. } => (RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE),
        Change::Remove => (RTM_DELROUTE, NLM_F_REQUEST),
    };
    if last {
        flags |= NLM_F_ACK;
    }
    let length = prefix.prefix_len();
    let mut body = vec![AF_INET, length, 0, 0, TABLE_MAIN, PROTOCOL, 0, TYPE_UNICAST];
    body.extend([0; 4]);
    attribute(&mut body, RTA_DST, &prefix.addr().octets());
    attribute(&mut body, RTA_PRIORITY, &METRIC.to_ne_bytes());
    if let Change::Install { nexthop } = change {
        attribute(&mut body, RTA_NH_ID, &nexthop.to_ne_bytes());
    }
    message(kind, flags, sequence, &body)
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(HEADER + body.len());
    octets.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    octets.extend(kind.to_ne_bytes());
    octets.extend(flags.to_ne_bytes());
    octets.extend(sequence.to_ne_bytes());
    octets.extend([0; 4]);
    octets.extend(body);
    octets
}

/// All values here have a multiple of four octets: no padding.
fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((4 + value.len() as u16).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
}

fn word(octets: &[u8], at: usize) -> Result<[u8; 4]> {
    let word = octets.get(at..).and_then(|rest| rest.first_chunk());
    word.copied().context("an answer that is too short")
}

/// How many IPv4 routes the kernel holds, counted by itself: a walk of its trie, which takes it a quarter of a second
/// for a million. So it is asked when they should all be there, not meanwhile.
pub(super) fn kernel_count(namespace: &Namespace) -> Result<usize> {
    const PATH: &str = "/proc/thread-self/net/fib_triestat";
    let text = namespace
        .enter(|| std::fs::read_to_string(PATH))?
        .context(PATH)?;
    // Without rules the main and the local table are one, shown twice.
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Prefixes:"));
    let count = line.context("no \"Prefixes:\" in fib_triestat")?;
    Ok(count.trim().parse()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use interop_lab::{Need, run};

    #[test]
    fn routes_go_in_and_out_and_a_question_names_their_gateway() {
        run(&[Need::Root], |lab| {
            let (node, _other) =
                lab.pair(("node", &["10.0.0.1/24"]), ("other", &["10.0.0.2/24"]))?;
            node.ip("nexthop add id 7 via 10.0.0.2 dev eth0")?;
            let before = kernel_count(&node)?;
            let prefixes: Vec<IpNet> = (0..300u32)
                .map(|n| Ipv4Net::new((0x0b00_0000 + (n << 8)).into(), 24).map(IpNet::from))
                .collect::<Result<_, _>>()?;
            let routes = hash_order(&prefixes);
            let mut netlink = Netlink::open(&node)?;
            netlink.write(&routes, Change::Install { nexthop: 7 })?;
            assert_eq!(kernel_count(&node)? - before, 300);
            assert!(routes.iter().all(|&one| netlink.holds(one).unwrap()));
            let there = Ipv4Addr::new(11, 0, 5, 1);
            assert!(netlink.leads_to(there, Ipv4Addr::new(10, 0, 0, 2))?);
            assert!(!netlink.leads_to(there, Ipv4Addr::new(10, 0, 0, 3))?);
            assert!(netlink.leads_to(Ipv4Addr::new(12, 0, 0, 1), there).is_err());
            netlink.write(&routes, Change::Remove)?;
            assert_eq!(kernel_count(&node)?, before);
            assert!(
                netlink.write(&routes, Change::Remove).is_err(),
                "they are gone"
            );
            Ok(())
        });
    }
}
