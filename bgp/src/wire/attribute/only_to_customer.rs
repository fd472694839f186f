//! Only to Customer, OTC (RFC 9234 section 5). Wrong length: treat-as-withdraw.

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope, check_four_octets, read_u32};
use crate::types::Asn;
use crate::wire::Outcome;

pub(super) const ROW: Row = Row {
    code: AttributeCode::ONLY_TO_CUSTOMER,
    name: "ONLY_TO_CUSTOMER",
    class: Class::OptionalTransitive,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::AsIs,
    check: |value, _| check_four_octets(AttributeCode::ONLY_TO_CUSTOMER, value),
    read: |value, attributes| attributes.only_to_customer = read_u32(value).map(Asn),
    write: |attributes, out| match attributes.only_to_customer {
        Some(value) => {
            out.extend_from_slice(&value.0.to_be_bytes());
            true
        }
        None => false,
    },
};
