//! Enhanced route refresh (RFC 7313 section 3.1): a capability without a value.

use super::{Capability, Malformed, Repeats, Row};

pub(super) const ROW: Row = Row {
    code: 70,
    name: "enhanced route refresh",
    expected: "no octets",
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    value.is_empty().then_some(Capability::EnhancedRouteRefresh)
}
