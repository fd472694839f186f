//! Type codes and flags of path attributes.

use std::fmt;

/// Flag: optional, as opposed to well-known.
pub const OPTIONAL: u8 = 0x80;
/// Flag: transitive.
pub const TRANSITIVE: u8 = 0x40;
/// The two flags that the type of an attribute determines (RFC 7606 section 3 c). Both are set on optional transitive ones.
pub(in crate::wire) const OPTIONAL_TRANSITIVE: u8 = 0xc0;
/// Flag: some speaker on the way did not know the attribute.
pub const PARTIAL: u8 = 0x20;
/// Flag: the length has two octets.
pub const EXTENDED_LENGTH: u8 = 0x10;

/// The type code of a path attribute, as assigned by IANA. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeCode(pub u8);

impl AttributeCode {
    /// ORIGIN (RFC 4271).
    pub const ORIGIN: Self = Self(1);
    /// AS_PATH (RFC 4271).
    pub const AS_PATH: Self = Self(2);
    /// NEXT_HOP (RFC 4271).
    pub const NEXT_HOP: Self = Self(3);
    /// MULTI_EXIT_DISC (RFC 4271).
    pub const MULTI_EXIT_DISC: Self = Self(4);
    /// LOCAL_PREF (RFC 4271).
    pub const LOCAL_PREF: Self = Self(5);
    /// ATOMIC_AGGREGATE (RFC 4271).
    pub const ATOMIC_AGGREGATE: Self = Self(6);
    /// AGGREGATOR (RFC 4271).
    pub const AGGREGATOR: Self = Self(7);
    /// COMMUNITIES (RFC 1997).
    pub const COMMUNITIES: Self = Self(8);
    /// ORIGINATOR_ID (RFC 4456).
    pub const ORIGINATOR_ID: Self = Self(9);
    /// CLUSTER_LIST (RFC 4456).
    pub const CLUSTER_LIST: Self = Self(10);
    /// MP_REACH_NLRI (RFC 4760).
    pub const MP_REACH_NLRI: Self = Self(14);
    /// MP_UNREACH_NLRI (RFC 4760).
    pub const MP_UNREACH_NLRI: Self = Self(15);
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub const EXTENDED_COMMUNITIES: Self = Self(16);
    /// AS4_PATH (RFC 6793).
    pub const AS4_PATH: Self = Self(17);
    /// AS4_AGGREGATOR (RFC 6793).
    pub const AS4_AGGREGATOR: Self = Self(18);
    /// PMSI_TUNNEL (RFC 6514).
    pub const PMSI_TUNNEL: Self = Self(22);
    /// Tunnel Encapsulation (RFC 9012).
    pub const TUNNEL_ENCAPSULATION: Self = Self(23);
    /// IPv6 Address Specific Extended Community (RFC 5701).
    pub const IPV6_EXTENDED_COMMUNITIES: Self = Self(25);
    /// AIGP (RFC 7311).
    pub const AIGP: Self = Self(26);
    /// BGP-LS Attribute (RFC 9552).
    pub const BGP_LS: Self = Self(29);
    /// LARGE_COMMUNITY (RFC 8092).
    pub const LARGE_COMMUNITIES: Self = Self(32);
    /// Only to Customer (RFC 9234).
    pub const ONLY_TO_CUSTOMER: Self = Self(35);
    /// BGP Prefix-SID (RFC 8669).
    pub const PREFIX_SID: Self = Self(40);
}

impl fmt::Display for AttributeCode {
    /// The name, or `attribute 99` where the code is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match super::table::row(*self) {
            Some(row) => f.pad(row.name),
            None => match super::table::opaque(*self) {
                Some(opaque) => f.pad(opaque.name),
                None => write!(f, "attribute {}", self.0),
            },
        }
    }
}
