//! [`AttributeSet`]: path attributes in canonical encoding.
//!
//! The bytes are made in few places, [`AttributeSet::from_attributes`], [`AttributeSet::edit`] and the decoder of UPDATEs, and all
//! write well-formed attributes; so the readers here need no errors. A set owns its bytes or borrows them from where many
//! lie together, as `String` and `str` do: the methods are the same.

use bytes::Bytes;
use smallvec::SmallVec;

use super::code::{EXTENDED_LENGTH, OPTIONAL_TRANSITIVE, PARTIAL};
use super::table::{Canonical, Class, read_u32, rows};
use super::{
    Aggregator, AsPathRef, AttributeCode, Origin, PathAttributes, UnknownAttribute, table,
};
use crate::types::{Asn, BgpIdentifier, Community, ExtendedCommunity, LargeCommunity};
use crate::wire::length::{AttributeLength, TooLong};

/// A set of path attributes in canonical encoding: ascending by type code, each once, AS numbers in four octets,
/// AS4_PATH and AS4_AGGREGATOR merged, minimal length fields, communities of each kind ascending and each once, without
/// NEXT_HOP, MP_REACH_NLRI, MP_UNREACH_NLRI and unknown attributes that are not transitive.
///
/// Two sets with the same meaning have the same bytes (but for the segmentation of AS_PATH, which is kept), so equality
/// and hashing are those of the bytes. Communities of all kinds are sets without order or repetition (RFC 1997, RFC 4360
/// section 2, RFC 8092 section 3): sorting them loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttributeSet<B = Box<[u8]>>(B);

/// A set whose bytes lie elsewhere.
pub type AttributeSetRef<'a> = AttributeSet<&'a [u8]>;

/// An attribute of more than 65,535 octets, which no message can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} of {length} octets; no attribute can have more than 65535")]
pub struct AttributeTooLong {
    /// The attribute.
    pub code: AttributeCode,
    /// How many octets its value would have.
    pub length: usize,
}

/// One attribute of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeRef<'a> {
    /// Its flags.
    pub flags: u8,
    /// Its type code.
    pub code: AttributeCode,
    /// Its value in canonical form.
    pub value: &'a [u8],
}

impl AttributeRef<'_> {
    /// Whether this speaker does not interpret it.
    pub fn is_unknown(&self) -> bool {
        table::index(self.code).is_none()
    }
}

/// The attributes of a set, ascending by type code.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The octets of those that are still to come.
    pub(in crate::wire) const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = AttributeRef<'a>;

    fn next(&mut self) -> Option<AttributeRef<'a>> {
        let (&[flags, code], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if flags & EXTENDED_LENGTH == 0 {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(AttributeRef {
            flags,
            code: AttributeCode(code),
            value,
        })
    }
}

impl<'a> AttributeSetRef<'a> {
    /// Reads bytes that came out of [`AttributeSet::as_bytes`]. Other bytes give a set without meaning, never a panic.
    pub const fn from_canonical(octets: &'a [u8]) -> Self {
        Self(octets)
    }
}

impl AttributeSet {
    /// Takes bytes that are canonical.
    pub(in crate::wire) fn owned(octets: Vec<u8>) -> Self {
        Self(octets.into())
    }

    /// Encodes a structured value. Communities need not be sorted, nor unknown attributes.
    ///
    /// # Errors
    ///
    /// An attribute too long for any message; the routes cannot be advertised with it.
    pub fn from_attributes(attributes: &PathAttributes) -> Result<Self, AttributeTooLong> {
        let mut unknown: SmallVec<[&UnknownAttribute; 4]> = attributes
            .unknown
            .iter()
            .filter(|u| table::index(AttributeCode(u.code)).is_none())
            .filter(|u| u.flags & OPTIONAL_TRANSITIVE == OPTIONAL_TRANSITIVE)
            .collect();
        unknown.sort_by_key(|u| u.code);
        unknown.dedup_by_key(|u| u.code);
        let mut unknown = unknown.into_iter().peekable();
        let mut out = Vec::with_capacity(128);
        let mut value = Vec::new();
        for row in rows() {
            while let Some(u) = unknown.next_if(|u| u.code < row.code.0) {
                append(&mut out, u.flags, AttributeCode(u.code), &u.value)?;
            }
            value.clear();
            if !(row.write)(attributes, &mut value) {
                continue;
            }
            if let Canonical::SetOf(octets) = row.canonical {
                let kept = make_set(&mut value, octets);
                value.truncate(kept);
            }
            let mut flags = row.class.flags();
            if row.class == Class::OptionalTransitive && attributes.partial.contains(row.code) {
                flags |= PARTIAL;
            }
            append(&mut out, flags, row.code, &value)?;
        }
        for u in unknown {
            append(&mut out, u.flags, AttributeCode(u.code), &u.value)?;
        }
        Ok(Self::owned(out))
    }
}

impl<B: AsRef<[u8]>> AttributeSet<B> {
    /// The same set, borrowed.
    pub fn as_set_ref(&self) -> AttributeSetRef<'_> {
        AttributeSet(self.0.as_ref())
    }

    /// The structured value.
    pub fn parse(&self) -> PathAttributes {
        let mut attributes = PathAttributes::default();
        for attribute in self.iter() {
            let AttributeRef { flags, code, value } = attribute;
            match table::row(code) {
                Some(row) => {
                    (row.read)(value, &mut attributes);
                    if flags & PARTIAL != 0 {
                        attributes.partial.insert(code);
                    }
                }
                None => attributes.unknown.push(UnknownAttribute {
                    flags: flags & !EXTENDED_LENGTH,
                    code: code.0,
                    value: Bytes::copy_from_slice(value),
                }),
            }
        }
        attributes
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Whether there is no attribute: the set of an UPDATE that announces nothing.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The attributes, ascending by type code, without decoding their values.
    pub fn iter(&self) -> Attributes<'_> {
        Attributes(self.as_bytes())
    }

    /// The value of one attribute.
    pub fn find(&self, code: AttributeCode) -> Option<&[u8]> {
        self.iter()
            .take_while(|attribute| attribute.code <= code)
            .find(|attribute| attribute.code == code)
            .map(|attribute| attribute.value)
    }

    fn u32(&self, code: AttributeCode) -> Option<u32> {
        self.find(code).and_then(read_u32)
    }

    fn items<const N: usize>(&self, code: AttributeCode) -> &[[u8; N]] {
        self.find(code).map_or(&[], |value| value.as_chunks().0)
    }

    /// ORIGIN.
    pub fn origin(&self) -> Option<Origin> {
        self.find(AttributeCode::ORIGIN)?
            .first()
            .copied()
            .and_then(Origin::from_octet)
    }

    /// AS_PATH; empty if it is absent.
    pub fn as_path(&self) -> AsPathRef<'_> {
        AsPathRef::new(self.find(AttributeCode::AS_PATH).unwrap_or_default())
    }

    /// MULTI_EXIT_DISC.
    pub fn med(&self) -> Option<u32> {
        self.u32(AttributeCode::MULTI_EXIT_DISC)
    }

    /// LOCAL_PREF.
    pub fn local_pref(&self) -> Option<u32> {
        self.u32(AttributeCode::LOCAL_PREF)
    }

    /// AGGREGATOR.
    pub fn aggregator(&self) -> Option<Aggregator> {
        Aggregator::read(self.find(AttributeCode::AGGREGATOR)?)
    }

    /// COMMUNITIES, ascending.
    pub fn communities(&self) -> impl ExactSizeIterator<Item = Community> + '_ {
        let items = self.items(AttributeCode::COMMUNITIES).iter();
        items.map(|item| Community(u32::from_be_bytes(*item)))
    }

    /// Whether a community of the reserved range 0xffff0000 to 0xffffffff is there: the well-known ones are of it (RFC 1997).
    pub fn has_reserved_community(&self) -> bool {
        let items = self.items::<4>(AttributeCode::COMMUNITIES);
        items.last().is_some_and(|last| last[..2] == [0xff, 0xff])
    }

    /// Whether the community is there: NO_EXPORT and its kin.
    pub fn has_community(&self, community: Community) -> bool {
        let items = self.items(AttributeCode::COMMUNITIES);
        items.binary_search(&community.0.to_be_bytes()).is_ok()
    }

    /// EXTENDED COMMUNITIES, ascending.
    pub fn extended_communities(&self) -> impl ExactSizeIterator<Item = ExtendedCommunity> + '_ {
        let items = self.items(AttributeCode::EXTENDED_COMMUNITIES).iter();
        items.map(|item| ExtendedCommunity(*item))
    }

    /// LARGE_COMMUNITY, ascending.
    pub fn large_communities(&self) -> impl ExactSizeIterator<Item = LargeCommunity> + '_ {
        let items = self.items::<12>(AttributeCode::LARGE_COMMUNITIES).iter();
        items.map(|item| super::large_communities::decode(*item))
    }

    /// ORIGINATOR_ID.
    pub fn originator_id(&self) -> Option<BgpIdentifier> {
        self.u32(AttributeCode::ORIGINATOR_ID).map(BgpIdentifier)
    }

    /// CLUSTER_LIST, nearest first.
    pub fn cluster_list(&self) -> impl ExactSizeIterator<Item = BgpIdentifier> + '_ {
        let items = self.items(AttributeCode::CLUSTER_LIST).iter();
        items.map(|item| BgpIdentifier(u32::from_be_bytes(*item)))
    }

    /// Only to Customer.
    pub fn only_to_customer(&self) -> Option<Asn> {
        self.u32(AttributeCode::ONLY_TO_CUSTOMER).map(Asn)
    }
}

/// Adds an attribute to octets in canonical form: the header and the value that it is measured by.
///
/// # Errors
///
/// The value is longer than any attribute can be. Nothing was written.
#[inline]
pub(in crate::wire) fn append(
    out: &mut Vec<u8>,
    flags: u8,
    code: AttributeCode,
    value: &[u8],
) -> Result<(), AttributeTooLong> {
    let length = check_length(code, value.len())?;
    write_header(out, flags, code, length);
    out.extend_from_slice(value);
    Ok(())
}

/// The length of a value, if an attribute can have it.
#[inline]
pub(super) fn check_length(
    code: AttributeCode,
    length: usize,
) -> Result<AttributeLength, AttributeTooLong> {
    AttributeLength::try_from(length).map_err(|TooLong(length)| AttributeTooLong { code, length })
}

/// Writes flags, code and length of an attribute; the length field is as short as it can be.
#[inline]
pub(super) fn write_header(
    out: &mut Vec<u8>,
    flags: u8,
    code: AttributeCode,
    length: AttributeLength,
) {
    let flags = flags & (OPTIONAL_TRANSITIVE | PARTIAL);
    match length.short() {
        Some(short) => out.extend_from_slice(&[flags, code.0, short]),
        None => {
            let [high, low] = length.to_be_bytes();
            out.extend_from_slice(&[flags | EXTENDED_LENGTH, code.0, high, low]);
        }
    }
}

/// Sorts items of so many octets in place and drops repeated ones; returns how many octets are left.
pub(in crate::wire) fn make_set(value: &mut [u8], octets: usize) -> usize {
    match octets {
        4 => make_set_of::<4>(value),
        8 => make_set_of::<8>(value),
        12 => make_set_of::<12>(value),
        20 => make_set_of::<20>(value),
        _ => value.len(),
    }
}

fn make_set_of<const N: usize>(value: &mut [u8]) -> usize {
    let (items, _) = value.as_chunks_mut::<N>();
    if items.is_sorted_by(|a, b| a < b) {
        return items.len() * N;
    }
    items.sort_unstable();
    let mut kept = 0;
    for at in 0..items.len() {
        if at == 0 || items[at] != items[kept - 1] {
            items[kept] = items[at];
            kept += 1;
        }
    }
    kept * N
}

#[cfg(test)]
mod tests;
