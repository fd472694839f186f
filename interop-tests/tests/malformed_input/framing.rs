//! UPDATEs whose lengths contradict each other (RFC 4271 section 6.3, RFC 7606 sections 3 to 5).

use interop_tests::raw::encode::{EXTENDED, TRANSITIVE, WELL_KNOWN, attribute, update};
use interop_tests::raw::{UPDATE, message};

use crate::outcome::Outcome::{Ignored, Reset, Withdraw};
use crate::outcome::{NO_DATA, Row, row};
use crate::parts::Parts;

/// Flags FF, type 31, a length of two octets: nothing but an unknown attribute with every flag set.
fn all_flags(length: u16, value: &[u8]) -> Vec<u8> {
    [&[0xff, 31][..], &length.to_be_bytes(), value].concat()
}

/// An UPDATE whose Total Path Attribute Length is too small by `by`: the NLRI begin inside the last attribute.
fn short_attributes(parts: &Parts, last: Vec<u8>, by: usize) -> Vec<u8> {
    let attributes = [parts.changed().concat(), last].concat();
    let length = (attributes.len() - by) as u16;
    let body = [
        &[0, 0][..],
        &length.to_be_bytes(),
        &attributes,
        &parts.nlri(),
    ]
    .concat();
    message(UPDATE, &body)
}

/// An UPDATE whose Withdrawn Routes Length is too small by one for the one prefix in it.
fn short_withdrawn(parts: &Parts) -> Vec<u8> {
    let attributes = parts.changed().concat();
    let mut body = vec![0, 3];
    body.extend(parts.nlri());
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    message(UPDATE, &body)
}

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    vec![
        row("RFC 7606 3.d", "attributes of length 0, and NLRI", |p| update(&[], &[], &p.nlri()), Withdraw),
        row("RFC 7606 3.d", "only an unknown attribute with all flags, and NLRI", |p| update(&[], &[all_flags(16, &[0; 16])], &p.nlri()), Withdraw),
        row("RFC 7606 3.d", "only an unknown attribute with all flags, and NLRI, graceful restart agreed", |p| update(&[], &[all_flags(16, &[0; 16])], &p.nlri()), Withdraw).restart(),
        row("RFC 7606 4", "only an unknown attribute with all flags that ends after the attributes, and NLRI", |p| update(&[], &[all_flags(16, &[0; 3])], &p.nlri()), Withdraw),
        row("RFC 7606 4", "the same, graceful restart agreed", |p| update(&[], &[all_flags(16, &[0; 3])], &p.nlri()), Withdraw).restart(),
        row("RFC 4271 5", "only an unknown attribute with all flags, and nothing else", |_| update(&[], &[all_flags(16, &[0; 16])], &[]), Ignored),
        row("RFC 7606 5.2", "an unknown attribute that ends after the attributes, and nothing else", |_| update(&[], &[all_flags(16, &[0; 3])], &[]), Reset(3, 1, NO_DATA)),
        row("RFC 7606 5.3", "an empty attribute 255, then prefixes of 1, 0 and 235 bits", |_| update(&[], &[vec![0xc0, 0xff, 0]], &[1, 0x80, 0, 235]), Reset(3, 10, NO_DATA)),
        row("RFC 7606 5.3", "good attributes, then prefixes of 1, 0 and 235 bits", |p| update(&[], &p.changed(), &[1, 0x80, 0, 235]), Reset(3, 10, NO_DATA)),
        row("RFC 7606 5.3", "withdrawn routes that end inside of a prefix", |_| update(&[24, 198], &[], &[]), Reset(3, 10, NO_DATA)),
        row("RFC 7606 5.3", "withdrawn routes that end inside of a prefix, and a good route", |p| update(&[24, 198], &p.changed(), &p.nlri()), Reset(3, 10, NO_DATA)),
        row("RFC 4271 6.3", "withdrawn routes shorter by one than the prefix in them", short_withdrawn, Reset(3, 1, NO_DATA)),
        row("RFC 7606 5.3", "attributes shorter by two than the last one, whose rest is no prefix", |p| short_attributes(p, attribute(TRANSITIVE, 99, &[1, 2, 77, 3]), 2), Reset(3, 10, NO_DATA)),
        row("RFC 7606 4", "attributes shorter by one than the last one, whose rest is the default route", |p| short_attributes(p, attribute(TRANSITIVE, 99, &[1, 0]), 1), Withdraw),
        row("RFC 7606 5.2", "ORIGIN of 32 octets in attributes of 4, and no routes", |_| update(&[], &[vec![WELL_KNOWN, 1, 32, 0]], &[]), Reset(3, 1, NO_DATA)),
        row("RFC 7606 4", "ORIGIN of 32 octets in attributes of 4, and NLRI", |p| update(&[], &[vec![WELL_KNOWN, 1, 32, 0]], &p.nlri()), Withdraw),
        row("RFC 7606 4", "the last attribute ends after the attributes", |p| p.with(&[vec![TRANSITIVE, 8, 200, 0, 1, 0, 1]]), Withdraw),
        row("RFC 7606 4", "the last attribute is one octet too short", |p| p.with(&[vec![TRANSITIVE, 8, 4, 0, 1, 0]]), Withdraw),
        row("RFC 7606 4", "an extended length over all there is", |p| p.with(&[vec![TRANSITIVE | EXTENDED, 8, 255, 255]]), Withdraw),
        row("RFC 7606 4", "one octet is left", |p| p.with(&[vec![TRANSITIVE]]), Withdraw),
        row("RFC 7606 4", "two octets are left", |p| p.with(&[vec![TRANSITIVE, 8]]), Withdraw),
        row("RFC 7606 4", "three octets are left, of an extended length", |p| p.with(&[vec![TRANSITIVE | EXTENDED, 8, 0]]), Withdraw),
        row("RFC 7606 4", "three octets are left, of an attribute of one octet", |p| p.with(&[vec![TRANSITIVE, 8, 1]]), Withdraw),
    ]
}
