//! Operations to netlink messages, netlink messages to events.
//!
//! Requests are built with the packet crates of `rtnetlink`; nexthop messages, which those lack, are
//! [`NexthopMessage`]. Decoding walks the attributes itself and takes the few that matter: a listing of a million routes
//! then costs no allocation for each, and an attribute of a newer kernel or a link type that a library does not know
//! cannot make a route or an interface invisible.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE,
    NLM_F_REQUEST, NetlinkHeader, NlasIterator,
};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use smallvec::SmallVec;

use super::super::plan::{Object, Op, RouteAction, RouteOp, RouteSpace, RuleAction, Target};
use super::super::types::{KernelError, ROUTE_PROTOCOL};
use super::DumpKind;
use super::event::{Address, Event, Hop, Link, Nexthop, NexthopKind, Presence, Route, RouteKind};
use super::rule::{self, RuleMessage};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;

const AF_INET: u8 = libc::AF_INET as u8;
const AF_INET6: u8 = libc::AF_INET6 as u8;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;

const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_BLACKHOLE: u16 = 4;
const NHA_ENCAP_TYPE: u16 = 7;
const NHA_FDB: u16 = 11;
const NHA_RES_GROUP: u16 = 12;
const RTNH_F_ONLINK: u32 = 4;

const RTM_F_CLONED: u32 = 0x200;

const NLMSG_HEADER: usize = 16;

/// `struct nhmsg` and its attributes, for `RTM_NEWNEXTHOP` and `RTM_DELNEXTHOP`.
#[derive(Debug, Default)]
struct NexthopMessage {
    family: u8,
    protocol: u8,
    flags: u32,
    attributes: Vec<DefaultNla>,
}

impl Emitable for NexthopMessage {
    fn buffer_len(&self) -> usize {
        8 + self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        // Family, scope, protocol, reserved, flags.
        buffer[..4].copy_from_slice(&[self.family, 0, self.protocol, 0]);
        buffer[4..8].copy_from_slice(&self.flags.to_ne_bytes());
        self.attributes.as_slice().emit(&mut buffer[8..]);
    }
}

/// Writes requests. Keeps the last route's message: the next one, of hundreds of thousands, hardly ever differs in more than
/// its prefix and nexthop.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// What the message below is of, but for the address, its length and the nexthop's id.
    shape: Option<RouteOp>,
    route: Vec<u8>,
}

impl Encoder {
    /// Appends the message for `op` to `out`.
    pub(super) fn op(&mut self, op: &Op, sequence: u32, ack: bool, out: &mut Vec<u8>) {
        let ack = if ack { NLM_F_ACK } else { 0 };
        match op {
            Op::Route(op) | Op::Refuse(op) => self.route(op, ack, sequence, out),
            Op::Rule(action, rule) => {
                let (kind, flags) = match action {
                    RuleAction::Add => (RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL),
                    RuleAction::Delete => (RTM_DELRULE, 0),
                };
                message(&RuleMessage::of(rule), kind, flags | ack, sequence, out);
            }
            Op::AddObject { id, object } => {
                let flags = NLM_F_CREATE | NLM_F_EXCL | ack;
                message(
                    &object_message(*id, object),
                    RTM_NEWNEXTHOP,
                    flags,
                    sequence,
                    out,
                );
            }
            Op::AddGroup { id, members } => {
                let flags = NLM_F_CREATE | NLM_F_EXCL | ack;
                message(
                    &group_message(*id, members),
                    RTM_NEWNEXTHOP,
                    flags,
                    sequence,
                    out,
                );
            }
            Op::ReplaceGroup { id, members } => {
                let flags = NLM_F_REPLACE | ack;
                message(
                    &group_message(*id, members),
                    RTM_NEWNEXTHOP,
                    flags,
                    sequence,
                    out,
                );
            }
            Op::DeleteNexthop { id } => {
                // The kernel insists on an otherwise empty header here.
                let request = NexthopMessage {
                    attributes: vec![u32_attribute(NHA_ID, *id)],
                    ..NexthopMessage::default()
                };
                message(&request, RTM_DELNEXTHOP, ack, sequence, out);
            }
        }
    }

    /// Copies the last route's message and puts in what is different.
    fn route(&mut self, op: &RouteOp, ack: u16, sequence: u32, out: &mut Vec<u8>) {
        const FLAGS: usize = 6;
        const SEQUENCE: usize = 8;
        const PREFIX_LENGTH: usize = NLMSG_HEADER + 1;
        // After rtmsg and the header of RTA_DST, which comes first.
        const ADDRESS: usize = NLMSG_HEADER + 12 + 4;
        let shape = shape(op);
        if self.shape != Some(shape) {
            self.route.clear();
            let (kind, flags, request) = route_message(op);
            message(&request, kind, flags, sequence, &mut self.route);
            self.shape = Some(shape);
        }
        let start = out.len();
        out.extend_from_slice(&self.route);
        let put = &mut out[start..];
        let flags = u16_at(put, FLAGS).unwrap_or(0) | ack;
        put[FLAGS..][..2].copy_from_slice(&flags.to_ne_bytes());
        put[SEQUENCE..][..4].copy_from_slice(&sequence.to_ne_bytes());
        put[PREFIX_LENGTH] = op.prefix.prefix_len();
        match op.prefix {
            IpNet::V4(net) => put[ADDRESS..][..4].copy_from_slice(&net.addr().octets()),
            IpNet::V6(net) => put[ADDRESS..][..16].copy_from_slice(&net.addr().octets()),
        }
        if let RouteAction::Add(Target::Group(id)) | RouteAction::Replace(Target::Group(id)) =
            op.action
        {
            // RTA_NH_ID comes last.
            let at = put.len() - 4;
            put[at..].copy_from_slice(&id.to_ne_bytes());
        }
    }
}

/// An operation of which everything is put into a copied message that differs from this one's.
fn shape(op: &RouteOp) -> RouteOp {
    let any = |target| match target {
        Target::Group(_) => Target::Group(0),
        Target::Unreachable => Target::Unreachable,
    };
    let prefix = match op.prefix {
        IpNet::V4(_) => IpNet::V4(Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(Ipv6Net::default()),
    };
    let action = match op.action {
        RouteAction::Add(target) => RouteAction::Add(any(target)),
        RouteAction::Replace(target) => RouteAction::Replace(any(target)),
        RouteAction::Delete => RouteAction::Delete,
    };
    let RouteOp { table, metric, .. } = *op;
    RouteOp::new(prefix, RouteSpace { table, metric }, action)
}

/// A request about a route, with its type and flags.
fn route_message(op: &RouteOp) -> (u16, u16, RouteMessage) {
    let (family, address) = match op.prefix {
        IpNet::V4(net) => (AddressFamily::Inet, RouteAddress::Inet(net.addr())),
        IpNet::V6(net) => (AddressFamily::Inet6, RouteAddress::Inet6(net.addr())),
    };
    let (kind, flags, target) = match op.action {
        RouteAction::Add(target) => (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, Some(target)),
        RouteAction::Replace(target) => (RTM_NEWROUTE, NLM_F_REPLACE, Some(target)),
        RouteAction::Delete => (RTM_DELROUTE, 0, None),
    };
    let mut route = RouteMessage::default();
    route.header = RouteHeader {
        address_family: family,
        destination_prefix_length: op.prefix.prefix_len(),
        table: u8::try_from(op.table).unwrap_or(0),
        protocol: RouteProtocol::Other(ROUTE_PROTOCOL),
        // Any scope and any type, where it is removed.
        scope: if target.is_some() {
            RouteScope::Universe
        } else {
            RouteScope::NoWhere
        },
        kind: match target {
            Some(Target::Group(_)) => RouteType::Unicast,
            Some(Target::Unreachable) => RouteType::Unreachable,
            None => RouteType::Unspec,
        },
        ..RouteHeader::default()
    };
    route.attributes = vec![
        RouteAttribute::Destination(address),
        RouteAttribute::Table(op.table),
        RouteAttribute::Priority(op.metric),
    ];
    if let Some(Target::Group(id)) = target {
        let nexthop = u32_attribute(RTA_NH_ID, id);
        route.attributes.push(RouteAttribute::Other(nexthop));
    }
    (kind, flags, route)
}

fn object_message(id: u32, object: &Object) -> NexthopMessage {
    let mut attributes = vec![
        u32_attribute(NHA_ID, id),
        u32_attribute(NHA_OIF, object.ifindex),
    ];
    attributes.extend(object.gateway.map(|gateway| match gateway {
        IpAddr::V4(a) => DefaultNla::new(NHA_GATEWAY, a.octets().to_vec()),
        IpAddr::V6(a) => DefaultNla::new(NHA_GATEWAY, a.octets().to_vec()),
    }));
    NexthopMessage {
        family: if object.ipv6 { AF_INET6 } else { AF_INET },
        protocol: ROUTE_PROTOCOL,
        flags: if object.onlink { RTNH_F_ONLINK } else { 0 },
        attributes,
    }
}

fn group_message(id: u32, members: &[(u32, u8)]) -> NexthopMessage {
    // struct nexthop_grp: id, weight minus one, high byte of it, reserved.
    let group = members
        .iter()
        .flat_map(|&(id, weight)| {
            let [a, b, c, d] = id.to_ne_bytes();
            [a, b, c, d, weight.saturating_sub(1), 0, 0, 0]
        })
        .collect();
    NexthopMessage {
        protocol: ROUTE_PROTOCOL,
        attributes: vec![u32_attribute(NHA_ID, id), DefaultNla::new(NHA_GROUP, group)],
        ..NexthopMessage::default()
    }
}

pub(super) fn u32_attribute(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn message(payload: &impl Emitable, kind: u16, flags: u16, sequence: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let length = NLMSG_HEADER + payload.buffer_len();
    // Attributes are padded to four bytes, so the message is.
    out.resize(start + length, 0);
    let mut header = NetlinkHeader::default();
    header.length = length as u32;
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    header.emit(&mut out[start..]);
    payload.emit(&mut out[start + NLMSG_HEADER..]);
}

/// The request for a listing. Routes are listed family by family.
pub(super) fn dump_request(what: DumpKind, family: u8, sequence: u32) -> Vec<u8> {
    // ifinfomsg, ifaddrmsg, rtmsg, nhmsg, fib_rule_hdr: all begin with the family, and are otherwise zero.
    let (kind, body) = match what {
        DumpKind::Links => (RTM_GETLINK, 16),
        DumpKind::Addresses => (RTM_GETADDR, 8),
        DumpKind::Routes => (RTM_GETROUTE, 12),
        DumpKind::Nexthops => (RTM_GETNEXTHOP, 8),
        DumpKind::Rules => (RTM_GETRULE, 12),
    };
    let length = NLMSG_HEADER + body;
    let mut out = vec![0; length];
    let mut header = NetlinkHeader::default();
    header.length = length as u32;
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.sequence_number = sequence;
    header.emit(&mut out);
    out[NLMSG_HEADER] = family;
    out
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// The messages of a datagram, up to the first that is not whole.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
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
pub(super) fn error(message: &Message<'_>, has_request: bool) -> Option<KernelError> {
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
pub(super) fn event(message: &Message<'_>) -> Option<Event> {
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

pub(super) fn attributes_of(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(|a| {
        let a = a.ok()?;
        // `value` borrows from the iterator's item, so take the same bytes from the buffer itself.
        let inner = a.into_inner();
        Some((
            u16_at(inner, 2)? & 0x3fff,
            inner.get(4..usize::from(u16_at(inner, 0)?))?,
        ))
    })
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        _ => None,
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
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

    #[test]
    fn a_copied_route_message_is_what_would_have_been_written_anew() {
        let mut ops = Vec::new();
        for (table, metric) in [(254, 1024), (1000, 7)] {
            for target in [
                Target::Group(77),
                Target::Group(0x0102_0304),
                Target::Unreachable,
            ] {
                for action in [
                    RouteAction::Add(target),
                    RouteAction::Replace(target),
                    RouteAction::Delete,
                ] {
                    for prefix in ["203.0.113.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"] {
                        let space = RouteSpace { table, metric };
                        let op = RouteOp::new(prefix.parse().unwrap(), space, action);
                        ops.push(Op::Route(op));
                    }
                }
            }
        }
        let mut encoder = Encoder::default();
        // Each after each other.
        for first in &ops {
            for (sequence, op) in [first].into_iter().chain(&ops).enumerate() {
                let (sequence, ack) = (sequence as u32, sequence % 2 == 1);
                let mut copied = Vec::new();
                encoder.op(op, sequence, ack, &mut copied);
                let Op::Route(op) = op else { continue };
                let (kind, flags, request) = route_message(op);
                let flags = flags | if ack { NLM_F_ACK } else { 0 };
                let mut plain = Vec::new();
                message(&request, kind, flags, sequence, &mut plain);
                assert_eq!(copied, plain, "{op:?}");
            }
        }
    }
}
