//! Address families (RFC 4760): the pair of AFI and SAFI that capabilities, End-of-RIB and tables are keyed by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::serde_as_text;

/// Address family identifier, as assigned by IANA. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Afi(pub u16);

impl Afi {
    /// IPv4.
    pub const IPV4: Self = Self(1);
    /// IPv6.
    pub const IPV6: Self = Self(2);
}

/// Subsequent address family identifier, as assigned by IANA. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Safi(pub u8);

impl Safi {
    /// Unicast forwarding.
    pub const UNICAST: Self = Self(1);
}

/// An address family: AFI and SAFI. As text, and in JSON, `ipv4-unicast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    /// Address family identifier.
    pub afi: Afi,
    /// Subsequent address family identifier.
    pub safi: Safi,
}

impl Family {
    /// IPv4 unicast.
    pub const IPV4_UNICAST: Self = Self {
        afi: Afi::IPV4,
        safi: Safi::UNICAST,
    };
    /// IPv6 unicast.
    pub const IPV6_UNICAST: Self = Self {
        afi: Afi::IPV6,
        safi: Safi::UNICAST,
    };
    /// The families that this speaker routes, in the order of every table and message.
    pub const ALL: [Self; 2] = [Self::IPV4_UNICAST, Self::IPV6_UNICAST];

    /// The family with these numbers.
    pub const fn new(afi: u16, safi: u8) -> Self {
        Self {
            afi: Afi(afi),
            safi: Safi(safi),
        }
    }
}

impl fmt::Display for Family {
    /// `ipv4-unicast`, `ipv6-unicast`, or the numbers of any other family: `afi25/safi70`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4_UNICAST => f.pad("ipv4-unicast"),
            Self::IPV6_UNICAST => f.pad("ipv6-unicast"),
            Self { afi, safi } => write!(f, "afi{}/safi{}", afi.0, safi.0),
        }
    }
}

/// Text that names no address family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an address family: expected ipv4-unicast, ipv6-unicast, or numbers such as afi1/safi4"
)]
pub struct ParseFamilyError(String);

impl FromStr for Family {
    type Err = ParseFamilyError;

    /// Reads what `Display` writes.
    fn from_str(s: &str) -> Result<Self, ParseFamilyError> {
        match s {
            "ipv4-unicast" => Ok(Self::IPV4_UNICAST),
            "ipv6-unicast" => Ok(Self::IPV6_UNICAST),
            _ => s
                .strip_prefix("afi")
                .and_then(|rest| rest.split_once("/safi"))
                .and_then(|(afi, safi)| Some(Self::new(afi.parse().ok()?, safi.parse().ok()?)))
                .ok_or_else(|| ParseFamilyError(s.to_owned())),
        }
    }
}

serde_as_text!(Family);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn families_are_read_as_they_are_written() {
        for family in [
            Family::IPV4_UNICAST,
            Family::IPV6_UNICAST,
            Family::new(25, 70),
        ] {
            assert_eq!(family.to_string().parse::<Family>().unwrap(), family);
        }
        assert!("ipv4".parse::<Family>().is_err());
    }

    #[test]
    fn a_family_is_a_string_in_json() {
        assert_eq!(
            serde_json::to_string(&Family::IPV4_UNICAST).unwrap(),
            "\"ipv4-unicast\""
        );
        assert_eq!(
            serde_json::from_str::<Family>("\"ipv6-unicast\"").unwrap(),
            Family::IPV6_UNICAST
        );
    }
}
