//! AS4_PATH (RFC 6793 section 3): AS_PATH's four-octet AS numbers past speakers of two-octet ones. Malformed, or with AS
//! 0: attribute discard (RFC 6793 section 6, RFC 7607). In an attribute set it is merged into AS_PATH.

use super::as_path_ref::write_segments;
use super::as_path_value::AsPathSegmentKind;
use super::table::{Canonical, Class, Row, Scope};
use super::{AsPathRef, AttributeCode, as_path};
use crate::wire::{Outcome, UpdateFault};

pub(super) const ROW: Row = Row {
    code: AttributeCode::AS4_PATH,
    name: "AS4_PATH",
    class: Class::OptionalTransitive,
    scope: Scope::OldSpeakers,
    malformed: Outcome::AttributeDiscard,
    canonical: Canonical::Absent,
    check: |value, _| match value {
        [] => Err(UpdateFault::Length {
            code: AttributeCode::AS4_PATH,
            length: 0,
            expected: "at least one segment",
        }),
        // RFC 6793 section 6: a confederation's segments in it are dropped, the rest is used; see `merge`.
        _ => as_path::check::<4>(value, Ok(())).map_err(|reason| UpdateFault::AsPath {
            code: AttributeCode::AS4_PATH,
            reason,
        }),
    },
    read: Row::read_nothing,
    write: Row::write_nothing,
};

/// Merges AS4_PATH into a widened AS_PATH (RFC 6793 section 4.2.3): as many AS numbers of the latter's front as it is
/// longer, then AS4_PATH. If AS4_PATH is the longer one, it is ignored.
///
/// Both have been checked and hold four-octet numbers.
pub(in crate::wire) fn merge(path: &[u8], path4: &[u8]) -> Vec<u8> {
    let (front, back) = (AsPathRef::new(path), AsPathRef::new(path4));
    let (length, length4) = (front.length(), back.length());
    if length < length4 {
        return path.to_vec();
    }
    let mut merged = Vec::with_capacity(path.len().max(path4.len()));
    let mut wanted = (length - length4) as usize;
    for segment in front.segments() {
        match segment.kind {
            // They count nothing and stand before what counts.
            kind if kind.is_confederation() => write_segments(kind, segment.asns(), &mut merged),
            _ if wanted == 0 => break,
            AsPathSegmentKind::Sequence => {
                let asns = segment.asns().take(wanted);
                wanted -= asns.len();
                write_segments(AsPathSegmentKind::Sequence, asns, &mut merged);
            }
            kind => {
                write_segments(kind, segment.asns(), &mut merged);
                wanted -= 1;
            }
        }
    }
    join(&mut merged, back);
    merged
}

/// Appends a path without its confederation segments; two sequences that meet become one if it can hold both.
fn join(merged: &mut Vec<u8>, back: AsPathRef<'_>) {
    let mut back = back
        .segments()
        .filter(|segment| !segment.kind.is_confederation())
        .peekable();
    let last = AsPathRef::new(merged).segments().last();
    if let (Some(last), Some(first)) = (last, back.peek())
        && last.kind == AsPathSegmentKind::Sequence
        && first.kind == AsPathSegmentKind::Sequence
        && last.asns().len() + first.asns().len() <= 255
    {
        let joined: Vec<_> = last.asns().chain(first.asns()).collect();
        let start = merged.len() - 2 - 4 * last.asns().len();
        merged.truncate(start);
        write_segments(AsPathSegmentKind::Sequence, joined.into_iter(), merged);
        back.next();
    }
    for segment in back {
        write_segments(segment.kind, segment.asns(), merged);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::types::Asn;
    use crate::wire::attribute::AsPath;

    fn merged(path: &str, path4: &str) -> String {
        let octets = |text: &str| {
            let mut out = Vec::new();
            text.parse::<AsPath>().unwrap().write(&mut out);
            out
        };
        AsPathRef::new(&merge(&octets(path), &octets(path4))).to_string()
    }

    #[test]
    fn rfc_6793_4_2_3_the_longer_as_path_gives_the_front() {
        for (path, path4, result) in [
            ("1 23456 23456", "1 70000 70001", "1 70000 70001"),
            ("5 1 23456", "1 70000", "5 1 70000"),
            ("5 {6,7} 23456", "70000", "5 {6,7} 70000"),
            ("5 {6,7}", "{70000,70001}", "5 {70000,70001}"),
            ("1 2", "1 70000 70001", "1 2"),
            ("(9) 5 23456", "70000", "(9) 5 70000"),
            ("5 23456", "(9) 70000", "5 70000"),
            ("(9)", "{1}", "(9)"),
        ] {
            assert_eq!(merged(path, path4), result, "{path} with {path4}");
        }
    }

    #[test]
    fn sequences_that_meet_become_one_segment_if_it_can_hold_both() {
        let sequence = |asns: std::ops::Range<u32>| AsPath::sequence(asns.map(Asn));
        for (front, back, segments) in [
            (1, 1, &[2][..]),
            (3, 2, &[5]),
            (100, 154, &[254]),
            (100, 155, &[255]),
            (100, 156, &[100, 156]),
            (255, 1, &[255, 1]),
            (16, 255, &[16, 255]),
            // Nothing of AS_PATH is left before AS4_PATH.
            (0, 3, &[3]),
        ] {
            let path = sequence(1..1 + front + back).to_canonical();
            let path4 = sequence(1 + front..1 + front + back).to_canonical();
            let merged = merge(&path, &path4);
            let view = AsPathRef::new(&merged);
            let lengths: Vec<usize> = view.segments().map(|s| s.asns().len()).collect();
            assert_eq!(lengths, segments, "{front} before {back}");
            assert!(view.asns().eq((1..1 + front + back).map(Asn)));
            assert_eq!(
                merged.len(),
                lengths.iter().map(|n| 2 + 4 * n).sum::<usize>()
            );
        }
    }

    #[test]
    fn of_as_path_as_many_numbers_stay_as_it_is_longer_and_sets_stay_whole() {
        for (path, path4, result) in [
            ("1 2 3 4 5", "70004 70005", "1 2 3 70004 70005"),
            ("1 {2,3} 4", "70004", "1 {2,3} 70004"),
            ("1 {2,3} 4", "{70002,70003} 70004", "1 {70002,70003} 70004"),
            ("{1,2} {3,4} 5", "{70003} 70005", "{1,2} {70003} 70005"),
            ("1 2 {3} 4", "70002 {70003} 70004", "1 70002 {70003} 70004"),
            ("(9 8) 1 (7) 2", "70002", "(9 8) 1 (7) 70002"),
            ("1 2", "70001 70002", "70001 70002"),
            ("1 2", "70000 70001 70002", "1 2"),
        ] {
            assert_eq!(merged(path, path4), result, "{path} with {path4}");
        }
    }
}
