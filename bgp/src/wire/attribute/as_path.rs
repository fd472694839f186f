//! AS_PATH (RFC 4271 section 5.1.2, RFC 6793, RFC 5065). A path that cannot be read, an empty segment, AS 0 (RFC 7607) or
//! a confederation's segment from an external peer: treat-as-withdraw (RFC 7606 section 7.2).

use super::as_path_value::AsPathSegmentKind;
use super::table::{Canonical, Class, Row, Scope};
use super::{AsPathRef, AttributeCode};
use crate::wire::{AsPathFault, Outcome, PeerKind, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::AS_PATH,
    name: "AS_PATH",
    class: Class::WellKnown,
    scope: Scope::Anyone,
    malformed: Outcome::TreatAsWithdraw,
    canonical: Canonical::Widened,
    check: |value, codec| {
        let confederation = match codec.peer {
            PeerKind::External => Err(AsPathFault::Confederation),
            PeerKind::Internal => Ok(()),
        };
        let checked = match codec.four_octet_as {
            true => check::<4>(value, confederation),
            false => check::<2>(value, confederation),
        };
        checked.map_err(|reason| UpdateFault::AsPath {
            code: AttributeCode::AS_PATH,
            reason,
        })
    },
    read: |value, attributes| attributes.as_path = AsPathRef::new(value).to_path(),
    write: |attributes, out| {
        attributes.as_path.write(out);
        // Also when it is empty: AS_PATH is mandatory.
        true
    },
};

/// Checks a path of AS numbers of `N` octets. `confederation` is what a segment of a confederation leads to.
pub(super) fn check<const N: usize>(
    value: &[u8],
    confederation: Result<(), AsPathFault>,
) -> Result<(), AsPathFault> {
    let mut rest = value;
    while let Some((&[kind, count], after)) = rest.split_first_chunk() {
        let kind = AsPathSegmentKind::from_octet(kind).ok_or(AsPathFault::SegmentType(kind))?;
        if count == 0 {
            return Err(AsPathFault::EmptySegment);
        }
        let (asns, after) =
            after
                .split_at_checked(usize::from(count) * N)
                .ok_or(AsPathFault::Overrun {
                    asns: count,
                    available: after.len(),
                })?;
        if asns.as_chunks::<N>().0.contains(&[0; N]) {
            return Err(AsPathFault::ZeroAs);
        }
        if kind.is_confederation() {
            confederation?;
        }
        rest = after;
    }
    match rest {
        [] => Ok(()),
        _ => Err(AsPathFault::SegmentHeader(rest.len())),
    }
}

/// The canonical value of a path of two-octet AS numbers, which has been checked.
pub(in crate::wire) fn widen(value: &[u8]) -> Vec<u8> {
    let mut wide = Vec::with_capacity(value.len() * 2);
    let mut rest = value;
    while let Some((head, after)) = rest.split_first_chunk::<2>() {
        let (asns, after) = after.split_at(after.len().min(usize::from(head[1]) * 2));
        wide.extend_from_slice(head);
        for [high, low] in asns.as_chunks().0 {
            wide.extend_from_slice(&[0, 0, *high, *low]);
        }
        rest = after;
    }
    wide
}
