//! Path attributes, each in its own file with its RFC 7606 outcomes. Unknown ones are kept byte for byte.
//!
//! There are two forms. [`AttributeSet`] is the canonical encoding as bytes: what the fast path makes, what sets are
//! interned by. [`PathAttributes`] is the structured value: what policies and people look at.

use bytes::Bytes;

use crate::types::{
    Asn, BgpIdentifier, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity,
};
use std::net::Ipv4Addr;

/// A set of path attributes in canonical encoding: ascending by type code, each once, AS numbers in four octets,
/// AS4_PATH and AS4_AGGREGATOR merged, minimal length fields, without NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI.
///
/// Two sets with the same meaning have the same bytes, so equality and hashing are those of the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AttributeSet(Bytes);

impl AttributeSet {
    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Path attributes as a structured value. `None` or empty is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: Option<Origin>,
    /// AS_PATH (empty on locally originated routes), AS4_PATH merged.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR, AS4_AGGREGATOR merged.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES, sorted, each once.
    pub communities: Vec<Community>,
    /// EXTENDED COMMUNITIES, sorted, each once.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// IPv6-address-specific extended communities, sorted, each once.
    pub ipv6_extended_communities: Vec<Ipv6ExtendedCommunity>,
    /// LARGE_COMMUNITY, sorted, each once.
    pub large_communities: Vec<LargeCommunity>,
    /// ORIGINATOR_ID.
    pub originator_id: Option<BgpIdentifier>,
    /// CLUSTER_LIST, nearest first.
    pub cluster_list: Vec<BgpIdentifier>,
    /// Only to Customer (RFC 9234).
    pub only_to_customer: Option<Asn>,
    /// Attributes that this speaker does not interpret, ascending by type code.
    pub unknown: Vec<UnknownAttribute>,
}

/// ORIGIN, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Interior.
    Igp,
    /// EGP.
    Egp,
    /// By other means.
    Incomplete,
}

/// AS_PATH as its segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AsPath {
    /// Nearest AS first.
    pub segments: Vec<AsPathSegment>,
}

/// One segment of an AS_PATH.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AsPathSegment {
    /// Its type.
    pub kind: AsPathSegmentKind,
    /// Its AS numbers, nearest first; 1 to 255 of them.
    pub asns: Vec<Asn>,
}

/// The type of an AS_PATH segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsPathSegmentKind {
    /// AS_SET.
    Set,
    /// AS_SEQUENCE.
    Sequence,
    /// AS_CONFED_SEQUENCE (RFC 5065).
    ConfedSequence,
    /// AS_CONFED_SET (RFC 5065).
    ConfedSet,
}

/// AGGREGATOR: who formed the aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aggregator {
    /// Its AS.
    pub asn: Asn,
    /// Its identifier.
    pub address: Ipv4Addr,
}

/// An optional attribute that this speaker does not interpret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAttribute {
    /// Attribute flags as received; the partial bit is set when it is passed on.
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value, byte for byte.
    pub value: Bytes,
}
