//! UPDATE messages as octets (RFC 4271 4.3, RFC 4760), for what no daemon can be told to send, and to see what came
//! octet by octet. AS numbers have four octets; prefixes are IPv4 /24s and IPv6 /48s.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use interop_tests::raw::encode::{self, EXTENDED};
use interop_tests::raw::{self, RawPeer, Received};

/// Attribute flags (RFC 4271 4.3).
pub const OPTIONAL: u8 = 0x80;
pub const TRANSITIVE: u8 = 0x40;
pub const PARTIAL: u8 = 0x20;

/// Attributes by type code: flags without the one for long lengths, and value.
pub type Attributes = BTreeMap<u8, (u8, Vec<u8>)>;

/// An attribute with its header, whose length has two octets where one does not suffice.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let long = if value.len() > 255 { EXTENDED } else { 0 };
    encode::attribute(flags | long, code, value)
}

/// ORIGIN IGP and an AS_PATH of one sequence.
pub fn basics(as_path: &[u32]) -> Vec<u8> {
    let mut path = Vec::new();
    if !as_path.is_empty() {
        path.extend([2, as_path.len() as u8]);
        path.extend(as_path.iter().flat_map(|asn| asn.to_be_bytes()));
    }
    [
        attribute(TRANSITIVE, 1, &[0]),
        attribute(TRANSITIVE, 2, &path),
    ]
    .concat()
}

/// An UPDATE for an IPv4 /24 with a next hop; `attributes` are whole ones.
pub fn ipv4(prefix: [u8; 3], next_hop: Ipv4Addr, attributes: &[u8]) -> Vec<u8> {
    let next_hop = attribute(TRANSITIVE, 3, &next_hop.octets());
    let nlri = [&[24], &prefix[..]].concat();
    encode::update(&[], &[attributes.to_vec(), next_hop], &nlri)
}

/// The same for an IPv6 /48.
pub fn ipv6(prefix: [u8; 6], next_hop: Ipv6Addr, attributes: &[u8]) -> Vec<u8> {
    let next_hop = next_hop.octets();
    let reach = [&[0, 2, 1, 16], &next_hop[..], &[0, 48], &prefix].concat();
    let reach = attribute(OPTIONAL, 14, &reach);
    encode::update(&[], &[reach, attributes.to_vec()], &[])
}

/// The attributes of the next UPDATE that tells an IPv4 /24.
pub fn await_ipv4(peer: &mut RawPeer, prefix: [u8; 3], deadline: Duration) -> Result<Attributes> {
    let until = Instant::now() + deadline;
    loop {
        let message = match peer.receive(until.saturating_duration_since(Instant::now()))? {
            Received::Message(message) if message.kind == raw::UPDATE => message,
            Received::Message(_) => continue,
            other => bail!("no UPDATE for {prefix:?} within {deadline:?}: {other:?}"),
        };
        let (attributes, nlri) = parts(&message.body).context("lengths of an UPDATE")?;
        if nlri.windows(4).any(|at| at[0] == 24 && at[1..] == prefix) {
            return read(attributes).context("attributes of an UPDATE");
        }
    }
}

/// The attributes of IPv4 /24s in all UPDATEs until each of `wanted` has come, by prefix. Not until End-of-RIB, which
/// may wait for peers that are down.
pub fn dump_ipv4(
    peer: &mut RawPeer,
    wanted: &[[u8; 3]],
    deadline: Duration,
) -> Result<BTreeMap<[u8; 3], Attributes>> {
    let until = Instant::now() + deadline;
    let mut found = BTreeMap::new();
    loop {
        let missing = wanted.iter().find(|prefix| !found.contains_key(*prefix));
        let Some(missing) = missing else {
            return Ok(found);
        };
        let message = match peer.receive(until.saturating_duration_since(Instant::now()))? {
            Received::Message(message) if message.kind == raw::UPDATE => message,
            Received::Message(_) => continue,
            other => bail!("no UPDATE for {missing:?} within {deadline:?}: {other:?}"),
        };
        let (attributes, mut nlri) = parts(&message.body).context("lengths of an UPDATE")?;
        let attributes = read(attributes).context("attributes of an UPDATE")?;
        while let Some((&length, rest)) = nlri.split_first() {
            let octets = usize::from(length.div_ceil(8));
            let (prefix, after) = rest.split_at_checked(octets).context("a prefix")?;
            if let Ok(prefix) = prefix.try_into() {
                found.insert(prefix, attributes.clone());
            }
            nlri = after;
        }
    }
}

fn parts(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (withdrawn, rest) = body.split_first_chunk::<2>()?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*withdrawn))..)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn read(mut octets: &[u8]) -> Option<Attributes> {
    let mut found = BTreeMap::new();
    while let [flags, code, rest @ ..] = octets {
        let (length, rest) = if flags & EXTENDED == 0 {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        found.insert(*code, (flags & !EXTENDED, value.to_vec()));
        octets = rest;
    }
    octets.is_empty().then_some(found)
}
