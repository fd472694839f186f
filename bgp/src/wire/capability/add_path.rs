//! Additional paths (RFC 7911 section 4): families, and for each whether the sender receives them, sends them, or both.

use super::{Capability, Malformed, Repeats, Row};
use crate::types::Family;

/// What a speaker can do with additional paths of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddPathMode {
    /// It can receive them.
    Receive,
    /// It can send them.
    Send,
    /// Both.
    Both,
}

impl AddPathMode {
    /// Whether the speaker can receive additional paths.
    pub const fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// Whether the speaker can send additional paths.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }
}

pub(super) const ROW: Row = Row {
    code: 69,
    name: "additional paths",
    expected: "4 octets for each family",
    repeats: Repeats::Each,
    malformed: Malformed::Reject,
    decode,
};

fn decode(value: &[u8]) -> Option<Capability> {
    let (entries, []) = value.as_chunks::<4>() else {
        return None;
    };
    let mut families: Vec<(Family, AddPathMode)> = Vec::new();
    for &[high, low, safi, mode] in entries {
        let family = Family::new(u16::from_be_bytes([high, low]), safi);
        let mode = match mode {
            1 => AddPathMode::Receive,
            2 => AddPathMode::Send,
            3 => AddPathMode::Both,
            // RFC 7911 section 4: any other value is not understood and ignored.
            _ => continue,
        };
        if !families.iter().any(|(known, _)| *known == family) {
            families.push((family, mode));
        }
    }
    Some(Capability::AddPath(families))
}

pub(super) fn encode(families: &[(Family, AddPathMode)], out: &mut Vec<u8>) {
    // As many as one capability can hold.
    for (family, mode) in families.iter().take(255 / 4) {
        let [high, low] = family.afi.0.to_be_bytes();
        let mode = match mode {
            AddPathMode::Receive => 1,
            AddPathMode::Send => 2,
            AddPathMode::Both => 3,
        };
        out.extend_from_slice(&[high, low, family.safi.0, mode]);
    }
}
