//! AS4_AGGREGATOR (RFC 6793 section 3): AGGREGATOR's four-octet AS number past speakers of two-octet ones. Wrong length
//! or AS 0: attribute discard (RFC 6793 section 6, RFC 7607). In an attribute set it is merged into AGGREGATOR.

use super::AttributeCode;
use super::aggregator::check_as;
use super::table::{Canonical, Class, Row, Scope};
use crate::wire::{Outcome, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::AS4_AGGREGATOR,
    name: "AS4_AGGREGATOR",
    class: Class::OptionalTransitive,
    scope: Scope::OldSpeakers,
    malformed: Outcome::AttributeDiscard,
    canonical: Canonical::Absent,
    check: |value, _| {
        if value.len() != 8 {
            return Err(UpdateFault::Length {
                code: AttributeCode::AS4_AGGREGATOR,
                length: value.len(),
                expected: "8 octets: AS number and address",
            });
        }
        check_as(AttributeCode::AS4_AGGREGATOR, &value[..4])
    },
    read: Row::read_nothing,
    write: Row::write_nothing,
};
