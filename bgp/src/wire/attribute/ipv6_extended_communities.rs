//! IPv6-address-specific extended communities (RFC 5701): a set, so canonically ascending and each once. Wrong length:
//! treat-as-withdraw (RFC 7606 section 7.15).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_items};
use crate::types::Ipv6ExtendedCommunity;
use crate::wire::Outcome;

/// Octets of one.
const ITEM: usize = 20;

pub(super) const ROW: Row = Row {
    code: AttributeCode::IPV6_EXTENDED_COMMUNITIES,
    name: "IPV6_EXTENDED_COMMUNITIES",
    class: Class::OptionalTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::SetOf(ITEM),
    check: |value, _| {
        check_items::<ITEM>(
            AttributeCode::IPV6_EXTENDED_COMMUNITIES,
            value,
            "a multiple of 20, not 0",
        )
    },
    read: |value, attributes| {
        let (items, _) = value.as_chunks::<ITEM>();
        attributes.ipv6_extended_communities = items
            .iter()
            .map(|item| Ipv6ExtendedCommunity(*item))
            .collect();
    },
    write: |attributes, out| {
        for item in &attributes.ipv6_extended_communities {
            out.extend_from_slice(&item.0);
        }
        !attributes.ipv6_extended_communities.is_empty()
    },
};
