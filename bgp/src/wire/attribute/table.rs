//! The table of path attributes: one row each, ascending by type code. The generic code walks it and knows no attribute
//! by name; what is special about one stands in its file.

use super::code::{OPTIONAL, OPTIONAL_TRANSITIVE, TRANSITIVE};
use super::{
    AttributeCode, PathAttributes, aggregator, as_path, as4_aggregator, as4_path, atomic_aggregate,
    cluster_list, communities, extended_communities, ipv6_extended_communities, large_communities,
    local_pref, med, mp_reach, mp_unreach, next_hop, only_to_customer, origin, originator_id,
    prefix_sid, tunnel_encapsulation,
};
use crate::wire::{Outcome, UpdateCodec, UpdateFault};

/// What the generic code knows of an attribute.
pub(crate) struct Row {
    /// Type code.
    pub(crate) code: AttributeCode,
    /// Its name in its RFC.
    pub(crate) name: &'static str,
    /// The flags that it must have.
    pub(crate) class: Class,
    /// From whom it means something.
    pub(crate) scope: Scope,
    /// What follows from a malformed one (RFC 7606 section 7, or its own RFC).
    pub(crate) malformed: Outcome,
    /// What becomes of a received value in an [`super::AttributeSet`].
    pub(crate) canonical: Canonical,
    /// Checks a value as it came.
    pub(crate) check: fn(&[u8], &UpdateCodec) -> Result<(), UpdateFault>,
    /// Reads a canonical value into its field.
    pub(crate) read: fn(&[u8], &mut PathAttributes),
    /// Writes the canonical value; `false` if the field is absent.
    pub(crate) write: fn(&PathAttributes, &mut Vec<u8>) -> bool,
}

/// An attribute that is kept and passed on byte for byte, as one that this speaker does not interpret, but only if it is
/// well-formed: what would harm others is not passed on to them.
pub(crate) struct Opaque {
    /// Type code.
    pub(crate) code: AttributeCode,
    /// Its name in its RFC.
    pub(crate) name: &'static str,
    /// Checks flags and value as they came.
    pub(crate) check: fn(u8, &[u8]) -> Option<Malformed>,
}

/// What is wrong, and what follows from it.
pub(crate) type Malformed = (UpdateFault, Outcome);

static OPAQUE: [Opaque; 2] = [tunnel_encapsulation::OPAQUE, prefix_sid::OPAQUE];

/// What is known of an attribute that is not interpreted.
pub(crate) fn opaque(code: AttributeCode) -> Option<&'static Opaque> {
    OPAQUE.iter().find(|opaque| opaque.code == code)
}

/// The check of flags that have to be those of an optional transitive attribute.
pub(super) fn check_transitive(code: AttributeCode, flags: u8) -> Result<(), UpdateFault> {
    let (found, expected) = (flags & OPTIONAL_TRANSITIVE, OPTIONAL_TRANSITIVE);
    if found == expected {
        return Ok(());
    }
    Err(UpdateFault::Flags {
        code,
        found,
        expected,
    })
}

/// The flags of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    WellKnown,
    OptionalTransitive,
    OptionalNonTransitive,
}

impl Class {
    pub(crate) const fn flags(self) -> u8 {
        match self {
            Self::WellKnown => TRANSITIVE,
            Self::OptionalTransitive => OPTIONAL_TRANSITIVE,
            Self::OptionalNonTransitive => OPTIONAL,
        }
    }
}

/// From whom an attribute means something; from others it is discarded, whatever it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Anyone,
    /// From internal peers, and sent to them only (RFC 7606 sections 7.5, 7.9 and 7.10).
    InternalPeers,
    /// From speakers of two-octet AS numbers (RFC 6793 section 6).
    OldSpeakers,
}

/// What becomes of a received value in the canonical set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canonical {
    /// It is taken as it is.
    AsIs,
    /// It is a set of items of so many octets: ascending, each once.
    SetOf(usize),
    /// Its AS numbers are widened and merged with those of the AS4 attributes.
    Widened,
    /// It is no part of the set: it is about the message, or merged into another attribute.
    Absent,
}

impl Row {
    /// For attributes that are no field of [`PathAttributes`].
    pub(crate) const fn read_nothing(_: &[u8], _: &mut PathAttributes) {}
    /// For attributes that are no field of [`PathAttributes`].
    pub(crate) const fn write_nothing(_: &PathAttributes, _: &mut Vec<u8>) -> bool {
        false
    }
}

pub(crate) const TABLE: [Row; 18] = [
    origin::ROW,
    as_path::ROW,
    next_hop::ROW,
    med::ROW,
    local_pref::ROW,
    atomic_aggregate::ROW,
    aggregator::ROW,
    communities::ROW,
    originator_id::ROW,
    cluster_list::ROW,
    mp_reach::ROW,
    mp_unreach::ROW,
    extended_communities::ROW,
    as4_path::ROW,
    as4_aggregator::ROW,
    ipv6_extended_communities::ROW,
    large_communities::ROW,
    only_to_customer::ROW,
];

/// The table at run time; `TABLE` itself is for constant expressions.
static ROWS: [Row; TABLE.len()] = TABLE;

const NONE: u8 = u8::MAX;

/// Place in the table by type code.
static INDEX: [u8; 256] = {
    let mut index = [NONE; 256];
    let mut at: u8 = 0;
    while (at as usize) < TABLE.len() {
        let row = at as usize;
        index[TABLE[row].code.0 as usize] = at;
        assert!(
            row == 0 || TABLE[row - 1].code.0 < TABLE[row].code.0,
            "rows ascend"
        );
        at += 1;
    }
    index
};

/// The place of an attribute in the table.
pub(crate) fn index(code: AttributeCode) -> Option<usize> {
    let at = INDEX[usize::from(code.0)];
    (at != NONE).then_some(usize::from(at))
}

/// The row of an attribute.
pub(crate) fn row(code: AttributeCode) -> Option<&'static Row> {
    index(code).map(|at| &ROWS[at])
}

/// All rows, ascending by type code.
pub(crate) fn rows() -> &'static [Row; TABLE.len()] {
    &ROWS
}

/// The check of attributes with a value of four octets.
pub(super) fn check_four_octets(code: AttributeCode, value: &[u8]) -> Result<(), UpdateFault> {
    if value.len() == 4 {
        return Ok(());
    }
    Err(UpdateFault::Length {
        code,
        length: value.len(),
        expected: "4 octets",
    })
}

/// Reads a value of four octets; `None` for another length.
pub(super) fn read_u32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// The check of attributes that list items of `N` octets, at least one.
pub(super) fn check_items<const N: usize>(
    code: AttributeCode,
    value: &[u8],
    expected: &'static str,
) -> Result<(), UpdateFault> {
    if !value.is_empty() && value.len().is_multiple_of(N) {
        return Ok(());
    }
    Err(UpdateFault::Length {
        code,
        length: value.len(),
        expected,
    })
}
