//! EXTENDED COMMUNITIES (RFC 4360): a set, so canonically ascending and each once. Wrong length: treat-as-withdraw (RFC
//! 7606 section 7.14).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_items};
use crate::types::ExtendedCommunity;
use crate::wire::Outcome;

/// Octets of one.
const ITEM: usize = 8;

pub(super) const ROW: Row = Row {
    code: AttributeCode::EXTENDED_COMMUNITIES,
    name: "EXTENDED COMMUNITIES",
    class: Class::OptionalTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::SetOf(ITEM),
    check: |value, _| {
        check_items::<ITEM>(
            AttributeCode::EXTENDED_COMMUNITIES,
            value,
            "a multiple of 8, not 0",
        )
    },
    read: |value, attributes| {
        let (items, _) = value.as_chunks::<ITEM>();
        attributes.extended_communities =
            items.iter().map(|item| ExtendedCommunity(*item)).collect();
    },
    write: |attributes, out| {
        for item in &attributes.extended_communities {
            out.extend_from_slice(&item.0);
        }
        !attributes.extended_communities.is_empty()
    },
};
