//! Attributes (`struct rtattr`) and their values, read and written.

use std::net::IpAddr;

use rtnetlink::packet_core::{DefaultNla, NlasIterator};

/// A number as an attribute.
pub(super) fn u32_attribute(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

/// The attributes in `bytes`, as kind and value, up to the first that is not whole.
#[inline]
pub(super) fn attributes_of(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(|a| {
        let a = a.ok()?;
        // `value` borrows from the iterator's item, so take the same bytes from the buffer itself.
        let inner = a.into_inner();
        Some((
            u16_at(inner, 2)? & 0x3fff,
            inner.get(4..usize::from(u16_at(inner, 0)?))?,
        ))
    })
}

#[inline]
pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        _ => None,
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
