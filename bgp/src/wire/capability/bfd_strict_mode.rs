//! BFD strict mode (draft-ietf-idr-bgp-bfd-strict-mode): a capability without a value.

use super::{Capability, Malformed, Repeats, Row};

pub(super) const ROW: Row = Row {
    code: 74,
    name: "BFD strict mode",
    expected: "no octets",
    repeats: Repeats::Each,
    malformed: Malformed::Keep,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    value.is_empty().then_some(Capability::BfdStrictMode)
}
