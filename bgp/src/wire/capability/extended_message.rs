//! Extended messages (RFC 8654 section 3): a capability without a value.

use super::{Capability, Malformed, Repeats, Row};

pub(super) const ROW: Row = Row {
    code: 6,
    name: "extended message",
    expected: "no octets",
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    value.is_empty().then_some(Capability::ExtendedMessage)
}
