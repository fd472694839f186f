//! NEXT_HOP (RFC 4271 section 5.1.3). Wrong length or no host's address: treat-as-withdraw (RFC 7606 section 7.3).

use std::net::{IpAddr, Ipv4Addr};

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, read_u32};
use crate::types::NextHop;
use crate::wire::{Outcome, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::NEXT_HOP,
    name: "NEXT_HOP",
    class: Class::WellKnown,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::Absent,
    check: |value, _| {
        let next_hop = match read_u32(value) {
            Some(bits) => NextHop::Ipv4(Ipv4Addr::from_bits(bits)),
            None => {
                return Err(UpdateFault::Length {
                    code: AttributeCode::NEXT_HOP,
                    length: value.len(),
                    expected: "4 octets",
                });
            }
        };
        match is_host(next_hop) {
            true => Ok(()),
            false => Err(UpdateFault::NextHop {
                code: AttributeCode::NEXT_HOP,
                next_hop,
            }),
        }
    },
    read: Row::read_nothing,
    write: Row::write_nothing,
};

/// Whether packets can be sent there at all: not to no address, to many, or to all. Loopback addresses are hosts: of a
/// peer on the same machine; next-hop resolution decides about them.
pub(in crate::wire) fn is_host(next_hop: NextHop) -> bool {
    match next_hop.address() {
        IpAddr::V4(a) => a.octets()[0] != 0 && !a.is_multicast() && !a.is_broadcast(),
        IpAddr::V6(a) => !a.is_unspecified() && !a.is_multicast(),
    }
}
