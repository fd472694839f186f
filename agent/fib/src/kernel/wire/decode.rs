//! What the kernel says: messages as events, and answers to requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::packet_core::NLM_F_REPLACE;
use smallvec::SmallVec;

use super::super::event::{
    Address, Event, Hop, Link, Nexthop, NexthopKind, Presence, Route, RouteKind,
};
use super::attributes::{attributes_of, ip, text, u16_at, u32_at};
use super::numbers::{
    AF_INET, AF_INET6, NHA_BLACKHOLE, NHA_ENCAP_TYPE, NHA_FDB, NHA_GATEWAY, NHA_GROUP, NHA_ID,
    NHA_OIF, NHA_RES_GROUP, NLMSG_HEADER, RTA_DST, RTA_GATEWAY, RTA_MULTIPATH, RTA_NH_ID, RTA_OIF,
    RTA_PRIORITY, RTA_TABLE, RTA_VIA, RTM_DELADDR, RTM_DELLINK, RTM_DELNEXTHOP, RTM_DELROUTE,
    RTM_DELRULE, RTM_F_CLONED, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEXTHOP, RTM_NEWROUTE, RTM_NEWRULE,
    RTNH_F_ONLINK,
};
use super::rule;
use crate::types::KernelError;

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Message<'a> {
    pub(in super::super) kind: u16,
    pub(in super::super) flags: u16,
    pub(in super::super) sequence: u32,
    pub(in super::super) body: &'a [u8],
}

/// The messages of a datagram, up to the first that is not whole.
pub(in super::super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(datagram, 0)? as usize;
        let body = datagram.get(NLMSG_HEADER..length)?;
        let message = Message {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            sequence: u32_at(datagram, 8)?,
            body,
        };
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(message)
    })
}

/// What `NLMSG_ERROR` or `NLMSG_DONE` says: `None` is success.
pub(in super::super) fn error(message: &Message<'_>, has_request: bool) -> Option<KernelError> {
    const NLM_F_CAPPED: u16 = 0x100;
    const NLM_F_ACK_TLVS: u16 = 0x200;
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let errno = (u32_at(message.body, 0)? as i32).checked_neg()?;
    if errno == 0 {
        return None;
    }
    let mut failure = KernelError::from_errno(errno);
    let request = match (has_request, message.flags & NLM_F_CAPPED != 0) {
        (false, _) => 0,
        (true, true) => NLMSG_HEADER,
        (true, false) => u32_at(message.body, 4).unwrap_or(0) as usize,
    };
    if message.flags & NLM_F_ACK_TLVS != 0
        && let Some(attributes) = message.body.get(4 + request..)
    {
        for (kind, value) in attributes_of(attributes) {
            if kind == NLMSGERR_ATTR_MSG {
                failure.text = text(value);
            }
        }
    }
    Some(failure)
}

/// What a message tells, if it is something that matters here.
pub(in super::super) fn event(message: &Message<'_>) -> Option<Event> {
    let presence = match message.kind {
        RTM_DELLINK | RTM_DELADDR | RTM_DELROUTE | RTM_DELRULE | RTM_DELNEXTHOP => Presence::Gone,
        _ => Presence::Present,
    };
    let body = message.body;
    match message.kind {
        RTM_NEWLINK | RTM_DELLINK => Some(Event::Link(presence, link(body)?)),
        RTM_NEWADDR | RTM_DELADDR => Some(Event::Address(presence, address(body)?)),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let replaces = message.flags & NLM_F_REPLACE != 0 && presence == Presence::Present;
            Some(Event::Route(presence, route(body, replaces)?))
        }
        RTM_NEWNEXTHOP | RTM_DELNEXTHOP => Some(Event::Nexthop(presence, nexthop(body)?)),
        RTM_NEWRULE | RTM_DELRULE => Some(Event::Rule(presence, rule::decode(body)?)),
        _ => None,
    }
}

fn link(body: &[u8]) -> Option<Link> {
    const IFLA_IFNAME: u16 = 3;
    // ifinfomsg: family, pad, type (2), index (4), flags (4), change (4). Messages of the bridge's family are not about links.
    if *body.first()? != libc::AF_UNSPEC as u8 {
        return None;
    }
    let flags = u32_at(body, 8)? as i32;
    let name = attributes_of(body.get(16..)?)
        .find(|a| a.0 == IFLA_IFNAME)?
        .1;
    Some(Link {
        ifindex: u32_at(body, 4)?,
        name: text(name),
        admin_up: flags & libc::IFF_UP != 0,
        up: flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0,
        loopback: flags & libc::IFF_LOOPBACK != 0,
    })
}

fn address(body: &[u8]) -> Option<Address> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_FLAGS: u16 = 8;
    const IFA_F_SECONDARY: u32 = 0x01;
    const IFA_F_OPTIMISTIC: u32 = 0x04;
    const IFA_F_DADFAILED: u32 = 0x08;
    const IFA_F_DEPRECATED: u32 = 0x20;
    const IFA_F_TENTATIVE: u32 = 0x40;
    const IFA_F_UNPROVEN: u32 = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC;
    // ifaddrmsg: family, prefix length, flags, scope, index (4).
    let mut flags = u32::from(*body.get(2)?);
    let (mut peer, mut local) = (None, None);
    for (kind, value) in attributes_of(body.get(8..)?) {
        match kind {
            IFA_ADDRESS => peer = ip(value),
            IFA_LOCAL => local = ip(value),
            IFA_FLAGS => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(Address {
        ifindex: u32_at(body, 4)?,
        // On a point-to-point link IFA_ADDRESS is the other end.
        address: local.or(peer)?,
        prefix_len: *body.get(1)?,
        peer: peer.filter(|_| local.is_some_and(|local| Some(local) != peer)),
        tentative: flags & IFA_F_UNPROVEN != 0,
        deprecated: flags & IFA_F_DEPRECATED != 0,
        secondary: flags & IFA_F_SECONDARY != 0,
    })
}

fn route(body: &[u8], replaces: bool) -> Option<Route> {
    // rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags (4).
    let &[family, dst_len, src_len, tos, table, protocol, _scope, kind] =
        body.first_chunk::<8>()?;
    if (family != AF_INET && family != AF_INET6) || u32_at(body, 8)? & RTM_F_CLONED != 0 {
        return None;
    }
    let mut destination = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut route = Route {
        prefix: IpNet::V4(Ipv4Net::default()),
        table: table.into(),
        protocol,
        metric: 0,
        kind: match kind {
            libc::RTN_UNICAST => RouteKind::Unicast,
            libc::RTN_BLACKHOLE => RouteKind::Blackhole,
            libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT => RouteKind::Reject,
            _ => RouteKind::Other,
        },
        replaces,
        special: src_len != 0 || tos != 0,
        nexthop_id: None,
        hops: SmallVec::new(),
    };
    let mut single = Hop {
        gateway: None,
        ifindex: 0,
        onlink: u32_at(body, 8)? & RTNH_F_ONLINK != 0,
    };
    for (kind, value) in attributes_of(body.get(12..)?) {
        match kind {
            RTA_DST => destination = ip(value)?,
            RTA_PRIORITY => route.metric = u32_at(value, 0)?,
            RTA_TABLE => route.table = u32_at(value, 0)?,
            RTA_NH_ID => route.nexthop_id = u32_at(value, 0),
            RTA_GATEWAY | RTA_VIA | RTA_OIF => hop_attribute(&mut single, kind, value),
            RTA_MULTIPATH => multipath(value, &mut route.hops),
            _ => {}
        }
    }
    if single.ifindex != 0 {
        route.hops.push(single);
    }
    route.prefix = match destination {
        IpAddr::V4(a) => Ipv4Net::new(a, dst_len).ok()?.into(),
        IpAddr::V6(a) => Ipv6Net::new(a, dst_len).ok()?.into(),
    };
    Some(route)
}

fn hop_attribute(hop: &mut Hop, kind: u16, value: &[u8]) {
    match kind {
        RTA_GATEWAY => hop.gateway = ip(value),
        // struct rtvia: family (2), then the address.
        RTA_VIA => hop.gateway = value.get(2..).and_then(ip),
        _ => hop.ifindex = u32_at(value, 0).unwrap_or(0),
    }
}

fn multipath(mut value: &[u8], hops: &mut SmallVec<[Hop; 1]>) {
    // struct rtnexthop: length (2), flags, hops, ifindex (4); then attributes.
    while let (Some(length), Some(&flags), Some(ifindex)) =
        (u16_at(value, 0), value.get(2), u32_at(value, 4))
    {
        let length = usize::from(length);
        let Some(attributes) = value.get(8..length) else {
            return;
        };
        let mut hop = Hop {
            gateway: None,
            ifindex,
            onlink: u32::from(flags) & RTNH_F_ONLINK != 0,
        };
        for (kind, value) in attributes_of(attributes) {
            if kind == RTA_GATEWAY || kind == RTA_VIA {
                hop_attribute(&mut hop, kind, value);
            }
        }
        hops.push(hop);
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn nexthop(body: &[u8]) -> Option<Nexthop> {
    // nhmsg: family, scope, protocol, reserved, flags (4).
    let &[family, _, protocol, _] = body.first_chunk::<4>()?;
    let mut id = None;
    let mut hop = Hop {
        gateway: None,
        ifindex: 0,
        onlink: u32_at(body, 4)? & RTNH_F_ONLINK != 0,
    };
    let (mut group, mut other) = (None, false);
    for (kind, value) in attributes_of(body.get(8..)?) {
        match kind {
            NHA_ID => id = u32_at(value, 0),
            NHA_OIF => hop.ifindex = u32_at(value, 0)?,
            NHA_GATEWAY => hop.gateway = ip(value),
            NHA_GROUP => {
                let member = |m: &[u8]| {
                    let weight = u16::from_le_bytes([*m.get(4)?, *m.get(5)?]);
                    Some((u32_at(m, 0)?, weight.saturating_add(1)))
                };
                group = Some(value.chunks_exact(8).filter_map(member).collect());
            }
            NHA_BLACKHOLE | NHA_FDB | NHA_RES_GROUP | NHA_ENCAP_TYPE => other = true,
            _ => {}
        }
    }
    let kind = match group {
        _ if other => NexthopKind::Other,
        Some(members) => NexthopKind::Group(members),
        None => NexthopKind::Single { family, hop },
    };
    Some(Nexthop {
        id: id?,
        protocol,
        kind,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `struct ifaddrmsg` and its attributes.
    fn address_body(flags: u32) -> Vec<u8> {
        let address: Ipv6Addr = "2001:db8::5".parse().unwrap();
        let mut body = vec![AF_INET6, 64, (flags & 0xff) as u8, 0];
        body.extend(3u32.to_ne_bytes());
        for (kind, value) in [
            (1u16, address.octets().to_vec()),
            (8, flags.to_ne_bytes().to_vec()),
        ] {
            body.extend(((value.len() + 4) as u16).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(value);
        }
        body
    }

    #[test]
    fn the_flags_of_an_address_say_what_it_is_good_for() {
        // As in linux/if_addr.h: what is found of it (tentative, deprecated, temporary).
        for (flags, expected) in [
            (0x80, (false, false, false)),
            (0x200, (false, false, false)),
            (0x01, (false, false, true)),
            (0x20, (false, true, false)),
            (0x21, (false, true, true)),
            (0x40, (true, false, false)),
            (0x08, (true, false, false)),
            (0x48, (true, false, false)),
            // Optimistic: in use before it has passed.
            (0x44, (true, false, false)),
        ] {
            let found = address(&address_body(flags)).unwrap();
            let found = (found.tentative, found.deprecated, found.secondary);
            assert_eq!(found, expected, "{flags:#x}");
        }
    }
}
