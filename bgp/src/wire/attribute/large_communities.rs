//! LARGE_COMMUNITY (RFC 8092): a set without order, so canonically ascending and each once. Wrong length:
//! treat-as-withdraw (RFC 8092 section 6).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_items};
use crate::types::LargeCommunity;
use crate::wire::Outcome;

/// Octets of one.
const ITEM: usize = 12;

pub(super) const ROW: Row = Row {
    code: AttributeCode::LARGE_COMMUNITIES,
    name: "LARGE_COMMUNITY",
    class: Class::OptionalTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::SetOf(ITEM),
    check: |value, _| {
        check_items::<ITEM>(
            AttributeCode::LARGE_COMMUNITIES,
            value,
            "a multiple of 12, not 0",
        )
    },
    read: |value, attributes| {
        let (items, _) = value.as_chunks::<ITEM>();
        attributes.large_communities = items.iter().map(|item| decode(*item)).collect();
    },
    write: |attributes, out| {
        for item in &attributes.large_communities {
            for part in [item.global, item.local1, item.local2] {
                out.extend_from_slice(&part.to_be_bytes());
            }
        }
        !attributes.large_communities.is_empty()
    },
};

pub(super) fn decode(item: [u8; ITEM]) -> LargeCommunity {
    let part = |at: usize| u32::from_be_bytes([item[at], item[at + 1], item[at + 2], item[at + 3]]);
    LargeCommunity {
        global: part(0),
        local1: part(4),
        local2: part(8),
    }
}
