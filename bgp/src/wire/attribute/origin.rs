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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4271_5_1_1_each_origin_has_its_value_and_name_and_the_best_is_first() {
        let all = [
            (0, Origin::Igp, "igp"),
            (1, Origin::Egp, "egp"),
            (2, Origin::Incomplete, "incomplete"),
        ];
        for (octet, origin, name) in all {
            assert_eq!(Origin::from_octet(octet), Some(origin));
            assert_eq!(origin.to_string(), name);
            assert_eq!(format!("{origin:>11}"), format!("{name:>11}"));
        }
        assert_eq!(Origin::from_octet(3), None);
        assert!(all.map(|(_, origin, _)| origin).is_sorted());
    }
}
