//! ATOMIC_AGGREGATE (RFC 4271 section 5.1.6). Not empty: attribute discard (RFC 7606 section 7.6).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope};
use crate::wire::{Outcome, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::ATOMIC_AGGREGATE,
    name: "ATOMIC_AGGREGATE",
    class: Class::WellKnown,
    scope: Scope::Anyone,
    malformed: Outcome::AttributeDiscard,
    canonical: Canonical::AsIs,
    check: |value, _| match value {
        [] => Ok(()),
        _ => Err(UpdateFault::Length {
            code: AttributeCode::ATOMIC_AGGREGATE,
            length: value.len(),
            expected: "no octets",
        }),
    },
    read: |_, attributes| attributes.atomic_aggregate = true,
    write: |attributes, _| attributes.atomic_aggregate,
};
