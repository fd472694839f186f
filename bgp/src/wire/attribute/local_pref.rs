//! LOCAL_PREF (RFC 4271 section 5.1.5). From an external peer it is discarded; wrong length from an internal one:
//! treat-as-withdraw (RFC 7606 section 7.5).

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_four_octets, read_u32};
use crate::wire::Outcome;

pub(super) const ROW: Row = Row {
    code: AttributeCode::LOCAL_PREF,
    name: "LOCAL_PREF",
    class: Class::WellKnown,
    scope: Scope::InternalPeers,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::AsIs,
    check: |value, _| check_four_octets(AttributeCode::LOCAL_PREF, value),
    read: |value, attributes| attributes.local_pref = read_u32(value),
    write: |attributes, out| match attributes.local_pref {
        Some(value) => {
            out.extend_from_slice(&value.to_be_bytes());
            true
        }
        None => false,
    },
};
