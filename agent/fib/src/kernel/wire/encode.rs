//! Requests: operations and listings as messages.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE,
    NLM_F_REQUEST, NetlinkHeader,
};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::super::DumpKind;
use super::super::op::{Object, Op, RouteAction, RouteOp, RuleAction, Target};
use super::attributes::{u16_at, u32_attribute};
use super::numbers::{
    AF_INET, AF_INET6, NHA_GATEWAY, NHA_GROUP, NHA_ID, NHA_OIF, NLMSG_HEADER, RTA_NH_ID,
    RTM_DELNEXTHOP, RTM_DELROUTE, RTM_DELRULE, RTM_GETADDR, RTM_GETLINK, RTM_GETNEXTHOP,
    RTM_GETROUTE, RTM_GETRULE, RTM_NEWNEXTHOP, RTM_NEWROUTE, RTM_NEWRULE, RTNH_F_ONLINK,
};
use super::rule::RuleMessage;
use crate::types::{ROUTE_PROTOCOL, RouteSpace};

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
pub(in super::super) struct Encoder {
    /// What the message below is of, but for the address, its length and the nexthop's id.
    shape: Option<RouteOp>,
    route: Vec<u8>,
}

impl Encoder {
    /// Appends the message for `op` to `out`.
    pub(in super::super) fn op(&mut self, op: &Op, sequence: u32, ack: bool, out: &mut Vec<u8>) {
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
pub(in super::super) fn dump_request(what: DumpKind, family: u8, sequence: u32) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
