//! What feeds send, as octets made before the clock starts.

use ipnet::IpNet;

use super::table::{Attributes, Table};
use super::wire::{announcement, end_of_rib, withdrawal};
use crate::raw::{UPDATE, message};
use crate::speaker::Family;

/// Prefixes in one message: below 4096 octets with the longest attributes and prefixes that there are here.
const AT_ONCE: usize = 200;

/// A whole table, a message for each block, and End-of-RIB.
pub fn table(table: &Table, attributes: impl Fn(usize) -> Attributes) -> Vec<u8> {
    let mut octets = Vec::new();
    for number in 0..table.blocks() {
        octets.extend(announce(&attributes(number), table.block(number)));
    }
    octets.extend(end_of_ribs(&[table.family()]));
    octets
}

/// Messages that announce prefixes of one family.
pub fn announce(attributes: &Attributes, prefixes: &[IpNet]) -> Vec<u8> {
    let messages = prefixes.chunks(AT_ONCE);
    messages
        .flat_map(|some| message(UPDATE, &announcement(attributes, some)))
        .collect()
}

/// Messages that withdraw prefixes of one family.
pub fn withdraw(prefixes: &[IpNet]) -> Vec<u8> {
    let messages = prefixes.chunks(AT_ONCE);
    messages
        .flat_map(|some| message(UPDATE, &withdrawal(Family::of(some[0]), some)))
        .collect()
}

/// End-of-RIB of families (RFC 4724 section 2).
pub fn end_of_ribs(families: &[Family]) -> Vec<u8> {
    let bodies = families.iter().map(|&family| end_of_rib(family));
    bodies.flat_map(|body| message(UPDATE, &body)).collect()
}
