//! MP_UNREACH_NLRI (RFC 4760 section 4). Too short, or prefixes that cannot be read: session reset (RFC 7606 sections 5.3
//! and 7.12). A second one: session reset (RFC 7606 section 3 g).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope};
use crate::wire::{Outcome, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::MP_UNREACH_NLRI,
    name: "MP_UNREACH_NLRI",
    class: Class::OptionalNonTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::SessionReset,
    canonical: Canonical::Absent,
    // AFI and SAFI.
    check: |value, _| match value.len() {
        0..3 => Err(UpdateFault::RoutesTruncated {
            code: AttributeCode::MP_UNREACH_NLRI,
            length: value.len(),
        }),
        _ => Ok(()),
    },
    read: Row::read_nothing,
    write: Row::write_nothing,
};
