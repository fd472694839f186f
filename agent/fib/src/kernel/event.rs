//! What the kernel tells, in listings and in notifications alike: interfaces, addresses, routes, nexthop objects.

use std::net::IpAddr;

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::refusal::Rule;

/// Whether the thing is there (new or changed) or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, as described.
    Present,
    /// It is gone; what is described is what it was.
    Gone,
}

/// One thing that the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface.
    Link(Presence, Link),
    /// An address on an interface.
    Address(Presence, Address),
    /// A route.
    Route(Presence, Route),
    /// A nexthop object or group.
    Nexthop(Presence, Nexthop),
    /// A routing rule in a shape that we make; others do not matter here.
    Rule(Presence, Rule),
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub ifindex: u32,
    /// Its name, as in `ip link`.
    pub name: String,
    /// Set up by the operator. Going down, the kernel drops the IPv4 routes over it silently.
    pub admin_up: bool,
    /// Set up, and with a carrier.
    pub up: bool,
    /// A loopback interface.
    pub loopback: bool,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The interface.
    pub ifindex: u32,
    /// The address itself.
    pub address: IpAddr,
    /// The length of the prefix of [`Self::network`].
    pub prefix_len: u8,
    /// The address of the other end, where it is configured (`ip addr add ... peer ...`).
    pub peer: Option<IpAddr>,
    /// Duplicate address detection has not finished, or has found a duplicate (RFC 4862 section 5.4); also while the kernel
    /// uses the address optimistically (RFC 4429).
    pub tentative: bool,
    /// Its preferred lifetime is over (RFC 4862 section 5.5.4).
    pub deprecated: bool,
    /// One bit of the kernel's: an IPv6 address is temporary (RFC 8981), an IPv4 address is a secondary one of its network.
    pub secondary: bool,
}

impl Address {
    /// The network on the link: that of the other end where one is configured, to which the address itself need not belong.
    pub fn network(&self) -> Option<IpNet> {
        let of = self.peer.unwrap_or(self.address);
        IpNet::new(of, self.prefix_len).ok().map(|net| net.trunc())
    }
}

/// What a route does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Forwards it.
    Unicast,
    /// Drops it silently.
    Blackhole,
    /// Drops it and says so (`unreachable`, `prohibit`).
    Reject,
    /// Anything else: local, broadcast, anycast, multicast, throw, NAT.
    Other,
}

/// One way out of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The router; `None` if the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub ifindex: u32,
    /// The router is used on this interface even if no connected network covers it (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub prefix: IpNet,
    /// The table.
    pub table: u32,
    /// `rtm_protocol`: who installed it.
    pub protocol: u8,
    /// The metric (`RTA_PRIORITY`).
    pub metric: u32,
    /// What it does.
    pub kind: RouteKind,
    /// It replaces another one (`NLM_F_REPLACE` in the notification).
    pub replaces: bool,
    /// It has a selector beyond the destination (TOS, source prefix), so it is not one that we would make or resolve over.
    pub special: bool,
    /// The nexthop object that it uses.
    pub nexthop_id: Option<u32>,
    /// The ways out, as far as the message holds them.
    pub hops: SmallVec<[Hop; 1]>,
}

/// A nexthop object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nexthop {
    /// Its id.
    pub id: u32,
    /// `nh_protocol`: who made it.
    pub protocol: u8,
    /// What it is.
    pub kind: NexthopKind,
}

/// What a nexthop object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NexthopKind {
    /// One way out.
    Single {
        /// The family of the object, `AF_INET` or `AF_INET6`.
        family: u8,
        /// The router and the interface.
        hop: Hop,
    },
    /// Several, by id, with their weights (1 to 256).
    Group(Vec<(u32, u16)>),
    /// Something that we never make (blackhole, FDB, encapsulation).
    Other,
}
