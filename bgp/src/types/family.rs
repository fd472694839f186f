//! Address families (RFC 4760): the pair of AFI and SAFI that capabilities, End-of-RIB and tables are keyed by.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// An address family: AFI and SAFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
