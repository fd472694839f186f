//! Route refresh (RFC 2918 section 2): a capability without a value.

use super::{Capability, Malformed, Repeats, Row};

pub(super) const ROW: Row = Row {
    code: 2,
    name: "route refresh",
    expected: "no octets",
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    value.is_empty().then_some(Capability::RouteRefresh)
}
