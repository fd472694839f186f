//! The value, and that it answers as the view does.

#![allow(clippy::unwrap_used)]

use super::*;

fn path(text: &str) -> AsPath {
    text.parse().unwrap()
}

#[test]
fn paths_are_read_as_they_are_written() {
    for text in [
        "",
        "64500",
        "64500 64501 {1,2}",
        "(65001 65002) 64500",
        "[65001,65002] 1 {3}",
    ] {
        assert_eq!(path(text).to_string(), text);
    }
    for text in ["x", "{", "{}", "1 {2", "1 4294967296"] {
        assert!(text.parse::<AsPath>().is_err(), "{text}");
    }
}

#[test]
fn rfc_4271_9_1_2_2_a_set_counts_as_one_and_rfc_5065_5_3_confederations_as_nothing() {
    for (text, length) in [
        ("", 0),
        ("1 2 2 3", 4),
        ("1 {2,3,4}", 2),
        ("(9 8) 1 2", 2),
        ("[9,8] {1,2} 3", 2),
    ] {
        assert_eq!(path(text).length(), length, "{text}");
    }
}

#[test]
fn the_first_as_is_that_of_the_leftmost_sequence_past_confederations() {
    for (text, first, origin) in [
        ("", None, None),
        ("1 2", Some(1), Some(2)),
        ("(9) 1 2 {3}", Some(1), None),
        ("{3} 1", None, Some(1)),
    ] {
        assert_eq!(path(text).first_as(), first.map(Asn), "{text}");
        assert_eq!(path(text).origin_as(), origin.map(Asn), "{text}");
    }
}

#[test]
fn rfc_4271_5_1_2_prepending_makes_a_new_segment_where_the_first_is_full_or_no_sequence() {
    let mut one = path("2 3");
    one.prepend(Asn(1), 2);
    assert_eq!(one.to_string(), "1 1 2 3");
    let mut set = path("{2}");
    set.prepend(Asn(1), 1);
    assert_eq!(set.to_string(), "1 {2}");
    let mut full = AsPath::sequence(vec![Asn(7); 255]);
    full.prepend(Asn(1), 1);
    assert_eq!((full.segments.len(), full.length()), (2, 256));
    full.prepend(Asn(1), 0);
    assert_eq!(full.length(), 256);
}

#[test]
fn a_view_is_prepended_like_the_value() {
    let (full, nearly) = (
        AsPath::sequence(vec![Asn(7); 255]),
        AsPath::sequence(vec![Asn(7); 253]),
    );
    for before in [
        path(""),
        path("2 3"),
        path("{2} 3"),
        path("(9) 2"),
        full,
        nearly,
    ] {
        for times in [0, 1, 2, 3, 255, 256, 600] {
            let octets = before.to_canonical();
            let mut after = before.clone();
            after.prepend(Asn(1), times);
            let view = AsPathRef::new(&octets);
            let mut written = Vec::new();
            view.prepended(Asn(1), times, &mut written);
            assert_eq!(written, after.to_canonical(), "{times} times {before}");
            assert_eq!(written.len(), view.prepended_len(times));
        }
    }
}

#[test]
fn private_numbers_are_removed_or_replaced_everywhere() {
    let mut removed = path("64512 1 {65000} 4200000000");
    removed.remove(Asn::is_private);
    assert_eq!(removed.to_string(), "1");
    let mut replaced = path("64512 1 {65000}");
    replaced.replace(Asn(5), Asn::is_private);
    assert_eq!(replaced.to_string(), "5 1 {5}");
    assert_eq!(replaced.count(Asn(5)), 2);
}

#[test]
fn rfc_5065_4_1_the_segments_of_confederations_alone_are_removed_at_its_border() {
    for (before, after) in [
        ("", ""),
        ("1 {2}", "1 {2}"),
        ("(8 9) [7] 1 (6) {2}", "1 {2}"),
        ("(8) [7,9]", ""),
    ] {
        let mut one = path(before);
        one.remove_confederation();
        assert_eq!(one.to_string(), after, "{before}");
    }
}

#[test]
fn a_path_answers_the_same_as_a_value_and_as_a_view() {
    // How often AS 7 stands in it, and whether it is empty and holds a set.
    for (text, count, empty, set) in [
        ("", 0, true, false),
        ("7", 1, false, false),
        ("1 7 7 2", 2, false, false),
        ("(7 8) 1", 1, false, false),
        ("1 {7,8} 7", 2, false, true),
        ("[7,8] 1", 1, false, true),
        ("(9)", 0, false, false),
    ] {
        let value = path(text);
        let octets = value.to_canonical();
        let view = AsPathRef::new(&octets);
        assert_eq!((value.count(Asn(7)), view.count(Asn(7))), (count, count));
        assert_eq!(
            (value.is_empty(), view.is_empty()),
            (empty, empty),
            "{text}"
        );
        assert_eq!(view.has_set(), set, "{text}");
        assert_eq!(view.to_path(), value);
        assert_eq!(
            (value.length(), value.first_as()),
            (view.length(), view.first_as())
        );
        assert_eq!(value.origin_as(), view.origin_as());
        assert_eq!(
            format!("{view} {view:?}"),
            format!("{value} AsPathRef({value})")
        );
    }
    let hollow = AsPath {
        segments: vec![AsPathSegment {
            kind: AsPathSegmentKind::Set,
            asns: vec![],
        }],
    };
    assert!(hollow.is_empty() && hollow.to_canonical().is_empty());
}
