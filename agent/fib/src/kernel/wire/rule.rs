//! Routing rules as messages (`struct fib_rule_hdr`, `FRA_*` of `linux/fib_rules.h`).

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_core::{DefaultNla, Emitable};

use super::attributes::{attributes_of, ip, text, u32_at, u32_attribute};
use crate::refusal::Rule;

const FRA_DST: u16 = 1;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_PROTOCOL: u16 = 21;

/// Attributes that a rule has without being of another kind: `FRA_FWMARK` and `FRA_FWMASK` are not among them.
const FRA_PAD: u16 = 18;

const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
/// `suppress_prefixlength` that suppresses nothing.
const NONE: u32 = u32::MAX;

const LOOPBACK: &[u8] = b"lo\0";

/// A rule, for `RTM_NEWRULE` and `RTM_DELRULE`.
#[derive(Debug)]
pub(super) struct RuleMessage {
    header: [u8; 12],
    attributes: Vec<DefaultNla>,
}

impl RuleMessage {
    pub(super) fn of(rule: &Rule) -> Self {
        let family = match rule.ipv6 {
            true => libc::AF_INET6,
            false => libc::AF_INET,
        };
        let mut header = [0; 12];
        header[0] = family as u8;
        header[1] = rule.destination.map_or(0, |net| net.prefix_len());
        // Numbers that do not fit stand in the attribute alone.
        header[4] = u8::try_from(rule.table).unwrap_or(0);
        header[7] = FR_ACT_TO_TBL;
        let flags = if rule.not_local { FIB_RULE_INVERT } else { 0 };
        header[8..].copy_from_slice(&flags.to_ne_bytes());
        let mut attributes = vec![
            u32_attribute(FRA_PRIORITY, rule.priority),
            u32_attribute(FRA_TABLE, rule.table),
            DefaultNla::new(FRA_PROTOCOL, vec![rule.protocol]),
        ];
        if rule.not_local {
            attributes.push(DefaultNla::new(FRA_IIFNAME, LOOPBACK.to_vec()));
        }
        attributes.extend(rule.destination.map(|net| match net.addr() {
            IpAddr::V4(a) => DefaultNla::new(FRA_DST, a.octets().to_vec()),
            IpAddr::V6(a) => DefaultNla::new(FRA_DST, a.octets().to_vec()),
        }));
        let suppress = rule.suppress.map(u32::from);
        attributes.extend(suppress.map(|length| u32_attribute(FRA_SUPPRESS_PREFIXLEN, length)));
        Self { header, attributes }
    }
}

impl Emitable for RuleMessage {
    fn buffer_len(&self) -> usize {
        self.header.len() + self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(self.header.len());
        header.copy_from_slice(&self.header);
        self.attributes.as_slice().emit(attributes);
    }
}

/// A rule, if it is in a shape that we make: another one is somebody else's.
pub(super) fn decode(body: &[u8]) -> Option<Rule> {
    // family, dst_len, src_len, tos, table, two reserved, action, flags (4).
    let &[family, dst_len, src_len, tos, table, _, _, action] = body.first_chunk::<8>()?;
    let ipv6 = match i32::from(family) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let inverted = u32_at(body, 8)? & FIB_RULE_INVERT != 0;
    let (mut iif, mut other) = (None, src_len != 0 || tos != 0 || action != FR_ACT_TO_TBL);
    let mut destination = None;
    let mut rule = Rule {
        ipv6,
        priority: 0,
        destination: None,
        not_local: false,
        table: table.into(),
        suppress: None,
        protocol: 0,
    };
    for (kind, value) in attributes_of(body.get(12..)?) {
        match kind {
            FRA_DST => destination = ip(value),
            FRA_IIFNAME => iif = Some(text(value)),
            FRA_PRIORITY => rule.priority = u32_at(value, 0)?,
            FRA_TABLE => rule.table = u32_at(value, 0)?,
            FRA_PROTOCOL => rule.protocol = *value.first()?,
            FRA_SUPPRESS_PREFIXLEN => {
                let length = Some(u32_at(value, 0)?).filter(|length| *length != NONE);
                rule.suppress = length.and_then(|length| u8::try_from(length).ok());
            }
            FRA_PAD => {}
            _ => other = true,
        }
    }
    // Nothing but `not iif lo` is inverted by us.
    rule.not_local = match (iif.as_deref(), inverted) {
        (None, false) => false,
        (Some("lo"), true) => true,
        _ => return None,
    };
    rule.destination = match (dst_len, destination) {
        (0, None) => None,
        (_, Some(address)) => Some(IpNet::new(address, dst_len).ok()?),
        (_, None) => return None,
    };
    (!other).then_some(rule)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_of_a_rule_reads_as_that_rule() {
        let nets = ["203.0.113.0/24", "2001:db8:f::/64", "198.51.100.7/32"];
        let nets = nets.map(|net| net.parse::<IpNet>().unwrap());
        let scoped = nets.iter().flat_map(|net| {
            let suppress = net.prefix_len() - 1;
            [254, 1000].map(|table| Rule::yields(*net, table, suppress))
        });
        let shared = [false, true].into_iter().flat_map(|ipv6| {
            [
                Rule::refuses(ipv6, 17_900),
                Rule::yields_all(ipv6, 254, 0),
                Rule::yields_all(ipv6, 1000, 23),
            ]
        });
        for rule in scoped.chain(shared) {
            let message = RuleMessage::of(&rule);
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            assert_eq!(decode(&bytes), Some(rule));
        }
    }

    #[test]
    fn a_rule_with_another_selector_is_nothing_that_we_make() {
        let rule = Rule::refuses(false, 17_900);
        let mut message = RuleMessage::of(&rule);
        const FRA_FWMARK: u16 = 10;
        message.attributes.push(u32_attribute(FRA_FWMARK, 1));
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        assert_eq!(decode(&bytes), None);
        // Without the inversion it would be for locally generated packets alone.
        let mut message = RuleMessage::of(&rule);
        message.header[8..].fill(0);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        assert_eq!(decode(&bytes), None);
    }
}
