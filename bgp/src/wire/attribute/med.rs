//! MULTI_EXIT_DISC (RFC 4271 section 5.1.4). Wrong length: treat-as-withdraw (RFC 7606 section 7.4).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_four_octets, read_u32};
use crate::wire::Outcome;

pub(super) const ROW: Row = Row {
    code: AttributeCode::MULTI_EXIT_DISC,
    name: "MULTI_EXIT_DISC",
    class: Class::OptionalNonTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::AsIs,
    check: |value, _| check_four_octets(AttributeCode::MULTI_EXIT_DISC, value),
    read: |value, attributes| attributes.med = read_u32(value),
    write: |attributes, out| match attributes.med {
        Some(value) => {
            out.extend_from_slice(&value.to_be_bytes());
            true
        }
        None => false,
    },
};
