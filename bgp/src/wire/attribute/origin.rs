//! ORIGIN (RFC 4271 section 5.1.1). Wrong length or value: treat-as-withdraw (RFC 7606 section 7.1).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::AttributeCode;
use super::table::{Canonical, Class, Row, Scope};
use crate::wire::{Outcome, UpdateFault};

/// ORIGIN, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Interior.
    Igp,
    /// EGP.
    Egp,
    /// By other means.
    Incomplete,
}

impl Origin {
    pub(super) const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            0 => Self::Igp,
            1 => Self::Egp,
            2 => Self::Incomplete,
            _ => return None,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}

pub(super) const ROW: Row = Row {
    code: AttributeCode::ORIGIN,
    name: "ORIGIN",
    class: Class::WellKnown,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::AsIs,
    check: |value, _| match value {
        [octet] if Origin::from_octet(*octet).is_some() => Ok(()),
        [octet] => Err(UpdateFault::Origin(*octet)),
        _ => Err(UpdateFault::Length {
            code: AttributeCode::ORIGIN,
            length: value.len(),
            expected: "1 octet",
        }),
    },
    read: |value, attributes| {
        attributes.origin = value.first().copied().and_then(Origin::from_octet);
    },
    write: |attributes, out| match attributes.origin {
        Some(origin) => {
            out.push(origin as u8);
            true
        }
        None => false,
    },
};
