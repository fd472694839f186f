//! ORIGINATOR_ID (RFC 4456 section 8). From an external peer it is discarded; wrong length from an internal one:
//! treat-as-withdraw (RFC 7606 section 7.9).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_four_octets, read_u32};
use crate::types::BgpIdentifier;
use crate::wire::Outcome;

pub(super) const ROW: Row = Row {
    code: AttributeCode::ORIGINATOR_ID,
    name: "ORIGINATOR_ID",
    class: Class::OptionalNonTransitive,
    scope: Scope::InternalPeers,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::AsIs,
    check: |value, _| check_four_octets(AttributeCode::ORIGINATOR_ID, value),
    read: |value, attributes| attributes.originator_id = read_u32(value).map(BgpIdentifier),
    write: |attributes, out| match attributes.originator_id {
        Some(value) => {
            out.extend_from_slice(&value.0.to_be_bytes());
            true
        }
        None => false,
    },
};
