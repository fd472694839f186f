//! CLUSTER_LIST (RFC 4456 section 8), in the order of the reflections. From an external peer it is discarded; wrong
//! length from an internal one: treat-as-withdraw (RFC 7606 section 7.10).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_items};
use crate::types::BgpIdentifier;
use crate::wire::Outcome;

/// Octets of one.
const ITEM: usize = 4;

pub(super) const ROW: Row = Row {
    code: AttributeCode::CLUSTER_LIST,
    name: "CLUSTER_LIST",
    class: Class::OptionalNonTransitive,
    scope: Scope::InternalPeers,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::AsIs,
    check: |value, _| {
        check_items::<ITEM>(AttributeCode::CLUSTER_LIST, value, "a multiple of 4, not 0")
    },
    read: |value, attributes| {
        let (items, _) = value.as_chunks::<ITEM>();
        attributes.cluster_list = items
            .iter()
            .map(|item| BgpIdentifier(u32::from_be_bytes(*item)))
            .collect();
    },
    write: |attributes, out| {
        for item in &attributes.cluster_list {
            out.extend_from_slice(&item.0.to_be_bytes());
        }
        !attributes.cluster_list.is_empty()
    },
};
