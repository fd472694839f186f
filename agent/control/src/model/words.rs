//! Small types that several parts of the model share.

use std::fmt;
use std::str::FromStr;

use bgp::types::Family;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address family as text: `ipv4-unicast`, `ipv6-unicast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyName(pub Family);

impl FamilyName {
    /// Whether a prefix belongs to the family.
    pub fn has(self, prefix: &IpNet) -> bool {
        let family = match prefix {
            IpNet::V4(_) => Family::IPV4_UNICAST,
            IpNet::V6(_) => Family::IPV6_UNICAST,
        };
        self.0 == family
    }
}

impl From<Family> for FamilyName {
    fn from(family: Family) -> Self {
        Self(family)
    }
}

impl fmt::Display for FamilyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that names no address family of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an address family: expected ipv4 or ipv6")]
pub struct ParseFamilyError(String);

impl FromStr for FamilyName {
    type Err = ParseFamilyError;

    /// Reads `ipv4-unicast`, or what people type: `ipv4`, `4`, `v6`.
    fn from_str(text: &str) -> Result<Self, ParseFamilyError> {
        match text.to_ascii_lowercase().as_str() {
            "ipv4-unicast" | "ipv4" | "v4" | "4" => Ok(Self(Family::IPV4_UNICAST)),
            "ipv6-unicast" | "ipv6" | "v6" | "6" => Ok(Self(Family::IPV6_UNICAST)),
            _ => Err(ParseFamilyError(text.to_owned())),
        }
    }
}

impl Serialize for FamilyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FamilyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
