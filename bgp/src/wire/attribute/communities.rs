//! COMMUNITIES (RFC 1997): a set, so canonically ascending and each once. Wrong length: treat-as-withdraw (RFC 7606
//! section 7.8).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_items};
use crate::types::Community;
use crate::wire::Outcome;

/// Octets of one.
const ITEM: usize = 4;

pub(super) const ROW: Row = Row {
    code: AttributeCode::COMMUNITIES,
    name: "COMMUNITIES",
    class: Class::OptionalTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::SetOf(ITEM),
    check: |value, _| {
        check_items::<ITEM>(AttributeCode::COMMUNITIES, value, "a multiple of 4, not 0")
    },
    read: |value, attributes| {
        let (items, _) = value.as_chunks::<ITEM>();
        attributes.communities = items
            .iter()
            .map(|item| Community(u32::from_be_bytes(*item)))
            .collect();
    },
    write: |attributes, out| {
        for item in &attributes.communities {
            out.extend_from_slice(&item.0.to_be_bytes());
        }
        !attributes.communities.is_empty()
    },
};
