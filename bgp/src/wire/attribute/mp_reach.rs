//! MP_REACH_NLRI (RFC 4760 section 3, RFC 2545, RFC 8950). Too short, a next hop of impossible length, or prefixes that
//! cannot be read: session reset, because its routes cannot be found (RFC 7606 sections 5.3 and 7.11). A next hop that is
//! no host's address: treat-as-withdraw. A second one: session reset (RFC 7606 section 3 g).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope};
use crate::types::{Family, NextHop};
use crate::wire::{FamilyCodec, Outcome, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::MP_REACH_NLRI,
    name: "MP_REACH_NLRI",
    class: Class::OptionalNonTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::SessionReset,
    canonical: Canonical::Absent,
    // AFI, SAFI, length of the next hop, the next hop, a reserved octet.
    check: |value, _| {
        let next_hop = value.get(3).map_or(0, |length| usize::from(*length));
        match value.len() >= 5 + next_hop {
            true => Ok(()),
            false => Err(UpdateFault::RoutesTruncated {
                code: AttributeCode::MP_REACH_NLRI,
                length: value.len(),
            }),
        }
    },
    read: Row::read_nothing,
    write: Row::write_nothing,
};

/// Whether a next hop of the family can have so many octets, given what was negotiated.
pub(in crate::wire) fn check_length(
    family: Family,
    codec: &FamilyCodec,
    length: usize,
) -> Result<(), UpdateFault> {
    let (possible, expected): (&[usize], _) = match (family, codec.extended_next_hop) {
        (Family::IPV4_UNICAST, false) => (&[4], "4"),
        (Family::IPV4_UNICAST, true) => (&[4, 16, 32], "4, 16 or 32"),
        _ => (&[16, 32], "16 or 32"),
    };
    match possible.contains(&length) {
        true => Ok(()),
        false => Err(UpdateFault::NextHopLength {
            family,
            length,
            expected,
        }),
    }
}

/// Reads a next hop; `None` for a length that it cannot have.
///
/// In the second place of 32 octets only a link-local address means something (RFC 2545 section 3); others, such as the
/// unspecified address that some speakers fill up with, are ignored.
pub(in crate::wire) fn next_hop(octets: &[u8]) -> Option<NextHop> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(NextHop::Ipv4(Ipv4Addr::from(octets)));
    }
    let (global, rest) = octets.split_first_chunk::<16>()?;
    let global = Ipv6Addr::from(*global);
    if rest.is_empty() {
        return Some(NextHop::Ipv6(global));
    }
    let link_local = Ipv6Addr::from(<[u8; 16]>::try_from(rest).ok()?);
    Some(match link_local.is_unicast_link_local() {
        true => NextHop::Ipv6WithLinkLocal { global, link_local },
        false => NextHop::Ipv6(global),
    })
}
